#!/bin/sh
# Asks a service whether it does what it is for: a link is made, followed, and unmade.
#
#   smoke.sh URL
#
# HEADER: one more header, such as `Host: links.example.com`.
set -eu
url="${1:?say which service}"
body=$(mktemp)
trap 'rm -f "$body"' EXIT

# ask WANTED CURL-ARGUMENTS...
ask() {
    wanted=$1
    shift
    got=$(curl -sS -o "$body" -w '%{http_code} %{redirect_url}' --max-time 10 \
        ${HEADER:+-H "$HEADER"} "$@") || got="no answer"
    case "$got" in
    "$wanted" | "$wanted ") ;;
    *)
        echo "smoke   $*: $got, not $wanted: $(head -c 300 "$body")" >&2
        exit 1
        ;;
    esac
}

ask 200 "$url/health"
# Not an address that anybody else would shorten, so that what is left behind is known.
target="https://example.com/smoke/$(date +%s)-$$"
ask 201 -H 'content-type: application/json' -d "{\"original_url\":\"$target\"}" "$url/urls"
id=$(sed -n 's/.*"id":\([0-9]*\).*/\1/p' "$body")
code=$(sed -n 's/.*"short_code":"\([^"]*\)".*/\1/p' "$body")
# HEAD is no visit: it is recorded nowhere.
ask "302 $target" -I "$url/$code"
ask "302 $target" "$url/$code"
ask 200 "$url/urls/$id"
ask 204 -X DELETE "$url/urls/$id"
echo "smoke   $url makes links, follows them and lets them go" >&2
