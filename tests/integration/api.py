"""The exporter's JSON API over a real store: logs with every filter, order and cursor, statistics, system, health, refusals."""

import http.client
import json
import pathlib
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import Instance, expect, main, wait_until  # noqa: E402


class Api:
    """One running exporter, asked over loopback."""

    def __init__(self, instance, process):
        self.port = instance.port(process)

    def ask(self, path, method="GET", body=None, headers=None, **parameters):
        query = "?" + urllib.parse.urlencode(parameters) if parameters else ""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path + query, body, headers or {})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text)

    def get(self, path, **parameters):
        status, answer = self.ask(path, **parameters)
        expect(status == 200, f"{path} {parameters}: {status} {answer}")
        return answer

    def refused(self, status, word, path, method="GET", body=None, **parameters):
        got, answer = self.ask(path, method, body, **parameters)
        expect(got == status, f"{path} {parameters}: {got}, not {status}: {answer}")
        expect(word in answer["error"], f"{path} {parameters}: {answer} does not say \"{word}\"")


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
USER = "6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b11"


def fill(instance):
    lines = "".join(f"line {i}\n" for i in range(250))
    instance.run("tflog", "-s", "queue", "-m", "mail", stdin=lines.encode())
    instance.run("tflog", "-s", "billing", "-l", "error", "--trace-id", TRACE, "--user-id", USER, "--metadata", '{"order":"4711"}', "card refused")
    instance.run("tflog", "-s", "billing", "-l", "warn", "slow answer")
    instance.wait_count(252, "{service=~\"queue|billing\"}")


def started(instance):
    instance.start("collector")
    return Api(instance, instance.start("exporter"))


def messages(answer):
    return [entry["message"] for entry in answer["entries"]]


def logs_are_found_by_every_filter():
    with Instance() as instance:
        api = started(instance)
        fill(instance)
        newest = api.get("/api/v1/logs", limit=2)
        expect(messages(newest) == ["slow answer", "card refused"], f"not the newest first: {messages(newest)}")
        entry = newest["entries"][1]
        expect(list(entry)[:7] == ["id", "timestamp", "level", "service", "module", "operation", "message"], f"keys: {list(entry)}")
        expect(entry["metadata"] == {"order": "4711"} and entry["trace_id"] == TRACE and entry["user_id"] == USER, f"{entry}")
        for parameters, count in (
            ({"service": "billing"}, 2),
            ({"service": "billing", "level": "warn"}, 1),
            ({"min_level": "warning"}, 2),
            ({"level": "error"}, 1),
            ({"trace_id": TRACE}, 1),
            ({"user_id": USER}, 1),
            ({"q": "refused"}, 1),
            ({"q": "line 24"}, 11),
            ({"q": '{service="queue"} |~ "^line 1.$"'}, 10),
            ({"q": '{order="4711"}'}, 1),
            ({"q": '|= "line 7" != "line 77"'}, 10),
            ({"correlation_id": "none"}, 0),
            ({"service": "queue", "start": "1h"}, 250),
            ({"service": "queue", "start": "2030-01-01T00:00:00Z"}, 0),
            ({"service": "queue", "end": "1000000000"}, 0),
        ):
            found = api.get("/api/v1/logs", limit=10000, **parameters)
            expect(len(found["entries"]) == count, f"{parameters}: {len(found['entries'])}, not {count}")
            expect(found["next"] is None, f"{parameters}: a next page of nothing: {found['next']}")
        part = api.get("/api/v1/logs", service="queue", order="asc", offset=240, limit=5)
        expect(messages(part) == [f"line {i}" for i in range(240, 245)], f"offset: {messages(part)}")


def pages_follow_each_other_by_their_cursors():
    with Instance() as instance:
        api = started(instance)
        fill(instance)
        for order in ("asc", "desc", "arrival"):
            found, cursor, pages = [], "", 0
            while True:
                answer = api.get("/api/v1/logs", service="queue", order=order, limit=33, cursor=cursor)
                found += messages(answer)
                pages += 1
                if order == "arrival" and not answer["entries"] or answer["next"] is None:
                    break
                cursor = answer["next"]
            wanted = [f"line {i}" for i in range(250)]
            expect(found == (wanted[::-1] if order == "desc" else wanted), f"{order}: {len(found)} entries in {pages} pages")
        # a reader that follows by arrival sees what comes, once
        last = api.get("/api/v1/logs", order="arrival", limit=10000)
        instance.run("tflog", "-s", "late", "--", "one more")
        instance.wait_count(1, "-s", "late")
        more = api.get("/api/v1/logs", order="arrival", limit=10000, cursor=last["next"])
        expect("one more" in messages(more) and "line 3" not in messages(more), f"followed: {messages(more)[:5]}")


