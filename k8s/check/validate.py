"""Validates rendered manifests: schemas, rules, and that what they need is written down.

    validate.py [--part] NAME FILE ...

`--part` for what is not whole: a component with no overlay around it.
"""

import json
import sys
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

import policy
import settings
from model import Manifests, called, containers

# The newest that k3s has a stable release of, and the oldest that has all we use.
VERSIONS = ("1.35", "1.37")
SCHEMAS = Path(__file__).resolve().parents[1] / "schemas"
# Secrets that CloudNativePG and cert-manager make themselves.
MADE = {"warmlink-postgres-app", "warmlink-postgres-ca", "warmlink-tls"}


class Loader(yaml.SafeLoader):
    """One that refuses a key that is given twice, where YAML's takes the last."""


def mapping(loader, node, deep=False):
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise yaml.YAMLError(f"{sorted(twice)} given twice{node.start_mark}")
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


def load(path):
    with open(path, encoding="utf-8") as file:
        return [it for it in yaml.load_all(file, Loader) if it]


def own_schemas():
    for path in SCHEMAS.glob("*.json"):
        schema = json.loads(path.read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        properties = schema["properties"]
        yield (properties["apiVersion"]["const"], properties["kind"]["const"]), schema


def schema_faults(objects):
    own = dict(own_schemas())
    for it in objects:
        schema = own.get((it["apiVersion"], it["kind"]))
        if schema:
            for error in jsonschema.Draft202012Validator(schema).iter_errors(it):
                where = ".".join(str(part) for part in error.absolute_path)
                yield "schema", called(it), f"{where}: {error.message}"
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(it, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                where = ".".join(str(part) for part in error.path)
                yield "schema", called(it), f"{where}: {error.message} ({version})"
            except kubernetes_validate.SchemaNotFoundError as error:
                yield "schema", called(it), error.message


def values_faults(objects):
    """What k3s gives to its chart is YAML of its own."""
    for it in objects:
        if it["kind"] == "HelmChartConfig":
            values = yaml.load(it["spec"]["valuesContent"], Loader)
            if not isinstance(values, dict):
                yield "values", called(it), "valuesContent is no mapping"


def secrets(objects):
    """Every Secret that is named anywhere, and the keys that are asked of it."""
    named = {}
    manifests = Manifests(objects)
    for pod in manifests.pods():
        for container in containers(pod.spec):
            for variable in container.get("env", []):
                source = variable.get("valueFrom", {}).get("secretKeyRef")
                if source:
                    named.setdefault(source["name"], set()).add(source["key"])
        for volume in pod.spec.get("volumes", []):
            if "secret" in volume:
                named.setdefault(volume["secret"]["secretName"], set())
    for it in manifests.of("ObjectStore"):
        for source in it["spec"]["configuration"].get("s3Credentials", {}).values():
            named.setdefault(source["name"], set()).add(source["key"])
    for it in manifests.of("Cluster"):
        for role in it["spec"].get("managed", {}).get("roles", []):
            if "passwordSecret" in role:
                named.setdefault(role["passwordSecret"]["name"], set()).add("password")
    return named


def undocumented(objects):
    """Nobody can make a Secret that they are not told of."""
    guide = (SCHEMAS.parent / "README.md").read_text()
    for name, keys in secrets(objects).items():
        if name in MADE:
            continue
        for word in {name, *keys}:
            if f"{word}" not in guide:
                yield "secrets", name, f"k8s/README.md does not say how to make {word!r}"


def faults(objects, whole):
    yield from schema_faults(objects)
    yield from values_faults(objects)
    yield from policy.check(Manifests(objects), settings.read(whole))
    if whole:
        yield from undocumented(objects)


def main(arguments):
    whole = "--part" not in arguments
    name, *paths = [it for it in arguments if it != "--part"]
    objects = [it for path in paths for it in load(path)]
    found = list(faults(objects, whole))
    for which, owner, what in found:
        print(f"{name}: {owner}: {what} [{which}]", file=sys.stderr)
    if not found:
        print(f"k8s     {name}: {len(objects)} objects, {len(policy.RULES)} rules", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
