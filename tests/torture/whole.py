#!/usr/bin/env python3
"""All four processes and counting apps are killed with SIGKILL at random under load, while /metrics is scraped every 0.2 s.

Afterwards: every entry of an app is stored once, in order; every counter holds exactly what the apps counted (an app that was killed
may have counted one more than it could note); no scrape ever showed a counter running backwards; every change of every alert
was notified, and again only with the same dedup_key where the alerter was killed between sending and noting it.
"""

import collections
import http.client
import http.server
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from harness import BUILD, LONG, Instance, expect, main, wait_until  # noqa: E402

SECONDS = 60 if LONG else int(os.environ.get("TASKFORGE_TORTURE_SECONDS", "20"))
APP = BUILD / "tests/torture/counting_app"
FIELDS = ("entries", "by_handle", "timed", "by_name", "refused")

RULES = """
channels:
  - {{ name: hook, type: webhook, url: "http://127.0.0.1:{port}/alert" }}
default_channels: [hook]
rules:
  - {{ id: trip, name: Somebody tripped, severity: error, condition: {{ log: {{ level: error, service: trip, count_threshold: 1, time_window: 1s }} }} }}
  - {{ id: counted, name: Something was counted, severity: info, condition: {{ metric: {{ name: torture_by_name, operator: ">", threshold: 0 }} }} }}
"""


