"""Whether rules, alerts, dashboards and the runbook fit each other and the host.

Started by scripts/monitoring-check.sh.
"""

import glob
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import names
from traffic import stir, vary
from watchers import Prometheus, program, promtool, told
from world import ROOT, Failed, World, until

MONITORING = ROOT / "k8s/monitoring"
RUNBOOK = ROOT / "k8s/runbook.md"
# What every page of the runbook has to say.
SECTIONS = ("What it means", "How to see it", "What to do", "How to know it is over")
# There for whatever is scraped.
PROMETHEUS_OWN = {"up", "scrape_duration_seconds"}
SEVERITIES = {"critical", "warning", "none"}


def say(text):
    print(f"monitoring  {text}", flush=True)


def files():
    """What can be told from the files alone."""
    made = subprocess.run(
        [sys.executable, MONITORING / "generate.py", "--check"], capture_output=True, text=True
    )
    if made.returncode:
        yield made.stderr.strip()
    fine, said = promtool("check", "rules", *sorted((MONITORING / "rules").glob("*.yaml")))
    if not fine:
        yield said
    fine, said = promtool("test", "rules", *sorted((MONITORING / "tests").glob("*.yaml")))
    if not fine:
        yield said
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder) / "alertmanager.yaml"
        config.write_text(told("http://127.0.0.1:1/", "http://127.0.0.1:1/"))
        done = subprocess.run(
            [program("amtool"), "check-config", config], capture_output=True, text=True
        )
        if done.returncode:
            yield f"alertmanager.yaml: {done.stdout}{done.stderr}"


