"""Random sets of metrics with whatever a name, a label and a number may be, and what must stand on /metrics of them. The rules of the
contract are said here a second time, in another language than the code's."""

import decimal
import json
import math
import os
import pathlib
import random
import struct
import subprocess

from harness import BUILD, Failure, wait_until

CORPORA = pathlib.Path(os.environ.get("TASKFORGE_CORPORA") or pathlib.Path(__file__).parents[2] / "../shared/data")

NASTY = ["", " ", "\\", "\\\\", "\\n", '"', '\\"', "a\nb", "\n", "\r", "\r\n", "\t", "\v\f", "{}", "}", 'a="b",', '"} 1', "# EOF", "# EOF\n", "\n# TYPE x gauge\n",
         "\u0001\u001b[31m", "\u007f", "\u0080\u009b", "\u0085\u2028\u2029", "\ufeff", "ä", "😀", "e\u0301", "\u202e", "\u200b\u200d\u2060", "مرحبا", "\ufdd0\uffff",
         "\U0010ffff", "NaN", "+Inf", " # {", ' # {trace_id="x"} 1', "x" * 1000, "\\" * 300, "\n" * 300, "\U0001f469\u200d\U0001f469" * 50]  # fmt: skip
NUMBERS = [0, 1, 5, 0.1, 1 / 3, 1e-300, 5e-324, 2.2250738585072011e-308, 2.2250738585072014e-308, 1e15, 1e16, 1e17, 1e21, 1e22, 123456789.123, 0.3, 1e23,
           2**53, 2**53 + 2, 2**63, 2**64, 1.7976931348623157e308, 1e308, 1e-7, 1e-5, 0.0001, 999999999999999, 9007199254740993, 4.35, 0.1 + 0.2]  # fmt: skip
BOUNDS = [[], [], [0.1], [0.0005, 0.5, 1, 2.5, 1e6, 2500000, 1e21], [-5, -0.1, 0, 5e9], [0], [1e-9, 3e-5, 1 / 3, 100, 123456.5, 1e5 + 1e6, 1e300], [5e-324, 1.7976931348623157e308]]
NAMES = ["m{}", "M{}", "_{}", ":{}", "m{}_{{unit}}", "m{}_x", "m{}:y", "m{}__", "m{}_count", "m{}_sum", "m{}_bucket", "m{}_created", "m{}_info", "m{}_gauge", "m{}_total_x", "le{}", "n" * 180 + "{}"]
LABEL_NAMES = ["a", "b", "B", "_", "_a", "queue", "state", "x9", "L" * 128, "job", "instance", "name", "trace_id", "LE", "Quantile", "le_", "a_b"]
TRACE_ID_BYTES = 64
LABELS_BYTES = 3000  # of one series, so that they fit


def naughty_strings():
    try:
        corpus = json.loads((CORPORA / "strings/blns.json").read_text(encoding="utf-8"))
    except OSError:
        print("the naughty strings are not here: only our own")
        corpus = []
    return [s for s in NASTY + corpus if "\0" not in s and len(s.encode("utf-8", "replace")) <= 1000]


def random_string(rng, strings):
    if rng.random() < 0.7:
        return rng.choice(strings)
    planes = [(1, 0x20), (0x20, 0x7F), (0x7F, 0x800), (0x800, 0xD800), (0xE000, 0x10000), (0x10000, 0x110000)]
    return "".join(chr(rng.randrange(*rng.choice(planes))) for _ in range(rng.randrange(1, 30)))


def random_number(rng, signed):
    if rng.random() < 0.6:
        number = rng.choice(NUMBERS)
    else:
        number = abs(struct.unpack("<d", rng.randbytes(8))[0])
        number = number if math.isfinite(number) else 0.5
    if signed:
        number = rng.choice([number, -number, float("nan"), math.inf, -math.inf, -0.0])
    return float(number)


def random_labels(rng, strings):
    labels = {name: random_string(rng, strings) for name in rng.sample(LABEL_NAMES, rng.choice([0, 0, 1, 1, 2, 3, 5]))}
    if rng.random() < 0.02:
        labels = {f"l{i}": rng.choice(strings)[:20] for i in range(32)}
    return {k: v for k, v in labels.items() if v} if sum(len(k) + len(v.encode()) + 6 for k, v in labels.items()) < LABELS_BYTES else {}


