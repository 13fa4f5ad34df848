"""What the rules ask of a rendered set of manifests."""

import re
import urllib.parse

# Pods that no manifest of ours makes: the cluster's own and the operators'.
OUTSIDE = [
    ("kube-system", {"k8s-app": "kube-dns"}),
    ("kube-system", {"app.kubernetes.io/name": "traefik"}),
    ("tailscale", {"tailscale.com/managed": "true"}),
    ("cnpg-system", {"app.kubernetes.io/name": "cloudnative-pg"}),
    # A Prometheus operator's, and beside it a collector of traces.
    ("monitoring", {"app.kubernetes.io/name": "prometheus"}),
]

WORKLOADS = ("DaemonSet", "StatefulSet", "Deployment", "Job", "CronJob")

# What is of the whole cluster, and what is k3s's.
CLUSTER_WIDE = ("Namespace", "PriorityClass", "ClusterRole", "ClusterRoleBinding")


class Pod:
    """A kind of pod: what one workload makes, or an operator for it."""

    def __init__(self, owner, namespace, labels, spec, ports):
        self.owner = owner
        self.namespace = namespace
        self.labels = labels
        self.spec = spec
        self.ports = ports

    def port(self, wanted):
        """The number of the port that `wanted` names, if there is one."""
        for name, number in self.ports:
            if wanted in (name, number):
                return number
        return None


class Manifests:
    def __init__(self, objects):
        self.objects = [it for it in objects if it]

    def of(self, *kinds):
        return [it for it in self.objects if it["kind"] in kinds]

    def find(self, kind, name):
        return next((it for it in self.of(kind) if it["metadata"]["name"] == name), None)

    def pods(self):
        """Of our own workloads: those that rules look into."""
        for it in self.of(*WORKLOADS):
            template = it["spec"]
            if it["kind"] == "CronJob":
                template = template["jobTemplate"]["spec"]
            template = template["template"]
            spec = template["spec"]
            ports = [
                (port.get("name"), port["containerPort"])
                for container in spec["containers"]
                for port in container.get("ports", [])
            ]
            yield Pod(
                called(it),
                it["metadata"].get("namespace"),
                template["metadata"].get("labels", {}),
                spec,
                ports,
            )

    def all_pods(self):
        """Those of operators, too: what may be selected."""
        yield from self.pods()
        for it in self.of("Cluster"):
            labels = {
                "cnpg.io/cluster": it["metadata"]["name"],
                "cnpg.io/podRole": "instance",
            }
            ports = [("postgresql", 5432), ("metrics", 9187), ("status", 8000)]
            yield Pod(called(it), it["metadata"].get("namespace"), labels, None, ports)

    def host(self):
        """The host's own workload, and its container."""
        for it in self.of("DaemonSet"):
            if it["metadata"]["name"] == "warmlink":
                spec = it["spec"]["template"]["spec"]
                return it, spec, spec["containers"][0]
        return None, None, None


def called(it):
    return f"{it['kind']}/{it['metadata']['name']}"


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def selects(selector, labels):
    """Whether a LabelSelector takes these labels; an empty one takes all."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions") or []:
        value, operator = labels.get(term["key"]), term["operator"]
        taken = {
            "In": value in term.get("values", []),
            "NotIn": value not in term.get("values", []),
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[operator]
        if not taken:
            return False
    return True


def environment(container):
    return {it["name"]: it for it in container.get("env", [])}


def collector(container):
    """Where traces go, as a URL and its port; neither where there are none."""
    given = environment(container)
    for name in ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        endpoint = given.get(name, {}).get("value")
        if endpoint:
            break
    else:
        return None, None
    url = urllib.parse.urlsplit(endpoint)
    return url, url.port or {"http": 80, "https": 443}.get(url.scheme)


def strings(value, path=""):
    """Every text in a document, with where it is."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from strings(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from strings(inner, f"{path}[{index}]")
    elif isinstance(value, str):
        yield path, value


def seconds(text):
    """A duration as the host reads it: one number and one unit."""
    match = re.fullmatch(r"(\d+)(ms|s|m|h)", text.strip())
    if not match:
        raise ValueError(f"{text!r} is no duration")
    return int(match[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[match[2]]


def quantity(text):
    """A number of cores, or of bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(m|[kMGT]i?)?", str(text))
    if not match:
        raise ValueError(f"{text!r} is no quantity")
    unit = match[2] or ""
    factor = {
        "": 1,
        "m": 0.001,
        "k": 1e3,
        "M": 1e6,
        "G": 1e9,
        "T": 1e12,
        "ki": 2**10,
        "Mi": 2**20,
        "Gi": 2**30,
        "Ti": 2**40,
    }[unit]
    return float(match[1]) * factor
