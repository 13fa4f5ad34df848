"""What queries name, and whether a host exports it.

A wrong name is no error to Prometheus: the query has no result, and an alert on it
never fires. So each selector is held to what a host was seen to export: its name, its
labels, and the values that labels are compared with.
"""

import json
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXTERNAL = ROOT / "k8s/monitoring/external.json"

TOKEN = re.compile(
    r"""\s+|\#[^\n]*
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    |(?P<word>[a-zA-Z_:][a-zA-Z0-9_:]*)
    |(?P<number>[0-9][0-9a-zA-Z_.]*)
    |(?P<variable>\$[a-zA-Z_]+)
    |(?P<mark>=~|!~|!=|==|>=|<=|[-+*/%^=<>(){}\[\],:@.])""",
    re.VERBOSE,
)
GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
WORDS = {"and", "or", "unless", "offset", "bool", "inf", "nan", "start", "end"}
# Prometheus adds them to whatever it scrapes.
SCRAPED = {"job", "instance"}


def tokens(query):
    """The words and marks of a query."""
    found, at = [], 0
    while at < len(query):
        match = TOKEN.match(query, at)
        if not match:
            raise ValueError(f"no query: {query[at:at + 20]!r}")
        at = match.end()
        if match.lastgroup:
            found.append((match.lastgroup, match.group()))
    return found


def parse(query):
    """Its selectors, as name and matchers, and the labels it groups by."""
    words = tokens(query) + [("end", "")] * 2
    selectors, grouped, at = [], set(), 0
    while words[at][0] != "end":
        kind, text = words[at]
        at += 1
        if kind != "word" or text in WORDS:
            continue
        follows = words[at][1]
        if text in GROUPING:
            if follows == "(":
                while words[at][1] != ")":
                    at += 1
                    if words[at][0] == "word":
                        grouped.add(words[at][1])
        elif follows == "{":
            matchers, at = braces(words, at + 1)
            selectors.append((text, matchers))
        elif follows != "(" and follows not in GROUPING:
            selectors.append((text, []))
    return selectors, grouped


def braces(words, at):
    matchers = []
    while words[at][1] != "}":
        if words[at][0] == "end":
            raise ValueError("a brace is not closed")
        if words[at][0] == "word":
            label, operator, value = (words[at + n][1] for n in range(3))
            matchers.append((label, operator, value[1:-1]))
            at += 2
        at += 1
    return matchers, at + 1


class Known:
    """What there is to name: metrics, their labels, and the labels' values."""

    def __init__(self):
        self.metrics = {}
        # Names whose labels' values are somebody else's to choose.
        self.foreign = set()
        self.seen = set()

    def add(self, name, labels):
        """A sample, with its labels and their values."""
        values = self.metrics.setdefault(name, {})
        for label, value in labels.items():
            values.setdefault(label, set()).add(value)

    def add_scrape(self, text):
        """All samples of a host's metrics."""
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, _, rest = line.rpartition(" ")[0].partition("{")
                labels = re.findall(r'([a-zA-Z_]+)="((?:[^"\\]|\\.)*)"', rest)
                self.add(name, dict(labels))
                self.seen.add(name)

    def add_external(self):
        """What others than hosts export, by the list that says so."""
        for name, metric in json.loads(EXTERNAL.read_text())["metrics"].items():
            self.metrics.setdefault(name, {})
            for label in metric["labels"]:
                self.metrics[name].setdefault(label, set())
            self.foreign.add(name)

    def add_recorded(self, name, labels):
        """A recording rule: the part before the colon names its labels."""
        level = name.partition(":")[0]
        for label in level.split("_"):
            self.metrics.setdefault(name, {}).setdefault(label, set())
        self.add(name, labels)

    def faults(self, query):
        """What is wrong with a query."""
        try:
            selectors, grouped = parse(query)
        except ValueError as error:
            return [str(error)]
        found, labels = [], set(SCRAPED)
        for name, matchers in selectors:
            if name not in self.metrics:
                found.append(f"nobody exports {name}")
                continue
            values = self.metrics[name]
            labels |= set(values)
            foreign = name in self.foreign
            if not foreign and ":" not in name and "job" not in {label for label, _, _ in matchers}:
                found.append(f'{name} is not limited to job="warmlink"')
            for label, operator, value in matchers:
                found += self.matcher(name, values, label, operator, value, foreign)
        found += [
            f"groups by {label}, which nothing in it has" for label in sorted(grouped - labels)
        ]
        return found

    def matcher(self, name, values, label, operator, value, foreign):
        if label == "job":
            return [] if (operator, value) == ("=", "warmlink") else [f"{name}: another job"]
        if label in SCRAPED:
            return []
        if label not in values:
            return [f"{name} has no label {label}"]
        known = values[label]
        alternatives = value.split("|") if "~" in operator else [value]
        return [
            f"{name}: {label} is never {one!r}, but one of {sorted(known)}"
            for one in alternatives
            # A variable, or all there is; of what others export we know no values.
            if not foreign and known and not one.startswith("$") and one != ".*" and one not in known
        ]

    def shown(self, query):
        """Labels that a result may have."""
        selectors, grouped = parse(query)
        if grouped:
            return grouped | SCRAPED
        return SCRAPED.union(*(self.metrics.get(name, {}) for name, _ in selectors))


