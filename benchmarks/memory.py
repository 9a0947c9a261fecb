"""Peak memory as the log grows: ingest and snapshot of 50, 100 and 200 M events.

    python -m benchmarks.memory [EVENTS...]

Each step runs in a process of its own, whose peak resident memory is the system's own figure.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.big_log import write_big_log
from runtime.files import remove_folder

SIZES = (50_000_000, 100_000_000, 200_000_000)
USERS = 1_000_000
STEP = """
import json, resource, sys, time
from pathlib import Path
from benchmarks.features import CPU, cutoffs, settings_in
settings = settings_in(Path(sys.argv[1]))
started = time.perf_counter()
{work}
figures = {{
    "seconds": time.perf_counter() - started,
    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "buckets": buckets,
}}
print(json.dumps(figures))
"""
INGEST = """
from events.ingest import ingest
from events.store import open_store
ingest(settings)
buckets = 0
"""
SNAPSHOT = """
from events.store import open_store
from features.learn import learn_spec
from features.snapshots import build_snapshots
store = open_store(settings)
buckets = len(store.buckets)
wanted = cutoffs(3)
build_snapshots(settings, store, wanted, learn_spec(store, wanted[0], settings), CPU, True)
"""


def step(work: str, folder: Path) -> dict[str, Any]:
    arguments = [sys.executable, "-c", STEP.format(work=work), str(folder)]
    done = subprocess.run(arguments, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(sizes: tuple[int, ...]) -> None:
    print("| events | buckets | ingest, s | peak MiB | snapshot at 3 cutoffs, s | peak MiB |")
    print("|---:|---:|---:|---:|---:|---:|")
    peaks = []
    for events in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            write_big_log(folder / "log", events, USERS, max(1, events // 12_500_000))
            taken = step(INGEST, folder)
            remove_folder(folder / "log")
            found = step(SNAPSHOT, folder)
        peaks.append((taken["peak_mib"], found["peak_mib"]))
        cells = (taken["seconds"], taken["peak_mib"], found["seconds"], found["peak_mib"])
        shown = " | ".join(f"{cell:,.0f}" for cell in cells)
        print(f"| {events:,} | {found['buckets']} | {shown} |", flush=True)
    growth = [f"{last / first - 1:+.0%}" for first, last in zip(peaks[0], peaks[-1], strict=True)]
    print(f"\nfrom the first to the last: ingest {growth[0]}, snapshot {growth[1]}")


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or SIZES)
