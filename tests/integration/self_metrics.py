"""What the four processes tell of themselves: the real programs, some traffic, and the numbers on /metrics are right and keep
so over reloads, ends and kills; names, kinds and labels are those of the table and the manual."""

import contextlib
import http.client
import http.server
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import harness
from harness import Instance, expect, wait_until

SOURCE = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ("agent", "collector", "exporter", "alerter")
TOKEN = "a-token-for-this-test"
# Nothing of this happens here: a service that found no room, a flight recorder, an entry that the collector had to repair, too
# many series.
NOT_PROVOKED = {
    "ring_dropped_total",
    "ring_recorded_total",
    "store_entries_repaired_total",
    "store_values_redacted_total",
    "store_redactions_too_costly_total",
    "store_values_unsealed_total",
    "metric_overflow_total",
    "alerter_rule_failures_total",
}


def table():
    """name -> (kind, labels), out of the one table."""
    rows = re.findall(r'^    X\(\w+, (\w+), "(\w+)", "([\w,]*)", ', (SOURCE / "common/model/own_metrics.h").read_text(), re.M)
    return {name: (kind.lower(), set(filter(None, labels.split(",")))) for kind, name, labels in rows}


class Channel:
    """A webhook's other side that always answers the same."""

    def __init__(self, status):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Place(Instance):
    """An instance whose /metrics is read with a token."""

    def __init__(self, inputs="[]", channels=None):
        super().__init__()
        self.token = self.root / "token"
        self.token.write_text(TOKEN)
        self.token.chmod(0o600)
        self.rules = self.root / "rules.yaml"
        self.listen = self.root / "syslog.sock"
        self.file = self.logs / "app.log"
        self.set_channels(channels or {})
        self.configure(inputs)

    def configure(self, inputs):
        self.write_config(inputs, "  output: none\n  history: { interval: 1s }\n", exporter=f"  token_file: {self.token}\n")
        with self.config.open("a") as config:
            config.write(f"alerter:\n  interval: 200ms\n  rules_files: [{self.rules}]\n")

    def set_channels(self, channels):
        lines = "".join(f'  - {{ name: {name}, type: webhook, url: "{url}" }}\n' for name, url in channels.items())
        self.rules.write_text(
            (f"channels:\n{lines}default_channels: [{', '.join(channels)}]\n" if channels else "")
            + "rules:\n  - { id: errors, name: E, condition: { log: { level: error, service: queue, count_threshold: 1, time_window: 1h } } }\n"
        )

    def begin(self):
        self.start("collector")
        self.exporter = self.start("exporter")
        self.at = self.port(self.exporter)

    def get(self, path, token=TOKEN):
        connection = http.client.HTTPConnection("127.0.0.1", self.at, timeout=30)
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body

    def scrape(self):
        """((name, sorted labels) -> value, family -> type) of what is ours."""
        status, body = self.get("/metrics")
        expect(status == 200, f"{status} {body}")
        series = {}
        for name, labels, value in re.findall(r"^taskforge_(\w+)(?:\{(.*)\})? (\S+)$", body, re.M):
            series[(name, tuple(sorted(re.findall(r'(\w+)="([^"]*)"', labels))))] = float(value)
        return series, dict(re.findall(r"^# TYPE taskforge_(\w+) (\w+)$", body, re.M))

    def value(self, name, **labels):
        return self.scrape()[0].get((name, tuple(sorted(labels.items()))))

    def wait(self, expected, name, **labels):
        wait_until(lambda: self.value(name, **labels) == expected, f"{name}{labels} to be {expected}, not {self.value(name, **labels)}", pause=0.1)

    def expect(self, expected, name, **labels):
        found = self.value(name, **labels)
        expect(found == expected, f"{name}{labels} is {found}, not {expected}")

    def inputs(self, service="files"):
        return (
            '[{ type: stdin, service: shop }, { type: syslog, listen: "unixgram://%s" }, '
            '{ type: tail, name: files, paths: ["%s"], service: %s, format: json }]' % (self.listen, self.file, service)
        )

    @contextlib.contextmanager
    def no_store(self):
        """No partition can be found: a file stands in place of their folder."""
        logs, away = self.data / "logs", self.data / "away"
        logs.rename(away)
        logs.touch()
        try:
            yield
        finally:
            logs.unlink()
            away.rename(logs)

    def datagram(self, data):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(data, str(self.listen))


