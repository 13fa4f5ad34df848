"""The image's bill of materials: CycloneDX 1.5 of the host, the components and the system.

Of `cargo metadata`, what is linked: normal and build dependencies of the host for its
target, and of each component for WebAssembly. Then the system's libraries that the host
loads. A script, because cargo-cyclonedx makes one document for each crate, takes minutes to
build, and knows nothing of the C library.

    sbom.py HOST_BINARY
"""

import datetime
import hashlib
import json
import os
import platform
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGETS = {"host": f"{platform.machine()}-unknown-linux-gnu", "guest": "wasm32-wasip2"}


def run(*command):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def metadata(target):
    return json.loads(
        run("cargo", "metadata", "--locked", "--format-version=1", "--filter-platform", target)
    )


def linked(meta, roots):
    """Every package that these roots need to be built: not what only tests need."""
    nodes = {node["id"]: node for node in meta["resolve"]["nodes"]}
    found, open_ = set(), list(roots)
    while open_:
        identity = open_.pop()
        if identity in found:
            continue
        found.add(identity)
        for dependency in nodes[identity]["deps"]:
            if any(kind["kind"] in (None, "build") for kind in dependency["dep_kinds"]):
                open_.append(dependency["pkg"])
    return found, nodes


def crate(package, checksums):
    name, version = package["name"], package["version"]
    purl = f"pkg:cargo/{name}@{version}"
    component = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
    }
    if package.get("license"):
        component["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    checksum = checksums.get((name, version))
    if checksum:
        component["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package.get("repository"):
        component["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return component


def system(binary):
    """The Debian packages of the libraries that the host is linked with."""
    seen = {}
    for line in run("ldd", binary).splitlines():
        path = next((word for word in line.split() if word.startswith("/")), None)
        if not path:
            continue
        try:
            # The package knows the file by the one of its two paths that it has it at.
            owner = ""
            for known in (path, path.removeprefix("/usr"), "/usr" + path):
                done = subprocess.run(["dpkg", "-S", known], capture_output=True, text=True)
                owner = owner or done.stdout.split(": ")[0]
            version = run("dpkg-query", "-W", "-f=${Version}", owner)
        except (FileNotFoundError, subprocess.CalledProcessError):
            raise SystemExit(f"sbom: no package of this system has {path}") from None
        name = owner.split(":")[0]
        purl = f"pkg:deb/debian/{name}@{version}"
        seen[purl] = {
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": version,
            "purl": purl,
        }
    return list(seen.values())


def main(binary):
    checksums = {
        (it["name"], it["version"]): it.get("checksum")
        for it in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    }
    manifest = tomllib.loads((ROOT / "spin.toml").read_text())
    guests = [Path(it["source"]).stem for it in manifest["component"].values()]
    packages, edges = {}, {}
    for kind, names in (("host", ["warmlink"]), ("guest", guests)):
        meta = metadata(TARGETS[kind])
        by_id = {it["id"]: it for it in meta["packages"]}
        members = set(meta["workspace_members"])
        roots = [it["id"] for it in meta["packages"] if it["id"] in members and it["name"] in names]
        if len(roots) != len(set(names)):
            raise SystemExit(f"sbom: not all of {names} are in the workspace")
        found, nodes = linked(meta, roots)
        for identity in found:
            one = crate(by_id[identity], checksums)
            packages[one["bom-ref"]] = one
            refs = edges.setdefault(one["bom-ref"], set())
            for dependency in nodes[identity]["deps"]:
                if dependency["pkg"] in found:
                    other = by_id[dependency["pkg"]]
                    refs.add(f"pkg:cargo/{other['name']}@{other['version']}")
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    libraries = system(binary)
    image = "warmlink-image"
    tops = [f"pkg:cargo/{name}@{version}" for name in ["warmlink", *guests]]
    edges[image] = {*tops, *(it["bom-ref"] for it in libraries)}
    components = sorted([*packages.values(), *libraries], key=lambda it: it["bom-ref"])
    listed = json.dumps(components, sort_keys=True).encode()
    taken = datetime.datetime.fromtimestamp(
        int(os.environ.get("SOURCE_DATE_EPOCH", "0")), datetime.timezone.utc
    )
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        # The same for the same contents.
        "serialNumber": f"urn:uuid:{uuid.UUID(hashlib.sha256(listed).hexdigest()[:32], version=5)}",
        "version": 1,
        "metadata": {
            "timestamp": taken.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "container",
                "bom-ref": image,
                "name": "warmlink",
                "version": version,
            },
        },
        "components": components,
        "dependencies": [
            {"ref": ref, "dependsOn": sorted(others)} for ref, others in sorted(edges.items())
        ],
    }
    json.dump(bill, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main(sys.argv[1])
