"""The sentences, as a manager reads them."""

from __future__ import annotations

import pytest

from retention.early_plan import Candidate
from retention.early_words import against, called, did, experiment, percent, sentence
from retention.twofold import Interval, TwoShares, ratio, within_strata


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        (("event", "favourite", 1, 1), "do 'favourite' at least once in their first 24 hours"),
        (("event", "favourite", 2, 3), "do 'favourite' at least twice in their first 3 days"),
        (("event", "favourite", 3, 7), "do 'favourite' at least 3 times in their first 7 days"),
        (("paid", "", 1, 7), "pay at least once in their first 7 days"),
        (("channel", "app", 5, 3), "use channel 'app' at least 5 times in their first 3 days"),
        (
            ("property", "plan=a=b", 1, 3),
            "do something with 'plan' = 'a=b' at least once in their first 3 days",
        ),
        (("sessions", "", 1, 1), "have at least 1 session in their first 24 hours"),
        (("sessions", "", 3, 7), "have at least 3 sessions in their first 7 days"),
        (("active_days", "", 1, 7), "are active in their first 7 days"),
        (("active_days", "", 3, 7), "are active on at least 3 of their first 7 days"),
    ],
)
def test_what_they_do(marker: tuple[str, str, int, int], words: str) -> None:
    assert did(Candidate("pays", *marker)) == words


FAVOURITE = Candidate("pays", "event", "favourite", 3, 7)


def test_more_often() -> None:
    two = TwoShares(396, 1200, 708, 8800)
    assert sentence(FAVOURITE, two, ratio(two), within_strata([two])) == (
        "Users who do 'favourite' at least 3 times in their first 7 days pay 4.1 times as often "
        "(3.7 to 4.6) as others: 33.0 % against 8.0 %. 12 % of new users do. Among users as busy "
        "on their first day: 4.1 times (3.7 to 4.6)."
    )


@pytest.mark.parametrize(
    ("two", "interval", "words"),
    [
        ((200, 400), (0.5, 0.43, 0.58), "stay half as often (0.43 to 0.58) as others"),
        ((100, 300), (1 / 3, 0.27, 0.41), "stay a third as often (0.27 to 0.41) as others"),
        ((240, 400), (0.6, 0.52, 0.69), "stay only 0.60 times as often (0.52 to 0.69) as others"),
        ((420, 400), (1.05, 0.95, 1.17), "stay 1.05 times as often (0.95 to 1.17) as others"),
        ((500, 20), (25.0, 16.2, 38.7), "stay 25 times as often (16 to 39) as others"),
        ((0, 400), (0.0, 0.0, 0.09), "never stay, at most 0.09 times as often as others"),
        (
            (400, 0),
            (None, 11.2, None),
            "stay at least 11 times as often as others: 40 % against 0 %",
        ),
    ],
)
def test_how_often(
    two: tuple[int, int], interval: tuple[float | None, float, float | None], words: str
) -> None:
    table = TwoShares(two[0], 1000, two[1], 1000)
    marker = Candidate("stays", "event", "error", 1, 1)
    assert words in sentence(marker, table, Interval(*interval), None)


def test_who_paid_pays_again() -> None:
    paid = Candidate("pays", "paid", "", 1, 7)
    told = sentence(paid, TwoShares(200, 1000, 100, 1000), Interval(2.0, 1.6, 2.5), None)
    assert told.startswith("Users who pay at least once in their first 7 days pay again 2.0 times")
    assert "busy" not in told


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.123, "12 %"), (0.045, "4.5 %"), (0.0004, "0.04 %"), (0.0, "0 %"), (1.0, "100 %")],
)
def test_percent(share: float, words: str) -> None:
    assert percent(share) == words


def test_two_shares_can_be_told_apart() -> None:
    assert against(0.33, 0.08) == "33.0 % against 8.0 %"
    assert against(0.8301, 0.8312) == "83.0 % against 83.1 %"
    assert against(0.2, 0.2) == "20 % against 20 %"


def test_an_experiment_of_what_marks_the_better() -> None:
    """All users: 396 + 704 of 10,000 pay, 11 %. If all did it 33 % would: (1.959964 root(2 x 0.22
    x 0.78) + 0.841621 root(0.33 x 0.67 + 0.11 x 0.89))^2 / 0.22^2 = (1.148211 + 0.475348)^2 /
    0.0484 = 54.5."""
    number, told = experiment(TwoShares(396, 1200, 704, 8800))
    assert number == 55
    assert told is not None
    assert "lead one half to it and leave the other half alone" in told
    assert "At least 55 users in each half" in told
    assert "33 % against 11 %" in told


def test_an_experiment_of_what_marks_the_worse() -> None:
    number, told = experiment(TwoShares(20, 100, 360, 900))
    assert number is not None
    assert told is not None
    assert "sparing users this helps" in told
    assert "40 % against 38 %" in told


def test_no_difference_needs_no_experiment() -> None:
    assert experiment(TwoShares(20, 100, 20, 100)) == (None, None)


def test_behaviours_by_themselves() -> None:
    told = [called(b) for b in (("paid", ""), ("event", "x"), ("active_days", ""))]
    assert told == ["paying", "event 'x'", "active days"]


def test_an_interval_without_an_upper_end() -> None:
    two = TwoShares(40, 100, 0, 100)
    assert ratio(two) == Interval(None, ratio(two).low, None)
