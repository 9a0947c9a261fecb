"""The space, the number of groups, the effect sizes and the names, each by its rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_frames import a_spec

from features.dictionary import dictionary
from runtime.device import decide
from runtime.errors import UsageError
from training.groups_core import core_note, is_core
from training.groups_engines import ONE, Method, one_thread
from training.groups_names import named, noun
from training.groups_number import CHOICE_USERS, Tried, best, choose, jaccard
from training.groups_profile import LESS_IS_MORE, Profile, Typical, cliffs_delta, readable
from training.groups_space import Space, columns_of, fit_space

CPU = decide("cpu")
SPEC = a_spec()
NAMES = tuple(name for of in columns_of(SPEC).values() for name in of)


def values(seed: int, users: int = 80) -> np.ndarray:
    """Shape (users, features), skewed, a tenth missing, one column of one value."""
    random = np.random.default_rng(seed)
    x = random.lognormal(size=(users, len(NAMES))) * random.uniform(0.1, 100, len(NAMES))
    x[random.random(x.shape) < 0.1] = np.nan
    x[:, 3] = 7.0
    return x.astype(np.float32)


@given(seed=st.integers(0, 200))
def test_every_behaviour_counts_the_same(seed: int) -> None:
    x = values(seed)
    space = fit_space(x, SPEC)
    z = space(x)
    assert np.isfinite(z).all()
    for behaviour in space.behaviours:
        mine = [axis.behaviour == behaviour for axis in space.axes]
        assert z[:, mine].var(0).sum() <= 1 + 1e-9
    total = sum(z[:, [a.behaviour == b for a in space.axes]].var(0).sum() for b in space.behaviours)
    assert total > 0.5 * len(space.behaviours)


@given(seed=st.integers(0, 200), scale=st.floats(10, 1e6))
def test_one_odd_user_moves_nobody_far(seed: int, scale: float) -> None:
    x = values(seed)
    odd = x.copy()
    odd[0] *= np.float32(scale)
    odd[0, 3] = x[0, 3]
    before, after = fit_space(x, SPEC)(x)[1:], fit_space(odd, SPEC)(odd)[1:]
    assert np.abs(before - after).max() < 1.5
    assert np.median(np.abs(before - after)) < 0.15


def test_a_missing_value_is_told_by_an_axis_of_its_own() -> None:
    x = values(1)
    place = NAMES.index("gap_mean_days")
    x[:, place] = np.where(np.arange(len(x)) % 2, np.nan, x[:, place])
    space = fit_space(x, SPEC)
    z, told = space(x), [(a.feature, a.missing) for a in space.axes]
    value, flag = told.index(("gap_mean_days", False)), told.index(("gap_mean_days", True))
    gone = np.isnan(x[:, place])
    assert (z[gone, value] == 0).all()
    assert len(np.unique(z[gone, flag])) == len(np.unique(z[~gone, flag])) == 1
    assert z[gone, flag].min() > z[~gone, flag].max()
    assert (NAMES[3], False) not in told, "a column of one value is no axis"


def test_differences_too_small_to_matter_are_not_blown_up() -> None:
    x = np.full((50, len(NAMES)), 100.0, np.float32)
    x[:, NAMES.index("tenure_days")] = np.linspace(500, 510, 50)
    z = fit_space(x, SPEC)(x)
    assert z.shape[1] == 1
    assert z.var() < 0.01


def test_a_space_is_kept_as_plain_values() -> None:
    space = fit_space(values(3), SPEC)
    assert Space.from_dict(space.to_dict()) == space


def test_the_columns_are_the_catalogues_and_a_set_without_any_is_refused() -> None:
    assert set(NAMES) <= set(dictionary(SPEC))
    assert {"recency", "frequency", "monetary", "tenure", "trend"} <= set(columns_of(SPEC))
    assert len(readable(SPEC)) == 12
    with pytest.raises(UsageError, match="no column that tells how users behave"):
        columns_of(replace(SPEC, set="mine", chosen=("event_total_*",)))


def tried(groups: int, stability: float, silhouette: float, smallest: float = 0.2) -> Tried:
    return Tried(groups, groups, stability, silhouette, smallest)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([tried(2, 0.9, 0.5), tried(4, 0.95, 0.48), tried(5, 0.6, 0.6)], 4),
        ([tried(2, 0.99, 0.5), tried(6, 0.8, 0.5)], 2),
        ([tried(2, 0.9, 0.5), tried(3, 0.9, 0.3)], 2),
        ([tried(2, 0.9, 0.5), tried(3, 0.9, 0.5, smallest=0.001)], 2),
        ([tried(2, 0.4, 0.5), tried(3, 0.6, 0.3), tried(4, 0.6, 0.4)], 3),
    ],
)
def test_the_number_is_chosen_by_the_rule(found: list[Tried], expected: int) -> None:
    assert best(found).groups == expected
    assert best(found[::-1]).groups == expected


def test_one_heap_is_not_cut_without_a_word() -> None:
    z = np.random.default_rng(0).normal(size=(100, 5))
    with one_thread():
        choice = choose(z, "kmeans", None, 0, CPU)
    assert any("shade into each other" in note for note in choice.notes)


@pytest.mark.parametrize("method", ["kmeans", "hdbscan"])
def test_users_who_are_alike_where_it_looks_are_one_group(method: Method) -> None:
    """Those who differ are among the others: a search of k-means spoke of HDBSCAN."""
    z = np.zeros((CHOICE_USERS + 100, 2))
    z[CHOICE_USERS:] = np.random.default_rng(0).normal(size=(100, 2))
    choice = choose(z, method, None, 0, CPU)
    assert choice.cut is ONE
    assert choice.notes == (
        "3,000 users of 3,100 behave in 1 different way: too few to be told apart, all are one "
        "group",
    )


@given(st.lists(st.integers(0, 3), min_size=2, max_size=40), st.integers(0, 5))
def test_jaccard_against_sets(labels: list[int], seed: int) -> None:
    one = np.array(labels)
    other = np.random.default_rng(seed).integers(0, 4, len(one))
    sets = [{i for i, v in enumerate(other) if v == g} for g in (1, 2, 3)]
    for g, found in enumerate(jaccard(one, other, 3), start=1):
        mine = {i for i, v in enumerate(one) if v == g}
        assert found == pytest.approx(max(len(mine & s) / max(len(mine | s), 1) for s in sets))
    assert jaccard(one, one, 3)[np.unique(one[one > 0]) - 1] == pytest.approx(1.0)


SMALL = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=12)


@given(SMALL, SMALL)
def test_cliffs_delta_against_all_pairs(one: list[float], other: list[float]) -> None:
    pairs = [np.sign(a - b) for a in one for b in other]
    assert cliffs_delta(np.array(one), np.array(other)) == pytest.approx(np.mean(pairs))


FEATURE = {behaviour: of[0] for behaviour, of in columns_of(SPEC).items()}


def typical(feature: str, median: float | None, others: float, effect: float) -> Typical:
    return Typical(feature, median, others, others, effect, 1.0, median or 0.0)


def profile(
    number: int,
    bought: float = 3.0,
    share: float = 0.3,
    value: float = 0.3,
    **told: tuple[float, float, float],
) -> Profile:
    """`told`: median, the others' median and the effect by behaviour; else nothing stands out."""
    lead = {b: typical(f, *told.get(b, (1.0, 1.0, 0.0))) for b, f in FEATURE.items()}
    times = typical("purchases_total", bought, 2.0, 0.0)
    days = typical("active_days_total", bought + 1, 2.0, 0.0)
    return Profile(number, share, value, value, (), (), lead, times, days)


