"""Planted groups are found and named; nothing but the users' past decides them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest
from groups_planted import END, KINDS, kind_of, planted_log, write_planted
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from sklearn.metrics import adjusted_rand_score

from events.ingest import ingest
from features.snapshots import asked, build_snapshots
from features.spec import FeatureSpec
from features.time import Cutoff
from runtime.device import decide
from runtime.errors import ModelError, OutputError, UsageError
from runtime.settings import Settings, load_settings
from training.groups import Found, Wanted, find_groups
from training.groups_fit import fit_groups
from training.groups_model import NO_GROUP, GroupModel
from training.groups_profile import profile_columns
from training.groups_report import report
from training.groups_rows import sample

CPU = decide("cpu")


def project(folder: Path, log: pl.DataFrame | None = None, buckets: int = 4) -> Settings:
    made = load_settings(write_planted(folder, log, buckets))
    ingest(made)
    return made


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return project(tmp_path_factory.mktemp("groups") / "p")


@pytest.fixture(scope="module")
def found(planted: Settings) -> Found:
    return find_groups(planted, None, Wanted(), CPU)


@cache
def snapshot() -> tuple[pl.DataFrame, FeatureSpec]:
    """Users of the planted log at its end, by id."""
    with TemporaryDirectory() as folder:
        made = project(Path(folder) / "p")
        job = asked(made, (), END, CPU)
        taken = build_snapshots(made, job.store, job.cutoffs, job.spec, CPU, labelled=False)
        rows = sample(taken, Cutoff(END), profile_columns(job.spec), seed=0)
        return rows.sort("user_id"), job.spec


def fitted(frame: pl.DataFrame, seed: int = 0, method: str = "kmeans") -> GroupModel:
    return fit_groups(frame, snapshot()[1], END, method, None, seed, CPU)[0]  # type: ignore[arg-type]


def truth(users: pl.Series) -> list[int]:
    return [kind_of(user) for user in users]


@pytest.mark.parametrize("method", ["kmeans", "hdbscan"])
def test_planted_groups_are_found(method: str) -> None:
    frame, _ = snapshot()
    model = fitted(frame, method=method)
    labels = model.assign(frame)
    assert model.cut.groups == len(KINDS)
    assert adjusted_rand_score(truth(frame["user_id"]), labels) > 0.95


def test_planted_groups_are_named_in_words(found: Found) -> None:
    by_kind = names_by_kind(found.model)
    assert by_kind["core"] == "recent, frequent, high-value buyers"
    assert by_kind["browsing"].startswith("new, ")
    assert by_kind["browsing"].endswith(" browsers")
    assert by_kind["gone"].startswith("lapsed, one-time")
    assert "frequent" in by_kind["steady"]
    assert by_kind["steady"].endswith(" buyers")
    assert {name for name in found.model.named if name.core} == {found.model.named[0]}
    assert found.model.name(1) == by_kind["core"], "the most valuable come first"
    assert len(set(by_kind.values())) == len(KINDS)


def names_by_kind(model: GroupModel) -> dict[str, str]:
    frame, _ = snapshot()
    numbers = model.assign(frame)
    kinds = np.array(truth(frame["user_id"]))
    return {
        kind: model.name(int(np.bincount(numbers[kinds == place]).argmax()))
        for place, kind in enumerate(KINDS)
    }


def test_sizes_and_shares_add_up(found: Found) -> None:
    told = report(found)
    assert sum(group["users"] for group in told["groups"]) == told["users"] == 240
    for name in ("share", "value_share", "activity_share", "next_value_share"):
        assert sum(group[name] for group in told["groups"]) == pytest.approx(1.0)
    for moment in told["over_time"]:
        shares = [v for k, v in moment.items() if k not in ("as of", "users")]
        assert sum(shares) == pytest.approx(1.0)
    for step, since in zip(found.movements, found.moments[1:], strict=True):
        assert [sum(row) for row in step.users] == [size.users for size in since.sizes]
    json.dumps(told, default=str)


def test_who_is_gone_is_told_where_labels_have_matured(found: Found) -> None:
    told = {group["name"]: group for group in report(found)["groups"]}
    by_kind = names_by_kind(found.model)
    gone, core = told[by_kind["gone"]], told[by_kind["core"]]
    assert gone["churn"] == 1.0
    assert core["churn"] == 0.0
    assert gone["churn_and_next_value_as_of"] < END.isoformat()[:10]


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10_000))
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    frame, _ = snapshot()
    known, other = fitted(frame), fitted(frame.sample(fraction=1, shuffle=True, seed=seed))
    assert_same(known, other)
    assert known._held() == other._held()


def test_the_number_of_buckets_changes_nothing(found: Found, tmp_path: Path) -> None:
    other = find_groups(project(tmp_path / "p", buckets=3), None, Wanted(), CPU)
    assert other.model._held() == found.model._held()
    assert other.profiles == found.profiles
    assert other.moments == found.moments
    assert other.movements == found.movements
    assert other.refits == found.refits


def test_a_large_log_is_learned_from_a_sample_and_told_of_everyone(
    planted: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("training.groups_rows.MOST_FIT", 120)
    monkeypatch.setattr("training.groups_rows.SLICE", 7)
    out = tmp_path / "all.parquet"
    some = find_groups(planted, None, Wanted(out=out), CPU)
    assert 80 < some.sampled < 160
    table = pl.read_parquet(out)
    assert table.height == some.moments[0].users == 240
    assert adjusted_rand_score(truth(table["user_id"]), table["group"]) > 0.95
    other = find_groups(project(tmp_path / "p", buckets=2), None, Wanted(), CPU)
    assert other.model._held() == some.model._held()
    assert other.moments == some.moments


def assert_same(one: GroupModel, other: GroupModel) -> None:
    np.testing.assert_array_equal(one.cut.points, other.cut.points)
    np.testing.assert_array_equal(one.cut.group, other.cut.group)
    assert one.named == other.named
    assert one.space == other.space


def test_the_same_seed_gives_the_same_groups_and_another_nearly_so() -> None:
    frame, _ = snapshot()
    assert_same(fitted(frame, 5), fitted(frame, 5))
    agreed = adjusted_rand_score(fitted(frame, 5).assign(frame), fitted(frame, 6).assign(frame))
    assert agreed > 0.95


AS_OF = END - timedelta(days=30)
MOMENTS = st.integers(0, 60 * 24 * 29).map(lambda minutes: AS_OF + timedelta(minutes=minutes))
ADDED = st.lists(
    st.tuples(
        st.sampled_from(["u00000", "u00001", "u00002", "newcomer"]),
        MOMENTS,
        st.sampled_from(["view", "purchase", "takeover"]),
        st.none() | st.floats(-1e6, 1e6),
        st.just("web"),
    ),
    max_size=20,
)


def as_of_then(log: pl.DataFrame) -> tuple[dict[str, object], pl.DataFrame]:
    """Everything that is told as of AS_OF, and everyone's group."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "groups.parquet"
        told = report(find_groups(project(Path(folder) / "p", log), AS_OF, Wanted(out=out), CPU))
        return {k: v for k, v in told.items() if k not in ("seconds", "out")}, pl.read_parquet(out)


