"""The project's own catalogue under the leak check: a sample of its log, and its true code.

Every altered world is written to a small store of its own, and the features are computed from
it as everywhere else: what they learn is under test too.
"""

from __future__ import annotations

import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import polars_hash as plh

from events.contract import EVENTS
from events.staging import bucket_of
from events.store import EventStore, events_path, open_store
from events.users import USERS, scan_users, users_path
from features.compute import ABSENT, Job, bucket_rows
from features.leakcheck import Compute
from features.leakcheck_compare import OTHER, differences, unequal
from features.leakcheck_rows import Log
from features.learn import learn_spec
from features.plan import feature_plan
from features.time import Cutoff
from runtime.clock import end_of_local_day
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import LabelError
from runtime.settings import Settings
from runtime.tables import TableKind, append, rewrite

CPU = Device("cpu", "a look for leaks")
USERS_SAMPLED = 300
BUCKETS_SAMPLED = 4
MOST_EVENTS = 5_000  # users with more are sampled only where there are no others
STRANGERS = 50  # rows of the users table beside those of the sampled users
BUCKETS = 2  # of the store of a world
CHOSEN = (0.4, 0.6, 0.8)  # shares of the events that lie before the chosen cutoffs
MINUTE = timedelta(minutes=1)
# Cutoffs asked for together with the one looked at: windows of one end where another begins.
NEIGHBOURS = (timedelta(days=-30), timedelta(days=9))
LONG_AFTER = timedelta(days=1000)


def compute_catalogue(settings: Settings, store: EventStore, cutoff: Cutoff) -> pl.DataFrame:
    """The catalogue at a cutoff, learned before it, by the code that snapshots run.

    Both engines compute it: the many cutoffs of the CPU, and the plan of one that GPUs run.
    """
    spec = learn_spec(store, cutoff, settings)
    near = (Cutoff(cutoff.at + distance) for distance in (timedelta(0), *NEIGHBOURS))
    cutoffs = tuple(sorted(c for c in near if c.at <= store.as_of))
    job = Job(settings, store, cutoffs, spec, CPU)
    many = pl.concat([bucket_rows(job, bucket) for bucket in store.buckets])
    at_it = many.filter(pl.col("cutoff") == cutoff.at).drop("cutoff", *ABSENT)
    plans = (
        feature_plan(store.scan(bucket), cutoff, spec, scan_users(settings, bucket))
        for bucket in store.buckets
    )
    return _said_by_both(at_it, pl.concat([collect(plan, CPU) for plan in plans]))


def _said_by_both(many: pl.DataFrame, alone: pl.DataFrame) -> pl.DataFrame:
    """What both engines say; a column on which they differ holds, as text, what each says: a
    leak of either one shows."""
    told = {difference.column for difference in differences(many, alone)}
    if not told:
        return many
    names = set(many.columns) if "user_id" in told else told
    both = many.join(alone, on="user_id", how="full", coalesce=True, suffix=OTHER)
    return both.select(
        _both(both, name) if name in names and name != "user_id" else pl.col(name)
        for name in many.columns
    )


def _both(both: pl.DataFrame, name: str) -> pl.Expr:
    one, other = (pl.col(n).cast(pl.String) for n in (name, name + OTHER))
    each = [one.fill_null("nothing"), pl.lit(", by the plan "), other.fill_null("nothing")]
    return pl.when(unequal(both, name)).then(pl.concat_str(each)).otherwise(one).alias(name)


def catalogue(settings: Settings) -> Compute:
    """The project's catalogue as something to check."""

    def compute(events: pl.LazyFrame, users: pl.LazyFrame | None, cutoff: Cutoff) -> pl.DataFrame:
        with tempfile.TemporaryDirectory(prefix="holdfast-leakcheck-") as folder:
            there = _settled(settings, Path(folder))
            log = Log(collect(events, CPU), None if users is None else collect(users, CPU))
            write_world(there, log)
            # As of long after: the store itself is to hide nothing of what is altered.
            last: datetime = log.events.select(pl.col("ts").max()).item()
            store = open_store(there, max(last, cutoff.at) + LONG_AFTER)
            return compute_catalogue(there, store, cutoff)

    return compute


