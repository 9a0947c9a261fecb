"""Customers by the models of buying, from a log of purchases: the figures, the file, covariates."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from buyers import FASTER, buyers
from polars.testing import assert_frame_equal
from small_project import START, write_small_project

from events.ingest import ingest
from events.properties import Dimension
from events.store import open_store
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import ModelError, OutputError, UsageError
from runtime.settings import Settings, load_settings
from training.buying import fit_buying
from training.buying_customers import Asked, Customers, describe_customers
from training.buying_data import purchases_plan
from training.buying_firsts import LEAST_CUSTOMERS, OTHERS, first_plan, levels_of
from training.buying_report import report

CPU = Device("cpu", "a test")
AS_OF = datetime(2024, 9, 1, tzinfo=UTC)
AHEAD = 60


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return buyers(1_800)


@pytest.fixture(scope="module")
def settings(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return _project(tmp_path_factory.mktemp("customers"), log)


def _project(folder: Path, log: pl.DataFrame) -> Settings:
    settings = load_settings(write_small_project(folder, log, buckets=3))
    ingest(settings)
    return settings


@pytest.fixture(scope="module")
def found(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Customers:
    out = tmp_path_factory.mktemp("out") / "all.parquet"
    return describe_customers(settings, AS_OF, Asked(AHEAD, "bg/nbd", out=out), CPU)


def _table(found: Customers) -> pl.DataFrame:
    assert found.out is not None
    return pl.read_parquet(found.out)


def test_the_figures_are_those_of_the_library(settings: Settings, found: Customers) -> None:
    events = open_store(settings, AS_OF).scan_all()
    people = collect(purchases_plan(events, Cutoff(AS_OF)), CPU)
    model = fit_buying([people])
    assert found.laws.model == model
    table = _table(found).sort("user_id")
    assert table["user_id"].to_list() == people["user_id"].to_list()
    for name, expected in {
        "alive": model.alive(people),
        "silent": model.silent(people, AHEAD),
        "silent_low": model.silent_interval(people, AHEAD)[:, 0],
        "expected_purchases": model.expected_purchases(people, AHEAD),
        "expected_value": model.expected_value(people, AHEAD),
        "median_value": model.value_quantiles(people, AHEAD, [0.5])[:, 0],
    }.items():
        assert table[name].to_numpy() == pytest.approx(expected, rel=1e-9), name
    (row,) = found.rows.to_dicts()
    assert row["customers"] == len(table)
    for name in ("alive", "expected_purchases", "expected_value"):
        assert row[name] == pytest.approx(table[name].sum())
    assert row["buyers"] == pytest.approx((1 - table["silent"]).sum())


def test_what_came_is_as_foretold(log: pl.DataFrame, found: Customers) -> None:
    """In sum within 15 %, and inside intervals of 90 % for 85 to 97 % of customers: numbers are
    whole, so that intervals hold somewhat more."""
    soon = pl.col("when").is_between(AS_OF, AS_OF + timedelta(days=AHEAD), closed="left")
    later = log.filter(soon, pl.col("what") == "buy").group_by(user_id="customer")
    came = later.agg(n=pl.col("when").dt.date().n_unique(), spent=pl.col("paid").sum())
    table = _table(found).join(came, on="user_id", how="left").fill_null(0)
    assert table["n"].sum() == pytest.approx(table["expected_purchases"].sum(), rel=0.15)
    assert table["spent"].sum() == pytest.approx(table["expected_value"].sum(), rel=0.15)
    for of, low, high in (
        ("n", "purchases_low", "purchases_high"),
        ("spent", "value_low", "value_high"),
    ):
        inside = table.filter(pl.col(of).is_between(pl.col(low), pl.col(high)))
        assert 0.85 < len(inside) / len(table) < 0.97, of


def test_nothing_at_or_after_the_as_of_is_read(
    log: pl.DataFrame, found: Customers, tmp_path: Path
) -> None:
    past = _project(tmp_path, log.filter(pl.col("when") < AS_OF))
    asked = Asked(AHEAD, "bg/nbd", out=tmp_path / "past.csv")
    again = describe_customers(past, AS_OF, asked, CPU)
    assert again.laws == found.laws
    told = pl.read_csv(tmp_path / "past.csv", schema_overrides={"as_of": pl.String})
    assert_frame_equal(told, _table(found), check_dtypes=False, abs_tol=1e-9)


def test_covariates_of_the_first_purchase(
    log: pl.DataFrame, settings: Settings, tmp_path: Path
) -> None:
    asked = Asked(AHEAD, "bg/nbd", ("channel",), tmp_path / "by.parquet")
    found = describe_customers(settings, AS_OF, asked, CPU)
    bought = log.filter(pl.col("what") == "buy", pl.col("when") < AS_OF)
    first = bought.sort("when").group_by(user_id="customer").agg(pl.col("where").first())
    table = _table(found).join(first, on="user_id", how="left")
    assert (table["first_channel"] == table["where"]).all()
    said = report(found)
    (rate,) = (row for row in said["covariates"] if row["of"] == "rate")
    base, other = (group["first_channel"] for group in said["groups"])
    assert rate["covariate"] == f"first_channel={other}"
    truth = FASTER if other == "app" else 1 / FASTER
    assert rate["low"] < truth < rate["high"]
    assert (rate["low"] > 1) == (truth > 1)
    counts = table["first_channel"].value_counts()
    ordered = counts.sort("count", "first_channel", descending=[True, False])
    assert ordered["first_channel"].to_list() == [base, other]
    for group in said["groups"]:
        mine = table.filter(pl.col("first_channel") == group["first_channel"])
        assert group["customers"] == len(mine)
        assert group["alive"] == pytest.approx(mine["alive"].mean())
        assert group["expected_value"] == pytest.approx(mine["expected_value"].mean())
    assert said["customers"] == len(table)
    assert any(note.startswith("the covariates add ") for note in said["notes"])


def test_values_of_few_customers_have_the_law_of_the_reference(tmp_path: Path) -> None:
    """One customer who was met elsewhere made a coefficient that nobody can know, and with it
    everyone's intervals null."""
    log = buyers(700)
    one = log.filter(pl.col("what") == "buy")["customer"][0]
    elsewhere = pl.when(pl.col("customer") == one).then(pl.lit("tv")).otherwise("where")
    project = _project(tmp_path, log.with_columns(where=elsewhere))
    asked = Asked(AHEAD, "bg/nbd", ("channel",), tmp_path / "by.parquet")
    found = describe_customers(project, AS_OF, asked, CPU)
    table, said = _table(found), report(found)
    assert table["silent_low"].null_count() == 0
    assert len(said["covariates"]) == 3
    assert table.filter(pl.col("first_channel") == OTHERS)["user_id"].to_list() == [one]
    reference, _, others = said["groups"]
    assert (others["first_channel"], others["customers"]) == (OTHERS, 1)
    law = "purchases_in_30_days_while_alive"
    assert others[law] == reference[law]
    assert f"taken to buy and leave as those of '{reference['first_channel']}'" in said["notes"][0]


