"""Breaks good manifests in one place at a time and expects the rule for it to say so.

    selftest.py FILE FILE      rendered sets that keep every rule: an overlay, and one with the
                               components that overlays leave out

A rule without a way to break it here is an error: it would be a rule that cannot fail.
"""

import copy
import sys
import tempfile

import yaml

import policy
import same
import settings
import validate
from model import Manifests

BROKEN = []
SETTINGS = settings.read()


def breaks(which, what, on="overlay"):
    def add(function):
        BROKEN.append((which, what, function, on))
        return function

    return add


def get(objects, kind, name):
    return next(it for it in objects if it["kind"] == kind and it["metadata"]["name"] == name)


def host(objects):
    return get(objects, "DaemonSet", "warmlink")["spec"]["template"]["spec"]


def container(objects):
    return host(objects)["containers"][0]


def variable(objects, name):
    return next(it for it in container(objects)["env"] if it["name"] == name)


def add(objects, kind, name, api="v1", **more):
    metadata = {"name": name, "namespace": "warmlink"}
    objects.append({"apiVersion": api, "kind": kind, "metadata": metadata, **more})


def simple(which, what, at, key, value, on="overlay"):
    """Sets one key, or removes it where the value is None."""

    def function(objects):
        inside = at(objects)
        if value is None:
            del inside[key]
        else:
            inside[key] = value

    BROKEN.append((which, what, function, on))


def optional(which, what, at, key, value):
    simple(which, what, at, key, value, "optional")


def security(objects):
    return container(objects)["securityContext"]


def valkey(objects):
    return get(objects, "StatefulSet", "valkey")["spec"]["template"]["spec"]


def policy_of(name):
    return lambda objects: get(objects, "NetworkPolicy", name)["spec"]


def service(name):
    return lambda objects: get(objects, "Service", name)["spec"]


simple("no_root", "root", lambda it: host(it)["securityContext"], "runAsUser", 0)
simple("no_root", "maybe root", lambda it: host(it)["securityContext"], "runAsNonRoot", None)
simple("no_root", "group of root", lambda it: valkey(it)["securityContext"], "runAsGroup", 0)
simple("no_root", "root in one container", security, "runAsNonRoot", False)
simple("no_privilege", "escalation", security, "allowPrivilegeEscalation", None)
simple("no_privilege", "privileged", security, "privileged", True)
simple("no_privilege", "network of the node", host, "hostNetwork", True)
simple("no_privilege", "processes of the node", host, "hostPID", True)
simple("no_privilege", "port of the node", lambda it: container(it)["ports"][0], "hostPort", 80)
simple("no_privilege", "folder of the node", lambda it: host(it)["volumes"][0], "hostPath", {"path": "/"})
simple("no_capabilities", "kept", lambda it: security(it)["capabilities"], "drop", ["NET_RAW"])
simple("no_capabilities", "added", lambda it: security(it)["capabilities"], "add", ["SYS_ADMIN"])
simple("read_only_root", "writable", security, "readOnlyRootFilesystem", False)
simple("seccomp", "none", lambda it: host(it)["securityContext"], "seccompProfile", None)
simple("seccomp", "unconfined", security, "seccompProfile", {"type": "Unconfined"})
simple("bounded", "no limits", lambda it: container(it)["resources"], "limits", None)
simple("bounded", "no request of memory", lambda it: container(it)["resources"], "requests", {"cpu": "1"})
simple("bounded", "more than the limit", lambda it: container(it)["resources"]["requests"], "memory", "9Gi")
simple("probed", "no liveness", container, "livenessProbe", None)
simple("probed", "no startup", lambda it: valkey(it)["containers"][0], "startupProbe", None)
simple("probed", "a port that is not there", lambda it: container(it)["readinessProbe"]["httpGet"], "port", "amdin")
simple("pinned_images", "latest", container, "image", "warmlink:latest")
simple("pinned_images", "no tag", container, "image", "registry:5000/warmlink")
simple("pinned_images", "always pulled", container, "imagePullPolicy", "Always")
simple("no_rights", "a token", host, "automountServiceAccountToken", None)
simple("no_rights", "a stranger's account", host, "serviceAccountName", "default")
simple("no_rights", "may write", lambda it: get(it, "Role", "prometheus")["rules"][0], "verbs", ["get", "patch"])
simple("no_rights", "reads secrets", lambda it: get(it, "Role", "prometheus")["rules"][0], "resources", ["secrets"])


@breaks("no_rights", "over the cluster")
def _(objects):
    add(objects, "ClusterRoleBinding", "admin", "rbac.authorization.k8s.io/v1")


