"""What every set of manifests has to keep. A rule yields what breaks it."""

import re

from model import (
    CLUSTER_WIDE,
    OUTSIDE,
    called,
    collector,
    containers,
    environment,
    quantity,
    seconds,
    selects,
    strings,
)

RULES = []


def rule(function):
    RULES.append(function)
    return function


def check(manifests, settings):
    """Every fault, as (rule, of what, what is wrong)."""
    return [
        (function.__name__, owner, what)
        for function in RULES
        for owner, what in function(manifests, settings)
    ]


def each_container(manifests):
    for pod in manifests.pods():
        for container in containers(pod.spec):
            yield pod, container, f"{pod.owner} {container['name']}"


def both(pod, container, key):
    """A setting of a container's security context, else of its pod's."""
    own = container.get("securityContext", {})
    return own.get(key, pod.spec.get("securityContext", {}).get(key))


# --- what a container may do ---------------------------------------------------


@rule
def no_root(manifests, _):
    for pod, container, name in each_container(manifests):
        if both(pod, container, "runAsNonRoot") is not True:
            yield name, "runAsNonRoot is not true"
        if not both(pod, container, "runAsUser"):
            yield name, "runAsUser is missing or 0"
        if not both(pod, container, "runAsGroup"):
            yield name, "runAsGroup is missing or 0"


@rule
def no_privilege(manifests, _):
    for pod, container, name in each_container(manifests):
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False:
            yield name, "allowPrivilegeEscalation is not false"
        if own.get("privileged"):
            yield name, "is privileged"
        for port in container.get("ports", []):
            if "hostPort" in port:
                yield name, f"takes the node's port {port['hostPort']}"
    for pod in manifests.pods():
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.spec.get(key):
                yield pod.owner, f"{key} is set"
        for volume in pod.spec.get("volumes", []):
            if "hostPath" in volume:
                yield pod.owner, f"mounts the node's {volume['hostPath'].get('path')}"


@rule
def no_capabilities(manifests, _):
    for _pod, container, name in each_container(manifests):
        capabilities = container.get("securityContext", {}).get("capabilities", {})
        if "ALL" not in capabilities.get("drop", []):
            yield name, "does not drop all capabilities"
        if capabilities.get("add"):
            yield name, f"adds capabilities {capabilities['add']}"


@rule
def read_only_root(manifests, _):
    for _pod, container, name in each_container(manifests):
        if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            yield name, "readOnlyRootFilesystem is not true"


@rule
def seccomp(manifests, _):
    for pod, container, name in each_container(manifests):
        profile = both(pod, container, "seccompProfile") or {}
        if profile.get("type") not in ("RuntimeDefault", "Localhost"):
            yield name, "has no seccomp profile"


@rule
def bounded(manifests, _):
    for _pod, container, name in each_container(manifests):
        resources = container.get("resources", {})
        for what in ("cpu", "memory"):
            asked = resources.get("requests", {}).get(what)
            most = resources.get("limits", {}).get(what)
            if asked is None or most is None:
                yield name, f"has no request or no limit of {what}"
            elif quantity(asked) > quantity(most):
                yield name, f"asks for more {what} than its limit"


@rule
def probed(manifests, _):
    for pod in manifests.pods():
        for container in pod.spec["containers"]:
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if probe not in container:
                    yield f"{pod.owner} {container['name']}", f"has no {probe}"
                    continue
                asked = container[probe].get("httpGet") or container[probe].get("tcpSocket")
                if asked and pod.port(asked["port"]) is None:
                    yield pod.owner, f"{probe} asks port {asked['port']}, which it has not"


@rule
def pinned_images(manifests, _):
    for _pod, container, name in each_container(manifests):
        image = container["image"]
        tag = image.rsplit("/", 1)[-1].partition("@")[0].partition(":")[2]
        if "@sha256:" not in image and tag in ("", "latest"):
            yield name, f"image {image} has no tag, or `latest`"
        if container.get("imagePullPolicy") == "Always":
            yield name, "pulls its image at each start: without the registry, no restart"


