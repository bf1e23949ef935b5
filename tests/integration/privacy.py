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


def sealed_instance(instance, extra=""):
    """Keys beside the configuration; and the configuration that uses them."""
    key = instance.root / "reader"
    instance.run("tfctl", "keygen", key)
    instance.write_config(collector=f"  encrypt: {{ keys: [email, message, error_details], public_key_file: {key}.pub }}\n{PATTERNS}{extra}")
    return key


def write_secret(instance):
    instance.run(
        "tflog", "-s", "shop", "-l", "error", "--metadata", json.dumps({"email": "who@example.org", "order": 17, "to": {"Email": ["x", 5]}}),
        "--error-details", json.dumps({"stack": "at hidden place"}), "--", f"mail to who@example.org about {CARD}",
    )  # fmt: skip


def what_is_sealed_is_nowhere_in_clear_after_the_ring():
    with Instance() as instance:
        sealed_instance(instance, f"  output: {instance.root}/out.ndjson\n")
        instance.start("collector").stop()
        write_secret(instance)
        shown = instance.run("tfctl", "tail", "-o", "json", "-s", "shop").stdout.decode()
        [entry] = map(json.loads, shown.splitlines())
        expect(entry["message"] == entry["error_details"] == "(sealed)", shown)
        expect(entry["metadata"] == {"email": "(sealed)", "order": 17, "to": {"Email": "(sealed)"}}, shown)
        instance.start("collector")
        instance.wait_count(1, "-s", "shop")
        [entry] = instance.query("-s", "shop")
        sealed = [entry["message"], entry["error_details"], entry["metadata"]["email"], entry["metadata"]["to"]["Email"]]
        expect(all(text.startswith("sealed:1:") for text in sealed) and entry["metadata"]["order"] == 17, str(entry))
        out = instance.root / "out.ndjson"
        wait_until(lambda: out.exists() and out.read_bytes().count(b"\n") >= 1, "the output")
        for needle in ("who@example.org", "hidden place"):
            found = files_hold(instance.data, needle.encode()) + files_hold(instance.root / "spill", needle.encode())
            expect(not found and needle not in out.read_text(), f"{needle} is in a file: {found}")
            expect(instance.count("-s", "shop", "-F", needle.split("@")[0]) == 0, "found by what is sealed")


def the_secret_key_opens_and_filters_and_is_told_of():
    with Instance() as instance:
        key = sealed_instance(instance, "  output: none\n")
        instance.start("collector")
        write_secret(instance)
        instance.run("tflog", "-s", "shop", "--metadata", '{"email": "else@example.org"}', "--", "another mail")
        instance.wait_count(2, "-s", "shop")

        def opened(*arguments, command="query"):
            done = instance.run("tfctl", command, "-o", "json", "-s", "shop", "--key", key, *arguments)
            return [json.loads(line) for line in done.stdout.splitlines()]

        entry = opened()[0]
        expect(entry["message"] == "mail to who@example.org about [redacted]", str(entry))
        expect(entry["metadata"] == {"email": "who@example.org", "order": 17, "to": {"Email": ["x", 5]}}, str(entry))
        expect(entry["error_details"] == {"stack": "at hidden place"}, str(entry))
        for arguments, number in (
            (["-F", "mail"], 2), (["-F", "another"], 1), (["-g", "who@"], 1), (['{email=~".*example.org"}'], 2), (['{email="else@example.org"} |= "another"'], 1),
            (["-F", "sealed"], 0), (["-n", "1"], 1), (["--offset", "1"], 1), (["--offset", "5"], 0), (["-F", "another", "--offset", "1"], 0), (["--level", "error"], 1),
        ):  # fmt: skip
            expect(len(opened(*arguments)) == number, f"{arguments}: {opened(*arguments)}")
        counted = instance.run("tfctl", "query", "--count", "-s", "shop", "--key", key, "-F", "another").stdout
        expect(counted == b"1\n", str(counted))
        expect([e["message"] for e in opened("-n", "1", command="tail")] == ["another mail"], "tail")
        expect([e["message"] for e in opened("-n", "1", "-F", "who@", command="tail")] == [entry["message"]], "tail with a filter")
        copy = instance.root / "copy"
        copy.mkdir()
        [partition] = (instance.data / "logs").glob("*.mdb")
        (copy / partition.name).write_bytes(partition.read_bytes())
        done = instance.run("tfctl", "query", "--data-dir", copy, "-s", "shop", "--key", key, "-F", "another", env={"TASKFORGE_RUNTIME_DIR": ""})
        expect(b"another mail" in done.stdout, done.stdout.decode())
        wait_until(lambda: instance.count("-s", "taskforge", '{module="audit",operation="key_use"}') > 0, "the audit entry")
        audit = instance.query("-s", "taskforge", '{operation="key_use"}')[0]
        expect(audit["metadata"]["actor"] and len(audit["metadata"]["target"]) == 16 and audit["metadata"]["reason"] == "query", str(audit))
        other = instance.root / "other"
        instance.run("tfctl", "keygen", other)
        done = instance.run("tfctl", "query", "-o", "json", "-s", "shop", "--key", other, check=False)
        said = done.stderr.decode()
        expect(done.returncode == 1 and said.count("\n") == 1 and "sealed to another key" in said, said)
        expect(done.stdout == instance.run("tfctl", "query", "-o", "json", "-s", "shop").stdout, "it is not as it was stored")
        key.chmod(0o644)
        done = instance.run("tfctl", "query", "--key", key, check=False)
        expect(done.returncode == 1 and b"chmod 600" in done.stderr and not done.stdout, done.stderr.decode())


def the_public_key_is_judged_by_the_collector():
    with Instance() as instance:
        key = sealed_instance(instance, "  output: none\n")
        public = pathlib.Path(f"{key}.pub")
        expect(instance.run("collector", "--check", check=False).returncode == 0, "a sound key")
        expect(instance.run("tfctl", "keygen", key, check=False).returncode == 1, "a key was overwritten")
        expect(key.stat().st_mode & 0o777 == 0o600, oct(key.stat().st_mode))
        public.write_text(key.read_text())
        done = instance.run("collector", "--check", check=False)
        said = (done.stdout + done.stderr).decode()
        expect("taskforge.yaml: collector.encrypt.public_key_file: " in said and "this is the secret key, the public one is needed" in said, said)
        public.unlink()
        collector = instance.start("collector", ready=None)
        expect(collector.process.wait(30) == 1, "started without its key")
        expect(instance.run("agent", "--check", check=False).returncode == 0, "the agent does not need the key")


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
                what_is_sealed_is_nowhere_in_clear_after_the_ring,
                the_secret_key_opens_and_filters_and_is_told_of,
                the_public_key_is_judged_by_the_collector,
                another_expression_holds_from_a_reload_on,
                a_bad_expression_is_said_at_its_place,
            ]
        )
    )
