#!/usr/bin/env python3
"""tflog and tfrun as a shell uses them, read back from the ring without a collector (tests/lib/ringcat).

    test_tools.py TFLOG TFRUN RINGCAT
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

TFLOG, TFRUN, RINGCAT = (os.path.abspath(path) for path in sys.argv[1:4])
UUID = "6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b11"


class Tools(unittest.TestCase):
    def setUp(self):
        parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.TemporaryDirectory(prefix="tf-tools-", dir=parent)
        self.env = {**os.environ, "TASKFORGE_RUNTIME_DIR": self.folder.name, "LC_ALL": "C"}

    def tearDown(self):
        self.folder.cleanup()

    def run_tool(self, *argv, **options):
        if "stdin" not in options:
            options.setdefault("input", b"")
        return subprocess.run(argv, env=self.env, capture_output=True, timeout=60, **options)

    def drain(self):
        result = subprocess.run([RINGCAT, self.folder.name], capture_output=True, check=True, timeout=60)
        self.lost = result.stderr.decode()
        return [json.loads(line) for line in result.stdout.splitlines()]

    def expect(self, result, status, *parts):
        text = result.stderr.decode(errors="replace")
        self.assertEqual(result.returncode, status, text)
        for part in parts:
            self.assertIn(part, text)
        self.assertLessEqual(text.count("\n"), 1)

    # --- tflog ---

    def test_a_message_becomes_one_entry(self):
        self.expect(self.run_tool(TFLOG, "disk", "is", "full"), 0)
        (entry,) = self.drain()
        self.assertEqual(entry["message"], "disk is full")
        self.assertEqual((entry["service"], entry["module"], entry["operation"]), ("tflog", "shell", "log"))
        self.assertEqual((entry["level"], entry["metadata"]), ("info", {}))

    def test_every_option_has_its_field(self):
        self.expect(
            self.run_tool(
                TFLOG, "-s", "cron", "-m", "backup", "-o", "dump", "-l", "err", "--trace-id", "t1", "--span-id", "s1",
                "--correlation-id=c1", "--user-id", UUID, "--organization-id", UUID.replace("-", "").upper(),
                "--metadata", '{"disk":"sda","n":[1,2.5,null]}', "--error-details", '{"code":7}', "--wait", "1.5s", "--", "-x", "y"
            ),
            0,
        )
        (entry,) = self.drain()
        del entry["id"], entry["timestamp"]
        self.assertEqual(
            entry,
            dict(level="error", service="cron", module="backup", operation="dump", message="-x y", trace_id="t1", span_id="s1",
                 correlation_id="c1", user_id=UUID, organization_id=UUID, metadata={"disk": "sda", "n": [1, 2.5, None]},
                 error_details={"code": 7}),
        )

    def test_each_line_of_stdin_becomes_an_entry_in_order(self):
        lines = [f"line {n}" for n in range(1000)]
        self.expect(self.run_tool(TFLOG, "-s", "many", input="\n".join(lines).encode()), 0)
        self.assertEqual([entry["message"] for entry in self.drain()], lines)

    def test_bad_lines_are_repaired_and_the_next_unharmed(self):
        data = b"good\n\n\xff\xfe bad\r\n" + b"x" * 1048576 + b"END\na\0b\n{\"broken\nlast"
        self.expect(self.run_tool(TFLOG, input=data), 0)
        good, empty, bad, long, nul, json_like, last = self.drain()
        self.assertEqual((good["message"], good["metadata"]), ("good", {}))
        self.assertEqual(empty["metadata"]["repaired"], ["empty"])
        self.assertEqual((bad["message"], bad["metadata"]["repaired"]), ("\ufffd\ufffd bad", ["utf8"]))
        self.assertIn("cut", long["metadata"]["repaired"])
        self.assertLessEqual(len(long["message"]), 10000)
        self.assertTrue(long["message"].startswith("xxxx") and long["message"].endswith("xEND"))
        self.assertEqual(nul["metadata"]["repaired"], ["utf8"])
        self.assertEqual((json_like["message"], last["message"]), ('{"broken', "last"))

    def test_no_stdin_no_entry(self):
        self.expect(self.run_tool(TFLOG), 0)
        self.expect(self.run_tool(TFLOG, stdin=None, preexec_fn=lambda: os.close(0)), 1, "stdin cannot be read")

    def test_wrong_usage_says_field_and_reason(self):
        for argv, part in (
            (["-l", "loud", "x"], 'level must be trace, debug, info, warn, error or critical, is "loud"'),
            ([""], "message must be 1 to 10000 characters"),
            (["x" * 10001], "message must be 1 to 10000 characters"),
            ([b"\xff"], "message"),
            (["-s", "", "x"], "service must be 1 to 100 characters"),
            (["-m", "m" * 101, "x"], "module must be 1 to 100 characters"),
            (["--user-id", "7", "x"], 'user_id must be a UUID, is "7"'),
            (["--trace-id", "t" * 129, "x"], "trace_id"),
            (["--metadata", "[1]", "x"], "metadata must be"),
            (["--metadata", "{", "x"], "metadata must be JSON"),
            (["--metadata", json.dumps({"k": "x" * 70000}), "x"], "metadata must be at most 65536 bytes"),
            (["--error-details", "1", "x"], "error_details"),
            (["--wait", "5", "x"], "wait must be a duration"),
            (["--nonsense", "x"], "--nonsense"),
            (["-s"], "-s"),
        ):
            with self.subTest(argv=str(argv)[:40]):
                self.expect(self.run_tool(TFLOG, *argv), 2, part)
        self.expect(self.run_tool(TFLOG, "--metadata", "{", input=b"line\n"), 2, "metadata")
        self.run_tool(TFLOG, "there is a ring now")
        self.assertEqual(len(self.drain()), 1)

    def test_help_and_version_go_to_stdout(self):
        for tool in (TFLOG, TFRUN):
            self.assertIn(b"usage:", self.run_tool(tool, "--help").stdout)
            self.assertRegex(self.run_tool(tool, "--version").stdout, rb"^tf(log|run) \d+\.\d+\.\d+\n$")

    def test_what_did_not_fit_is_said_in_one_line_and_status_3(self):
        count = 20000
        data = b"".join(b"line %d\n" % n for n in range(count))
        result = self.run_tool(TFLOG, input=data)
        kept = len(self.drain())
        self.assertTrue(0 < kept < count)
        self.expect(result, 3, f"{count - kept} of {count} entries did not fit")
        self.assertEqual(self.lost, f"lost lane_full info {count - kept}\n")

    def test_wait_waits_for_room(self):
        count = 20000
        data = b"".join(b"line %d\n" % n for n in range(count))
        writer = subprocess.Popen([TFLOG, "--wait", "60s"], env=self.env, stdin=subprocess.PIPE)
        feeder = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=writer.stdin)
        writer.stdin.close()
        feeding = threading.Thread(target=feeder.communicate, args=(data,))
        feeding.start()
        messages = []
        while writer.poll() is None or len(messages) < count:  # the tool waits for us
            if os.path.exists(f"{self.folder.name}/rings/{os.geteuid()}"):
                fresh = [entry["message"] for entry in self.drain()]
                self.assertTrue(fresh or writer.poll() is None, "the tool ended before all was read")
                messages += fresh
        feeding.join()
        self.assertEqual(writer.wait(60), 0)
        self.assertEqual(messages, [f"line {n}" for n in range(count)])
        self.assertEqual(self.lost, "")

    def test_waiting_in_vain_ends(self):
        data = b"".join(b"line %d\n" % n for n in range(20000))
        self.expect(self.run_tool(TFLOG, "--wait", "50ms", input=data), 3, "did not fit")

    def test_without_a_ring_nothing_hangs(self):
        self.env["TASKFORGE_RUNTIME_DIR"] = "/proc/no-such-place"
        self.expect(self.run_tool(TFLOG, "--wait", "1h", "x"), 3, "1 of 1 entries did not fit", "/proc/no-such-place")
        self.expect(self.run_tool(TFRUN, "--", "sh", "-c", "echo x; exit 4"), 4, "1 of 1 lines did not fit")

    # --- tfrun ---

    def test_output_becomes_entries_and_the_status_is_passed_on(self):
        result = self.run_tool(TFRUN, "-s", "job", "--", "sh", "-c", "echo one; echo two; printf three; exit 7")
        self.expect(result, 7)
        entries = self.drain()
        self.assertEqual([entry["message"] for entry in entries], ["one", "two", "three"])
        self.assertEqual({(e["service"], e["level"], e["metadata"]["stream"]) for e in entries}, {("job", "info", "stdout")})

    def test_stderr_is_warn(self):
        self.expect(self.run_tool(TFRUN, "/bin/sh", "-c", "echo oops >&2"), 0)
        (entry,) = self.drain()
        self.assertEqual((entry["level"], entry["service"], entry["metadata"]), ("warn", "sh", {"stream": "stderr"}))

    def test_a_death_by_signal_is_logged(self):
        self.expect(self.run_tool(TFRUN, "-s", "job", "--", "sh", "-c", "echo $$; kill -9 $$"), 137)
        before, death = self.drain()
        metadata = {"signal": 9, "pid": int(before["message"]), "core": False}
        self.assertEqual((death["level"], death["operation"], death["metadata"]), ("error", "exit", metadata))
        self.assertIn("sh was killed by signal 9", death["message"])

    def test_signals_are_passed_on(self):
        script = 'trap "echo got it; exit 5" TERM; echo ready >&3; while :; do sleep 0.01; done'
        reader, writer = os.pipe()
        os.set_inheritable(writer, True)

        def numbered():
            os.dup2(writer, 3)

        process = subprocess.Popen([TFRUN, "--", "sh", "-c", script], env=self.env, preexec_fn=numbered, close_fds=False)
        os.close(writer)
        self.assertEqual(os.read(reader, 6), b"ready\n")
        os.close(reader)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 5)
        self.assertEqual([entry["message"] for entry in self.drain()], ["got it"])

    def test_a_command_that_is_not_there(self):
        self.expect(self.run_tool(TFRUN, "--", "/no/such/command"), 127, "/no/such/command cannot be run")
        self.expect(self.run_tool(TFRUN, "--", "/dev"), 126, "cannot be run")
        self.expect(self.run_tool(TFRUN), 2, "expected a command")
        self.expect(self.run_tool(TFRUN, "-s", "x" * 101, "true"), 2, "service must be 1 to 100 characters")
        self.assertEqual([entry["level"] for entry in self.drain()], ["error", "error"])

    def test_stdin_is_the_command_s_own(self):
        self.expect(self.run_tool(TFRUN, "cat", input=b"a\n\xff\n"), 0)
        self.assertEqual([entry["message"] for entry in self.drain()], ["a", "\ufffd"])
        closed = self.run_tool(TFRUN, "sh", "-c", "cat; echo went on", stdin=None, preexec_fn=lambda: os.close(0))
        self.expect(closed, 0)
        self.assertEqual([entry["message"] for entry in self.drain()], ["went on"])

    def test_what_a_command_leaves_behind_is_not_waited_for(self):
        self.expect(self.run_tool(TFRUN, "sh", "-c", "sleep 1000 & echo $!"), 0)
        (entry,) = self.drain()
        os.kill(int(entry["message"]), signal.SIGKILL)

    def test_a_command_that_closes_its_output_is_waited_for(self):
        self.expect(self.run_tool(TFRUN, "sh", "-c", "exec >&- 2>&-; sleep 0.1; exit 3"), 3)

    def test_a_full_ring_holds_back_and_then_drops(self):
        result = self.run_tool(TFRUN, "--", "seq", "20000")  # nobody reads: five seconds, then what does not fit is dropped
        kept = [entry["message"] for entry in self.drain()]
        self.assertEqual(kept, [str(n + 1) for n in range(len(kept))])
        self.expect(result, 0, f"{20000 - len(kept)} of 20000 lines did not fit")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