@rule
def no_rights(manifests, _):
    bound = set()
    for binding in manifests.of("RoleBinding"):
        bound.update(it["name"] for it in binding["subjects"] if it["kind"] == "ServiceAccount")
        role = manifests.find("Role", binding["roleRef"]["name"])
        if binding["roleRef"]["kind"] != "Role" or role is None:
            yield called(binding), "binds what is no role of this namespace"
    for it in manifests.of("ClusterRole", "ClusterRoleBinding"):
        yield called(it), "gives rights over the cluster"
    for role in manifests.of("Role"):
        for given in role["rules"]:
            more = set(given["verbs"]) - {"get", "list", "watch"}
            if more or set(given["resources"]) & {"*", "secrets"}:
                yield called(role), f"gives {given['verbs']} of {given['resources']}"
    for pod in manifests.pods():
        account = pod.spec.get("serviceAccountName", "default")
        if manifests.find("ServiceAccount", account) is None:
            yield pod.owner, f"runs as the account {account}, which is not here"
        if pod.spec.get("automountServiceAccountToken") is not False and account not in bound:
            yield pod.owner, "mounts a token that it has no use for"


# --- secrets ---------------------------------------------------------------------

SECRET_NAME = re.compile(r"PASSWORD|PASSWD|TOKEN|SECRET|ACCESS_KEY|PRIVATE_KEY|HEADERS", re.I)
# A password in a URL, or in its options, that is not a reference to a variable.
SECRET_URL = re.compile(
    r"[a-z]+://(?:[^\s:/@]*:(?!\$[({])[^\s@/]+@|\S*[?&]\w*password=(?!\$[({]))", re.I
)


@rule
def secrets_by_reference(manifests, _):
    for it in manifests.of("Secret"):
        yield called(it), "a Secret is here; it belongs into the cluster alone"
    for _pod, container, name in each_container(manifests):
        for variable in container.get("env", []):
            literal = variable.get("value")
            if SECRET_NAME.search(variable["name"]) and literal and not literal.startswith("/"):
                yield name, f"{variable['name']} has its value in the manifest"
    for it in manifests.objects:
        for path, text in strings(it):
            if SECRET_URL.search(text):
                yield called(it), f"{path} holds a password in a URL"
            if "PRIVATE KEY-----" in text:
                yield called(it), f"{path} holds a private key"


# --- what names what ---------------------------------------------------------------


@rule
def services_lead_somewhere(manifests, _):
    pods = list(manifests.all_pods())
    for it in manifests.of("Service"):
        selector = {"matchLabels": it["spec"].get("selector") or {"": ""}}
        behind = [pod for pod in pods if selects(selector, pod.labels)]
        if not behind:
            yield called(it), "selects no pod"
        for port in it["spec"]["ports"]:
            for pod in behind:
                if pod.port(port.get("targetPort", port["port"])) is None:
                    yield called(it), f"port {port['port']} leads to none of {pod.owner}"


@rule
def admin_behind_no_service(manifests, _):
    _, spec, container = manifests.host()
    if not spec:
        return
    listen = environment(container).get("WARMLINK_ADMIN_LISTEN", {}).get("value", ":3001")
    admin = int(listen.rpartition(":")[2])
    host = next(pod for pod in manifests.pods() if pod.spec is spec)
    for it in manifests.of("Service"):
        if not selects({"matchLabels": it["spec"].get("selector") or {"": ""}}, host.labels):
            continue
        for port in it["spec"]["ports"]:
            if host.port(port.get("targetPort", port["port"])) == admin:
                yield called(it), "leads to the admin port"


def peer_exists(manifests, peer):
    inside = peer.get("namespaceSelector") is None
    selector = peer.get("podSelector")
    if "ipBlock" in peer:
        return True
    if inside:
        return any(selects(selector or {}, pod.labels) for pod in manifests.all_pods())
    return any(
        selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": namespace})
        and selects(selector or {}, labels)
        for namespace, labels in OUTSIDE
    )