def statistics_count_by_level_service_and_time():
    with Instance() as instance:
        api = started(instance)
        fill(instance)
        one = api.get("/api/v1/logs/stats", service="billing")
        expect((one["total_logs"], one["error_logs"], one["warn_logs"]) == (2, 1, 1), f"{one}")
        expect(one["service"] == "billing" and one["levels"]["error"] == 1 and one["start_time"] <= one["end_time"], f"{one}")
        all_of_them = api.get("/api/v1/logs/stats", start="15m", buckets=30)
        services = {row["service"]: row["total_logs"] for row in all_of_them["services"]}
        expect(all_of_them["service"] == "all" and services["queue"] == 250, f"{services}")
        expect(len(all_of_them["buckets"]) == 30, f"{len(all_of_them['buckets'])} buckets")
        expect(sum(bucket["total_logs"] for bucket in all_of_them["buckets"]) == all_of_them["total_logs"], "the buckets do not add up")
        by_step = api.get("/api/v1/logs/stats", start="15m", step="5m")
        expect(len(by_step["buckets"]) in (3, 4), f"{len(by_step['buckets'])} steps of five minutes")
        expect(all(bucket["start_time"][14:16] in ("00", "05", "10", "15", "20", "25", "30", "35", "40", "45", "50", "55") for bucket in by_step["buckets"]), "steps begin at multiples")
        expect(sum(bucket["total_logs"] for bucket in by_step["buckets"]) == by_step["total_logs"], "the steps do not add up")
        api.refused(400, "one of them", "/api/v1/logs/stats", start="15m", step="5m", buckets=3)
        api.refused(400, "a second or more", "/api/v1/logs/stats", start="15m", step="1ms")
        api.refused(400, "too many", "/api/v1/logs/stats", start="30d", step="1s")
        api.refused(400, "16 hex digits", "/api/v1/logs", template="x")
        expect(api.get("/api/v1/logs", template="0123456789abcdef")["entries"] == [], "a template that is nowhere")
        api.refused(400, "start", "/api/v1/logs/stats", buckets=10)
        api.refused(400, "up to 120", "/api/v1/logs/stats", buckets=1000, start="1h")


def what_cannot_be_asked_is_refused_with_the_reason():
    with Instance() as instance:
        api = started(instance)
        for parameters, word in (
            ({"levle": "error"}, "levle"),
            ({"level": "loud"}, "level must be"),
            ({"limit": "10001"}, "10000"),
            ({"limit": "-1"}, "limit"),
            ({"order": "random"}, "order must be"),
            ({"cursor": "x"}, "cursor"),
            ({"cursor": "asc.1.1", "order": "desc"}, "cursor"),
            ({"start": "soon"}, "start must be a time"),
            ({"q": "{service="}, "q: character"),
            ({"q": '{} |~ "("'}, "q:"),
            ({"user_id": "nobody"}, "user_id"),
        ):
            api.refused(400, word, "/api/v1/logs", **parameters)
        api.refused(404, "", "/api/v1/nothing")
        for path in ("/api/v1/logs/tail", "/api/v1/services", "/prometheus/api/v1/query", "/loki/api/v1/push"):
            api.refused(501, path + " is not built yet", path)
        api.refused(405, "", "/api/v1/logs", method="POST")
        api.refused(400, "unknown parameter", "/api/v1/system", x="1")


def health_sees_a_pipeline_that_stands_still():
    with Instance() as instance:
        collector = instance.start("collector")
        api = Api(instance, instance.start("exporter"))
        whole = api.get("/api/v1/health")
        expect([check["name"] for check in whole["checks"]] == ["database", "memory", "disk", "pipeline"], f"{whole}")
        expect(all(set(check) == {"name", "status", "details", "timestamp"} for check in whole["checks"]), f"{whole}")
        pipeline = whole["checks"][3]
        expect(pipeline["status"] == "healthy", f"{pipeline}")
        status, overall = api.ask("/healthz")
        expect(overall["name"] == "overall" and (status == 503) == (overall["status"] == "unhealthy"), f"{status} {overall}")
        expect(api.ask("/readyz")[0] == 200, "not ready although the collector runs")
        collector.kill()
        wait_until(lambda: api.ask("/healthz")[0] == 503, "healthz without a collector", 15)
        expect("collector" in api.ask("/healthz")[1]["details"], f"{api.ask('/healthz')}")
        wait_until(lambda: api.ask("/readyz")[0] == 503, "readyz without a collector", 15)
        told = instance.run("tfctl", "health", check=False)
        expect(told.returncode == 1 and b"collector does not answer" in told.stdout, f"{told.stdout}")
        instance.start("collector")
        wait_until(lambda: api.ask("/readyz")[0] == 200, "ready again", 15)
        wait_until(lambda: api.get("/api/v1/health")["checks"][3]["status"] == "healthy", "healthy again", 15)


