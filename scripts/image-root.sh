#!/bin/sh
# Lays out what the image holds, in the folder that is given: `host/` is its first layer,
# `app/` its second. Of a host and components that are built already.
#
# WARMLINK_BIN: the host. SOURCE_DATE_EPOCH: the time that files are said to be of.
set -eu
cd "$(dirname "$0")/.."
out="${1:?say into which folder}"
bin="${WARMLINK_BIN:-target/dist/warmlink}"
epoch="${SOURCE_DATE_EPOCH:-0}"
guests=target/wasm32-wasip2/guest
umask 022

rm -rf "$out"
mkdir -p "$out/host/etc/ssl/certs" "$out/app/$guests" "$out/app/components/schema"

# --- the host ------------------------------------------------------------------

install -m 755 "$bin" "$out/host/warmlink"
# The C library and what else it was linked with, where the loader looks for them. Of glibc
# since 2.34 that is all: it resolves names without any module of its own.
ldd "$bin" | awk '$2 == "=>" { print $3 } $1 ~ /^\// { print $1 }' | while read -r library; do
    install -D -m 755 "$(readlink -f "$library")" "$out/host$library"
done
# The authorities that a certificate of a database or of somebody's API may be of.
install -m 644 /etc/ssl/certs/ca-certificates.crt "$out/host/etc/ssl/certs/ca-certificates.crt"
echo 'hosts: files dns' >"$out/host/etc/nsswitch.conf"
echo 'warmlink:x:65532:65532::/app:/nowhere' >"$out/host/etc/passwd"
echo 'warmlink:x:65532:' >"$out/host/etc/group"

# --- the application -----------------------------------------------------------

# Without the public path of the metrics: Prometheus has the admin port.
sed '/^metrics = /d' spin.toml >"$out/app/spin.toml"
sed -n "s,^source = \"\($guests/.*\.wasm\)\"\$,\1,p" spin.toml | while read -r component; do
    install -m 644 "$component" "$out/app/$component"
done
cp components/schema/*.sql "$out/app/components/schema/"
cp LICENSE "$out/app/LICENSE"
python3 scripts/sbom.py "$bin" >"$out/app/sbom.cdx.json"

# Whoever builds it from the same bytes gets the same image.
find "$out" -type d -exec chmod 755 {} +
find "$out" -type f ! -perm -u+x -exec chmod 644 {} +
find "$out" -exec touch -h -d "@$epoch" {} +