def random_one(rng, strings, number, namings):
    kind = rng.choice(["counter", "gauge", "histogram", "timer"] + (["unknown"] if len(namings) > 1 else []))
    unit = rng.choice(["", "bytes", "seconds", "jobs"])
    name = rng.choice(NAMES).format(number).format(unit=unit)
    name += {"counter": "_total", "timer": "_seconds"}.get(kind, "") if rng.random() < 0.5 else ""
    return {"kind": kind, "name": name, "naming": rng.choice(namings), "unit": unit, "help": random_string(rng, strings), "bounds": rng.choice(BOUNDS) if kind == "histogram" else []}


def observations_of(rng, kind):
    low = -3 if kind == "histogram" and rng.random() < 0.3 else 0
    return [rng.choice([low, 10 ** rng.uniform(-6, 7), rng.choice([0.0005, 0.5, 1, 5e-324])]) for _ in range(rng.randrange(0, 40))]


def random_exemplars(rng, one, strings):
    """[bucket, value, time, trace id], at most one for a bucket, each of a value that belongs there."""
    bounds = [-math.inf, *map(float, one["bounds"]), math.inf]
    if one["kind"] not in ("counter", "histogram") or one["kind"] == "histogram" and not one["bounds"]:
        return []
    found = []
    for bucket in range(len(bounds) - 1 if one["kind"] == "histogram" else 1):
        trace = rng.choice([rng.randbytes(16).hex(), rng.randbytes(16).hex(), random_string(rng, strings)])
        if not trace or len(trace.encode()) > TRACE_ID_BYTES or rng.random() < 0.5:
            continue
        value = rng.choice(NUMBERS)
        if one["kind"] == "histogram":
            value = bounds[bucket + 1] if bucket + 2 < len(bounds) else max(1.0, bounds[bucket] * 1.5)
            if not bounds[bucket] < value <= bounds[bucket + 1] or math.isinf(value):
                continue
        found.append([bucket, float(value), rng.randrange(10**18, 2 * 10**18), trace])
    return found


def random_set(rng, strings, most=25, namings=(0, 1, 2), hidden=True, colliding=False):
    """Series as the collector would let in: one kind for a family, no name twice, none that takes another's. colliding: as it never would."""
    result, seen, taken = [], set(), {}
    for number in range(rng.randrange(0, most)):
        family = random_one(rng, strings, number % 3 if colliding else number, namings)
        names = [family_of(family) + suffix for suffix in suffixes_of(family["kind"])]
        if any(name in taken for name in names) and not colliding:
            continue
        taken.update(dict.fromkeys(names, number))
        for _ in range(rng.randrange(1, 4)):
            labels = random_labels(rng, strings)
            key = (family_of(family), tuple(sorted(labels.items())))
            if key in seen and not colliding:
                continue
            seen.add(key)
            one = {**family, "labels": labels}
            if family["kind"] in ("histogram", "timer"):
                one["observations"] = observations_of(rng, family["kind"])
            else:
                one["value"] = random_number(rng, family["kind"] != "counter")
            if rng.random() < 0.3:
                one["exemplars"] = random_exemplars(rng, one, strings)
            if hidden and rng.random() < 0.1:
                one["hidden"] = True
            result.append(one)
    rng.shuffle(result)
    return result


def json_of(one):
    """A line for make_segment and metric_app: JSON has neither NaN nor infinities."""
    names = lambda number: number if math.isfinite(number) else "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"
    return json.dumps({**one, **({"value": names(one["value"])} if "value" in one else {})}, ensure_ascii=False) + "\n"


# --- what is to be seen of them ---


def family_of(one):
    """The rules of the contract, section 8."""
    name, kind = one["name"], one["kind"]
    end = {"counter": "_total", "timer": "_seconds"}.get(kind)
    while end and name.endswith(end) and name != end:
        name = name.removesuffix(end)
    name = name if one["naming"] == 2 else "taskforge_" + name
    return name + {"timer": "_seconds", "gauge": "_gauge" if one["naming"] == 0 else ""}.get(kind, "")


def suffixes_of(kind):
    return {"counter": ("", "_total", "_created"), "histogram": ("", "_bucket", "_sum", "_count", "_created"), "timer": ("", "_bucket", "_sum", "_count", "_created")}.get(kind, ("",))


