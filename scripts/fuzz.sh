#!/bin/sh
# Asks a host of its own what its document allows and what it does not, as
# schemathesis makes it up, and holds each answer to the document.
#
# Then runs the command that is given, which are the property tests, with the same
# seed and FUZZ_TIMES (20) as many cases as otherwise.
#
# FUZZ_SECONDS: how long the first takes (120). FUZZ_SEED: which requests and cases,
# so that a run can be had again (drawn, and printed).
set -eu
cd "$(dirname "$0")/.."
tools="$PWD/.warmlink/tools"
venv="$tools/schemathesis"
seconds="${FUZZ_SECONDS:-120}"
seed="${FUZZ_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}"

say() { printf 'fuzz    %s\n' "$*" >&2; }

# Whole or not at all: `st` is there only once everything is.
if [ ! -x "$venv/bin/st" ]; then
    say "installing schemathesis to $venv"
    if ! python3 -m venv "$venv" >&2 ||
        ! "$venv/bin/pip" install --quiet --disable-pip-version-check \
            'schemathesis>=4.32,<5' >&2; then
        rm -rf "$venv"
        say "missing: schemathesis; it takes python3 (3.10 or newer) with venv, and PyPI"
        exit 1
    fi
fi

# Servers of its own, on an empty folder; they end with the host.
state=$(mktemp -d)
chmod 755 "$state"
mkfifo "$state/announced"
env -u DATABASE_URL -u VALKEY_URL -u WARMLINK_ADMIN_TOKEN -u WARMLINK_CONTROL_URL \
    PATH="$tools:$PATH" WARMLINK_STATE="$state/state" WARMLINK_CACHE="$PWD/.warmlink/cache" \
    WARMLINK_LISTEN=127.0.0.1:0 WARMLINK_ADMIN_LISTEN=127.0.0.1:0 \
    target/release/warmlink up >"$state/announced" 2>"$state/log" &
host=$!
end() {
    kill "$host" 2>/dev/null || true
    wait "$host" || true
    rm -rf "$state"
}
trap end EXIT
trap 'exit 130' INT TERM

url=
exec 3<"$state/announced"
while read -r what address <&3; do
    [ "$what" != public ] || { url=$address && break; }
done
if [ -z "$url" ]; then
    say "the host did not start:"
    cat "$state/log" >&2
    exit 1
fi

say "FUZZ_SEED=$seed FUZZ_SECONDS=$seconds, against $url"
status=0
# What is there to replay a failure by is kept with the rest of what is ours.
mkdir -p .warmlink/fuzz
hooks="$PWD/tests/fuzz/hooks.py"
config="$PWD/tests/fuzz/schemathesis.toml"
# A redirect is an answer: where it leads to is nobody's to ask.
(cd .warmlink/fuzz && SCHEMATHESIS_HOOKS="$hooks" \
    "$venv/bin/st" --config-file "$config" run "$url/openapi.json" \
    --checks all --mode all --max-time "$seconds" --seed "$seed" --max-redirects 0 \
    --continue-on-failure --generation-database none --request-timeout 20) || status=$?
if ! kill -0 "$host" 2>/dev/null; then
    say "the host ended:"
    tail -n 50 "$state/log" >&2
    exit 1
fi
if grep -n 'panicked\|ERROR' "$state/log" >&2; then
    say "the host's log, above, tells of a fault"
    exit 1
fi
if [ "$#" -gt 0 ]; then
    FUZZ_SEED="$seed" FUZZ_TIMES="${FUZZ_TIMES:-20}" "$@" || status=1
fi
exit "$status"
