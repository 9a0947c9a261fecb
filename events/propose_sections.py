"""The sections of a proposed holdfast.toml that say what users' behaviour means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from events.propose_churn import Churn
from events.propose_plan import Plan, SourcePlan
from events.propose_value import Payments
from events.propose_words import listed, quoted

SEVERAL = 2
SHOWN_KINDS = 8


def activity_section(plan: Plan, churn: Churn, passive: Mapping[str, str]) -> str:
    """What counts as the user being active, and a question where there are several kinds.

    `passive`: as of `propose_passive.passive_kinds`.
    """
    excluded = [*churn.events, *passive]
    if excluded:
        lines = [f"# {kind}: {why}." for kind, why in _reasons(churn, passive)]
        return "\n".join(["[activity]", *lines, f"exclude = {listed(excluded)}", ""])
    kinds = [kind for source in plan.sources for kind in _kinds(source)]
    if len(kinds) < SEVERAL:
        return ""
    shown = ", ".join(quoted(kind) for kind in kinds[:SHOWN_KINDS])
    more = f" and {len(kinds) - SHOWN_KINDS} more" if len(kinds) > SHOWN_KINDS else ""
    return "\n".join(
        [
            f"# Each of these counts as the user being active: {shown}{more}.",
            "# What others do to the user (mail sent, a bill, interest) should not:",
            "# [activity]",
            "# exclude = [] # name them here",
            "",
        ]
    )


def _reasons(churn: Churn, passive: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is no activity, and why not."""
    if churn.events:
        yield ", ".join(map(quoted, churn.events)), "leaving is no activity"
    for why in sorted(set(passive.values())):
        yield ", ".join(quoted(kind) for kind in passive if passive[kind] == why), why


def _kinds(source: SourcePlan) -> list[str]:
    """Of events, the most frequent first."""
    if source.roles.event is None:
        return [source.name]
    counted = source.values(source.roles.event).drop_nulls().value_counts(name="rows")
    return counted.sort("rows", counted.columns[0], descending=[True, False])[:, 0].to_list()


def eligible_section(churn: Churn) -> str:
    if churn.within_days is None:
        return "# [eligible]\n# within_days = 30 # scores only who was active so lately\n"
    why = "scored is who was active within two horizons"
    return f"[eligible]\nwithin_days = {churn.within_days} # {why}\n"


def churn_section(churn: Churn, payments: Payments | None) -> str:
    lines = ["[churn]", *(f"# {why[0].upper()}{why[1:]}." for why in churn.why)]
    if churn.seen_once:
        lines.append("# HARDLY ANY USER COMES ON TWO DAYS: is user_id that of an order?")
    if churn.kind == "passive" and payments is not None and payments.regular and payments.events:
        period = f"{payments.apart:.0f}"
        lines += [
            f"# Most payments are about {period} days apart. Where churn is that one is missed:",
            f'# kind = "lapse", events = {listed(payments.events)}, period_days = {period} and',
            "# grace_days, those by which a payment may be late.",
        ]
    lines.append(f"kind = {quoted(churn.kind)}")
    if churn.events:
        lines.append(f"events = {listed(churn.events)}")
    if churn.date_column:
        lines.append(f"date_column = {quoted(churn.date_column)}")
    meant = "looked ahead" if churn.kind == "active" else "of silence are churn"
    return "\n".join([*lines, f"horizon_days = {churn.horizon_days} # days {meant}", ""])


def value_section(
    plan: Plan, churn: Churn, paying: Sequence[str], payments: Payments | None, days: int
) -> str:
    if not any(source.roles.amount for source in plan.sources):
        return ""
    lines = ["[value]"]
    if paying:
        lines.append(
            f"events = {listed(paying)} # the amounts of these alone; others have some too"
        )
    why = ""
    if payments is not None and days > churn.horizon_days:
        why = f": a user's payments are {payments.apart:.0f} days apart"
    lines.append(f"horizon_days = {days} # the amounts of so many days ahead{why}")
    return "\n".join([*lines, ""])
