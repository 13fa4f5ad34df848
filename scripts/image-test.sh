#!/bin/sh
# Builds the image of the host and the components that are built already, looks at all of it,
# and serves from it as a cluster would: not as root, from a root that cannot be written.
#
# Takes root (it mounts), buildah, PostgreSQL and Valkey (scripts/setup.sh). WARMLINK_BIN: the
# host, else that of the profile `dist`, else of `release`.
set -eu
cd "$(dirname "$0")/.."
tools="$PWD/.warmlink/tools"
say() { printf 'image   %s\n' "$*" >&2; }
die() {
    say "FAILED: $*"
    exit 1
}
for needed in buildah unshare python3 curl; do
    command -v "$needed" >/dev/null || die "missing: $needed"
done
[ "$(id -u)" = 0 ] || die "mounting takes root"
if [ -z "${WARMLINK_BIN:-}" ]; then
    WARMLINK_BIN=target/dist/warmlink
    [ -x "$WARMLINK_BIN" ] || WARMLINK_BIN=target/release/warmlink
fi
[ -x "$WARMLINK_BIN" ] || die "no host is built: make host components"
export WARMLINK_BIN
unset DATABASE_URL VALKEY_URL WARMLINK_CONTROL_URL WARMLINK_STATE WARMLINK_CACHE IMAGE SOURCE

