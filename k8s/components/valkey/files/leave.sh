#!/bin/sh
# Before a server ends: if it is the primary, another takes its place while it still
# answers, instead of five seconds after it has stopped.
set -eu
export REDISCLI_AUTH="$VALKEY_PASSWORD"
is_primary() { timeout 2 valkey-cli -h "$1" --raw info replication | grep -q '^role:master'; }

is_primary "${BIND:-127.0.0.1}" || exit 0
for sentinel in $SENTINELS; do
    if REDISCLI_AUTH="$SENTINEL_PASSWORD" timeout 2 \
        valkey-cli -h "$sentinel" -p 26379 --raw sentinel failover warmlink | grep -q '^OK'; then
        break
    fi
done

# The others are told at once who it is: sentinels do so when they next look, up to ten
# seconds later, and a primary without a replica refuses writes until then.
tries=0
while [ "$tries" -lt 50 ]; do
    tries=$((tries + 1))
    for new in $SERVERS; do
        if [ "$new" != "$ME" ] && is_primary "$new"; then
            for server in $SERVERS; do
                [ "$server" = "$new" ] || timeout 2 valkey-cli -h "$server" replicaof "$new" 6379 || true
            done
            # Until one that stays has all of it.
            for _ in 1 2 3 4 5; do
                following=$(timeout 2 valkey-cli -h "$new" --raw info replication |
                    grep -c '^slave[0-9]*:.*state=online') || true
                [ "${following:-0}" -lt 2 ] || exit 0
                sleep 1
            done
            exit 0
        fi
    done
    sleep 0.2
done
