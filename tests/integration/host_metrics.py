"""The host's metrics as they come out of the real agent: against /proc, against a real node_exporter, and beside a file
system that never answers."""

import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import BUILD, Instance, expect, main, wait_until  # noqa: E402

RINGCAT = BUILD / "tests/lib/ringcat"
VERBATIM, SET = 2, 1
OURS = re.compile(
    r"node_(cpu_(guest_)?seconds_total|intr_total|context_switches_total|boot_time_seconds|forks_total|procs_.*|load\d+"
    r"|memory_.*|vmstat_.*|disk_(?!info$).*|network_(receive|transmit)_.*_total|filesystem_.*|pressure_.*|filefd_.*"
    r"|entropy_.*|time_seconds|uname_info)$"
)


class Samples:
    """What the agent has written to the ring, the last value of each series; no collector runs."""

    def __init__(self, instance):
        self.instance = instance
        self.series = {}
        self.families = {}
        self.seen = {}

    def read(self):
        done = subprocess.run([RINGCAT, self.instance.runtime, "metrics"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:  # the ring is not there yet
            return self
        for line in done.stdout.splitlines():
            sample = json.loads(line)
            name = sample["name"]
            if name == "process_cpu_seconds_total":  # the agent's own
                continue
            expect(sample["naming"] == VERBATIM and sample["operation"] == SET, f"{sample}")
            expect(sample["service"] == "taskforge-agent", f"{sample}")
            family = (sample["kind"], sample["help"])
            expect(self.families.setdefault(name, family) == family, f"two families of one name: {sample}")
            self.series[(name, tuple(sorted(sample["labels"].items())))] = sample["value"]
            self.seen[name] = self.seen.get(name, 0) + 1
        return self

    def value(self, name, **labels):
        return self.series.get((name, tuple(sorted(labels.items()))))

    def wait(self, name, count=1, **labels):
        wait_until(lambda: self.read().seen.get(name, 0) >= count, f"{count} samples of {name}")
        return self.value(name, **labels)


def instance_with(interval):
    return Instance(agent_inputs=f"[]\n  host_metrics: {{ interval: {interval} }}")


def values_are_those_of_proc():
    with instance_with("1s") as instance:
        agent = instance.start("agent")
        samples = Samples(instance)
        samples.wait("node_filesystem_size_bytes")
        proc = pathlib.Path("/proc")
        memory = dict(line.split(":") for line in (proc / "meminfo").read_text().splitlines())
        expect(samples.value("node_memory_MemTotal_bytes") == int(memory["MemTotal"].split()[0]) * 1024, "MemTotal")
        stat = dict(line.split(" ", 1) for line in (proc / "stat").read_text().splitlines())
        expect(samples.value("node_boot_time_seconds") == int(stat["btime"]), "boot time")
        expect(0 <= int(stat["ctxt"]) - samples.value("node_context_switches_total") < 10e6, "context switches")
        expect(abs(samples.value("node_time_seconds") - time.time()) < 60, "time")
        names = dict(list(samples.series)[[n for n, _ in samples.series].index("node_uname_info")][1])
        expect(names["nodename"] == os.uname().nodename and names["release"] == os.uname().release, f"{names}")
        spaces = {key: v for key, v in samples.series.items() if key[0] == "node_filesystem_size_bytes"}
        sizes = {dict(labels)["mountpoint"]: value for (_, labels), value in spaces.items()}
        expect("/" not in sizes or sizes["/"] == os.statvfs("/").f_blocks * os.statvfs("/").f_frsize, f"{sizes}")
        expect(all(not path.startswith(("/proc", "/sys", "/dev")) for path in sizes), f"{sizes}")
        cpus = {dict(labels)["cpu"] for n, labels in samples.series if n == "node_cpu_seconds_total"}
        expect(len(cpus) == len([key for key in stat if re.match(r"cpu\d", key)]), f"{cpus}")
        before = samples.value("node_cpu_seconds_total", cpu=min(cpus), mode="idle")
        time_before = samples.value("node_time_seconds")
        samples.wait("node_time_seconds", samples.seen["node_time_seconds"] + 2)
        expect(samples.value("node_cpu_seconds_total", cpu=min(cpus), mode="idle") >= before, "a counter ran backwards")
        expect(1.5 < samples.value("node_time_seconds") - time_before < 30, "two looks are two intervals apart")
        expect(agent.stop() == 0, "the agent ends with 0")
        expect(any("host metrics: " in line and " 0 repaired" in line for line in agent.lines), f"{agent.lines}")


def sighup_takes_another_interval():
    with instance_with("1h") as instance:
        agent = instance.start("agent")
        samples = Samples(instance)
        samples.wait("node_load1")
        instance.write_config("[]\n  host_metrics: { interval: 1s }")
        agent.process.send_signal(signal.SIGHUP)
        samples.wait("node_load1", 3)
        expect(agent.stop() == 0, "the agent ends with 0")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def scrape(port):
    """The families of a node_exporter: {name: (kind, help)}, {(name, labels): value}."""
    families, kinds, series = {}, {}, {}
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith("# HELP "):
                name, families[name] = line[7:].split(" ", 1)
            elif line.startswith("# TYPE "):
                name, kinds[name] = line[7:].split(" ", 1)
            else:
                match = re.match(r'([^{ ]+)(?:\{(.*)\})? (\S+)$', line)
                labels = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or "")
                labels = [(k, re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], v)) for k, v in labels if v]
                series[(match[1], tuple(sorted(labels)))] = float(match[3])
    untyped = {"untyped": "unknown"}
    return {n: (untyped.get(kinds[n], kinds[n]), h) for n, h in families.items() if OURS.match(n)}, {
        key: value for key, value in series.items() if OURS.match(key[0])
    }