work=$(mktemp -d)
chmod 755 "$work"
# A store of its own: what is there otherwise is nobody's business here.
export BUILDAH_FLAGS="--storage-driver vfs --root $work/store --runroot $work/run"
export BUILD_FLAGS="--isolation chroot --quiet"
# The flags are words, and split on purpose.
# shellcheck disable=SC2086
buildah_() { buildah $BUILDAH_FLAGS "$@"; }
services='' host=''
# shellcheck disable=SC2329
end() {
    [ -z "$host" ] || kill -9 "$host" 2>/dev/null || true
    [ -z "$services" ] || { kill "$services" 2>/dev/null && wait "$services"; } || true
    umount "$work/root" 2>/dev/null || true
    buildah_ rm --all >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT TERM

# --- it is built, twice the same -------------------------------------------------------

first=$(IMAGE=warmlink-test:first sh scripts/image.sh prebuilt)
second=$(IMAGE=warmlink-test:second BUILD_FLAGS="$BUILD_FLAGS --no-cache" sh scripts/image.sh prebuilt)
[ "$first" = "$second" ] || die "built twice, two images: $first, $second"
say "reproducible: $first"

# --- what it says of itself --------------------------------------------------------------

buildah_ inspect --type image warmlink-test:first >"$work/config.json"
python3 - "$work/config.json" "$(git rev-parse HEAD)" <<'EOF' || die "the image is not as it should be"
import json, sys, tomllib
said = json.load(open(sys.argv[1]))["OCIv1"]
config, labels = said["config"], said["config"]["Labels"]
version = tomllib.load(open("Cargo.toml", "rb"))["workspace"]["package"]["version"]
label = lambda name: labels[f"org.opencontainers.image.{name}"]
for what, found, wanted in [
    ("user", config["User"], "65532:65532"),
    ("entry point", config["Entrypoint"], ["/warmlink"]),
    ("command", config["Cmd"], ["up"]),
    ("folder", config["WorkingDir"], "/app"),
    ("signal", config["StopSignal"], "SIGTERM"),
    ("ports", sorted(config["ExposedPorts"]), ["3000/tcp", "3001/tcp"]),
    ("layers", len(said["rootfs"]["diff_ids"]), 2),
    ("version", label("version"), version),
    ("revision", label("revision").removesuffix("-dirty"), sys.argv[2]),
    ("architecture", said["architecture"], "amd64"),
]:
    if found != wanted:
        sys.exit(f"{what}: {found!r}, not {wanted!r}")
if not label("source") or "@" in label("source"):
    sys.exit(f"source: {label('source')!r}")
EOF

# --- what it holds ----------------------------------------------------------------------

container=$(buildah_ from --name warmlink-test warmlink-test:first)
mounted=$(buildah_ mount "$container")
size=$(du -sm "$mounted" | cut -f1)
for shell in bin/sh bin/bash bin/busybox usr/bin/env usr/bin/dpkg; do
    [ ! -e "$mounted/$shell" ] || die "it has a $shell"
done
writable=$(find "$mounted" ! -type l -perm /022)
[ -z "$writable" ] || die "others may write $writable"
special=$(find "$mounted" -type f -perm /7000)
[ -z "$special" ] || die "set-user-id: $special"
! grep -q '^metrics' "$mounted/app/spin.toml" || die "its metrics are public"
# A password, a key or a state folder that strayed in.
strays=$(cd "$mounted" && find . -type f | grep -Ev '^\./(warmlink|etc/(passwd|group|hosts|resolv\.conf|nsswitch\.conf|ssl/certs/ca-certificates\.crt)|lib(64)?/.*\.so\.[0-9]+|app/(spin\.toml|LICENSE|sbom\.cdx\.json|components/schema/V[0-9]+__[a-z_]+\.sql|target/wasm32-wasip2/guest/[a-z]+\.wasm))$') || true
[ -z "$strays" ] || die "it holds what nobody meant it to: $strays"

python3 - "$mounted/app/sbom.cdx.json" <<'EOF' || die "the bill of materials does not add up"
import json, sys, tomllib
bill = json.load(open(sys.argv[1]))
listed = {it["purl"] for it in bill["components"]}
locked = {f"pkg:cargo/{it['name']}@{it['version']}" for it in tomllib.load(open("Cargo.lock", "rb"))["package"]}
cargo = {it for it in listed if it.startswith("pkg:cargo/")}
if cargo - locked:
    sys.exit(f"not in Cargo.lock: {sorted(cargo - locked)[:3]}")
names = {it["name"] for it in bill["components"]}
missing = {"warmlink", "redirect", "wasmtime", "hyper", "rustls", "spin-sdk", "libc6"} - names
if missing:
    sys.exit(f"not listed: {missing}")
tests = names & {"warmlink-tests", "chaos", "rcgen", "proptest", "bench"}
if tests:
    sys.exit(f"in no image, and listed: {tests}")
refs = listed | {bill["metadata"]["component"]["bom-ref"]}
for edge in bill["dependencies"]:
    if not {edge["ref"], *edge["dependsOn"]} <= refs:
        sys.exit(f"{edge['ref']} names what is not listed")
print(f"image   {len(listed)} parts in the bill of materials", file=sys.stderr)
EOF
# Its own schema's word, where PyPI has it for us.
if [ -x "$tools/k8s/bin/python" ] || [ -n "${CI:-}" ]; then
    venv="$tools/sbom"
    if [ ! -e "$venv/ready" ]; then
        rm -rf "$venv"
        python3 -m venv "$venv" >&2
        "$venv/bin/pip" install --quiet --disable-pip-version-check \
            'cyclonedx-python-lib[json-validation]>=11,<12' >&2
        touch "$venv/ready"
    fi
    "$venv/bin/python" - "$mounted/app/sbom.cdx.json" <<'EOF' || die "no CycloneDX 1.5"
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read())
sys.exit(str(error)[:500] if error else 0)
EOF
else
    say "the bill of materials was not held against its schema (run \`make k8s\` once)"
fi

# --- it runs, as in a cluster ---------------------------------------------------------------

mkdir "$work/root"
mount --bind "$mounted" "$work/root"
mkdir -p "$mounted/proc" "$mounted/dev" "$mounted/var/lib/warmlink"
# The image's root, which cannot be written; a state folder as `fsGroup` makes it; nobody's
# user, and no way to become another.
cat >"$work/inside" <<EOF
#!/bin/sh
set -eu
mount -o remount,bind,ro "$work/root"
mount -t proc proc "$work/root/proc"
mount --rbind /dev "$work/root/dev"
mount -t tmpfs -o mode=2775,uid=0,gid=65532 state "$work/root/var/lib/warmlink"
exec setpriv --no-new-privs --clear-groups \
    unshare --root="$work/root" --wd=/app --setgid=65532 --setuid=65532 "\$@"
