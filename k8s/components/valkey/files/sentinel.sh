#!/bin/sh
# Starts a sentinel, which keeps what it knows in its own configuration.
#
# ME: this sentinel's name. FIRST: the primary of a cluster that never ran.
# VALKEY_PASSWORD: of the servers, and of hosts, who may only ask who is primary.
# SENTINEL_PASSWORD: of the sentinels. BIND, DATA: where it listens and writes.
set -eu
DATA="${DATA:-/data}"
conf="$DATA/sentinel.conf"
umask 077

# Where the sentinels voted for two of themselves, they vote again after twice the timeout.
[ -s "$conf" ] || {
    cat >"$conf.new" <<CONF
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel monitor warmlink $FIRST 6379 2
sentinel down-after-milliseconds warmlink 5000
sentinel parallel-syncs warmlink 1
CONF
    mv "$conf.new" "$conf"
}
# What may differ from one start to the next: passwords and addresses.
grep -Ev '^(bind|port|dir|protected-mode|requirepass|user|sentinel (auth-pass|announce-ip|failover-timeout)) ' \
    "$conf" >"$conf.new"
cat >>"$conf.new" <<CONF
bind ${BIND:-* -::*}
port 26379
dir $DATA
protected-mode no
requirepass $SENTINEL_PASSWORD
user warmlink on >$VALKEY_PASSWORD -@all +auth +hello +ping +client|setinfo +sentinel|get-master-addr-by-name
sentinel announce-ip $ME
sentinel auth-pass warmlink $VALKEY_PASSWORD
sentinel failover-timeout warmlink 10000
CONF
mv "$conf.new" "$conf"
exec valkey-server "$conf" --sentinel
