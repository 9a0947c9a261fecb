"""Which groups are the core, by a rule, and why none is where none is."""

from __future__ import annotations

from collections.abc import Sequence

from features.dictionary import phrase
from features.spec import FeatureSpec
from training.groups_model import Named
from training.groups_profile import MEDIUM, SMALL, Profile, oriented

MUCH = 2.0  # value of a user of the group by that of another
MOST_USERS = 0.5  # a majority is no core


def is_core(profile: Profile, spec: FeatureSpec) -> bool:
    """Active more often and more lately than the others, worth twice as much a user (on a log
    without amounts: doing twice as much), not lapsed, and no more than half of the users."""
    return _comes_near(profile) and not lapsed(profile, spec) and profile.share <= MOST_USERS


def _comes_near(profile: Profile) -> bool:
    often, late = (_effect(profile, behaviour) for behaviour in ("frequency", "recency"))
    part = profile.activity_share if profile.value_share is None else profile.value_share
    mine, theirs = (part or 0.0) * (1 - profile.share), (1 - (part or 0.0)) * profile.share
    return often >= MEDIUM and late >= SMALL and mine >= MUCH * theirs


def _effect(profile: Profile, behaviour: str) -> float:
    """Towards more of the behaviour; 0 where the log does not tell."""
    typical = profile.behaviour.get(behaviour)
    return 0.0 if typical is None else oriented(typical)


def lapsed(profile: Profile, spec: FeatureSpec) -> bool:
    """Whether the median user has been silent for a churn horizon."""
    silence = profile.behaviour.get("recency")
    horizon = spec.definitions.churn.horizon_days
    return silence is not None and silence.known > 0 and (silence.median or 0.0) >= horizon


def core_note(profiles: Sequence[Profile], names: Sequence[Named], spec: FeatureSpec) -> list[str]:
    """Why no group is core, where there are several and none is."""
    if len(names) <= 1 or any(one.core for one in names):
        return []
    near = [(p, n) for p, n in zip(profiles, names, strict=True) if _comes_near(p)]
    if not near:
        return [
            "no group is core: none is active more often and more lately than the others and "
            f"worth {MUCH:g} times as much a user"
        ]
    profile, named = near[0]
    lacks = f"holds {profile.share:.0%} of the users; more --groups cut finer"
    if lapsed(profile, spec):
        silence = profile.behaviour["recency"]
        lacks = (
            f"its typical user was {phrase(silence.feature, silence.median, spec)}, beyond the "
            f"churn horizon of {spec.definitions.churn.horizon_days} days"
        )
    return [f"no group is core: '{named.name}' comes nearest, but {lacks}"]
