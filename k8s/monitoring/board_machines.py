"""The dashboards of components and of nodes."""

from parts import AT, CPU, OF, by, gauge, panel, quantile, rate

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
        "CPU": (
            panel(
                "Guests, in cores",
                "short",
                (
                    by("component", "rate(warmlink_guest_cpu_seconds_total{" + OF + "}[$__rate_interval])"),
                    "{{component}}",
                ),
                note="At work on a core, the host's part for them included.",
            ),
            panel(
                "For each request",
                "s",
                (
                    by("component", "rate(warmlink_guest_cpu_seconds_total{" + OF + "}[$__rate_interval])")
                    + " / on (component) "
                    + by("component", rate("requests", OF)),
                    "{{component}}",
                ),
                note="A step at a swap: the new revision costs more, or less.",
            ),
            panel(
                "Of all that the node computes",
                "percentunit",
                (
                    by("instance", "rate(warmlink_guest_cpu_seconds_total{" + AT + "}[$__rate_interval])")
                    + " / on (instance) "
                    + by("instance", CPU),
                    "{{instance}}",
                ),
                note="The rest: connections, TLS, pools, and compiling.",
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
                "WarmlinkNodesDiffer: 12 minutes.",
            ),
        ),
        "Rollouts": (
            panel(
                "Versions of the desired state",
                "short",
                (gauge("desired_version"), "desired, {{instance}}"),
                (gauge("running_version"), "runs, {{instance}}"),
                note="Each manifest has its own. WarmlinkNodeNotConverged: 3 minutes apart.",
            ),
            panel(
                "Age of the rollout under way",
                "s",
                (gauge("proposal_age_seconds"), "{{instance}}"),
                note="0 with none. Nodes have a minute to prepare. WarmlinkRolloutStuck: 2 minutes.",
            ),
            panel(
                "Components that could not be loaded",
                "short",
                (gauge("components_failing"), "{{instance}}"),
            ),
            panel(
                "Control database is reached",
                "short",
                (gauge("control_reachable"), "{{instance}}"),
                note="1 and 0; no line for a node that is alone.",
            ),
            panel(
                "Nodes that a node sees",
                "short",
                (gauge("nodes_live"), "live, {{instance}}"),
                (gauge("nodes_lost"), "lost, {{instance}}"),
            ),
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
                note="WarmlinkDrainStuck: 15 minutes.",
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
            panel(
                "Answers Prometheus",
                "short",
                (f"up{{{AT}}}", "{{instance}}"),
                note="A line that ends: there is no pod. WarmlinkNodeMissing: a quarter of an hour.",
            ),
            panel(
                "Ready",
                "short",
                (gauge("ready"), "ready, {{instance}}"),
                (gauge("draining"), "drains, {{instance}}"),
                note="Neither: it starts. WarmlinkNodeNotReady: 3 minutes.",
            ),
            panel(
                "Hosts by build",
                "short",
                ("count by (version) (" + gauge("build_info") + ")", "{{version}}"),
            ),
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
            panel(
                "Spans of traces",
                "ops",
                (rate("spans_exported"), "sent, {{instance}}"),
                (rate("spans_failed"), "not taken by the collector, {{instance}}"),
                note="No line: nothing is traced. No request waits for this.",
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
