"""Features and labels of one bucket at many cutoffs at once, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from features.aggregate import Wanted
from features.attributes import valid_at_each
from features.eligible import eligibility_measures, eligible_at, with_dates
from features.labels import labels_at
from features.measure import Measure, Stream
from features.plan import featured, measures_of
from features.prefix import Boundaries, Ints, StreamRows, columns_of, looked_up, row_value, typed
from features.spec import FeatureSpec
from features.streams import begun, stream
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device
from runtime.settings import Settings

CPU = Device("cpu", "prefix sums")


@dataclass(frozen=True)
class Bucket:
    """`rows`: a bucket's, as `features.streams.prepare` makes them; `known`: those of them that
    features may read; `users`: its users table."""

    rows: pl.DataFrame
    known: pl.DataFrame
    users: pl.LazyFrame | None
    cutoffs: Sequence[Cutoff]
    spec: FeatureSpec


def features_at(bucket: Bucket) -> pl.DataFrame:
    """`cutoff`, `user_id` and the features, a row an eligible user and cutoff, by both."""
    return _features(bucket)[0]


def labelled_at(bucket: Bucket, settings: Settings) -> pl.DataFrame:
    """The same with `churn` and `value`."""
    frame, who, cut = _features(bucket)
    people = frame.select("cutoff", "user_id")
    labels = labels_at(bucket.rows, people, who, cut, bucket.cutoffs, settings, bucket.users)
    if not bucket.spec.has_amount:
        labels = labels.with_columns(value=pl.lit(None, dtype=pl.Float64))
    return frame.hstack(labels)


def _features(bucket: Bucket) -> tuple[pl.DataFrame, Ints, Ints]:
    """The features; and of each row the user's number and the cutoff's place."""
    spec, users = bucket.spec, bucket.users
    if users is not None:
        users = valid_at_each(users, [cutoff.at for cutoff in bucket.cutoffs])
    measures, wanted = measures_of(spec)
    days = {d for windows in wanted.values() for d in windows if d is not None}
    names = _first_names(bucket.rows)
    boundaries = Boundaries(bucket.cutoffs, sorted(days))
    streams = _streams(bucket.known, spec, measures, len(names), boundaries)
    who, cut = _pairs(len(names), len(bucket.cutoffs))
    asked: Wanted = dict.fromkeys(eligibility_measures(spec.definitions), (None,))
    known = _measured(streams, measures, asked, who, cut)
    people = _people(names, bucket.cutoffs, who, cut).hstack(known)
    scored = _eligible(people.with_columns(typed(measures, asked)), spec, users)
    who, cut = who[scored], cut[scored]
    found = _measured(streams, measures, wanted, who, cut)
    frame = _people(names, bucket.cutoffs, who, cut).hstack(found).lazy()
    made = featured(frame.with_columns(typed(measures, wanted)), spec, users)
    return collect(made, CPU), who, cut


def _first_names(rows: pl.DataFrame) -> pl.Series:
    """The id of each user, by number."""
    number = rows["number"].to_numpy()
    first = np.flatnonzero(np.diff(number, prepend=-1))
    return rows["user_id"].gather(first)


def _streams(
    rows: pl.DataFrame,
    spec: FeatureSpec,
    measures: Mapping[str, Measure],
    users: int,
    boundaries: Boundaries,
) -> dict[Stream, StreamRows]:
    found: dict[Stream, StreamRows] = {}
    for name in dict.fromkeys(measure.stream for measure in measures.values()):
        values = {key: row_value(measures[key]) for key in columns_of(measures, {name})}
        plan = stream(begun(rows.lazy()), name, spec).select("number", "ts", **values)
        found[name] = StreamRows(collect(plan, CPU), users, boundaries)
    return found


def _pairs(users: int, cutoffs: int) -> tuple[Ints, Ints]:
    """Every user at every cutoff, by cutoff."""
    cut, who = np.divmod(np.arange(users * cutoffs), max(users, 1))
    return who, cut


def _people(names: pl.Series, cutoffs: Sequence[Cutoff], who: Ints, cut: Ints) -> pl.DataFrame:
    instants = pl.Series([c.at for c in cutoffs], dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame({"cutoff": instants.gather(cut), "user_id": names.gather(who)})


def _eligible(people: pl.DataFrame, spec: FeatureSpec, users: pl.LazyFrame | None) -> Ints:
    numbered = people.lazy().with_row_index("pair")
    known = with_dates(numbered, users, spec.definitions).filter(eligible_at(spec.definitions))
    return collect(known.select(pl.col("pair").cast(pl.Int64).sort()), CPU)["pair"].to_numpy()


def _measured(
    streams: Mapping[Stream, StreamRows],
    measures: Mapping[str, Measure],
    wanted: Wanted,
    who: Ints,
    cut: Ints,
) -> list[pl.Series]:
    found: dict[str, pl.Series] = {}
    for name, rows in streams.items():
        asked = {key: days for key, days in wanted.items() if measures[key].stream == name}
        if asked:
            found |= looked_up(rows.at(who, cut), measures, asked)
    return list(found.values())
