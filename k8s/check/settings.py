"""What the rules compare manifests with, read from where it is decided."""

import re
import tomllib
from pathlib import Path

from model import seconds

ROOT = Path(__file__).resolve().parents[2]


def read(whole=True):
    manifest = tomllib.loads((ROOT / "spin.toml").read_text())
    tool = manifest["application"]["tool"]["warmlink"]
    drain = tool.get("limits", {}).get("drain")
    return {
        # Whether all is there that policies may name: an overlay, not a component.
        "whole": whole,
        "drain": seconds(drain) if drain else default_drain(),
        "pool": sum(pool.get("max", 8) for pool in tool["postgres"]),
        "variables": variables(),
        # Names, PostgreSQL, Valkey and its sentinels.
        "egress": {53, 5432, 6379, 26379},
        "tracing": TRACING,
        "samplers": SAMPLERS,
    }


# OpenTelemetry's names, of which the host's sources have not all: its SDK reads some itself.
TRACING = {
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SERVICE_NAME",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BSP_SCHEDULE_DELAY",
}
SAMPLERS = {
    parent + name
    for parent in ("", "parentbased_")
    for name in ("always_on", "always_off", "traceidratio")
}


def default_drain():
    source = (ROOT / "host/src/manifest/limits/host.rs").read_text()
    found = re.search(r"const DRAIN: Duration = Duration::from_secs\((\d+)\)", source)
    if not found:
        raise SystemExit("k8s: the default of `limits.drain` is not where it was")
    return int(found[1])


def variables():
    """Every variable that the host's sources name."""
    names = set()
    for source in (ROOT / "host/src").rglob("*.rs"):
        names.update(re.findall(r"WARMLINK_[A-Z_]+", source.read_text()))
    return names
