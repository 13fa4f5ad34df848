#!/usr/bin/env python3
"""Whether the right alert reaches somebody, within five minutes, and is over once its
cause is: with the real Prometheus and Alertmanager, by the project's own rules and at
their own times, over a fleet of three hosts under load.

1. Nothing is wrong, and components are swapped: nobody is told of anything.
2. A host is killed, and comes back.
3. PostgreSQL freezes, and thaws.
4. An endpoint is given more than it may have in flight, and then is not.

In each, alerts that do not follow from what was done are a fault. About 18 minutes; the
last lines are the figures.

HEALTHY_SECONDS: how long the first part is (240). ONLY: which of kill, freeze and overload
follow it, with commas between (all).
"""

import contextlib
import http.server
import json
import os
import pathlib
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "monitoring"))

from traffic import Load, Overload, frozen
from watchers import Alertmanager, Prometheus
from world import Failed, World, another_build, family, until

# What the project promises, from the fault to the webhook, and from its end to its word.
LIMIT = 300.0
HEALTHY = float(os.environ.get("HEALTHY_SECONDS", "240"))

# The budget's windows are long: what a fault has burnt is told of for half an hour.
BURNT = {"WarmlinkBudgetBurnsFast", "WarmlinkBudgetBurnsSlowly"}
# What follows from a database that says nothing, besides.
FROZEN = BURNT | {
    "WarmlinkEndpointFailing",
    "WarmlinkLatencyHigh",
    "WarmlinkPoolSaturated",
    "WarmlinkStreamLag",
    "WarmlinkRepairsStopped",
    "WarmlinkInstancesFailing",
    # Which is on the same server.
    "WarmlinkControlAway",
}


def say(text):
    print(f"alerts  {time.strftime('%H:%M:%S')} {text}", flush=True)


class Receiver(http.server.ThreadingHTTPServer):
    """Whom Alertmanager tells: when, of what."""

    def __init__(self, world):
        super().__init__(("127.0.0.1", 0), Told)
        self.told, self.beats = [], 0
        world.callback(self.shutdown)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def heard(self, status, name, after, labels=()):
        """When it was told so for the first time after that moment; `None` if it was not."""
        for at, alert in list(self.told):
            same = alert["status"] == status and alert["labels"]["alertname"] == name
            if at >= after and same and set(labels) <= set(alert["labels"].items()):
                return at
        return None

    def names(self, after):
        """The alerts that it was told of since."""
        return {
            alert["labels"]["alertname"]
            for at, alert in list(self.told)
            if at >= after and alert["status"] == "firing"
        }


