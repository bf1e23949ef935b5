"""The preload libraries of tests/torture/io_fault.h, steered: which calls of a program on files below some folders fail, and how; or which of its
allocations do."""

import ctypes
import errno
import mmap

from harness import BUILD

CALLS = BUILD / "tests/torture/io_fault.so"
ALLOCATIONS = BUILD / "tests/torture/alloc_fault.so"
OPEN, WRITE, SYNC, SIZE, NAME, READ, MAP = (1 << bit for bit in range(7))
EVERY = OPEN | WRITE | SYNC | SIZE | NAME | READ | MAP
REFUSE, LIE, DROP = range(3)
FOR_EVER = 1 << 60


class Control(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint64) for name in ("kinds", "first", "count", "error", "mode", "passed", "failed", "sync_delay_ns", "keep")),
        ("only", ctypes.c_char * 64),
    ]


class Faults:
    """The control file of one program. Numbers are written in one piece, `kinds` last."""

    def __init__(self, path, under=(), library=CALLS):
        self.path, self.under, self.library = path, under, library
        path.write_bytes(bytes(4096))
        self.file = path.open("r+b")
        self.control = Control.from_buffer(mmap.mmap(self.file.fileno(), 4096))

    def env(self, log=None):
        return {
            "LD_PRELOAD": str(self.library),
            "IO_FAULT_CONTROL": str(self.path),
            "IO_FAULT_UNDER": ":".join(map(str, self.under)),
            **({"IO_FAULT_LOG": str(log)} if log else {}),
        }

    def fail(self, kinds, first=1, count=FOR_EVER, error=errno.EIO, mode=REFUSE, only=""):
        control = self.control
        control.kinds = 0
        control.first, control.count, control.error, control.mode = first, count, error, mode
        control.only = only.encode()
        control.keep = mode == DROP
        control.passed = control.failed = 0
        control.kinds = kinds

    def end(self):
        self.control.kinds = 0

    @property
    def passed(self):
        return self.control.passed

    @property
    def failed(self):
        return self.control.failed
