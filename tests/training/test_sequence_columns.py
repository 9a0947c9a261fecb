"""A sequence model as two columns: what it learns, what it must not know, how it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from ordered_world import CPU, DEFINITIONS, NEWEST, Ordered, ordered
from sklearn.metrics import roc_auc_score

from features.sequence_now import bucket_sequences
from features.time import Cutoff
from runtime.errors import LabelError, ModelError, UsageError
from training.column import SEQUENCE_CHURN as CHURN
from training.column import SEQUENCE_VALUE as VALUE
from training.encoders import DEFAULT
from training.ragged import Ragged
from training.rows import labelled, matrix
from training.sequence_columns import SequenceColumns, listed
from training.sequence_fitting import fit_sequence
from training.sequence_model import ABOUT, WEIGHTS
from training.sequence_readout import HALF_LIVES_DAYS, Readout
from training.sequence_rows import Horizons, counted, fewer, held_apart, locate
from training.sequence_spec import Counts, SequenceSpec, cost_seconds
from training.sequence_step import weights_digest
from training.trees import XGBoostSpec, fit_churn

LENGTH = 16
SPEC = SequenceSpec(width=8, hidden=8, length=LENGTH, least_steps=120, batch=64, pretrain_epochs=0)
QUICK = replace(SPEC, steps=3)
ASKED = ["cutoff", "user_id"]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Ordered:
    return ordered(tmp_path_factory.mktemp("world"), users=300)


@pytest.fixture(scope="module")
def quick(world: Ordered) -> SequenceColumns:
    return fitted(world, QUICK)[0]


def before(rows: pl.DataFrame) -> pl.DataFrame:
    """Those at all cutoffs but the newest."""
    return rows.filter(pl.col("cutoff") < NEWEST)


def fitted(
    world: Ordered,
    spec: SequenceSpec = QUICK,
    rows: pl.DataFrame | None = None,
    folder: Path | None = None,
) -> tuple[SequenceColumns, SequenceSpec]:
    rows = before(world.rows) if rows is None else rows
    return fit_sequence(spec, world.sequences, rows, DEFINITIONS, CPU, folder)


def digest(columns: SequenceColumns) -> str:
    return " ".join(weights_digest(model.network) for model in columns.models)


def tallied(rows: pl.DataFrame, world: Ordered) -> pl.DataFrame:
    """The rows with what a table of features would say of the same events, the order aside."""
    at = [Cutoff(t) for t in rows["cutoff"].unique().sort()]
    found = []
    for cutoff in at:
        lists = bucket_sequences(world.store, 0, cutoff, world.spec, LENGTH, CPU)
        kinds = [
            (pl.col("sequence_kind").list.count_matches(k)).alias(f"kind_{k}") for k in (1, 2, 3)
        ]
        last = pl.col("sequence_age").list.last().alias("recency")
        length = pl.col("sequence_kind").list.len().alias("events")
        told = lists.select("user_id", *kinds, last, length)
        found.append(rows.filter(pl.col("cutoff") == cutoff.at).join(told, on="user_id"))
    return pl.concat(found)


def test_it_learns_the_order_that_trees_over_counts_cannot_see(world: Ordered) -> None:
    columns, settled = fitted(world, replace(SPEC, width=16, hidden=16, least_steps=100))
    test = world.rows.filter(pl.col("cutoff") == NEWEST)
    said = columns.of_rows(world.sequences, test)
    names = ("kind_1", "kind_2", "kind_3", "recency", "events")
    rows = labelled(tallied(before(world.rows), world), names, "fit", 0)
    trees, _ = fit_churn(XGBoostSpec(seed=0, depths=(3,), most_rounds=30), rows, CPU)
    tabular = trees.margin(matrix(tallied(test, world), names))
    of_trees = roc_auc_score(tallied(test, world)["churn"], tabular)
    of_order = roc_auc_score(test["churn"], said[CHURN])
    assert of_order > 0.85
    assert of_trees < 0.65
    assert roc_auc_score(test["value"] > 0, said[VALUE]) > 0.85
    assert settled.steps is not None
    assert 1 <= settled.steps <= 400
    assert asdict(settled) == asdict(SequenceSpec(**asdict(settled)))


def test_the_weights_are_the_same_whatever_the_buckets_and_the_order_of_rows(
    world: Ordered, tmp_path: Path
) -> None:
    spec = replace(SPEC, least_steps=6, epochs=1, pretrain_epochs=1, most_events=4_000)
    first, settled = fitted(world, spec)
    many = ordered(tmp_path, users=300, buckets=5)
    second, again = fitted(many, spec, before(many.rows).sample(fraction=1.0, shuffle=True, seed=3))
    assert settled == again
    assert digest(first) == digest(second)
    other, _ = fitted(world, replace(spec, seed=1))
    assert digest(other) != digest(first)
    asked = world.rows.select(ASKED)
    one, five = (c.of_rows(w.sequences, asked) for c, w in ((first, world), (second, many)))
    np.testing.assert_allclose(one.to_numpy(), five.to_numpy(), atol=1e-5)


def test_what_happens_at_or_after_the_cutoffs_changes_nothing(
    world: Ordered, tmp_path: Path, quick: SequenceColumns
) -> None:
    later = ordered(tmp_path, users=300, later=True)
    assert later.store.table.files != world.store.table.files
    same, _ = fitted(later)
    assert digest(same) == digest(quick)
    asked = world.rows.select(ASKED)
    assert same.of_rows(later.sequences, asked).equals(quick.of_rows(world.sequences, asked))


def test_labels_outside_the_given_rows_change_nothing(
    world: Ordered, quick: SequenceColumns
) -> None:
    unknown = world.rows.with_columns(
        pl.when(pl.col("cutoff") < NEWEST).then(pl.col(n)).alias(n)
        for n in ("churn", "churn_10", "value")
    )
    # The rows of the newest cutoff have no label, so they are as good as left out.
    assert digest(fitted(world, rows=unknown)[0]) == digest(quick)
    flipped = before(world.rows).with_columns(churn=1 - pl.col("churn"))
    assert digest(fitted(world, rows=flipped)[0]) != digest(quick)


def test_it_is_kept_and_read_again(world: Ordered, quick: SequenceColumns, tmp_path: Path) -> None:
    quick.save(tmp_path)
    read = SequenceColumns.load(tmp_path)
    asked = world.rows.select(ASKED)
    assert read.of_rows(world.sequences, asked).equals(quick.of_rows(world.sequences, asked))
    assert (read.length, read.kinds, read.channels) == (LENGTH, world.spec.events, ("app", "web"))
    held = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert held == {f"{bag}/{name}" for bag in (0, 1) for name in (ABOUT, WEIGHTS)}
    (tmp_path / "1" / WEIGHTS).unlink()
    with pytest.raises(ModelError, match="train again"):
        SequenceColumns.load(tmp_path)


def test_the_columns_are_the_means_of_the_bags(world: Ordered, quick: SequenceColumns) -> None:
    asked = world.rows.select(ASKED).head(50)
    each = [SequenceColumns((model,)).of_rows(world.sequences, asked) for model in quick.models]
    assert not np.allclose(each[0].to_numpy(), each[1].to_numpy(), atol=1e-3)
    mean = (each[0].to_numpy() + each[1].to_numpy()) / 2
    np.testing.assert_allclose(quick.of_rows(world.sequences, asked).to_numpy(), mean, atol=1e-6)


@pytest.mark.parametrize("name", [ABOUT, WEIGHTS])
def test_what_was_tampered_with_is_refused(
    quick: SequenceColumns, tmp_path: Path, name: str
) -> None:
    path = quick.save(tmp_path) / "1" / name
    held = bytearray(path.read_bytes())
    place = held.index(b'"width": 8') + 9 if name == ABOUT else len(held) // 2
    held[place] ^= 1
    path.write_bytes(bytes(held))
    with pytest.raises(ModelError, match="train again"):
        SequenceColumns.load(tmp_path)


def test_lists_say_what_rows_say(tmp_path: Path) -> None:
    world = ordered(tmp_path, users=80, cutoffs=2, buckets=3)
    columns, _ = fitted(world, rows=world.rows)
    for bucket in world.store.buckets:
        lists = bucket_sequences(world.store, bucket, Cutoff(NEWEST), world.spec, LENGTH, CPU)
        asked = lists.select(pl.lit(NEWEST).dt.cast_time_unit("us").alias("cutoff"), "user_id")
        asked = asked.vstack(asked.head(1).with_columns(user_id=pl.lit("nobody")))
        nobody = asked.tail(1).join(lists, on="user_id", how="left")
        said = columns.of_lists(pl.concat((lists, nobody.select(lists.columns))))
        told = columns.of_rows(world.sequences, asked)
        np.testing.assert_allclose(said.to_numpy(), told.to_numpy(), atol=1e-5)
        assert said[CHURN].n_unique() > len(lists) / 2
        assert said.schema == {CHURN: pl.Float64, VALUE: pl.Float64}
    assert len(columns.of_lists(lists.clear())) == 0
    with pytest.raises(ModelError, match="lacks sequence_age"):
        columns.of_lists(lists.drop("sequence_age"))
    long = bucket_sequences(world.store, 0, Cutoff(NEWEST), world.spec, LENGTH + 1, CPU)
    with pytest.raises(ModelError, match="lists of up to 17 events for a model of 16"):
        columns.of_lists(long)
    with pytest.raises(ModelError, match="differ in length"):
        columns.of_lists(lists.with_columns(pl.col("sequence_gap").list.head(1)))


def test_a_user_without_a_sequence_has_the_columns_of_an_empty_one(
    world: Ordered, quick: SequenceColumns
) -> None:
    rows = world.rows.select(ASKED).head(3)
    stranger = rows.head(1).with_columns(user_id=pl.lit("nobody"))
    said = quick.of_rows(world.sequences, pl.concat((rows[:2], stranger, rows[2:])))
    nothing = Ragged(
        {n: torch.empty(0) for n in ("kind", "gap", "amount", "channel", "hour", "weekday", "age")},
        torch.zeros(2, dtype=torch.int64),
    )
    assert said.row(2) == pytest.approx(quick.columns(nothing).row(0), abs=1e-6)
    expected = quick.of_rows(world.sequences, rows).to_numpy()
    np.testing.assert_allclose(said.to_numpy()[[0, 1, 3]], expected, atol=1e-5)


def test_how_long_ago_reaches_the_heads(world: Ordered, quick: SequenceColumns) -> None:
    lists = bucket_sequences(world.store, 0, Cutoff(NEWEST), world.spec, LENGTH, CPU).head(20)
    later = lists.with_columns(pl.col("sequence_age").list.eval(pl.element() + 40 * 86_400.0))
    assert (quick.of_lists(lists)[CHURN] != quick.of_lists(later)[CHURN]).all()


def test_it_says_which_sequences_it_does_not_fit(
    world: Ordered, quick: SequenceColumns, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="for a spec of 99"):
        fitted(world, replace(SPEC, length=99))
    other = ordered(tmp_path, users=20, length=3)
    with pytest.raises(ModelError, match="with length 3"):
        quick.of_rows(other.sequences, other.rows)
    aside = world.rows.head(1).with_columns(pl.col("cutoff") + timedelta(days=1))
    with pytest.raises(ModelError, match="has no sequences at"):
        quick.of_rows(world.sequences, aside)
    nameless = world.rows.with_columns(
        pl.lit(None, pl.Int8).alias(n) for n in ("churn", "churn_10")
    )
    with pytest.raises(LabelError, match="no labelled user to fit sequences on"):
        fitted(world, rows=nameless)


def test_without_amounts_there_is_no_value(world: Ordered, tmp_path: Path) -> None:
    rows = before(world.rows).with_columns(value=pl.lit(None, pl.Float64))
    columns, _ = fitted(world, rows=rows)
    said = columns.of_rows(world.sequences, world.rows.head(5))
    assert said[VALUE].null_count() == 5
    assert said[CHURN].is_finite().all()
    columns.save(tmp_path)
    assert SequenceColumns.load(tmp_path).columns(listed(_no_lists())).equals(said.head(0))


def test_a_training_that_ended_is_taken_up(world: Ordered, tmp_path: Path) -> None:
    spec = replace(SPEC, least_steps=6, epochs=1, pretrain_epochs=1)
    first, settled = fitted(world, spec, folder=tmp_path)
    held = {path: path.stat().st_ino for path in tmp_path.rglob("*.pt")}
    assert sorted(p.parent.name for p in held) == ["fit-0", "fit-1", "pretraining", "search"]
    second, again = fitted(world, spec, folder=tmp_path)
    assert (digest(second), again) == (digest(first), settled)
    assert {path: path.stat().st_ino for path in tmp_path.rglob("*.pt")} == held
    assert digest(fitted(world, spec)[0]) == digest(first)
    with pytest.raises(ModelError, match="is of another training"):
        fitted(world, replace(spec, batch=32), folder=tmp_path)


def test_a_search_that_was_stopped_early_by_other_rows_is_not_taken_up(
    world: Ordered, tmp_path: Path
) -> None:
    spec = replace(SPEC, least_steps=6, epochs=1, bags=1)
    fitted(world, spec, world.rows, tmp_path)
    turned = pl.when(pl.col("cutoff") == NEWEST).then(1 - pl.col("churn")).otherwise("churn")
    other = world.rows.with_columns(churn=turned)
    with pytest.raises(ModelError, match=r"search/.*is of another training"):
        fitted(world, spec, other, tmp_path)


def test_early_stopping_is_by_later_rows_whose_past_was_known(world: Ordered) -> None:
    located = locate(world.sequences, world.rows)
    early, late = held_apart(located, DEFINITIONS, 0)
    assert late.frame["cutoff"].unique().to_list() == [NEWEST]
    assert early.frame["cutoff"].max() <= NEWEST - timedelta(days=30)  # type: ignore[operator]
    near = world.rows.filter(pl.col("cutoff") == NEWEST)
    early, late = held_apart(locate(world.sequences, near), DEFINITIONS, 0)
    assert not set(early.frame["user_id"]) & set(late.frame["user_id"])
    assert len(early.frame) + len(late.frame) == len(near)
    assert 0.1 < len(late.frame) / len(near) < 0.3


def test_rows_are_left_out_by_hash_and_the_cost_says_so(world: Ordered) -> None:
    located = locate(world.sequences, world.rows)
    some = fewer(located, located.events // 2, 0)
    assert 0.4 < some.events / located.events < 0.6
    assert some.frame.select(ASKED).is_duplicated().sum() == 0
    assert some.frame.equals(fewer(located, located.events // 2, 0).frame)
    assert fewer(located, located.events, 0) is located
    newest = locate(world.sequences, world.rows.filter(pl.col("cutoff") == NEWEST))
    assert counted(world.sequences, world.rows) == Counts(900, located.events, 300, newest.events)
    logs = [Counts(n // 10, n, n // 50, n // 5) for n in (10**5, 10**6, 10**7, 10**9, 10**10)]
    costs = [cost_seconds(counts, SequenceSpec()) for counts in logs]
    assert costs == sorted(costs)
    assert costs[4] == pytest.approx(costs[3], rel=0.05)
    assert cost_seconds(logs[2], SequenceSpec(steps=900)) < costs[2]
    assert SequenceSpec().encoder == DEFAULT


def test_horizons_are_read_off_the_columns() -> None:
    rows = pl.DataFrame(
        {n: [0] for n in ("churn", "churn_10", "churn_rate", "churn_30", "churn_2")}
    )
    found = Horizons.of(rows, DEFINITIONS)
    assert found == Horizons((2.0, 10.0, 30.0), ("churn_2", "churn_10", "churn"), True)
    young = rows.with_columns(churn=pl.lit(None, pl.Int8))
    assert Horizons.of(young, DEFINITIONS).days == (2.0, 10.0)


def test_a_young_log_carries_the_last_rate_on(world: Ordered) -> None:
    rows = before(world.rows).with_columns(
        churn=pl.lit(None, pl.Int8), value=pl.lit(None, pl.Float64)
    )
    columns, _ = fitted(world, replace(QUICK, bags=1), rows)
    said = columns.of_rows(world.sequences, world.rows.head(9))[CHURN].to_numpy()
    lists = bucket_sequences(
        world.store, 0, Cutoff(world.rows["cutoff"][0]), world.spec, LENGTH, CPU
    )
    network = columns.models[0].network
    assert network.churn is not None
    assert network.churn.edges.tolist() == [10.0]
    read = network.summary(listed(lists.head(9)))
    ten_days = network.churn(read).double().neg().sigmoid()[:, 0]  # nothing within 10 days
    np.testing.assert_allclose(1 / (1 + np.exp(-said)), ten_days.detach() ** 3, rtol=1e-4)


def test_the_readout_is_worked_by_hand() -> None:
    day = 86_400.0
    age = torch.tensor([3 * day, 2 * day, 7.0])
    values = {
        "kind": torch.tensor([1, 0, 1]),
        "amount": torch.tensor([float("nan"), -4.0, 8.0]),
        "age": age,
    }
    side = Readout(2, kinds=1).side(Ragged(values, torch.tensor([0, 2, 2, 3])))
    assert side.shape == (3, 3 + 2 * 2 * len(HALF_LIVES_DAYS))
    assert side[1].tolist() == [0.0] * side.shape[1]
    assert side[0, :3].tolist() == pytest.approx(np.log1p([2 * day, 3 * day, 2.0]).tolist())
    half = [0.5 ** (2 / h) for h in HALF_LIVES_DAYS]
    assert side[0, 3:7].tolist() == pytest.approx(np.log1p(half).tolist())  # of kind 0
    ones = [0.5 ** (3 / h) for h in HALF_LIVES_DAYS]
    assert side[0, 7:11].tolist() == pytest.approx(np.log1p(ones).tolist())
    spent = [-np.log1p(4 * h) for h in half]
    assert side[0, 11:].tolist() == pytest.approx([*spent, 0.0, 0.0, 0.0, 0.0])


def _no_lists() -> pl.DataFrame:
    names = ("kind", "gap", "amount", "channel", "hour", "weekday", "age")
    return pl.DataFrame(schema={f"sequence_{name}": pl.List(pl.Float32) for name in names})