def inputs_are_counted():
    with Place() as place:
        place.configure(place.inputs())
        place.file.write_bytes(b'{"message":"a"}\nthis is no JSON\n{"message":"b","level":"loud"}\n\n')
        place.begin()
        agent = place.start("agent", stdin=subprocess.PIPE)
        agent.process.stdin.write(b"fine\n\nbad \xff\nbad \xfe and \xfd\n")
        agent.process.stdin.flush()
        place.datagram(b"<13>app: hello")
        place.datagram(b"\n")
        place.datagram(b"\n")
        place.datagram(b"<13>app: \xff")
        place.wait_count(8)
        for name, lines, entries, empty in (("stdin", 4, 3, 1), ("files", 4, 3, 1), ("syslog", 4, 2, 0)):
            place.wait(lines, "input_lines_total", input=name)
            place.wait(entries, "input_entries_total", input=name)
            place.wait(empty, "input_empty_total", input=name)
            for never in ("own", "lost", "held"):
                place.expect(0, f"input_{never}_total", input=name)
        repaired = {key[1]: value for key, value in place.scrape()[0].items() if key[0] == "input_repaired_total" and value}
        expect(
            {tuple(dict(labels)[k] for k in ("input", "reason")): value for labels, value in repaired.items()}
            == {("stdin", "utf8"): 2, ("files", "json"): 1, ("files", "level"): 1, ("syslog", "utf8"): 1},
            f"{repaired}",
        )
        place.expect(len(b"fine\n\nbad \xff\nbad \xfe and \xfd\n"), "input_bytes_total", input="stdin")
        place.expect(place.file.stat().st_size, "input_bytes_total", input="files")
        place.expect(len(b"<13>app: hello\n\n<13>app: \xff"), "input_bytes_total", input="syslog")
        for name in ("stdin", "files", "syslog"):
            newest = place.value("input_newest_timestamp_seconds", input=name)
            expect(abs(newest - time.time()) < 60, f"{name} has come to {newest}")
        place.expect(2, "input_invalid_total", input="syslog", reason="empty")
        place.expect(0, "input_invalid_total", input="files", reason="damaged")
        place.expect(3, "agent_inputs")


def our_own_lines_are_passed_over_and_counted():
    with Place() as place:
        place.configure(f'[{{ type: tail, paths: ["{place.file}"] }}]')
        place.file.write_bytes(b"Nov 25 10:00:00 host app[1]: taken\nNov 25 10:00:01 host taskforge-agent[2]: ours\n")
        place.begin()
        place.start("agent")
        place.wait(2, "input_lines_total", input="tail")
        place.expect(1, "input_own_total", input="tail")
        place.expect(1, "input_entries_total", input="tail")
        expect(place.value("input_lag_seconds", input="tail") > 0, "the line taken has a time of its own")
        place.expect(0, "input_cut_total", input="tail")


def lines_that_are_cut_and_files_that_cannot_be_read_are_counted():
    with Place() as place:
        # Of its own memory a process may not read what lies at 0: a file like any other, and EIO.
        place.configure(f'[{{ type: tail, paths: ["{place.file}"] }}, {{ type: tail, name: broken, paths: ["/proc/self/mem"] }}]')
        place.file.write_bytes(b"long " * (1 << 18) + b"\nshort\n")
        place.begin()
        place.start("agent")
        place.wait(2, "input_entries_total", input="tail")
        place.expect(1, "input_cut_total", input="tail")
        place.expect(1, "input_open_files", input="tail")
        place.expect(0, "input_lag_seconds", input="tail")
        wait_until(lambda: place.value("input_read_errors_total", input="broken", cause="io"), "EIO")
        place.expect(0, "input_read_errors_total", input="broken", cause="permission")
        place.expect(0, "input_read_errors_total", input="tail", cause="io")


