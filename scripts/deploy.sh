#!/bin/sh
# Rolls an overlay out: shows what will differ, applies it, waits, asks the service, and goes
# back to what ran before if any of that fails.
#
#   deploy.sh OVERLAY         (homelab, prod)
#
# IMAGE: the image to run, by digest or tag (else the overlay's). YES=1: does not ask.
# SMOKE_URL: the service as its clients reach it (else through `kubectl port-forward`).
# TIMEOUT: for each workload (10m).
#
# Undone is what runs: workloads go back to their last revision, which still has its
# configuration, because every change of that has another name. The database's description
# is not undone, and needs not be: migrations only add.
set -eu
cd "$(dirname "$0")/.."
overlay="${1:?say which overlay: homelab or prod}"
[ -d "k8s/overlays/$overlay" ] || {
    echo "deploy  there is no overlay $overlay" >&2
    exit 64
}
timeout="${TIMEOUT:-10m}"
work=$(mktemp -d)
forward=''
# shellcheck disable=SC2329
end() {
    [ -z "$forward" ] || kill "$forward" 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT TERM
say() { printf 'deploy  %s\n' "$*" >&2; }

# --- what it will be ----------------------------------------------------------------

up=$(realpath --relative-to="$(realpath "$work")" .)
cat >"$work/kustomization.yaml" <<EOF
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: ["$up/k8s/overlays/$overlay"]
EOF
if [ -n "${IMAGE:-}" ]; then
    name=${IMAGE%@*}
    case "$IMAGE" in
    *@sha256:*) part="digest: ${IMAGE#*@}" ;;
    *:*)
        part="newTag: \"${IMAGE##*:}\""
        name=${IMAGE%:*}
        ;;
    *)
        say "$IMAGE has neither digest nor tag"
        exit 64
        ;;
    esac
    printf 'images:\n- name: warmlink\n  newName: %s\n  %s\n' "$name" "$part" >>"$work/kustomization.yaml"
fi
kubectl kustomize "$work" >"$work/all.yaml"

# The cluster's own word, and its operators', before anything is changed. In a namespace that
# is not there yet nothing can be tried.
if kubectl get namespace warmlink >/dev/null 2>&1; then
    kubectl apply --server-side --force-conflicts --field-manager=warmlink --dry-run=server \
        -f "$work/all.yaml" >/dev/null
    code=0
    kubectl diff --server-side --force-conflicts --field-manager=warmlink -f "$work/all.yaml" ||
        code=$?
    case $code in
    0) say "nothing differs" ;;
    1) ;;
    *) exit "$code" ;;
    esac
else
    say "the first time: all of it is new"
fi
if [ -z "${YES:-}" ]; then
    printf 'deploy  roll this out to %s? [y/N] ' "$(kubectl config current-context)" >&2
    read -r answer
    [ "$answer" = y ] || exit 1
fi

# --- it becomes so ---------------------------------------------------------------------

# Each workload and what its pods are made of. Only a change of that makes a revision: after
# any other, going back one would be going back too far.
templates() {
    kubectl get -f "$work/all.yaml" --ignore-not-found \
        -o 'jsonpath={range .items[*]}{.kind}/{.metadata.name} {.spec.template}{"\n"}{end}' |
        grep -E '^(DaemonSet|StatefulSet|Deployment)/' || true
}
templates >"$work/before"

undo() {
    say "$1: going back"
    templates >"$work/after"
    undone=''
    while read -r workload template; do
        # One that was not there before has nothing to go back to.
        before=$(sed -n "s,^$workload ,,p" "$work/before")
        if [ -n "$before" ] && [ "$before" != "$template" ]; then
            kubectl -n warmlink rollout undo "$workload"
            undone="$undone $workload"
        fi
    done <"$work/after"
    for workload in $undone; do
        kubectl -n warmlink rollout status "$workload" --timeout "$timeout" ||
            say "$workload is not back: see k8s/runbook.md"
    done
    say "undone:${undone:- nothing, as nothing that ran had changed}"
    exit 1
}

kubectl apply --server-side --force-conflicts --field-manager=warmlink -f "$work/all.yaml" ||
    undo "not all could be applied"

# The database first: hosts wait for it, and would be waited for.
if grep -q '^kind: Cluster$' "$work/all.yaml"; then
    kubectl -n warmlink wait --for=condition=Ready cluster/warmlink-postgres --timeout "$timeout" ||
        undo "PostgreSQL did not become ready"
fi
templates >"$work/wanted"
while read -r workload _; do
    kubectl -n warmlink rollout status "$workload" --timeout "$timeout" ||
        undo "$workload did not become ready"
done <"$work/wanted"

# --- and it works --------------------------------------------------------------------------

kubectl -n warmlink exec daemonset/warmlink -- /warmlink status ||
    undo "the nodes do not tell how they are"
url="${SMOKE_URL:-}"
if [ -z "$url" ]; then
    kubectl -n warmlink port-forward service/warmlink :80 >"$work/forward" &
    forward=$!
    tries=0
    until url=$(sed -n 's,^Forwarding from \(127[^ ]*\) .*,http://\1,p' "$work/forward") && [ -n "$url" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || undo "no port could be forwarded"
        sleep 0.1
    done
fi
sh scripts/smoke.sh "$url" || undo "the service does not do what it is for"
say "$overlay runs ${IMAGE:-what its overlay says}"
