"""Early markers in words that a manager can act on; in Chinese: see `early_words_zh`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from retention.early_plan import Candidate
from retention.twofold import Interval, TwoShares


@dataclass(frozen=True)
class Note:
    """What a result is to be read with: a key of `NOTES`, and the figures in it."""

    key: str
    users: int = 0
    days: int = 0


@dataclass(frozen=True)
class Words:
    """A language. `sentence`: of a marker, its table, ratio and ratio among the equally busy.
    `experiment`: of a table and the users that each half needs. `meaning`: of an outcome from day
    `first` to before day `end`. `did`: what a marker's users do. `called`: a behaviour by itself.
    `notes`: texts by key, with the note's figures to fill in."""

    caution: str
    sentence: Callable[[Candidate, TwoShares, Interval, Interval | None], str]
    experiment: Callable[[TwoShares, int], str]
    meaning: Callable[[str, int, int], str]
    did: Callable[[Candidate], str]
    called: Callable[[tuple[str, str]], str]
    notes: dict[str, str]

    def note(self, note: Note) -> str:
        return self.notes[note.key].format(users=note.users, days=note.days)


CAUTION = (
    "These are associations, not causes: who does such things may have meant to stay or pay all "
    "along, and who leaves at once never comes to do them. Only an experiment tells what getting "
    "more users to do them brings."
)
_NO_PAYING = (
    "so no marker of paying is looked for; see [value], and early.pay_events for payments without "
    "amounts"
)
_NO_STAYING = "so no marker of staying is looked for; another early.stay_days may tell users apart"
NOTES = {
    "none pay": f"nobody pays after the first days, {_NO_PAYING}",
    "all pay": f"everybody pays after the first days, {_NO_PAYING}",
    "none stay": f"nobody stays, {_NO_STAYING}",
    "all stay": f"everybody stays, {_NO_STAYING}",
    "dates": "the log has dates only: days are the calendar's, and there are no sessions",
    "crowd": "{users:,} users were first seen in the log's first {days} days, far more than in as "
    "many days after: they may be older than the log; --since leaves them out",
    "unfinished": "{users:,} users are left out: less than {days} days have passed since they "
    "came, so their outcome is not known",
}
_VERBS = {"pays": "pay", "stays": "stay"}
_KINDS = {"paid": "paying", "sessions": "sessions", "active_days": "active days"}
# Ratios that have a word, by what rounds to them.
_WORDS = ((0.475, 0.525, "half"), (0.32, 0.345, "a third"), (0.24, 0.26, "a quarter"))
_TIMES = {1: "once", 2: "twice"}
_NEAR_ONE, _MANY = 1.2, 10  # a ratio is told with two digits below, with none above
_RARE, _VERY_RARE = 0.1, 0.001
_MOST_DIGITS = 4


def did(marker: Candidate) -> str:
    """What a marker's users do, to follow "users who"."""
    n, days = marker.at_least, marker.days
    if marker.kind == "active_days":
        if n == 1 or days == 1:
            return f"are active {first_days(days)}"
        return f"are active on at least {n} of their first {days} days"
    if marker.kind == "sessions":
        return f"have at least {n} {'session' if n == 1 else 'sessions'} {first_days(days)}"
    return f"{_verb(marker)} at least {_TIMES.get(n, f'{n} times')} {first_days(days)}"


def _verb(marker: Candidate) -> str:
    if marker.kind == "paid":
        return "pay"
    if marker.kind == "channel":
        return f"use channel '{marker.name}'"
    if marker.kind == "property":
        name, _, value = marker.name.partition("=")
        return f"do something with '{name}' = '{value}'"
    return f"do '{marker.name}'"


def called(behaviour: tuple[str, str]) -> str:
    """A behaviour by itself."""
    kind, name = behaviour
    return _KINDS.get(kind) or f"{kind} '{name}'"


def first_days(days: int) -> str:
    return "in their first 24 hours" if days == 1 else f"in their first {days} days"


def sentence(marker: Candidate, two: TwoShares, ratio: Interval, adjusted: Interval | None) -> str:
    """Ratio and interval first, then the shares, how many do it, and what is left of the ratio
    among users as busy on their first day."""
    again = " again" if marker.kind == "paid" and marker.outcome == "pays" else ""
    told = f"Users who {did(marker)} {_compared(_VERBS[marker.outcome] + again, two, ratio)}"
    share = two.users / (two.users + two.others)
    told += f": {against(two.rate, two.other_rate)}."
    told += f" {percent(share)} of new users do."
    if adjusted is not None and adjusted.value is not None:
        told += f" Among users as busy on their first day: {_times(adjusted)}."
    return told


def _compared(verb: str, two: TwoShares, ratio: Interval) -> str:
    if ratio.value is None:
        return f"{verb} at least {number(ratio.low, ratio.low)} times as often as others"
    if two.hits == 0:
        most = number(ratio.high or 0, ratio.low)
        return f"never {verb}, at most {most} times as often as others"
    reach = f"({span(ratio)})"
    for least, greatest, word in _WORDS:
        if least <= ratio.value <= greatest:
            return f"{verb} {word} as often {reach} as others"
    only = "only " if ratio.value < 1 else ""
    return f"{verb} {only}{number(ratio.value, ratio.low)} times as often {reach} as others"


def _times(ratio: Interval) -> str:
    return f"{number(ratio.value or 0, ratio.low)} times ({span(ratio)})"


def span(ratio: Interval) -> str:
    return f"{number(ratio.low, ratio.low)} to {number(ratio.high or 0, ratio.low)}"


def number(ratio: float, low: float) -> str:
    """`low`: of the interval that the number belongs to; close to 1 it takes two digits."""
    if ratio >= _MANY:
        return f"{ratio:,.0f}"
    return f"{ratio:.2f}" if low < _NEAR_ONE else f"{ratio:.1f}"


def percent(share: float) -> str:
    return f"{share:.{_digits(share)}%}".replace("%", " %")


def _digits(share: float) -> int:
    far = min(share, 1 - share)
    return 0 if far >= _RARE or far == 0 else 1 if far >= _VERY_RARE else 2


def against(one: float, other: float) -> str:
    """Two shares with as many digits as the one that needs more, and as tell them apart."""
    digits = max(_digits(one), _digits(other))
    while digits < _MOST_DIGITS and one != other and f"{one:.{digits}%}" == f"{other:.{digits}%}":
        digits += 1
    return f"{one:.{digits}%} against {other:.{digits}%}".replace("%", " %")


def reached(two: TwoShares) -> float:
    """The rate of a group in which all do what marks the better, or none what marks the worse."""
    return max(two.rate, two.other_rate)


def experiment(two: TwoShares, users: int) -> str:
    """One half as users are now, the other one as `reached` says."""
    more = two.rate > two.other_rate
    helps = "getting users to do this helps" if more else "sparing users this helps"
    lead = "lead one half to it" if more else "spare one half of it"
    return (
        f"To know whether {helps}, assign new users at random: {lead} and leave the other half "
        f"alone. At least {users:,} users in each half are needed, were the whole difference "
        f"its doing ({against(reached(two), two.all_rate)}; power 80 %, two-sided 5 %); were "
        "half of it, about four times as many."
    )


def meaning(outcome: str, first: int, end: int) -> str:
    if outcome == "stays":
        return f"is active at least {first} and less than {end} days after the first event"
    return f"pays after the first days and less than {end} days after the first event"


ENGLISH = Words(CAUTION, sentence, experiment, meaning, did, called, NOTES)