@rule
def network_policies_match(manifests, settings):
    pods = list(manifests.all_pods())
    policies = manifests.of("NetworkPolicy")
    for it in policies:
        spec = it["spec"]
        behind = [pod for pod in pods if selects(spec["podSelector"], pod.labels)]
        # A component by itself may name what another brings.
        if not settings["whole"] and not behind:
            continue
        if not behind:
            yield called(it), "selects no pod"
        for direction, side in (("ingress", "from"), ("egress", "to")):
            for allowed in spec.get(direction) or []:
                for peer in allowed.get(side) or []:
                    if settings["whole"] and not peer_exists(manifests, peer):
                        yield called(it), f"{direction}: a peer that is no pod: {peer}"
                if direction == "ingress" and not allowed.get("from"):
                    yield called(it), "lets everybody in"
                for port in allowed.get("ports") or []:
                    if direction == "ingress" and not any(
                        pod.port(port["port"]) for pod in behind
                    ):
                        yield called(it), f"lets in to port {port['port']}, which nothing has"
    for pod in pods:
        if not any(
            selects(it["spec"]["podSelector"], pod.labels)
            and "Ingress" in it["spec"]["policyTypes"]
            for it in policies
        ):
            yield pod.owner, "no NetworkPolicy says who may ask it"


@rule
def host_is_shut_in(manifests, settings):
    """The host: in through the public port and, for Prometheus, the admin one; out to
    names, PostgreSQL, Valkey, and the collector of traces that it is told of."""
    _, spec, container = manifests.host()
    if not spec:
        return
    out = settings["egress"] | {collector(container)[1]}
    host = next(pod for pod in manifests.pods() if pod.spec is spec)
    covered = set()
    for it in manifests.of("NetworkPolicy"):
        if not selects(it["spec"]["podSelector"], host.labels):
            continue
        covered.update(it["spec"]["policyTypes"])
        for allowed in it["spec"].get("ingress") or []:
            for port in allowed.get("ports") or [{}]:
                peers = [peer.get("podSelector") or {} for peer in allowed.get("from") or [{}]]
                scrapes = all(selects(peer, {"app.kubernetes.io/name": "prometheus"})
                              and peer for peer in peers)
                if port.get("port") != 3000 and not (port.get("port") == 3001 and scrapes):
                    yield called(it), "lets in what is neither for :3000 nor Prometheus for :3001"
        for allowed in it["spec"].get("egress") or []:
            for port in allowed.get("ports") or [{}]:
                if port.get("port") not in out or not allowed.get("to"):
                    yield called(it), "lets the host out beyond what it has to reach"
    if covered != {"Ingress", "Egress"}:
        yield host.owner, "its traffic is not shut in both ways"


@rule
def monitors_reach_pods(manifests, settings):
    """What the Prometheus operator is to scrape is there, lets it in, and is named as rules
    and dashboards ask for it."""
    policies = manifests.of("NetworkPolicy")
    for it in manifests.of("PodMonitor"):
        behind = [pod for pod in manifests.all_pods() if selects(it["spec"]["selector"], pod.labels)]
        # A component by itself may name what another brings.
        if not behind and settings["whole"]:
            yield called(it), "selects no pod"
        for endpoint in it["spec"]["podMetricsEndpoints"]:
            given = {one["targetLabel"]: one for one in endpoint.get("relabelings", [])}
            if not given.get("job", {}).get("replacement") or "instance" not in given:
                yield called(it), "does not say what `job` and `instance` are"
            for pod in behind:
                number = pod.port(endpoint["port"])
                if number is None:
                    yield called(it), f"{pod.owner} has no port {endpoint['port']}"
                elif not any(
                    number in [port["port"] for port in allowed.get("ports") or []]
                    and any("namespaceSelector" in peer for peer in allowed.get("from") or [])
                    for policy in policies
                    if selects(policy["spec"]["podSelector"], pod.labels)
                    for allowed in policy["spec"].get("ingress") or []
                ):
                    yield called(it), f"no policy lets anybody outside in to {number} of {pod.owner}"


