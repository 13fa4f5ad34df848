"""The shell in a workflow, as the runner would have it, to shellcheck and `bash -n`.

Also: actions by their commit or major version, rights stated, and nothing that somebody
outside may write (a title, a branch's name) put into a script.
"""

import re
import subprocess
import sys

import yaml

PINNED = re.compile(r"^(\./.*|[\w.-]+/[\w./-]+@(v\d+(\.\d+)*|[0-9a-f]{40}))$")
# What is put into a script by the runner, before any shell has seen it.
PLACED = re.compile(r"\$\{\{.*?\}\}")


def faults(workflow):
    if "permissions" not in workflow:
        yield "the workflow does not say what rights it needs"
    for name, job in workflow["jobs"].items():
        if "timeout-minutes" not in job:
            yield f"{name}: has no end in time"
        for number, step in enumerate(job.get("steps", []), 1):
            where = f"{name}, step {number}"
            uses = step.get("uses")
            if uses and not PINNED.match(uses):
                yield f"{where}: {uses} is not of a version"
            if "run" in step:
                yield from (f"{where}: {it}" for it in shell_faults(step["run"]))


def shell_faults(script):
    placed = PLACED.findall(script)
    if placed:
        yield f"{placed[0]} is put into the script: hand it over in `env`"
    whole = "#!/bin/bash\nset -eo pipefail\n" + script
    for command in (["bash", "-n"], ["shellcheck", "--severity=warning", "-"]):
        done = subprocess.run(command, input=whole, text=True, capture_output=True, check=False)
        if done.returncode:
            yield f"{command[0]}: {done.stdout}{done.stderr}"


BROKEN = [
    ("rights", {"jobs": {}}),
    ("end in time", {"permissions": {}, "jobs": {"a": {}}}),
    ("version", {"permissions": {}, "jobs": {"a": {"timeout-minutes": 1, "steps": [{"uses": "a/b@main"}]}}}),
    *[
        (what, {"permissions": {}, "jobs": {"a": {"timeout-minutes": 1, "steps": [{"run": run}]}}})
        for what, run in (
            ("put into", "echo '${{ github.head_ref }}'"),
            ("bash:", "if true; then"),
            ("shellcheck:", "export A=$(false)"),
        )
    ],
]


def main(path):
    for what, workflow in BROKEN:
        if not any(what in it for it in faults(workflow)):
            print(f"workflow.py does not see: {what}", file=sys.stderr)
            return 1
    with open(path, encoding="utf-8") as file:
        found = list(faults(yaml.safe_load(file)))
    for it in found:
        print(f"{path}: {it}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
