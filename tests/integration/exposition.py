"""What stands on /metrics, judged by those who will read it: random series with naughty strings are written into a segment, formatted, and
parsed by prometheus_client (text and OpenMetrics; the strictest judge there is) and promtool. What they read must be what was written.

Usage: exposition.py MAKE_SEGMENT. Skipped (77) where neither judge is installed.
"""

import json
import math
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

try:
    from prometheus_client import parser as text_parser
    from prometheus_client.openmetrics import parser as openmetrics_parser
except ImportError:
    text_parser = openmetrics_parser = None

MAKE_SEGMENT = pathlib.Path(sys.argv[1])
PROMTOOL = shutil.which("promtool")
ROUNDS = 400 if os.environ.get("TASKFORGE_LONG") else 12
CORPORA = pathlib.Path(os.environ.get("TASKFORGE_CORPORA") or pathlib.Path(__file__).parents[2] / "../shared/data")

NASTY = ["", " ", "\\", "\\\\", "\\n", '"', '\\"', "a\nb", "\n", "\r", "\t", "{}", 'a="b",', "# EOF", "# EOF\n", "\n# TYPE x gauge\n",
         "\u0001\u001b[31m", "\u007f", "\u0085\u2028\u2029", "\ufeff", "ä", "😀", "e\u0301", "\u202e", "NaN", "+Inf", "x" * 1000, "\\" * 300, "\n" * 300]
NUMBERS = [0, 1, 5, 0.1, 1 / 3, 1e-300, 5e-324, 1e15, 1e22, 123456789.123, 2**53, 1.7976931348623157e308, 1e-7, 999999999999999]


def naughty_strings():
    try:
        corpus = json.loads((CORPORA / "strings/blns.json").read_text(encoding="utf-8"))
    except OSError:
        print("the naughty strings are not here: only our own")
        corpus = []
    return [s for s in NASTY + corpus if "\0" not in s and len(s.encode("utf-8", "replace")) <= 1024]


def random_labels(rng, strings):
    names = ["a", "b", "B", "_", "queue", "state", "x9", "L" * 128]
    labels = {name: rng.choice(strings) for name in rng.sample(names, rng.randrange(0, 5))}
    return labels if sum(len(v.encode()) for v in labels.values()) < 3000 else {}


def random_series(rng, strings):
    """Series as the collector would let in: one kind for a family, no name twice."""
    result, seen = [], set()
    for number in range(rng.randrange(0, 25)):
        kind = rng.choice(["counter", "gauge", "histogram", "timer", "unknown"])
        unit = rng.choice(["", "bytes", "seconds", "jobs"])
        naming = rng.randrange(3)
        name = f"m{number}" + rng.choice(["", "_" + unit if unit else "", "_x", ":y"])
        name += "_total" if kind == "counter" and rng.random() < 0.5 else ""
        bounds = rng.choice([[], [], [0.1], [0.0005, 0.5, 1, 2.5, 1e6, 2500000, 1e21], [-5, -0.1, 0, 5e9]])
        for _ in range(rng.randrange(1, 4)):
            labels = {k: v for k, v in random_labels(rng, strings).items() if v}
            if (name, tuple(sorted(labels.items()))) in seen:
                continue
            seen.add((name, tuple(sorted(labels.items()))))
            one = {"kind": kind, "name": name, "naming": naming, "labels": labels, "unit": unit, "help": rng.choice(strings)}
            if kind in ("histogram", "timer"):
                low = -3 if kind == "histogram" and rng.random() < 0.3 else 0
                one["bounds"] = bounds if kind == "histogram" else []
                one["observations"] = [rng.choice([low, 10 ** rng.uniform(-6, 7)]) for _ in range(rng.randrange(0, 40))]
            else:
                one["value"] = rng.choice(NUMBERS + ["+Inf"] + ([] if kind == "counter" else ["NaN", "-Inf", -17, -0.25]))
            if rng.random() < 0.1:
                one["hidden"] = True
            result.append(one)
    rng.shuffle(result)
    return result