EOF
chmod 755 "$work/inside"
database=postgres://nobody@127.0.0.1:1/none valkey='' control=''
# The same process all the way, so that its id is the host's.
inside() {
    cd /
    exec unshare --mount --propagation private env -i PATH="$PATH" WARMLINK_STATE=/var/lib/warmlink \
        WARMLINK_LISTEN=127.0.0.1:0 WARMLINK_ADMIN_LISTEN=127.0.0.1:0 WARMLINK_LOG_FORMAT=json \
        WARMLINK_NODE=image-test WARMLINK_DRAIN_DELAY=1s WARMLINK_ADMIN_TOKEN=0123456789abcdef \
        DATABASE_URL="$database" VALKEY_URL="$valkey" WARMLINK_CONTROL_URL="$control" \
        "$work/inside" "$@"
}
(inside /warmlink --help) >"$work/help" || die "--help ended with $?"
grep -q 'Usage: warmlink' "$work/help" || die "--help does not say how it is used"
[ "$(inside /warmlink --version)" = "warmlink $(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)" ] ||
    die "its version is not the workspace's"
(inside /warmlink check) >"$work/checked" 2>&1 || die "check: $(cat "$work/checked")"
components=$(grep -c '^\[component\.[a-z]*\]$' spin.toml)
grep -q "^application  warmlink: $components components" "$work/checked" || die "$(cat "$work/checked")"

# begin LOG: starts a host and waits for its admin port; sets `host` and `admin`.
begin() {
    inside /warmlink up >"$work/out" 2>"$1" &
    host=$!
    await "the admin port" grep -q '^admin' "$work/out"
    admin=$(sed -n 's/^admin *//p' "$work/out")
}
# await WHAT COMMAND...: half a minute at most, and no longer than the host lives.
await() {
    what=$1
    shift
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$host" 2>/dev/null; then
            cat "$work"/log* >&2
            die "waited in vain for $what"
        fi
        sleep 0.1
    done
}
status() { curl -s -o "$work/body" -w '%{http_code}' --max-time 10 "$@"; }
expect() {
    wanted=$1
    shift
    got=$(status "$@") || got="no answer"
    [ "$got" = "$wanted" ] || die "$*: $got, not $wanted: $(cat "$work/body")"
}
terminate() {
    kill -TERM "$host"
    code=0
    wait "$host" || code=$?
    host=''
    [ "$code" = 0 ] || die "told to end, it ended with $code: $(cat "$work"/log*)"
}

# Without a database: alive, waiting, and gone when it is told.
begin "$work/log-alone"
expect 200 "$admin/livez"
expect 503 "$admin/readyz"
grep -q '"waiting_for":\[.*postgres' "$work/body" || die "it waits for $(cat "$work/body")"
terminate

# With one: links, clicks, and the files that it may write.
PATH="$tools:$PATH" "$WARMLINK_BIN" services --state "$work/services" \
    >"$work/ready" 2>"$work/log-services" </dev/null &
services=$!
host=$services
await "PostgreSQL and Valkey" grep -q valkey_pid "$work/ready"
part() { python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$work/ready" "$1"; }
database=$(part database_url) valkey=$(part valkey_url) control=$(part control_url)
begin "$work/log"
await "the public port" grep -q '^public' "$work/out"
public=$(sed -n 's/^public *//p' "$work/out")
expect 200 "$admin/readyz"
sh scripts/smoke.sh "$public" || die "it does not do what it is for"
expect 200 "$admin/metrics"
# What it would be under is a code that nobody has.
expect 404 "$public/metrics"
grep '^Uid:\|^CapEff:\|^NoNewPrivs:' "/proc/$host/status" | tr -s '\t\n' ' ' |
    grep -q 'Uid: 65532 65532 65532 65532 CapEff: 0000000000000000 NoNewPrivs: 1' ||
    die "it has rights: $(grep '^Uid\|^Cap' "/proc/$host/status")"
mode=$(stat -c '%u %a' "/proc/$host/root/var/lib/warmlink/cache")
case "$mode" in
"65532 700" | "65532 2700") ;;
*) die "compiled code is in a folder of $mode" ;;
esac
# Not even by root, where the host stands.
! touch "/proc/$host/root/app/x" 2>/dev/null || die "its root can be written"
terminate
say "$first: $size MB, 2 layers; served and drained as 65532 from a root that cannot be written"
