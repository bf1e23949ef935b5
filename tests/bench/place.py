"""place.py - where the benchmarks of whole programs run: a private instance with the default configuration, its runtime folder in
memory as on a host (/run), its store on the disk of the build folder."""

import contextlib
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import harness  # noqa: E402


@contextlib.contextmanager
def instance():
    with contextlib.ExitStack() as stack:
        memory = stack.enter_context(tempfile.TemporaryDirectory(prefix="taskforge-bench-", dir="/dev/shm"))
        disk = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=harness.BUILD))
        place = stack.enter_context(harness.Instance())
        place.runtime, place.data = pathlib.Path(memory), pathlib.Path(disk) / "data"
        place.data.mkdir()
        place.config.write_text(
            f"runtime_dir: {place.runtime}\ndata_dir: {place.data}\n"
            f'collector: {{ spill_dir: {disk}/spill }}\nexporter: {{ listen: "127.0.0.1:0" }}\n'
        )
        place.env.update(TASKFORGE_RUNTIME_DIR=str(place.runtime), TASKFORGE_DATA_DIR=str(place.data))
        yield place
