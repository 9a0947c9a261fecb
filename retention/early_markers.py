"""Early markers as they are told: the result of a search, its rows and its words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from retention.early_plan import EarlyQuestion
from retention.early_search import Judged
from retention.early_words import ENGLISH, Note, Words, reached
from retention.early_words_zh import CHINESE
from retention.twofold import (
    Interval,
    difference,
    ratio,
    share_interval,
    users_per_group,
    within_strata,
)
from runtime.clock import show

Language = Literal["en", "zh"]
LANGUAGES: dict[Language, Words] = {"en": ENGLISH, "zh": CHINESE}


@dataclass(frozen=True)
class Cohorts:
    """Users whose first event lies on a day of `[since, until)`, in the project's time zone."""

    since: date
    until: date
    users: int

    def to_json(self) -> dict[str, Any]:
        return {"since": str(self.since), "until": str(self.until), "users": self.users}


@dataclass(frozen=True)
class EarlyMarkers:
    """`judged`: all that was carried over to validation, the surest first; the markers are those
    of them that were kept. `searched`: candidates looked at; `unfinished`: users who came too
    late for their outcome to be known; `share`: the false discovery rate.

    `to_json()["rows"]`, one per marker, all figures of the validation cohorts: number,
    behaviour, event (its name; None for paid, active_days, sessions), at_least, days, outcome,
    repeats (it is the outcome itself, done before), also (behaviours of the same users), users,
    share with low and high (who do it), with_ and without_users, _hits, _rate, _low, _high,
    ratio, difference and adjusted_ratio (among users as busy on their first day) each with _low
    and _high, p, q, search_ratio, experiment_users (in each of two groups), sentence,
    experiment. What has no value is None.
    """

    asked: EarlyQuestion
    as_of: datetime
    covered_until: datetime
    search: Cohorts
    validation: Cohorts
    unfinished: int
    searched: int
    share: float
    judged: tuple[Judged, ...]
    outcomes: tuple[str, ...]
    only_event: str | None  # the name of all events, if they have but one
    notes: tuple[Note, ...]
    active_pays: bool = False  # being active is paying: all active events are payments

    @property
    def markers(self) -> tuple[Judged, ...]:
        """What was kept, an outcome after the other; last what is the outcome itself, before."""
        kept = [one for one in self.judged if one.kept]
        order = {id(one): (one.chosen.candidate.outcome, self.repeats(one)) for one in kept}
        return tuple(sorted(kept, key=lambda one: order[id(one)]))

    def repeats(self, one: Judged) -> bool:
        """Whether a behaviour is its outcome, done before: who pays has paid, who comes stays,
        who cancels leaves; where being active is paying, who comes pays."""
        behaviours = {one.chosen.candidate.behaviour, *one.chosen.also}
        if leaves(one, self.asked):
            return True
        coming = {("sessions", ""), ("active_days", ""), ("event", self.only_event)}
        names = {*(self.asked.value.events or ()), *self.asked.pay_events}
        paying = {("paid", ""), *(("event", name) for name in names)}
        if self.active_pays:
            return bool((coming | paying) & behaviours)
        return bool((coming if one.chosen.candidate.outcome == "stays" else paying) & behaviours)

    def to_json(self, language: Language = "en") -> dict[str, Any]:
        asked, markers, words = self.asked, self.markers, LANGUAGES[language]
        ends = {"pays": (0, asked.pay_until), "stays": asked.stay}
        return {
            "as_of": show(self.as_of),
            "covered_until": show(self.covered_until),
            "timezone": asked.zone,
            "first_days": list(asked.first_days),
            "counts": list(asked.counts),
            "outcomes": {name: words.meaning(name, *ends[name]) for name in self.outcomes},
            "search": self.search.to_json(),
            "validation": self.validation.to_json(),
            "unfinished": self.unfinished,
            "searched": self.searched,
            "carried_over": len(self.judged),
            "kept": len(markers),
            "false_discovery_rate": self.share,
            "caution": words.caution,
            "notes": [words.note(note) for note in self.notes],
            "rows": [_row(n, one, self, words) for n, one in enumerate(markers, 1)],
            "not_kept": [_named(one) | _sure(one) for one in self.judged if not one.kept],
        }


def leaves(one: Judged, asked: EarlyQuestion) -> bool:
    """Whether the behaviour is a way of leaving, by what `[churn]` says."""
    kind, name = one.chosen.candidate.behaviour
    return kind == "event" and name in asked.leaving


def _named(one: Judged) -> dict[str, Any]:
    marker = one.chosen.candidate
    return {
        "behaviour": marker.kind,
        "event": marker.name or None,
        "at_least": marker.at_least,
        "days": marker.days,
        "outcome": marker.outcome,
    }


def _sure(one: Judged) -> dict[str, Any]:
    searched = ratio(one.chosen.table)
    here = ratio(one.table) if one.table.users and one.table.others else None
    return {
        "ratio": here.value if here else None,
        "search_ratio": searched.value,
        "p": one.p,
        "q": one.q,
    }


def _row(number: int, one: Judged, found: EarlyMarkers, words: Words) -> dict[str, Any]:
    two, marker = one.table, one.chosen.candidate
    users = two.users + two.others
    crude, adjusted = ratio(two), within_strata(one.strata)
    needed = None if leaves(one, found.asked) else users_per_group(reached(two), two.all_rate)
    low, high = share_interval(two.users, users)
    return {
        "number": number,
        **_named(one),
        "repeats": found.repeats(one),
        "also": [words.called(behaviour) for behaviour in one.chosen.also],
        "users": users,
        "share": two.users / users,
        "low": low,
        "high": high,
        **_side("with", two.hits, two.users),
        **_side("without", two.other_hits, two.others),
        **_ends("ratio", crude),
        **_ends("difference", difference(two)),
        **_ends("adjusted_ratio", adjusted),
        "p": one.p,
        "q": one.q,
        "search_ratio": ratio(one.chosen.table).value,
        "experiment_users": needed,
        "sentence": words.sentence(marker, two, crude, adjusted),
        "experiment": None if needed is None else words.experiment(two, needed),
    }


def _side(name: str, hits: int, users: int) -> dict[str, Any]:
    low, high = share_interval(hits, users)
    found = {"users": users, "hits": hits, "rate": hits / users, "low": low, "high": high}
    return {f"{name}_{key}": value for key, value in found.items()}


def _ends(name: str, found: Interval | None) -> dict[str, float | None]:
    value, low, high = (found.value, found.low, found.high) if found else (None, None, None)
    return {name: value, f"{name}_low": low, f"{name}_high": high}
