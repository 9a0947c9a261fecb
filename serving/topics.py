"""Which features say the same thing, so that three reasons say three different ones."""

from __future__ import annotations

import re
from collections.abc import Sequence

from features.naming import slug
from features.spec import FeatureSpec

# The first pattern that fits a feature's name decides; a group in it is part of the topic.
PATTERNS = (
    (r"recency_days|gap_now_over_\w+", "silence"),
    (r"purchase_recency_days", "last purchase"),
    (r"gap_\w+", "pace"),
    (r"(?:events|active_days|sessions)_(?:total|\d+d)|active_day_share", "activity"),
    (r"(?:purchases|amount)_(?:total|\d+d)", "buying"),
    (r"amount_(?:mean|max|deviation)(?:_\d+d)?", "basket"),
    (r"tenure_days|purchase_tenure_days|events_first_week", "tenure"),
    (r"\w+_change_\w+|last_week_over_first", "trend"),
    (r"session_(?:minutes|depth)_\w+|events_per_active_day", "depth"),
    (r"kinds_\w+", "breadth"),
    (r"event_(?:total|share|days_since|\d+d)_(.+)", "event"),
    (r"channel_(?:share|\d+d)_(.+)", "channel"),
    (r"(?:weekend|night|morning|afternoon|evening)_share", "time of day and week"),
)
# On a log of one kind of event, being active and buying are one thing.
ONE_KIND = {"last purchase": "silence", "buying": "activity"}


def topics(names: Sequence[str], spec: FeatureSpec) -> tuple[str, ...]:
    """A topic for each feature name; a name that fits no pattern is a topic of its own."""
    merged = _same_events(spec)
    return tuple(merged.get(found, found) for name in names for found in [_topic(name, spec)])


def _topic(name: str, spec: FeatureSpec) -> str:
    for pattern, topic in PATTERNS:
        if found := re.fullmatch(pattern, name):
            return " ".join((topic, *found.groups()))
    for attribute in sorted(spec.attributes, key=lambda a: -len(a.name)):
        if name.startswith(f"user_{slug(attribute.name)}"):
            return f"attribute {attribute.name}"
    return name


def _same_events(spec: FeatureSpec) -> dict[str, str]:
    """Topics of events that another topic already counts: the one that is activity, or value."""
    if not spec.has_events:
        return ONE_KIND
    merged = {}
    for events, topic in (
        (spec.definitions.value.events, "buying"),
        (spec.definitions.activity.events, "activity"),
    ):
        if events and len(events) == 1 and events[0] in spec.event_slugs:
            merged[f"event {spec.event_slugs[events[0]]}"] = topic
    return merged