def _settled(settings: Settings, folder: Path) -> Settings:
    """The same settings with their store in another folder, wherever it was, and their own
    features where they are."""
    project = settings.project.model_copy(update={"store": "store"})
    features, own = settings.features, settings.features.own
    if own:
        features = features.model_copy(update={"own": str(settings.resolve(own).resolve())})
    there = settings.model_copy(update={"project": project, "features": features})
    there._folder = folder
    return there


def write_world(settings: Settings, log: Log) -> None:
    """Puts a log into a new store of the settings."""
    absent = (pl.lit(None, k).alias(n) for n, k in EVENTS.schema.items() if n not in log.events)
    events = log.events.with_columns(absent).with_columns(bucket_of(BUCKETS))
    append(events_path(settings), EVENTS, [events])
    if log.users is not None:
        # A table without any row would not be found.
        nobody = log.users.clear(1).with_columns(user_id=pl.lit("leakcheck nobody"))
        users = (log.users if log.users.height else nobody).with_columns(bucket_of(BUCKETS))
        kind = TableKind(USERS.name, USERS.version, dict(users.schema), USERS.partition_by)
        rewrite(users_path(settings), kind, [users])


def sample(store: EventStore, settings: Settings, users: int = USERS_SAMPLED) -> Log:
    """All that some users did before the as-of; the same users every time.

    They come from few buckets, spread over all of them, so a huge log costs no more than
    those. The order of their events is the store's.
    """
    logs: list[Log] = []
    missing = users
    for bucket in _spread(store.buckets):
        quota = min(missing, -(-users // min(BUCKETS_SAMPLED, len(store.buckets))))
        log = _of_bucket(store, settings, bucket, quota)
        missing -= log.events["user_id"].n_unique()
        logs.append(log)
        if missing <= 0:
            break
    known = [log.users for log in logs if log.users is not None]
    return Log(pl.concat([log.events for log in logs]), pl.concat(known) if known else None)


def _spread(buckets: tuple[int, ...]) -> list[int]:
    """Some buckets from all over, then the rest."""
    step = max(1, len(buckets) // BUCKETS_SAMPLED)
    return [bucket for start in range(step) for bucket in buckets[start::step]]


def _of_bucket(store: EventStore, settings: Settings, bucket: int, quota: int) -> Log:
    rows = store.scan(bucket)
    counted = rows.group_by("user_id").agg(huge=pl.len() > MOST_EVENTS)
    order = ["huge", "hash", "user_id"]
    hashed = counted.with_columns(hash=plh.col("user_id").nchash.xxhash64())
    chosen = collect(hashed.sort(order).head(quota).select("user_id"), CPU)["user_id"]
    events = collect(rows.filter(pl.col("user_id").is_in(chosen.implode())), CPU)
    table = scan_users(settings, bucket)
    if table is None:
        return Log(events)
    mine = pl.col("user_id").is_in(chosen.implode())
    others = table.filter(~mine).head(STRANGERS)
    return Log(events, collect(pl.concat([table.filter(mine), others]), CPU))


def choose_cutoffs(log: Log, zone: str) -> list[Cutoff]:
    """Three instants with a past and a future, of the kinds that leaks hide behind: a minute
    after an event (a session runs on), exactly at one, and a midnight of the project's zone.

    Raises LabelError where the log has no two instants.
    """
    times = log.events["ts"].sort()
    places = [0, *(int(share * len(times)) for share in CHOSEN), len(times) - 1]
    first, busy, exact, evening, last = times.gather(places).to_list()
    instants = (busy + MINUTE, exact, end_of_local_day(evening, zone))
    found = sorted({Cutoff(at) for at in instants if first < at <= last})
    if not found:
        raise LabelError(
            "leakcheck: all events lie at one instant, so no cutoff parts them; ingest a longer log"
        )
    return found
