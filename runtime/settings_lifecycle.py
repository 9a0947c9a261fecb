"""[lifecycle]: the rules by which users are laid in layers and tagged, and the cells of RFM."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from runtime.rules import measures_in, read_rule, shares_in
from runtime.settings_base import Days, Section

# What a rule can be about: a user at an instant t, told by what was known before t alone.
MEASURES = {
    "tenure_days": "days since the first event",
    "recency_days": "days since the last activity: the present silence",
    "active_days": "calendar days with an activity, ever",
    "active_days_recent": "of these, in the last window_days",
    "active_days_before": "of these, in the window_days before the last window_days",
    "activities_recent": "activities in the last window_days",
    "trend": "(recent - before) / (recent + before) active days: -1 stopped, 0 steady, 1 begun; "
    "unknown until tenure is two windows",
    "usual_gap_days": "the user's usual time from one active day to the next: the mean of the "
    "user's own gaps and one typical gap of everybody's",
    "gap_ratio": "recency_days / usual_gap_days: how many usual gaps the user has been silent",
    "population_gap_days": "the typical gap: the median of the users' own mean gaps; the churn "
    "horizon while nobody has come back yet",
    "horizon_days": "churn.horizon_days",
    "orders": "value events with an amount, ever",
    "orders_recent": "of these, in the last window_days",
    "value_total": "their amounts, ever",
    "value_recent": "their amounts in the last window_days",
    "value_rank": "the share of users who have brought less value, in the steps that the rules "
    "name; unknown while nobody has brought any",
    "activity_rank": "the share of users with fewer activities_recent, in the steps that the rules "
    "name",
}
RANKS = ("value_rank", "activity_rank")
OTHER = "other"
MOST_LAYERS = 12
MOST_TAGS = 6


class Rule(Section):
    """`rule`: SQL of MEASURES, true or false of a user; an unknown measure makes it false.
    `says`: the same in words."""

    name: str = Field(min_length=1, max_length=40)
    rule: str = Field(min_length=1, max_length=500)
    says: str = ""

    @model_validator(mode="after")
    def _can_be_told(self) -> Self:
        read_rule(self.rule, MEASURES)
        if any(rank in measures_in(self.rule) for rank in RANKS) and not shares_in(self.rule):
            raise ValueError(f"'{self.rule}': compare a rank with a share, as in '>= 0.9'")
        return self


LAYERS = (
    Rule(
        name="new",
        rule="tenure_days < greatest(2 * population_gap_days, horizon_days / 4)",
        says="first seen less than two typical gaps ago, or less than a quarter of the churn "
        "horizon: too early to be missed",
    ),
    Rule(
        name="silent",
        rule="gap_ratio >= 4 and recency_days >= horizon_days",
        says="silent for a whole churn horizon and for four of the user's usual gaps",
    ),
    Rule(
        name="at risk",
        rule="gap_ratio >= 2",
        says="silent for twice as long as usual for this user",
    ),
    Rule(
        name="VIP",
        rule="coalesce(value_rank, activity_rank) >= 0.9",
        says="keeps coming, and at least 90 % of users have brought less (in a log without "
        "amounts: have done less lately)",
    ),
    Rule(
        name="active",
        rule="gap_ratio < 2",
        says="comes as often as usual",
    ),
)
TAGS = (
    Rule(
        name="newcomer",
        rule="tenure_days < greatest(2 * population_gap_days, horizon_days / 4)",
        says="first seen less than two typical gaps ago, or less than a quarter of the churn "
        "horizon",
    ),
    Rule(
        name="loyal",
        rule="gap_ratio < 2 and active_days >= 4 and usual_gap_days <= 2 * population_gap_days "
        "and tenure_days >= 4 * population_gap_days",
        says="keeps coming: on four days or more, no more than two typical gaps apart, and known "
        "for four typical gaps",
    ),
    Rule(
        name="at risk",
        rule="(gap_ratio >= 2 or (trend <= -0.5 and active_days_before >= 3)) "
        "and not (gap_ratio >= 4 and recency_days >= horizon_days)",
        says="silent for twice as long as usual, or active on a third of the days of the window "
        "before or fewer; not yet silent for good",
    ),
    Rule(
        name="high potential",
        rule="gap_ratio < 2 and coalesce(value_rank, activity_rank) < 0.9 "
        "and (activity_rank >= 0.75 or (trend >= 0.5 and active_days_recent >= 3))",
        says="keeps coming, not among the top tenth yet, but does more lately than 75 % of users "
        "or is active on three times as many days as in the window before",
    ),
)


class Rfm(Section):
    """`parts`: scores 1 to so many, by quantiles; where edges are stated, one more than edges.
    `window_days`: purchases of so many days before the instant; ever, when left out.

    Edges rise. Recency in whole days: 5 below the first edge, 1 from the last on. Frequency and
    monetary: 1 below the first edge, 5 from the last on."""

    parts: int = Field(default=5, ge=2, le=10)
    window_days: Days | None = None
    recency_edges: tuple[float, ...] | None = None
    frequency_edges: tuple[float, ...] | None = None
    monetary_edges: tuple[float, ...] | None = None

    @model_validator(mode="after")
    def _rising(self) -> Self:
        for name in ("recency_edges", "frequency_edges", "monetary_edges"):
            edges = getattr(self, name)
            if edges is None:
                continue
            if not edges or list(edges) != sorted(set(edges)):
                raise ValueError(f"{name} {list(edges)} must rise, as in [7, 30, 90, 180]")
            if len(edges) > 9:  # noqa: PLR2004 - ten scores, as with `parts`
                raise ValueError(f"{name} has {len(edges)} edges; give 9 at most")
        return self


class Lifecycle(Section):
    """`period`: how long one is. `window_days`: what 'recent' means in MEASURES; default
    churn.horizon_days. `layers`: the first rule that holds is a user's layer, 'other' where none
    does. `tags`: every one whose rule holds."""

    period: Literal["day", "week", "month"] = "week"
    window_days: Days | None = None
    layers: tuple[Rule, ...] = Field(default=LAYERS, min_length=1, max_length=MOST_LAYERS)
    tags: tuple[Rule, ...] = Field(default=TAGS, max_length=MOST_TAGS)
    rfm: Rfm = Rfm()

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        for kind, rules in (("layers", self.layers), ("tags", self.tags)):
            names = [rule.name for rule in rules]
            if len(set(names)) < len(names):
                raise ValueError(f"two {kind} share a name; found {', '.join(names)}")
            if OTHER in names:
                raise ValueError(f"'{OTHER}' is who fits no rule; give that one of {kind} a name")
        return self
