#!/bin/sh
# Installs `wrk`, the client that `make bench` measures with, where it is missing.
# Says what it installs; when it is there, it only looks.
set -eu

say() { printf 'wrk     %s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }

# Runs a command with the rights to install, if we can have them.
privileged() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif has sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        sudo "$@"
    else
        return 1
    fi
}

install() {
    if has apt-get; then
        privileged apt-get update -qq >&2 &&
            privileged env DEBIAN_FRONTEND=noninteractive \
                apt-get install -y --no-install-recommends wrk >&2
    elif has dnf; then
        privileged dnf install -y wrk >&2
    elif has apk; then
        privileged apk add wrk >&2
    elif has pacman; then
        privileged pacman -S --needed --noconfirm wrk >&2
    elif has brew; then
        brew install wrk >&2
    else
        return 1
    fi
}

has wrk && exit 0
say "installing wrk"
install && has wrk && exit 0
say "missing: wrk; get it with your system's package manager, or from https://github.com/wg/wrk"
exit 1
