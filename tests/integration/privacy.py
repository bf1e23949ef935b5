#!/usr/bin/env python3
"""What is not for every eye: redacted by expressions before anything is stored, printed, spilled or shown."""

import json
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from harness import Instance, expect, main, wait_until  # noqa: E402

CARD = "4111111111111111"
PATTERNS = "  redact: { patterns: ['\\b\\d{16}\\b', '(?i)bearer [a-z0-9]+'] }\n"


def files_hold(root, needle):
    """The files below that hold these bytes: LMDB's pages and blocks are looked at as they are, the output as text."""
    return [str(path) for path in root.rglob("*") if path.is_file() and needle in path.read_bytes()]


def what_matches_is_nowhere_after_the_ring():
    with Instance() as instance:
        instance.write_config(collector=PATTERNS + f"  output: {instance.root}/out.ndjson\n")
        instance.start("collector")
        instance.run(
            "tflog", "-s", "shop", "-l", "error", "--metadata", json.dumps({"n": int(CARD), "deep": [{"h": "Bearer abc1"}], "id": 17}),
            "--error-details", json.dumps({"stack": f"at {CARD}"}), "--", f"card {CARD} declined, bearer xyz9",
        )  # fmt: skip
        instance.wait_count(1, "-s", "shop")
        [entry] = instance.query("-s", "shop")
        expect(entry["message"] == "card [redacted] declined, [redacted]", str(entry))
        expect(entry["metadata"] == {"n": "[redacted]", "deep": [{"h": "[redacted]"}], "id": 17}, str(entry))
        expect(entry["error_details"] == {"stack": "at [redacted]"}, str(entry))
        expect(instance.count("-s", "shop", "-F", CARD) == 0, "found by what was taken out")
        out = instance.root / "out.ndjson"
        wait_until(lambda: out.exists() and out.read_bytes().count(b"\n") >= 1, "the output")
        found = files_hold(instance.data, CARD.encode()) + files_hold(instance.root / "spill", CARD.encode())
        expect(not found and CARD not in out.read_text(), f"the number is in a file: {found}")


def the_rings_are_shown_as_the_store_will_be():
    with Instance() as instance:
        instance.write_config(collector=PATTERNS + "  output: none\n")
        instance.start("collector").stop()
        instance.run("tflog", "-s", "shop", "--", f"paid with {CARD}")
        shown = instance.run("tfctl", "tail", "-o", "json").stdout.decode()
        expect("paid with [redacted]" in shown and CARD not in shown, shown)
        instance.start("collector")
        instance.wait_count(1, "-s", "shop")
        shown_after = instance.run("tfctl", "tail", "-o", "json", "-s", "shop").stdout.decode()
        expect(json.loads(shown.splitlines()[-1])["message"] == json.loads(shown_after)["message"], shown_after)


def another_expression_holds_from_a_reload_on():
    with Instance() as instance:
        instance.write_config(collector=PATTERNS + "  output: none\n")
        collector = instance.start("collector")
        instance.run("tflog", "-s", "shop", "--", "pin 4321")
        instance.wait_count(1, "-s", "shop")
        instance.write_config(collector="  redact: { patterns: ['pin \\d+'] }\n  output: none\n")
        collector.process.send_signal(signal.SIGHUP)
        instance.wait_count(1, "-s", "taskforge", "-F", "read its configuration again")
        instance.run("tflog", "-s", "shop", "--", "pin 8765")
        instance.wait_count(2, "-s", "shop")
        expect([entry["message"] for entry in instance.query("-s", "shop")] == ["pin 4321", "[redacted]"], "after the reload")


def a_bad_expression_is_said_at_its_place():
    with Instance() as instance:
        instance.write_config(collector="  redact: { patterns: ['fine', 'a(b'] }\n  output: none\n")
        for program in ("collector", "agent", "alerter", "exporter"):
            done = instance.run(program, "--check", check=False)
            said = (done.stdout + done.stderr).decode()
            expect(done.returncode == 1 and "taskforge.yaml:8:32: collector.redact.patterns regular expression" in said, f"{program}: {said}")


if __name__ == "__main__":
    sys.exit(
        main(
            [
                what_matches_is_nowhere_after_the_ring,
                the_rings_are_shown_as_the_store_will_be,
                another_expression_holds_from_a_reload_on,
                a_bad_expression_is_said_at_its_place,
            ]
        )
    )
