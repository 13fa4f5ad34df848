#!/bin/sh
# Before a server ends: if it is the primary, another takes its place while it still
# answers, instead of five seconds after it has stopped.
set -eu
export REDISCLI_AUTH="$VALKEY_PASSWORD"
host="${BIND:-127.0.0.1}"
is_primary() { timeout 2 valkey-cli -h "$host" --raw info replication | grep -q '^role:master'; }

is_primary || exit 0
for sentinel in $SENTINELS; do
    if timeout 2 valkey-cli -h "$sentinel" -p 26379 --raw sentinel failover warmlink |
        grep -q '^OK'; then
        break
    fi
done
tries=0
while is_primary && [ "$tries" -lt 15 ]; do
    tries=$((tries + 1))
    sleep 1
done
