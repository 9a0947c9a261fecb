"""Nothing at or after the as-of touches vocabulary, features, scalers or the fitted model."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from small_project import small_log, write_small_project

from events.ingest import ingest
from runtime.device import decide
from runtime.settings import load_settings
from training.kinds import Spec
from training.linear import Linear, LogisticSpec
from training.model import Model
from training.recipe import ready_to_train, run_recipe
from training.trees import PartSizes, Size, XGBoostSpec

T = datetime(2024, 8, 1, tzinfo=UTC)
TESTED = T - timedelta(days=21)
CPU = decide("cpu")
USERS = 120
SIZE = Size(3, 20)
SPECS: dict[str, Spec] = {
    "logistic": LogisticSpec(churn_strength=0.03, value_strength=0.03),
    "xgboost": XGBoostSpec(SIZE, SIZE, PartSizes(SIZE, SIZE, "gamma"), bags=2),
}


@dataclass(frozen=True)
class Learnt:
    """Everything a training as of T takes from a log; `measured`: the models of the test cutoff."""

    vocabulary: dict[str, Any]
    features: pl.DataFrame
    models: tuple[Model, ...]
    measured: tuple[Model, ...]


def learn(log: pl.DataFrame) -> Learnt:
    with tempfile.TemporaryDirectory() as folder:
        config = write_small_project(Path(folder, "p"), log, buckets=1)
        if "came" in log.columns:
            with_arrivals = config.read_text().replace(
                "event_id =", 'received = "came"\nevent_id ='
            )
            config.write_text(with_arrivals)
        project = load_settings(config)
        ingest(project)
        models, measured = [], []
        for kind, spec in SPECS.items():
            ready, level = ready_to_train(project, T, kind, CPU, spec=spec)
            split, given = ready.plan.split, (0, level, ready.newest)
            trained = run_recipe(ready.frame, split, spec, ready.task, *given)
            models.append(trained.model)
            measured.append(trained.honest)
            assert not level.why
            assert split.test.cutoffs[0].at == TESTED
    vocabulary = ready.task.spec.to_dict()
    return Learnt(vocabulary, ready.newest, tuple(models), tuple(measured))


@cache
def undisturbed() -> Learnt:
    return learn(small_log(USERS))


MOMENTS = st.integers(0, 60 * 24 * 90).map(lambda minutes: T + timedelta(minutes=minutes))
ADDED = st.lists(
    st.tuples(
        st.sampled_from(["00001", "00007", "00042", "newcomer", "99999"]),
        MOMENTS,
        st.sampled_from(["view", "purchase", "takeover", "search"]),
        st.none() | st.floats(-1e6, 1e6),
        st.sampled_from(["app", "web", "pigeon"]),
    ),
    max_size=30,
)


def another_future(kept_share: float, factor: float, added: list[tuple[Any, ...]]) -> pl.DataFrame:
    """The log with some later events removed, the others' amounts changed, and some added."""
    log = small_log(USERS)
    before, after = log.filter(pl.col("when") < T), log.filter(pl.col("when") >= T)
    kept = after.head(int(kept_share * after.height)).with_columns(pl.col("paid") * factor)
    rows = pl.DataFrame(
        [(10_000_000 + n, *row) for n, row in enumerate(added)],
        schema={name: log.schema[name] for name in log.columns},
        orient="row",
    )
    return pl.concat([before, kept, rows])


@settings(max_examples=1, deadline=None, suppress_health_check=list(HealthCheck))
@example(kept_share=0.0, factor=1.0, added=[])
@example(kept_share=1.0, factor=-3.0, added=[("00001", T, "takeover", 1e6, "pigeon")])
@given(kept_share=st.floats(0, 1), factor=st.floats(-10, 10), added=ADDED)
def test_no_future_changes_what_is_learnt(
    kept_share: float, factor: float, added: list[tuple[Any, ...]]
) -> None:
    known, found = undisturbed(), learn(another_future(kept_share, factor, added))
    assert found.vocabulary == known.vocabulary
    assert_frame_equal(found.features, known.features, check_exact=True)
    for one, other in zip(found.models, known.models, strict=True):
        assert one.calibrator == other.calibrator
        assert one.medians == other.medians
        assert one.value_scale == other.value_scale
        if isinstance(one.churn, Linear):
            assert one.churn == other.churn, "scaler and coefficients"
        assert_frame_equal(one.predict(known.features), other.predict(known.features))


def test_nothing_since_the_test_cutoff_changes_what_is_measured() -> None:
    """Other users come, some never, a rush of newcomers right after it, and money flows back."""
    log = small_log(USERS)
    since = (pl.col("when") >= TESTED) & (pl.col("when") < T)
    later = log.filter(since)
    random = np.random.default_rng(0)
    other = later.with_columns(
        pl.Series("customer", random.permutation(later["customer"].to_numpy())),
        pl.col("paid") * -3,
    ).filter(pl.Series(random.random(later.height) < 0.6))
    rush = log.head(200).with_columns(
        (pl.lit("new") + (pl.int_range(pl.len()) % 90).cast(pl.String)).alias("customer"),
        (pl.lit(TESTED) + pl.duration(minutes=pl.int_range(pl.len()))).alias("when"),
        (pl.col("id") + 20_000_000).cast(log.schema["id"]).alias("id"),
        pl.lit("takeover").alias("what"),
    )
    known, found = undisturbed(), learn(pl.concat([log.filter(~since), other, rush]))
    assert not found.features.equals(known.features), "labels and newcomers"
    for one, same in zip(known.measured, found.measured, strict=True):
        assert same.calibrator == one.calibrator
        assert (same.value_scale, same.medians) == (one.value_scale, one.medians)
        assert same.churn_interval == one.churn_interval
        assert_frame_equal(same.predict(known.features), one.predict(known.features))
    assert found.models[0].calibrator != known.models[0].calibrator


def test_what_came_after_the_test_cutoff_changes_nothing_measured_there() -> None:
    """A third of the events of the eight weeks before it came days after it, or never."""
    log = small_log(USERS).filter(pl.col("when") < T)
    random = np.random.default_rng(1)
    recent = pl.col("when").is_between(TESTED - timedelta(days=56), TESTED, closed="left")
    late = recent & pl.Series(random.random(log.height) < 0.33)
    came = pl.when(late).then(TESTED + timedelta(days=3)).otherwise("when")
    known, found = (
        learn(one)
        for one in (log.with_columns(came=came), log.with_columns(came="when").filter(~late))
    )
    for one, same in zip(known.measured, found.measured, strict=True):
        assert same.calibrator == one.calibrator
        assert (same.value_scale, same.medians) == (one.value_scale, one.medians)
        assert same.churn_interval == one.churn_interval
        assert_frame_equal(same.predict(known.features), one.predict(known.features))
    assert found.models[0].calibrator != known.models[0].calibrator, "what serves knows of them"


def test_the_past_does_change_what_is_learnt() -> None:
    """The control: the same comparison notices an event just before T."""
    log = small_log(USERS)
    early = T - timedelta(days=60)
    extra = log.head(400).with_columns(
        pl.lit(early).alias("when"), (pl.col("id") + 20_000_000).cast(log.schema["id"]).alias("id")
    )
    found = learn(pl.concat([log, extra]))
    assert not found.features.equals(undisturbed().features)
    different = found.models[0].predict(undisturbed().features)["churn_probability"].to_numpy()
    same = undisturbed().models[0].predict(undisturbed().features)["churn_probability"].to_numpy()
    assert np.abs(different - same).max() > 1e-6
