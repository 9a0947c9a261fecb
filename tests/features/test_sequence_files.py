"""Sequences on disk: the naive ones whatever the buckets, taken up, not redone, mapped, refused."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from oracles import sequences_naive
from oracles.features_logs import T, events_frame, settings_of, users_frame, write_store
from oracles.features_strategies import logs, moments, people, specs
from oracles.sequences_naive import received_frame

from events.contract import EVENTS, TIME
from events.store import EventStore, open_store
from events.users import USERS, users_path
from features import sequence_bucket, sequence_build
from features.definitions import Definitions
from features.eligible import eligible_plan
from features.learn import learn_spec
from features.sequence_bucket import BucketFiles, write_bucket
from features.sequence_build import SequencesInfo, build_sequences
from features.sequence_files import Sequences, map_batches, open_sequences
from features.sequences import ARRAYS
from features.spec import FeatureSpec
from features.time import Cutoff
from runtime import tables
from runtime.cluster import InProcess
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import BucketError, LabelError, StoreError, UsageError
from runtime.settings import Activity, Churn, Eligible, Settings, Value

CPU = Device("cpu", "test")
ROOT = Path(__file__).parents[2]
DAY = timedelta(days=1)
PASSIVE = Definitions(Activity(), Eligible(within_days=40), Churn(), Value())
CUTOFFS = (Cutoff(T - 60 * DAY), Cutoff(T - 30 * DAY), Cutoff(T))
LENGTH = 7
LATE = tables.TableKind("events", EVENTS.version, EVENTS.schema | {"received": TIME}, ("bucket",))
Log = list[dict[str, Any]]


def random_log(users: int = 40, rows: int = 1500, seed: int = 3) -> Log:
    rng = random.Random(seed)
    return [
        {
            "user_id": f"user {rng.randrange(users)}",
            "ts": T + timedelta(minutes=rng.randrange(-200 * 24 * 60, 40 * 24 * 60)),
            "event": rng.choice(("view", "view", "buy", "cancel", "rare thing")),
            "amount": rng.choice((None, round(rng.lognormvariate(3, 1), 2))),
            "channel": rng.choice((None, "web", "app")),
        }
        for _ in range(rows)
    ]


def built(
    settings: Settings,
    store: EventStore | None = None,
    cutoffs: Sequence[Cutoff] = CUTOFFS,
    length: int = LENGTH,
) -> SequencesInfo:
    store = store or open_store(settings)
    spec = learn_spec(store, CUTOFFS[0], settings)
    one_by_one = InProcess(1)  # so that a test knows which bucket comes next
    return build_sequences(settings, store, cutoffs, spec, CPU, length, one_by_one)


def late_store(settings: Settings, log: Log, buckets: int) -> EventStore:
    """A store whose rows tell when they were received."""
    path = settings.store / "events"
    tables.append(path, LATE, [received_frame(log, buckets)])
    instants = sorted(row["ts"] for row in log)
    as_of = instants[-1] + timedelta(microseconds=1)
    table = tables.open_table(path, LATE)
    return EventStore(table, tuple(range(buckets)), as_of, instants[0], as_of, False)


def contents(found: Sequences) -> dict[datetime, dict[str, dict[str, bytes]]]:
    """The bytes of each array of each sequence, by cutoff and user."""
    held: dict[datetime, dict[str, dict[str, bytes]]] = {c.at: {} for c in found.cutoffs}
    for bucket in map(found.bucket, found.buckets):
        for row in bucket.frame().iter_rows(named=True):
            held[row["cutoff"]][row["user_id"]] = {
                name: bucket.arrays[name][row["begin"] : row["end"]].tobytes() for name in ARRAYS
            }
    return held


def naive(log: Log, spec: FeatureSpec, length: int = LENGTH) -> Any:
    return {c.at: sequences_naive.sequences(log, c.at, spec, length) for c in CUTOFFS}


def files(settings: Settings, kind: str) -> dict[str, int]:
    """Name to inode: a file that is written anew is another one."""
    pool = settings.store / "sequences" / "buckets"
    return {path.name: path.stat().st_ino for path in pool.glob(f"*-{kind}.arrow")}


@pytest.mark.parametrize("buckets", [1, 2, 16])
def test_sequences_are_the_naive_ones_whatever_the_buckets_and_files(
    tmp_path: Path, buckets: int
) -> None:
    settings, log = settings_of(PASSIVE, tmp_path), random_log()
    shuffled = random.Random(buckets).sample(log, len(log))
    write_store(settings, shuffled[:700], buckets)
    write_store(settings, shuffled[700:], buckets)
    info = built(settings)
    found = open_sequences(info.path)
    spec = learn_spec(open_store(settings), CUTOFFS[0], settings)
    assert contents(found) == naive(log, spec)
    assert (found.kinds, found.channels) == (spec.events, spec.channels)
    assert found.length == info.length == LENGTH
    assert found.cutoffs == info.cutoffs == CUTOFFS
    assert info.rows == len(log)  # and no copy, however many cutoffs
    assert info.users == len({row["user_id"] for row in log})
    frame = found.frame()
    assert frame.height == info.sequences
    assert not frame.select("cutoff", "user_id").is_duplicated().any()
    assert (frame["end"] - frame["begin"]).is_between(1, LENGTH).all()


@pytest.mark.parametrize("buckets", [1, 3])
def test_late_rows_are_left_out_until_they_are_known(tmp_path: Path, buckets: int) -> None:
    settings, rng = settings_of(PASSIVE, tmp_path), random.Random(1)
    log = random_log()
    for row in log:
        row["received"] = rng.choice((None, row["ts"], row["ts"] + rng.randrange(60) * DAY))
    store = late_store(settings, log, buckets)
    info = built(settings, store)
    manifest = open_sequences(info.path).manifest
    assert manifest["copies"] > 0
    spec = learn_spec(store, CUTOFFS[0], settings)
    assert contents(open_sequences(info.path)) == naive(log, spec)


def test_copies_belong_to_their_cutoffs(tmp_path: Path) -> None:
    settings, rng = settings_of(PASSIVE, tmp_path), random.Random(1)
    log = [row | {"received": row["ts"] + rng.randrange(60) * DAY} for row in random_log()]
    store = late_store(settings, log, 2)
    spec = learn_spec(store, CUTOFFS[0], settings)
    lengths = (LENGTH, 3)
    found = [open_sequences(built(settings, store, length=length).path) for length in lengths]
    for length, sequences in zip(lengths, found, strict=True):
        assert contents(sequences) == naive(log, spec, length)
    for path in (settings.store / "sequences" / "buckets").glob("*-index.arrow"):
        path.unlink()  # and an index made anew names the copies that are there
    for path in (settings.store / "sequences").glob("*.json"):
        path.unlink()
    assert contents(open_sequences(built(settings, store).path)) == naive(log, spec)


@hypothesis_settings(max_examples=60, deadline=None)
@given(log=logs, spec=specs, users=people, cutoffs=st.sets(moments, min_size=1, max_size=4))
def test_those_are_eligible_whom_the_plan_names(
    log: Log, spec: FeatureSpec, users: Any, cutoffs: set[datetime]
) -> None:
    known, wanted = users_frame(users).lazy(), [Cutoff(t) for t in sorted(cutoffs)]
    events = events_frame(log).lazy()
    with tempfile.TemporaryDirectory() as folder:
        paths = BucketFiles(*(Path(folder, n) for n in ("e", "u", "i")), late=False)
        write_bucket(paths, events, known, spec, wanted, 3, CPU)
        names = sorted({row["user_id"] for row in log})
        for cutoff, index in zip(wanted, map_batches(paths.index), strict=True):
            plan = eligible_plan(events, cutoff, spec.definitions, known)
            found = [names[user] for user in index["user"][index["eligible"] == 1].tolist()]
            assert found == sorted(collect(plan, CPU)["user_id"])


def test_a_log_cut_at_the_as_of_gives_the_same_bytes(tmp_path: Path) -> None:
    log, found = random_log(), []
    for name, rows in (("whole", log), ("cut", [r for r in log if r["ts"] < T])):
        settings = settings_of(PASSIVE, tmp_path / name)
        write_store(settings, rows, 4)
        built(settings, open_store(settings, T))
        found.append(bytes_of(settings))
    assert found[0] == found[1]
    assert len(found[0]) == 12


def test_what_is_there_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of(PASSIVE, tmp_path)
    write_store(settings, random_log(), 4)
    first = built(settings)
    monkeypatch.setattr(sequence_build, "_bucket", None)
    assert built(settings) == first
    assert "already there" in capsys.readouterr().err
    assert not list((settings.store / ".staging").iterdir())


def test_other_cutoffs_write_no_event_anew(tmp_path: Path) -> None:
    settings, log = settings_of(PASSIVE, tmp_path), random_log()
    write_store(settings, log, 4)
    first = built(settings, cutoffs=CUTOFFS[:1], length=3)
    events, index = files(settings, "events"), files(settings, "index")
    second = built(settings)
    assert first.digest != second.digest
    assert files(settings, "events") == events
    assert len(files(settings, "index")) == 2 * len(index)
    spec = learn_spec(open_store(settings), CUTOFFS[0], settings)
    assert contents(open_sequences(second.path)) == naive(log, spec)


CHANGES: tuple[dict[str, Any], ...] = (
    {"timezone": "Asia/Singapore"},
    {"events": ("buy",)},
    {"channels": ("app",)},
    {"definitions": Definitions(Activity(events=("buy",)), Eligible(), Churn(), Value())},
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_other_definitions_make_other_sequences(tmp_path: Path, change: Any) -> None:
    settings, log = settings_of(PASSIVE, tmp_path), random_log(rows=200)
    write_store(settings, log, 2)
    store = open_store(settings)
    spec = learn_spec(store, CUTOFFS[0], settings)
    for meant in (spec, replace(spec, **change)):
        info = build_sequences(settings, store, CUTOFFS, meant, CPU, LENGTH)
        found = open_sequences(info.path)
        assert contents(found) == naive(log, meant)
        for cutoff in CUTOFFS:
            plan = eligible_plan(events_frame(log).lazy(), cutoff, meant.definitions, None)
            rows = found.frame().filter(pl.col("eligible"), cutoff=cutoff.at)
            assert set(rows["user_id"]) == set(collect(plan, CPU)["user_id"])


def test_an_as_of_that_cuts_the_log_makes_other_sequences(tmp_path: Path) -> None:
    settings, log = settings_of(PASSIVE, tmp_path), random_log(rows=200)
    write_store(settings, log, 2)
    spec = learn_spec(open_store(settings), CUTOFFS[0], settings)
    for as_of in (CUTOFFS[1].at, T):
        store = open_store(settings, as_of)
        info = build_sequences(settings, store, [Cutoff(as_of)], spec, CPU, LENGTH)
        assert info.rows == sum(row["ts"] < as_of for row in log)


def test_other_dates_of_leaving_make_other_sequences(tmp_path: Path) -> None:
    churn = Churn(kind="active", date_column="left")
    settings = settings_of(Definitions(Activity(), Eligible(), churn, Value()), tmp_path)
    write_store(settings, random_log(users=3, rows=60))
    for left in (T - 99 * DAY, T + DAY):
        frame = users_frame({"user 1": {"left": left}}).with_columns(bucket=pl.lit(0, pl.Int32))
        kind = tables.TableKind(USERS.name, USERS.version, dict(frame.schema), ("bucket",))
        tables.rewrite(users_path(settings), kind, [frame])
        rows = open_sequences(built(settings).path).frame().filter(user_id="user 1")
        assert rows["eligible"].to_list() == [left > T] * len(CUTOFFS)


def test_new_events_touch_their_bucket_alone(tmp_path: Path) -> None:
    settings, log = settings_of(PASSIVE, tmp_path), random_log()
    write_store(settings, log, 4)
    store = open_store(settings)
    spec = learn_spec(store, CUTOFFS[0], settings)
    build_sequences(settings, store, CUTOFFS, spec, CPU, LENGTH)
    before = {kind: files(settings, kind) for kind in ("events", "users", "index")}
    added = [log[0] | {"ts": T + 400 * DAY}, log[0] | {"ts": T - 40 * DAY}]
    write_store(settings, added, 4)
    info = build_sequences(settings, open_store(settings), CUTOFFS, spec, CPU, LENGTH)
    for kind, known in before.items():
        after = files(settings, kind)
        assert known.items() <= after.items()
        assert len(after) == len(known) + 1
    assert contents(open_sequences(info.path)) == naive([*log, *added], spec)


def test_interrupted_work_is_taken_up_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, log = settings_of(PASSIVE, tmp_path), random_log()
    write_store(settings, log, 4)
    real, seen = sequence_build.write_bucket, []

    def stopping(paths: BucketFiles, *given: Any) -> None:
        seen.append(paths.events.name[:5])
        if len(seen) in (3, 4):  # once more after a failure, then given up
            raise RuntimeError("the lights went out")
        real(paths, *given)

    monkeypatch.setattr(sequence_build, "write_bucket", stopping)
    with pytest.raises(BucketError, match="bucket 2"):
        built(settings)
    assert not list((settings.store / "sequences").glob("*.json"))
    assert not list((settings.store / "sequences" / "buckets").glob(".*"))
    info = built(settings)
    assert seen == ["00000", "00001", "00002", "00002", "00002", "00003"]
    spec = learn_spec(open_store(settings), CUTOFFS[0], settings)
    assert contents(open_sequences(info.path)) == naive(log, spec)


def bytes_of(settings: Settings) -> set[tuple[str, str, bytes]]:
    """Bucket, kind and bytes of every file; the names tell the log's files, which differ."""
    pool = settings.store / "sequences" / "buckets"
    return {(path.name[:5], path.name[-12:], path.read_bytes()) for path in pool.iterdir()}


