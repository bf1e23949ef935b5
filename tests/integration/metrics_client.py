#!/usr/bin/env python3
"""tfmetric as a shell uses it, read back from the ring without a collector (tests/lib/ringcat); and an app with metrics
(metrics_probe) beside a collector that comes, goes and is killed.

    metrics_client.py TFMETRIC RINGCAT METRICS_PROBE
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Instance, wait_until  # noqa: E402

TFMETRIC, RINGCAT, PROBE = (os.path.abspath(path) for path in sys.argv[1:4])


class Listener:
    """Stands in for the collector's control socket: answers each request the same, and keeps what was asked."""

    def __init__(self, folder, answer):
        self.asked = []
        self.answer = answer
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(os.path.join(folder, "collector.sock"))
        self.socket.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer = self.socket.accept()[0]
            except OSError:
                return
            with peer:
                self.asked.append(peer.makefile().readline())
                if self.answer:
                    peer.sendall(self.answer)
                else:
                    peer.recv(1)  # until the other side gives up


class Tfmetric(unittest.TestCase):
    def setUp(self):
        parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.TemporaryDirectory(prefix="tf-metric-", dir=parent)
        self.env = {**os.environ, "TASKFORGE_RUNTIME_DIR": self.folder.name, "LC_ALL": "C"}

    def tearDown(self):
        self.folder.cleanup()

    def run_tool(self, *argv):
        return subprocess.run([TFMETRIC, *argv], env=self.env, capture_output=True, timeout=60)

    def updates(self):
        result = subprocess.run([RINGCAT, self.folder.name], capture_output=True, check=True, timeout=60)
        return [line for line in result.stderr.decode().splitlines() if not line.startswith("lost")]

    def expect(self, result, status, *parts):
        text = result.stderr.decode(errors="replace")
        self.assertEqual(result.returncode, status, text)
        for part in parts:
            self.assertIn(part, text)
        self.assertLessEqual(text.count("\n"), 1)

    def test_every_kind_is_written(self):
        for argv, update in (
            (["counter", "jobs"], "counter app add jobs{} 1 "),
            (["counter", "jobs", "2.5"], "counter app add jobs{} 2.5 "),
            (["counter", "jobs", "queue=mail", "a=x=y"], 'counter app add jobs{a="x=y",queue="mail"} 1 '),
            (["counter", "jobs", "3", "queue=mail", "none="], 'counter app add jobs{queue="mail"} 3 '),
            (["gauge", "depth", "-5"], "gauge app set depth{} -5 "),
            (["gauge", "depth", "-inf"], "gauge app set depth{} -inf "),
            (["histogram", "size", "1e3", "path=/"], 'histogram app add size{path="/"} 1000 '),
            (["timer", "work", "12ms"], "timer app add work{} 0.012 "),
            (["--trace-id", "t1", "timer", "work", "1.5s"], "timer app add work{} 1.5 t1"),
            (["counter", "jobs_total"], "counter app add jobs{} 1 "),
            (["timer", "work_seconds", "2s"], "timer app add work{} 2 "),
            (["-s", "cron", "--wait", "1s", "counter", "jobs"], "counter app add jobs{} 1 "),
            (["--add", "gauge", "depth", "-5"], "gauge app add depth{} -5 "),
            (["--describe", "a sentence", "--unit", "bytes", "--bounds", "1,2.5,1e3", "histogram", "size", "7"], "histogram app add size{} 7 "),
        ):
            with self.subTest(argv=argv):
                self.expect(self.run_tool(*argv), 0)
                self.assertEqual(self.updates(), ["update " + update])

    def test_wrong_usage_is_refused_by_name(self):
        for argv, part in (
            ([], "expected: counter|gauge|histogram|timer NAME"),
            (["counter"], "expected: counter|gauge|histogram|timer NAME"),
            (["count", "jobs"], 'kind must be counter, gauge, histogram or timer, is "count"'),
            (["counter", "1st"], "no digit first"),
            (["counter", "jobs", "-1"], "a counter cannot grow by -1"),
            (["counter", "jobs", "inf"], "a counter cannot grow by inf"),
            (["counter", "jobs", "nan"], "a counter cannot grow by nan"),
            (["counter", "jobs", "many"], 'a counter takes a number, not "many"'),
            (["counter", "jobs", "1e999"], 'a counter takes a number, not "1e999"'),
            (["counter", "jobs", "1", "2"], 'a label is KEY=VALUE, not "2"'),
            (["gauge", "depth"], "a gauge needs a value behind its name"),
            (["gauge", "depth", "a=b"], "a gauge needs a value behind its name"),
            (["histogram", "size", "nan"], "a histogram takes no NaN"),
            (["timer", "work", "12"], 'a timer takes a duration such as 12ms or 1.5s, not "12"'),
            (["counter", "jobs", "le=1"], "must not be called le"),
            (["counter", "jobs", "=1"], "a label's name must be"),
            (["counter", "jobs", "a=1", "a=2"], "label a is given twice"),
            (["--trace-id", "x" * 129, "counter", "jobs"], "trace_id must be at most 128 bytes"),
            (["-s", "", "counter", "jobs"], "service must be 1 to 100 characters"),
            (["--wait", "soon", "counter", "jobs"], 'wait must be a duration such as 500ms or 10s, is "soon"'),
            (["--unknown", "counter", "jobs"], "unknown option --unknown"),
            (["--add", "counter", "jobs", "1"], "--add is for gauges"),
            (["--add", "gauge", "depth", "nan"], "a gauge cannot change by NaN"),
            (["--bounds", "1,2", "counter", "jobs"], "--bounds is for histograms and timers"),
            (["--bounds", "2,1", "timer", "work", "1s"], "must be finite and ascending"),
            (["--bounds", "1,x", "timer", "work", "1s"], 'numbers with commas between them, at "x"'),
            (["--bounds", ",".join(map(str, range(65))), "timer", "work", "1s"], "1 to 64 numbers"),
            (["--unit", "no unit", "counter", "jobs"], "the unit of metric jobs"),
            (["--describe", b"\xff", "counter", "jobs"], "the help of metric jobs"),
            (["-s"], "option -s needs a value"),
        ):
            with self.subTest(argv=argv):
                self.expect(self.run_tool(*argv), 2, part)
        self.assertEqual(os.listdir(self.folder.name), [])  # nothing was written

    def test_help_and_version(self):
        self.assertTrue(self.run_tool("--help").stdout.startswith(b"usage: tfmetric"))
        self.assertTrue(self.run_tool("--version").stdout.startswith(b"tfmetric "))

    def fill(self):
        """All lanes that single records share, but for less than a KiB: by ever smaller entries of an update's level."""
        tflog = os.path.join(os.path.dirname(TFMETRIC), "tflog")
        large = ["-l", "info", "--metadata", json.dumps({"k": "x" * 60000})]
        lines = b"".join(b"x" * 9000 + b"\n" for _ in range(400))
        subprocess.run([tflog, *large], env=self.env, input=lines, capture_output=True, timeout=60)
        for size in (40000, 10000, 2500, 600):
            message = ("\U0001f525" if size > 10000 else "x") * min(size, 10000)
            while subprocess.run([tflog, "-l", "info", message], env=self.env, capture_output=True, timeout=60).returncode == 0:
                pass

    def test_where_there_is_no_room_it_says_so(self):
        pad = "pad=" + "x" * 1000
        self.fill()
        self.expect(self.run_tool("counter", "jobs", pad), 3, "1 of 1 updates did not fit and are counted as lost: the ring is full")
        self.expect(self.run_tool("--wait", "50ms", "gauge", "depth", "1", pad), 3, "1 of 1 updates")
        result = subprocess.run([RINGCAT, self.folder.name], capture_output=True, check=True, timeout=60)
        self.assertNotIn("update", result.stderr.decode())
        self.assertIn("lost lanes_busy info ", result.stderr.decode())
        self.expect(self.run_tool("counter", "jobs", pad), 0)
        self.env["TASKFORGE_RUNTIME_DIR"] = "/proc/no-such-place"
        self.expect(self.run_tool("--wait", "1h", "counter", "jobs"), 3, "1 of 1 updates did not fit", "/proc/no-such-place")

    def test_the_collector_is_asked_first(self):
        listener = Listener(self.folder.name, b"error jobs is a gauge already and cannot be a counter too\n.\n")
        self.expect(self.run_tool("counter", "jobs", "3"), 2, "jobs is a gauge already and cannot be a counter too")
        self.assertEqual(listener.asked, ["metric counter app jobs\n"])
        listener.answer = b"ok\n.\n"
        self.expect(self.run_tool("timer", "work", "3s"), 0)
        listener.answer = b'error unknown request "metric"; ask for help\n.\n'  # of an older collector
        self.expect(self.run_tool("gauge", "depth", "3"), 0)
        listener.answer = b"nonsense\n"
        self.expect(self.run_tool("gauge", "depth", "4"), 0)
        listener.answer = None  # a stopped one: nobody waits for it
        self.expect(self.run_tool("gauge", "depth", "5"), 0)
        self.assertEqual(len(self.updates()), 4)


