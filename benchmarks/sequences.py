"""Sequences of a large log: built, indexed at more cutoffs, opened, and gathered into batches.

    python -m benchmarks.sequences [EVENTS]

The floor of building is one sort of each bucket's rows; that of a batch is a copy of as many
bytes in one piece. Beside the batch: a loop over its sequences, as it is usually assembled.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl
import torch

from benchmarks.big_log import DAYS, START, write_big_log
from benchmarks.features import CPU, settings_in
from events.ingest import ingest
from events.store import EventStore, open_store
from features.learn import learn_spec
from features.sequence_build import SequencesInfo, build_sequences
from features.sequence_files import open_sequences
from features.sequences import ARRAYS
from features.time import Cutoff
from runtime.collect import collect
from runtime.settings import Settings
from training.ragged import gather, gather_parts, tensors

BATCH, LENGTH, REPEATS = 4096, 256, 20
EVENTS_A_USER = 100


def timed(work: Callable[[], object], repeats: int = 1) -> float:
    """The least of the seconds it takes: others use the machine too."""
    took = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        took.append(time.perf_counter() - started)
    return min(took)


def read_and_sorted(store: EventStore, bucket: int) -> pl.DataFrame:
    return collect(store.scan(bucket).sort("user_id", "ts"), CPU)


def building(settings: Settings, store: EventStore, count: int) -> SequencesInfo:
    newest = START + timedelta(days=DAYS - 31)
    cutoffs = [Cutoff(newest - timedelta(days=k)) for k in range(1000)]
    cutoffs = [cutoff for cutoff in cutoffs if cutoff.at > store.first]
    spec = learn_spec(store, cutoffs[330], settings)
    found: list[SequencesInfo] = []

    def build(wanted: list[Cutoff]) -> float:
        return timed(
            lambda: found.append(build_sequences(settings, store, wanted, spec, CPU, LENGTH))
        )

    first, twelve = build(cutoffs[:1]), build(cutoffs[:331:30])
    many = build(cutoffs[::2])
    anew = found[1]
    print(f"  build     {first:6.2f} s at one cutoff, {count / first:,.0f} events/s")
    print(f"  index     {twelve:6.2f} s at {len(anew.cutoffs)} cutoffs, {anew.sequences:,} slices")
    print(
        f"            {many:6.2f} s at {len(found[2].cutoffs)} cutoffs, "
        f"{found[2].sequences:,} slices, {found[2].sequences / many:,.0f} slices/s"
    )
    return anew


def batching(info: SequencesInfo) -> None:
    opened = timed(lambda: open_sequences(info.path), REPEATS)
    found = open_sequences(info.path)
    mapped = timed(lambda: [found.bucket(b) for b in found.buckets], REPEATS)
    buckets = [found.bucket(b) for b in found.buckets]
    parts = [{n: t for n, t in tensors(b.arrays).items() if n in ARRAYS} for b in buckets]
    index = [tensors(b.index[-1]) for b in buckets]
    print(f"  open      {opened * 1e3:6.2f} ms, and {mapped * 1e3:.2f} ms to map every bucket")
    generator = torch.Generator().manual_seed(0)
    whole = torch.cat([torch.full_like(i["begin"], k) for k, i in enumerate(index)])
    begin, end = (torch.cat([i[name] for i in index]) for name in ("begin", "end"))
    drawn = torch.randint(len(begin), (BATCH,), generator=generator)
    mine = torch.randint(len(index[0]["begin"]), (BATCH,), generator=generator)
    b, e = index[0]["begin"][mine], index[0]["end"][mine]
    batch = gather(parts[0], b, e)
    size = sum(values.nbytes for values in batch.values.values())
    flat = torch.ones(size, dtype=torch.uint8)
    rates: dict[str, Callable[[], object]] = {
        "gather, one bucket": lambda: gather(parts[0], b, e),
        "gather, all buckets": lambda: gather_parts(parts, whole[drawn], begin[drawn], end[drawn]),
        "one bucket, packed": lambda: gather(parts[0], b, e).packed("gap"),
        "one bucket, padded": lambda: gather(parts[0], b, e).padded(),
        "a loop, concatenated": lambda: [
            torch.cat([a[i:j] for i, j in zip(b.tolist(), e.tolist(), strict=True)])
            for a in parts[0].values()
        ],
        "floor: a copy": flat.clone,
    }
    events = int(batch.offsets[-1])
    print(f"  batches of {BATCH} sequences, {events:,} events, {size / 1e6:.1f} MB")
    for name, work in rates.items():
        work()
        took = timed(work, REPEATS)
        print(f"    {name:21} {took * 1e3:7.2f} ms, {events / took / 1e6:8.1f} M events/s")


def main(count: int = 5_000_000) -> None:
    torch.set_num_threads(1)  # these operations are short, and PyTorch's threads spin
    with tempfile.TemporaryDirectory() as folder:
        write_big_log(Path(folder) / "log", count, count // EVENTS_A_USER, 1)
        settings = settings_in(Path(folder))
        ingest(settings)
        store = open_store(settings)
        print(f"sequences: {count:,} events, the last {LENGTH} of each user")
        print(f"  load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        info = building(settings, store, count)
        floor = timed(lambda: [read_and_sorted(store, bucket) for bucket in store.buckets])
        print(f"  floor     {floor:6.2f} s to read and sort the log once")
        batching(info)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
