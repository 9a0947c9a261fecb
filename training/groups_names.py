"""A name in words for each group, by a rule, with the figures behind each word.

A word is said of a behaviour where the group stands out in its lead feature (Cliff's delta at
least 0.33, "medium") and its median differs from the other users' by a quarter or more. Some
words say more than that and are held to it: who is "recent" has not been silent for a churn
horizon, who is "lapsed" has, who is "new" came within one, who is "frequent" came on two days or
more. The three words that stand out most make the name. A name of fewer than two takes what is
true of the group beside no other ("lapsed", "one-time", "repeat"); groups that would share a name
take further words, then the figure in which they differ most, at last a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from features.dictionary import SHOWN, dictionary, phrase
from features.spec import FeatureSpec
from training.groups_core import is_core, lapsed
from training.groups_model import Named
from training.groups_profile import MEDIUM, SMALL, Profile, Typical, oriented
from training.groups_space import LEAST_LOG_SPREAD, LEAST_SPREAD, PLAIN_UNITS, signed_log

FEWEST_WORDS, FIRST_WORDS = 2, 3
QUARTER = 1.25
ONCE = "one-time"
NONE = {"no": "none", "-0": "0"}  # a number said without its noun
MOST = 0.75  # of a group's users for what is said of all of them

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
# What people look for first, where words stand out alike.
WEIGHTY = ("recency", "frequency", "monetary", "tenure", "trend", "breadth", "depth", "rhythm")


@dataclass(frozen=True)
class Word:
    behaviour: str
    text: str
    typical: Typical
    strong: bool
    plain: bool = False  # true of the group, whether or not of others


def named(profiles: Sequence[Profile], spec: FeatureSpec) -> tuple[Named, ...]:
    """Names of the groups 1, 2, ..., all different; `profiles` without the noise."""
    if len(profiles) == 1:
        return (Named(f"all {noun(profiles[0])}", "there is one group", False),)
    words = [_words(profile, spec) for profile in profiles]
    nouns = [noun(profile) for profile in profiles]
    taken = [_first(mine) for mine in words]
    while longer := _clashing(_names(words, taken, nouns), words, taken):
        for index in longer:
            taken[index] += 1
    texts = _numbered(_told_apart(_names(words, taken, nouns), profiles, spec))
    return tuple(
        Named(text, _reason(mine[:count], spec), is_core(profile, spec))
        for text, mine, count, profile in zip(texts, words, taken, profiles, strict=True)
    )


def noun(profile: Profile) -> str:
    """Buyers and browsers on a log with purchases, users on any other."""
    if profile.bought is None or not profile.bought.known:
        return "users"
    if profile.bought.high == 0:
        return "browsers"
    return "buyers" if (profile.bought.median or 0) >= 1 else "users"


def _silent(spec: FeatureSpec) -> str:
    """Silence alone is an end only where churn is passive."""
    return "lapsed" if spec.definitions.churn.kind == "passive" else "silent"


def _words(profile: Profile, spec: FeatureSpec) -> list[Word]:
    """Those that can be said, the most telling first: strong ones before weak ones."""
    found = []
    for behaviour, typical in profile.behaviour.items():
        text = _word(behaviour, typical, profile, spec)
        if text and abs(typical.effect) >= SMALL and _matters(typical, spec):
            shown = (_times(profile) if text == ONCE else None) or typical
            found.append(Word(behaviour, text, shown, abs(typical.effect) >= MEDIUM))
    found = sorted(
        found,
        key=lambda w: (not w.strong, -round(abs(w.typical.effect), 1), WEIGHTY.index(w.behaviour)),
    )
    said = {word.behaviour for word in found if word.strong}
    plain = [word for word in _plain(profile, spec) if word.behaviour not in said]
    weak = [w for w in found if not w.strong and w.behaviour not in {p.behaviour for p in plain}]
    return [*(w for w in found if w.strong), *plain, *weak]


def _plain(profile: Profile, spec: FeatureSpec) -> list[Word]:
    found = []
    if lapsed(profile, spec):
        found.append(Word("recency", _silent(spec), profile.behaviour["recency"], False, True))
    told = _times(profile)
    if told and _once(profile):
        found.append(Word("frequency", ONCE, told, False, True))
    elif told and told is profile.bought and (told.median or 0.0) > 1:
        found.append(Word("frequency", "repeat", told, False, True))
    return found


def _first(words: Sequence[Word]) -> int:
    strong = min(FIRST_WORDS, sum(word.strong for word in words))
    plain = sum(word.plain for word in words)
    return max(strong, min(FEWEST_WORDS, strong + plain))


def _word(behaviour: str, typical: Typical, profile: Profile, spec: FeatureSpec) -> str | None:
    more, less = WORDS[behaviour]
    above = oriented(typical) > 0
    median = typical.median or 0.0
    horizon = spec.definitions.churn.horizon_days
    if typical.known < 0.5:  # noqa: PLR2004 - most of the group have no such figure
        return None
    if behaviour == "recency" and median >= horizon:
        return None if above else _silent(spec)
    if behaviour == "frequency":
        return (more if median > 1 else None) if above else ONCE if _once(profile) else less
    if behaviour == "monetary" and (noun(profile) == "browsers" or (above and median <= 0)):
        return None
    if behaviour == "tenure" and not above:
        return less if median <= horizon else "newer"
    if behaviour == "trend" and not _changes(typical, spec, above=above):
        return None
    return more if above else less


def _changes(typical: Typical, spec: FeatureSpec, *, above: bool) -> bool:
    """Whether activity grew, or fell, by a quarter or more; a slope's sign says no more."""
    median = typical.median or 0.0
    if dictionary(spec)[typical.feature].unit == "ratio":
        return median >= QUARTER if above else median <= 1 / QUARTER
    return median > 0 if above else median < 0


