"""A small world to look at: private servers, hosts over them, and their traffic.

Everything is on the loopback, on ports that the system chose, and ends with the
program that made it: by pid, never by name.
"""

import contextlib
import http.client
import http.server
import json
import os
import pathlib
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
WARMLINK = pathlib.Path(os.environ.get("WARMLINK_BIN", ROOT / "target/release/warmlink"))
TOKEN = "not-a-secret-of-anybody"
START = 180.0


class Failed(Exception):
    """What was promised did not happen; the text says what and where to look."""


def until(what, seconds, probe, pause=0.1):
    """The first truthy answer of `probe`, or `Failed` after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds:.0f} s")
        time.sleep(pause)


class World(contextlib.ExitStack):
    """A folder, and processes that are ended in the reverse order of their start."""

    def __init__(self):
        super().__init__()
        # An end from outside ends what was started, too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="warmlink-monitoring-"))
        # The private PostgreSQL has a user of its own where we are root.
        self.folder.chmod(0o755)
        self.callback(shutil.rmtree, self.folder, ignore_errors=True)
        tools = str(ROOT / ".warmlink/tools")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("WARMLINK_", "OTEL_"))}
        for name in ("DATABASE_URL", "VALKEY_URL"):
            kept.pop(name, None)
        kept["PATH"] = f"{tools}:{kept.get('PATH', '')}"
        self.environment = kept

    def spawn(self, name, command, **environment):
        """Starts a process whose log is `NAME.log` in the folder."""
        with open(self.folder / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd=ROOT,
                env=self.environment | environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.callback(end, process)
        return process

    def log(self, name, lines=20):
        """The end of a log, for whoever asks why."""
        with contextlib.suppress(OSError):
            text = (self.folder / f"{name}.log").read_text(errors="replace")
            return "\n".join(text.splitlines()[-lines:])
        return ""

    def services(self):
        """A private PostgreSQL and Valkey: their addresses and pids."""
        command = [WARMLINK, "services", "--state", self.folder / "services"]
        process = self.spawn("services", command)
        line = Lines(process.stdout).next(START)
        if not line:
            raise Failed(f"the servers did not start:\n{self.log('services')}")
        return json.loads(line)

    def host(self, name, services, nodes=1, admin="127.0.0.1:0", **more):
        """A host over them, once it is ready."""
        return Host(self, name, services, nodes, admin, more)

    def collector(self):
        """Somewhere to send traces: takes all of them, and looks at none."""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.callback(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}"


class Collector(http.server.BaseHTTPRequestHandler):
    """An answer without a body is all that OTLP asks for."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Lines:
    """What a process prints, a line at a time, without waiting for ever."""

    def __init__(self, stream):
        self.queue = queue.Queue()
        threading.Thread(target=self.read, args=(stream,), daemon=True).start()

    def read(self, stream):
        with contextlib.suppress(ValueError, OSError):
            for line in stream:
                self.queue.put(line)
        self.queue.put("")

    def next(self, seconds):
        """The next line; empty where there is none."""
        with contextlib.suppress(queue.Empty):
            return self.queue.get(timeout=seconds)
        return ""


class Host:
    """A running host."""

    def __init__(self, world, name, services, nodes, admin, more):
        self.name = name
        self.process = world.spawn(
            name,
            [WARMLINK, "up"],
            DATABASE_URL=services["database_url"],
            VALKEY_URL=services["valkey_url"],
            WARMLINK_CONTROL_URL=services["control_url"],
            WARMLINK_ADMIN_TOKEN=TOKEN,
            WARMLINK_NODE=name,
            WARMLINK_NODES=str(nodes),
            WARMLINK_LISTEN="127.0.0.1:0",
            WARMLINK_ADMIN_LISTEN=admin,
            WARMLINK_LOG_FORMAT="text",
            WARMLINK_STATE=str(world.folder / name),
            WARMLINK_CACHE=str(ROOT / ".warmlink/cache"),
            **more,
        )
        lines, said = Lines(self.process.stdout), {}
        deadline = time.monotonic() + START
        while "public" not in said:
            line = lines.next(max(deadline - time.monotonic(), 0))
            if not line:
                raise Failed(f"{name} did not start:\n{world.log(name)}")
            what, _, address = line.strip().partition(" ")
            said[what] = address.strip()
        self.public, self.admin = said["public"], said["admin"]

    def get(self, path, headers=None):
        """What the admin listener answers: status, headers, text."""
        return ask(self.admin, "GET", path, headers=headers)

    def command(self, *words):
        """Runs one of `warmlink`'s commands against this node."""
        done = subprocess.run(
            [str(WARMLINK), *map(str, words), "--url", self.admin],
            cwd=ROOT,
            env=os.environ | {"WARMLINK_ADMIN_TOKEN": TOKEN},
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode != 0:
            raise Failed(f"warmlink {words[0]}: {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()


def ask(base, method, path, body=None, headers=None, seconds=15.0):
    """One request on a connection of its own: status, headers, text."""
    at = urllib.parse.urlsplit(base)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=seconds)
    try:
        data = None if body is None else json.dumps(body)
        head = {"content-type": "application/json"} if body is not None else {}
        connection.request(method, path, data, head | (headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode(errors="replace")
    finally:
        connection.close()


def create(host, number):
    """A link of its own, and its code."""
    status, _, text = ask(
        host.public, "POST", "/urls", {"original_url": f"https://example.com/{number}"}
    )
    return json.loads(text)["short_code"] if status == 201 else None


def another_build(component, folder):
    """The component with an empty section more: other bytes, the same code."""
    source = ROOT / f"target/wasm32-wasip2/guest/{component}.wasm"
    name = b"another"
    made = folder / f"{component}.wasm"
    made.write_bytes(source.read_bytes() + bytes([0, len(name) + 1, len(name)]) + name)
    return made


def end(process):
    """Ends a process, by force where it does not listen."""
    if process.poll() is None:
        with contextlib.suppress(OSError):
            process.send_signal(signal.SIGCONT)
            process.terminate()
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(40)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
    process.stdout.close()


def family(pid):
    """A process and all that it started."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for task in pathlib.Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found