@rule
def traces_reach_their_collector(manifests, settings):
    """Where it is told how to trace it is told where to send that, and may go there."""
    _, spec, container = manifests.host()
    given = environment(container) if spec else {}
    told = [name for name in given if name.startswith("OTEL_")]
    if not told:
        return
    for name in set(told) - settings["tracing"]:
        yield "DaemonSet/warmlink", f"{name} is no variable of the host's"
    sampler = given.get("OTEL_TRACES_SAMPLER", {}).get("value")
    if sampler and sampler not in settings["samplers"]:
        yield "DaemonSet/warmlink", f"there is no sampler {sampler}"
    share = given.get("OTEL_TRACES_SAMPLER_ARG", {}).get("value", "1")
    if not re.fullmatch(r"0(\.\d+)?|1(\.0+)?", share):
        yield "DaemonSet/warmlink", f"OTEL_TRACES_SAMPLER_ARG {share} is no share"
    url, port = collector(container)
    if not url or url.scheme not in ("http", "https") or not url.hostname:
        yield "DaemonSet/warmlink", "OTEL_EXPORTER_OTLP_ENDPOINT is no URL of a collector"
        return
    base = given.get("OTEL_EXPORTER_OTLP_ENDPOINT", {}).get("value", "")
    if base.rstrip("/").endswith("/v1/traces"):
        yield "DaemonSet/warmlink", "the host appends /v1/traces to the endpoint itself"
    # A Service, NAME.NAMESPACE or longer. Its port is taken to be its pods', too, as that of
    # every collector's chart is.
    name, *rest = url.hostname.split(".")
    inside = not rest or len(rest) == 1 or rest[1] == "svc"
    namespace = {"kubernetes.io/metadata.name": rest[0] if rest else "warmlink"}
    labels = next(pod for pod in manifests.pods() if pod.spec is spec).labels
    if not any(
        port in [it["port"] for it in allowed.get("ports") or []]
        and (
            not inside
            or any(
                selects(peer["namespaceSelector"], namespace)
                if "namespaceSelector" in peer
                else not rest
                for peer in allowed.get("to") or []
            )
        )
        for policy in manifests.of("NetworkPolicy")
        if selects(policy["spec"]["podSelector"], labels)
        for allowed in policy["spec"].get("egress") or []
    ):
        yield "DaemonSet/warmlink", f"no policy lets it out to {name}, {port}"


@rule
def references_exist(manifests, _):
    for pod in manifests.pods():
        for volume in pod.spec.get("volumes", []):
            name = volume.get("configMap", {}).get("name")
            if name and manifests.find("ConfigMap", name) is None:
                yield pod.owner, f"mounts the ConfigMap {name}, which is not here"
        priority = pod.spec.get("priorityClassName")
        if priority and manifests.find("PriorityClass", priority) is None:
            yield pod.owner, f"has the priority {priority}, which is not here"
    for _pod, container, name in each_container(manifests):
        known = set()
        for variable in container.get("env", []):
            for used in re.findall(r"\$\((\w+)\)", variable.get("value") or ""):
                # A later one would be left as it is written.
                if used not in known:
                    yield name, f"{variable['name']} uses {used}, which no earlier variable is"
            known.add(variable["name"])
    for it in manifests.of("Ingress"):
        backends = [it["spec"].get("defaultBackend")] + [
            path["backend"]
            for host in it["spec"].get("rules", [])
            for path in host["http"]["paths"]
        ]
        for backend in filter(None, backends):
            service = manifests.find("Service", backend["service"]["name"])
            ports = [port["name"] for port in service["spec"]["ports"]] if service else []
            if backend["service"]["port"].get("name") not in ports:
                yield called(it), f"leads to {backend['service']}, which is not here"
        if not it["spec"].get("tls"):
            yield called(it), "has no TLS"
    for it in manifests.of("PodDisruptionBudget"):
        if not any(selects(it["spec"]["selector"], pod.labels) for pod in manifests.pods()):
            yield called(it), "selects no pod"


# --- how it is replaced ---------------------------------------------------------------


@rule
def replaced_one_by_one(manifests, _):
    host, _, _ = manifests.host()
    if host:
        update = host["spec"].get("updateStrategy", {}).get("rollingUpdate", {})
        if update.get("maxUnavailable") != 1 or update.get("maxSurge", 0) != 0:
            yield called(host), "is not replaced one node after the other"
    budgets = manifests.of("PodDisruptionBudget")
    for it in manifests.of("StatefulSet"):
        labels = it["spec"]["template"]["metadata"]["labels"]
        if it["spec"]["replicas"] > 1 and not any(
            selects(budget["spec"]["selector"], labels) for budget in budgets
        ):
            yield called(it), "has no PodDisruptionBudget"