@pytest.mark.parametrize("at_write", [3, 4])  # the second bucket's index, and its events
def test_a_killed_build_is_taken_up_and_ends_with_the_same_bytes(
    tmp_path: Path, at_write: int
) -> None:
    killed, undisturbed = (settings_of(PASSIVE, tmp_path / name) for name in ("killed", "other"))
    for settings in (killed, undisturbed):
        write_store(settings, random_log(), 3)
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path / "killed"), str(at_write)],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    finished = files(killed, "events")
    assert len(finished) == 1
    assert len(list((killed.store / "sequences" / "buckets").glob(".*.draft"))) == 1
    built(killed)
    built(undisturbed)
    assert finished.items() <= files(killed, "events").items()
    assert bytes_of(killed) == bytes_of(undisturbed)


def die_in_the_middle_of(number: int) -> None:
    """Has the process killed when it has written half of that file."""
    written: list[Path] = []
    real = sequence_bucket.write_batches

    def write(path: Path, types: Any, batches: Any) -> None:
        real(path, types, batches)
        written.append(path)
        if len(written) == number:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    sequence_bucket.write_batches = write  # type: ignore[assignment]


def test_events_without_an_index_are_taken_up_too(tmp_path: Path) -> None:
    settings, log = settings_of(PASSIVE, tmp_path), random_log()
    write_store(settings, log, 2)
    info = built(settings)
    events = files(settings, "events")
    next((settings.store / "sequences" / "buckets").glob("*-index.arrow")).unlink()
    info.path.unlink()
    again = built(settings)
    assert again == info
    assert files(settings, "events") == events


