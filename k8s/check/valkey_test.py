"""Runs the scripts of components/valkey with real servers below a host, and takes servers away.

Three servers and three sentinels, each on an address of its own on loopback, started by the
very files that the pods run, and the host by the sentinels' address as host.yaml has it, with
a PostgreSQL that it starts itself. Needs valkey-server, valkey-cli (or redis-cli), and the
host and the components built. About a minute.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from valkey_host import ROOT, Fault, Host, Load, Watch, eventually

FILES = ROOT / "k8s/components/valkey/files"
SERVERS = [f"127.77.0.1{n}" for n in range(3)]
SENTINELS = [f"127.77.0.2{n}" for n in range(3)]
PASSWORD = "of-this-test-alone"
SENTINEL_PASSWORD = "of-its-sentinels-alone"
# As components/valkey/host.yaml has it.
ADDRESS = (
    f"redis-sentinel://:{PASSWORD}@{','.join(f'{it}:26379' for it in SENTINELS)}/0"
    f"?sentinel_username=warmlink&sentinel_password={PASSWORD}#warmlink"
)


def program(*names):
    for name in names:
        found = shutil.which(name) or ROOT / ".warmlink/tools" / name
        if Path(found).exists():
            return str(Path(found).resolve())
    raise SystemExit(f"valkey: missing: {' or '.join(names)}")


def command(host, *words, port=6379, wait=1.0, account=(PASSWORD,)):
    """One command's answer, as text; an error's text, too. Raises OSError."""
    with socket.create_connection((host, port), timeout=wait) as link:
        link.settimeout(wait)
        for one in (("AUTH", *account), words):
            link.sendall(
                f"*{len(one)}\r\n".encode()
                + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in one)
            )
            answer = reply(link)
    return answer


def reply(link):
    data = b""
    while True:
        data += link.recv(65536) or stop()
        head, separator, rest = data.partition(b"\r\n")
        if not separator:
            continue
        if head[:1] in b"+-:":
            return head.decode()
        if head[:1] == b"$":
            size = int(head[1:])
            if size < 0 or len(rest) >= size + 2:
                return rest[: max(size, 0)].decode()
        if head[:1] == b"*" and data.count(b"\r\n") > 2 * int(head[1:]):
            return rest.split(b"\r\n")[1].decode()


def stop():
    raise OSError("the connection ended")


def role(host):
    with contextlib.suppress(OSError):
        text = command(host, "INFO", "replication")
        return "primary" if "role:master" in text else "replica"
    return None


def linked(host):
    return "master_link_status:up" in command(host, "INFO", "replication")


def primaries():
    return [host for host in SERVERS if role(host) == "primary"]


def asked(sentinel, *words, account=(SENTINEL_PASSWORD,)):
    return command(sentinel, "SENTINEL", *words, port=26379, account=account)


def primary():
    """The one that is; OSError where it is none or two of them."""
    found = primaries()
    return found[0] if len(found) == 1 else stop()


def written(key, value="v"):
    """By the servers' own word, without the host."""
    return command(primary(), "SET", key, value) == "+OK"


