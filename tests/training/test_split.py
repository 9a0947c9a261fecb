"""The split keeps the future out, whatever cutoffs there are."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_frames import NEWEST, cutoffs, snapshot_frame

from features.time import Cutoff
from training.split import Slice, Split, plan_split, user_fold, user_share

DAY = timedelta(days=1)
PINNED = [
    0.479054,
    0.214752,
    0.879426,
    0.200806,
]  # xxhash64 of 'share-0:' and the id, over 2 to the 64


def _all_users(role: Slice) -> bool:
    return (role.low, role.high) == (0.0, 1.0)


def _users_apart(first: Slice, second: Slice) -> bool:
    return first.high <= second.low or second.high <= first.low


def _check_pair(earlier: Slice, later: Slice, embargo: timedelta) -> None:
    """Either no label of the earlier reaches the later, or no user is in both."""
    by_time = max(c.at for c in earlier.cutoffs) + embargo <= min(c.at for c in later.cutoffs)
    assert by_time or _users_apart(earlier, later)


@given(
    days=st.lists(st.integers(0, 900), min_size=1, max_size=40, unique=True),
    embargo_days=st.integers(1, 400),
    most=st.integers(1, 15),
)
def test_no_label_of_a_stage_reaches_the_next_one(
    days: list[int], embargo_days: int, most: int
) -> None:
    every = [Cutoff(NEWEST - timedelta(days=d)) for d in days]
    embargo = embargo_days * DAY
    split = plan_split(every, embargo, most)
    _check_pair(split.fit, split.calibrate, embargo)
    _check_pair(split.fit, split.test, embargo)
    _check_pair(split.calibrate, split.test, embargo)
    _check_pair(split.served_fit, split.served_calibrate, embargo)
    assert split.test.cutoffs == (max(every),)
    assert split.served_calibrate.cutoffs == (max(every),)
    staged = {c for role in (split.fit, split.calibrate, split.test) for c in role.cutoffs}
    assert len(staged) <= most
    newest = sorted(every, reverse=True)
    assert split.last_fit == Slice(tuple(newest[:most]))
    if split.calibrate.cutoffs[0] < newest[0]:  # stages: nothing known by the test is left out
        known = [c for c in newest if c.at + embargo <= split.test.cutoffs[0].at]
        assert split.served_fit == Slice(tuple(known[: most - 1]))
    assert set(split.cutoffs) <= set(every)
    assert bool(split.notes) != all(map(_all_users, (split.fit, split.calibrate, split.test)))


def _at(split: Split) -> list[list[int]]:
    served = (split.served_fit, split.served_calibrate, split.last_fit)
    roles = (split.fit, split.calibrate, split.test, *served)
    return [[(NEWEST - c.at).days // 30 for c in role.cutoffs] for role in roles]


def test_three_stages_when_the_history_holds_them() -> None:
    split = plan_split(cutoffs(6), 30 * DAY)
    assert _at(split) == [[2, 3, 4, 5], [1], [0], [1, 2, 3, 4, 5], [0], [0, 1, 2, 3, 4, 5]]
    split = plan_split(cutoffs(6), 50 * DAY)
    assert _at(split) == [[4, 5], [2], [0], [2, 3, 4, 5], [0], [0, 1, 2, 3, 4, 5]]
    assert split.notes == ()


def test_the_number_of_cutoffs_is_bounded_without_losing_a_stage() -> None:
    split = plan_split(cutoffs(20), 180 * DAY, most=4)
    assert _at(split) == [[12, 13], [6], [0], [6, 7, 8], [0], [0, 1, 2, 3]]


def test_two_stages_calibrate_on_users_held_apart() -> None:
    split = plan_split(cutoffs(3), 50 * DAY)
    assert _at(split) == [[2], [2], [0], [2], [0], [0, 1, 2]]
    assert _users_apart(split.fit, split.calibrate)
    assert "the history holds two stages an embargo apart" in split.notes[0]


@pytest.mark.parametrize("most", [1, 2])
def test_too_few_cutoffs_asked_for_are_not_blamed_on_the_history(most: int) -> None:
    split = plan_split(cutoffs(20), 90 * DAY, most)
    assert split.notes[0].startswith(
        f"training.cutoffs is {most}, and the history holds 3 stages; give it 3 or more"
    )
    assert plan_split(cutoffs(20), 90 * DAY, 3).notes == ()


def test_one_stage_splits_by_users_and_says_so() -> None:
    split = plan_split(cutoffs(1), 182 * DAY)
    frame = snapshot_frame(cutoffs(1), users=3000)
    parts = [role.rows(frame, 0) for role in (split.fit, split.calibrate, split.test)]
    assert "by users 60/20/20" in split.notes[0]
    assert sum(map(len, parts)) == len(frame)
    assert not set(parts[0]["user_id"]) & set(parts[1]["user_id"])
    assert not set(parts[1]["user_id"]) & set(parts[2]["user_id"])
    shares = [len(part) / len(frame) for part in parts]
    assert all(abs(a - b) < 0.03 for a, b in zip(shares, (0.6, 0.2, 0.2), strict=True))


def test_shares_depend_on_the_user_and_the_seed_alone() -> None:
    frame = pl.DataFrame({"user_id": ["7", "0007", "é", ""]})
    first = frame.select(user_share(0), user_fold(0).alias("fold"))
    again = frame.reverse().select(user_share(0), user_fold(0).alias("fold")).reverse()
    assert first.equals(again)
    assert frame.select(user_share(1)).to_series().to_list() != first.to_series().to_list()
    # Pinned: a library whose hash changes would move users between fit and test.
    assert [round(s, 6) for s in first.to_series()] == PINNED