OPENING = """
import sys
from pathlib import Path
import numpy as np
import torch
from features.sequence_files import open_sequences

def resident():
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) * 1024

def mapped(name):
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith(name):
            yield tuple(int(part, 16) for part in line.split()[0].split("-"))

small, large = (open_sequences(Path(path)) for path in sys.argv[1:])
small.bucket(0)  # what opening loads beside the data, once
before = resident()
bucket = large.bucket(0)
tensors = {name: torch.from_numpy(values) for name, values in bucket.arrays.items()}
grown = resident() - before
spans = list(mapped("-events.arrow"))
inside = all(
    any(begin <= t.data_ptr() and t.data_ptr() + t.nbytes <= end for begin, end in spans)
    for t in tensors.values()
)
size = sum(t.nbytes for t in tensors.values())
print(grown, size, inside, len(tensors))
"""


def test_opening_copies_nothing_into_memory_or_into_torch(tmp_path: Path) -> None:
    paths = []
    for name, count in (("small", 50), ("large", 200_000)):
        settings = settings_of(PASSIVE, tmp_path / name)
        rng = np.random.default_rng(0)
        frame = events_frame(random_log(rows=2)).sample(count, with_replacement=True, seed=1)
        ts = pl.Series(rng.integers(-200 * 86_400, 0, count)) * 1_000_000
        frame = frame.with_columns(ts=pl.lit(T) + ts.cast(pl.Duration("us")))
        tables.append(settings.store / "events", EVENTS, [frame])
        paths.append(str(built(settings, cutoffs=CUTOFFS[:1]).path))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", OPENING, *paths],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    grown, size, inside, arrays = done.stdout.split()
    assert int(size) > 4_000_000
    assert int(grown) < 1_000_000
    assert (inside, arrays) == ("True", "9")


