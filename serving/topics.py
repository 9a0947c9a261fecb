"""Which features say the same thing, so that three reasons say three different ones.

What a feature says depends on its value: "no activities in the last 7 days", "no session in the
last 7 days" and "last active 41 days ago" are one thing, while 9 activities, sessions of 20
minutes and 2 days of silence are three.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from features.naming import slug
from features.spec import FeatureSpec

SILENCE, ACTIVITY = "silence", "activity"
NO_PURCHASE, BUYING = "no purchase", "buying"
LAST = "last "  # of a kind of event, unless another topic tells of that kind

# The first pattern that fits a feature's name decides; a group in it is part of the topic.
PATTERNS = (
    (r"recency_days|gap_now_\w+", SILENCE),
    (r"purchase_recency_days|purchase_gap_now_over_mean", NO_PURCHASE),
    (r"purchase_gap_mean_days", "pace of buying"),
    (r"gap_\w+", "pace"),
    (r"(?:events|active_days|sessions)_(?:total|rate_\d+d|\d+d)|active_day_share", ACTIVITY),
    (r"activity_decay_\d+d|(?:events|active_days)_\d+d_over_peers|streak_\w+_days", ACTIVITY),
    (r"(?:purchases|amount)_(?:total|decay_\d+d|\d+d|\d+d_over_peers|per_active_day)", BUYING),
    (r"amount_(?:mean|max|deviation|last)(?:_\d+d)?|refund_share", "basket"),
    (r"tenure_days|purchase_tenure_days|events_first_week", "tenure"),
    (r"amount_(?:change|slope)_\w+", "spending trend"),
    (r"\w+_change_\w+|\w+_slope_\w+|last_week_over_first", "trend"),
    (r"session_(?:minutes|depth|bounce)_\w+|events_per_active_day", "depth"),
    (r"(?:kinds|channels)_\w+", "breadth"),
    (r"event_days_since_(.+)", f"{LAST}event"),
    (r"event_(?:total|share_\d+d|share|\d+d)_(.+)", "event"),
    (r"channel_(?:share|days_since|\d+d)_(.+)", "channel"),
    (r"renewals_total|renewal_days_since|cycle_position|days_to_lapse", "renewal"),
    (r"endings_total|ending_days_since", "return"),
    (r"failed_payment_\w+", "failed payment"),
    (r"support_\w+", "support"),
    (r"(?:weekend|night|morning|afternoon|evening|\w+day)_share", "time of day and week"),
    (r"(?:weekday|hour)_entropy", "time of day and week"),
    (r"season_\w+|cutoff_weekday|days_(?:to|since)_holiday", "season"),
)
RECENCY, A_DAY = "recency_days", 1.0
SINCE = r"purchase_recency_days|event_days_since_.+"
WHEN_ZERO = {
    ACTIVITY: SILENCE,
    "breadth": SILENCE,
    "trend": SILENCE,
    BUYING: NO_PURCHASE,
    "spending trend": NO_PURCHASE,
}
WHEN_MISSING = {
    "depth": SILENCE,  # no session in the window
    "pace": ACTIVITY,  # active on one day only
    SILENCE: ACTIVITY,
    "basket": NO_PURCHASE,
    "tenure": NO_PURCHASE,
}
# On a log of one kind of event, being active and buying are one thing.
ONE_KIND = {NO_PURCHASE: SILENCE, BUYING: ACTIVITY, "spending trend": "trend"}


@dataclass(frozen=True)
class Topics:
    """One topic a feature: for values in general, for 0, for missing ones, and for days since
    something that happened within A_DAY of the last activity."""

    known: tuple[str, ...]
    zero: tuple[str, ...]
    missing: tuple[str, ...]
    latest: tuple[str, ...]


def topics(names: Sequence[str], spec: FeatureSpec) -> Topics:
    """A name that fits no pattern is a topic of its own."""
    same, merged = _same_events(spec), {} if spec.has_events else ONE_KIND
    plain = [_topic(name, spec) for name in names]
    plain = [same.get(topic, topic.removeprefix(LAST)) for topic in plain]

    def mapped(by: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(merged.get(to, to) for topic in plain for to in [by.get(topic, topic)])

    known = mapped({})
    latest = [SILENCE if re.fullmatch(SINCE, n) else k for n, k in zip(names, known, strict=True)]
    return Topics(known, mapped(WHEN_ZERO), mapped(WHEN_MISSING), tuple(latest))


def _topic(name: str, spec: FeatureSpec) -> str:
    for pattern, topic in PATTERNS:
        if found := re.fullmatch(pattern, name):
            return " ".join((topic, *found.groups()))
    for attribute in sorted(spec.attributes, key=lambda a: -len(a.name)):
        if name.startswith(f"user_{slug(attribute.name)}"):
            return f"attribute {attribute.name}"
    return name


def _same_events(spec: FeatureSpec) -> dict[str, str]:
    """Topics of the kind of event that alone is activity, or value: told of already."""
    found: dict[str, str] = {}
    for events, topic, silence in (
        (spec.definitions.value.events, BUYING, NO_PURCHASE),
        (spec.definitions.activity.events, ACTIVITY, SILENCE),
    ):
        if events and len(events) == 1 and events[0] in spec.event_slugs:
            name = spec.event_slugs[events[0]]
            found |= {f"event {name}": topic, f"{LAST}event {name}": silence}
    return found
