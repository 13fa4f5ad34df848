#!/usr/bin/env python3
"""Makes the dashboards, the SLO's windows, and the rules as the Prometheus operator has them.

    generate.py            writes dashboards/*.json, rules/windows.yaml and
                           ../components/monitoring-operator/rules.yaml
    generate.py --check    fails where a file is not what this makes

The descriptions are in board_*.py (with parts.py) and slo.py; the operator's rules are those
of rules/*.yaml. The standard library alone.
"""

import json
import pathlib
import sys

import slo
from boards import DASHBOARDS

HERE = pathlib.Path(__file__).resolve().parent
OPERATOR = HERE.parent / "components" / "monitoring-operator" / "rules.yaml"

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
# Where Grafana looks a variable's values up.
VALUES = {
    "instance": 'label_values(up{job="warmlink"}, instance)',
    "component": 'label_values(warmlink_instances{job="warmlink"}, component)',
}


def variable(name):
    return {
        "name": name,
        "label": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": VALUES[name], "refId": name},
        "definition": VALUES[name],
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
        "sort": 1,
    }


def grafana_panel(number, described, x, y):
    made = {
        "id": number,
        "type": described["kind"],
        "title": described["title"],
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": described["wide"], "h": 4 if described["kind"] == "stat" else 8},
        "fieldConfig": {"defaults": {"unit": described["unit"], "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + at),
                "datasource": SOURCE,
                "expr": expression,
                "legendFormat": legend or "__auto",
            }
            for at, (expression, legend) in enumerate(described["queries"])
        ],
    }
    if described["kind"] == "timeseries":
        made["options"] = {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    if described["note"]:
        made["description"] = described["note"]
    return made


def grafana(name, title, variables, rows):
    """A dashboard as Grafana reads it."""
    panels, number, y = [], 0, 0
    for row, described in rows.items():
        number += 1
        panels.append(
            {
                "id": number,
                "type": "row",
                "title": row,
                "collapsed": False,
                "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
                "panels": [],
            }
        )
        x, y, high = 0, y + 1, 0
        for one in described:
            if x + one["wide"] > 24:
                x, y, high = 0, y + high, 0
            number += 1
            made = grafana_panel(number, one, x, y)
            panels.append(made)
            x += one["wide"]
            high = max(high, made["gridPos"]["h"])
        y += high
    source = {
        "name": "datasource",
        "label": "data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "refresh": 1,
    }
    swaps = {
        "name": "Swaps",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "blue",
        "expr": 'changes(warmlink_generation{job="warmlink"}[1m]) > 0',
        "titleFormat": "swap",
        "textFormat": "{{instance}}",
        "step": "30s",
    }
    return {
        "uid": f"warmlink-{name}",
        "title": title,
        "tags": ["warmlink"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [source, *map(variable, variables)]},
        "annotations": {"list": [swaps]},
        "links": [
            {
                "type": "dashboards",
                "title": "Warmlink",
                "tags": ["warmlink"],
                "asDropdown": False,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "panels": panels,
    }


# `release` as in podmonitor.yaml beside it.
RULE = """\
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: warmlink-{name}
  namespace: warmlink
  labels:
    release: kube-prometheus-stack
spec:
"""


def operator(rules):
    """Each file of rules as an object of its own, by moving its text to the right: what it
    says stays what it says."""
    made = "# Made by k8s/monitoring/generate.py of the rules there.\n"
    for name, text in sorted(rules.items()):
        made += RULE.format(name=name)
        made += "".join("  " + line if line.strip() else line for line in text.splitlines(True))
    return made


def files():
    """Every file that is made, and its text."""
    made = {
        HERE / "dashboards" / f"{name}.json": json.dumps(grafana(name, *described), indent=2) + "\n"
        for name, described in DASHBOARDS.items()
    }
    windows = HERE / "rules" / "windows.yaml"
    made[windows] = slo.text()
    rules = {path.stem: path.read_text() for path in HERE.glob("rules/*.yaml")}
    made[OPERATOR] = operator(rules | {windows.stem: slo.text()})
    return made


def main(arguments):
    if arguments not in ([], ["--check"]):
        sys.exit(__doc__)
    stale = [
        (path, text)
        for path, text in files().items()
        if not path.exists() or path.read_text() != text
    ]
    if arguments:
        for path, _ in stale:
            print(f"{path}: not what generate.py makes; run it", file=sys.stderr)
        sys.exit(1 if stale else 0)
    for path, text in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        print(f"wrote {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