def queries():
    """Each query of a dashboard: where it is, itself, its legend."""
    for path in sorted((MONITORING / "dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                where = f"{path.name}: {panel['title']}"
                yield where, target["expr"], target["legendFormat"]
        for annotation in board["annotations"]["list"]:
            yield f"{path.name}: {annotation['name']}", annotation["expr"], annotation["textFormat"]


def plain(query):
    """A query with values in place of Grafana's variables."""
    return re.sub(r"\$(instance|component)", ".*", query.replace("$__rate_interval", "30s"))


def parses(expressions):
    """What promtool says of expressions, as throw-away rules."""
    rules = [
        {"record": f"throw:away:{number}", "expr": expression}
        for number, expression in enumerate(expressions)
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump({"groups": [{"name": "throw-away", "rules": rules}]}, file)
        file.flush()
        fine, said = promtool("check", "rules", file.name)
    return [] if fine else [said]


def runbook(alerts, text):
    """That each alert has its page, and each page its alert."""
    pages = dict(re.findall(r"^## (Warmlink\w+)\n(.*?)(?=^## |\Z)", text, re.M | re.S))
    for name, alert in alerts.items():
        expected = f"k8s/runbook.md#{name.lower()}"
        if alert["annotations"].get("runbook_url") != expected:
            yield f"{name}: its runbook_url is not {expected}"
        if name not in pages:
            yield f"{name}: the runbook has no page of it"
    for name, page in pages.items():
        if name not in alerts:
            yield f"runbook: {name} is no alert"
        for section in SECTIONS:
            if f"**{section}.**" not in page:
                yield f"runbook: {name} does not say: {section}"


def cited(known, text):
    """That the runbook names what there is: blocks without a language are queries, a line
    each, and what looks like a metric is one."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S)
    for line in (line for word, block in blocks if not word for line in block.splitlines()):
        for fault in known.faults(line):
            yield f"runbook: {line}: {fault}"
        yield from parses([line])
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    for name in sorted(set(re.findall(r"(?<![\w/])(?:\w+:)?warmlink_\w+(?::\w+)?", prose))):
        if name not in known.metrics and f"{name}_bucket" not in known.metrics:
            yield f"runbook: nobody exports {name}"


def statements(text, url):
    """That its SQL is answered by a database with the application's schema."""
    places = [shutil.which("psql"), *sorted(glob.glob("/usr/lib/postgresql/*/bin/psql"))]
    psql = next(filter(None, places), None)
    if not psql:
        raise Failed("missing: psql, of PostgreSQL's client")
    for block in re.findall(r"^```sql\n(.*?)^```", text, re.M | re.S):
        asked = f"BEGIN READ ONLY; {block} ROLLBACK;"
        done = subprocess.run(
            [psql, url, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", asked],
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            yield f"runbook: {block}: {done.stderr.strip()}"


def grown(host):
    """That nothing that clients choose is in a label: no request makes a series that another
    of its kind has not made."""
    vary(host, 1)
    before = series(host)
    vary(host)
    for one in sorted(series(host) - before):
        yield f"a client's choice has made a series: {one}"


def series(host):
    """Names and labels of all samples."""
    lines = host.get("/metrics")[2].splitlines()
    return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}


def complete(alerts):
    """That each alert says what it has to."""
    for name, alert in alerts.items():
        if alert["labels"].get("severity") not in SEVERITIES:
            yield f"{name}: its severity is none of {sorted(SEVERITIES)}"
        for annotation in ("summary", "description", "runbook_url"):
            if not alert["annotations"].get(annotation):
                yield f"{name}: it has no {annotation}"


def tested(alerts, texts):
    """That promtool was told of each alert when it fires, when it is over, and a time when
    all is well. A case is `- eval_time`, `alertname`, and `exp_alerts`."""
    case = re.compile(
        r"- eval_time: \S+\n\s+alertname: (\w+)\n(\s+exp_alerts:\n\s+- exp_labels)?", re.M
    )
    for name in alerts:
        fires = clears = healthy = False
        for path, text in texts.items():
            fired_before = False
            for found, fired in case.findall(text):
                if found != name:
                    continue
                healthy |= path == "healthy.yaml" and not fired
                clears |= fired_before and not fired
                fired_before |= bool(fired)
            fires |= fired_before
        if not fires:
            yield f"{name}: no test in which it fires"
        # What fires always is never over.
        if not clears and alerts[name]["labels"].get("severity") != "none":
            yield f"{name}: no test in which it clears"
        if not healthy and alerts[name]["labels"].get("severity") != "none":
            yield f"{name}: healthy.yaml does not ask for it"


def named(known, rules, dashboards):
    """That every name is one that somebody exports."""
    for rule in rules:
        for fault in known.faults(rule["query"]):
            yield f"{rule['name']}: {fault}"
        told = " ".join(rule.get("annotations", {}).values())
        for label in names.legends(told) - known.shown(rule["query"]):
            yield f"{rule['name']}: tells of {label}, which it does not have"
    for where, query, legend in dashboards:
        for fault in known.faults(query):
            yield f"{where}: {fault}"
        for label in names.legends(legend) - known.shown(query):
            yield f"{where}: its legend tells of {label}, which it does not have"


def answered(known, prometheus, rules, dashboards):
    """That every query has a result, where a host's metrics are all that it asks for: one
    whose sides never match has none, however right its names are."""
    asked = [(rule["name"], rule["name"]) for rule in rules if rule["type"] == "recording"]
    asked += [(where, plain(query)) for where, query, _ in dashboards]
    for where, query in asked:
        selectors, _ = names.parse(query)
        foreign = {name for name, _ in selectors} & known.foreign - PROMETHEUS_OWN
        # An annotation is a condition, and as an alert has no result most of the time.
        condition = query.endswith(" > 0")
        if not foreign and not condition and not prometheus.query(query):
            yield f"{where}: no result: {query}"


def host_faults():
    """What a host has to be asked for."""
    with World() as world:
        services = world.services()
        # What is counted of spans is there only where something is traced.
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": world.collector()}
        host = world.host("monitored", services, **traced)
        prometheus = Prometheus(world, [host], scrape="1s")
        stir(host, services, world.folder)
        text = until(
            "the clicks are delivered",
            30,
            lambda: found
            if 'warmlink_stream_lag{stream="clicks"} 0' in (found := host.get("/metrics")[2])
            else None,
        )
        known = names.Known()
        known.add_scrape(text)
        say(f"{len(known.seen)} names exported by the host")
        known.add_external()
        rules, dashboards = prometheus.rules(), list(queries())
        for rule in rules:
            if rule["type"] == "recording":
                known.add_recorded(rule["name"], rule.get("labels", {}))
        alerts = {rule["name"]: rule for rule in rules if rule["type"] == "alerting"}
        recording = len(rules) - len(alerts)
        say(f"{recording} recording rules, {len(alerts)} alerts, {len(dashboards)} queries")
        yield from complete(alerts)
        yield from grown(host)
        pages = RUNBOOK.read_text()
        yield from runbook(alerts, pages)
        yield from cited(known, pages)
        yield from statements(pages, services["database_admin_url"])
        texts = {path.name: path.read_text() for path in (MONITORING / "tests").glob("*.yaml")}
        yield from tested(alerts, texts)
        wrong = list(named(known, rules, dashboards))
        yield from wrong
        yield from parses([plain(query) for _, query, _ in dashboards])
        if not wrong:
            # A rate wants two scrapes of the youngest series.
            try:
                until(
                    "every query has a result",
                    20,
                    lambda: not list(answered(known, prometheus, rules, dashboards)),
                    pause=1,
                )
            except Failed:
                yield from answered(known, prometheus, rules, dashboards)
        yield from spoilt(known, alerts, dashboards, services["database_admin_url"])


def spoilt(known, alerts, dashboards, url):
    """That faults put into what is checked are found."""

    def finds(what, faults, part):
        if not any(part in fault for fault in faults):
            yield f"self-test: {what} is not seen"

    rule = {"name": "Spoilt", "query": 'warmlink_generatoin{job="warmlink"} > 1', "annotations": {}}
    yield from finds("a wrong name in a rule", named(known, [rule], []), "nobody exports")
    rule["query"] = 'warmlink_generation{job="warmlink"} > 1'
    rule["annotations"] = {"summary": "{{ $labels.pool }}"}
    yield from finds("a wrong label in a text", named(known, [rule], []), "tells of pool")
    where, query, legend = dashboards[-1]
    yield from finds(
        "a wrong name in a dashboard",
        named(known, [], [(where, query.replace("warmlink_", "warmlnk_"), legend)]),
        "nobody exports",
    )
    yield from finds("a query that is none", parses(["sum by (job (up)"]), "parse")
    yield from finds("a missing page", runbook(alerts, "## WarmlinkOther\n"), "has no page")
    yield from finds("a page of no alert", runbook({}, "## WarmlinkOther\n"), "is no alert")
    yield from finds("a wrong name on a page", cited(known, "`warmlink_lag`"), "nobody exports")
    query = '```\nwarmlink_generation{job="warmlink", node="a"}\n```\n'
    yield from finds("a wrong query on a page", cited(known, query), "no label node")
    yield from finds("a wrong statement", statements("```sql\nSELECT none;\n```\n", url), "none")
    yield from finds("an untested alert", tested(alerts, {}), "no test")
    bare = {"Spoilt": {"labels": {}, "annotations": {}}}
    yield from finds("an alert that says nothing", complete(bare), "no summary")


def main():
    faults = list(names.self_test()) + list(files())
    say("files looked at")
    try:
        faults += host_faults()
    except Failed as failed:
        faults.append(str(failed))
    for fault in faults:
        print(f"monitoring  FAULT {fault}", file=sys.stderr)
    if faults:
        sys.exit(1)
    say("rules, tests, dashboards and runbook fit the host")


if __name__ == "__main__":
    main()