def test_others_are_told_apart_where_they_are_many_together() -> None:
    few = ["tv", "ads"] * (LEAST_CUSTOMERS // 2)
    people = pl.DataFrame({"first_channel": ["app"] * 300 + ["web"] * 200 + few})
    levels = levels_of(people, ["first_channel"])
    assert levels.told["first_channel"] == ("app", "web", OTHERS)
    assert levels.columns(levels.pooled(people)).sum(axis=0).tolist() == [200, LEAST_CUSTOMERS]
    assert levels.notes(levels.pooled(people)) == ()
    levels = levels_of(people[:-1], ["first_channel"])
    assert levels.told["first_channel"] == ("app", "web")
    assert levels.notes(levels.pooled(people[:-1]))[0].startswith("first_channel: 99 customers of ")
    with pytest.raises(UsageError, match="no two values have 100 customers"):
        levels_of(people.filter(pl.col("first_channel") != "web")[:-1], ["first_channel"])


def test_attributes_are_those_that_held_at_the_first_purchase() -> None:
    """a buys on day 3: neither the row of day 5 nor the newest tells. b has no row, c none yet."""
    day = [START + timedelta(days=k) for k in range(9)]
    events = pl.DataFrame(
        {
            "user_id": ["a", "a", "a", "b", "c"],
            "ts": [day[1], day[3], day[7], day[2], day[4]],
            "amount": [None, 5.0, 5.0, 1.0, 1.0],
            "channel": ["web", None, "app", "app", "web"],
        }
    ).lazy()
    users = pl.DataFrame(
        {
            "user_id": ["a", "a", "a", "c", "d"],
            "plan": ["old", "free", "paid", "paid", "paid"],
            "valid_from": [None, day[3], day[5], day[5], None],
        },
        schema_overrides={"valid_from": pl.Datetime("us", "UTC")},
    ).lazy()
    asked = {
        "first_plan": Dimension("plan", "attribute"),
        "first_channel": Dimension("channel", "column"),
    }
    found = collect(first_plan(events, Cutoff(day[8]), asked, users).sort("user_id"), CPU)
    assert found.rows() == [("a", "free", "(none)"), ("b", "(none)", "app"), ("c", "(none)", "web")]
    always = users.filter(pl.col("valid_from") == day[5]).drop("valid_from")
    found = collect(first_plan(events, Cutoff(day[8]), asked, always).sort("user_id"), CPU)
    assert found["first_plan"].to_list() == ["paid", "(none)", "paid"]


def test_amounts_that_tell_no_law_leave_value_unsaid(log: pl.DataFrame, tmp_path: Path) -> None:
    same = log.with_columns(paid=pl.when(pl.col("paid") > 0).then(9.5)).unique(
        ["customer", "what", pl.col("when").dt.date()], maintain_order=True
    )
    project = _project(tmp_path, same)
    out = tmp_path / "all.parquet"
    found = describe_customers(project, AS_OF, Asked(AHEAD, "bg/nbd", out=out), CPU)
    assert found.notes[0].startswith("value is not said: gamma-gamma: ")
    assert report(found)["expected_value"] is None
    table = _table(found)
    for name in ("expected_value", "median_value", "value_low", "value_high"):
        assert table[name].null_count() == len(table)
    assert table["alive"].null_count() == 0


def test_value_events_alone_are_purchases(settings: Settings) -> None:
    value = settings.value.model_copy(update={"events": ("nothing",)})
    with pytest.raises(UsageError, match="no customer to fit on"):
        describe_customers(settings.model_copy(update={"value": value}), AS_OF, Asked(), CPU)


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"by": ("source",)}, UsageError, "--by source: no two values have 100 customers each"),
        ({"by": ("nothing",)}, UsageError, "--by nothing: no first purchase has it"),
        ({"horizon_days": 0}, UsageError, "--horizon-days 0: give 1 to"),
        ({"out": Path("all.txt")}, UsageError, "--out all.txt: a list is a .csv or .parquet"),
        ({"out": Path("/proc/x/all.csv")}, OutputError, "/proc/x/all.csv"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    settings: Settings, changed: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        describe_customers(settings, AS_OF, replace(Asked(), **changed), CPU)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="bought again"):
        describe_customers(settings, START + timedelta(days=1), Asked(), CPU)
