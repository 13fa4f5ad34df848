"""The dashboards, as rows of panels. `$__rate_interval`, `$instance` and `$component` are
Grafana's."""

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
                note="README, Limits. A kind is shown from its first request on.",
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
                note="Admitted and not yet over. Limits: in_flight in spin.toml.",
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

CPU = f"rate(process_cpu_seconds_total{{{AT}}}[$__rate_interval])"

POOLS = (
    "Warmlink: pools",
    ("instance",),
    {
        "A burst": (
            panel(
                "Requests, and what they wait for",
                "short",
                (by("instance", rate("requests")), "requests a second, {{instance}}"),
                (
                    by("instance", "rate(warmlink_postgres_pool_wait_seconds_sum{" + AT + "}[$__rate_interval])"),
                    "callers that wait for a connection, {{instance}}",
                ),
                (
                    by("instance", "60 * " + rate("postgres_pool_opened")),
                    "connections opened a minute, {{instance}}",
                ),
                (CPU, "CPU in cores, {{instance}}"),
                note="The incident in one graph: requests rise, connections are opened only "
                "then and everybody waits for them, while the CPU has nothing to do. A pool that "
                "is warm shows requests and CPU rising together, and the other two at 0. Runbook: "
                "WarmlinkConnectionsOpenedUnderLoad.",
                wide=24,
            ),
        ),
        "PostgreSQL": (
            panel(
                "Connections",
                "short",
                (by("instance, pool", gauge("postgres_pool_size")), "size, {{instance}} {{pool}}"),
                (by("instance, pool", gauge("postgres_pool_in_use")), "in use, {{instance}} {{pool}}"),
                (by("instance, pool", gauge("postgres_pool_idle")), "idle, {{instance}} {{pool}}"),
                (by("instance, pool", gauge("postgres_pool_pinned")), "pinned, {{instance}} {{pool}}"),
            ),
            panel(
                "Callers that wait",
                "short",
                (
                    "rate(warmlink_postgres_pool_wait_seconds_sum{" + AT + "}[$__rate_interval])",
                    "on average, {{instance}} {{pool}}",
                ),
                (gauge("postgres_pool_waiting"), "at the scrape, {{instance}} {{pool}}"),
                note="WarmlinkPoolSaturated: 1 on average.",
            ),
            panel(
                "Time waited, p99 of those that did",
                "s",
                (quantile(0.99, "postgres_pool_wait_seconds", "instance, pool"), "{{instance}} {{pool}}"),
            ),
            panel(
                "Connections opened, lost and refused",
                "ops",
                (rate("postgres_pool_opened"), "opened, {{instance}} {{pool}}"),
                (rate("postgres_pool_closed"), "closed, {{instance}} {{pool}}"),
                (rate("postgres_pool_lost"), "lost, {{instance}} {{pool}}"),
                (rate("postgres_pool_connect_failures"), "refused, {{instance}} {{pool}}"),
                note="All at 0 while nothing happens: connections are opened before the port is.",
            ),
            panel(
                "Statements",
                "ops",
                (rate("postgres_pool_statements"), "{{instance}} {{pool}}"),
            ),
            panel(
                "Statements in trouble",
                "ops",
                (rate("postgres_pool_timeouts"), "no connection in time, {{instance}} {{pool}}"),
                (rate("postgres_pool_cancels"), "cancelled, {{instance}} {{pool}}"),
                (rate("postgres_pool_retries"), "sent again, {{instance}} {{pool}}"),
                (rate("postgres_pool_reclaimed"), "taken back, {{instance}} {{pool}}"),
            ),
            panel(
                "Found prepared",
                "percentunit",
                (
                    rate("postgres_pool_statement_cache_hits")
                    + " / ("
                    + rate("postgres_pool_statement_cache_hits")
                    + " + "
                    + rate("postgres_pool_statement_cache_misses")
                    + ")",
                    "{{instance}} {{pool}}",
                ),
            ),
        ),
        "Valkey": (
            panel(
                "Connections",
                "short",
                (gauge("valkey_connections"), "shared, {{instance}} {{server}}"),
                (gauge("valkey_dedicated_connections"), "of one session, {{instance}} {{server}}"),
                (rate("valkey_reconnects"), "replaced a second, {{instance}} {{server}}"),
            ),
            panel(
                "Commands",
                "ops",
                (rate("valkey_commands"), "sent, {{instance}} {{server}}"),
                (gauge("valkey_in_flight"), "awaiting a reply, {{instance}} {{server}}"),
            ),
            panel(
                "Without a reply, by kind",
                "ops",
                (by("instance, server, kind", rate("valkey_errors")), "{{kind}}, {{instance}} {{server}}"),
            ),
            panel(
                "Time to reply",
                "s",
                (quantile(0.5, "valkey_latency_seconds", "instance, server"), "p50, {{instance}} {{server}}"),
                (quantile(0.99, "valkey_latency_seconds", "instance, server"), "p99, {{instance}} {{server}}"),
            ),
            panel(
                "Time until it could be sent, p99 of those that waited",
                "s",
                (quantile(0.99, "valkey_wait_seconds", "instance, server"), "{{instance}} {{server}}"),
            ),
        ),
        "Near cache": (
            panel(
                "Answered by the host's own memory",
                "percentunit",
                (
                    by("instance, server", rate("valkey_near_lookups", AT + ', outcome="hit"'))
                    + " / on (instance, server) "
                    + by("instance, server", rate("valkey_near_lookups")),
                    "{{instance}} {{server}}",
                ),
            ),
            panel(
                "Reads by outcome",
                "ops",
                (by("outcome", rate("valkey_near_lookups")), "{{outcome}}"),
            ),
            panel(
                "Entries gone by reason",
                "ops",
                (by("reason", rate("valkey_near_drops")), "{{reason}}"),
            ),
            panel(
                "Trusted",
                "short",
                (gauge("valkey_near_trusted"), "{{instance}} {{server}}"),
                note="0 while the server has not answered of late: it is asked itself then.",
            ),
            panel("Memory", "bytes", (gauge("valkey_near_bytes"), "{{instance}} {{server}}")),
            panel("Entries", "short", (gauge("valkey_near_entries"), "{{instance}} {{server}}")),
        ),
        "Clicks on their way": (
            panel(
                "Entries in the stream",
                "short",
                ("max by (stream) (" + gauge("stream_lag") + ")", "{{stream}}"),
                ("max by (stream) (" + gauge("stream_full") + ")", "{{stream}} takes no more"),
                note="Every node measures the same stream.",
            ),
            panel(
                "Age of the oldest",
                "s",
                ("max by (stream) (" + gauge("stream_oldest_seconds") + ")", "{{stream}}"),
                note="WarmlinkStreamLag: a minute.",
            ),
            panel(
                "Delivered",
                "ops",
                (by("stream, outcome", rate("stream_deliveries")), "batches {{outcome}}, {{stream}}"),
                (by("stream", rate("stream_entries")), "entries, {{stream}}"),
                (by("stream", rate("stream_claimed")), "entries of others, {{stream}}"),
                (by("stream", rate("stream_dead_letters")), "dead letters, {{stream}}"),
            ),
            panel(
                "Repairs",
                "ops",
                (by("component, scope, outcome", rate("repairs")), "{{scope}} {{outcome}}"),
            ),
        ),
    },
)

