#!/usr/bin/env python3
"""No collector for a while, and a full ring: apps run on, nothing blocks, and accepted = stored, refused = losses told."""

import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from harness import BUILD, Instance, expect, main, wait_until  # noqa: E402

APP = BUILD / "tests/integration/stand_app"
LEVELS = ["trace", "debug", "info", "warn", "error", "critical"]


def begin(instance, *arguments):
    return subprocess.Popen([APP, *map(str, arguments)], env=instance.env, stdout=subprocess.PIPE, text=True)


def end(process, seconds=120):
    out, _ = process.communicate(timeout=seconds)
    expect(process.returncode == 0, f"the app ended with {process.returncode}")
    return [json.loads(line) for line in out.splitlines()]


def app(instance, *arguments):
    return end(begin(instance, *arguments))


def total(accounts, key):
    return {level: sum(account[key][level] for account in accounts) for level in LEVELS}


def losses(instance, service):
    """What tfctl losses tells of a service, by level."""
    told = dict.fromkeys(LEVELS, 0)
    for line in instance.run("tfctl", "losses", "-o", "json").stdout.splitlines():
        row = json.loads(line)
        expect(list(row) == ["service", "level", "reason", "count", "first", "last"], f"keys {list(row)}")
        expect(row["first"] <= row["last"] and row["count"] > 0, str(row))
        if row["service"] == service:
            told[row["level"]] += row["count"]
    return told


def loss_entries(instance, service):
    """The same from the entries in the log."""
    told = dict.fromkeys(LEVELS, 0)
    for entry in instance.query("-s", "taskforge"):
        if entry["module"] == "loss" and entry["metadata"]["service"] == service:
            told[entry["metadata"]["level"]] += entry["metadata"]["count"]
    return told


def stored(instance, service):
    entries = instance.query("-s", service)
    expect(len({e["id"] for e in entries}) == len(entries), "an id is there twice")
    return entries


def check_order(entries):
    """Each thread's numbers rise: none is doubled, none out of place."""
    last = {}
    for entry in entries:
        pid, thread, number, *_ = entry["message"].split()
        expect(int(pid) == entry["pid"], f"pid {entry['pid']} on an entry of {pid}")
        expect(int(number) > last.get((pid, thread), -1), f"{pid} {thread}: {number} after {last.get((pid, thread))}")
        last[pid, thread] = int(number)


def check_balance(instance, service, accounts):
    """accepted = stored, refused = told, for each level, in the entries and in tfctl losses. The collector has ended."""
    accepted, refused = total(accounts, "accepted"), total(accounts, "refused")
    expect(all(account["faults"] == 0 for account in accounts), f"a call failed otherwise: {accounts}")
    expect(sum(account["lost"] for account in accounts) == sum(refused.values()), "tf_losses differ from what calls said")
    found = dict.fromkeys(LEVELS, 0)
    entries = stored(instance, service)
    for entry in entries:
        found[entry["level"]] += 1
    expect(found == accepted, f"stored {found}, accepted {accepted}")
    expect(losses(instance, service) == refused, f"tfctl losses {losses(instance, service)}, refused {refused}")
    expect(loss_entries(instance, service) == refused, f"loss entries {loss_entries(instance, service)}, refused {refused}")
    check_order(entries)
    return entries, refused


def settle(instance):
    """A collector comes, takes everything in, and ends well."""
    expect(instance.start("collector").stop() == 0, "the collector's exit status")
    expect(instance.run("tfctl", "verify", check=False).returncode == 0, "tfctl verify")