@rule
def time_to_drain(manifests, settings):
    """More than the delay in the environment and the drain of spin.toml together."""
    _, spec, container = manifests.host()
    if not spec:
        return
    delay = environment(container).get("WARMLINK_DRAIN_DELAY", {}).get("value", "0s")
    needed = seconds(delay) + settings["drain"]
    grace = spec.get("terminationGracePeriodSeconds", 30)
    if grace <= needed:
        yield "DaemonSet/warmlink", f"is killed after {grace} s; drains up to {needed:g} s"
    if seconds(delay) < 2:
        yield "DaemonSet/warmlink", "stops listening before anybody knows that it will"
    ready = container.get("readinessProbe", {})
    unready = ready.get("periodSeconds", 10) * ready.get("failureThreshold", 3)
    if unready >= seconds(delay):
        yield "DaemonSet/warmlink", f"is known to drain after {unready} s, and stops listening before"


@rule
def changed_configuration_is_a_rollout(manifests, _):
    """Nothing here reads its configuration again: a pod has what it was started with. So what
    it is started with has another name when it changes, which kustomize sees to. Secrets are
    not made here, and k8s/README.md says what to restart for which."""
    for pod in manifests.pods():
        named = [volume.get("configMap", {}).get("name") for volume in pod.spec.get("volumes", [])]
        for container in containers(pod.spec):
            sources = [it.get("valueFrom", {}) for it in container.get("env", [])]
            named += [it.get("configMapKeyRef", {}).get("name") for it in sources]
            named += [it.get("configMapRef", {}).get("name") for it in container.get("envFrom", [])]
        for name in filter(None, named):
            if not re.fullmatch(r".+-[2456789bcdfghkmt]{10}", name):
                yield pod.owner, f"reads the ConfigMap {name}, whose name outlives a change"


@rule
def host_is_told(manifests, settings):
    """The variables that it needs, and none that it does not know."""
    _, spec, container = manifests.host()
    if not spec:
        return
    given = environment(container)
    for name in ("DATABASE_URL", "VALKEY_URL", "WARMLINK_CONTROL_URL", "WARMLINK_ADMIN_TOKEN",
                 "WARMLINK_STATE", "WARMLINK_NODES"):
        if name not in given:
            yield "DaemonSet/warmlink", f"{name} is not set"
    for name in given:
        if name.startswith("WARMLINK_") and name not in settings["variables"]:
            yield "DaemonSet/warmlink", f"{name} is no variable of the host's"
    node = given.get("WARMLINK_NODE", {}).get("valueFrom", {}).get("fieldRef", {})
    if node.get("fieldPath") != "spec.nodeName":
        yield "DaemonSet/warmlink", "WARMLINK_NODE is not the node's name"
    for name in ("WARMLINK_LISTEN", "WARMLINK_ADMIN_LISTEN"):
        if not given.get(name, {}).get("value", "").startswith(("0.0.0.0:", "[::]:")):
            yield "DaemonSet/warmlink", f"{name} is not for the pod's own address"
    state = given.get("WARMLINK_STATE", {}).get("value")
    writable = [it["mountPath"] for it in container.get("volumeMounts", [])
                if not it.get("readOnly")]
    if state not in writable:
        yield "DaemonSet/warmlink", f"WARMLINK_STATE {state} is no writable volume"


@rule
def database_has_room(manifests, settings):
    """The incident that all of this exists to prevent."""
    _, spec, container = manifests.host()
    for it in manifests.of("Cluster"):
        if not spec:
            continue
        most = int(it["spec"]["postgresql"]["parameters"]["max_connections"])
        nodes = int(environment(container).get("WARMLINK_NODES", {}).get("value", 1))
        # Two of each node for the control plane, one that migrates, and what PostgreSQL
        # and the operator keep for themselves.
        needed = nodes * (settings["pool"] + 2) + 1 + 13
        if needed > most:
            yield called(it), f"allows {most} connections; {nodes} nodes need {needed}"


@rule
def namespace_is_restricted(manifests, _):
    for it in manifests.of("Namespace"):
        labels = it["metadata"].get("labels", {})
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield called(it), "does not enforce `restricted`"
    ours = {it["metadata"]["name"] for it in manifests.of("Namespace")}
    for it in manifests.objects:
        if it["kind"] in CLUSTER_WIDE:
            continue
        namespace = it["metadata"].get("namespace")
        # The one thing of k3s's that is told anything.
        if it["kind"] == "HelmChartConfig" and namespace == "kube-system":
            continue
        if namespace not in ours:
            yield called(it), f"is in the namespace {namespace}, which is not ours"
