"""A name in words for each group, by a rule, with the figures behind each word.

A word is said of a behaviour where the group stands out in its lead feature (Cliff's delta at
least 0.33, "medium") and its median differs from everyone's by a quarter or more. The three words
that stand out most make the name; groups that would share one take further words, at last a
number. So a name says how a group differs from the users of this log, not from any other's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from features.dictionary import SHOWN, dictionary, phrase
from features.spec import FeatureSpec
from training.groups_model import NO_GROUP, Named
from training.groups_profile import MEDIUM, SMALL, Profile, Typical
from training.groups_space import LEAST_LOG_SPREAD, LEAST_SPREAD, PLAIN_UNITS, signed_log

FIRST_WORDS = 3
MOST = 0.75  # of a group's users for what is said of all of them
MUCH = 1.25  # share of value by share of users

# Words for more and for less of each behaviour, in the order in which they stand in a name.
WORDS: Mapping[str, tuple[str, str]] = {
    "tenure": ("long-standing", "new"),
    "recency": ("recent", "quiet"),
    "frequency": ("frequent", "occasional"),
    "monetary": ("high-value", "low-value"),
    "trend": ("growing", "fading"),
    "breadth": ("wide-ranging", "narrow"),
    "depth": ("intensive", "brief"),
    "rhythm": ("regular", "irregular"),
}
LESS_IS_MORE = ("recency_days", "purchase_recency_days", "gap_burstiness", "gap_mean_days")
# What people look for first, where words stand out alike.
WEIGHTY = ("recency", "frequency", "monetary", "tenure", "trend", "breadth", "depth", "rhythm")


@dataclass(frozen=True)
class Word:
    behaviour: str
    text: str
    typical: Typical
    strong: bool


def named(profiles: Sequence[Profile], spec: FeatureSpec) -> tuple[Named, ...]:
    """Names of the groups 1, 2, ..., all different; `profiles` without the noise."""
    if len(profiles) == 1:
        return (Named(f"all {noun(profiles[0])}", "there is one group", False),)
    words = [_words(profile, spec) for profile in profiles]
    nouns = [noun(profile) for profile in profiles]
    taken = [min(FIRST_WORDS, sum(w.strong for w in mine)) for mine in words]
    while longer := _clashing(_names(words, taken, nouns), words, taken):
        for index in longer:
            taken[index] += 1
    texts = _numbered(_names(words, taken, nouns))
    return tuple(
        Named(text, _reason(mine[:count], profile, spec), is_core(profile))
        for text, mine, count, profile in zip(texts, words, taken, profiles, strict=True)
    )


def noun(profile: Profile) -> str:
    """Buyers and browsers on a log with purchases, users on any other."""
    if profile.bought is None or not profile.bought.known:
        return "users"
    if profile.bought.high == 0:
        return "browsers"
    return "buyers" if (profile.bought.median or 0) >= 1 else "users"


def is_core(profile: Profile) -> bool:
    """Often and lately active, with clearly more of the value (of the activity, on a log without
    amounts) than of the users."""
    often, late = (_effect(profile, behaviour) for behaviour in ("frequency", "recency"))
    part = profile.activity_share if profile.value_share is None else profile.value_share
    return often >= MEDIUM and late >= SMALL and (part or 0.0) >= MUCH * profile.share


def _effect(profile: Profile, behaviour: str) -> float:
    """Towards more of the behaviour; 0 where the log does not tell."""
    typical = profile.behaviour.get(behaviour)
    return 0.0 if typical is None else oriented(typical)


def oriented(typical: Typical) -> float:
    return -typical.effect if typical.feature in LESS_IS_MORE else typical.effect


def _words(profile: Profile, spec: FeatureSpec) -> list[Word]:
    """Those that can be said, the most telling first: strong ones before weak ones."""
    found = []
    for behaviour, typical in profile.behaviour.items():
        text = _word(behaviour, typical, profile, spec)
        if text and abs(typical.effect) >= SMALL and _matters(typical, spec):
            found.append(Word(behaviour, text, typical, abs(typical.effect) >= MEDIUM))
    return sorted(
        found,
        key=lambda w: (not w.strong, -round(abs(w.typical.effect), 1), WEIGHTY.index(w.behaviour)),
    )


def _word(behaviour: str, typical: Typical, profile: Profile, spec: FeatureSpec) -> str | None:
    more, less = WORDS[behaviour]
    above = oriented(typical) > 0
    median = typical.median or 0.0
    horizon = spec.definitions.churn.horizon_days
    if typical.known < 0.5:  # noqa: PLR2004 - most of the group have no such figure
        return None
    if behaviour == "recency" and not above:
        return "lapsed" if median >= horizon else less
    if behaviour == "frequency" and not above:
        return "one-time" if _once(profile) else less
    if behaviour == "monetary" and noun(profile) == "browsers":
        return None
    if behaviour == "tenure" and not above:
        return less if median <= horizon else "newer"
    if behaviour == "trend" and (median <= 0 if above else median >= 0):
        return None
    return more if above else less


def _once(profile: Profile) -> bool:
    """Whether three quarters of the group bought, or were active, once only."""
    told = profile.bought if noun(profile) == "buyers" else profile.active
    return told is not None and told.known >= MOST and told.high <= 1


def _matters(typical: Typical, spec: FeatureSpec) -> bool:
    if typical.median is None or typical.everyone is None:
        return False
    if dictionary(spec)[typical.feature].unit in PLAIN_UNITS:
        return abs(typical.median - typical.everyone) >= LEAST_SPREAD
    one, all_of = (signed_log(np.array(v)) for v in (typical.median, typical.everyone))
    return bool(abs(one - all_of).item() >= LEAST_LOG_SPREAD - 1e-12)


def _names(words: list[list[Word]], taken: list[int], nouns: list[str]) -> list[str]:
    order = list(WORDS)
    found = []
    for mine, count, what in zip(words, taken, nouns, strict=True):
        said = sorted(mine[:count], key=lambda word: order.index(word.behaviour))
        found.append(f"{', '.join(w.text for w in said)} {what}" if said else f"typical {what}")
    return found


def _clashing(names: list[str], words: list[list[Word]], taken: list[int]) -> list[int]:
    """The groups that share a name and have a further word."""
    return [i for i, name in enumerate(names) if names.count(name) > 1 and taken[i] < len(words[i])]


def _numbered(names: list[str]) -> list[str]:
    """A number to all but the first of those that are still alike."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found


def _reason(said: Sequence[Word], profile: Profile, spec: FeatureSpec) -> str:
    if not said:
        return "stands out in nothing by much"
    return "; ".join(f"{word.text}: {told(word.typical, spec)}" for word in said)


def told(typical: Typical, spec: FeatureSpec) -> str:
    """'last active 3 days ago (everyone: 40 days)', by the medians."""
    text = phrase(typical.feature, typical.median, spec)
    if typical.everyone is None:
        return text
    usual = SHOWN[dictionary(spec)[typical.feature].unit](typical.everyone)
    return f"{text} (everyone: {'none' if usual == 'no' else usual})"


__all__ = ["NO_GROUP", "is_core", "named", "noun", "told"]