def memory_and_disk_are_judged_by_their_limits():
    with Instance(exporter="  health: { memory: { degraded_below: 100%, unhealthy_below: 0% }, disk: { degraded_below: 100%, unhealthy_below: 100% } }\n") as instance:
        api = started(instance)
        states = {check["name"]: check["status"] for check in api.get("/api/v1/health")["checks"]}
        expect(states["memory"] == "degraded" and states["disk"] == "unhealthy", f"{states}")
        expect(api.ask("/healthz")[0] == 503, "an unhealthy disk is not told")
        line = next(line for line in instance.run("tfctl", "health", check=False).stdout.decode().splitlines() if line.startswith("disk"))
        expect("unhealthy" in line and "MiB" in line, line)


def alerts_say_when_the_alerter_is_not_there():
    with Instance() as instance:
        api = started(instance)
        api.refused(503, "the alerter does not answer", "/api/v1/alerts")
        api.refused(503, "the alerter does not answer", "/api/v1/alerts/1/ack", method="POST", body="{}")
        api.refused(404, "expected /api/v1/alerts/ID/ack", "/api/v1/alerts/1/eat", method="POST")
        api.refused(400, "reason", "/api/v1/alerts/1/ack", method="POST", body="[1]")
        done = instance.run("tfctl", "alerts", check=False)
        expect(done.returncode == 1 and b"the alerter does not answer" in done.stderr, f"{done}")


def alerts_are_the_alerters():
    with Instance() as instance:
        api = started(instance)
        rules = instance.root / "rules.yaml"
        rules.write_text("rules:\n  - { id: any, name: Any, severity: info, condition: { log: { level: error, service: trip, count_threshold: 1, time_window: 1h } } }\n")
        instance.config.write_text(instance.config.read_text() + f"alerter: {{ interval: 200ms, rules_files: [{rules}] }}\n")
        instance.start("alerter")
        expect(api.get("/api/v1/alerts") == {"alerts": []}, "alerts of nothing")
        api.refused(404, "no alert", "/api/v1/alerts/nope/ack", method="POST", body="{}")
        api.refused(404, "no alert", "/api/v1/alerts/01a2130b-9f37-767f-8140-2fe7fd2ab9e3/ack", method="POST", body="{}")
        instance.run("tflog", "-s", "trip", "-l", "error", "tripped")
        wait_until(lambda: api.get("/api/v1/alerts")["alerts"], "the alert", 30)
        alert = api.get("/api/v1/alerts")["alerts"][0]
        status, answer = api.ask(f"/api/v1/alerts/{alert['id']}/ack", "POST", '{"reason": "on it"}')
        expect(status == 200 and answer["status"] == "acknowledged" and answer["acknowledged_reason"] == "on it", f"{status} {answer}")
        api.refused(409, "", f"/api/v1/alerts/{alert['id']}/ack", method="POST", body="{}")
        status, answer = api.ask(f"/api/v1/alerts/{alert['id']}/resolve", "POST")
        expect(status == 200 and answer["status"] == "resolved", f"{status} {answer}")
        every = api.get("/api/v1/alerts", all="1")["alerts"]
        expect([one["status"] for one in every if one["id"] == alert["id"]] == ["resolved"], f"{every}")
        instance.wait_count(2, '{module="audit",target="' + alert["id"] + '"}')


def the_system_is_told_even_when_nobody_told_it_anything():
    with Instance() as instance:
        api = started(instance)
        system = api.get("/api/v1/system")
        expect(system["database_healthy"] is True, f"{system}")
        expect(list(system["queue_stats"]) == ["total", "active", "paused"], f"{system}")
        expect(list(system["worker_stats"]) == ["total", "online", "offline", "draining"], f"{system}")
        expect(list(system["job_stats"]) == ["total", "pending", "processing", "succeeded", "failed"], f"{system}")


if __name__ == "__main__":
    sys.exit(
        main(
            [
                logs_are_found_by_every_filter,
                pages_follow_each_other_by_their_cursors,
                statistics_count_by_level_service_and_time,
                what_cannot_be_asked_is_refused_with_the_reason,
                health_sees_a_pipeline_that_stands_still,
                memory_and_disk_are_judged_by_their_limits,
                alerts_say_when_the_alerter_is_not_there,
                alerts_are_the_alerters,
                the_system_is_told_even_when_nobody_told_it_anything,
            ]
        )
    )