def test_writing_to_an_array_never_reaches_the_file(tmp_path: Path) -> None:
    import torch

    settings = settings_of(PASSIVE, tmp_path)
    write_store(settings, random_log())
    found = open_sequences(built(settings).path)
    arrays = found.bucket(0).arrays
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kind = torch.from_numpy(arrays["kind"])
    before = kind.clone()
    kind += 1
    assert torch.equal(torch.from_numpy(found.bucket(0).arrays["kind"]), before)


def test_a_bucket_without_known_rows_is_empty(tmp_path: Path) -> None:
    settings = settings_of(PASSIVE, tmp_path)
    late = {"event": "view", "amount": None, "channel": None, "ts": T + DAY}
    early = [{**late, "user_id": "user 1", "ts": CUTOFFS[0].at - DAY}]
    write_store(settings, [*early, *({**late, "user_id": f"new {k}"} for k in range(20))], 4)
    found = open_sequences(built(settings, open_store(settings, T)).path)
    assert len(found.buckets) == 4
    assert found.frame()["user_id"].to_list() == ["user 1"] * len(CUTOFFS)
    assert sorted(len(found.bucket(k).arrays["ts"]) for k in found.buckets) == [0, 0, 0, 1]


def test_what_cannot_be_built_is_said(tmp_path: Path) -> None:
    settings = settings_of(PASSIVE, tmp_path)
    write_store(settings, random_log())
    store = open_store(settings)
    spec = learn_spec(store, CUTOFFS[0], settings)
    with pytest.raises(UsageError, match="sequences of 0 events"):
        build_sequences(settings, store, CUTOFFS, spec, CPU, 0)
    with pytest.raises(LabelError, match="lies after the as-of"):
        build_sequences(settings, store, [Cutoff(T + 999 * DAY)], spec, CPU, 1)
    with pytest.raises(LabelError, match="the log begins at"):
        build_sequences(settings, store, [Cutoff(T - 999 * DAY)], spec, CPU, 1)
    dated = Definitions(Activity(), Eligible(), Churn(kind="active", date_column="left"), Value())
    with pytest.raises(StoreError, match="there is no users table"):
        build_sequences(settings, store, CUTOFFS, replace(spec, definitions=dated), CPU, 1)


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    settings = settings_of(PASSIVE, tmp_path)
    write_store(settings, random_log())
    info = built(settings)
    with pytest.raises(StoreError, match="no sequences here"):
        open_sequences(tmp_path / "nothing.json")
    with pytest.raises(StoreError, match="has no bucket 9"):
        open_sequences(info.path).bucket(9)
    manifest = json.loads(info.path.read_text())
    for change, told in (({"version": 0}, "has version 0"), ({"holdfast": "x"}, "is not a")):
        other = info.path.with_name("other.json")
        other.write_text(json.dumps(manifest | change))
        with pytest.raises(StoreError, match=told):
            open_sequences(other)
    events = next((settings.store / "sequences" / "buckets").glob("*-events.arrow"))
    events.write_bytes(events.read_bytes()[:-1])
    with pytest.raises(StoreError, match="bytes instead of"):
        open_sequences(info.path)
    events.unlink()
    with pytest.raises(StoreError, match="is missing"):
        open_sequences(info.path)


def test_one_cutoff_serves_pretraining_on_everyone(tmp_path: Path) -> None:
    settings, log = settings_of(PASSIVE, tmp_path), random_log(rows=150)
    write_store(settings, log, 3)
    store = open_store(settings, T)
    frame = open_sequences(built(settings, store, [Cutoff(T)]).path).frame()
    assert set(frame["user_id"]) == {row["user_id"] for row in log if row["ts"] < T}
    assert 0 < frame["eligible"].sum() < frame.height
    assert frame["cutoff"].unique().to_list() == [T.astimezone(UTC)]


if __name__ == "__main__":
    die_in_the_middle_of(int(sys.argv[2]))
    built(settings_of(PASSIVE, Path(sys.argv[1])))