def apps_run_on_without_a_collector_and_all_is_read_in_order_once_when_it_comes():
    with Instance() as instance:
        instance.start("collector").stop()
        instance.run("tflog", "-s", "early", "-l", "warn", "from tflog", "--", check=True)
        instance.run("tflog", "-s", "early", stdin="".join(f"line {i}\n" for i in range(500)).encode())
        expect(instance.run("tfrun", "-s", "ran", "--", "sh", "-c", "echo out; echo err >&2; exit 7", check=False).returncode == 7, "tfrun")
        instance.run("worker", 40, 2)
        instance.run("hello")
        accounts = app(instance, "write", "early-c", "info", 2, 3, 300, 60)
        expect(sum(total(accounts, "refused").values()) == 0, "a call was refused in an empty ring")
        settle(instance)
        lines = [e["message"] for e in instance.query("-s", "early") if e["message"].startswith("line ")]
        expect(lines == [f"line {i}" for i in range(500)], f"{len(lines)} lines of tflog, in order once")
        expect({"out", "err"} <= {e["message"] for e in instance.query("-s", "ran")}, "both outputs of tfrun")
        expect(instance.count("-s", "worker") > 40 and instance.count("-s", "hello") > 0, "the examples' entries")
        check_balance(instance, "early-c", accounts)


def apps_may_be_the_first_to_come():
    with Instance() as instance:
        expect(not instance.runtime.exists(), "the folder is there already")
        accounts = app(instance, "write", "first", "info", 2, 2, 100, 40)
        settle(instance)
        check_balance(instance, "first", accounts)


def apps_run_before_there_is_a_place_for_the_runtime_folder():
    with Instance() as instance:
        later = instance.root / "later"
        instance.runtime = later / "run"
        instance.env["TASKFORGE_RUNTIME_DIR"] = str(instance.runtime)
        process = begin(instance, "until", "early", 50)
        done = instance.run("tflog", "-s", "nowhere", "hello", check=False)
        expect(done.returncode == 3 and len(done.stderr.splitlines()) == 1, f"tflog: {done.returncode} {done.stderr}")
        expect(instance.run("tfrun", "--", "sh", "-c", "exit 5", check=False).returncode == 5, "tfrun without a runtime folder")
        expect(instance.run("worker", 5, 2, check=False).returncode == 0, "the worker without a runtime folder")
        later.mkdir()
        collector = instance.start("collector")
        accounts = end(process)
        expect(collector.stop() == 0, "exit status")
        _, refused = check_balance(instance, "early", accounts)
        expect(refused["info"] > 0, "nothing was refused before there was a ring")


def a_full_ring_delays_no_call_and_every_loss_is_told():
    with Instance() as instance:
        instance.start("collector").stop()
        accounts = app(instance, "write", "flood", "info", 1, 1, 200000, 200)
        expect(accounts[0]["slow_calls"] <= 20, f"{accounts[0]['slow_calls']} calls over 20 ms")
        expect(accounts[0]["mean_ns"] < 50000, f"{accounts[0]['mean_ns']} ns a call")
        told = losses(instance, "flood")
        expect(told == total(accounts, "refused"), f"losses before a collector came: {told}")
        settle(instance)
        entries, refused = check_balance(instance, "flood", accounts)
        expect(refused["info"] > 100000, f"only {refused['info']} refused")
        numbers = [int(e["message"].split()[2]) for e in entries]
        expect(numbers == list(range(len(numbers))), "what was there first is not what is kept")


def errors_find_room_where_debug_filled_the_lane():
    with Instance() as instance:
        instance.start("collector").stop()
        accounts = app(instance, "levels", "ladder", 1500, 300)
        settle(instance)
        _, refused = check_balance(instance, "ladder", accounts)
        accepted = total(accounts, "accepted")
        expect(refused["trace"] > 0 and refused["debug"] == 1500, f"the low levels: {refused}")
        for level in ("info", "warn", "error"):
            expect(accepted[level] > 100, f"{accepted[level]} of {level} found room")


def many_processes_and_threads_balance_while_a_collector_reads():
    with Instance() as instance:
        collector = instance.start("collector")
        processes = [begin(instance, "write", f"app{i}", level, 2, 4, 4000, 150) for i, level in enumerate(("debug", "info", "error"))]
        accounts = [end(process) for process in processes]
        expect(collector.stop() == 0, "exit status")
        for i, account in enumerate(accounts):
            expect(len(account) == 2, "both processes kept account")
            check_balance(instance, f"app{i}", account)