class Probe:
    """An app: a command asks it, its answer is one line."""

    def __init__(self, instance):
        self.process = subprocess.Popen([PROBE], env=instance.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n")

    def die(self):
        self.process.stdin.write("die\n")
        self.process.stdin.flush()
        self.process.wait(30)


class WithCollector(unittest.TestCase):
    def wait_for(self, probe, question, answer):
        """The answer comes within a flush or two."""
        try:
            wait_until(lambda: probe.ask(question) == answer, f"{answer} to {question}", seconds=20)
        except AssertionError as error:
            self.fail(f"{error}, but {probe.ask(question)}")

    def test_counts_of_all_processes_come_together(self):
        with Instance() as instance, Probe(instance) as probe, Probe(instance) as other:
            self.assertEqual(probe.ask("count jobs 2"), "ok")  # before there is a collector
            self.assertIn("has not run here", probe.ask("get jobs"))
            instance.run("tfmetric", "counter", "jobs", "3")
            collector = instance.start("collector")
            self.assertEqual(other.ask("count jobs 5"), "ok")
            self.wait_for(probe, "get jobs", "1 10 0 0")
            self.assertEqual(probe.ask("time work 0.5"), "ok")
            instance.run("tfmetric", "timer", "work", "1.5s")
            self.wait_for(probe, "get work", "4 0 2 2")
            self.assertEqual(probe.ask("gauge depth 3"), "ok")
            self.wait_for(probe, "get depth", "2 3 0 0")
            instance.run("tfmetric", "gauge", "depth", "4")
            self.wait_for(probe, "get depth", "2 4 0 0")
            instance.run("tfmetric", "counter", "jobs", "1", "queue=mail")
            self.wait_for(probe, "get jobs queue=mail", "1 1 0 0")
            self.assertIn("taskforge_jobs{queue=mail} 1;", probe.ask("each"))
            self.assertIn("no metric nothing", probe.ask("get nothing"))
            collector.stop()

    def test_killed_processes_lose_nothing_and_double_nothing(self):
        with Instance() as instance, Probe(instance) as probe:
            collector = instance.start("collector")
            for n in range(5):
                with Probe(instance) as victim:
                    self.assertEqual(victim.ask("count jobs 100"), "ok")
                    self.assertEqual(victim.ask("count jobs 11"), "ok")
                    victim.die()
                if n % 2 == 0:
                    collector.kill()
                    collector = instance.start("collector")
            self.wait_for(probe, "get jobs", "1 555 0 0")
            collector.kill()
            instance.start("collector")
            self.assertEqual(probe.ask("count jobs 1"), "ok")
            self.wait_for(probe, "get jobs", "1 556 0 0")

    def test_one_name_has_one_kind_between_processes(self):
        with Instance() as instance, Probe(instance) as probe:
            instance.start("collector")
            self.assertEqual(probe.ask("count jobs 2"), "ok")
            self.wait_for(probe, "get jobs", "1 2 0 0")
            for argv in (("histogram", "jobs", "1"), ("histogram", "jobs_total", "1"), ("timer", "jobs", "1s"), ("gauge", "jobs", "1")):
                done = instance.run("tfmetric", *argv, check=False)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(b"jobs", done.stderr)
            instance.run("tfmetric", "counter", "jobs_total", "3")
            self.wait_for(probe, "get jobs", "1 5 0 0")

    def test_gauges_with_a_rule_are_of_those_that_live(self):
        with Instance() as instance, Probe(instance) as probe:
            collector = instance.start("collector")
            for n in range(2):
                with Probe(instance) as other:
                    for rule in ("sum", "min", "max"):
                        self.assertEqual(probe.ask(f"rule {rule}_depth 5 {rule}"), "ok")
                        self.assertEqual(other.ask(f"rule {rule}_depth 7 {rule}"), "ok")
                    for rule, both in (("sum", 12), ("min", 5), ("max", 7)):
                        self.wait_for(probe, f"get {rule}_depth", f"2 {both} 0 0")
                    if n == 1:
                        collector.kill()
                    other.die()
                if n == 1:
                    collector = instance.start("collector")
                for rule in ("sum", "min", "max"):
                    self.wait_for(probe, f"get {rule}_depth", "2 5 0 0")
            self.assertIn('has the rule "sum" already', probe.ask("rule sum_depth 1 max"))
            self.assertIn('has the rule "sum" already', instance.run("tfmetric", "gauge", "sum_depth", "1", check=False).stderr.decode())
            probe.die()
            with Probe(instance) as last:
                wait_until(lambda: "no metric" in last.ask("get sum_depth"), "the gauge to leave with its last process")

    def test_names_are_described(self):
        with Instance() as instance, Probe(instance) as probe:
            instance.start("collector")
            instance.run("tfmetric", "counter", "jobs", "1", "queue=a")
            self.wait_for(probe, "get jobs queue=a", "1 1 0 0")
            instance.run("tfmetric", "--unit", "pieces", "counter", "jobs", "1", "queue=b")
            self.assertEqual(probe.ask("describe jobs done"), "ok")
            instance.run("tfmetric", "counter", "jobs", "1", "queue=a")

            def units():
                rows = [json.loads(line) for line in instance.run("tfctl", "metrics", "-o", "json", "taskforge_jobs").stdout.splitlines()]
                return sorted((row["labels"]["queue"], row.get("unit"), row["value"]) for row in rows)

            wait_until(lambda: units() == [("a", "pieces", 2), ("b", "pieces", 1)], "both series to have the unit")

    def test_exemplars_come_out_with_their_bucket(self):
        with Instance() as instance, Probe(instance) as probe:
            instance.start("collector")
            exporter = instance.start("exporter")
            url = wait_until(lambda: [line.split()[-1] for line in exporter.lines if "http://" in line], "the exporter's address")[0]

            def lines():
                request = urllib.request.Request(url.rstrip("/") + "/metrics", headers={"Accept": "application/openmetrics-text"})
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return [line.rsplit(" ", 1)[0] for line in answer.read().decode().splitlines() if " # {" in line]

            instance.run("tfmetric", "--trace-id", "by-name", "counter", "jobs", "2")
            instance.run("tfmetric", "--bounds", "0.1,1", "timer", "work", "50ms")
            self.wait_for(probe, "get work", "4 0 1 0.05")
            self.assertEqual(probe.ask("traced work 0.5 by-handle"), "ok")
            expected = ['taskforge_jobs_total 2 # {trace_id="by-name"} 2', 'taskforge_work_seconds_bucket{le="1.0"} 2 # {trace_id="by-handle"} 0.5']
            wait_until(lambda: lines() == expected, f"the exemplars {expected}")

    def test_statistics_are_where_the_dashboard_looks(self):
        with Instance() as instance, Probe(instance) as probe:
            instance.start("collector")
            self.assertEqual(probe.ask("stats"), "ok")
            self.wait_for(probe, "get queue_count state=paused", "2 1 0 0")
            self.wait_for(probe, "get taskforge_worker_count state=draining", "2 1 0 0")
            self.wait_for(probe, "get job_count state=succeeded", "2 3 0 0")

    def test_the_example_s_metrics_add_up(self):
        with Instance() as instance, Probe(instance) as probe:
            instance.start("collector")
            instance.run("worker", 200, 4)
            wait_until(lambda: probe.ask("get job_duration").startswith("4 0 200 "), "200 jobs timed")
            done = [float(probe.ask(f"get jobs_done outcome={outcome}").split()[1]) for outcome in ("ok", "failed")]
            self.assertEqual(sum(done), 200)
            self.assertGreater(min(done), 0)
            self.wait_for(probe, "get job_count state=total", "2 200 0 0")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], warnings="ignore")