def sum_of(observations):
    total = 0.0
    for value in observations:  # in their order, as the code adds
        total += value
    return total


def key_of(name, labels, **more):
    return (name, tuple(sorted({**labels, **more}.items())))


def expected_samples(series, openmetrics):
    """{(name, labels): value} but for the buckets below +Inf (expect_buckets)."""
    samples = {}
    for one in series:
        if one.get("hidden"):
            continue
        family, labels = family_of(one), one["labels"]
        if one["kind"] not in ("histogram", "timer"):
            samples[key_of(family + ("_total" if one["kind"] == "counter" else ""), labels)] = float(one["value"])
            continue
        observations, bounds = one["observations"], one["bounds"]
        samples[key_of(family + "_bucket", labels, le="+Inf")] = float(len(observations))
        if not openmetrics or not ((bounds and bounds[0] < 0) or sum_of(observations) < 0):
            samples[key_of(family + "_count", labels)] = float(len(observations))
            samples[key_of(family + "_sum", labels)] = sum_of(observations)
    return samples


def expected_exemplars(series):
    """{(name, labels): (trace id, value, nanoseconds)} of OpenMetrics, buckets by (name, labels without le, le as a number)."""
    found = {}
    for one in series:
        for bucket, value, time, trace in one.get("exemplars", []) if not one.get("hidden") else []:
            if one["kind"] == "counter":
                found[(*key_of(family_of(one) + "_total", one["labels"]), None)] = (trace, value, time)
            else:
                found[(*key_of(family_of(one) + "_bucket", one["labels"]), [*map(float, one["bounds"]), math.inf][bucket])] = (trace, value, time)
    return found


def compare_exemplars(exemplars, series, where):
    """exemplars: {(name, labels): (labels of the exemplar, value, time in seconds as text)}, as exposition_rules reads them."""
    got = {}
    for (name, labels), (own, value, time) in exemplars.items():
        le = dict(labels).get("le")
        rest = tuple(label for label in labels if label[0] != "le")
        assert set(own) == {"trace_id"}, f"{where}: {own}"
        got[(name, rest, float(le) if le else None)] = (own["trace_id"], value, time)
    expected = expected_exemplars(series)
    assert set(got) == set(expected), f"{where}: exemplars of {set(got) ^ set(expected)}"
    for key, (trace, value, time) in expected.items():
        told = got[key]
        assert told[0] == trace and bits(told[1]) == bits(value), f"{where}: exemplar of {key}: {told}, not {(trace, value)}"
        assert told[2] and abs(decimal.Decimal(told[2]) - decimal.Decimal(time) / 10**9) < decimal.Decimal("0.001"), f"{where}: time of the exemplar of {key}: {told[2]}, not {time}"


def bits(number):
    """Of all NaNs there is one."""
    return b"NaN" if math.isnan(number) else struct.pack("<d", number)


def expect_buckets(one, buckets, where):
    """buckets: [(bound, count)] without +Inf. Within an exponential bucket (1.1 % wide) nobody knows where an observation is, and those
    beyond 2^-30 to 2^50 count at the ends."""
    seen = [v if v <= 0 else min(max(v, 2**-30 * 1.005), 2**50 * 0.995) for v in one["observations"]]
    if one["bounds"]:
        assert [b for b, _ in buckets] == [float(b) for b in one["bounds"]], f"{where}: bounds {buckets}, not {one['bounds']}"
    for bound, count in buckets:
        least, most = (sum(1 for v in seen if v <= bound * share) for share in (0.985, 1.015))
        if bound < 0:  # what is below 0 has no buckets
            least, most = 0, sum(1 for v in seen if v <= 0)
        assert least <= count <= most, f"{where}: bucket {bound} has {count}, not {least} to {most}"