@breaks("secrets_by_reference", "a Secret")
def _(objects):
    add(objects, "Secret", "warmlink", stringData={"admin-token": "0123456789abcdef"})


@breaks("secrets_by_reference", "a token's value")
def _(objects):
    it = variable(objects, "WARMLINK_ADMIN_TOKEN")
    it.pop("valueFrom")
    it["value"] = "0123456789abcdef"


@breaks("secrets_by_reference", "a password in a URL")
def _(objects):
    variable(objects, "DATABASE_URL")["value"] = "postgres://u:hunter2@db/w"


@breaks("secrets_by_reference", "a password in a URL's options")
def _(objects):
    it = variable(objects, "VALKEY_URL")
    it["value"] = it["value"].replace("sentinel_password=$(VALKEY_PASSWORD)", "sentinel_password=hunter2")


@breaks("secrets_by_reference", "a password in a ConfigMap")
def _(objects):
    add(objects, "ConfigMap", "more", data={"a.yml": "url: redis://:hunter2@valkey:6379"})


simple("services_lead_somewhere", "no pod", lambda it: service("warmlink")(it)["selector"], "app.kubernetes.io/name", "wramlink")
simple("services_lead_somewhere", "no port", lambda it: service("grafana")(it)["ports"][0], "targetPort", "web")
simple("admin_behind_no_service", "by name", lambda it: service("warmlink")(it)["ports"][0], "targetPort", "admin")
simple("admin_behind_no_service", "by number", lambda it: service("warmlink")(it)["ports"][0], "targetPort", 3001)
simple("network_policies_match", "selects nothing", policy_of("valkey-sentinel-from-warmlink"), "podSelector", {"matchLabels": {"app": "x"}})
simple("network_policies_match", "a peer that is not there", lambda it: policy_of("warmlink-to-valkey")(it)["egress"][0]["to"][0], "podSelector", {"matchLabels": {"app": "redis"}})
simple("network_policies_match", "a stranger's namespace", lambda it: policy_of("traefik-to-warmlink")(it)["ingress"][0]["from"][0], "namespaceSelector", {"matchLabels": {"kubernetes.io/metadata.name": "default"}})
simple("network_policies_match", "everybody", lambda it: policy_of("grafana")(it), "ingress", [{"ports": [{"port": 3000}]}])
simple("network_policies_match", "a port that nothing has", lambda it: policy_of("traefik-to-warmlink")(it)["ingress"][0]["ports"][0], "port", 3002)


@breaks("network_policies_match", "a pod without any")
def _(objects):
    objects.remove(get(objects, "NetworkPolicy", "alertmanager"))


simple("host_is_shut_in", "the ingress to admin", lambda it: policy_of("traefik-to-warmlink")(it)["ingress"][0]["ports"][0], "port", 3001)
simple("host_is_shut_in", "anywhere", lambda it: policy_of("warmlink-to-postgres")(it)["egress"][0], "to", None)
simple("host_is_shut_in", "another port", lambda it: policy_of("warmlink-to-postgres")(it)["egress"][0]["ports"][0], "port", 443)


@breaks("host_is_shut_in", "out as it likes")
def _(objects):
    for it in objects:
        if it["kind"] == "NetworkPolicy":
            it["spec"]["policyTypes"] = ["Ingress"]


@breaks("references_exist", "a ConfigMap")
def _(objects):
    objects[:] = [it for it in objects if not it["metadata"]["name"].startswith("valkey-scripts")]


@breaks("references_exist", "a variable that comes later")
def _(objects):
    container(objects)["env"].reverse()


@breaks("references_exist", "an Ingress's Service")
def _(objects):
    backend = get(objects, "Ingress", "warmlink")["spec"]["rules"][0]["http"]["paths"][0]
    backend["backend"]["service"]["port"] = {"name": "https"}


simple("references_exist", "no TLS", lambda it: get(it, "Ingress", "warmlink")["spec"], "tls", None)
simple("references_exist", "a priority", host, "priorityClassName", "high")
simple("references_exist", "a budget for nothing", lambda it: get(it, "PodDisruptionBudget", "valkey")["spec"], "selector", {"matchLabels": {"app": "x"}})


def update(objects):
    return get(objects, "DaemonSet", "warmlink")["spec"]["updateStrategy"]["rollingUpdate"]


simple("replaced_one_by_one", "two at once", update, "maxUnavailable", 2)
simple("replaced_one_by_one", "two on one node", update, "maxSurge", 1)


@breaks("replaced_one_by_one", "no budget")
def _(objects):
    objects.remove(get(objects, "PodDisruptionBudget", "valkey-sentinel"))


