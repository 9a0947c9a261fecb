"""Features and labels of one bucket at many cutoffs at once, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl

from features.aggregate import Wanted
from features.attributes import valid_at_each
from features.eligible import eligibility_measures, eligible_at, with_dates
from features.labels import labels_at
from features.measure import Measure, Stream
from features.measured import columns_of, looked_up, row_value, typed
from features.plan import featured, measures_of
from features.prefix import Boundaries, Ints, StreamRows
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


def labelled_at(
    bucket: Bucket, settings: Settings, earlier: Mapping[str, Settings] | None = None
) -> pl.DataFrame:
    """The same with `churn` and `value`, and these for each of `earlier` under its ending."""
    frame, who, cut = _features(bucket)
    people = frame.select("cutoff", "user_id")
    for ending, asked in ({"": settings} | dict(earlier or {})).items():
        labels = labels_at(bucket.rows, people, who, cut, bucket.cutoffs, asked, bucket.users)
        if not bucket.spec.has_amount:
            labels = labels.with_columns(value=pl.lit(None, dtype=pl.Float64))
        frame = frame.hstack(labels.rename({name: name + ending for name in labels.columns}))
    return frame


@dataclass(frozen=True)
class _Compiled:
    """What is the same for every bucket: made once."""

    measures: Mapping[str, Measure]
    wanted: Wanted
    asked: Wanted  # what eligibility reads
    days: tuple[int, ...]
    columns: Mapping[Stream, Mapping[str, list[str]]]
    rows: Mapping[Stream, list[pl.Expr]]
    eligible: pl.Expr


@lru_cache(maxsize=16)
def _compiled(spec: FeatureSpec) -> _Compiled:
    measures, wanted = measures_of(spec)
    streams = sorted({measure.stream for measure in measures.values()}, reverse=True)
    columns = {name: columns_of(measures, {name}) for name in streams}
    rows = {
        name: [row_value(measures[key]).alias(key) for key in made]
        for name, made in columns.items()
    }
    days = {d for windows in wanted.values() for d in windows if d is not None}
    asked = dict.fromkeys(eligibility_measures(spec.definitions), (None,))
    eligible = eligible_at(spec.definitions)
    return _Compiled(measures, wanted, asked, tuple(sorted(days)), columns, rows, eligible)


def _features(bucket: Bucket) -> tuple[pl.DataFrame, Ints, Ints]:
    """The features; and of each row the user's number and the cutoff's place."""
    made, users = _compiled(bucket.spec), bucket.users
    if users is not None:
        users = valid_at_each(users, [cutoff.at for cutoff in bucket.cutoffs])
    names = _first_names(bucket.rows)
    boundaries = Boundaries(bucket.cutoffs, made.days)
    streams = _streams(bucket, made, len(names), boundaries)
    who, cut = _pairs(len(names), len(bucket.cutoffs))
    known = _measured(streams, made, made.asked, who, cut)
    people = _people(names, bucket.cutoffs, who, cut).hstack(known)
    people = people.with_columns(typed(made.measures, made.asked))
    scored = _eligible(people, made.eligible, bucket.spec, users)
    who, cut = who[scored], cut[scored]
    found = _measured(streams, made, made.wanted, who, cut)
    frame = _people(names, bucket.cutoffs, who, cut).hstack(found).lazy()
    frame = frame.with_columns(typed(made.measures, made.wanted))
    return collect(featured(frame, bucket.spec, users), CPU), who, cut


def _first_names(rows: pl.DataFrame) -> pl.Series:
    """The id of each user, by number."""
    number = rows["number"].to_numpy()
    users = int(number[-1]) + 1 if len(number) else 0
    return rows["user_id"].gather(np.searchsorted(number, np.arange(users)))


def _streams(
    bucket: Bucket, made: _Compiled, users: int, boundaries: Boundaries
) -> dict[Stream, StreamRows]:
    rows, found = begun(bucket.known.lazy(), bucket.spec), dict[Stream, StreamRows]()
    for name, values in made.rows.items():
        frame = collect(stream(rows, name, bucket.spec).select("number", "ts", *values), CPU)
        same = name == "active" and bucket.spec.definitions.all_active
        if same and "events" in found:
            found[name] = found["events"].with_columns_of(frame)
        else:
            found[name] = StreamRows(frame, users, boundaries)
    return found


def _pairs(users: int, cutoffs: int) -> tuple[Ints, Ints]:
    """Every user at every cutoff, by cutoff."""
    cut, who = np.divmod(np.arange(users * cutoffs), max(users, 1))
    return who, cut


def _people(names: pl.Series, cutoffs: Sequence[Cutoff], who: Ints, cut: Ints) -> pl.DataFrame:
    instants = pl.Series([c.at for c in cutoffs], dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame({"cutoff": instants.gather(cut), "user_id": names.gather(who)})


def _eligible(
    people: pl.DataFrame, eligible: pl.Expr, spec: FeatureSpec, users: pl.LazyFrame | None
) -> Ints:
    numbered = people.lazy().with_row_index("pair")
    known = with_dates(numbered, users, spec.definitions).filter(eligible)
    return collect(known.select(pl.col("pair").cast(pl.Int64).sort()), CPU)["pair"].to_numpy()


def _measured(
    streams: Mapping[Stream, StreamRows], made: _Compiled, wanted: Wanted, who: Ints, cut: Ints
) -> list[pl.Series]:
    found: dict[str, pl.Series] = {}
    for name, rows in streams.items():
        asked = {key: days for key, days in wanted.items() if made.measures[key].stream == name}
        if asked:
            found |= looked_up(rows.at(who, cut), made.measures, asked, made.columns[name])
    return list(found.values())
