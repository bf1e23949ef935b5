"""The rules of the two formats of /metrics, line by line: every MUST of OpenMetrics 1.0 that an exporter's text can break
(github.com/prometheus/OpenMetrics, specification/OpenMetrics.md), and those of text 0.0.4 (prometheus.io/docs/instrumenting/
exposition_formats). A second reader beside prometheus_client's, which is laxer; the rules are said here without a look at the code.

    exposition = read(body, openmetrics=True)     # Broken, with the line, where a rule is broken
    exposition.samples[("jobs_total", (("queue", "mail"),))]     # the value as it is written, "7"
"""

import decimal
import math
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL_NAME = r"[a-zA-Z_][a-zA-Z0-9_]*"
LABEL = re.compile(rf'({LABEL_NAME})="((?:[^"\\\n]|\\["\\n])*)"')
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|NaN|[+-]Inf")
COUNT = re.compile(r"[0-9]+(?:\.0)?")
TYPES = {
    True: {"counter", "gauge", "histogram", "gaugehistogram", "stateset", "info", "summary", "unknown"},
    False: {"counter", "gauge", "histogram", "summary", "untyped"},
}
SUFFIXES = {  # of samples, OpenMetrics; in text a counter goes by the name of its samples
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
}
EXEMPLAR_CHARACTERS = 128


class Broken(AssertionError):
    """A rule is broken, and where."""


class Family:
    def __init__(self, name):
        self.name = name
        self.type = self.help = self.unit = None
        self.groups = []  # [labels without le, {sample: value}], in order


class Exposition:
    def __init__(self):
        self.families = {}  # in the order they stand in
        self.samples = {}
        self.exemplars = {}


def unescape(text, quotes):
    """None where a backslash stands before what it may not."""
    if not re.fullmatch(r"(?:[^\\]|\\[n\\" + ('"' if quotes else "") + "])*", text, re.S):
        return None
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)


def take_labels(text, at):
    """The labels behind the "{" at `at`: ({name: value}, position behind the "}")."""
    labels = {}
    at += 1
    while text[at : at + 1] != "}":
        if labels:
            if text[at : at + 1] != ",":
                raise Broken("between labels stands one comma")
            at += 1
        found = LABEL.match(text, at)
        if not found:
            raise Broken('a label is NAME="VALUE", escaped')
        if found[1] in labels:
            raise Broken(f"label {found[1]} stands there twice")
        labels[found[1]] = unescape(found[2], True)
        at = found.end()
    return labels, at + 1


def number_of(text):
    return float(text.replace("Inf", "inf"))


