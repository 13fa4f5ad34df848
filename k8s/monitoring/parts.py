"""What dashboards are written with: queries of the host's metrics, and panels.
`$__rate_interval`, `$instance` and `$component` are Grafana's."""

AT = 'job="warmlink", instance=~"$instance"'
OF = AT + ', component=~"$component"'
PUBLIC = AT + ', component=~"$component", component!~"clicks|repair"'
# What the process takes, in cores.
CPU = f"rate(process_cpu_seconds_total{{{AT}}}[$__rate_interval])"


def rate(metric, labels=AT):
    """What a counter grows by in a second."""
    return f"rate(warmlink_{metric}_total{{{labels}}}[$__rate_interval])"


def by(labels, expression):
    return f"sum by ({labels}) ({expression})"


def quantile(share, metric, labels, selector=AT):
    buckets = f"rate(warmlink_{metric}_bucket{{{selector}}}[$__rate_interval])"
    return f"histogram_quantile({share}, sum by ({labels}, le) ({buckets}))"


def gauge(metric, labels=AT):
    return f"warmlink_{metric}{{{labels}}}"


def panel(title, unit, *queries, note="", kind="timeseries", wide=8):
    """A panel: its title and unit, and each query with its legend."""
    return {
        "title": title,
        "unit": unit,
        "queries": queries,
        "note": note,
        "kind": kind,
        "wide": wide,
    }


def stat(title, unit, query, note=""):
    return panel(title, unit, (query, ""), note=note, kind="stat", wide=4)
