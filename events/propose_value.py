"""Which events bring money in a log whose amounts stand beside others too.

The price of what was only looked at, or put into a cart, is nobody's revenue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from events.columns import as_amount
from events.propose_churn import active_days, length, longest_horizon, speaks_of
from events.propose_plan import Plan, SourcePlan

BUYS = (
    *("purchas", "buy", "bought", "order", "pay", "paid", "sale", "sold", "transaction"),
    *("invoice", "charge", "renew", "deposit", "topup", "kauf", "bestell", "compra"),
)
NOT_YET = (
    *("view", "click", "cart", "wish", "fail", "cancel", "start", "begin", "initiat", "add"),
    *("declin", "abandon", "search", "intent", "pending", "select", "page", "remove"),
)
_REGULAR = 0.1
_MOST_ALIKE = 0.5
_LEAST_PERIOD = 7  # days: a shorter rhythm is no subscription's


def paying_events(plan: Plan) -> tuple[str, ...]:
    """Those that are called purchases, and those that take money back; none where every event with
    an amount is one, or no name tells."""
    with_amounts = [pair for source in plan.sources for pair in _amounts(source, plan)]
    names = sorted({name for name, _ in with_amounts})
    bought = [n for n in names if speaks_of(n, BUYS) and not speaks_of(n, NOT_YET)]
    if not bought:
        return ()
    refunds = sorted({name for name, least in with_amounts if least < 0} - set(bought))
    found = (*bought, *refunds)
    return () if set(found) == set(names) else found


@dataclass(frozen=True)
class Payments:
    """`apart`: days from a user's payment to the next, the median. `regular`: half of all are
    within a tenth of it, as of a subscription. `events`: the names of those that are payments."""

    apart: float
    regular: bool
    events: tuple[str, ...]


def payments_in(log: pl.DataFrame, events: Sequence[str]) -> Payments | None:
    """None where nobody pays on two days.

    `log`: as of `some_users`; `events`: those that bring money, all with an amount where empty.
    """
    paid = log.filter(pl.col("amount") > 0)
    if events:
        paid = paid.filter(pl.col("event").is_in(events))
    gaps = active_days(paid)["gap"].drop_nulls()
    if not len(gaps):
        return None
    apart = float(gaps.quantile(0.5) or 1.0)
    near = ((gaps - apart).abs() <= apart * _REGULAR).mean()
    regular = apart >= _LEAST_PERIOD and isinstance(near, float) and near >= _MOST_ALIKE
    return Payments(apart, regular, tuple(paid["event"].drop_nulls().unique().sort()))


def value_horizon(log: pl.DataFrame, payments: Payments | None, churn_days: int) -> int:
    """Churn's, or a longer one in which who pays as usual pays once."""
    if payments is None:
        return churn_days
    return max(churn_days, length(payments.apart, longest_horizon(log)))


def _amounts(source: SourcePlan, plan: Plan) -> Sequence[tuple[str, float]]:
    """Names of events with an amount that is not 0 in what was looked at, and the least of each."""
    roles, amount = source.roles, source.column(source.roles.amount)
    if amount is None:
        return ()
    if roles.event is None:
        return ((source.name, 0.0),) if len(plan.sources) > 1 else ()
    rows = pl.DataFrame({"event": source.values(roles.event), "v": source.values(amount.name)})
    read = rows.select("event", amount=as_amount("v", pl.String(), amount.decimal))
    some = read.drop_nulls().filter(pl.col("amount").is_finite() & (pl.col("amount") != 0))
    return some.group_by("event").agg(pl.col("amount").min()).rows()