class Told(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/heartbeat":
            self.server.beats += 1
        else:
            now = time.monotonic()
            self.server.told += [(now, alert) for alert in body["alerts"]]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


class Test:
    """The fleet, who watches it, and what was seen."""

    def __init__(self, world):
        self.world = world
        self.services = world.services()
        self.hosts = [world.host(name, self.services, 3) for name in ("a", "b", "c")]
        self.receiver = Receiver(world)
        alertmanager = Alertmanager(
            world, self.receiver.url("people"), self.receiver.url("heartbeat")
        )
        self.prometheus = Prometheus(world, self.hosts, alertmanager=alertmanager)
        self.fired, self.faults, self.figures = {}, [], []
        self.over = threading.Event()
        watcher = threading.Thread(target=self.watch, daemon=True)
        watcher.start()
        world.callback(watcher.join, 30)
        world.callback(self.over.set)

    def watch(self):
        """When alerts begin to fire, as Prometheus says."""
        before = set()
        while not self.over.wait(1):
            with contextlib.suppress(Failed, OSError):
                firing = {name for name, state, _ in self.prometheus.firing() if state == "firing"}
                for name in firing - before:
                    say(f"{name} fires")
                    self.fired.setdefault(name, []).append(time.monotonic())
                for name in before - firing:
                    say(f"{name} fires no more")
                before = firing

    def fires(self, name, after):
        return next((at for at in self.fired.get(name, ()) if at >= after), None)

    def calm(self):
        """Now, if nothing fires or is about to, but for what lasts."""
        names = {name for name, _, _ in self.prometheus.firing()}
        return None if names - BURNT - {"WarmlinkWatchdog"} else time.monotonic()

    def healthy(self):
        """Load and swaps, and nothing is wrong."""
        say(f"healthy: {HEALTHY:.0f} s of load and swaps")
        began, swaps = time.monotonic(), 0
        build = another_build("redirect", self.world.folder)
        while time.monotonic() < began + HEALTHY:
            self.hosts[swaps % 3].command("deploy", "redirect", build, "--wait")
            self.over.wait(15)
            self.hosts[swaps % 3].command("rollback", "redirect", "--wait")
            self.over.wait(15)
            swaps += 2
        until("the watchdog is heard", 60, lambda: self.receiver.beats)
        names = set(self.fired) - {"WarmlinkWatchdog"} | self.receiver.names(began)
        if names:
            self.faults.append(f"healthy: {sorted(names)} fired")
        self.figures.append(f"healthy: {HEALTHY:.0f} s, {swaps} swaps, alerts: {len(names)}")

    def fault(self, title, expected, allowed, labels, begin):
        """Does harm, and undoes it once it was told of. `begin` gives what undoes it."""
        say(title)
        began = time.monotonic()
        undo = begin()
        try:
            told = {}
            for name in expected:
                heard = lambda: self.receiver.heard("firing", name, began, labels)
                left = began + LIMIT - time.monotonic()
                told[name] = until(f"{title}: {name} is told", max(left, 0), heard)
        finally:
            undo()
        ended = time.monotonic()
        say(f"{title}: undone")
        for name in expected:
            heard = lambda: self.receiver.heard("resolved", name, ended, labels)
            left = ended + LIMIT - time.monotonic()
            over = until(f"{title}: {name} is over", max(left, 0), heard)
            fired = self.fires(name, began)
            shown = "?" if fired is None else f"{fired - began:.0f}"
            self.figures.append(
                f"{title}: {name}: fires after {shown} s, told after {told[name] - began:.0f} s; "
                f"over {over - ended:.0f} s after its cause"
            )
        # The next fault is not to be told of what is left of this one.
        calm = until(f"{title}: all else is over", LIMIT, self.calm, pause=1) - ended
        self.figures.append(f"{title}: nothing is left after {calm:.0f} s, but for the budget")
        others = self.receiver.names(began) - set(expected)
        if others - allowed:
            self.faults.append(f"{title}: {sorted(others - allowed)} was told, too")
        self.figures.append(f"{title}: told besides: {', '.join(sorted(others)) or 'nothing'}")

    def kill(self):
        victim = self.hosts[2]
        victim.process.kill()

        def again():
            address = urllib.parse.urlsplit(victim.admin).netloc
            self.hosts[2] = self.load.hosts[2] = self.world.host("c", self.services, 3, address)

        return again

    def freeze(self):
        held = frozen(family(self.services["postgres_pid"]))
        held.__enter__()
        return lambda: held.__exit__(None, None, None)

    def overload(self):
        overload = Overload(self.hosts[0])
        overload.__enter__()
        return overload.__exit__

    def run(self):
        at = [("instance", urllib.parse.urlsplit(host.admin).netloc) for host in self.hosts]
        database = ["WarmlinkDatabaseAway", "WarmlinkErrorRateHigh"]
        shed = BURNT | {"WarmlinkErrorRateHigh"}
        parts = {
            "kill": ("a host is killed", ["WarmlinkNodeDown"], set(), at[2:], self.kill),
            "freeze": ("PostgreSQL freezes", database, FROZEN, [], self.freeze),
            "overload": ("an endpoint is overloaded", ["WarmlinkShedding"], shed, at[:1], self.overload),
        }
        only = os.environ.get("ONLY") or ",".join(parts)
        chosen = [parts[name] for name in only.split(",")]
        with Load(self.hosts) as self.load:
            self.healthy()
            for part in chosen:
                self.fault(*part)
        self.figures.append(f"answers by status: {dict(sorted(self.load.counts.items()))}")


def main():
    faults, figures = [], []
    try:
        with World() as world:
            test = Test(world)
            faults, figures = test.faults, test.figures
            test.run()
    except Failed as failed:
        faults.append(str(failed))
    for figure in figures:
        print(f"alerts  {figure}")
    for fault in faults:
        print(f"alerts  FAULT {fault}", file=sys.stderr)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