COMPONENTS = (
    "Warmlink: components and rollouts",
    ("instance", "component"),
    {
        "Instances": (
            panel(
                "Instances",
                "short",
                (by("component", gauge("instances", OF)), "{{component}}"),
            ),
            panel(
                "Instances made",
                "ops",
                (by("component", rate("instantiations", OF)), "{{component}}"),
                note="Many more than in_flight changes: `reuse` is low, or they fail.",
            ),
            panel(
                "Instances ended by a trap or a limit",
                "ops",
                (by("component", rate("instance_failures", OF)), "{{component}}"),
            ),
        ),
        "Revisions": (
            panel(
                "Requests by revision",
                "reqps",
                (by("component, revision", rate("revision_requests", OF)), "{{component}} {{revision}}"),
            ),
            panel(
                "Failed by revision",
                "percentunit",
                (
                    by("component, revision", rate("revision_failures", OF))
                    + " / on (component, revision) "
                    + by("component, revision", rate("revision_requests", OF)),
                    "{{component}} {{revision}}",
                ),
                note="What a canary is judged by.",
            ),
            panel(
                "p99 by revision",
                "s",
                (
                    quantile(0.99, "revision_seconds", "component, revision", OF),
                    "{{component}} {{revision}}",
                ),
            ),
            panel(
                "Nodes that hold a revision",
                "short",
                (
                    "count by (component, revision) (" + gauge("revision_requests_total", OF) + ")",
                    "{{component}} {{revision}}",
                ),
                note="All lines at the number of nodes, except during a rollout. "
                "WarmlinkNodeNotConverged: 12 minutes.",
            ),
        ),
        "Rollouts": (
            panel(
                "Table that serves",
                "short",
                (gauge("generation"), "{{instance}}"),
                note="Numbered by each process for itself: each step is a swap.",
            ),
            panel(
                "Not gone yet",
                "short",
                (gauge("revisions_draining"), "revisions, {{instance}}"),
                (gauge("generations_live") + " - 1", "tables, {{instance}}"),
                note="WarmlinkRolloutStuck: 15 minutes.",
            ),
            panel(
                "Time of each phase, p99",
                "s",
                (quantile(0.99, "swap_seconds", "phase"), "{{phase}}"),
            ),
            panel(
                "Revisions that could not be loaded",
                "ops",
                (by("instance, phase", rate("swap_failures")), "{{phase}}, {{instance}}"),
            ),
            panel(
                "Canaries called off",
                "ops",
                (by("component, cause", rate("canary_rollbacks", OF)), "{{component}}, {{cause}}"),
            ),
            panel(
                "Cut off by the drain limit",
                "ops",
                (rate("revisions_cut"), "{{instance}}"),
            ),
        ),
    },
)