simple("time_to_drain", "the default of 30 s", host, "terminationGracePeriodSeconds", None)
simple("time_to_drain", "exactly as long", host, "terminationGracePeriodSeconds", 30)
simple("time_to_drain", "a longer delay", lambda it: variable(it, "WARMLINK_DRAIN_DELAY"), "value", "15s")
simple("time_to_drain", "no delay", lambda it: variable(it, "WARMLINK_DRAIN_DELAY"), "value", "0s")
simple("time_to_drain", "a probe that takes its time", lambda it: container(it)["readinessProbe"], "failureThreshold", 3)


def volume(objects, kind, name, which):
    volumes = get(objects, kind, name)["spec"]["template"]["spec"]["volumes"]
    return next(it for it in volumes if it["name"] == which)


@breaks("changed_configuration_is_a_rollout", "a name that stays")
def _(objects):
    mounted = volume(objects, "StatefulSet", "prometheus", "config")["configMap"]
    get(objects, "ConfigMap", mounted["name"])["metadata"]["name"] = "prometheus"
    mounted["name"] = "prometheus"


@breaks("changed_configuration_is_a_rollout", "a variable of the host's")
def _(objects):
    it = variable(objects, "WARMLINK_NODES")
    it.pop("value")
    it["valueFrom"] = {"configMapKeyRef": {"name": "warmlink", "key": "nodes"}}


simple("host_is_told", "a variable misspelled", lambda it: variable(it, "WARMLINK_NODES"), "name", "WARMLINK_NODE_COUNT")
simple("host_is_told", "no token", lambda it: variable(it, "WARMLINK_ADMIN_TOKEN"), "name", "TOKEN")
simple("host_is_told", "loopback", lambda it: variable(it, "WARMLINK_LISTEN"), "value", "127.0.0.1:3000")
simple("host_is_told", "a node's name of its own", lambda it: variable(it, "WARMLINK_NODE"), "valueFrom", {"fieldRef": {"fieldPath": "metadata.name"}})
simple("host_is_told", "nowhere to write", lambda it: variable(it, "WARMLINK_STATE"), "value", "/app/state")
simple("database_has_room", "too few", lambda it: get(it, "Cluster", "warmlink-postgres")["spec"]["postgresql"]["parameters"], "max_connections", "40")
simple("database_has_room", "more nodes", lambda it: variable(it, "WARMLINK_NODES"), "value", "12")
simple("namespace_is_restricted", "baseline", lambda it: get(it, "Namespace", "warmlink")["metadata"]["labels"], "pod-security.kubernetes.io/enforce", "baseline")
simple("namespace_is_restricted", "elsewhere", lambda it: get(it, "Service", "warmlink")["metadata"], "namespace", "default")
simple("namespace_is_restricted", "nowhere", lambda it: get(it, "Service", "grafana")["metadata"], "namespace", None)


def monitor(objects):
    return get(objects, "PodMonitor", "warmlink")["spec"]


def rules(objects):
    return get(objects, "PrometheusRule", "warmlink-pools")["spec"]["groups"][0]["rules"]


def endpoint(objects):
    return variable(objects, "OTEL_EXPORTER_OTLP_ENDPOINT")


optional("monitors_reach_pods", "no pod", lambda it: monitor(it)["selector"], "matchLabels", {"app": "x"})
optional("monitors_reach_pods", "no port", lambda it: monitor(it)["podMetricsEndpoints"][0], "port", "metrics")
optional("monitors_reach_pods", "the operator's own names", lambda it: monitor(it)["podMetricsEndpoints"][0], "relabelings", [])
optional("monitors_reach_pods", "shut out", lambda it: policy_of("monitoring-to-postgres")(it)["ingress"][0]["ports"][0], "port", 5432)
optional("host_is_shut_in", "a neighbour of Prometheus's", lambda it: policy_of("monitoring-to-warmlink")(it)["ingress"][0]["from"][0], "podSelector", {})
optional("host_is_shut_in", "a port that no collector has", endpoint, "value", "http://otel-collector.monitoring:4317")
optional("traces_reach_their_collector", "nowhere", endpoint, "value", "")
optional("traces_reach_their_collector", "no URL", endpoint, "value", "otel-collector.monitoring:4318")
optional("traces_reach_their_collector", "its path", endpoint, "value", "http://otel-collector.monitoring:4318/v1/traces")
optional("traces_reach_their_collector", "another namespace", endpoint, "value", "http://otel-collector.observability:4318")
optional("traces_reach_their_collector", "its own namespace", endpoint, "value", "http://otel-collector:4318")
optional("traces_reach_their_collector", "another port", lambda it: policy_of("warmlink-to-collector")(it)["egress"][0]["ports"][0], "port", 4317)
optional("traces_reach_their_collector", "no such sampler", lambda it: variable(it, "OTEL_TRACES_SAMPLER"), "value", "ratio")
optional("traces_reach_their_collector", "a share in percent", lambda it: variable(it, "OTEL_TRACES_SAMPLER_ARG"), "value", "10")
optional("traces_reach_their_collector", "a variable misspelled", lambda it: variable(it, "OTEL_RESOURCE_ATTRIBUTES"), "name", "OTEL_RESOURCE_ATTRIBUTE")
optional("secrets", "headers that nobody is told of", lambda it: variable(it, "OTEL_EXPORTER_OTLP_HEADERS")["valueFrom"]["secretKeyRef"], "name", "warmlink-otel")
optional("schema", "a field that no PodMonitor has", lambda it: monitor(it)["podMetricsEndpoints"][0], "targetPort", 3001)
optional("schema", "a rule that is neither", lambda it: rules(it)[0], "alert", None)
optional("schema", "a duration that is none", lambda it: rules(it)[0], "for", "1 minute")
optional("same", "another limit", lambda it: rules(it)[0], "expr", "vector(1) > 0.5")
optional("same", "no dashboard", lambda it: get(it, "ConfigMap", "warmlink-dashboards")["data"], "pools.json", None)


