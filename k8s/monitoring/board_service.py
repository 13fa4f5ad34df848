"""The dashboard of the service."""

from parts import AT, OF, PUBLIC, by, gauge, panel, quantile, rate, stat

SERVICE = (
    "Warmlink: service",
    ("instance", "component"),
    {
        "Now": (
            stat("Hosts that answer", "short", 'sum(up{job="warmlink"})'),
            stat("Requests", "reqps", "sum(job:warmlink_requests:rate1m)"),
            stat(
                "Failed",
                "percentunit",
                "sum(job:warmlink_failed:rate1m) / sum(job:warmlink_requests:rate1m)",
                "5xx and shed, of all public requests. WarmlinkErrorRateHigh: 5 %.",
            ),
            stat(
                "p99 of redirects",
                "s",
                'max(job_component:warmlink_request_seconds:p99_rate2m{component="redirect"})',
            ),
            stat(
                "Availability budget burns",
                "short",
                'max(job:warmlink_slo_burn:rate1h{slo="availability"})',
                "1 is as fast as may be, over the last hour.",
            ),
            stat(
                "Latency budget burns",
                "short",
                'max(job:warmlink_slo_burn:rate1h{slo="latency"})',
                "1 is as fast as may be, over the last hour.",
            ),
        ),
        "Traffic and errors": (
            panel(
                "Requests by component",
                "reqps",
                (by("component", rate("requests", PUBLIC)), "{{component}}"),
            ),
            panel(
                "Answers by class",
                "reqps",
                (by("class", rate("requests", PUBLIC)), "{{class}}"),
            ),
            panel(
                "Failed by component",
                "reqps",
                (
                    by("component", rate("requests", PUBLIC + ', class="ServerError"')),
                    "{{component}}",
                ),
            ),
            panel(
                "Not answered by a component, by kind",
                "reqps",
                (by("kind", rate("failures")), "{{kind}}"),
                note="README, Limits.",
            ),
            panel(
                "Requests by node",
                "reqps",
                (by("instance", rate("requests", PUBLIC)), "{{instance}}"),
            ),
            panel(
                "Cut off in mid body",
                "reqps",
                (by("component", rate("aborted_bodies", OF)), "{{component}}"),
            ),
        ),
        "Latency": (
            panel(
                "p50 by component",
                "s",
                (quantile(0.5, "request_seconds", "component", PUBLIC), "{{component}}"),
            ),
            panel(
                "p99 by component",
                "s",
                (quantile(0.99, "request_seconds", "component", PUBLIC), "{{component}}"),
            ),
            panel(
                "p99 by node",
                "s",
                (quantile(0.99, "request_seconds", "instance", PUBLIC), "{{instance}}"),
            ),
        ),
        "Saturation": (
            panel(
                "In flight by component",
                "short",
                (by("component", gauge("in_flight", OF)), "{{component}}"),
                note="Admitted and not yet over.",
            ),
            panel(
                "Places taken by component",
                "percentunit",
                (
                    gauge("in_flight", OF) + " / on (instance, component) " + gauge("in_flight_limit", OF),
                    "{{component}}, {{instance}}",
                ),
                note="WarmlinkPlacesLow: 80 %, but for limits below 16. Limits: in_flight in spin.toml.",
            ),
            panel(
                "Places taken by node",
                "percentunit",
                (
                    gauge("node_many_in_flight")
                    + " / on (instance) "
                    + gauge("node_many_in_flight_limit"),
                    "{{instance}}",
                ),
                note="Of all components together. WarmlinkNodePlacesLow: 80 %.",
            ),
            panel(
                "Waiting for a place",
                "short",
                (by("instance, component", gauge("waiting", OF)), "{{component}}, {{instance}}"),
                (gauge("node_waiting"), "for one of the node, {{instance}}"),
                note="At the scrape. Half as many as there are places may wait, for a second.",
            ),
            panel(
                "Shed by component",
                "reqps",
                (
                    by("instance, component, places", rate("shed", OF)),
                    "{{component}}, places of the {{places}}, {{instance}}",
                ),
                note="WarmlinkShedding: 0.2.",
            ),
            panel(
                "Shed",
                "reqps",
                ("job:warmlink_shed:rate1m", "all nodes"),
                (by("instance", rate("failures", AT + ', kind="shed"')), "{{instance}}"),
            ),
            panel(
                "Connections of clients",
                "short",
                (gauge("connections"), "open, {{instance}}"),
                (rate("accepted"), "accepted a second, {{instance}}"),
            ),
            panel(
                "Connections of clients, of those that may be",
                "percentunit",
                (
                    gauge("connections") + " / on (instance) " + gauge("connections_limit"),
                    "{{instance}}",
                ),
            ),
        ),
        "Budget": (
            panel(
                "Burn rate over the last hour and 5 minutes",
                "short",
                ("job:warmlink_slo_burn:rate1h", "{{slo}}, 1 h"),
                ("job:warmlink_slo_burn:rate5m", "{{slo}}, 5 min"),
                note="WarmlinkBudgetBurnsFast: 14.4 in both.",
                wide=12,
            ),
            panel(
                "Burn rate over the last 3 days and 6 hours",
                "short",
                ("job:warmlink_slo_burn:rate3d", "{{slo}}, 3 d"),
                ("job:warmlink_slo_burn:rate6h", "{{slo}}, 6 h"),
                note="WarmlinkBudgetBurnsSlowly: 1 in both.",
                wide=12,
            ),
        ),
    },
)