NODES = (
    "Warmlink: nodes",
    ("instance",),
    {
        "Processes": (
            panel("Answers Prometheus", "short", (f"up{{{AT}}}", "{{instance}}")),
            panel("CPU, in cores", "short", (CPU, "{{instance}}")),
            panel(
                "Memory",
                "bytes",
                (f"process_resident_memory_bytes{{{AT}}}", "resident, {{instance}}"),
                note="Virtual memory is reserved by the million pages and says nothing.",
            ),
            panel(
                "File descriptors",
                "percentunit",
                (
                    f"process_open_fds{{{AT}}} / process_max_fds{{{AT}}}",
                    "{{instance}}",
                ),
            ),
            panel("Threads", "short", (f"process_threads{{{AT}}}", "{{instance}}")),
            panel(
                "Up since",
                "s",
                (f"time() - process_start_time_seconds{{{AT}}}", "{{instance}}"),
            ),
            panel("Failed accepts", "ops", (rate("accept_errors"), "{{instance}}")),
            panel(
                "Time to scrape",
                "s",
                (f"scrape_duration_seconds{{{AT}}}", "{{instance}}"),
                note="The admin thread is apart from those that serve.",
            ),
        ),
        "Machines": (
            panel(
                "Free on volumes",
                "percentunit",
                (
                    "kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes",
                    "{{namespace}} {{persistentvolumeclaim}}",
                ),
            ),
            panel(
                "Free on the system's disk",
                "percentunit",
                (
                    'node_filesystem_avail_bytes{mountpoint="/"} / node_filesystem_size_bytes{mountpoint="/"}',
                    "{{instance}}",
                ),
            ),
            panel(
                "Certificates, until they end",
                "s",
                ("traefik_tls_certs_not_after - time()", "{{cn}}"),
            ),
        ),
    },
)

DASHBOARDS = {"service": SERVICE, "pools": POOLS, "components": COMPONENTS, "nodes": NODES}
