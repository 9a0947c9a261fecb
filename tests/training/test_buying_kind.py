"""The models of buying as a kind of `train`: what they read, what they learn, what they say."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from buying_frames import FEATURES, HORIZON, a_buying_task, buying_frame
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from training_frames import NEWEST, cutoffs

from features.time import Cutoff
from runtime.errors import ModelError, UsageError
from runtime.settings import Churn, Eligible
from training import auto
from training.auto import AutoSpec
from training.buying_columns import (
    ACTIVITY,
    PURCHASES,
    activity,
    is_of_purchases,
    newest,
    places_of,
    purchases,
)
from training.buying_data import Histories
from training.buying_fit import Fit as Law4
from training.buying_predict import Law
from training.buying_silence import Silence, Span
from training.buying_spec import BuyingSpec
from training.buying_spending import Spending
from training.calibration import sigmoid
from training.fitting import Fit, fit
from training.kinds import plain_spec, spec_of
from training.model import Model
from training.rows import Matrix, matrix
from training.shapley import shapley
from training.split import Slice, Split, plan_split
from training.stepwise import Step, at_step
from training.task import Task

DAY = timedelta(days=1)
AT = cutoffs(4)
SPLIT: Split = plan_split(AT, HORIZON * DAY)
CDNOW = (0.243, 4.414, 0.793, 2.426)
PLACES = places_of(ACTIVITY, FEATURES)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return buying_frame(AT, users=600)


@pytest.fixture(scope="module")
def fitted(frame: pl.DataFrame) -> Fit:
    return _fit(frame)


def _fit(frame: pl.DataFrame, task: Task | None = None, split: Split = SPLIT) -> Fit:
    return fit(frame, split.fit, split.calibrate, BuyingSpec(), task or a_buying_task())


def _law(values: tuple[float, ...]) -> Law4:
    return Law4(("r", "alpha", "a", "b"), values, ((None,) * 4,) * 4, -1.0, 10, 1)


def _silence(span: Span, doubt: float = 0.0) -> Silence:
    comes = tuple(0.1 + 0.05 * k for k in range(len(span.ends_days)))
    return Silence("bg/nbd", _law(CDNOW), PLACES, span, (2.0, 30.0, 90.0), doubt, comes)


def _spending(span: Span) -> Spending:
    spend = Law4(("p", "q", "gamma"), (6.25, 3.74, 15.44), ((None,) * 3,) * 3, -1.0, 10, 1)
    at = places_of(PURCHASES, FEATURES)
    return Spending("bg/nbd", _law(CDNOW), spend, at, span, amount=20.0, never=0.01)


def _rows(*users: tuple[float, float, float]) -> Matrix:
    """Of active days, recency and tenure; every active day is a purchase of 12.5."""
    named = [
        {
            "active_days_total": days,
            "recency_days": recency,
            "tenure_days": tenure,
            "events_30d": 1.0,
            "purchases_total": days,
            "purchase_recency_days": recency,
            "purchase_tenure_days": tenure,
            "amount_mean": 12.5,
        }
        for days, recency, tenure in users
    ]
    return matrix(pl.DataFrame(named), FEATURES)


users = st.lists(
    st.tuples(st.integers(1, 40), st.floats(0, 300), st.floats(0, 300)), min_size=1, max_size=12
).map(lambda each: [(float(n), min(r, t), t) for n, r, t in each])
ends = st.lists(st.integers(1, 200), min_size=2, max_size=5, unique=True).map(sorted).map(tuple)


def test_log_odds_are_those_of_the_law() -> None:
    """Three users by hand: once 50 days ago; 4 days over 70 of 100 days; 10 days, just now."""
    x = _rows((1, 50, 50), (4, 30, 100), (10, 0, 90))
    known = Histories(
        np.array([0.0, 3.0, 9.0]), np.array([0.0, 70.0, 90.0]), np.array([50.0, 100.0, 90.0])
    )
    for gap in (0, 7):
        silent = Law(*CDNOW, 0).silent(known, 30.0, float(gap))
        found = _silence(Span(gap, (30,))).margin(x)
        assert found == pytest.approx(np.log(silent / (1 - silent)), abs=1e-12)


def test_value_is_purchases_times_their_amount() -> None:
    x = _rows((4, 30, 100))
    known = Histories(np.array([3.0]), np.array([70.0]), np.array([100.0]))
    times = Law(*CDNOW, 0).purchases(known, 30.0)
    amount = 6.25 * (15.44 + 4 * 12.5) / (6.25 * 4 + 3.74 - 1)
    found = _spending(Span(0, (30,)))
    assert found.value(x) == pytest.approx(times * amount)
    never = x.copy()
    never[:, places_of(PURCHASES[:1], FEATURES)[0]] = 0
    assert found.value(never) == pytest.approx([0.3])


@settings(max_examples=40, deadline=None)
@given(users=users, ends=ends, gap=st.sampled_from((0, 5)), doubt=st.sampled_from((0.0, 0.01)))
def test_steps_make_the_horizon(
    users: list[tuple[float, float, float]], ends: tuple[int, ...], gap: int, doubt: float
) -> None:
    """Hazards multiply to the silence of the horizon as one, values add up to its value."""
    x = _rows(*users)
    steps = _silence(Span(gap, ends), doubt)
    each = [sigmoid(steps.margin(at_step(x, k))) for k in range(len(ends))]
    whole = replace(steps, span=Span(gap, ends[-1:]), comes=(sum(steps.comes),))
    assert np.prod([1 - h for h in each], axis=0) == pytest.approx(sigmoid(whole.margin(x)))
    value = _spending(Span(gap, ends))
    parts = [value.value(at_step(x, k)) for k in range(len(ends))]
    assert sum(parts) == pytest.approx(_spending(Span(gap, ends[-1:])).value(x), rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(users=users, data=st.data())
def test_a_user_is_scored_alone_as_among_others(
    users: list[tuple[float, float, float]], data: st.DataObject
) -> None:
    x = _rows(*users)
    order = data.draw(st.permutations(range(len(users))))
    for one in (_silence(Span(3, (30,)), 0.01), _spending(Span(3, (30,)))):
        assert np.array_equal(one.margin(x)[order], one.margin(x[order]))
        alone = np.concatenate([one.margin(x[i : i + 1]) for i in range(len(x))])
        assert alone == pytest.approx(one.margin(x), abs=1e-9)


def test_histories_of_rows() -> None:
    """Tenure counts from an event that is no activity; recency beyond tenure; nothing known."""
    x = _rows((1, 20, 80), (3, 10, 80), (3, 90, 80))
    x = np.vstack([x, np.full_like(x[:1], np.nan)])
    found = activity(x, PLACES)
    assert found.frequency.tolist() == [0, 2, 2, 0]
    assert found.recency.tolist() == [0, 70, 0, 0]
    assert found.age.tolist() == [20, 80, 80, 0]
    later = activity(x, PLACES, 5.0)
    assert later.recency.tolist() == found.recency.tolist()
    assert later.age.tolist() == [25, 85, 85, 5]


def test_purchases_are_no_more_than_active_days() -> None:
    """30 order lines of 2 on 3 active days are 3 purchases of 20; refunds have no amount."""
    x = _rows((3, 10, 80), (3, 10, 80), (3, 10, 80))
    lines, mean = places_of(("purchases_total", "amount_mean"), FEATURES)
    x[:, lines] = (30, 2, 0)
    x[:, mean] = (2, -5, np.nan)
    found = purchases(x, places_of(PURCHASES, FEATURES))
    assert found.some.tolist() == [True, True, False]
    assert found.times.frequency.tolist() == [2, 1, 0]
    assert found.spend.count.tolist() == [3, 0, 0]
    assert found.spend.mean[0] == 20


def _seen(*rows: tuple[str, int]) -> pl.DataFrame:
    each = [{"user_id": user, "cutoff": NEWEST - days * DAY} for user, days in rows]
    return pl.DataFrame(each, schema_overrides={"cutoff": pl.Datetime("us", "UTC")})


@pytest.mark.parametrize(("within", "silent"), [(60, 30.0), (30, 30.0), (None, 0.0)])
def test_who_is_eligible_no_more_is_known_to_be_silent(within: int | None, silent: float) -> None:
    rows = _seen(("gone", 60), ("gone", 30), ("here", 30), ("here", 0))
    found = newest(rows, within)
    days = dict(zip(found.rows["user_id"], found.silent_days, strict=True))
    assert len(found.rows) == 2
    assert days == {"gone": silent, "here": 0.0}
    assert found.window_days == (within + 60.0 if within else None)


def test_cutoffs_between_which_activity_can_be_missed_are_not_joined() -> None:
    """29 days reach from each cutoff to the next, but not to the last one."""
    rows = _seen(("a", 100), ("b", 80), ("a", 51), ("b", 51), ("b", 0))
    found = newest(rows, 29)
    assert found.rows.sort("user_id")["cutoff"].to_list() == [NEWEST - 51 * DAY] * 2
    assert found.window_days == 29 + 49
    alone = newest(rows, 10)
    assert alone.rows["user_id"].to_list() == ["b"]
    assert alone.window_days == 10


def test_it_learns_what_there_is_to_learn(frame: pl.DataFrame, fitted: Fit) -> None:
    model = fitted.model
    test = SPLIT.test.rows(frame, 0)
    predicted = model.predict(test)
    gone = test["churn"].cast(pl.Boolean)
    p = predicted["churn_probability"]
    assert p.filter(gone).mean() > p.filter(~gone).mean() + 0.2  # type: ignore[operator]
    later = SPLIT.calibrate.rows(frame, 0)
    told = model.predict(later)["expected_value"].sum()
    assert told == pytest.approx(later["value"].sum(), rel=0.05)
    assert isinstance(model.value, Spending)
    never = test["purchases_total"] == 0
    assert predicted.filter(never)["expected_value"].max() < 1e-6 * test["value"].mean()  # type: ignore[operator]


def test_no_label_of_the_fit_and_nothing_later_reaches_the_law(
    frame: pl.DataFrame, fitted: Fit
) -> None:
    shuffled = frame.with_columns(
        churn=pl.when(pl.col("cutoff") < SPLIT.calibrate.cutoffs[0].at)
        .then(1 - pl.col("churn"))
        .otherwise(pl.col("churn"))
    )
    later = pl.col("cutoff") == SPLIT.test.cutoffs[0].at
    changed = frame.with_columns(
        pl.when(later).then(pl.col(name) * 7 + 3).otherwise(pl.col(name)).alias(name)
        for name in (*FEATURES, "value")
    )
    read = fitted.model.rows(frame)
    known = fitted.model.churn.margin(read)
    for other in (shuffled, changed, frame.filter(~later), frame.sample(fraction=1, shuffle=True)):
        # A mean over users may end in another last digit.
        assert _fit(other).model.churn.margin(read) == pytest.approx(known, rel=1e-12)
    probe = frame.tail(100)
    told = _fit(changed).model.predict(probe)
    assert_frame_equal(told, fitted.model.predict(probe), rel_tol=1e-12, abs_tol=1e-12)


def test_the_settled_spec_is_not_chosen_again(frame: pl.DataFrame, fitted: Fit) -> None:
    assert isinstance(fitted.settled, BuyingSpec)
    assert fitted.settled.churn in ("bg/nbd", "mbg/nbd")
    other = "bg/nbd" if fitted.settled.churn == "mbg/nbd" else "mbg/nbd"
    forced = fit(frame, SPLIT.fit, SPLIT.calibrate, BuyingSpec(other, other), a_buying_task())
    churn, mine = forced.model.churn, fitted.model.churn
    assert isinstance(churn, Silence)
    assert isinstance(mine, Silence)
    assert (churn.kind, forced.settled) == (other, BuyingSpec(other, other))
    assert churn.fit.log_likelihood < mine.fit.log_likelihood


def test_reasons_add_up_and_name_what_is_read(frame: pl.DataFrame, fitted: Fit) -> None:
    model = fitted.model
    pushed = model.contributions(frame)
    read = [FEATURES.index(name) for name in ACTIVITY]
    assert not np.delete(pushed, read, axis=1).any()
    rest = model.churn.margin(model.rows(frame)) - pushed.sum(1)
    assert np.ptp(rest) < 1e-9
    regulars = _rows((8, 1, 100), (8, 90, 100))
    back, gone = model.churn.contributions(regulars)[:, PLACES[1]]
    assert back < 0 < gone


def test_shapley_values_by_hand() -> None:
    """a + 2 b + a b about (1, 1), at (3, 5): of the 24 more than there, a has 10 and b 14."""
    x = np.array([[3.0, 9.0, 5.0]], np.float32)

    def margin(rows: Matrix) -> np.ndarray:
        a, b = rows[:, 0].astype(float), rows[:, 2].astype(float)
        return np.asarray(a + 2 * b + a * b)

    assert shapley(margin, x, (0, 2), (1.0, 1.0)).tolist() == [[8.0, 0.0, 16.0]]


def test_saving_and_loading_changes_nothing(
    frame: pl.DataFrame, fitted: Fit, tmp_path: Path
) -> None:
    model = fitted.model
    folder = model.save(tmp_path / "m")
    again = Model.load(folder)
    assert (again.churn, again.value) == (model.churn, model.value)
    assert_frame_equal(again.predict(frame), model.predict(frame), check_exact=True)
    assert np.array_equal(again.contributions(frame), model.contributions(frame))
    frame.write_parquet(tmp_path / "frame.parquet")
    code = (
        "import sys, polars as pl; from pathlib import Path; from training.model import Model; "
        "model = Model.load(Path(sys.argv[1])); rows = pl.read_parquet(sys.argv[2]); "
        "model.contributions(rows); model.predict(rows).write_parquet(sys.argv[3]); "
        "assert not {'torch', 'xgboost', 'sklearn'} & set(sys.modules)"
    )
    paths = [str(tmp_path / name) for name in ("m", "frame.parquet", "out.parquet")]
    subprocess.run([sys.executable, "-c", code, *paths], check=True)
    assert_frame_equal(
        pl.read_parquet(tmp_path / "out.parquet"), model.predict(frame), check_exact=True
    )


def _with(task: Task, **sections: object) -> Task:
    spec = task.spec
    return replace(task, spec=replace(spec, definitions=replace(spec.definitions, **sections)))  # type: ignore[arg-type]


def test_churn_that_is_no_silence_is_refused(frame: pl.DataFrame) -> None:
    task = _with(a_buying_task(), churn=Churn(kind="active", events=("bye",)))
    with pytest.raises(UsageError, match=r"'buying': .* churn.kind is 'active'; choose another"):
        _fit(frame, task)


@pytest.mark.parametrize("lacking", ["tenure_days", "purchase_tenure_days"])
def test_a_feature_that_is_lacking_is_named(frame: pl.DataFrame, lacking: str) -> None:
    fewer = tuple(name for name in FEATURES if name != lacking)
    with pytest.raises(UsageError, match=f"reads the feature '{lacking}', which is not among"):
        _fit(frame, a_buying_task(features=fewer))


def test_nobody_who_came_back_tells_nothing(frame: pl.DataFrame) -> None:
    with pytest.raises(ModelError, match=r"none of 6\d\d customers bought again"):
        _fit(frame.with_columns(active_days_total=1))


def test_there_is_nothing_to_tune() -> None:
    assert spec_of("buying", 0) == BuyingSpec()
    with pytest.raises(UsageError, match="'buying' has no settings to search; choose one of for"):
        plain_spec("buying", 0)


def test_without_amounts_there_is_churn_alone(frame: pl.DataFrame) -> None:
    bare = frame.with_columns(value=pl.lit(None, dtype=pl.Float64))
    fewer = tuple(sorted((*ACTIVITY, "events_30d")))
    model = _fit(bare, a_buying_task(features=fewer)).model
    assert model.value is None
    assert model.predict(bare)["churn_probability"].is_between(0, 1, closed="none").all()


def test_equal_amounts_and_single_purchases_are_said(frame: pl.DataFrame) -> None:
    some = pl.col("purchases_total") > 0
    equal = frame.with_columns(amount_mean=pl.when(some).then(9.0))
    found = _fit(equal)
    assert any("every purchase is given the mean amount" in note for note in found.notes)
    assert isinstance(found.model.value, Spending)
    assert found.model.value.amount == pytest.approx(9.0)
    once = frame.with_columns(purchases_total=pl.when(some).then(1).otherwise(0))
    found = _fit(once)
    assert any("everyone is given the mean" in note for note in found.notes)
    assert found.model.predict(frame)["expected_value"].n_unique() == 1


def test_refunds_and_awkward_features_do_no_harm(frame: pl.DataFrame) -> None:
    awkward = frame.with_columns(
        amount_mean=pl.when(pl.col("churn") == 1).then(-5.0).otherwise(pl.col("amount_mean")),
        value=pl.col("value") - 3.0,
        purchases_total=pl.lit(1e30) * pl.col("purchases_total"),
        tenure_days=pl.when(pl.col("churn") == 0).then(pl.col("tenure_days")),
        recency_days=pl.col("recency_days") - 1.0,
    )
    predicted = _fit(awkward).model.predict(awkward)
    assert predicted["churn_probability"].is_between(0, 1, closed="none").all()
    assert predicted["expected_value"].is_finite().all()


def test_users_gone_before_the_newest_cutoff_are_learned_from(frame: pl.DataFrame) -> None:
    """With `eligible.within_days` the rows of the gone end; the law is nearly that of all rows."""
    whole = _fit(frame).model.churn
    seen = frame.filter(pl.col("recency_days") <= 40)
    task = _with(a_buying_task(), eligible=Eligible(within_days=40))
    cut = _fit(seen, task).model.churn
    blind = _fit(seen).model.churn
    assert isinstance(whole, Silence)
    assert isinstance(cut, Silence)
    assert isinstance(blind, Silence)
    x = _rows((4, 40, 100))
    truth = float(whole.margin(x)[0])
    assert abs(cut.margin(x)[0] - truth) < 0.5 * abs(blind.margin(x)[0] - truth)


STEPS = (
    Step(10, "churn_10", "value_10", 10 * DAY),
    Step(20, "churn_20", "value_20", 20 * DAY),
    Step(HORIZON, "churn", "value", HORIZON * DAY),
)


def test_a_young_log_has_an_answer_for_every_step(frame: pl.DataFrame) -> None:
    """Only the first step has matured, and the law says the later ones too."""
    parts = [buying_frame(AT, users=600, horizon=HORIZON).lazy()]
    short = (
        pl.concat(parts)
        .collect()
        .with_columns(
            churn_10=pl.col("churn"),
            value_10=pl.col("value"),
            churn_20=pl.lit(None, dtype=pl.Int8),
            value_20=pl.lit(None, dtype=pl.Float64),
            churn=pl.lit(None, dtype=pl.Int8),
            value=pl.lit(None, dtype=pl.Float64),
        )
    )
    found = fit(short, SPLIT.fit, SPLIT.calibrate, BuyingSpec(), a_buying_task(steps=STEPS))
    model = found.model
    assert isinstance(model.churn, Silence)
    assert model.churn.span == Span(0, (10, 20, 30))
    each = [model.until(step.days).predict(short) for step in STEPS]
    for early, late in pairwise(each):
        assert (late["churn_probability"] < early["churn_probability"]).all()
        assert (late["expected_value"] > early["expected_value"]).all()
    assert model.contributions(short).shape == (len(short), len(FEATURES))


def test_of_the_calibration_the_oldest_cutoff_is_known_alone(frame: pl.DataFrame) -> None:
    """What a newer one knows are the outcomes that the oldest is calibrated by."""
    on, later = Slice(tuple(AT[2:])), Slice(tuple(AT[:2]))

    def law(moved: Cutoff) -> Silence:
        days = pl.col("active_days_total")
        busier = pl.when(pl.col("cutoff") == moved.at).then(days * 3).otherwise(days)
        known = frame.with_columns(busier.alias("active_days_total"))
        churn = fit(known, on, later, BuyingSpec(), a_buying_task()).model.churn
        assert isinstance(churn, Silence)
        return churn

    newest, oldest, undisturbed = law(AT[0]), law(AT[1]), law(Cutoff(NEWEST + DAY))
    assert newest.law == undisturbed.law
    assert oldest.law != undisturbed.law


YOUNG = a_buying_task(kind="auto", steps=STEPS, measured=STEPS[0])


def _young(frame: pl.DataFrame) -> pl.DataFrame:
    """The same as if labels of the first step alone were known."""
    unknown = {"churn": pl.Int8, "churn_20": pl.Int8, "value": pl.Float64, "value_20": pl.Float64}
    short = frame.with_columns(churn_10=pl.col("churn"), value_10=pl.col("value"))
    return short.with_columns(pl.lit(None, dtype=t).alias(n) for n, t in unknown.items())


def test_auto_tries_it_on_young_logs_of_purchases(frame: pl.DataFrame) -> None:
    spec = AutoSpec(kinds=("logistic", "buying"))
    buyers = frame.filter(pl.col("purchases_total") > 0)
    older = auto.fit(buyers, SPLIT.fit, SPLIT.calibrate, spec, a_buying_task(kind="auto"))
    visits = auto.fit(_young(frame), SPLIT.fit, SPLIT.calibrate, spec, YOUNG)
    active = _with(YOUNG, churn=Churn(kind="active", events=("bye",)))
    ends = auto.fit(_young(buyers), SPLIT.fit, SPLIT.calibrate, spec, active)
    why = ("labels of the whole horizon have matured", "not for nine users in ten", "is 'active'")
    for without, said in zip((older, visits, ends), why, strict=True):
        assert without.settled.kinds == ("logistic",)
        (note,) = without.notes
        assert note.startswith("auto: buying was not tried: ")
        assert said in note
    short = _young(buyers)
    young = auto.fit(short, SPLIT.fit, SPLIT.calibrate, spec, YOUNG)
    assert young.settled.kinds == ("logistic", "buying")
    again = auto.fit(short, SPLIT.fit, SPLIT.calibrate, young.settled, YOUNG)
    assert_frame_equal(again.model.predict(short), young.model.predict(short), check_exact=True)


def test_auto_does_without_where_nobody_came_back(frame: pl.DataFrame) -> None:
    once = _young(frame.filter(pl.col("purchases_total") > 0)).with_columns(
        active_days_total=1, purchases_total=1
    )
    spec = AutoSpec(kinds=("logistic", "buying"))
    found = auto.fit(once, SPLIT.fit, SPLIT.calibrate, spec, YOUNG)
    assert found.settled.kinds == ("logistic",)
    assert found.notes[0].startswith("auto: buying was not tried: bg/nbd: none of 300 customers")


@pytest.mark.parametrize(("visitors", "told"), [(0, True), (30, True), (31, False)])
def test_a_log_of_purchases_is_known_by_its_rows(visitors: int, told: bool) -> None:
    x = _rows(*[(4.0, 30.0, 100.0)] * 300)
    x[:visitors, FEATURES.index("purchases_total")] = 2
    assert is_of_purchases(x, FEATURES) == told
    assert not is_of_purchases(x, FEATURES[1:])