def _once(profile: Profile) -> bool:
    """Whether three quarters of the group bought, or were active, once only."""
    told = _times(profile)
    return told is not None and told.known >= MOST and told.high <= 1


def _times(profile: Profile) -> Typical | None:
    return profile.bought if noun(profile) == "buyers" else profile.active


def _matters(typical: Typical, spec: FeatureSpec) -> bool:
    if typical.median is None or typical.others is None:
        return False
    if dictionary(spec)[typical.feature].unit in PLAIN_UNITS:
        return abs(typical.median - typical.others) >= LEAST_SPREAD
    one, all_of = (signed_log(np.array(v)) for v in (typical.median, typical.others))
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


def _told_apart(names: list[str], profiles: Sequence[Profile], spec: FeatureSpec) -> list[str]:
    """To names that are alike the figure in which their groups differ most."""
    found = list(names)
    for name in {name for name in names if names.count(name) > 1}:
        alike = [i for i, other in enumerate(names) if other == name]
        shared = [b for b in WEIGHTY if all(b in profiles[i].behaviour for i in alike)]
        apart = {b: _range([profiles[i].behaviour[b] for i in alike], spec) for b in shared}
        if apart and max(apart.values()) > 0:
            widest = max(shared, key=lambda b: apart[b])
            for i in alike:
                one = profiles[i].behaviour[widest]
                found[i] = f"{name} ({phrase(one.feature, one.median, spec)})"
    return found


def _range(medians: Sequence[Typical], spec: FeatureSpec) -> float:
    """Of the medians of one feature, in the least differences that matter."""
    known = [one.median for one in medians if one.median is not None]
    if len(known) < len(medians):
        return 0.0
    if dictionary(spec)[medians[0].feature].unit in PLAIN_UNITS:
        return (max(known) - min(known)) / LEAST_SPREAD
    logged = signed_log(np.array(known))
    return float(logged.max() - logged.min()) / LEAST_LOG_SPREAD


def _numbered(names: list[str]) -> list[str]:
    """A number to all but the first of those that are still alike."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found


def _reason(said: Sequence[Word], spec: FeatureSpec) -> str:
    if not said:
        return "stands out in nothing by much"
    return "; ".join(f"{word.text}: {told(word.typical, spec)}" for word in said)


def told(typical: Typical, spec: FeatureSpec) -> str:
    """'last active 3 days ago (others: 40 days)', by the medians."""
    text = phrase(typical.feature, typical.median, spec)
    if typical.others is None:
        return text
    usual = SHOWN[dictionary(spec)[typical.feature].unit](typical.others)
    return f"{text} (others: {NONE.get(usual, usual)})"