def go_float(value):
    """As Go's strconv.FormatFloat(value, 'g', -1, 64) has it: the fewest digits, positional from 1e-4 to below 1e6."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "+Inf" if value > 0 else "-Inf"
    number = decimal.Decimal(repr(value)).normalize()
    sign, digits, _ = number.as_tuple()
    power = number.adjusted()
    if -4 <= power < 6:
        return f"{number:f}"
    digits = "".join(map(str, digits))
    return f"{'-' if sign else ''}{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{'-' if power < 0 else '+'}{abs(power):02d}"


class Reader:
    def __init__(self, openmetrics):
        self.openmetrics = openmetrics
        self.out = Exposition()
        self.family = None
        self.taken = {}  # every name a family takes -> the family

    def comment(self, line):
        found = re.fullmatch(rf"# (HELP|TYPE|UNIT) ({NAME}) (.*)", line, re.S)
        if not found:
            raise Broken("a comment is # HELP, # TYPE or # UNIT, a name and a text")
        what, name, text = found.groups()
        if not self.family or self.family.name != name:
            self.begin(name)
        if self.family.groups:
            raise Broken("metadata stands before the samples")
        field = what.lower()
        if getattr(self.family, field) is not None:
            raise Broken(f"a second {what} of one family")
        if what == "TYPE" and text not in TYPES[self.openmetrics]:
            raise Broken(f"there is no type {text}")
        if what == "UNIT":
            if not self.openmetrics:
                raise Broken("text 0.0.4 has no UNIT")
            if text and not name.endswith("_" + text):
                raise Broken("a family's name ends with its unit")
        if what == "HELP":
            text = unescape(text, self.openmetrics)
            if text is None:
                raise Broken("a help has a backslash that escapes nothing")
        setattr(self.family, field, text)

    def begin(self, name):
        self.end_family()
        if name in self.out.families:
            raise Broken("the lines of a family stand together")
        self.family = self.out.families[name] = Family(name)

    def suffix(self, name):
        """What stands behind the family's name in a sample's, or Broken."""
        kind = self.family.type
        allowed = ("",)
        if kind in SUFFIXES and (self.openmetrics or kind != "counter"):
            allowed = SUFFIXES[kind] if self.openmetrics else ("_bucket", "_sum", "_count")
        for suffix in allowed:
            if name == self.family.name + suffix:
                return suffix
        raise Broken(f"sample {name} is none of the {kind} {self.family.name}")

    def sample(self, line):
        found = re.match(NAME, line)
        if not found:
            raise Broken("a line begins with a name, or with #")
        name, at, labels = found[0], found.end(), {}
        if line[at : at + 1] == "{":
            labels, at = take_labels(line, at)
        found = re.compile(rf" ({NUMBER.pattern})(?: # )?").match(line, at)
        if not found:
            raise Broken("behind name and labels stand one space and a number")
        value, exemplar = found[1], None
        if found.end() < len(line) or found[0].endswith(" # "):
            exemplar = self.exemplar(line, found.end())
        if not self.family or self.family.type is None:
            raise Broken("a sample without a TYPE before it")
        self.check_sample(name, labels, value, self.suffix(name), exemplar)

    def exemplar(self, line, at):
        if not self.openmetrics:
            raise Broken("text 0.0.4 has nothing behind the value, but a timestamp, which we do not write")
        if line[at : at + 1] != "{" or not line[:at].endswith(" # "):
            raise Broken("behind the value stands an exemplar, or nothing")
        labels, at = take_labels(line, at)
        found = re.fullmatch(rf" ({NUMBER.pattern})(?: ([0-9]+(?:\.[0-9]+)?))?", line[at:])
        if not found:
            raise Broken("an exemplar is labels, a number, and perhaps a timestamp")
        if sum(len(name) + len(text) for name, text in labels.items()) > EXEMPLAR_CHARACTERS:
            raise Broken(f"an exemplar's labels have more than {EXEMPLAR_CHARACTERS} characters")
        return labels, number_of(found[1]), found[2]

    def check_sample(self, name, labels, value, suffix, exemplar):
        family, number = self.family, number_of(value)
        key = (name, tuple(sorted((k, v) for k, v in labels.items() if v)))  # an empty value is no label
        if key in self.out.samples:
            raise Broken("the same series twice")
        self.out.samples[key] = value
        if exemplar and not (family.type == "histogram" and suffix == "_bucket" or family.type == "counter" and suffix == "_total"):
            raise Broken("only buckets and totals have exemplars")
        if exemplar:
            self.out.exemplars[key] = exemplar
        if family.type == "counter" and (math.isnan(number) or number < 0):
            raise Broken("a counter is a number, and not below 0")
        if suffix == "_created" and not (math.isfinite(number) and number > 0):
            raise Broken("_created is a time")
        if family.type == "histogram" and suffix in ("_bucket", "_count") and not COUNT.fullmatch(value):
            raise Broken("a histogram's counts are whole numbers")
        group = dict(labels)
        if family.type == "histogram" and suffix == "_bucket":
            if "le" not in group:
                raise Broken("a bucket without le")
            group.pop("le")
        elif "le" in group:
            raise Broken("le is for buckets")
        group = tuple(sorted(group.items()))
        if not family.groups or family.groups[-1][0] != group:
            if any(group == before for before, _ in family.groups):
                raise Broken("the lines of one metric stand together")
            family.groups.append((group, []))
        family.groups[-1][1].append((suffix, labels.get("le"), value, exemplar))

    def end_family(self):
        family = self.family
        if not family:
            return
        suffixes = ("",)
        if self.openmetrics or family.type != "counter":
            suffixes = ("", *SUFFIXES.get(family.type, ()))
        for suffix in suffixes:
            other = self.taken.setdefault(family.name + suffix, family.name)
            if other != family.name:
                raise Broken(f"families {other} and {family.name} both take {family.name + suffix}")
        for group, lines in family.groups:
            if family.type == "histogram":
                self.check_histogram(family.name, group, lines)
            elif family.type == "counter" and self.openmetrics and [s for s, *_ in lines].count("_total") != 1:
                raise Broken(f"counter {family.name}{group} has not one _total")

    def check_histogram(self, name, group, lines):
        where = f"histogram {name}{group}"
        buckets = [(le, value, exemplar) for suffix, le, value, exemplar in lines if suffix == "_bucket"]
        others = {suffix: value for suffix, _, value, _ in lines if suffix != "_bucket"}
        if not buckets or buckets[-1][0] != "+Inf":
            raise Broken(f"{where} does not end with the bucket +Inf")
        least, below = -math.inf, -1.0
        for le, value, exemplar in buckets:
            bound = number_of(le)
            canonical = go_float(bound)
            if self.openmetrics and not re.search(r"[.eI]", canonical):
                canonical += ".0"
            if le != canonical:
                raise Broken(f"{where}: le {le} is not canonical: {canonical}")
            if bound <= least or float(value) < below:
                raise Broken(f"{where}: buckets go up, in le and in count")
            if exemplar and not least < exemplar[1] <= bound:
                raise Broken(f"{where}: exemplar {exemplar[1]} is not of bucket {le}")
            least, below = bound, float(value)
        if ("_sum" in others) != ("_count" in others):
            raise Broken(f"{where}: _sum and _count go together")
        if "_count" in others and float(others["_count"]) != below:
            raise Broken(f"{where}: _count is not the bucket +Inf")
        if not self.openmetrics and "_count" not in others:
            raise Broken(f"{where} has no _count")
        if self.openmetrics and "_sum" in others:
            total = number_of(others["_sum"])
            if math.isnan(total) or total < 0 or number_of(buckets[0][0]) < 0:
                raise Broken(f"{where}: such a _sum must be left out")

    def read(self, body):
        text = body.decode("utf-8")  # UnicodeDecodeError: neither format allows anything else
        if text.startswith("\ufeff"):
            raise Broken("there must be no byte order mark")
        if not text.endswith("\n") and (text or self.openmetrics):
            raise Broken("the last line does not end")
        lines = text.split("\n")[:-1]
        if self.openmetrics:
            if not lines or lines.pop() != "# EOF":
                raise Broken("the last line is # EOF")
        for number, line in enumerate(lines, 1):
            try:
                if line.startswith("#"):
                    self.comment(line)
                elif line == "":
                    raise Broken("an empty line")
                else:
                    self.sample(line)
            except Broken as broken:
                raise Broken(f"line {number}: {broken}: {line[:200]!r}") from None
        self.end_family()
        names = [name.encode() for name in self.out.families]
        if self.openmetrics and names != sorted(names):  # ours, so that a reader finds them
            raise Broken("families are not in order")
        return self.out


def read(body, openmetrics):
    """All of it; Broken or UnicodeDecodeError where a rule is broken."""
    return Reader(openmetrics).read(body)
