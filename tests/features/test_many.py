"""Many cutoffs at once equal the plan at each of them: counts exactly, floats to 1e-9."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.features_logs import T, events_frame, settings_of, users_frame
from oracles.features_strategies import logs, people, specs
from polars.testing import assert_frame_equal

from features import tally
from features.labels import label_plan
from features.many import Bucket, features_at, labelled_at
from features.plan import feature_plan
from features.spec import FeatureSpec
from features.streams import prepare
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device

CPU = Device("cpu", "test")
offsets = st.lists(
    st.one_of(st.integers(-400, 40).map(lambda d: timedelta(days=d)), st.just(timedelta(0))),
    min_size=1,
    max_size=4,
    unique=True,
)


@settings(max_examples=60, deadline=None)
@given(log=logs, spec=specs, users=people, apart=offsets)
def test_many_cutoffs_equal_one_at_a_time(
    log: Any, spec: FeatureSpec, users: Any, apart: list[timedelta]
) -> None:
    cutoffs = [Cutoff(T + offset) for offset in sorted(apart)]
    events, known = events_frame(log).lazy(), users_frame(users).lazy()
    rows = collect(prepare(events, spec), CPU)
    found = features_at(Bucket(rows, rows, known, cutoffs, spec))
    each = [
        collect(feature_plan(events, cutoff, spec, known), CPU).select(
            pl.lit(cutoff.at, dtype=pl.Datetime("us", "UTC")).alias("cutoff"), pl.all()
        )
        for cutoff in cutoffs
    ]
    expected = pl.concat(each).sort("cutoff", "user_id")
    assert found.schema == expected.schema
    whole = [n for n, t in expected.schema.items() if not t.is_float()]
    assert_frame_equal(found.select(whole), expected.select(whole))
    assert_frame_equal(found, expected, rel_tol=1e-9, abs_tol=1e-9)


@settings(max_examples=60, deadline=None)
@given(log=logs, spec=specs, users=people, apart=offsets)
def test_many_labels_equal_one_cutoff_at_a_time(
    log: Any, spec: FeatureSpec, users: Any, apart: list[timedelta]
) -> None:
    asked = settings_of(spec.definitions)
    cutoffs = [Cutoff(T + offset) for offset in sorted(apart)]
    events, known = events_frame(log).lazy(), users_frame(users).lazy()
    rows = collect(prepare(events, spec), CPU)
    bucket = Bucket(rows, rows, known, cutoffs, spec)
    found = labelled_at(bucket, asked).select("cutoff", "user_id", "churn", "value")
    each = [
        collect(label_plan(events, c, asked, known, has_amount=spec.has_amount), CPU).with_columns(
            cutoff=pl.lit(c.at, dtype=pl.Datetime("us", "UTC"))
        )
        for c in cutoffs
    ]
    expected = found.select("cutoff", "user_id").join(
        pl.concat(each), on=["cutoff", "user_id"], how="left", maintain_order="left"
    )
    assert_frame_equal(found, expected, rel_tol=1e-9, abs_tol=1e-9)


@settings(max_examples=40, deadline=None)
@given(log=logs, spec=specs, users=people, apart=offsets)
def test_codes_that_are_not_tallied_are_counted_the_same(
    log: Any, spec: FeatureSpec, users: Any, apart: list[timedelta]
) -> None:
    """Where a tally would take too much memory each code has a pass of its own."""
    cutoffs = [Cutoff(T + offset) for offset in sorted(apart)]
    rows = collect(prepare(events_frame(log).lazy(), spec), CPU)
    bucket = Bucket(rows, rows, users_frame(users).lazy(), cutoffs, spec)
    tallied = features_at(bucket)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tally, "MOST_CELLS", 0)
        assert_frame_equal(features_at(bucket), tallied)
