#!/bin/sh
# Starts a Valkey in the place that the sentinels give it.
#
# ME: this server's name, as the others know it. SERVERS, SENTINELS: the names of all.
# VALKEY_PASSWORD: of the servers. SENTINEL_PASSWORD: of the sentinels.
# BIND, DATA, RUN: where it listens and writes.
set -eu
DATA="${DATA:-/data}"
RUN="${RUN:-/run/valkey}"

export REDISCLI_AUTH="$VALKEY_PASSWORD"
ask() { timeout 2 valkey-cli --raw "$@" 2>/dev/null; }
ask_sentinel() {
    host=$1
    shift
    REDISCLI_AUTH="$SENTINEL_PASSWORD" timeout 2 \
        valkey-cli --raw -h "$host" -p 26379 sentinel "$@" 2>/dev/null
}

# What two of three sentinels agree on. They keep it on disk, so it outlasts a power cut; a
# server that took its own word for it could come back as a second primary with old data.
primary() {
    for sentinel in $SENTINELS; do
        ask_sentinel "$sentinel" get-master-addr-by-name warmlink | head -n 1
    done | sort | uniq -c | awk '$1 >= 2 { print $2; exit }'
}

# Whether another is taking this one's place, though sentinels still name this one: they do
# until it is done. Where no other server answers there is none that could.
replaced() {
    alive=no
    for server in $SERVERS; do
        [ "$server" != "$ME" ] || continue
        case "$(ask -h "$server" info replication)" in
        *role:master*) return 0 ;;
        *role:*) alive=yes ;;
        esac
    done
    [ "$alive" = yes ] || return 1
    for sentinel in $SENTINELS; do
        case "$(ask_sentinel "$sentinel" master warmlink | grep -A 1 '^flags$')" in
        *o_down* | *failover_in_progress*) return 0 ;;
        esac
    done
    return 1
}

while :; do
    name=$(primary)
    if [ -z "$name" ]; then
        echo "waiting for two sentinels that agree" >&2
    elif [ "$name" = "$ME" ] && replaced; then
        echo "waiting until another has taken this one's place" >&2
    else
        break
    fi
    sleep 1
done

# Passwords are in a file in memory: what is on the command line, everybody can read.
umask 077
{
    cat <<CONF
bind ${BIND:-* -::*}
port 6379
protected-mode no
dir $DATA
# The stream of clicks. A power cut takes what was answered within the last second.
appendonly yes
appendfsync everysec
save ""
# Links expire and may go; what has no end of its own, the stream, may not.
maxmemory ${MAXMEMORY:-256mb}
maxmemory-policy volatile-lru
# A primary that is cut off from both others refuses what would be lost when another takes
# its place: clicks go to the database then.
min-replicas-to-write 1
min-replicas-max-lag 5
repl-diskless-sync-delay 0
replica-announce-ip $ME
requirepass $VALKEY_PASSWORD
masterauth $VALKEY_PASSWORD
CONF
    [ "$name" = "$ME" ] || echo "replicaof $name 6379"
} >"$RUN/valkey.conf"
echo "primary is $name, this is $ME" >&2
exec valkey-server "$RUN/valkey.conf"
