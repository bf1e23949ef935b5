"""Traces from end to end: tfctl traces, tfctl trace and the API over a real store, open spans with and without a collector; health reports
and requests. Argument: trace_probe."""

import http.client
import json
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import Instance, expect, main, wait_until  # noqa: E402

PROBE = sys.argv.pop(1)
EPOCH = 1790000000  # of the probe's times
ONE = "0123456789abcdef0123456789abcdef"
TWO = "22222222222222222222222222222222"
HEADING = "trace"


class Probe:
    """An application that does what it is told."""

    def __init__(self, instance, service):
        self.process = subprocess.Popen([PROBE, service], env=instance.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        instance.processes.append(self)

    def tell(self, *lines, answer="ok"):
        for line in lines:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            told = self.process.stdout.readline().strip()
            expect(told == answer, f"{line}: {told}, not {answer}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        self.process.stdin.close()
        expect(self.process.wait(30) == 0, "the probe failed")


def rows(instance, *arguments):
    return [json.loads(line) for line in instance.run("tfctl", "traces", "-o", "json", *arguments).stdout.splitlines()]


def lines(instance, *arguments):
    return instance.run("tfctl", *arguments, "--utc").stdout.decode().splitlines()


def trace(instance, identity, *arguments):
    return json.loads(instance.run("tfctl", "trace", identity, "-o", "json", *arguments).stdout)


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text)


CHECKOUT = (
    f"span {ONE} 01 - 0 120.5 checkout",
    f"span {ONE} 02 01 10 60 charge card refused by \x1b[31mthe bank",
    f"span {ONE} 03 02 20 30 query",
    f"span {ONE} 04 01 90 20 mail",
    f"span {ONE} 05 99 5 1 orphan",
    f"entry {ONE} 0200000000000000 error 30 no answer",
    f"entry {ONE} - info 100 nobody's",
    f"span {TWO} 01 - 60000 5 ping",
)


def checkout(instance):
    probe = Probe(instance, "shop")
    probe.tell(*CHECKOUT)
    wait_until(lambda: len(rows(instance)) == 2 and rows(instance)[0]["span_count"] == 5, "the spans")
    instance.wait_count(2, "-s", "shop")
    return probe


def metric(instance, name):
    done = instance.run("tfctl", "metrics", name, "-o", "json", check=False)
    return sum(row["value"] for row in map(json.loads, done.stdout.splitlines()))


def traces_are_listed_the_last_one_last():
    with Instance() as instance:
        instance.start("collector")
        checkout(instance)
        one, two = rows(instance)
        expect((one["trace_id"], two["trace_id"]) == (ONE, TWO), f"{one} {two}")
        expect((one["service"], one["operation"], one["span_count"], one["failed_count"]) == ("shop", "checkout", 5, 1), f"{one}")
        expect(one["start"] == "2026-09-21T14:13:20.000000000Z" and one["duration_ms"] == 120.5, f"{one}")
        expect([r["trace_id"] for r in rows(instance, "-n", "1")] == [TWO], "-n 1 is not the last")
        expect(rows(instance, "--since", str(EPOCH + 1)) == [two] and rows(instance, "-U", str(EPOCH + 1)) == [one], "since and until do not hold")
        expect(rows(instance, "-s", "shop") == [one, two] and rows(instance, "-s", "other") == [], "--service does not hold")
        expect(rows(instance, "--active") == [] and instance.run("tfctl", "traces", "--active").stdout == b"", "none is open")
        head, first, second = lines(instance, "traces")
        expect(head.startswith("trace ") and first.startswith(ONE) and first.endswith("shop/checkout") and "120.500 ms" in first, f"{first}")
        columns = [head.rindex(word) + len(word) for word in ("duration", "spans", "failed")]
        expect(first[: columns[0]].endswith(" ms") and first[: columns[1]].endswith(" 5") and first[: columns[2]].endswith(" 1"), f"{head}\n{first}")
        expect(instance.run("tfctl", "traces", "extra", check=False).returncode == 2, "wrong usage")
        wait_until(lambda: metric(instance, "taskforge_store_spans_total") == 6, "the metric")
        Probe(instance, "shop").tell(f"span {'0' * 32} 01 - 0 1 nowhere")
        wait_until(lambda: metric(instance, "taskforge_store_spans_invalid_total") == 1, "the metric of what is no span")
        expect(instance.run("tfctl", "traces", "-n", "x", check=False).returncode == 2, "wrong usage")


WATERFALL = """\
    0.000 ms   120.500 ms |================================| shop/checkout
   10.000 ms    60.000 ms |  ================              |   shop/charge FAILED: card refused by \\x1b[31mthe bank
   20.000 ms    30.000 ms |     ========                   |     shop/query
   30.000 ms              |       .                        |     ERROR    main/work: no answer
   90.000 ms    20.000 ms |                       ======   |   shop/mail
    5.000 ms     1.000 ms | =                              | shop/orphan
  100.000 ms              |                          .     | INFO     main/work: nobody's"""


def one_trace_is_a_waterfall_with_its_entries_in_place():
    with Instance() as instance:
        instance.start("collector")
        probe = checkout(instance)
        found = lines(instance, "trace", ONE)
        pid = f" [{probe.process.pid}]"
        expect(found[0] == f"{ONE}  2026-09-21 14:13:20.000Z  120.500 ms  5 spans  1 failed", found[0])
        plain = [" ".join(line.replace(pid, "").split()) for line in found[1:]]
        expect(plain == [" ".join(line.split()) for line in WATERFALL.splitlines()], "\n".join(found))
        bars = [line[line.index("|") : line.rindex("|")] for line in found[1:]]
        expect(bars == [line[line.index("|") : line.rindex("|")] for line in WATERFALL.splitlines()], "\n".join(found))
        whole = trace(instance, ONE)
        expect([s["operation"] for s in whole["spans"]] == ["checkout", "charge", "query", "mail", "orphan"], f"{whole}")
        expect([e["message"] for e in whole["entries"]] == ["no answer", "nobody's"], f"{whole['entries']}")
        expect(whole["spans"][1]["status"].startswith("card refused") and whole["spans"][1]["parent_id"] == "0100000000000000", f"{whole}")
        expect(whole["spans"][0]["pid"] == probe.process.pid and whole["spans"][0]["host"], f"{whole['spans'][0]}")
        dashed = "01234567-89AB-cdef-0123-456789abcdef"
        expect(trace(instance, dashed)["span_count"] == 5, "the id as a UUID")
        expect(instance.run("tfctl", "trace", TWO[:-1] + "0").stdout == b"", "a trace that is not there")
        expect(instance.run("tfctl", "trace", check=False).returncode == 2, "wrong usage")
        expect(instance.run("tfctl", "trace", "x" * 129, check=False).returncode == 2, "wrong usage")


def an_id_that_no_span_can_have_gives_its_entries():
    with Instance() as instance:
        instance.start("collector")
        Probe(instance, "shop").tell("entry request-17 - info 5 hello", "entry request-17 - warn 9 again")
        instance.wait_count(2, "-s", "shop")
        found = lines(instance, "trace", "request-17")
        expect(found[0].startswith("request-17  ") and len(found) == 3 and "0 spans" in found[0], f"{found}")
        expect(trace(instance, "request-17")["spans"] == [], "spans")


def a_trace_over_partitions_is_put_together_and_outlives_restarts():
    with Instance(collector="  partition: 1s\n  output: none\n") as instance:
        collector = instance.start("collector")
        probe = Probe(instance, "shop")
        for number in range(1, 4):
            probe.tell(f"span {ONE} 0{number} 0{number - 1} {number} 1 step{number}")
            wait_until(lambda: (rows(instance) or [{"span_count": 0}])[0]["span_count"] == number, "the span")
            time.sleep(1.1)  # the partition's age is what is waited for
        expect(len(list((instance.data / "logs").glob("*.mdb"))) >= 2, "more than one partition, though there is no entry")
        expect(collector.stop() == 0, "exit status")
        expect([s["operation"] for s in trace(instance, ONE)["spans"]] == ["step1", "step2", "step3"], "the trace")
        done = instance.run("tfctl", "verify")
        expect(b": sound" in done.stdout and b"damaged" not in done.stdout, f"{done.stdout}")
        instance.start("collector")
        probe.tell(f"span {ONE} 04 03 4 1 step4")
        wait_until(lambda: rows(instance)[0]["span_count"] == 4, "the fourth span")


def a_trace_with_more_spans_than_are_shown_says_so():
    with Instance() as instance:
        instance.start("collector")
        probe = Probe(instance, "shop")
        for _ in range(21):
            probe.tell(f"many {ONE} 1000")
            wait_until(lambda: rows(instance), "some")
        probe.end()
        wait_until(lambda: rows(instance)[0].get("more"), "more than can be looked at")
        expect(rows(instance)[0]["span_count"] == 20000, f"{rows(instance)}")
        done = instance.run("tfctl", "trace", ONE)
        expect(b"more than is shown" in done.stderr and len(done.stdout.splitlines()) == 20001, f"{done.stderr}")


# --- open spans ---


def operations(instance):
    return sorted(s["operation"] for row in rows(instance, "--active") for s in row["spans"])


def open_spans_are_seen_with_and_without_a_collector():
    with Instance() as instance:
        probe = Probe(instance, "shop")
        probe.tell(f"open {ONE} 01 - checkout", f"open {ONE} 02 01 charge", f"open {TWO} 01 - ping")
        expect(operations(instance) == ["charge", "checkout", "ping"], "without a collector")
        collector = instance.start("collector")
        expect(operations(instance) == ["charge", "checkout", "ping"], "with one")
        row = next(r for r in rows(instance, "--active") if r["trace_id"] == ONE)
        expect((row["operation"], row["service"], row["active_count"]) == ("checkout", "shop", 2), f"{row}")
        expect("duration_ms" not in row and all(s["active"] and s["pid"] == probe.process.pid for s in row["spans"]), f"{row}")
        expect(len(lines(instance, "traces", "--active")) == 3 and rows(instance) == [], "text")
        expect([r["trace_id"] for r in rows(instance, "--active", "-n", "1")] == [TWO], "-n")
        probe.tell("end 02", f"span {ONE} 02 01 10 60 charge")
        expect(operations(instance) == ["checkout", "ping"], "after the end of one")
        wait_until(lambda: trace(instance, ONE)["span_count"] == 2, "the one that ended")
        whole = trace(instance, ONE)
        expect([s["operation"] for s in whole["spans"]] == ["checkout", "charge"] and whole["active_count"] == 1, f"{whole}")
        expect(any("open" in line and line.rstrip().count(">") == 1 for line in lines(instance, "trace", ONE)), "the open one's bar")
        collector.process.send_signal(19)  # SIGSTOP: it does not answer
        expect(operations(instance) == ["checkout", "ping"], "with a collector that stands still")
        collector.process.send_signal(18)
        collector.kill()
        expect(operations(instance) == ["checkout", "ping"], "after it was killed")
        probe.kill()
        expect(operations(instance) == [], "of a dead process")
        instance.start("collector")
        expect(operations(instance) == [], "of a dead process, by the collector")


def a_copy_of_the_store_has_no_open_spans():
    with Instance() as instance:
        instance.start("collector")
        Probe(instance, "shop").tell(f"open {ONE} 01 - checkout")
        environment = dict(instance.env)
        del environment["TASKFORGE_RUNTIME_DIR"]
        done = subprocess.run([instance.program("tfctl"), "--data-dir", instance.data, "traces", "--active"], env=environment, capture_output=True, timeout=60)
        expect(done.returncode == 0 and done.stdout == b"", f"{done}")


# --- the API ---


def the_api_has_recent_and_active_traces_and_one_whole():
    with Instance() as instance:
        collector = instance.start("collector")
        port = instance.port(instance.start("exporter"))
        probe = checkout(instance)
        status, answer = get(port, "/api/v1/traces")
        expect(status == 200 and [t["trace_id"] for t in answer["traces"]] == [TWO, ONE], f"{status} {answer}")
        expect(answer["traces"] == rows(instance)[::-1], f"{answer} is not what tfctl says")
        expect([t["trace_id"] for t in get(port, f"/api/v1/traces?end={EPOCH + 1}&limit=5&service=shop")[1]["traces"]] == [ONE], "parameters")
        expect(get(port, "/api/v1/traces?service=nobody")[1] == {"traces": []}, "nobody's")
        expect(get(port, "/api/v1/traces?active=true")[1] == {"traces": []}, "none is open")
        status, whole = get(port, f"/api/v1/traces/{ONE}")
        expect(status == 200 and whole == trace(instance, ONE), f"{status} {whole}")
        probe.tell(f"open {TWO} 02 01 late")
        active = get(port, "/api/v1/traces?active=true")[1]["traces"]
        expect([t["trace_id"] for t in active] == [TWO] and active[0]["spans"][0]["operation"] == "late", f"{active}")
        expect(get(port, f"/api/v1/traces/{TWO}")[1]["active_count"] == 1, "an open span of a trace")
        for path, wanted, word in (
            ("/api/v1/traces?limit=0x", 400, "limit"),
            ("/api/v1/traces?limit=1001", 400, "1000"),
            ("/api/v1/traces?active=perhaps", 400, "active"),
            ("/api/v1/traces?lev=1", 400, "unknown parameter"),
            (f"/api/v1/traces/{ONE}?x=1", 400, "unknown parameter"),
            (f"/api/v1/traces/{'1' * 32}", 404, "no trace"),
            ("/api/v1/traces/", 404, "expected"),
        ):
            status, answer = get(port, path)
            expect(status == wanted and word in answer["error"], f"{path}: {status} {answer}")
        collector.kill()
        status, answer = get(port, "/api/v1/traces?active=true")
        expect(status == 503 and "collector" in answer["error"], f"{status} {answer}")
        expect(get(port, f"/api/v1/traces/{ONE}")[0] == 200, "stored traces without a collector")


# --- health, requests ---


def checks(instance):
    done = instance.run("tfctl", "health", "-o", "json", check=False)
    return {c["name"]: c for c in map(json.loads, done.stdout.splitlines())}, done.returncode


def reports_are_checks_until_they_are_late():
    with Instance(exporter="  health: { memory: { degraded_below: 0%, unhealthy_below: 0% }, disk: { degraded_below: 0%, unhealthy_below: 0% } }\n") as instance:
        instance.start("collector")
        port = instance.port(instance.start("exporter"))
        probe = Probe(instance, "shop")
        probe.tell("health database healthy 60000 fine", "health mail degraded 60000 slow \x1b[1m", answer="ok")
        wait_until(lambda: "shop/mail" in checks(instance)[0], "the report")
        found, status = checks(instance)
        expect(found["shop/database"]["status"] == "healthy" and found["shop/database"]["details"] == "fine" and status == 0, f"{found}")
        expect(found["overall"]["status"] == "degraded" and "shop/mail: slow" in found["overall"]["details"], f"{found['overall']}")
        expect("\x1b" not in instance.run("tfctl", "health").stdout.decode(), "a control character")
        status, answer = get(port, "/api/v1/health")
        expect([c["name"] for c in answer["checks"]][-2:] == ["shop/database", "shop/mail"], f"{answer}")
        expect(get(port, "/healthz")[0] == 200, "degraded is no failure")
        probe.tell("health mail unhealthy 60000 gone")
        wait_until(lambda: get(port, "/healthz")[0] == 503, "an unhealthy report")
        expect(checks(instance)[1] == 1, "exit status of an unhealthy one")
        probe.tell("health mail healthy 60000 back", "health database healthy 400 brief")
        wait_until(lambda: checks(instance)[0]["shop/mail"]["status"] == "healthy", "healthy again")
        wait_until(lambda: "no report for" in checks(instance)[0]["shop/database"]["details"], "the one that came late")
        expect(checks(instance)[0]["shop/database"]["status"] == "unhealthy", f"{checks(instance)}")
        probe.kill()
        wait_until(lambda: get(port, "/healthz")[0] == 503, "a late report on /healthz")
        instance.processes[0].kill()  # the collector; its reports are in the store
        expect("shop/mail" in checks(instance)[0], "without a collector")


def requests_become_metrics():
    with Instance() as instance:
        instance.start("collector")
        probe = Probe(instance, "shop")
        probe.tell("request checkout 250 0", "request checkout 750 1")

        def found():
            done = instance.run("tfctl", "metrics", "taskforge_request", "-o", "json", check=False)
            return {(r["name"], r["labels"].get("status")): r for r in map(json.loads, done.stdout.splitlines())}

        wait_until(lambda: len(found()) == 3, "the metrics")
        series = found()
        expect(series["taskforge_requests_total", "ok"]["value"] == 1 and series["taskforge_requests_total", "error"]["value"] == 1, f"{series}")
        timer = series["taskforge_request_duration_seconds", None]
        expect(timer["count"] == 2 and timer["sum"] == 1 and timer["labels"] == {"service": "shop", "operation": "checkout"}, f"{timer}")


if __name__ == "__main__":
    sys.exit(
        main(
            [
                traces_are_listed_the_last_one_last,
                one_trace_is_a_waterfall_with_its_entries_in_place,
                an_id_that_no_span_can_have_gives_its_entries,
                a_trace_over_partitions_is_put_together_and_outlives_restarts,
                a_trace_with_more_spans_than_are_shown_says_so,
                open_spans_are_seen_with_and_without_a_collector,
                a_copy_of_the_store_has_no_open_spans,
                the_api_has_recent_and_active_traces_and_one_whole,
                reports_are_checks_until_they_are_late,
                requests_become_metrics,
            ]
        )
    )
