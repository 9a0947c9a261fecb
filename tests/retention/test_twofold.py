"""Two shares compared: published examples, limits, and the defining equations."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from oracles.worked_cases import Case, cases_in
from scipy.optimize import minimize_scalar
from scipy.stats.contingency import relative_risk

from retention.risk_ratio import q_values
from retention.shares import with_share
from retention.twofold import (
    TwoShares,
    chi_square,
    difference,
    fisher,
    ratio,
    share_interval,
    users_per_group,
    within_strata,
)

CASES = cases_in(Path(__file__).parent / "cases" / "early_tables.toml")
Z = 1.959963984540054


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_worked_by_hand(case: Case) -> None:
    two, expect = TwoShares(*case.ask["with"], *case.ask["without"]), dict(case.expect)
    if wanted := expect.pop("difference", None):
        found = difference(two)
        assert (found.value, found.low, found.high) == pytest.approx(wanted, abs=5e-5)
    for name, of in (("fisher", fisher), ("chi_square", chi_square)):
        if name in expect:
            assert of(two) == pytest.approx(expect.pop(name), rel=1e-6)
    if "ratio" in expect:
        found = ratio(two)
        assert found.value == pytest.approx(expect.pop("ratio"))
        assert found.high is not None
        assert found.low <= found.value <= found.high
    if expect.pop("no_ratio", False):
        found = ratio(two)
        assert found.value is None
        assert found.high is None
        assert found.low > 1
    if "users_per_group" in expect:
        assert users_per_group(two.rate, two.other_rate) == expect.pop("users_per_group")
    assert not expect


def tables() -> st.SearchStrategy[TwoShares]:
    side = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
    return st.tuples(side, side).map(lambda sides: TwoShares(*sides[0], *sides[1]))


@given(two=tables())
def test_the_ends_of_the_ratio_are_where_the_score_is_z(two: TwoShares) -> None:
    """Koopman's interval by its definition: the likeliest shares under the ratio are found by a
    search, not in closed form."""
    found = ratio(two)
    for end, z in ((found.low, Z), (found.high, -Z)):
        if end is None or end == 0 or two.hits == two.users or two.other_hits == two.others:
            continue
        assert _score(two, end) == pytest.approx(z, abs=2e-3)


def _score(two: TwoShares, ratio: float) -> float:
    def misfit(other: float) -> float:
        share = ratio * other
        return -(
            _log(two.hits, share)
            + _log(two.users - two.hits, 1 - share)
            + _log(two.other_hits, other)
            + _log(two.others - two.other_hits, 1 - other)
        )

    top = min(1.0, 1 / ratio)
    other = minimize_scalar(misfit, bounds=(0, top), method="bounded", options={"xatol": 1e-13}).x
    share = ratio * other
    variance = share * (1 - share) / two.users + ratio**2 * other * (1 - other) / two.others
    return (two.rate - ratio * two.other_rate) / math.sqrt(variance)


def _log(count: int, share: float) -> float:
    return count * math.log(max(share, 1e-300)) if count else 0.0


@given(two=tables())
def test_intervals_hold_their_value(two: TwoShares) -> None:
    found, apart = ratio(two), difference(two)
    assert found.low <= (math.inf if found.high is None else found.high)
    if found.value is not None:
        assert found.low <= found.value * (1 + 1e-9)
        assert found.high is not None
        assert found.high >= found.value * (1 - 1e-9)
    assert apart.value is not None
    assert apart.high is not None
    assert -1 - 1e-12 <= apart.low <= apart.value <= apart.high <= 1 + 1e-12


def test_with_many_users_the_ratio_is_katzs() -> None:
    two = TwoShares(4100, 10_000, 20_000, 200_000)
    katz = relative_risk(4100, 10_000, 20_000, 200_000).confidence_interval()
    found = ratio(two)
    assert (found.low, found.high) == pytest.approx((katz.low, katz.high), rel=1e-3)


def test_one_stratum_has_the_crude_ratio_and_katzs_interval() -> None:
    two = TwoShares(20, 60, 15, 90)
    found = within_strata([two])
    katz = relative_risk(20, 60, 15, 90).confidence_interval()
    assert found is not None
    assert found.value == pytest.approx(2.0)
    assert (found.low, found.high) == pytest.approx((katz.low, katz.high))


def test_two_strata_by_hand() -> None:
    """10 of 20 against 5 of 20, and 8 of 10 against 12 of 30: 5 + 6 over 2.5 + 3 is 2. The
    variance of its log is (2.5 + 1.35) / (11 x 5.5) = 0.0636364, its root 0.2522625; times 1.96
    that is 0.494425, and exp of it 1.639555."""
    found = within_strata([TwoShares(10, 20, 5, 20), TwoShares(8, 10, 12, 30)])
    assert found is not None
    assert found.value == pytest.approx(2.0)
    assert (found.low, found.high) == pytest.approx((2 / 1.639555, 2 * 1.639555), rel=1e-5)


def test_what_the_stratum_explains_is_gone() -> None:
    """The busy do it and stay (90 %), the others neither (10 %); within each nothing is left."""
    busy, calm = TwoShares(72, 80, 18, 20), TwoShares(2, 20, 8, 80)
    crude = TwoShares(74, 100, 26, 100)
    assert ratio(crude).value == pytest.approx(74 / 26)
    found = within_strata([busy, calm])
    assert found is not None
    assert found.value == pytest.approx(1.0)


@pytest.mark.parametrize("strata", [[], [TwoShares(0, 5, 0, 5)], [TwoShares(3, 5, 0, 0)]])
def test_strata_that_compare_nobody_tell_nothing(strata: list[TwoShares]) -> None:
    assert within_strata(strata) is None


def test_benjamini_and_hochbergs_own_example() -> None:
    """1995, section 3.2: 15 hypotheses, of which the four smallest are rejected at 5 %."""
    ps = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344]
    ps += [0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    qs = q_values(np.array(ps)).tolist()
    assert [q <= 0.05 for q in qs] == [True] * 4 + [False] * 11
    assert qs[3] == pytest.approx(0.0095 * 15 / 4)
    assert q_values(np.array(ps[::-1])).tolist() == qs[::-1]
    assert q_values(np.array([])).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@example([1e-300, 0.1, 0.1, 0.7])
def test_q_is_no_less_than_p_and_in_its_order(ps: list[float]) -> None:
    qs = q_values(np.array(ps)).tolist()
    assert all(p <= q <= 1 for p, q in zip(ps, qs, strict=True))
    ordered = [q for _, q in sorted(zip(ps, qs, strict=True))]
    assert ordered == sorted(ordered)


@given(two=tables())
def test_wilson_is_that_of_the_tables(two: TwoShares) -> None:
    frame = pl.DataFrame({"hits": [two.hits], "users": [two.users]})
    row = with_share(frame, "hits", "users", pl.lit(value=True)).row(0, named=True)
    assert share_interval(two.hits, two.users) == pytest.approx((row["low"], row["high"]))


def test_no_difference_needs_no_number() -> None:
    assert users_per_group(0.2, 0.2) is None