@cache
def undisturbed() -> tuple[dict[str, object], pl.DataFrame]:
    return as_of_then(planted_log(120))


@settings(max_examples=1, deadline=None, suppress_health_check=list(HealthCheck))
@example(kept=0.0, factor=1.0, added=[])
@example(kept=1.0, factor=-3.0, added=[("u00001", AS_OF, "takeover", 1e6, "web")])
@given(kept=st.floats(0, 1), factor=st.floats(-10, 10), added=ADDED)
def test_nothing_after_the_cutoff_enters(
    kept: float, factor: float, added: list[tuple[object, ...]]
) -> None:
    log = planted_log(120)
    before, after = log.filter(pl.col("when") < AS_OF), log.filter(pl.col("when") >= AS_OF)
    after = after.head(int(kept * after.height)).with_columns(pl.col("paid") * factor)
    rows = pl.DataFrame(
        [(10_000_000 + n, *row) for n, row in enumerate(added)], schema=log.schema, orient="row"
    )
    told, everyone = as_of_then(pl.concat([before, after, rows]))
    known, all_of = undisturbed()
    assert told == known
    assert_frame_equal(everyone, all_of)


def test_an_event_before_the_cutoff_does_enter() -> None:
    """The control: the same comparison notices a purchase just before it."""
    log = planted_log(120)
    row = (10_000_000, "u00002", AS_OF - timedelta(minutes=1), "purchase", 1e4, "web")
    added = pl.DataFrame([row], schema=log.schema, orient="row")
    told, everyone = as_of_then(pl.concat([log, added]))
    assert told != undisturbed()[0]
    assert everyone.height == undisturbed()[1].height


@pytest.mark.parametrize("method", ["kmeans", "hdbscan"])
@pytest.mark.parametrize("users", [1, 2, 7])
def test_a_tiny_log_is_one_group(tmp_path: Path, users: int, method: str) -> None:
    log = planted_log(4 * users)
    log = log.filter(pl.col("customer").str.tail(5).cast(pl.Int64) % 4 == 2)
    made = project(tmp_path / "p", log)
    told = report(find_groups(made, None, Wanted(method), CPU))  # type: ignore[arg-type]
    assert [group["users"] for group in told["groups"]] == [users]
    assert told["groups"][0]["name"] == "all buyers"
    assert any("all are one group" in note for note in told["notes"])


