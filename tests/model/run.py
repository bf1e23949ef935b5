#!/usr/bin/env python3
"""The ring's algorithm, model-checked: run.py WORK_DIR C_COMPILER...

Each proof is one run of spin over a model in this folder, with small bounds: in every order in which its processes' steps can
come, with kills and stops between any two of them, no assertion is wrong and every run ends (nothing goes round for ever).
Each mutant is a seeded mistake that spin must find. TASKFORGE_LONG=1: greater bounds. Skips where spin is not installed."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
LONG = bool(os.environ.get("TASKFORGE_LONG"))
MEGABYTES = 6000 if LONG else 900  # of each run
SECONDS = 3600 if LONG else 240  # a limit for a busy machine; a run takes some seconds

PAIR = "PROCESSES=2 EACH=1 SLOTS=2"
TWO = "THREADS=2 TOGETHER=1"
UNTOUCHED = TWO + " EARLY_LOOK=true MAY_BE_SILENT=true"
IN_TURN = "PROCESSES=3 EACH=1 SLOTS=2 SEATED=2"
BIG = "UNITS=8 HEADER=2 SIZE_MAX=3"

PROOFS = (  # model, what of it, bounds, greater bounds
    ("lane", "laps, headers in two units, kills, a restart", f"RECORDS=4 {BIG} PARTIAL", f"RECORDS=6 {BIG} PARTIAL"),
    ("lane", "errors have room that debug cannot take", "RECORDS=4 UNITS=8 SIZE_MAX=2 LEVELS", "RECORDS=6 UNITS=8 SIZE_MAX=2 LEVELS"),
    ("lane", "who waits for room gets it", f"RECORDS=5 {BIG} WAITS", f"RECORDS=9 {BIG} WAITS"),
    ("lane", "who only looks sees whole records", "RECORDS=4 LOOKER", "RECORDS=5 SIZE_MAX=2 LOOKER"),
    ("private", "two threads of a process, killed or stopped", "THREADS=2 DEATHS=1", "THREADS=2 DEATHS=2 RESTARTS LANES=2"),
    ("private", "two threads and another process", "THREADS=3", "THREADS=3 DEATHS=1"),
    ("private", "two processes, killed and stopped", f"{TWO} DEATHS=2", f"{TWO} DEATHS=2 SLOTS=2"),
    ("private", "a collector killed too", "THREADS=1 TOGETHER=1 EACH=4 DEATHS=1 RESTARTS", f"{TWO} DEATHS=2 RESTARTS"),
    ("private", "slots given back untouched", UNTOUCHED, f"{UNTOUCHED} DEATHS=1 RESTARTS"),
    ("overflow", "two processes, killed or stopped", f"{PAIR} DEATHS=1", f"{PAIR} DEATHS=2 RESTARTS"),
    ("overflow", "records one after the other", "PROCESSES=2 SLOTS=2", "PROCESSES=2 SLOTS=2 DEATHS=1"),
    ("overflow", "a slot with two processes in turn", IN_TURN, f"{IN_TURN} DEATHS=1"),
    ("overflow", "two lanes", f"{PAIR} LANES=2", f"{PAIR} LANES=2 DEATHS=1"),
    ("flight", "what is overwritten is not taken as good", "RECORDS=5 SIZE_MAX=3", "RECORDS=7 SIZE_MAX=3"),
    ("flight", "a longer lane", "RECORDS=6 UNITS=16 SIZE_MAX=3", "RECORDS=7 UNITS=16 SIZE_MAX=3"),
    ("retire", "attaching and retiring", "PROCESSES=2", "PROCESSES=3 TRIES=3"),
)
# To look for runs without an end costs half as much again: of the largest only with greater bounds.
ASSERTIONS_ONLY = ("two threads and another process", "two processes, killed and stopped", "a slot with two processes in turn")

MUTANTS = (  # in mutants.pml said what they do; each is to be found in this model, with these bounds
    ("COMMIT_FIRST", "lane", ""),
    ("COMMIT_FIRST", "private", "THREADS=2 DEATHS=1"),
    ("COMMIT_FIRST", "overflow", PAIR),
    ("NO_ROOM", "lane", ""),
    ("NO_HEADER_ROOM", "lane", BIG),
    ("TAIL_BEFORE_STORE", "lane", ""),
    ("TAIL_BEFORE_COPY", "lane", ""),
    ("NO_SHARES", "lane", "UNITS=8 SIZE_MAX=2 LEVELS"),
    ("RESUME_AT_TAIL", "lane", ""),
    ("STAY_BEHIND", "lane", ""),
    ("LOOK_ONCE", "lane", "LOOKER"),
    ("NO_TURN", "private", "THREADS=2"),
    ("FREE_BY_IDENTITY", "private", "THREADS=2"),
    ("FREE_BY_STORE", "private", "THREADS=2"),
    ("FREE_BY_STORE", "overflow", f"{PAIR} DEATHS=1"),
    ("FREE_UNREAD", "private", "THREADS=1 TOGETHER=1 EACH=3 DEATHS=1"),
    ("TAKE_BY_STORE", "private", "THREADS=3"),
    ("TAKE_BY_STORE", "overflow", PAIR),
    ("NO_GENERATION", "private", UNTOUCHED),
    ("NO_GENERATION", "overflow", IN_TURN),
    ("NO_LOCK", "private", TWO),
    ("ANY_LOCK", "private", f"{TWO} DEATHS=2"),
    ("SLOT_FIRST", "private", "THREADS=2 DEATHS=1"),
    ("SLOT_BY_STORE", "private", UNTOUCHED),
    ("STOPPED_IS_DEAD", "private", "THREADS=2 DEATHS=1"),
    ("STOPPED_IS_DEAD", "overflow", f"{PAIR} DEATHS=1"),
    ("NO_TAKEOVER", "overflow", f"{PAIR} DEATHS=1"),
    ("HEAD_EARLY", "overflow", PAIR),
    ("GIVE_FIRST", "overflow", PAIR),
    ("NO_SECOND_LOOK", "flight", "SIZE_MAX=3"),
    ("SPAN_FORGOTTEN", "flight", "SIZE_MAX=3"),
    ("NO_POSITION", "flight", "RECORDS=5 UNITS=16 SIZE_MAX=3"),
    ("ANNOUNCE_FIRST", "retire", ""),
    ("NOT_COUNTED", "retire", ""),
    ("RETIRE_BY_STORE", "retire", ""),
    ("STATES_FIRST", "retire", ""),
)


class Failure(Exception):
    """What went wrong, in a line, and what a program printed."""


def run(arguments, folder, seconds=SECONDS):
    try:
        done = subprocess.run(arguments, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Failure(f"{arguments[0]} did not end within {seconds} s") from None
    return done.returncode, done.stdout


class Model:
    """One model with one set of bounds, made into a checker in its own folder under WORK_DIR. `ends`: it also looks for runs without
    an end."""

    def __init__(self, work, compiler, name, bounds, ends, optimize):
        self.name, self.ends = name, ends
        self.folder = work / name
        self.defines = [f"-D{bound}" for bound in bounds.split()]
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.must(["spin", "-a", *self.defines, str(HERE / f"{name}.pml")], "spin does not take it")
        # Spin's reduction of orders does not know `unless`: every order is tried.
        flags = ["-w", optimize, "-DNOREDUCE", f"-DMEMLIM={MEGABYTES}", "-DNP" if ends else "-DSAFETY", *(["-DCOLLAPSE"] if LONG else [])]
        self.must([*compiler, *flags, "-o", "pan", "pan.c"], "the checker does not compile")

    def must(self, arguments, what):
        status, output = run(arguments, self.folder)
        if status != 0 or not (self.folder / "pan.c").exists():
            raise Failure(f"{self.name}.pml: {what}:\n{output}")

    def check(self):
        """The number of states, and the error that was found or None."""
        _, output = run(["./pan", *(["-l"] if self.ends else []), "-E", "-m200000", "-w26" if LONG else "-w22"], self.folder)
        states = re.search(r"(\d+) states, stored", output)
        errors = re.search(r"errors: (\d+)", output)
        reason = re.search(r"pan:\d+: (.*) \(at depth", output)
        if not states or not errors or (int(errors[1]) > 0) != bool(reason):
            raise Failure(f"{self.name}.pml: the checker broke off:\n{output[-3000:]}")
        if not reason and re.search(r"max search depth too small|Search not completed|out of memory", output):
            raise Failure(f"{self.name}.pml: not all states were seen:\n{output[-3000:]}")
        return int(states[1]), reason and reason[1]

    def trail(self):
        """How to see the steps that lead to the error."""
        return f"cd {self.folder} && spin -g -p -k {self.name}.pml.trail {' '.join(self.defines)} {HERE / self.name}.pml"


def prove(work, compiler):
    for name, what, short, long in PROOFS:
        begin = time.monotonic()
        model = Model(work, compiler, name, long if LONG else short, LONG or what not in ASSERTIONS_ONLY, "-O2" if LONG else "-Og")
        made = time.monotonic()
        states, error = model.check()
        if error:
            raise Failure(f"{name}.pml, {what}: {error}; see how: {model.trail()}")
        print(f"{name + ': ' + what:56} {states:11,} states in {time.monotonic() - made:5.1f} s, made in {made - begin:.1f} s", flush=True)


def find_mutants(work, compiler):
    named = set(re.findall(r"^#define ([A-Z_]+) [1-9]", (HERE / "mutants.pml").read_text(), re.MULTILINE))
    tried = {mutant for mutant, _, _ in MUTANTS}
    if named != tried:
        raise Failure(f"run.py and mutants.pml do not name the same mutants: {', '.join(sorted(named ^ tried))}")
    for mutant, name, bounds in MUTANTS:
        model = Model(work, compiler, name, f"{bounds} MUTANT={mutant}", False, "-O0")
        states, error = model.check()
        if not error:
            raise Failure(f"the mutant {mutant} of {name}.pml is not found in {states:,} states ({bounds or 'bounds as they are'}): the model does not see that mistake")
        print(f"{name + ': ' + mutant:30} found after {states:9,} states: {error}", flush=True)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    if not shutil.which("spin"):
        print("spin is not installed")
        sys.exit(77)
    work, compiler = pathlib.Path(sys.argv[1]), sys.argv[2:]
    try:
        prove(work, compiler)
        find_mutants(work, compiler)
    except Failure as failure:
        sys.exit(str(failure))
    shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
