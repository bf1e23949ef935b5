#!/usr/bin/env python3
"""The NDJSON output follows the store; reload, end and any start order of the daemons."""

import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from harness import Instance, expect, main, wait_until  # noqa: E402

ORDER = ["id", "timestamp", "level", "service", "module", "operation", "message", "trace_id", "span_id", "correlation_id", "user_id",
         "organization_id", "metadata", "error_details", "host", "pid"]
FULL = ["-s", "all", "-m", "mod", "-o", "op", "-l", "critical", "--trace-id", "4bf92f3577b34da6a3ce929d0e0e4736", "--span-id", "00f067aa0ba902b7",
        "--correlation-id", "c-1", "--user-id", "6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b11", "--organization-id", "6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b12",
        "--metadata", '{"z": 1, "a": [null, 1.5, {"b": true}]}', "--error-details", '{"code": 42}', "with every field"]


def with_output(instance, agent_inputs="[]"):
    out = instance.root / "out.ndjson"
    instance.write_config(agent_inputs=agent_inputs, collector=f"  output: {out}\n")
    return out


def entries(*paths):
    return [json.loads(line) for path in paths if path.exists() for line in path.read_bytes().splitlines()]


def write_lines(instance, service, first, last):
    instance.run("tflog", "-s", service, "--wait", "30s", stdin=b"".join(b"%d\n" % i for i in range(first, last)))


def numbers(found, service):
    return [int(e["message"]) for e in found if e["service"] == service]


def the_file_holds_each_entry_with_the_contracts_keys_in_order():
    with Instance() as instance:
        out = with_output(instance)
        instance.start("collector")
        instance.run("tflog", *FULL)
        instance.run("tflog", "short")
        wait_until(lambda: len(entries(out)) >= 2, "both entries")
        full, short = entries(out)
        expect(list(full) == ORDER, f"{list(full)}")
        expect(list(short) == ["id", "timestamp", "level", "service", "module", "operation", "message", "metadata", "host", "pid"], f"{list(short)}")
        expect(full["metadata"] == {"z": 1, "a": [None, 1.5, {"b": True}]} and full["error_details"] == {"code": 42}, str(full))
        expect(full["timestamp"].endswith("Z") and len(full["timestamp"]) == 30, full["timestamp"])
        expect(short["metadata"] == {} and short["host"] == os.uname().nodename and isinstance(short["pid"], int), str(short))
        expect(instance.query() == [full, short], "tfctl says otherwise")


def what_the_output_missed_while_the_collector_was_dead_is_caught_up():
    with Instance() as instance:
        out = with_output(instance)
        for part in range(4):
            collector = instance.start("collector")
            write_lines(instance, "n", part * 500, part * 500 + 500)
            instance.wait_count(part * 500 + 500, "-s", "n")
            collector.kill()
        instance.start("collector")
        wait_until(lambda: set(numbers(entries(out), "n")) == set(range(2000)), "each entry at least once")
        found = numbers(entries(out), "n")
        expect(list(dict.fromkeys(found)) == list(range(2000)), "in order of the store")


def logrotate_loses_nothing():
    with Instance() as instance:
        out = with_output(instance)
        collector = instance.start("collector")
        moved = []
        for part in range(5):
            write_lines(instance, "n", part * 400, part * 400 + 400)
            moved.append(instance.root / f"out.ndjson.{part}")
            wait_until(out.exists, "the file")
            out.rename(moved[-1])
            collector.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(numbers(entries(*moved, out), "n")) >= 2000, "all lines")
        expect(numbers(entries(*moved, out), "n") == list(range(2000)), "each once, in order, over all files")
        expect(collector.stop() == 0, "exit status")


def a_stdout_that_nobody_reads_delays_nothing_and_goes_on_when_read():
    with Instance(collector="  output: stdout\n") as instance:
        collector = instance.start("collector", stdout=subprocess.PIPE)
        write_lines(instance, "n", 0, 5000)
        instance.wait_count(5000, "-s", "n", seconds=20)
        expect(len(instance.run("tfctl", "losses").stdout) == 0, "something was lost")
        found = (json.loads(line) for line in collector.process.stdout)
        read = [int(e["message"]) for e in itertools.islice((e for e in found if e["service"] == "n"), 5000)]
        expect(read == list(range(5000)), "stdout has all, once somebody reads")
        write_lines(instance, "m", 0, 3000)
        instance.wait_count(3000, "-s", "m", seconds=20)
        expect(collector.stop(20) == 0, "the end waits for nobody")