def names_labels_types_help_and_values_are_node_exporters():
    program = shutil.which("prometheus-node-exporter") or shutil.which("node_exporter")
    if not program:
        print("skipped: prometheus-node-exporter is not installed")
        return
    port = free_port()
    log = tempfile.TemporaryFile()
    exporter = subprocess.Popen(
        [program, f"--web.listen-address=127.0.0.1:{port}", "--web.disable-exporter-metrics",
         "--collector.netdev.device-exclude=^$",  # Debian's package leaves more out than node_exporter does
         "--collector.filesystem.mount-points-exclude="
         "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)"],
        stdout=log, stderr=log,
    )  # fmt: skip
    try:
        with instance_with("1s") as instance:

            def answers():
                try:
                    return scrape(port)
                except OSError:
                    return None

            wait_until(answers, "node_exporter")
            instance.start("agent")
            samples = Samples(instance)
            samples.wait("node_filesystem_size_bytes")
            before = scrape(port)[1]
            seen = samples.seen["node_time_seconds"]
            samples.wait("node_time_seconds", seen + 2)  # one whole look between the two scrapes
            samples.wait("node_filesystem_files_free", samples.seen["node_filesystem_files_free"] + 1)
            families, after = scrape(port)
            # netlink alone tells it; and this one is newer than Debian's package
            missing = set(families) - set(samples.families) - {"node_network_receive_nohandler_total"}
            more = set(samples.families) - set(families) - {"node_pressure_irq_stalled_seconds_total"}
            expect(not missing and not more, f"missing: {missing}, more: {more}")
            for name, family in samples.families.items():
                expect(families.get(name, family) == family, f"{name}: {family}, not {families.get(name)}")
            theirs = {key for key in after if key in before and key[0] in samples.families}
            expect(theirs <= set(samples.series), f"missing: {theirs - set(samples.series)}")
            for key in theirs:
                value, (low, high) = samples.series[key], sorted((before[key], after[key]))
                room = 0.02 * abs(high) + (1e9 if "_bytes" in key[0] else 500)  # gauges of a busy host jump between looks
                if samples.families[key[0]][0] == "counter":
                    room = 0.001 * high + 0.05
                expect(low - room <= value <= high + room, f"{key}: {value}, not within {low} to {high}")
            print(f"{len(samples.families)} families, {len(theirs)} series as node_exporter has them")
    finally:
        exporter.kill()
        exporter.wait()


# --- a file system that never answers: a FUSE mount whose server reads nothing, in a namespace of its own ---


def mount_that_hangs(path):
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    if libc.mount(b"hangs", os.fsencode(path), b"fuse", 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    return fd


def inside_a_hung_file_system_delays_nothing():
    with instance_with("1s") as instance:
        try:
            fd = mount_that_hangs(instance.logs)
        except OSError as error:
            print(f"skipped: no FUSE here: {error}")
            return
        labels = {"device": "hangs", "fstype": "fuse", "mountpoint": str(instance.logs)}
        agent = instance.start("agent")
        samples = Samples(instance)
        samples.wait("node_load1", 3)
        expect(not samples.seen.get("node_filesystem_device_error"), "the first look at file systems still waits")
        samples.wait("node_filesystem_device_error")
        expect(samples.value("node_filesystem_device_error", **labels) == 1, "the one that hangs counts as failed")
        healthy = [key for key in samples.series if key[0] == "node_filesystem_size_bytes"]
        expect(healthy and samples.value("node_filesystem_size_bytes", **labels) is None, f"{healthy}")
        agent.wait_line(f"the file system at {instance.logs} gives no answer")
        seen = samples.seen["node_filesystem_size_bytes"]
        samples.wait("node_filesystem_size_bytes", seen + 2 * len(healthy))
        os.close(fd)  # its server is gone: calls return with an error
        agent.wait_line(f"the file system at {instance.logs} answers again")
        expect(agent.stop() == 0, "the agent ends with 0")
        ctypes.CDLL(None).umount2(os.fsencode(str(instance.logs)), 2)


def a_hung_file_system_delays_nothing():
    unshare = ["unshare", "--mount", "--pid", "--fork", "--mount-proc"] + (["--user", "--map-root-user"] if os.getuid() else [])
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL).returncode != 0:
        print("skipped: no namespaces here")
        return
    done = subprocess.run([*unshare, sys.executable, __file__, "inside"], stdout=subprocess.PIPE, text=True)
    expect(done.returncode == 0, f"inside: {done.stdout}")


TESTS = [
    values_are_those_of_proc,
    sighup_takes_another_interval,
    names_labels_types_help_and_values_are_node_exporters,
    a_hung_file_system_delays_nothing,
]

if __name__ == "__main__":
    if sys.argv[1:] == ["inside"]:
        sys.argv = sys.argv[:1]
        sys.exit(main([inside_a_hung_file_system_delays_nothing]))
    sys.exit(main(TESTS))
