#!/bin/sh
# Checks the dependencies against deny.toml: licenses, bans and sources always,
# advisories where their database can be had.
set -eu
cd "$(dirname "$0")/.."
if ! cargo deny --version >/dev/null 2>&1; then
    echo "audit   installing cargo-deny" >&2
    cargo install --locked cargo-deny >&2
fi
cargo deny --workspace check licenses bans sources
if cargo deny fetch db >/dev/null 2>&1; then
    cargo deny --workspace check advisories
else
    echo "audit   the advisory database cannot be reached from here: advisories were not checked" >&2
fi