def counts_go_on_over_reloads_and_ends_and_kills():
    with Place() as place:
        place.configure(place.inputs())
        written = 0

        def write(count):
            nonlocal written
            with place.file.open("ab") as file:
                file.write(b'{"message":"a"}\n' * count)
            written += count
            place.wait(written, "input_lines_total", input="files")
            place.expect(written, "input_entries_total", input="files")

        place.file.touch()
        place.begin()
        agent = place.start("agent", stdin=subprocess.PIPE)
        write(3)
        place.configure(place.inputs("other"))  # another input of the same name takes its place
        with place.file.open("ab") as file:
            file.write(b'{"message":"a"}\n' * 50)
        written += 50
        place.wait_count(written, "-S", "1970-01-01", '{service!="taskforge"}')  # read by the one that is to go, and hardly told yet
        agent.process.send_signal(signal.SIGHUP)
        agent.wait_line("the configuration was read again")
        write(2)
        with place.file.open("ab") as file:
            file.write(b'{"message":"a"}\n' * 4)
        written += 4
        place.wait_count(written, "-S", "1970-01-01", '{service!="taskforge"}')
        expect(agent.stop() == 0, "the agent's end")  # what it counted last is not lost with it
        place.wait(written, "input_lines_total", input="files")
        agent = place.start("agent", stdin=subprocess.PIPE)
        write(5)
        agent.kill()
        place.start("agent", stdin=subprocess.PIPE)
        write(6)
        before = place.scrape()[0]
        for process in place.processes:
            if "collector" in process.argv[0]:
                process.kill()
        place.start("collector")
        write(1)
        after = place.scrape()[0]
        for key, value in before.items():
            if key[0].endswith(("_total", "_count", "_bucket")):
                expect(after.get(key, -1) >= value, f"{key} went from {value} to {after.get(key)}")


def requests_and_refused_tokens_are_counted():
    with Place() as place:
        place.begin()
        expect(place.get("/metrics", token=None)[0] == 401 and place.get("/metrics", token="guess")[0] == 401, "tokens are asked for")
        expect(place.get("/api/v1/logs", token="guess")[0] == 401, "here too")
        for _ in range(5):
            expect(place.get("/api/v1/logs")[0] == 200, "a query")
        expect(place.get("/nowhere")[0] == 404, "no path")
        place.wait(1, "exporter_http_tokens_refused_total", reason="missing")
        place.wait(2, "exporter_http_tokens_refused_total", reason="wrong")
        place.wait(4, "exporter_http_requests_refused_total")
        place.wait(5, "exporter_query_seconds_count")
        seen = place.scrape()[0]
        took = seen[("exporter_query_seconds_sum", ())]
        expect(0 < took < 10, f"five queries took {took} s")
        # Our own scrapes are the rest of the requests; the last ones are not told yet.
        expect(seen[("exporter_http_requests_total", ())] - 5 <= seen[("exporter_scrape_seconds_count", ())], f"{seen}")
        requests = 5 + seen[("exporter_scrape_seconds_count", ())]
        wait_until(lambda: place.value("exporter_http_requests_total") >= requests, "the requests")
        expect(place.value("exporter_http_response_bytes_total") > 1000, "bytes")
        with socket.create_connection(("127.0.0.1", place.at)):
            wait_until(lambda: place.value("exporter_http_connections_open") >= 1, "an open connection")
        place.wait(5, "exporter_http_responses_total", route="/api/v1/logs", status="200")
        place.wait(3, "exporter_http_responses_total", route="none", status="401")
        place.wait(1, "exporter_http_responses_total", route="none", status="404")
        place.expect(5, "exporter_http_response_seconds_count", route="/api/v1/logs")
        expect(place.value("exporter_scrape_bytes_sum") > 1000, "bytes of scrapes")
        accepted = place.value("exporter_http_connections_accepted_total")
        for _ in range(20):
            place.get("/metrics", token=None)
        expect(place.exporter.stop() == 0, "the exporter's end")  # what it counted last is not lost with it
        place.exporter = place.start("exporter")
        place.at = place.port(place.exporter)
        wait_until(lambda: place.value("exporter_http_connections_accepted_total") > accepted, "the count goes on")
        place.expect(21, "exporter_http_tokens_refused_total", reason="missing")