def legends(text):
    """The labels that a legend or an annotation names."""
    return set(re.findall(r"\{\{\s*(?:\$labels\.)?([a-zA-Z_]+)\s*\}\}", text))


def self_test():
    """That each kind of fault is found, and nothing else."""
    known = Known()
    known.add_scrape(
        "# TYPE x counter\n"
        'warmlink_requests_total{component="urls",class="Success"} 1\n'
        'warmlink_seconds_bucket{component="urls",le="0.1"} 1\n'
        "warmlink_generation 3\n"
    )
    known.add_external()
    known.add_recorded("job:warmlink_burn:rate5m", {"slo": "latency"})
    good = [
        'sum by (job, component) (rate(warmlink_requests_total{job="warmlink", component=~"urls|$component"}[5m])) > 1',
        'histogram_quantile(0.9, sum by (le) (rate(warmlink_seconds_bucket{job="warmlink",le="0.1"}[$__rate_interval])))',
        'warmlink_generation{job="warmlink"} unless on (instance) up{job="warmlink"} offset 10m',
        'job:warmlink_burn:rate5m{slo="latency"} > 14.4 and on (job, slo) vector(1)',
        "traefik_tls_certs_not_after - time() < 14 * 86400 # of others",
    ]
    bad = {
        'rate(warmlink_request_total{job="warmlink"}[5m])': "nobody exports",
        'rate(warmlink_requests_total{job="warmlink", code="5"}[5m])': "no label code",
        'warmlink_requests_total{job="warmlink", class="success"}': "never 'success'",
        'warmlink_requests_total{job="warmlink", component!~"urls|clicks"}': "never 'clicks'",
        'sum by (revision) (warmlink_requests_total{job="warmlink"})': "groups by revision",
        "warmlink_generation": "not limited",
        'warmlink_generation{job="other"}': "another job",
        'job:warmlink_burn:rate5m{slo="speed"}': "never 'speed'",
        "job:warmlink_burn:rate7m": "nobody exports",
        'warmlink_generation{job="warmlink"': "not closed",
        "traefik_tls_certs_not_after{name=\"x\"}": "no label name",
    }
    for query in good:
        if known.faults(query):
            yield f"self-test: refuses {query}: {known.faults(query)}"
    for query, part in bad.items():
        if not any(part in fault for fault in known.faults(query)):
            yield f"self-test: does not see that {query}: {part} (but {known.faults(query)})"
    if legends("a {{ $labels.pool }} {{kind}}") != {"pool", "kind"}:
        yield "self-test: labels of a legend are not found"