BEST = profile(
    1, share=0.2, value=0.7, recency=(2, 30, -0.8), frequency=(40, 3, 0.9), monetary=(900, 20, 0.8)
)
NEW = profile(2, bought=0.0, tenure=(9, 200, -0.9), recency=(3, 30, -0.5))
GONE = profile(3, bought=1.0, recency=(80, 5, 0.9), frequency=(1, 9, -0.7), monetary=(9, 90, -0.5))


def test_names_say_what_stands_out() -> None:
    found = named([BEST, NEW, GONE], SPEC)
    assert [one.name for one in found] == [
        "recent, frequent, high-value buyers",
        "new, recent browsers",
        "lapsed, one-time, low-value buyers",
    ]
    assert [one.core for one in found] == [True, False, False]
    assert "frequent: active on 40 days in the last 90 days (others: 3)" in found[0].reason
    assert "one-time: 1 purchase in all (others: 2)" in found[2].reason


def test_words_are_held_to_what_they_say() -> None:
    """Others have been silent for longer still, or come even less often."""
    late = profile(1, recency=(60, 300, -0.9), frequency=(1, 0, 0.6))
    name = named([late, profile(2)], SPEC)[0].name
    assert "recent" not in name
    assert "frequent" not in name
    assert "lapsed" in name