def test_users_who_all_do_the_same_are_one_group(tmp_path: Path) -> None:
    one = planted_log(4).filter(pl.col("customer") == "u00002").drop("id")
    same = [one.with_columns(customer=pl.lit(f"u{n:05d}")) for n in range(60)]
    made = project(tmp_path / "p", pl.concat(same).with_row_index("id"))
    told = report(find_groups(made, None, Wanted(), CPU))
    assert len(told["groups"]) == 1
    assert any("too few to be told apart" in note for note in told["notes"])
    with pytest.raises(UsageError, match="60 users behave in 1 different way;"):
        find_groups(made, None, Wanted(groups=3), CPU)


@pytest.mark.parametrize("number", [2, 3, 6])
def test_a_number_that_is_asked_for_is_given(planted: Settings, number: int) -> None:
    told = find_groups(planted, None, Wanted(groups=number), CPU)
    assert told.model.cut.groups == number
    assert len({one.name for one in told.model.named}) == number


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wanted(groups=1), "choose 2 to 8"),
        (Wanted(groups=9), "choose 2 to 8"),
        (Wanted("hdbscan", 3), "finds the number itself"),
        (Wanted("dbscan"), "choose kmeans or hdbscan"),  # type: ignore[arg-type]
        (Wanted(use=Path("g.json"), groups=3), "leave out --groups"),
        (Wanted(out=Path("groups.xlsx")), ".parquet, .csv"),
    ],
)
def test_what_cannot_be_meant_is_refused(planted: Settings, wanted: Wanted, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        find_groups(planted, None, wanted, CPU)


def test_saved_groups_are_applied_as_they_are(planted: Settings, tmp_path: Path) -> None:
    kept, out = tmp_path / "groups.json", tmp_path / "all.csv"
    first = find_groups(planted, AS_OF, Wanted(save=kept), CPU)
    assert_same(GroupModel.load(kept), first.model)
    later = find_groups(planted, END, Wanted(use=kept, out=out), CPU)
    assert later.model.named == first.model.named
    assert later.model.as_of == AS_OF < later.as_of
    table = pl.read_csv(out, schema_overrides={"user_id": pl.String})
    assert table.columns == ["user_id", "group", "name", "core", "as_of"]
    assert table["user_id"].is_sorted()
    assert table["name"].unique().sort().to_list() == sorted(n.name for n in first.model.named)


def test_groups_that_do_not_fit_are_refused(planted: Settings, tmp_path: Path) -> None:
    kept = tmp_path / "groups.json"
    find_groups(planted, END, Wanted(save=kept), CPU)
    with pytest.raises(ModelError, match="have seen what happened after"):
        find_groups(planted, AS_OF, Wanted(use=kept), CPU)
    churn = planted.churn.model_copy(update={"horizon_days": 7})
    other = planted.model_copy(update={"churn": churn})
    with pytest.raises(ModelError, match=r"churn\.horizon_days = 21, holdfast\.toml says 7"):
        find_groups(other, END, Wanted(use=kept), CPU)
    raw = json.loads(kept.read_text())
    raw["groups"]["named"][0]["core"] = not raw["groups"]["named"][0]["core"]
    kept.write_text(json.dumps(raw))
    with pytest.raises(ModelError, match="was changed"):
        GroupModel.load(kept)
    kept.write_text("{}")
    with pytest.raises(ModelError, match="this Holdfast reads"):
        GroupModel.load(kept)
    with pytest.raises(ModelError, match="no readable groups"):
        GroupModel.load(tmp_path / "none.json")
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        find_groups(planted, END, Wanted(out=tmp_path / "x.csv"), CPU)


def test_hdbscan_leaves_strangers_out_and_keeps_them_so_when_saved(tmp_path: Path) -> None:
    frame, _ = snapshot()
    model = fitted(frame, method="hdbscan")
    again = GroupModel.load(model.save(tmp_path / "groups.json"))
    np.testing.assert_array_equal(again.assign(frame), model.assign(frame))
    if 0 in model.numbers:
        assert model.name(0) == NO_GROUP


def test_as_ofs_are_instants(found: Found) -> None:
    assert isinstance(found.as_of, datetime)
    assert found.moments[0].cutoff.at == found.as_of
    assert all(m.cutoff.at < found.as_of for m in found.moments[1:])
