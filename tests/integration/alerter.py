"""taskforge-alerter with the real collector, agent tools and a real HTTP receiver: alerts and their ends arrive, once, over
kills and hanging receivers."""

import http.server
import json
import os
import pathlib
import random
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import harness
from harness import expect, in_time, wait_until

harness.PROGRAMS["alerter"] = "alerter/taskforge-alerter"


class Receiver:
    """A webhook's other side. `answer` may be set to a status, or to "hang"."""

    def __init__(self):
        receiver = self
        self.bodies = []
        self.answer = 200
        self.release = threading.Event()
        self.hanging = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if receiver.answer == "hang":
                    receiver.hanging += 1
                    receiver.release.wait(120)
                    return
                if receiver.answer == 200:
                    receiver.bodies.append(body)
                self.send_response(receiver.answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/alert"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()

    def statuses(self, rule=None):
        return [b["status"] for b in self.bodies if rule in (None, b["rule_id"])]

    def wait(self, statuses, rule=None, seconds=60):
        wait_until(lambda: self.statuses(rule)[: len(statuses)] == statuses, f"{statuses}, not {self.statuses(rule)}", seconds)
        expect(self.statuses(rule) == statuses, f"{self.statuses(rule)}, not {statuses}")


class Place(harness.Instance):
    """An instance with rules; the alerter evaluates five times a second."""

    def __init__(self, rules, interval="200ms", inputs="[]"):
        super().__init__(agent_inputs=inputs)
        self.rules = self.root / "rules.yaml"
        self.rules.write_text(rules)
        with self.config.open("a") as config:
            config.write(f"alerter:\n  interval: {interval}\n  rules_files: [{self.rules}]\n")

    def log(self, message, level="error", service="queue", count=1):
        lines = "".join(f"{message} {i}\n" for i in range(count))
        self.run("tflog", "-s", service, "-l", level, "--wait", "30s", stdin=lines.encode())

    def ask(self, request, seconds=10):
        """The answer's lines as JSON; a Failure with the sentence where it is an error."""
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(seconds)
            peer.connect(str(self.runtime / "alerter.sock"))
            peer.sendall(request.encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n.\n"):
                more = peer.recv(65536)
                expect(more, "the control socket was closed")
                answer += more
        lines = answer.decode().splitlines()[:-1]
        expect(lines[0] == "ok", lines[0])
        return [json.loads(line) for line in lines[1:]]

    def refused(self, request):
        try:
            self.ask(request)
        except harness.Failure as failure:
            return str(failure)
        raise harness.Failure(f"{request} was not refused")


def rules(receiver, *items):
    channels = f'channels:\n  - {{ name: hook, type: webhook, url: "{receiver.url}" }}\n'
    return channels + "default_channels: [hook]\nrules:\n" + "".join(f"  - {item}\n" for item in items)


ERRORS = "{ id: errors, name: Many errors, severity: critical, condition: { log: { level: error, service: queue, count_threshold: 3, time_window: 3s } } }"


def a_log_alert_and_its_end_arrive():
    with Receiver() as receiver, Place(rules(receiver, ERRORS.replace("3s } }", '3s } }, annotations: { summary: "{{ $value }} errors" }'))) as place:
        place.start("collector")
        place.start("alerter", ready="watching 1 rule")
        place.log("went wrong", count=2)
        place.log("fine", level="info", count=5)
        place.wait_count(7)
        place.log("went wrong again")
        receiver.wait(["active", "resolved"])
        active, resolved = receiver.bodies
        keys = "id rule_id name severity status message timestamp details last_notified labels annotations dedup_key entries".split()
        expect([k for k in active if k in keys] == keys, f"keys {list(active)}")
        expect(active["message"] == "3 errors" and active["severity"] == "critical", f"{active}")
        expect(active["details"]["count"] == 3, f"{active['details']}")
        expect([e["message"] for e in active["entries"]] == ["went wrong again 0", "went wrong 1", "went wrong 0"], f"{active['entries']}")
        expect(active["id"] == resolved["id"] and active["dedup_key"] == resolved["dedup_key"], "another alert ended")
        wait_until(lambda: place.count("-s", "taskforge") == 2, "two entries of the history")
        history = place.query("-s", "taskforge")
        expect([(e["module"], e["operation"], e["level"]) for e in history] == [("alert", "active", "critical"), ("alert", "resolved", "info")], f"{history}")
        expect(history[0]["metadata"]["id"] == active["id"] and history[0]["metadata"]["rule_id"] == "errors", f"{history[0]}")
        expect(place.ask("alerts") == [], "an alert is still open")
        (kept,) = place.ask("alerts all")
        expect(kept["status"] == "resolved" and kept["id"] == active["id"] and "resolved_at" in kept, f"{kept}")


def a_late_entry_counts_when_it_arrives():
    with Receiver() as receiver, Place(rules(receiver, ERRORS.replace("count_threshold: 3", "count_threshold: 1")), inputs="[{ type: stdin, service: queue, format: json }]") as place:
        place.start("collector")
        place.start("alerter")
        reading, writing = os.pipe()
        agent = place.start("agent", stdin=reading)
        os.close(reading)
        os.write(writing, b'{"level":"error","message":"an old one","time":"2026-01-02T03:04:05Z"}\n')
        receiver.wait(["active"])
        (entry,) = receiver.bodies[0]["entries"]
        expect(entry["message"] == "an old one" and entry["timestamp"].startswith("2026-01-02T03:04:05"), f"{entry}")
        os.close(writing)
        agent.stop()


def an_acknowledged_alert_is_told_and_noted():
    with Receiver() as receiver, Place(rules(receiver, ERRORS.replace("3s", "5s"))) as place:
        place.start("collector")
        place.start("alerter")
        place.log("went wrong", count=3)
        receiver.wait(["active"])
        (alert,) = place.ask("alerts")
        expect(b"errors: Many errors: 3 error entries of queue in 5s" in place.run("tfctl", "alerts").stdout, "tfctl alerts")
        expect("is no alert's id" in place.refused("ack nonsense uid:7 x"), "nonsense was acknowledged")
        expect("there is no alert" in place.refused("ack 0193a6b0-1111-7222-8333-444455556666 uid:7 x"), "an unknown one was")
        expect("usage" in place.refused(f"ack {alert['id']}"), "nobody acknowledged")
        (after,) = place.ask(f"ack {alert['id']} uid:7 I am on it")
        expect(after["status"] == "acknowledged" and after["acknowledged_by"] == "uid:7" and after["acknowledged_reason"] == "I am on it", f"{after}")
        expect("already" in place.refused(f"ack {alert['id']} uid:8 me too"), "it was acknowledged twice")
        receiver.wait(["active", "acknowledged", "resolved"])
        wait_until(lambda: place.count("-s", "taskforge") == 4, "alert and audit entries")
        (audit,) = [e for e in place.query("-s", "taskforge") if e["module"] == "audit"]
        expect(audit["operation"] == "acknowledge" and audit["level"] == "info", f"{audit}")
        expect(audit["metadata"]["actor"] == "uid:7" and audit["metadata"]["target"] == alert["id"] and audit["metadata"]["reason"] == "I am on it", f"{audit}")
        expect("already" in place.refused(f"resolve {alert['id']} uid:7 x"), "a resolved one was resolved")
        expect(place.run("tfctl", "alerts").stdout == b"" and b"resolved" in place.run("tfctl", "alerts", "--all").stdout, "tfctl alerts")


def kills_neither_repeat_nor_lose_a_notification():
    with Receiver() as receiver, Place(rules(receiver, ERRORS.replace("3s", "8s"))) as place:
        place.start("collector")
        alerter = place.start("alerter")
        place.log("went wrong", count=3)
        receiver.wait(["active"])
        expect(alerter.stop() == 0, "the exit status")  # that it was taken is noted now: no kill may repeat it
        alerter = place.start("alerter")
        for _ in range(4):
            alerter.kill()
            alerter = place.start("alerter")
            wait_until(lambda: place.ask("rules")[0].get("last_evaluation"), "an evaluation")
        expect(receiver.statuses() == ["active"], f"{receiver.statuses()}")
        alerter.kill()
        time.sleep(8)  # the window passes while nobody watches
        place.start("alerter")
        receiver.wait(["active", "resolved"])
        # an alert that begins while the receiver is away, and a kill before it could be told
        receiver.answer = 503
        place.log("wrong again", count=3)
        wait_until(lambda: place.ask("alerts"), "the alert")
        place.processes[-1].kill()
        receiver.answer = 200
        place.start("alerter")
        receiver.wait(["active", "resolved", "active", "resolved"])
        expect(len({b["id"] for b in receiver.bodies}) == 2, "two alerts")


def random_kills_lose_nothing():
    """Killed at any moment while alerts come and go: each that the store has was told, and its end; what came twice (a kill
    between sending and noting) is the same notification."""
    services = [f"s{i}" for i in range(4)]
    items = [f"{{ id: {s}, condition: {{ log: {{ service: {s}, time_window: 1s }} }} }}" for s in services]
    chance = random.Random(7)
    end = time.monotonic() + (60 if harness.LONG else 12)
    with Receiver() as receiver, Place(rules(receiver, *items), interval="100ms") as place:
        place.start("collector")
        while time.monotonic() < end:
            alerter = place.start("alerter", ready=None)
            place.log("x", service=chance.choice(services))
            until = time.monotonic() + chance.uniform(0.05, 0.8)
            while time.monotonic() < until and alerter.process.poll() is None:
                place.log("x", service=chance.choice(services))
            alerter.kill()
        place.start("alerter")

        def told():
            alerts = place.ask("alerts all")
            pairs = {(b["id"], b["status"]) for b in receiver.bodies}
            return alerts and all(a["status"] == "resolved" and {(a["id"], "active"), (a["id"], "resolved")} <= pairs for a in alerts) and alerts

        alerts = wait_until(told, "every alert and its end", 30)
        seen = {}
        for body in receiver.bodies:
            key = (body["id"], body["status"])
            expect(seen.setdefault(key, body) == body, f"told twice, and differently: {body}")
        expect({i for i, _ in seen} == {a["id"] for a in alerts}, "alerts that the store does not have")
        print(f"     {len(alerts)} alerts, {len(place.processes) - 2} kills, {len(receiver.bodies) - len(seen)} told twice")


def a_receiver_that_hangs_delays_nobody():
    with Receiver() as slow, Receiver() as quick:
        text = (
            f'channels:\n  - {{ name: slow, type: webhook, url: "{slow.url}" }}\n  - {{ name: quick, type: webhook, url: "{quick.url}" }}\n'
            + "rules:\n"
            + "  - { id: a, condition: { log: { service: queue, time_window: 2s } }, channels: [slow, quick] }\n"
            + "  - { id: b, condition: { log: { service: other, time_window: 2s } }, channels: [quick] }\n"
        )
        slow.answer = "hang"
        with Place(text) as place:
            place.start("collector")
            alerter = place.start("alerter")
            place.log("x")
            wait_until(lambda: slow.hanging, "a hanging request")
            place.log("y", service="other")
            quick.wait(["active", "resolved"], rule="b")
            quick.wait(["active", "resolved"], rule="a")
            begin = time.monotonic()
            expect(alerter.stop() == 0, "the exit status")
            expect(time.monotonic() - begin < in_time(6), "the end took too long")
            slow.answer = 200
            slow.release.set()
            place.start("alerter")
            slow.wait(["active", "resolved"], rule="a")


def a_metric_makes_an_alert_for_each_label_set():
    rule = '{ id: deep, severity: warning, condition: { metric: { name: depth, operator: ">", threshold: 100, labels: { site: x } } }, resolve_threshold: 80 }'
    with Receiver() as receiver, Place(rules(receiver, rule)) as place:
        collector = place.start("collector")
        place.start("alerter")

        def gauge(queue, value, site="x"):
            place.run("tfmetric", "gauge", "depth", str(value), f"queue={queue}", f"site={site}")

        gauge("mail", 120)
        gauge("jobs", 500)
        gauge("other", 500, site="y")
        gauge("low", 3)
        wait_until(lambda: len(receiver.bodies) == 2, "two alerts")
        expect({b["labels"]["queue"] for b in receiver.bodies} == {"mail", "jobs"}, f"{receiver.bodies}")
        gauge("mail", 90)
        gauge("jobs", 79)
        wait_until(lambda: len(receiver.bodies) == 3, "the end of one")
        expect(receiver.bodies[2]["labels"] == {"queue": "jobs", "site": "x"} and receiver.bodies[2]["status"] == "resolved", f"{receiver.bodies[2]}")
        collector.kill()
        (alert,) = place.ask("alerts")
        expect(alert["labels"]["queue"] == "mail" and alert["details"]["value"] == 90, f"{alert}")
        place.start("collector")
        gauge("mail", 1)
        wait_until(lambda: len(receiver.bodies) == 4, "the end of the other")


def missing_data_is_what_the_rule_says():
    rule = '{ id: %s, condition: { metric: { name: %s, operator: ">", threshold: 1 } }, no_data: %s }'
    with Receiver() as receiver, Place(rules(receiver, rule % ("gone", "nowhere", "alert"), rule % ("kept", "nowhere", "keep"))) as place:
        place.start("collector")
        place.start("alerter")
        receiver.wait(["active"], rule="gone")
        expect(receiver.bodies[0]["message"] == "gone: no data for nowhere", f"{receiver.bodies[0]}")
        place.run("tfmetric", "gauge", "nowhere", "1", "queue=a")
        receiver.wait(["active", "resolved"], rule="gone")
        place.run("tfmetric", "gauge", "nowhere", "2", "queue=a")
        receiver.wait(["active", "resolved", "active"], rule="gone")
        receiver.wait(["active"], rule="kept")
        states = {r["id"]: r["state"] for r in place.ask("rules")}
        expect(states == {"gone": "active", "kept": "active"}, f"{states}")


def silence_is_told_and_ends():
    rule = "{ id: quiet, condition: { silence: { service: billing, time_window: 3s } } }"
    with Receiver() as receiver, Place(rules(receiver, rule)) as place:
        place.start("collector")
        place.start("alerter")
        place.log("x", service="billing", level="info")
        receiver.wait(["active"])
        expect("no entry of billing for 3s" in receiver.bodies[0]["message"], f"{receiver.bodies[0]}")
        place.log("y", service="billing", level="debug")
        wait_until(lambda: receiver.statuses()[1:2] == ["resolved"], "its end")


def without_a_collector_nothing_ends_and_nothing_is_silent():
    quiet = "{ id: quiet, condition: { silence: { service: billing, time_window: 7s } } }"
    with Receiver() as receiver, Place(rules(receiver, ERRORS.replace("3s", "6s"), quiet)) as place:
        collector = place.start("collector")
        alerter = place.start("alerter")
        place.log("x", service="billing", level="info")
        place.log("went wrong", count=3)
        receiver.wait(["active"])
        collector.kill()
        place.log("y", service="billing", level="info")  # waits in the ring
        alerter.wait_line("no collector has kept the metrics up to date")  # after 10 s: both windows have passed
        expect(receiver.statuses() == ["active"], f"{receiver.bodies}")
        expect([a["rule_id"] for a in place.ask("alerts")] == ["errors"], "the open alerts")
        place.start("collector")
        receiver.wait(["active", "resolved"])
        alerter.wait_line("the collector is there again")


def a_reload_takes_new_rules_or_keeps_the_old():
    with Receiver() as receiver, Place(rules(receiver, ERRORS.replace("3s", "600s"))) as place:
        place.start("collector")
        alerter = place.start("alerter")
        place.log("went wrong", count=3)
        receiver.wait(["active"])
        place.rules.write_text(rules(receiver, ERRORS).replace("severity", "severty"))
        alerter.process.send_signal(signal.SIGHUP)
        alerter.wait_line('did you mean "severity"?')
        alerter.wait_line("the old one stays")
        expect([r["id"] for r in place.ask("rules")] == ["errors"], "the old rules")
        place.rules.write_text(rules(receiver, "{ id: other, condition: { log: { service: other, time_window: 1m } } }"))
        alerter.process.send_signal(signal.SIGHUP)
        alerter.wait_line("the configuration was read again")
        receiver.wait(["active", "resolved"])
        expect([r["id"] for r in place.ask("rules")] == ["other"], "the new rules")
        wait_until(lambda: any(e["module"] == "audit" and e["operation"] == "reload" for e in place.query("-s", "taskforge")), "the audit entry")


def the_history_waits_for_room():
    with Receiver() as receiver, Place(rules(receiver, ERRORS)) as place:
        collector = place.start("collector")
        place.log("went wrong", count=3)
        place.wait_count(3)
        collector.stop()
        alerter = place.start("alerter")
        receiver.wait(["active"])
        (alert,) = place.ask("alerts")
        place.ask(f"ack {alert['id']} token")
        alerter.kill()
        place.start("collector")
        place.start("alerter")
        wait_until(lambda: place.count("-s", "taskforge") >= 3, "the history")


def what_is_wrong_is_one_clear_line():
    with Receiver() as receiver, Place("rules: [{ id: a, condition: { query: up } }]\n") as place:
        alerter = place.start("alerter", ready=None)
        expect(alerter.process.wait(30) == 1, "the exit status")
        alerter.reader.join(5)
        expect(any(f"{place.rules}:1:31: query of a condition is not built yet" in line for line in alerter.lines), f"{alerter.lines}")
        check = place.run("alerter", "--check", check=False)
        expect(check.returncode == 1 and check.stdout.decode() == f"{place.rules}:1:31: query of a condition is not built yet\n", f"{check}")
        place.rules.unlink()
        missing = place.run("alerter", check=False)
        expect(missing.returncode == 1 and b"the rules file cannot be read: No such file" in missing.stderr, f"{missing}")
        place.rules.write_text(rules(receiver, ERRORS))
        expect(place.run("alerter", "--check").stdout == b"", "a sound one")
        place.start("alerter")
        second = place.run("alerter", check=False)
        expect(second.returncode == 1 and b"is held by taskforge-alerter (pid" in second.stderr, f"{second}")
        sent = place.run("alerter", "send-test", "hook")
        expect(len(receiver.bodies) == 1 and b"200" in sent.stdout, f"{sent}")
        unknown = place.run("alerter", "send-test", "nobody", check=False)
        expect(unknown.returncode == 1 and b'no channel named "nobody"' in unknown.stderr, f"{unknown}")
        for words in (["send-test"], ["replay"], ["test"], ["bogus"]):
            expect(place.run("alerter", *words, check=False).returncode == 2, f"{words}")


def it_serves_without_rules():
    with harness.Instance() as place:
        alerter = place.start("alerter", ready="no rules files")
        expect(Place.ask(place, "alerts") == [] and Place.ask(place, "rules") == [], "alerts or rules")
        sent = place.run("alerter", "send-test", "hook", check=False)
        expect(sent.returncode == 1 and b"names no rules files" in sent.stderr, f"{sent}")
        expect(alerter.stop() == 0, "the exit status")


if __name__ == "__main__":
    sys.exit(
        harness.main(
            [
                a_log_alert_and_its_end_arrive,
                a_late_entry_counts_when_it_arrives,
                an_acknowledged_alert_is_told_and_noted,
                kills_neither_repeat_nor_lose_a_notification,
                random_kills_lose_nothing,
                a_receiver_that_hangs_delays_nobody,
                a_metric_makes_an_alert_for_each_label_set,
                missing_data_is_what_the_rule_says,
                silence_is_told_and_ends,
                without_a_collector_nothing_ends_and_nothing_is_silent,
                a_reload_takes_new_rules_or_keeps_the_old,
                the_history_waits_for_room,
                what_is_wrong_is_one_clear_line,
                it_serves_without_rules,
            ]
        )
    )
