"""The dashboard of pools."""

from parts import AT, CPU, by, gauge, panel, quantile, rate

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
            panel(
                "Time to open a connection, and to wait for one",
                "s",
                (quantile(0.99, "postgres_pool_connect_seconds", "instance, pool"), "to open, p99, {{instance}} {{pool}}"),
                (quantile(0.99, "postgres_pool_wait_seconds", "instance, pool"), "waited, p99, {{instance}} {{pool}}"),
                note="Both lines at the same time, and the wait as long as the opening or longer: "
                "callers wait for handshakes. A wait with no opening beside it: all connections "
                "are busy. Attempts that failed are in it.",
                wide=12,
            ),
            panel(
                "Time of a statement",
                "s",
                (quantile(0.5, "postgres_pool_statement_seconds", "instance, pool"), "p50, {{instance}} {{pool}}"),
                (quantile(0.99, "postgres_pool_statement_seconds", "instance, pool"), "p99, {{instance}} {{pool}}"),
                note="From sending it to the end of its answer; the wait for a connection is not in "
                "it. Low while callers wait: the database is not slow, it is not asked.",
                wide=12,
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
            ),
            panel(
                "Callers that wait, by connections that may be",
                "short",
                (
                    "rate(warmlink_postgres_pool_wait_seconds_sum{" + AT + "}[$__rate_interval])"
                    + " / on (instance, pool) "
                    + gauge("postgres_pool_max"),
                    "{{instance}} {{pool}}",
                ),
                note="How long callers wait, by how long they have a connection then. "
                "WarmlinkPoolSaturated: 0.25.",
            ),
            panel(
                "Connections in use, of those that may be",
                "percentunit",
                (
                    gauge("postgres_pool_in_use") + " / on (instance, pool) " + gauge("postgres_pool_max"),
                    "in use, {{instance}} {{pool}}",
                ),
                (
                    gauge("postgres_pool_size") + " / on (instance, pool) " + gauge("postgres_pool_max"),
                    "open, {{instance}} {{pool}}",
                ),
                note="Open below 100 %: the rest is opened when it is needed, which callers wait for.",
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
