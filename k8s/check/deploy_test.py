"""Runs scripts/deploy.sh against a cluster that is made up, and looks at what it did to it.

`kubectl kustomize` is the real one; every other call is answered by a stand-in, which writes
down what was asked. The service that is asked in the end is a server of this test's.
"""

import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Reads its behaviour from the environment: a word that an argument list holds, and the code
# that such a call ends with.
STAND_IN = """#!/bin/sh
case "$1" in kustomize) exec "$REAL" "$@" ;; esac
echo "$*" >>"$CALLS"
for fault in $FAULTS; do
    case "$*" in *${fault%=*}*) exit "${fault#*=}" ;; esac
done
case "$*" in
*--dry-run*) ;;
apply*)
    for file in "$@"; do :; done
    grep -E "^ +(- )?image: " "$file" >"$CALLS.images"
    ;;
*jsonpath*)
    # As many times as it was asked, so that the first answer can differ.
    echo x >>"$CALLS.asked"
    if [ "$(wc -l <"$CALLS.asked")" = 1 ]; then echo "$BEFORE"; else echo "$AFTER"; fi
    ;;
esac
"""

BEFORE = 'DaemonSet/warmlink {"image":"a:1"}\nStatefulSet/valkey {"image":"v:1"}'
AFTER = 'DaemonSet/warmlink {"image":"a:2"}\nStatefulSet/valkey {"image":"v:1"}'


class Service(http.server.BaseHTTPRequestHandler):
    """As much of a shortener as a smoke test asks for."""

    broken = False
    links: dict = {}

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        if self.path == "/health" or self.path.startswith("/urls/"):
            self.answer(200)
        elif self.broken:
            self.answer(503)
        else:
            self.answer(302, location=self.links[self.path[1:]])

    do_HEAD = do_GET

    def do_POST(self):
        text = self.rfile.read(int(self.headers["content-length"])).decode()
        self.links["abc123"] = text.split('"')[3]
        self.answer(201, b'{"id":7,"user_id":null,"short_code":"abc123"}')

    def do_DELETE(self):
        self.answer(204)

    def log_message(self, *_):
        pass


def deploy(url, before=BEFORE, after=AFTER, faults="diff=1", overlay="homelab", **more):
    work = Path(tempfile.mkdtemp())
    stand_in = work / "kubectl"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{work}:{os.environ['PATH']}",
        "REAL": shutil.which("kubectl"),
        "CALLS": str(work / "calls"),
        "FAULTS": faults,
        "BEFORE": before,
        "AFTER": after,
        "SMOKE_URL": url,
        "YES": "1",
        **more,
    }
    done = subprocess.run(
        ["sh", "scripts/deploy.sh", overlay],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )
    calls = (work / "calls").read_text().splitlines() if (work / "calls").exists() else []
    images = work / "calls.images"
    done.images = images.read_text() if images.exists() else ""
    shutil.rmtree(work)
    return done, calls


def applied(calls):
    return [it for it in calls if it.startswith("apply") and "--dry-run" not in it]


def undone(calls):
    return [it.split()[-1] for it in calls if "rollout undo" in it]


def cases(url):
    done, calls = deploy(url)
    yield "all is well", done.returncode == 0 and applied(calls) and not undone(calls), done
    ordered = ("dry-run", "diff", "apply --server-side --force-conflicts --field-manager=warmlink -f",
               "wait --for=condition=Ready cluster", "rollout status DaemonSet/warmlink", "exec daemonset")
    places = [next((i for i, it in enumerate(calls) if word in it), -1) for word in ordered]
    yield "in this order", -1 not in places and places == sorted(places), done

    done, calls = deploy(url, faults="--dry-run=server=1")
    yield "refused by the cluster: nothing is changed", done.returncode and not applied(calls), done

    done, calls = deploy(url, faults="diff=2")
    yield "a diff that failed: nothing is changed", done.returncode and not applied(calls), done

    # `?` stands for a blank, at which faults are told apart.
    for what, fault in [
        ("no database", "cluster/warmlink-postgres=1"),
        ("no rollout", "status?DaemonSet=1"),
        ("no word of the nodes", "exec=1"),
    ]:
        done, calls = deploy(url, faults=f"diff=1 {fault}")
        yield f"{what}: what changed goes back", (
            done.returncode == 1 and undone(calls) == ["DaemonSet/warmlink"]
        ), done

    Service.broken = True
    done, calls = deploy(url)
    Service.broken = False
    yield "a service that fails: what changed goes back", (
        done.returncode == 1 and undone(calls) == ["DaemonSet/warmlink"]
    ), done

    done, calls = deploy(url, before="", faults="diff=1 exec=1")
    yield "the first time: nothing to go back to", done.returncode == 1 and not undone(calls), done

    done, calls = deploy(url, after=BEFORE, faults="diff=1 exec=1")
    yield "no pod changed: none goes back", done.returncode == 1 and not undone(calls), done

    digest = "sha256:" + "a" * 64
    for image, wanted in [(f"reg:5000/w@{digest}", f"reg:5000/w@{digest}"), ("reg:5000/w:2", "reg:5000/w:2")]:
        done, calls = deploy(url, IMAGE=image)
        yield f"runs {wanted}", done.returncode == 0 and f"image: {wanted}\n" in done.images, done
    done, calls = deploy(url, IMAGE="warmlink")
    yield "an image of no version", done.returncode == 64 and not calls, done
    done, calls = deploy(url, overlay="nowhere")
    yield "an overlay that is not there", done.returncode == 64 and not calls, done


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    count = failed = 0
    for what, kept, done in cases(f"http://127.0.0.1:{server.server_port}"):
        count += 1
        if not kept:
            failed += 1
            print(f"deploy: {what}: code {done.returncode}\n{done.stdout}{done.stderr}", file=sys.stderr)
    server.shutdown()
    print(f"k8s     {count} rollouts to a cluster that is made up, {failed} wrong", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
