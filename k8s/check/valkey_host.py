"""The host that valkey_test.py asks, what asks it, and what looks at how it does."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Fault(Exception):
    pass


def eventually(what, seconds, function):
    """How long it took until the function said yes."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        with contextlib.suppress(OSError):
            if function():
                return time.monotonic() - started
        time.sleep(0.05)
    raise Fault(f"{what}: not within {seconds} s")


class Host:
    """The host, by an address of Valkey's, and a PostgreSQL of its own."""

    def __init__(self, folder, valkey):
        self.folder, self.valkey = folder, valkey
        self.process = None
        self.public = self.admin = ""

    def start(self):
        kept = ("PATH", "HOME", "LANG", "TMPDIR")
        environment = {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "VALKEY_URL": self.valkey,
            "WARMLINK_STATE": str(self.folder / "state"),
            "WARMLINK_LISTEN": "127.0.0.1:0",
            "WARMLINK_ADMIN_LISTEN": "127.0.0.1:0",
        }
        with open(self.folder / "host.log", "wb") as log, open(self.folder / "host.out", "wb") as out:
            self.process = subprocess.Popen(
                [ROOT / "target/release/warmlink", "up"], cwd=ROOT, env=environment,
                stdin=subprocess.DEVNULL, stdout=out, stderr=log, start_new_session=True,
            )
        # It makes a database and compiles all components, on whatever machine this is.
        eventually("a host that serves", 240, self.serves)

    def serves(self):
        if self.process.poll() is not None:
            raise Fault(f"the host ended with {self.process.returncode}")
        said = dict(
            line.split(maxsplit=1)
            for line in (self.folder / "host.out").read_text().splitlines()
            if len(line.split(maxsplit=1)) == 2
        )
        self.public, self.admin = (
            said.get(name, "").removeprefix("http://") for name in ("public", "admin"))
        return self.public and self.admin and self.ask("GET", "/health")[0] == 200

    def ask(self, method, path, body=None, at=None):
        """Status, headers and text of an answer. Raises OSError."""
        link = http.client.HTTPConnection(at or self.public, timeout=10)
        try:
            link.request(method, path, body, {"content-type": "application/json"})
            answer = link.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        except http.client.HTTPException as broken:
            raise OSError(f"no whole answer: {broken!r}") from broken
        finally:
            link.close()

    def cache(self):
        return json.loads(self.ask("GET", "/health")[2])["cache"]

    def reconnects(self):
        lines = self.ask("GET", "/metrics", at=self.admin)[2].splitlines()
        found = [it.split()[-1] for it in lines if "valkey_reconnects_total{" in it]
        if not found:
            raise Fault("the host does not say how often it connected anew")
        return sum(float(it) for it in found)

    def end(self):
        if not self.process or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Load:
    """Creates and visits, one after the other, until told to end; none may be refused."""

    def __init__(self, host):
        self.host = host
        self.ended = threading.Event()
        self.lock = threading.Lock()
        self.requests, self.refused, self.slowest = 0, [], 0.0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        turn = 0
        while not self.ended.wait(0.01):
            turn += 1
            target = f"https://example.com/{turn}"
            made = self.timed(201, "POST", "/urls", json.dumps({"original_url": target}))
            if made:
                code = json.loads(made[2])["short_code"]
                for _ in range(2):
                    visit = self.timed(302, "GET", f"/{code}")
                    if visit and visit[1]["location"] != target:
                        self.note(f"{code} leads to {visit[1]['location']}")

    def timed(self, wanted, *request):
        started = time.monotonic()
        try:
            answer = self.host.ask(*request)
        except OSError as broken:
            answer = None
            self.note(f"{request[:2]}: {broken}")
        with self.lock:
            self.requests += 1
            self.slowest = max(self.slowest, time.monotonic() - started)
        if answer and answer[0] != wanted:
            self.note(f"{request[:2]}: {answer[0]} {answer[2][:200]}")
            return None
        return answer

    def note(self, what):
        with self.lock:
            self.refused.append(what)

    def taken(self):
        """What it came to since it was last asked."""
        with self.lock:
            requests, refused, slowest = self.requests, self.refused, self.slowest
            self.requests, self.refused, self.slowest = 0, [], 0.0
        if refused:
            raise Fault(f"{len(refused)} of {requests} requests refused: {refused[:3]}")
        if not requests:
            raise Fault("nothing was asked meanwhile")
        return f"{requests} requests, none refused, {slowest:.2f} s the slowest"

    def end(self):
        self.ended.set()
        self.thread.join(timeout=30)
        return self.taken()


class Watch:
    """For how long a host has no primary, looked at all the time: its own health says that it
    has Valkey, and the server that is primary has connections of its."""

    def __init__(self, host, has_it):
        self.host, self.has_it = host, has_it
        self.last, self.longest, self.tries = time.monotonic(), 0.0, 0
        self.before = host.reconnects()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.ended.wait(0.02):
            with contextlib.suppress(OSError):
                if self.has_it() and self.host.cache() == "ok":
                    now = time.monotonic()
                    self.longest, self.last = max(self.longest, now - self.last), now

    def back(self):
        """Whether it has the primary now, by other connections than before."""
        return self.host.reconnects() > self.before and time.monotonic() - self.last < 0.5

    def end(self):
        self.ended.set()
        self.thread.join(timeout=30)
        return f"the host without a primary for {self.longest:.1f} s"
