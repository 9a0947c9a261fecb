"""The sentences, as a manager reads them."""

from __future__ import annotations

import pytest

from retention.early_plan import KINDS, Candidate
from retention.early_search import OUTCOMES
from retention.early_words import (
    ENGLISH,
    Note,
    Words,
    against,
    called,
    did,
    experiment,
    percent,
    reached,
    sentence,
)
from retention.early_words_zh import CHINESE
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
    """All users: 396 + 704 of 10,000 pay, 11 %. If all did it 33 % would."""
    two = TwoShares(396, 1200, 704, 8800)
    assert reached(two) == pytest.approx(0.33)
    assert experiment(two, 1055) == (
        "To know whether getting users to do this helps, assign new users at random: lead one "
        "half to it and leave the other half alone. At least 1,055 users in each half are "
        "needed, were the whole difference its doing (33 % against 11 %; power 80 %, two-sided "
        "5 %); were half of it, about four times as many."
    )


def test_an_experiment_of_what_marks_the_worse() -> None:
    """20 of 100 against 360 of 900: spared it, all would come to 40 %, from 38 % now."""
    told = experiment(TwoShares(20, 100, 360, 900), 9000)
    assert "sparing users this helps" in told
    assert "spare one half of it" in told
    assert "40 % against 38 %" in told


def test_in_chinese() -> None:
    two = TwoShares(396, 1200, 704, 8800)
    told = CHINESE.sentence(FAVOURITE, two, Interval(4.125, 3.7, 4.6), Interval(2.3, 1.8, 2.9))
    assert told == (
        "在最初 7 天内至少 3 次做“favourite”的用户，付费的比例是其他用户的 4.1 倍（3.7 至 4.6）："
        "33.0% 对 8.0%。新用户中有 12% 如此。在首日同样活跃的用户之间，为 2.3 倍（1.8 至 2.9）。"
    )
    assert "每半至少需要 1,055 名用户（33% 对 11%；" in CHINESE.experiment(two, 1055)
    rare = CHINESE.sentence(FAVOURITE, TwoShares(0, 100, 50, 100), Interval(0, 0, 0.09), None)
    assert "从不付费，比例至多是其他用户的 0.09 倍" in rare


@pytest.mark.parametrize("words", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_a_language_says_everything(words: Words) -> None:
    assert words.notes.keys() == ENGLISH.notes.keys()
    for key in words.notes:
        assert "{" not in words.note(Note(key, 1234, 60))
    assert "1,234" in words.note(Note("unfinished", 1234, 60))
    for kind in KINDS:
        marker = Candidate("stays", kind, "a=b", 1, 1)
        interval = Interval(0.5, 0.4, 0.6)
        assert words.sentence(marker, TwoShares(20, 100, 40, 100), interval, interval)
        assert words.called(marker.behaviour)
    for outcome in OUTCOMES:
        assert "60" in words.meaning(outcome, 30, 60)


def test_behaviours_by_themselves() -> None:
    told = [called(b) for b in (("paid", ""), ("event", "x"), ("active_days", ""))]
    assert told == ["paying", "event 'x'", "active days"]


def test_an_interval_without_an_upper_end() -> None:
    two = TwoShares(40, 100, 0, 100)
    assert ratio(two) == Interval(None, ratio(two).low, None)
