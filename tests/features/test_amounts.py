"""Amounts by kind of event, worked by hand, in both engines; and from where the kinds are known."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from oracles.features_engines import ENGINES, Computes, one
from oracles.features_logs import T
from oracles.features_worked import FULL, row

from events.ingest import ingest
from events.store import open_store
from features.amounts import amounts
from features.definitions import Definitions
from features.dictionary import phrase
from features.learn import learn_spec
from features.spec import FeatureSpec
from features.time import Cutoff
from runtime.settings import Activity, Churn, Eligible, Value, parse_settings

DAY_MINUTES = 24 * 60
BOUGHT = Definitions(Activity(), Eligible(), Churn(), Value(events=("payment",)))
SPEC = replace(FULL, events=("payment", "purchase", "view"), priced=("payment", "purchase"))


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Computes:
    return ENGINES[request.param]


def test_each_kind_has_amounts_of_its_own(engine: Computes) -> None:
    """Two payments of 10, of which one within the month; purchases of 2 and 7, one given back."""
    log = [
        row(40 * DAY_MINUTES, "payment", amount=10.0),
        row(10 * DAY_MINUTES, "payment", amount=10.0),
        row(35 * DAY_MINUTES, "purchase", amount=2.0),
        row(5 * DAY_MINUTES, "purchase", amount=7.0),
        row(4 * DAY_MINUTES, "purchase", amount=-3.0),
        row(3 * DAY_MINUTES, "purchase"),  # without an amount: in no mean
        row(2 * DAY_MINUTES, "view"),
    ]
    a = one(engine, log, SPEC)
    assert (a["event_amount_total_payment"], a["event_amount_30d_payment"]) == (20.0, 10.0)
    assert (a["event_amount_total_purchase"], a["event_amount_30d_purchase"]) == (6.0, 4.0)
    assert (a["event_amount_mean_payment"], a["event_amount_mean_purchase"]) == (10.0, 2.0)
    assert a["amount_mean"] == 26.0 / 5


def test_who_never_paid_by_a_kind_has_no_mean(engine: Computes) -> None:
    a = one(engine, [row(10, "payment", amount=3.0)], SPEC)
    assert (a["event_amount_total_purchase"], a["event_amount_mean_purchase"]) == (0.0, None)


LOOKING = replace(SPEC, priced=("payment", "view"), definitions=BOUGHT)


def test_prices_that_are_looked_at_are_told_beside_what_was_paid(engine: Computes) -> None:
    """Views of 30 two months ago and of 90 one month ago, where payments alone are value."""
    log = [
        row(60 * DAY_MINUTES, "view", amount=30.0),
        row(30 * DAY_MINUTES, "view", amount=90.0),
        row(8 * DAY_MINUTES, "view"),  # without a price: in no mean
        row(5 * DAY_MINUTES, "payment", amount=7.0),
        row(0, "view", amount=500.0),  # at the cutoff
    ]
    a = one(engine, log, LOOKING)
    assert (a["event_amount_total_view"], a["event_amount_30d_view"]) == (120.0, 90.0)
    assert a["event_amount_mean_view"] == 60.0
    lately = (30 / 4 + 90 / 2) / (1 / 4 + 1 / 2)
    assert a["event_amount_lately_view"] == pytest.approx(lately)
    assert (a["amount_total"], a["purchases_total"]) == (7.0, 1)
    assert "event_amount_lately_payment" not in a


def test_they_are_worded_as_no_payments() -> None:
    said = {
        span: phrase(f"event_amount_{span}_view", 60.0, LOOKING)
        for span in ("total", "30d", "mean", "lately")
    }
    assert said == {
        "total": "'view' events carried 60.00 in all",
        "30d": "'view' events carried 60.00 in the last 30 days",
        "mean": "'view' events carry 60.00 on average",
        "lately": "'view' events carry about 60.00 lately",
    }


@pytest.mark.parametrize(
    "spec",
    [
        replace(SPEC, priced=()),
        replace(SPEC, priced=("payment",)),
        replace(SPEC, has_amount=False),
    ],
)
def test_one_kind_says_no_more_than_all(spec: FeatureSpec) -> None:
    assert amounts(spec).columns == ()


def test_a_kind_without_a_column_has_none_here() -> None:
    names = [c.feature.name for c in amounts(replace(SPEC, priced=("payment", "rare"))).columns]
    assert names == [f"event_amount_{w}_payment" for w in ("total", "30d", "mean")]


@pytest.mark.parametrize(
    ("counted", "unpaid"),
    [(None, ()), (("payment",), ("refund",)), (("tip",), ("payment", "refund"))],
)
def test_kinds_with_amounts_are_learned_before_the_cutoff(
    tmp_path: Path, counted: tuple[str, ...] | None, unpaid: tuple[str, ...]
) -> None:
    """What pays from T on is no kind with amounts at T; a refund before it is one, and what carries
    no value."""
    rows = [
        ("a", T - timedelta(days=3), "payment", 5.0),
        ("a", T - timedelta(days=2), "refund", -1.0),
        ("a", T - timedelta(days=1), "tip", None),
        ("a", T, "tip", 2.0),
    ]
    frame = pl.DataFrame(rows, schema=["user_id", "ts", "event", "amount"], orient="row")
    frame.write_parquet(tmp_path / "log.parquet")
    columns = {name: name for name in frame.columns}
    source = {"name": "log", "path": "log.parquet", "columns": columns}
    value = {"events": counted} if counted else {}
    settings = parse_settings({"source": [source], "value": value}, tmp_path)
    ingest(settings)
    spec = learn_spec(open_store(settings), Cutoff(T), settings)
    assert (spec.priced, spec.unpaid) == (("payment", "refund"), unpaid)
    assert spec.has_amount == (counted != ("tip",))
    assert FeatureSpec.from_dict(spec.to_dict()) == spec
