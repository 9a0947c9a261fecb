"""A training reads no more rows than training.rows: some buckets' users, then fewer cutoffs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from small_project import small_log, write_small_project

from events.ingest import ingest
from events.store import open_store
from features.learn import learn_spec
from features.snapshots import read
from runtime.device import Device
from runtime.settings import Settings, load_settings
from training.plan import plan_of
from training.prepare import prepared, snapshots_of
from training.recipe import train
from training.sample import sampled
from training.sequence_rows import locate

CPU = Device("cpu", "a test")
AS_OF = datetime(2024, 8, 1, tzinfo=UTC)
BUCKETS = 4


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("sample")
    settings = load_settings(write_small_project(folder, small_log(300), buckets=BUCKETS))
    ingest(settings)
    return settings


def bounded(settings: Settings, rows: int) -> Settings:
    return settings.model_copy(
        update={"training": settings.training.model_copy(update={"rows": rows})}
    )


def test_a_log_that_fits_is_read_whole(whole: Settings) -> None:
    store = open_store(whole, AS_OF)
    assert sampled(whole, store) == (store, plan_of(whole, store))


def test_buckets_are_taken_until_their_rows_are_enough(whole: Settings) -> None:
    """Of all rows half are asked for: about half of the buckets, the same plan, and a note."""
    store = open_store(whole, AS_OF)
    every = len(prepared(whole, AS_OF, "logistic", CPU).frame)
    asked = bounded(whole, every // 2)
    found, plan = sampled(asked, store)
    assert found.buckets == store.buckets[: len(found.buckets)]
    assert 1 <= len(found.buckets) < BUCKETS
    assert found.is_sample
    same = plan_of(whole, store)
    assert replace(plan.split, notes=()) == replace(same.split, notes=())
    assert f"of {len(found.buckets)} of {BUCKETS} buckets" in plan.split.notes[-1]


def test_one_bucket_with_too_many_rows_leaves_out_old_cutoffs(whole: Settings) -> None:
    store = open_store(whole, AS_OF)
    found, plan = sampled(bounded(whole, 40), store)
    assert len(found.buckets) == 1
    before = plan_of(whole, store).split
    assert 3 <= len(plan.split.cutoffs) < len(before.cutoffs)
    assert set(plan.split.cutoffs) <= set(before.cutoffs)
    assert (plan.split.test, plan.split.calibrate) == (before.test, before.calibrate)
    assert plan.split.fit.cutoffs[0] == before.fit.cutoffs[0]


def test_the_rows_are_those_of_everyone(whole: Settings) -> None:
    """Each as it is in the table of all users, which stays beside the sample's."""
    every = prepared(whole, AS_OF, "logistic", CPU)
    some = prepared(bounded(whole, len(every.frame) // 2), AS_OF, "logistic", CPU)
    assert len(every.frame) > len(some.frame) > 0
    assert some.task.spec == every.task.spec
    there = every.frame.join(some.frame.select("user_id", "cutoff"), on=["user_id", "cutoff"])
    assert there.sort("cutoff", "user_id").equals(some.frame.select(there.columns))
    store, plan = sampled(whole, open_store(whole, AS_OF))
    spec = learn_spec(store, plan.learn_before, whole)
    again = snapshots_of(whole, store, plan, spec, CPU)
    assert again.buckets_computed == 0
    assert read(again).equals(every.frame)


def test_a_training_on_a_sample_says_so(whole: Settings) -> None:
    found = train(bounded(whole, 300), AS_OF, "logistic", CPU)
    assert any("training.rows = 300" in note for note in found.notes)
    assert found.metrics["churn_roc_auc"] > 0.5


def test_sequences_are_of_the_same_users(whole: Settings) -> None:
    """Each row of the sample has its own, and nobody else's are made."""
    some = prepared(bounded(whole, 300), AS_OF, "sequence", CPU)
    made = some.task.sequences
    assert made is not None
    assert made.buckets == some.store.buckets
    found = locate(made, some.frame.select("cutoff", "user_id"))
    assert (found.frame["end"] > found.frame["begin"]).all()