class App:
    """One app; what it was told in its progress file outlives it."""

    def __init__(self, instance, name, rate):
        self.name = name
        self.path = instance.root / f"{name}.progress"
        self.path.write_bytes(b"\0" * 8 * len(FIELDS))
        self.process = subprocess.Popen([str(APP), name, str(rate), str(self.path)], env=instance.env, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        self.killed = False

    def progress(self):
        return dict(zip(FIELDS, struct.unpack(f"={len(FIELDS)}Q", self.path.read_bytes())))

    def kill(self):
        self.killed = True
        self.process.kill()
        self.process.wait()

    def finish(self):
        self.process.stdin.close()  # the app ends well when its stdin does
        status = self.process.wait(90)
        expect(status == 0, f"app {self.name} ended with {status}: {self.process.stderr.read()[-300:]}")


class Receiver:
    """A webhook endpoint that keeps every notification."""

    def __init__(self):
        self.bodies = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if len(body) == int(self.headers["Content-Length"]):  # else its sender was killed on the way
                    receiver.bodies.append(json.loads(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.port = self.server.server_address[1]


def parse(text):
    """Samples of a Prometheus text, by their name with labels; which families are counters or histograms."""
    samples, growing = {}, set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ", 3)
            if kind in ("counter", "histogram"):
                growing.add(name)
        elif line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            samples[name] = float(value)
    return samples, growing


def family(sample):
    name = sample.split("{")[0]
    for suffix in ("_bucket", "_sum", "_count"):
        if name.endswith(suffix):
            return name[: -len(suffix)]
    return name


class Scraper(threading.Thread):
    """Scrapes every 0.2 s, whatever restarts, and looks whether a counter runs backwards."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.highest = {}
        self.backwards = []
        self.scrapes = self.failures = 0
        self.stopping = threading.Event()

    def scrape(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            return answer.read().decode() if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def look(self, text):
        samples, growing = parse(text)
        for name, value in samples.items():
            if family(name) not in growing or name.startswith("node_"):
                continue
            if value < self.highest.get(name, 0):
                self.backwards.append(f"{name} fell from {self.highest[name]} to {value}")
            self.highest[name] = value

    def run(self):
        while not self.stopping.wait(0.2):
            text = self.scrape()
            if text is None:
                self.failures += 1
                continue
            self.scrapes += 1
            self.look(text)


def free_port():
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    port = server.server_address[1]
    server.server_close()
    return port


def check_entries(instance, app):
    told = app.progress()["entries"]
    found = [int(entry["message"].split()[1]) for entry in instance.query("-s", app.name, '{module!="crash"}')]
    expect(found == list(range(len(found))), f"{app.name}: not each number once in order")
    most = told + 1 if app.killed else told
    expect(told <= len(found) <= most, f"{app.name}: {len(found)} stored, {told} calls returned")
    ends = instance.count("-s", app.name, '{module="crash"}')
    expect(ends == app.killed, f"{app.name}: its end was told {ends} times")


def check_count(app, what, told, total):
    most = told + 1 if app.killed else told
    expect(told <= total <= most, f"{app.name}: {what} is {total}, the app counted {told}{' and was killed' if app.killed else ''}")


def check_alerts(instance, receiver, alerter_kills):
    """Every change that was stored was notified, in order; a repeat has the same key, and is due to a kill."""
    alerts = [json.loads(line) for line in instance.run("tfctl", "alerts", "--all", "-o", "json").stdout.splitlines()]
    told = collections.defaultdict(list)
    for body in receiver.bodies:
        told[body["id"]].append(body)
    repeats = 0
    for alert in alerts:
        states = [body["status"] for body in told[alert["id"]]]
        expect("active" in states, f"alert {alert['id']} of {alert['rule_id']} was never notified: {states}")
        if alert["status"] == "resolved":
            expect("resolved" in states, f"the end of alert {alert['id']} was never notified: {states}")
        expect(states == sorted(states), f"alert {alert['id']}: notified in the order {states}")
        expect(len({body["dedup_key"] for body in told[alert["id"]]}) == 1, f"alert {alert['id']}: more than one dedup_key")
        repeats += len(states) - len(set(states))
    expect(repeats <= alerter_kills, f"{repeats} notifications were sent again over {alerter_kills} kills")
    known = {alert["id"] for alert in alerts}
    expect(set(told) <= known, f"notified of alerts that nobody knows: {set(told) - known}")
    return len(alerts), repeats


def everything_is_told_once_and_exactly_whatever_is_killed():
    seed = int(os.environ.get("TASKFORGE_SEED", "0")) or random.randrange(1 << 30)
    print(f"     seed {seed}, {SECONDS} s", flush=True)
    chance = random.Random(seed)
    receiver, port = Receiver(), free_port()
    with Instance() as instance:
        rules = instance.root / "rules.yaml"
        rules.write_text(RULES.format(port=receiver.port))
        instance.config.write_text(
            f"runtime_dir: {instance.runtime}\ndata_dir: {instance.data}\nring: {{ size: 16MiB }}\n"
            "agent: { inputs: [], host_metrics: { interval: 1s } }\n"
            f"collector: {{ output: none, spill_dir: {instance.root}/spill }}\n"
            f"alerter: {{ interval: 200ms, rules_files: [{rules}] }}\n"
            f'exporter: {{ listen: "127.0.0.1:{port}" }}\n'
        )
        daemons = ("collector", "agent", "alerter", "exporter")
        running = {name: instance.start(name) for name in daemons}
        scraper = Scraper(port)
        scraper.start()
        apps, alive = [], []

        def new_app():
            apps.append(App(instance, f"a{len(apps) + 1}", 1000))
            alive.append(apps[-1])

        for _ in range(2):
            new_app()
        kills = dict.fromkeys((*daemons, "app"), 0)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            threading.Event().wait(chance.uniform(0.1, 0.7))  # the kill's moment is the random input of this test
            if chance.random() < 0.3:
                instance.run("tflog", "-s", "trip", "-l", "error", "--wait", "30s", "tripped")
            victim = chance.choice(list(kills))
            kills[victim] += 1
            if victim == "app":
                app = alive.pop(chance.randrange(len(alive)))
                app.finish() if chance.random() < 0.3 else app.kill()
                new_app()
            else:
                running[victim].kill()
                running[victim] = instance.start(victim, ready=None)
        for app in alive:
            app.finish()
        for name, process in running.items():
            process.wait_line("ready")

        def settled():
            samples, _ = parse(scraper.scrape() or "")
            return all(
                samples.get(f'taskforge_torture_by_handle_total{{app="{app.name}"}}', 0) >= app.progress()["by_handle"]
                and samples.get(f'taskforge_torture_by_name_total{{app="{app.name}"}}', 0) >= app.progress()["by_name"]
                for app in apps
            )

        wait_until(settled, "all counts on /metrics", 60, pause=0.2)
        for app in apps:
            wait_until(lambda: instance.count("-s", app.name, '{module!="crash"}') >= app.progress()["entries"], f"the entries of {app.name}", 60, pause=0.1)
        wait_until(lambda: not any(alert["rule_id"] == "trip" and alert["status"] == "active" for alert in map(json.loads, instance.run("tfctl", "alerts", "-o", "json").stdout.splitlines())), "the end of the last trip", 60, pause=0.2)
        running["alerter"].stop()
        running["alerter"] = instance.start("alerter")  # what was still to be sent is sent now
        wait_until(lambda: b'"trip"' not in instance.run("tfctl", "alerts").stdout, "quiet", 30)

        def all_notified():
            ended = {json.loads(line)["id"] for line in instance.run("tfctl", "alerts", "--all", "-o", "json").stdout.splitlines() if json.loads(line)["status"] == "resolved"}
            return ended <= {body["id"] for body in receiver.bodies if body["status"] == "resolved"}

        wait_until(all_notified, "every end to be notified", 60, pause=0.2)
        scraper.stopping.set()
        scraper.join()
        samples, _ = parse(scraper.scrape())
        alerts, repeats = check_alerts(instance, receiver, kills["alerter"])
        for name in ("exporter", "alerter", "agent", "collector"):
            expect(running[name].stop() == 0, f"the {name} did not end well")
        expect(not scraper.backwards, f"{len(scraper.backwards)} times a counter ran backwards: {scraper.backwards[:3]}")
        for app in apps:
            progress = app.progress()
            check_entries(instance, app)
            label = f'{{app="{app.name}"}}'
            check_count(app, "the counter by handle", progress["by_handle"], samples.get(f"taskforge_torture_by_handle_total{label}", 0))
            check_count(app, "the counter by name", progress["by_name"], samples.get(f"taskforge_torture_by_name_total{label}", 0))
            check_count(app, "the timer's count", progress["timed"], samples.get(f"taskforge_torture_timed_seconds_count{label}", 0))
            expect(app.killed or progress["refused"] == 0, f"{app.name}: {progress['refused']} calls found no room")
        expect(instance.run("tfctl", "verify", check=False).returncode == 0, "tfctl verify")
        print(
            f"     {sum(kills.values())} kills {kills}, {scraper.scrapes} scrapes and {scraper.failures} without an answer, "
            f"{alerts} alerts, {repeats} sent again, {sum(app.progress()['entries'] for app in apps)} entries",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main([everything_is_told_once_and_exactly_whatever_is_killed]))