def family_of(one):
    """The rules of the contract, said a second time."""
    name, kind = one["name"], one["kind"]
    if kind == "counter":
        name = name.removesuffix("_total")
    if kind == "timer":
        name = name.removesuffix("_seconds")
    name = name if one["naming"] == 2 else "taskforge_" + name
    return name + {"timer": "_seconds", "gauge": "_gauge" if one["naming"] == 0 else ""}.get(kind, "")


def expected_samples(series, openmetrics):
    samples = {}
    for one in series:
        if one.get("hidden"):
            continue
        family, labels = family_of(one), one["labels"]
        key = lambda suffix, **more: (family + suffix, tuple(sorted((labels | more).items())))
        if one["kind"] not in ("histogram", "timer"):
            samples[key("_total" if one["kind"] == "counter" else "")] = float(one["value"])
            continue
        observations, bounds = one["observations"], one["bounds"]
        samples[key("_bucket", le="+Inf")] = float(len(observations))
        if not openmetrics or not ((bounds and bounds[0] < 0) or math.fsum(observations) < 0):
            samples[key("_count")] = float(len(observations))
            samples[key("_sum")] = math.fsum(observations)
    return samples


def same(a, b):
    return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-9)


def compare(families, series, openmetrics, seed):
    expected, where = expected_samples(series, openmetrics), f"seed {seed}, {'openmetrics' if openmetrics else 'text'}"
    got, names = {}, []
    for family in families:
        names.append(family.name)
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in got, f"{where}: {key} stands there twice"
            got[key] = float(sample.value)
    assert names == sorted(names, key=str.encode), f"{where}: families are not in order"
    for key, value in expected.items():
        assert key in got, f"{where}: {key} is missing"
        assert same(got[key], value), f"{where}: {key} is {got[key]}, not {value}"
    extra = [key for key in got if key not in expected and not key[0].endswith("_bucket")]
    assert not extra, f"{where}: {extra} should not be there"
    kinds = {family_of(one): one["kind"] for one in series if not one.get("hidden")}
    helps = {}
    for one in series:
        if one["help"]:
            helps.setdefault(family_of(one), one["help"])
    for family in families:
        kind = {"timer": "histogram"}.get(kinds[family.name], kinds[family.name])
        assert family.type == kind, f"{where}: {family.name} is a {family.type}, not a {kind}"
        nobody = f"A {kinds[family.name]} that nobody described."
        assert not openmetrics or family.documentation == helps.get(family.name, nobody), f"{where}: help of {family.name}"


def expose(series, form):
    with tempfile.TemporaryDirectory(prefix="taskforge-exposition-") as folder:
        lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in series)
        result = subprocess.run([MAKE_SEGMENT, folder, form], input=lines.encode(), stdout=subprocess.PIPE, check=True)
    return result.stdout


def main():
    if not text_parser and not PROMTOOL:
        print("neither python3-prometheus-client nor promtool is here")
        return 77
    strings = naughty_strings()
    base = random.randrange(10**9)
    for seed in range(base, base + ROUNDS):
        series = random_series(random.Random(seed), strings)
        text, openmetrics = expose(series, "text"), expose(series, "openmetrics")
        assert openmetrics.endswith(b"# EOF\n") and b"# EOF\n" not in text.splitlines(True), f"seed {seed}"
        if text_parser:
            compare(list(openmetrics_parser.text_string_to_metric_families(openmetrics.decode())), series, True, seed)
            compare(list(text_parser.text_string_to_metric_families(text.decode())), series, False, seed)
        if PROMTOOL:
            # 3: it would have named things differently; 1: it cannot read it
            judged = subprocess.run([PROMTOOL, "check", "metrics"], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            assert judged.returncode in (0, 3), f"seed {seed}: promtool: {judged.stdout.decode()[:500]}"
    print(f"{ROUNDS} sets of series from seed {base}, prometheus_client {'yes' if text_parser else 'no'}, promtool {'yes' if PROMTOOL else 'no'}")
    return 0


sys.exit(main())