def alerts_and_notifications_are_counted():
    with Channel(200) as good, Channel(400) as bad, Channel(503) as busy:
        with Place(channels={"good": good.url, "bad": bad.url, "busy": busy.url, "none": "http://127.0.0.1:1/"}) as place:
            place.begin()
            alerter = place.start("alerter")
            place.wait(0, "alerter_alerts", state="active")
            place.expect(0, "alerter_notifications_total", channel="good", outcome="sent")
            place.expect(0, "alerter_notifications_waiting", channel="busy")
            place.expect(1, "alerter_rules")
            place.run("tflog", "-s", "queue", "-l", "error", "--wait", "30s", "down")
            place.wait(1, "alerter_alerts", state="active")
            place.wait(1, "alerter_notifications_total", channel="good", outcome="sent")
            place.wait(1, "alerter_notifications_total", channel="bad", outcome="refused")
            place.wait(1, "alerter_notifications_waiting", channel="busy")
            place.wait(1, "alerter_notification_failures_total", channel="bad", cause="http_4xx")
            place.expect(0, "alerter_notification_failures_total", channel="bad", cause="timeout")
            wait_until(lambda: place.value("alerter_notification_failures_total", channel="none", cause="connection"), "no connection")
            place.wait(1, "alerter_notification_seconds_count", channel="good")
            place.expect(0, "alerter_notification_seconds_count", channel="bad")
            expect(0 < place.value("alerter_notification_seconds_sum", channel="good") < 30, "how long it took")
            wait_until(lambda: place.value("alerter_notifications_oldest_seconds", channel="busy") > 0.5, "the oldest to grow old")
            place.expect(0, "alerter_notifications_oldest_seconds", channel="good")
            expect(0 < place.value("alerter_slowest_rule_seconds") < 30, "the slowest rule")
            wait_until(lambda: place.value("alerter_notifications_total", channel="busy", outcome="failed") >= 2, "two attempts")
            place.expect(0, "alerter_notifications_total", channel="good", outcome="failed")
            place.expect(0, "alerter_notifications_waiting", channel="good")
            seen = place.scrape()[0]
            evaluations = seen[("alerter_evaluations_total", ())]
            wait_until(lambda: place.value("alerter_evaluations_total") >= evaluations + 10, "evaluations go on")
            place.expect(0, "alerter_evaluation_failures_total")
            with place.no_store():
                alerter.wait_line("rule errors cannot be evaluated")
            wait_until(lambda: place.value("alerter_rule_failures_total", rule="errors"), "the rule that failed")
            failures = place.value("alerter_evaluation_failures_total")
            expect(failures >= place.value("alerter_rule_failures_total", rule="errors") > 0, f"{failures} failures")
            last = place.value("alerter_last_evaluation_timestamp_seconds")
            expect(abs(last - time.time()) < 30, f"the last evaluation was at {last}")
            place.set_channels({"good": good.url})  # while "busy" still waits
            alerter.process.send_signal(signal.SIGHUP)
            alerter.wait_line("the configuration was read again")
            expect(alerter.stop() == 0, "the alerter's end")
            place.expect(1, "alerter_notifications_total", channel="good", outcome="sent")
            place.expect(1, "alerter_notifications_total", channel="bad", outcome="refused")
            place.expect(1, "alerter_notifications_waiting", channel="busy")


def evaluations_are_counted_to_the_last():
    with Place() as place:
        place.begin()
        for _ in range(3):
            alerter = place.start("alerter")
            evaluations = place.value("alerter_evaluations_total") or 0
            wait_until(lambda: (place.value("alerter_evaluations_total") or 0) >= evaluations + 5, "evaluations")
            expect(alerter.stop() == 0, "the alerter's end")
            wait_until(
                lambda: place.value("alerter_evaluation_seconds_count") == place.value("alerter_evaluations_total"), "all evaluations were told"
            )


def each_process_tells_what_it_uses():
    with Place() as place:
        begun = time.time()
        place.begin()
        place.start("agent")
        place.start("alerter")
        for name in PROGRAMS:
            program = f"taskforge-{name}"
            version = place.run(name, "--version").stdout.decode().split()[-1]
            place.wait(1, "build_info", program=program, version=version)
            wait_until(lambda: place.value("process_cpu_seconds_total", program=program), f"processor time of {program}")
            start = place.value("process_start_time_seconds", program=program)
            expect(begun - 2 <= start <= time.time() + 2, f"{program} began at {start}, not {begun}")
            process = next(p for p in place.processes if p.argv[0].endswith(program)).process
            wait_until(
                lambda: abs(place.value("process_open_fds", program=program) - len(list(pathlib.Path(f"/proc/{process.pid}/fd").iterdir()))) <= 3,
                f"the descriptors of {program}",
            )
            resident = place.value("process_resident_memory_bytes", program=program)
            expect(1 << 20 <= resident <= 1 << 32, f"{program} has {resident} bytes")
            cpu = place.value("process_cpu_seconds_total", program=program)
            ticks = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            expect(cpu <= (int(ticks[11]) + int(ticks[12])) / 100 + 0.1, f"{program} says {cpu} s, the kernel {ticks[11:13]}")