class Cluster:
    def __init__(self, folder):
        self.folder = folder
        self.running = {}
        programs = folder / "bin"
        programs.mkdir()
        for name, path in [
            ("valkey-server", program("valkey-server")),
            ("valkey-cli", program("valkey-cli", "redis-cli")),
        ]:
            (programs / name).symlink_to(path)
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}:/usr/sbin",
            "VALKEY_PASSWORD": PASSWORD,
            "SENTINEL_PASSWORD": SENTINEL_PASSWORD,
            "SERVERS": " ".join(SERVERS),
            "SENTINELS": " ".join(SENTINELS),
            "FIRST": SERVERS[0],
        }

    def start(self, host):
        data, run = self.folder / f"{host}.data", self.folder / f"{host}.run"
        data.mkdir(exist_ok=True)
        run.mkdir(exist_ok=True)
        script = FILES / ("valkey.sh" if host in SERVERS else "sentinel.sh")
        with open(self.folder / f"{host}.log", "ab") as log:
            self.running[host] = subprocess.Popen(
                ["sh", str(script)],
                env={**self.environment, "ME": host, "BIND": host, "DATA": str(data), "RUN": str(run)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, host, how=signal.SIGKILL):
        process = self.running.pop(host)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        process.wait(timeout=20)

    def script(self, name, host):
        environment = {**self.environment, "ME": host, "BIND": host}
        return subprocess.run(["sh", FILES / name], env=environment, timeout=60, check=False).returncode

    def end(self):
        for host in list(self.running):
            self.kill(host)


def say(text):
    print(f"valkey  {text}", file=sys.stderr, flush=True)


def seen(sentinel):
    """Whether it knows two replicas that are up, and follow the primary that it knows."""
    with socket.create_connection((sentinel, 26379), timeout=1) as link:
        link.sendall(f"AUTH {SENTINEL_PASSWORD}\r\nSENTINEL REPLICAS warmlink\r\nPING\r\n".encode())
        data = b""
        while not data.endswith(b"+PONG\r\n"):
            data += link.recv(65536) or stop()
    lines = data.decode().split("\r\n")
    flags = [lines[n + 2] for n, it in enumerate(lines) if it == "flags"]
    links = [lines[n + 2] for n, it in enumerate(lines) if it == "master-link-status"]
    return flags == ["slave"] * 2 and links == ["ok"] * 2


def host_has_it():
    return "lib-name=warmlink" in command(primary(), "CLIENT", "LIST")


def whole():
    primary = primaries()
    return len(primary) == 1 and all(linked(it) for it in SERVERS if it not in primary)


def run(cluster, host):
    for it in [*SERVERS, *SENTINELS]:
        cluster.start(it)
    took = eventually("one primary, two replicas that have it all", 60, whole)
    if primaries() != [SERVERS[0]]:
        raise Fault(f"the first start made {primaries()} primary")
    eventually("sentinels that know each other", 30, lambda: all(
        asked(it, "CKQUORUM", "warmlink").startswith("+OK 3") for it in SENTINELS))
    eventually("sentinels that see both replicas", 60, lambda: all(seen(it) for it in SENTINELS))
    say(f"one primary and two replicas after {took:.1f} s")
    if any(cluster.script("ready.sh", it) for it in SERVERS):
        raise Fault("a server that is whole is not called ready")

    # Who has the address that hosts have may ask for the primary, and no more than that.
    of_hosts = ("warmlink", PASSWORD)
    if asked(SENTINELS[0], "GET-MASTER-ADDR-BY-NAME", "warmlink", account=of_hosts) != SERVERS[0]:
        raise Fault("a sentinel does not tell a host who is primary")
    for words in (("FAILOVER", "warmlink"), ("REMOVE", "warmlink"), ("CKQUORUM", "warmlink")):
        if "NOPERM" not in asked(SENTINELS[0], *words, account=of_hosts):
            raise Fault(f"a host may tell a sentinel {words}")
    if "NOAUTH" not in asked(SENTINELS[0], "MYID", account=(PASSWORD,)):
        raise Fault("the servers' password opens a sentinel")

    host.start()
    took = eventually("a host that has Valkey", 60, lambda: host_has_it() and host.cache() == "ok")
    load = Load(host)
    say(f"the host has found the primary {took:.1f} s after it served")

    # The primary is gone, without a word.
    if not written("kept", "1") or command(SERVERS[0], "WAIT", "2", "5000") != ":2":
        raise Fault("nothing was replicated")
    watch = Watch(host, host_has_it)
    cluster.kill(SERVERS[0])
    took = eventually("writes after the primary was killed", 60, lambda: written("after-kill"))
    eventually("the host with the new primary", 60, watch.back)
    second = primary()
    if command(second, "GET", "kept") != "1":
        raise Fault("what two servers had is lost")
    say(f"primary killed: writes again after {took:.1f} s; {watch.end()}; {load.taken()}")

    # It comes back, and may not think itself primary for a moment.
    cluster.start(SERVERS[0])
    deadline = time.monotonic() + 40
    while not (role(SERVERS[0]) == "replica" and linked(SERVERS[0])):
        if role(SERVERS[0]) == "primary":
            raise Fault("who comes back is a second primary")
        if time.monotonic() > deadline:
            raise Fault("who comes back does not follow")
        time.sleep(0.02)
    eventually("all three", 30, whole)

    # What `minReadySeconds` waits for: that the sentinels know of it.
    eventually("sentinels that see both replicas", 60, lambda: all(seen(it) for it in SENTINELS))
    # The primary is told to end, as a drain does.
    watch = Watch(host, host_has_it)
    longest, last = 0.0, time.monotonic()
    leaving = subprocess.Popen(
        ["sh", FILES / "leave.sh"],
        env={**cluster.environment, "ME": second, "BIND": second},
    )
    until = time.monotonic() + 30
    while time.monotonic() < until and (leaving.poll() is None or time.monotonic() - last > 1):
        with contextlib.suppress(OSError):
            if written("hand-over"):
                longest, last = max(longest, time.monotonic() - last), time.monotonic()
        time.sleep(0.02)
    longest = max(longest, time.monotonic() - last)
    if leaving.wait(30) or role(second) != "replica":
        raise Fault("the primary did not hand over")
    # Its pod ends then.
    cluster.kill(second, signal.SIGTERM)
    eventually("the host with the new primary", 60, watch.back)
    third = primary()
    say(f"primary told to end: no write for {longest:.1f} s at the longest; {watch.end()}; {load.taken()}")
    cluster.start(second)
    eventually("all three", 40, whole)

    # Alone, it refuses what would be lost.
    others = [it for it in SERVERS if it != third]
    for it in others:
        cluster.kill(it)
    took = eventually("a primary alone that refuses writes", 30, lambda: (
        "NOREPLICAS" in command(third, "SET", "alone", "1")))
    say(f"both replicas killed: writes refused after {took:.1f} s; {load.taken()}")
    for it in others:
        cluster.start(it)
    eventually("all three", 60, whole)
    eventually("a write", 20, lambda: written("cut", "2"))
    command(third, "WAIT", "2", "5000")
    time.sleep(1.1)  # `appendfsync everysec`: what a power cut takes is the last second

    # The power goes, and comes back for all but two sentinels.
    for it in list(cluster.running):
        cluster.kill(it)
    for it in [*SERVERS, SENTINELS[0]]:
        cluster.start(it)
    time.sleep(5)  # that nothing happens cannot be awaited
    if any(role(it) for it in SERVERS):
        raise Fault("servers start on one sentinel's word")
    for it in SENTINELS[1:]:
        cluster.start(it)
    took = eventually("all three after the power cut", 60, whole)
    # Whichever is primary: all three had it.
    if command(primary(), "GET", "cut") != "2":
        raise Fault("what was on three disks is lost")
    back = eventually("the host with Valkey after the power cut", 60, lambda: host.cache() == "ok")
    say(f"power cut: one primary, with its data, {took:.1f} s after two sentinels were back; "
        f"the host had it {back:.1f} s later; {load.end()}")


def main():
    folder = Path(tempfile.mkdtemp())
    # A private PostgreSQL runs as an account of its own, which has to reach its folder.
    folder.chmod(0o755)
    cluster, host = Cluster(folder), Host(folder, ADDRESS)
    try:
        run(cluster, host)
    except (Fault, OSError) as fault:
        for log in sorted(folder.glob("*.log")):
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}", file=sys.stderr)
        say(f"FAILED: {fault}")
        return 1
    finally:
        host.end()
        cluster.end()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