def a_stdout_that_was_closed_delays_nothing():
    with Instance(collector="  output: stdout\n") as instance:
        collector = instance.start("collector", stdout=subprocess.PIPE)
        collector.process.stdout.close()
        write_lines(instance, "n", 0, 1000)
        instance.wait_count(1000, "-s", "n", seconds=20)
        expect(collector.stop(20) == 0, "exit status")


def reload_takes_a_good_configuration_and_keeps_the_old_for_a_faulty_one():
    with Instance() as instance:
        out = with_output(instance)
        collector, agent = instance.start("collector"), instance.start("agent")
        instance.write_config(agent_inputs=f'[{{ type: tail, paths: ["{instance.logs}/*.log"], service: f }}]', collector=f"  output: {out}\n  flush_interval: 50ms\n")
        for daemon in (collector, agent):
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_line("the configuration was read again")
        (instance.logs / "a.log").write_text("0\n1\n")
        wait_until(lambda: numbers(entries(out), "f") == [0, 1], "the new input's lines")
        good = instance.config.read_text()
        instance.config.write_text("agnet: {}\ncollector: { output: none }\n")
        for daemon in (collector, agent):
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_line(f'{instance.config}:1:1: unknown key "agnet" at the top; did you mean "agent"?')
            daemon.wait_line("the old one stays")
        with open(instance.logs / "a.log", "a") as file:
            file.write("2\n")
        wait_until(lambda: numbers(entries(out), "f") == [0, 1, 2], "the old configuration goes on")
        instance.config.unlink()
        for daemon in (collector, agent):
            lines = len(daemon.lines)
            daemon.process.send_signal(signal.SIGHUP)
            wait_until(lambda: len(daemon.lines) > lines, "a word about the missing file")
        instance.config.write_text(good)
        expect(agent.stop() == 0 and collector.stop() == 0, "exit status")


def sigterm_and_sigint_store_what_is_in_hand():
    for number in (signal.SIGTERM, signal.SIGINT):
        with Instance(agent_inputs="[{ type: stdin, service: in }]") as instance:
            collector = instance.start("collector")
            agent = instance.start("agent", stdin=subprocess.PIPE)
            agent.process.stdin.write(b"".join(b"%d\n" % i for i in range(20000)) + b"20000")
            agent.process.stdin.flush()
            wait_until(lambda: instance.count("-s", "in") >= 20000, "the lines")
            write_lines(instance, "app", 0, 2000)
            agent.process.send_signal(number)
            expect(agent.process.wait(20) == 0, f"the agent ended with {agent.process.returncode}")
            collector.process.send_signal(number)
            expect(collector.process.wait(20) == 0, f"the collector ended with {collector.process.returncode}")
            expect(numbers(instance.query("-s", "in"), "in") == list(range(20001)), f"{number}: lines of stdin")
            expect(numbers(instance.query("-s", "app"), "app") == list(range(2000)), f"{number}: lines of tflog")


def any_start_order_will_do():
    for order in itertools.permutations(("collector", "agent", "app")):
        with Instance() as instance:
            instance.write_config(agent_inputs=f'[{{ type: tail, paths: ["{instance.logs}/*.log"], service: f }}]')
            (instance.logs / "a.log").write_text("0\n1\n2\n")
            for what in order:
                if what == "app":
                    write_lines(instance, "app", 0, 100)
                else:
                    instance.start(what)
            instance.wait_count(100, "-s", "app")
            instance.wait_count(3, "-s", "f")
            for process in instance.processes:
                expect(process.stop() == 0, f"{order}: exit status")


if __name__ == "__main__":
    sys.exit(
        main(
            [
                the_file_holds_each_entry_with_the_contracts_keys_in_order,
                what_the_output_missed_while_the_collector_was_dead_is_caught_up,
                logrotate_loses_nothing,
                a_stdout_that_nobody_reads_delays_nothing_and_goes_on_when_read,
                a_stdout_that_was_closed_delays_nothing,
                reload_takes_a_good_configuration_and_keeps_the_old_for_a_faulty_one,
                sigterm_and_sigint_store_what_is_in_hand,
                any_start_order_will_do,
            ]
        )
    )