def more_threads_than_lanes_balance_through_the_overflow_lanes():
    with Instance(ring_size="8MiB") as instance:
        instance.start("collector").stop()
        accounts = app(instance, "write", "crowd", "warn", 2, 40, 200, 150)
        settle(instance)
        check_balance(instance, "crowd", accounts)


def large_records_balance():
    with Instance() as instance:
        collector = instance.start("collector")
        with_reader = app(instance, "write", "large", "info", 1, 2, 100, 60000)
        expect(collector.stop() == 0, "exit status")
        check_balance(instance, "large", with_reader)
        without = app(instance, "write", "larger", "info", 2, 2, 150, 70000)
        settle(instance)
        _, refused = check_balance(instance, "larger", without)
        expect(refused["info"] > 0, "600 records of 70 kB found room in 16 MiB")


def one_process_cannot_fill_the_shared_lanes_for_all():
    with Instance() as instance:
        instance.start("collector").stop()
        flood = app(instance, "write", "flood", "info", 1, 1, 100, 70000) + app(instance, "write", "flood", "error", 1, 1, 100, 70000)
        modest = [account for level in ("info", "error") for account in app(instance, "write", "modest", level, 1, 1, 5, 60000)]
        expect(sum(total(modest, "refused").values()) == 0, f"no room was left for others: {total(modest, 'refused')}")
        rows = [json.loads(line) for line in instance.run("tfctl", "losses", "-o", "json").stdout.splitlines()]
        expect({(row["service"], row["reason"]) for row in rows} == {("flood", "quota")}, str(rows))
        settle(instance)
        check_balance(instance, "flood", flood)
        check_balance(instance, "modest", modest)


def losses_are_told_once_over_restarts():
    with Instance() as instance:
        instance.start("collector").stop()
        process = begin(instance, "write", "greedy", "info", 1, 1, 50000, 200)
        collector = instance.start("collector")
        accounts = end(process)
        accounts += app(instance, "write", "greedy", "info", 1, 1, 50000, 200)
        collector.kill()
        settle(instance)
        settle(instance)
        check_balance(instance, "greedy", accounts)


def tflog_says_what_it_lost_and_waits_when_told_to():
    with Instance() as instance:
        instance.start("collector").stop()
        lines = b"".join(b"%d %s\n" % (i, b"." * 300) for i in range(20000))
        done = instance.run("tflog", "-s", "pipe", stdin=lines, check=False)
        expect(done.returncode == 3 and len(done.stderr.splitlines()) == 1, f"{done.returncode} {done.stderr[:200]}")
        waiting = subprocess.Popen([instance.program("tflog"), "-s", "patient", "--wait", "60s"], env=instance.env, stdin=subprocess.PIPE)
        feeder = os.fdopen(os.dup(waiting.stdin.fileno()), "wb")
        waiting.stdin.close()
        import threading

        thread = threading.Thread(target=lambda: (feeder.write(lines), feeder.close()))
        thread.start()
        collector = instance.start("collector")
        thread.join(60)
        expect(waiting.wait(60) == 0, "tflog --wait")
        collector.stop()
        numbers = [int(e["message"].split()[0]) for e in instance.query("-s", "patient")]
        expect(numbers == list(range(20000)), f"{len(numbers)} lines of 20000")
        kept = instance.count("-s", "pipe")
        expect(kept + losses(instance, "pipe")["info"] == 20000, f"{kept} kept, {losses(instance, 'pipe')} told")


if __name__ == "__main__":
    sys.exit(
        main(
            [
                apps_run_on_without_a_collector_and_all_is_read_in_order_once_when_it_comes,
                apps_may_be_the_first_to_come,
                apps_run_before_there_is_a_place_for_the_runtime_folder,
                a_full_ring_delays_no_call_and_every_loss_is_told,
                errors_find_room_where_debug_filled_the_lane,
                many_processes_and_threads_balance_while_a_collector_reads,
                more_threads_than_lanes_balance_through_the_overflow_lanes,
                large_records_balance,
                one_process_cannot_fill_the_shared_lanes_for_all,
                losses_are_told_once_over_restarts,
                tflog_says_what_it_lost_and_waits_when_told_to,
            ]
        )
    )
