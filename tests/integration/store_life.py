"""The life of partitions, with the real programs: what goes earlier by level and service, under kills; labels; export and import."""

import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.lib.harness import PROGRAMS, Instance, expect, main, wait_until  # noqa: E402

PROGRAMS["faults"] = "collector/taskforge-collector-faults"
SHORT = '  output: none\n  partition: 1s\n'


def write(place, number, level="info", service="life"):
    place.run("tflog", "-s", service, "-l", level, stdin="".join(f"{level} {service} {i}\n" for i in range(number)).encode())


def partitions(place):
    return sorted(path.name for path in (place.data / "logs").glob("*.mdb"))


def write_two_partitions(place):
    """Entries of several levels and services in a partition that is closed, some more in the next."""
    for level, service in (("debug", "life"), ("info", "life"), ("info", "noisy"), ("error", "life")):
        write(place, 50, level, service)
    place.wait_count(200)
    before = len(partitions(place))

    def rolled():
        write(place, 1, "warn")
        return len(partitions(place)) > before

    wait_until(rolled, "the next partition", pause=0.2)


def assert_sound(place):
    done = place.run("tfctl", "verify", check=False)
    expect(done.returncode == 0, f"verify: {done.stdout.decode()}")


def assert_gone(place):
    wait_until(lambda: place.count("--level", "debug") == 0, "debug to go", pause=0.1)
    wait_until(lambda: place.count("-s", "noisy") == 0, "the service noisy to go", pause=0.1)
    expect(place.count("--level", "info", "-s", "life") == 50, "info entries are missing")
    expect(place.count("--level", "error") == 50, "errors are missing")
    expect([e["message"] for e in place.query("--level", "error")] == [f"error life {i}" for i in range(50)], "not the entries that were written")
    assert_sound(place)


SELECTIVE = SHORT + "  retention: { levels: { debug: { max_age: 1s } }, services: { noisy: { max_age: 1s } } }\n"


def a_level_and_a_service_go_earlier():
    with Instance(collector=SELECTIVE) as place:
        collector = place.start("collector")
        write_two_partitions(place)
        collector.wait_line("anew without")
        assert_gone(place)
        expect(collector.stop() == 0, "the collector did not end well")


def a_kill_while_a_partition_is_written_anew_loses_nothing():
    for point in ("rewrite_built", "rewrite_replaced"):
        with Instance(collector=SELECTIVE) as place:
            place.env["TASKFORGE_FAULT"] = f"{point}:1"
            faulty = place.start("faults")
            write_two_partitions_and_die(place, faulty)
            del place.env["TASKFORGE_FAULT"]
            collector = place.start("collector")
            assert_gone(place)
            # a sum, or the next partition, may be in the making at any moment
            wait_until(lambda: not list((place.data / "logs").glob("*.new*")), "nothing half made to be left")
            collector.stop()


def write_two_partitions_and_die(place, faulty):
    for level, service in (("debug", "life"), ("info", "life"), ("info", "noisy"), ("error", "life")):
        write(place, 50, level, service)

    def ended():
        write(place, 1, "warn")
        return faulty.process.poll() is not None

    wait_until(ended, "the kill", pause=0.2)


def labels_are_kept_and_begin_a_partition():
    with Instance() as place:
        collector = place.start("collector")
        write(place, 5)
        place.wait_count(5)
        place.config.write_text("labels: { site: jkt1 }\n" + place.config.read_text())
        collector.process.send_signal(1)
        wait_until(lambda: place.count("-F", "read its configuration again") == 1, "the reload")
        expect(len(partitions(place)) == 2, f"{partitions(place)}, not two partitions")
        hosts = {entry["host"] for entry in place.query()}
        expect(hosts == {os.uname().nodename}, f"hosts {hosts}")
        assert_sound(place)


def comes_back_out_of_a_file():
    with Instance() as place, Instance() as other:
        collector = place.start("collector")
        write(place, 300)
        write(place, 20, "error")
        place.wait_count(320)
        before = place.query("-s", "life")
        file, lines = place.root / "kept.mdb", place.root / "kept.ndjson"
        done = place.run("tfctl", "export", file, "-s", "life")
        expect(b"320 entries" in done.stdout, done.stdout.decode())
        place.run("tfctl", "export", lines, "--level", "error")
        expect(place.query("--data-dir", file) == before, "the file does not hold what was stored")
        expect([json.loads(line) for line in lines.read_text().splitlines()] == place.query("--level", "error"), "the lines are others")
        expect(place.run("tfctl", "export", file, check=False).returncode == 1, "a file was written over")

        theirs = other.start("collector")
        write(other, 10, service="theirs")
        other.wait_count(10)
        other.run("tfctl", "import", file)
        other.wait_count(330)
        expect(other.query("-s", "life") == before, "the import holds other entries")
        write(other, 10, service="theirs")
        other.wait_count(340)
        assert_sound(other)
        for source in (file, lines):
            done = other.run("tfctl", "import", source, check=False)
            if source == file:
                expect(done.returncode == 1 and b"imported before" in done.stderr, f"twice: {done}")
            else:
                expect(done.returncode == 0, f"lines: {done}")
        other.wait_count(360)
        done = other.run("tfctl", "import", lines, check=False)
        expect(done.returncode == 1 and b"imported before" in done.stderr, f"the same lines twice: {done}")
        expect(theirs.stop() == 0 and collector.stop() == 0, "a collector did not end well")


def lines_that_are_no_entry_are_told_of():
    with Instance() as place:
        place.start("collector")
        write(place, 3)
        place.wait_count(3)
        good = place.run("tfctl", "export", "-").stdout
        done = place.run("tfctl", "import", "-", stdin=b'nothing\n' + good + b'{"level":"info"}\n', check=False)
        expect(done.returncode == 1, f"{done}")
        said = done.stderr.decode()
        expect("line 1: " in said and "line 5: id is missing" in said and "2 lines are no entry" in said, said)
        place.wait_count(6)
        assert_sound(place)


def an_import_waits_for_the_next_start_and_a_kill_does_not_double_it():
    with Instance() as place:
        collector = place.start("collector")
        write(place, 50)
        place.wait_count(50)
        file = place.root / "kept.mdb"
        place.run("tfctl", "export", file)
        collector.stop()
        for point in ("adopt_given", "adopt_built", "adopt_placed"):
            again = place.root / f"{point}.mdb"
            place.run("tfctl", "export", again, "-s", "life", "--level", "info")
            before = place.count()
            wanted = before + int(place.run("tfctl", "--data-dir", again, "query", "--count").stdout)
            place.run("tfctl", "import", again)
            expect(place.count() == before, "it is there before anybody took it in")
            place.env["TASKFORGE_FAULT"] = f"{point}:1"
            faulty = place.start("faults", ready=None)
            wait_until(lambda: faulty.process.poll() is not None, f"the kill at {point}")
            del place.env["TASKFORGE_FAULT"]
            collector = place.start("collector")
            place.wait_count(wanted)
            wait_until(lambda: not list((place.data / "import").glob("*.mdb")), "the import to be removed")
            expect(place.count() == wanted, f"{place.count()} entries after the kill at {point}, not {wanted}")
            assert_sound(place)
            collector.stop()


TESTS = [
    a_level_and_a_service_go_earlier,
    a_kill_while_a_partition_is_written_anew_loses_nothing,
    labels_are_kept_and_begin_a_partition,
    comes_back_out_of_a_file,
    lines_that_are_no_entry_are_told_of,
    an_import_waits_for_the_next_start_and_a_kill_does_not_double_it,
]

if __name__ == "__main__":
    sys.exit(main(TESTS))