@breaks("same", "a file of rules that is missing", "optional")
def _(objects):
    objects.remove(get(objects, "PrometheusRule", "warmlink-slo"))


@breaks("secrets_by_reference", "a header's value", "optional")
def _(objects):
    it = variable(objects, "OTEL_EXPORTER_OTLP_HEADERS")
    it.pop("valueFrom")
    it["value"] = "authorization=Bearer 0123456789abcdef"


simple("schema", "a field of Kubernetes's misspelled", container, "livenessprobe", {})
simple("schema", "a number for a text", lambda it: variable(it, "WARMLINK_NODES"), "value", 3)
simple("schema", "a field that CloudNativePG has not", lambda it: get(it, "Cluster", "warmlink-postgres")["spec"], "replicas", 3)
simple("schema", "a schedule of five fields", lambda it: get(it, "ScheduledBackup", "warmlink-postgres-daily")["spec"], "schedule", "17 3 * * *")
simple("schema", "no bucket", lambda it: get(it, "ObjectStore", "warmlink-backups")["spec"]["configuration"], "destinationPath", "/backups")
simple("schema", "a middleware of another kind", lambda it: get(it, "Middleware", "retry"), "spec", {"rety": {"attempts": 3}})
simple("schema", "chart values that are no text", lambda it: get(it, "HelmChartConfig", "traefik")["spec"], "valuesContent", {})
simple("values", "chart values that are no mapping", lambda it: get(it, "HelmChartConfig", "traefik")["spec"], "valuesContent", "deployment")
simple("secrets", "a Secret that nobody is told of", lambda it: variable(it, "VALKEY_PASSWORD")["valueFrom"]["secretKeyRef"], "name", "warmlink-redis")


def complaints(which, objects, overlay):
    """What the check of that name says; schemas are slow, so only where they are meant."""
    if which == "same":
        return list(same.faults(overlay, objects))
    if which == "schema":
        return list(validate.schema_faults(objects))
    if which == "values":
        return list(validate.values_faults(objects))
    if which == "secrets":
        return list(validate.undocumented(objects))
    return policy.check(Manifests(objects), SETTINGS)


def twice_is_refused():
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write("kind: A\nspec: {a: 1}\nspec: {b: 2}\n")
        file.flush()
        try:
            validate.load(file.name)
        except yaml.YAMLError:
            return True
    return False


def main(overlay, optional):
    good = {"overlay": validate.load(overlay), "optional": validate.load(optional)}
    failed = [
        f"good manifests are refused: {it}"
        for objects in good.values()
        for it in validate.faults(objects, True)
    ]
    if not twice_is_refused():
        failed.append("a key that is given twice is taken")
    for which, what, function, on in BROKEN:
        objects = copy.deepcopy(good[on])
        function(objects)
        if which not in {found[0] for found in complaints(which, objects, good["overlay"])}:
            failed.append(f"{which} does not see: {what}")
    tried = {which for which, *_ in BROKEN}
    failed += [f"{it.__name__} is never broken" for it in policy.RULES if it.__name__ not in tried]
    for it in failed:
        print(f"selftest: {it}", file=sys.stderr)
    print(f"k8s     {len(BROKEN) + 1} broken manifests, {len(failed)} unseen", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