def compare(got, series, openmetrics, where):
    """got: {(name, labels): value}; each of what was written, bit for bit, and nothing else."""
    expected = expected_samples(series, openmetrics)
    for key, value in expected.items():
        assert key in got, f"{where}: {key} is missing"
        assert bits(got[key]) == bits(value), f"{where}: {key} is {got[key]!r}, not {value!r}"
    buckets = {}
    for (name, labels), value in got.items():
        if (name, labels) in expected:
            continue
        le = dict(labels).get("le")
        assert name.endswith("_bucket") and le, f"{where}: {name}{labels} should not be there"
        rest = tuple(label for label in labels if label[0] != "le")
        buckets.setdefault((name, rest), []).append((float(le), value))
    for one in series:
        if one["kind"] in ("histogram", "timer") and not one.get("hidden"):
            found = buckets.pop(key_of(family_of(one) + "_bucket", one["labels"]), [])
            expect_buckets(one, sorted(found), f"{where}: {family_of(one)}{one['labels']}")
    assert not buckets, f"{where}: {buckets} should not be there"


def expected_families(series, openmetrics):
    """{name: (type, help, unit)}: help and unit are of the oldest series that has one."""
    families = {}
    shown = {family_of(one) for one in series if not one.get("hidden")}
    for one in series:
        family, kind = family_of(one), one["kind"]
        if family not in shown:
            continue
        _, text, unit = families.get(family, (None, "", ""))
        families[family] = (kind, text or one["help"], unit or ("seconds" if kind == "timer" else one["unit"]))
    result = {}
    for family, (kind, text, unit) in families.items():
        name = family + "_total" if kind == "counter" and not openmetrics else family
        type_ = {"timer": "histogram", "unknown": "unknown" if openmetrics else "untyped"}.get(kind, kind)
        unit = unit if openmetrics and unit and family.endswith("_" + unit) else None
        result[name] = (type_, text or f"A {kind} that nobody described.", unit)
    return result


# --- written by the library, read over HTTP ---


def written_live(rng, series, prefix):
    """The same series as an app can have them (metric_app, tfmetric): each its way, sums that add up exactly in any order, and names
    of their own."""
    result = []
    for one in series:
        one = {**one, "name": prefix + one["name"], "way": rng.choice(["handle", "handle", "name", "tfmetric"])}
        if len(one["name"]) > 180:
            continue
        if "observations" in one:
            one["observations"] = [math.ldexp(math.floor(math.ldexp(v, 10)), -10) for v in one["observations"]]
        if one["way"] == "handle" and one["kind"] == "counter" and not (one["value"].is_integer() and one["value"] < 2**53):
            one["way"] = "name"
        if one["way"] == "tfmetric" and (one["kind"] == "timer" or len(one.get("observations", [])) > 3):
            one["way"] = "name"
        if one["way"] != "handle":
            one.update(unit="", help="", bounds=[])
        if one["way"] == "handle" or one.get("observations", [0]):  # by name a series begins with its first update
            result.append(one)
    return result


class MetricApp:
    """One metric_app (tests/integration/metric_app.c)."""

    def __init__(self, instance):
        self.process = subprocess.Popen([BUILD / "tests/integration/metric_app"], env=instance.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def write(self, series):
        self.process.stdin.write(("".join(map(json_of, series)) + "\n").encode())
        self.process.stdin.flush()
        answer = self.process.stdout.readline().decode().strip()
        if answer != "ok":
            raise Failure(f"metric_app: {answer}")

    def end(self):
        self.process.stdin.close()
        if self.process.wait(30) != 0:
            raise Failure(f"metric_app: exit status {self.process.returncode}")


def write_live(instance, app, series):
    """Each series its way."""
    app.write([one for one in series if one["way"] != "tfmetric"])
    for one in series:
        for value in one.get("observations", [one.get("value")]) if one["way"] == "tfmetric" else []:
            instance.run("tfmetric", "--wait", "10s", one["kind"], one["name"], repr(value), *(f"{k}={v}" for k, v in one["labels"].items()))


def of_set(samples, series):
    """Those of the samples whose families are the set's: our own are on /metrics, too."""
    names = {family_of(one) + suffix for one in series for suffix in suffixes_of(one["kind"])}
    return {key: value for key, value in samples.items() if key[0] in names}


def wait_equal(read, series, openmetrics, where, seconds=30.0):
    """Until what read() gives, {(name, labels): value}, is the set."""
    last = [None]

    def equal():
        try:
            compare(of_set(read(), series), series, openmetrics, where)
            return True
        except AssertionError as error:
            last[0] = error
            return False

    try:
        wait_until(equal, "the set", seconds, pause=0.05)
    except Failure as failure:
        raise Failure(f"{failure}: {last[0]}") from None