def test_a_core_is_frequent_recent_and_worth_twice_as_much() -> None:
    assert is_core(BEST, SPEC)
    assert not is_core(replace(BEST, value_share=0.3), SPEC), "0.43 of 0.25 is less than twice"
    assert not is_core(replace(BEST, behaviour=BEST.behaviour | NEW.behaviour), SPEC)
    silent = {"recency": typical("recency_days", 100.0, 300.0, -0.8)}
    gone = replace(BEST, behaviour=BEST.behaviour | silent)
    assert not is_core(gone, SPEC), "lapsed"
    most = replace(BEST, share=0.6, value_share=0.9)
    assert not is_core(most, SPEC), "a majority"
    for near, words in ((gone, "beyond the churn horizon"), (most, "60% of the users")):
        (note,) = core_note([near, NEW], named([near, NEW], SPEC), SPEC)
        assert words in note
    assert core_note([BEST, NEW], named([BEST, NEW], SPEC), SPEC) == []
    assert "none is active more often" in core_note([NEW, GONE], named([NEW, GONE], SPEC), SPEC)[0]


def test_nouns_follow_the_purchases() -> None:
    assert [noun(each) for each in (BEST, NEW, GONE)] == ["buyers", "browsers", "buyers"]
    assert noun(replace(BEST, bought=None)) == "users"


def test_groups_that_are_alike_are_told_apart_by_a_figure() -> None:
    near = profile(1, recency=(2, 30, -0.8), frequency=(10, 3, 0.9))
    far = profile(2, recency=(9, 30, -0.7), frequency=(10, 3, 0.8))
    names = [one.name for one in named([near, far], SPEC)]
    assert names == [
        "recent, frequent buyers (last active 2 days ago)",
        "recent, frequent buyers (last active 9 days ago)",
    ]


MEDIANS = st.sampled_from([0.0, 1.0, 2.0, 5.0, 40.0, 300.0])
EFFECTS = st.sampled_from([-0.9, -0.4, -0.2, 0.0, 0.2, 0.5, 1.0])
TOLD = st.fixed_dictionaries({b: st.tuples(MEDIANS, MEDIANS, EFFECTS) for b in FEATURE})


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TOLD, st.sampled_from([0.0, 1.0, 3.0])), min_size=1, max_size=8))
def test_names_are_unique_and_always_the_same(told: list[tuple[dict, float]]) -> None:  # type: ignore[type-arg]
    groups = [profile(n, bought, **each) for n, (each, bought) in enumerate(told, start=1)]
    first, again = named(groups, SPEC), named(groups, SPEC)
    assert first == again
    assert len({one.name for one in first}) == len(groups)
    assert all(one.name and one.reason for one in first)


def test_less_is_more_of_features_there_are() -> None:
    assert set(LESS_IS_MORE) <= set(NAMES)
