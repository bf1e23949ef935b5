"""What stands on /metrics, judged by those who will read it: random series with naughty strings are written into a segment, formatted, and
read by prometheus_client (text and OpenMetrics), by promtool, and by our own reader of every rule of both formats. What they read must be
what was written, bit for bit.

Usage: exposition.py MAKE_SEGMENT [SEED]. Of prometheus_client and promtool those judge that are installed.
"""

import gzip
import math
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import exposition_rules  # noqa: E402
import metric_sets  # noqa: E402

try:
    from prometheus_client import parser as text_parser
    from prometheus_client.openmetrics import parser as openmetrics_parser
except ImportError:
    text_parser = openmetrics_parser = None

MAKE_SEGMENT = pathlib.Path(sys.argv[1])
PROMTOOL = shutil.which("promtool")
FORMATS = ("text", "openmetrics", "created", "gzip")  # created: OpenMetrics with _created
ROUNDS = 4000 if os.environ.get("TASKFORGE_LONG") else 25
PROMTOOL_AT_A_TIME = 20  # sets in one text: it is a process


class Maker:
    """One make_segment, set after set."""

    def __init__(self, folder):
        self.process = subprocess.Popen([MAKE_SEGMENT, folder, *FORMATS], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def expose(self, series):
        """The expositions, by format."""
        self.process.stdin.write(("".join(map(metric_sets.json_of, series)) + "\n").encode())
        self.process.stdin.flush()
        return [self.process.stdout.read(int(self.process.stdout.readline())) for _ in FORMATS]

    def end(self):
        self.process.stdin.close()
        self.process.stdout.read()
        assert self.process.wait() == 0


def without_created(got, series, where):
    """One for each counter and histogram, of about now; and the others."""
    shown = [one for one in series if not one.get("hidden") and one["kind"] in ("counter", "histogram", "timer")]
    expected = {metric_sets.key_of(metric_sets.family_of(one) + "_created", one["labels"]) for one in shown}
    for key in expected:
        assert abs(got[key] - time.time()) < 600, f"{where}: {key} is {got[key]}"
    return {key: value for key, value in got.items() if key not in expected}


def by_our_rules(body, series, form, where):
    openmetrics = form != "text"
    exposition = exposition_rules.read(body, openmetrics)
    got = {key: exposition_rules.number_of(value) for key, value in exposition.samples.items()}
    if form == "created":
        got = without_created(got, series, where)
    metric_sets.compare(got, series, openmetrics, where)
    if openmetrics:
        metric_sets.compare_exemplars(exposition.exemplars, series, where)
    families = {name: (family.type, family.help, family.unit) for name, family in exposition.families.items()}
    expected = metric_sets.expected_families(series, openmetrics)
    assert families == expected, f"{where}: {[(name, families.get(name), expected.get(name)) for name in families | expected if families.get(name) != expected.get(name)]}"


def by_prometheus_client(body, series, form, where):
    openmetrics = form != "text"
    parser = openmetrics_parser if openmetrics else text_parser
    got, types, expected = {}, {}, metric_sets.expected_samples(series, openmetrics)
    for family in parser.text_string_to_metric_families(body.decode()):
        types[family.name] = (family.type, family.documentation, family.unit)
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in got, f"{where}: {key} stands there twice"
            got[key] = float(sample.value) if sample.value else expected.get(key, 0.0)  # it reads "-0" as the integer 0
    if form == "created":
        got = without_created(got, series, where)
    metric_sets.compare(got, series, openmetrics, where)
    for name, (type_, text, unit) in metric_sets.expected_families(series, True).items():
        found = types[name]
        assert found[0] == type_, f"{where}: {name} is a {found[0]}, not a {type_}"
        assert not openmetrics or found[1:] == (text, unit or ""), f"{where}: {name}: {found}"  # its reader of text trims the help


def by_promtool(texts, where):
    """3: it would have named things differently; 1: it cannot read it."""
    judged = subprocess.run([PROMTOOL, "check", "metrics"], input=b"".join(texts), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert judged.returncode in (0, 3), f"{where}: promtool: {judged.stdout.decode()[:500]}"


def renamed(series, number):
    """The same series under names of their own, so that several sets go into one text."""
    return [{**one, "name": f"s{number}_{one['name'].replace(':', '_')}"} for one in series if len(one["name"]) < 180]


def beyond_prometheus_client(series):
    """It takes a brace in an exemplar's label for the end of the labels."""
    return any(set("{}") & set(trace) for one in series for *_, trace in one.get("exemplars", []))


def judge_what_collides(maker, rng, strings, where):
    """What is in the way of another is left out: what is left breaks no rule."""
    series = metric_sets.random_set(rng, strings, most=40, colliding=True)
    bodies = dict(zip(FORMATS, maker.expose(series)))
    for form in ("text", "openmetrics", "created"):
        families = exposition_rules.read(bodies[form], form != "text").families
        if text_parser and not beyond_prometheus_client(series):
            list((text_parser if form == "text" else openmetrics_parser).text_string_to_metric_families(bodies[form].decode()))
        assert families or all(one.get("hidden") for one in series), f"{where}, colliding: nothing"


def judge(maker, seed, strings, promtool_sets):
    where = f"seed {seed}"
    series = metric_sets.random_set(random.Random(seed), strings)
    bodies = dict(zip(FORMATS, maker.expose(series)))
    packed = bodies.pop("gzip")
    assert (gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed) == bodies["text"], f"{where}: gzip"
    for form, body in bodies.items():
        by_our_rules(body, series, form, f"{where}, {form}")
        if text_parser and not beyond_prometheus_client(series):
            by_prometheus_client(body, series, form, f"{where}, {form}, prometheus_client")
    if seed % 3 == 0:
        judge_what_collides(maker, random.Random(seed), strings, where)
    if not PROMTOOL:
        return
    promtool_sets.append(maker.expose(renamed(series, seed))[0])
    if len(promtool_sets) == PROMTOOL_AT_A_TIME:
        by_promtool(promtool_sets, f"seeds to {seed}")
        promtool_sets.clear()


def the_rules_find_what_is_broken():
    """The reader of the rules is a judge: each rule is broken once."""
    head = "# TYPE h histogram\n"
    for body in (
        "a 1\n# EOF\n", "# TYPE a gauge\na 1\n", "# TYPE a gauge\na 1\n# EOF", "# TYPE a gauge\na 1\n# EOF\n\n", "\n# EOF\n", "# TYPE a gauge\na  1\n# EOF\n", "# TYPE a gauge\na 1 \n# EOF\n",
        "# TYPE a gauge\na 0x1\n# EOF\n", "# TYPE a untyped\na 1\n# EOF\n", "# TYPE a gauge\n# TYPE a gauge\na 1\n# EOF\n", "# TYPE a gauge\na 1\n# HELP a x\n# EOF\n", "# TYPE a gauge\n# UNIT a s\na 1\n# EOF\n",
        "# TYPE a gauge\n# HELP a \\x\na 1\n# EOF\n", "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\na{x=\"1\"} 1\n# EOF\n", "# TYPE a gauge\na 1\na 2\n# EOF\n", '# TYPE a gauge\na{x="1"} 1\na 2\na{x="1",y="1"} 2\na{x="1"} 1\n# EOF\n',
        '# TYPE a gauge\na{x="1",x="2"} 1\n# EOF\n', '# TYPE a gauge\na{x="1",} 1\n# EOF\n', '# TYPE a gauge\na{x="\\t"} 1\n# EOF\n', '# TYPE a gauge\na{1x="a"} 1\n# EOF\n', "# TYPE a counter\na 1\n# EOF\n",
        "# TYPE a counter\na_total -1\n# EOF\n", "# TYPE a counter\na_total NaN\n# EOF\n", "# TYPE a counter\na_created 1\n# EOF\n", "# TYPE a gauge\n# TYPE a_total gauge\na_total 1\n# TYPE a counter\n# EOF\n",
        "# TYPE a counter\na_total 1\n# TYPE a_total gauge\na_total 1\n# EOF\n", "# TYPE b gauge\nb 1\n# TYPE a gauge\na 1\n# EOF\n", '# TYPE a gauge\na 1 # {trace_id="x"} 1\n# EOF\n',
        '# TYPE a counter\na_total 1 # {trace_id="' + "x" * 121 + '"} 1\n# EOF\n', '# TYPE a counter\na_total 1 # {trace_id="x"}\n# EOF\n', head + 'h_bucket{le="1.0"} 1\n# EOF\n', head + 'h_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\n# EOF\n',
        head + 'h_bucket{le="2.0"} 1\nh_bucket{le="1.0"} 1\nh_bucket{le="+Inf"} 1\n# EOF\n', head + 'h_bucket{le="1.0"} 2\nh_bucket{le="+Inf"} 1\n# EOF\n', head + 'h_bucket{le="+Inf"} 1\nh_count 2\nh_sum 1\n# EOF\n',
        head + 'h_bucket{le="+Inf"} 1\nh_count 1\n# EOF\n', head + 'h_bucket{le="+Inf"} 1.5\n# EOF\n', head + 'h_bucket{le="-1.0"} 1\nh_bucket{le="+Inf"} 1\nh_count 1\nh_sum 1\n# EOF\n',
        head + 'h_bucket{le="1.0"} 1 # {trace_id="x"} 2\nh_bucket{le="+Inf"} 1\n# EOF\n', head + 'h_bucket{le="+Inf"} 1\nh_count 1 # {trace_id="x"} 1\nh_sum 1\n# EOF\n', "\ufeff# EOF\n", "# a comment\n# EOF\n",
    ):  # fmt: skip
        try:
            exposition_rules.read(body.encode(), True)
        except exposition_rules.Broken:
            continue
        raise AssertionError(f"nothing was found in {body!r}")
    good = exposition_rules.read(
        b'# HELP a x\\n\n# TYPE a counter\na_total{x="\\"\\\\\\n}"} 1e+06 # {trace_id="t"} 0.5 17.25\na_created{x="\\"\\\\\\n}"} 1.5\n'
        b'# TYPE h_s histogram\n# UNIT h_s s\nh_s_bucket{le="1.0"} 1 # {} 1\nh_s_bucket{le="+Inf"} 2\nh_s_count 2\nh_s_sum 3\n# EOF\n', True)  # fmt: skip
    assert good.exemplars[("a_total", (("x", '"\\\n}'),))] == ({"trace_id": "t"}, 0.5, "17.25") and len(good.samples) == 6
    assert math.isnan(exposition_rules.number_of(exposition_rules.read(b"# TYPE a untyped\na NaN\n", False).samples[("a", ())]))


def main():
    the_rules_find_what_is_broken()
    strings = metric_sets.naughty_strings()
    base, rounds = (int(sys.argv[2]), 1) if len(sys.argv) > 2 else (random.randrange(10**9), ROUNDS)
    promtool_sets = []
    with tempfile.TemporaryDirectory(prefix="taskforge-exposition-") as folder:
        maker = Maker(folder)
        for seed in range(base, base + rounds):
            try:
                judge(maker, seed, strings, promtool_sets)
            except Exception as error:
                print(f"FAIL with seed {seed} ({sys.argv[0]} MAKE_SEGMENT {seed}): {type(error).__name__}: {error}")
                return 1
        if promtool_sets:
            by_promtool(promtool_sets, f"the last sets to {seed}")
        maker.end()
    print(f"{rounds} sets of series from seed {base}, prometheus_client {'yes' if text_parser else 'no'}, promtool {'yes' if PROMTOOL else 'no'}")
    return 0


sys.exit(main())