def commits_are_told_by_size_age_and_cause():
    with Place() as place:
        place.begin()
        for _ in range(3):
            place.run("tflog", "-s", "queue", "-l", "warn", "--wait", "30s", "hello")
            place.run("tflog", "-s", "queue", "-l", "error", "--wait", "30s", "an error")

        def is_told():  # with the commit that follows
            seen = place.scrape()[0]
            entries = sum(value for key, value in seen.items() if key[0] == "store_entries_total")
            lags, sizes = seen.get(("store_lag_seconds_count", ())), seen.get(("store_commit_entries_sum", ()))
            return entries >= 6 and entries == lags == sizes

        wait_until(is_told, "each stored entry to be told", pause=0.1)
        wait_until(lambda: place.value("store_flushes_total", cause="interval"), "a commit in time", pause=0.1)
        seen = place.scrape()[0]
        expect(0 <= seen[("store_lag_seconds_sum", ())] < 30 * seen[("store_lag_seconds_count", ())], f"{seen}")
        expect(0 < seen[("ring_drain_seconds_count", ())], f"{seen}")
        causes = {dict(key[1])["cause"]: value for key, value in seen.items() if key[0] == "store_flushes_total"}
        expect(causes["urgent"] > 0 and causes["spill"] == 0, f"{causes}")
        expect(sum(causes.values()) <= place.value("store_commits_total"), f"{causes}")
        expect(0 < place.value("store_map_used_ratio") < 1, "the open partition is neither empty nor full")
        expect(100 < place.value("store_state_bytes") < 10 << 20, "the state")
        wait_until(lambda: place.value("history_ticks_total"), "a tick", pause=0.1)
        expect(0 < place.value("history_lag_seconds") < 30, "ticks come each second")
        wait_until(lambda: place.value("output_waiting_entries") == 0, "the output to print", pause=0.1)


def names_kinds_and_labels_are_those_of_the_table():
    with Channel(200) as good:
        with Place(channels={"good": good.url}) as place:
            place.configure(place.inputs())
            place.file.write_bytes(b"a line\n")
            place.begin()
            place.start("agent", stdin=subprocess.PIPE)
            place.start("alerter")
            place.run("tflog", "-s", "queue", "-l", "error", "--wait", "30s", "down")
            place.get("/api/v1/logs")
            place.wait(1, "alerter_notifications_total", channel="good", outcome="sent")
            place.wait(1, "exporter_query_seconds_count")
            known = table()
            expect(len(known) > 50, f"only {len(known)} metrics in the table")
            wait_until(lambda: set(known) - set(place.scrape()[1]) <= NOT_PROVOKED, "all metrics", pause=0.2)
            series, types = place.scrape()
            expect(set(types) <= set(known), f"not in the table: {set(types) - set(known)}")
            for name, kind in types.items():
                wanted = {"timer": "histogram"}.get(known[name][0], known[name][0])
                expect(kind == wanted, f"{name} is a {kind}, not a {wanted}")
            for name, labels in series:
                family = name if name in known else re.sub("_(bucket|sum|count)$", "", name)
                expect({k for k, _ in labels} - {"le"} == known[family][1], f"{name}{labels}")


if __name__ == "__main__":
    harness.PROGRAMS.update({"alerter": "alerter/taskforge-alerter"})
    sys.exit(
        harness.main(
            [
                inputs_are_counted,
                our_own_lines_are_passed_over_and_counted,
                lines_that_are_cut_and_files_that_cannot_be_read_are_counted,
                counts_go_on_over_reloads_and_ends_and_kills,
                requests_and_refused_tokens_are_counted,
                alerts_and_notifications_are_counted,
                evaluations_are_counted_to_the_last,
                each_process_tells_what_it_uses,
                commits_are_told_by_size_age_and_cause,
                names_kinds_and_labels_are_those_of_the_table,
            ]
        )
    )
