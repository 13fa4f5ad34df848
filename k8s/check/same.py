"""Whether both components for monitoring alarm by the same rules and show the same dashboards.

    same.py FILE FILE      one rendered with `monitoring`, one with `monitoring-operator`
"""

import sys

import yaml

import validate
from model import Manifests


def stem(name):
    """A ConfigMap's name without the digest of what is in it."""
    return name if name in ("warmlink-rules", "warmlink-dashboards") else name.rpartition("-")[0]


def data(objects, name):
    maps = Manifests(objects).of("ConfigMap")
    return next((it["data"] for it in maps if stem(it["metadata"]["name"]) == name), {})


def faults(own, operators):
    """What one has and the other has not."""
    ours = {name: yaml.safe_load(text) for name, text in data(own, "warmlink-rules").items()}
    theirs = {
        it["metadata"]["name"].removeprefix("warmlink-") + ".yaml": it["spec"]
        for it in Manifests(operators).of("PrometheusRule")
    }
    if not ours:
        yield "same", "rules", "there are none"
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            yield "same", name, "is not the same as a PrometheusRule: run k8s/monitoring/generate.py"
    boards = [data(objects, "warmlink-dashboards") for objects in (own, operators)]
    for name in sorted(boards[0].keys() | boards[1].keys()):
        if boards[0].get(name) != boards[1].get(name):
            yield "same", name, "is in one of the kustomizations for dashboards and not in the other"


def main(own, operators):
    found = list(faults(validate.load(own), validate.load(operators)))
    for _, name, what in found:
        print(f"same: {name}: {what}", file=sys.stderr)
    if not found:
        print("k8s     both components for monitoring carry the same", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
