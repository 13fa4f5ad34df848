#!/bin/sh
# The primary, or a replica that has all of it. While a server is not, no other one is
# taken down by a rollout or a drain.
set -eu
REDISCLI_AUTH="$VALKEY_PASSWORD" timeout 2 valkey-cli -h "${BIND:-127.0.0.1}" --raw info replication |
    grep -Eq '^(role:master|master_link_status:up)'
