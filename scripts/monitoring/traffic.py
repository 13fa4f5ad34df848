"""What is asked of hosts: a little of everything, and far too much of one thing."""

import contextlib
import itertools
import os
import signal
import socket
import threading
import time
import urllib.parse

from world import Failed, another_build, ask, create, until

UPLOAD = (
    "POST /users/bulk HTTP/1.1\r\nhost: a\r\n"
    "content-type: multipart/form-data; boundary=b\r\ncontent-length: 1000000\r\n\r\n"
    '--b\r\ncontent-disposition: form-data; name="file"; filename="users.csv"\r\n'
    "content-type: text/csv\r\n\r\nid,username,email,created_at\n"
)


class Running:
    """Threads that go on until the end of a `with`."""

    def __init__(self, works):
        self.over = threading.Event()
        self.threads = [threading.Thread(target=work, daemon=True) for work in works]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(30)


class Load(Running):
    """A steady load on all hosts: mostly redirects, with creates and lists. A host that
    is gone is passed over, as a balancer does."""

    def __init__(self, hosts, workers=6, pause=0.25):
        self.hosts, self.pause = list(hosts), pause
        self.codes = [create(hosts[0], f"load-{n}") for n in range(8)]
        self.counts, self.lock = {}, threading.Lock()
        super().__init__([lambda n=n: self.work(n) for n in range(workers)])

    def work(self, number):
        for turn in itertools.count(number):
            if self.over.wait(self.pause):
                return
            host = self.hosts[turn % len(self.hosts)]
            if host.process.poll() is not None:
                continue
            try:
                if turn % 5 == 0:
                    status = ask(host.public, "GET", "/urls")[0]
                elif turn % 5 == 1:
                    body = {"original_url": f"https://example.com/{number}/{turn}"}
                    status = ask(host.public, "POST", "/urls", body)[0]
                else:
                    status = ask(host.public, "GET", f"/{self.codes[turn % 8]}")[0]
            except OSError:
                status = 0
            with self.lock:
                self.counts[status] = self.counts.get(status, 0) + 1


class Overload(Running):
    """Uploads that never end: more of them than `import` may have in flight."""

    def __init__(self, host, clients=16):
        self.host = host
        self.refused = 0
        super().__init__([self.work for _ in range(clients)])

    def work(self):
        at = urllib.parse.urlsplit(self.host.public)
        while not self.over.is_set():
            with contextlib.suppress(OSError):
                with socket.create_connection((at.hostname, at.port), 5) as upload:
                    upload.sendall(UPLOAD.encode())
                    self.hold(upload)
            self.over.wait(0.5)

    def hold(self, upload):
        """Sends a little now and then, until there is an answer."""
        upload.settimeout(2)
        while not self.over.is_set():
            with contextlib.suppress(TimeoutError):
                self.refused += upload.recv(64).startswith(b"HTTP/1.1 503")
                return
            upload.sendall(b"1,a,a@example.com,2025-01-01 00:00:00\n")


@contextlib.contextmanager
def frozen(pids):
    """Stops processes for as long as the `with` lasts."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def stir(host, services, folder):
    """Everything that makes a host export something, once."""
    code = create(host, "stir")
    if not code:
        raise Failed("no link was created")
    for method, path, body, expected in [
        ("GET", f"/{code}", None, 302),
        ("GET", f"/{code}", None, 302),
        ("GET", "/urls", None, 200),
        ("GET", "/events", None, 200),
        ("GET", "/health", None, 200),
        ("GET", "/users", None, 200),
        ("POST", "/urls", {"original_url": 1}, None),
        ("GET", "/not/there", None, 404),
    ]:
        status = ask(host.public, method, path, body)[0]
        if (expected and status != expected) or status >= 500:
            raise Failed(f"{method} {path}: {status}")
    other = another_build("health", folder)
    host.command("deploy", "health", other, "--wait")
    host.command("rollback", "health", "--wait")
    host.command("deploy", "health", other, "--canary", "10%", "--wait")
    host.command("rollback", "health", "--wait")
    broken = folder / "broken.wasm"
    broken.write_bytes(b"\0asm, and no more")
    try:
        host.command("deploy", "health", broken, "--wait")
    except Failed:
        pass
    else:
        raise Failed("a component that is none was deployed")
    with Overload(host, 12) as overload:
        until("an upload too many is refused", 30, lambda: overload.refused > 2)
    # Long enough for a command to miss its time.
    with frozen([services["valkey_pid"]]):
        time.sleep(0.4)
        with contextlib.suppress(OSError):
            ask(host.public, "GET", f"/{create(host, 'while frozen')}")


def vary(host, times=30):
    """Requests that differ in all that clients choose: paths, codes, bodies, methods,
    headers and queries."""
    for turn in range(times):
        code = create(host, f"vary-{turn}")
        ask(host.public, "GET", f"/{code}?a={turn}", headers={"host": f"{turn}.example"})
        ask(host.public, "GET", f"/urls/{turn}", headers={"x-request-id": f"vary-{turn}"})
        trace = f"00-{turn + 1:032x}-{turn + 1:016x}-01"
        ask(host.public, "GET", "/health", headers={"traceparent": trace, "tracestate": f"a={turn}"})
        ask(host.public, "GET", f"/nowhere/{turn}")
        ask(host.public, f"M{turn}", "/urls")
