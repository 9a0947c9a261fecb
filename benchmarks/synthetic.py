"""Events a second of the synthetic world, in memory and to files, on one core.

    python -m benchmarks.synthetic [USERS]

Beside each stands its floor: for `generate` the time to draw as many random numbers as it has
values, for `write_world` the time to copy its bytes.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = "1"  # read when polars is first imported

TIMES = 3
USERS = 20_000


def best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of some tries."""
    taken = []
    for _ in range(TIMES):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


def main() -> None:
    """Pins itself to one core and prints a line for each."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import numpy as np

    from events.synthetic import World, generate, oracle, write_world

    world = World(users=int(sys.argv[1]) if len(sys.argv) > 1 else USERS)
    log = generate(world)
    rng = np.random.default_rng(0)
    seconds = best(lambda: generate(world))
    floor = best(lambda: rng.random(log.height * log.width))
    print(
        f"generate     {log.height:,} events in {seconds:.2f} s: "
        f"{log.height / seconds / 1e6:.1f} M events/s on one core (floor {floor:.2f} s)"
    )
    with tempfile.TemporaryDirectory() as folder:
        seconds = best(lambda: write_world(world, Path(folder)))
        files = [p for p in Path(folder).rglob("*") if p.is_file()]
        size = sum(p.stat().st_size for p in files)
        floor = best(lambda: [(p.with_suffix(".copy")).write_bytes(p.read_bytes()) for p in files])
    print(
        f"write_world  {log.height:,} events, {size / 1e6:.0f} MB in {seconds:.2f} s: "
        f"{log.height / seconds / 1e6:.1f} M events/s on one core (floor {floor:.2f} s)"
    )
    seconds = best(lambda: oracle(world, world.at(600)))
    print(f"oracle       {world.users:,} users at one cutoff in {seconds:.2f} s")


if __name__ == "__main__":
    main()
