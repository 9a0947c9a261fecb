"""The sets of the catalogue: which features a project takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

CALENDAR = re.compile(r"season_|cutoff_weekday|days_(to|since)_holiday")
LEAN = re.compile(
    r"(recency_days|tenure_days|active_day_share|events_per_active_day"
    r"|(events|active_days|purchases|amount)_(total|\d+d)"
    r"|gap_(mean_days|max_days|now_over_mean|now_over_max)"
    r"|purchase_recency_days|amount_mean|kinds_(total|\d+d)|sessions_(total|\d+d)"
    r"|events_change_\d+d_\d+d|cycle_position|user_.*)"
)


def default(name: str) -> bool:
    """All that tells users of one cutoff apart."""
    return CALENDAR.match(name) is None


def lean(name: str) -> bool:
    """Recency, frequency, monetary value and change: some forty, quick and easy to explain."""
    return LEAN.fullmatch(name) is not None


def full(name: str) -> bool:
    """The whole catalogue."""
    return True


def predicate(name: str, patterns: Sequence[str]) -> Callable[[str], bool]:
    """What a set keeps: one of SETS, or of a project's own whatever fits one of its patterns."""
    if not patterns:
        return SETS[name]
    return lambda feature: any(fnmatchcase(feature, pattern) for pattern in patterns)


SETS: Mapping[str, Callable[[str], bool]] = {"default": default, "lean": lean, "full": full}
