"""Prometheus and Alertmanager, the real ones, on ports of their own."""

import json
import shutil
import socket
import subprocess
import urllib.parse

from world import ROOT, Failed, ask, until

RULES = ROOT / "k8s/monitoring/rules"
ALERTMANAGER = ROOT / "k8s/monitoring/alertmanager.yaml"


def program(*names):
    """The first of these programs that there is."""
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    raise Failed(
        f"missing: {names[0]}; get it with: apt-get install -y prometheus prometheus-alertmanager"
    )


def promtool(*words):
    """Whether promtool is content, and what it says."""
    done = subprocess.run(
        [program("promtool"), *map(str, words)], capture_output=True, text=True, timeout=600
    )
    return done.returncode == 0, (done.stdout + done.stderr).strip()


def free_port():
    """A port that nobody has now; the programs take none by themselves."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Prometheus:
    """Scrapes hosts, by the rules of the project."""

    def __init__(self, world, hosts, scrape="15s", alertmanager=None):
        targets = [urllib.parse.urlsplit(host.admin).netloc for host in hosts]
        config = {
            "global": {"scrape_interval": scrape, "evaluation_interval": scrape, "scrape_timeout": scrape},
            "rule_files": [str(RULES / "*.yaml")],
            "scrape_configs": [{"job_name": "warmlink", "static_configs": [{"targets": targets}]}],
        }
        if alertmanager:
            watcher = {"static_configs": [{"targets": [alertmanager.address]}]}
            config["alerting"] = {"alertmanagers": [watcher]}
        # YAML is a superset of JSON.
        path = world.folder / "prometheus.yaml"
        path.write_text(json.dumps(config))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.process = world.spawn(
            "prometheus",
            [
                program("prometheus"),
                f"--config.file={path}",
                f"--storage.tsdb.path={world.folder / 'prometheus'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
        )
        ready(self.process, self.url, lambda: world.log("prometheus"))

    def api(self, path, **query):
        """What the API answers."""
        words = urllib.parse.urlencode(query)
        status, _, text = ask(self.url, "GET", f"/api/v1/{path}?{words}")
        answer = json.loads(text)
        if status != 200:
            raise Failed(f"{path} {query}: {answer.get('error')}")
        return answer["data"]

    def query(self, expression):
        """The series of a query, now."""
        found = self.api("query", query=expression)
        return found["result"] if found["resultType"] == "vector" else [found["result"]]

    def rules(self):
        """Every rule, as Prometheus has read it."""
        return [rule for group in self.api("rules")["groups"] for rule in group["rules"]]

    def firing(self):
        """The alerts that fire or are about to: name, state, labels."""
        return [
            (alert["labels"]["alertname"], alert["state"], alert["labels"])
            for alert in self.api("alerts")["alerts"]
        ]


class Alertmanager:
    """Tells two addresses, by the project's configuration."""

    def __init__(self, world, people, heartbeat):
        path = world.folder / "alertmanager.yaml"
        path.write_text(told(people, heartbeat))
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self.process = world.spawn(
            "alertmanager",
            [
                program("prometheus-alertmanager", "alertmanager"),
                f"--config.file={path}",
                f"--storage.path={world.folder / 'alertmanager'}",
                f"--web.listen-address={self.address}",
                "--cluster.listen-address=",
            ],
        )
        ready(self.process, f"http://{self.address}", lambda: world.log("alertmanager"))


def told(people, heartbeat):
    """Alertmanager's configuration with addresses in place of files that hold them, which
    it takes from 0.26 on."""
    text = ALERTMANAGER.read_text()
    for name, url in (("people", people), ("heartbeat", heartbeat)):
        place = f"url_file: /etc/alertmanager/receivers/{name}"
        if place not in text:
            raise Failed(f"{ALERTMANAGER}: no receiver {name}")
        text = text.replace(place, f"url: {url}")
    return text


def ready(process, url, log):
    def answers():
        if process.poll() is not None:
            raise Failed(f"it ended:\n{log()}")
        try:
            return ask(url, "GET", "/-/ready")[0] == 200
        except OSError:
            return False

    until(f"{url} is ready", 60, answers)
