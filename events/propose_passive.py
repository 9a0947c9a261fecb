"""Kinds of event that are done to a user: mail that is sent, interest that is credited.

They go on when nobody is there any more, so they say nothing of whether somebody is.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from events.propose_words import words_of

CARRIERS = (
    *("mail", "email", "sms", "push", "notification", "newsletter", "mailing", "reminder"),
    *("campaign", "letter", "voucher", "coupon"),
)
SENT = ("sent", "send", "deliver", "bounce", "queue", "dispatch", "schedul", "target")
ALONE = ("delivered", "bounced", "shipped", "dispatched", "expired")  # whatever it is
READ = ("open", "click", "read")  # who has something that was sent does so
BY_NAME, AT_ONCE = "done to the user, by its name", "done to the user: it comes to all at once"
_LEAST_USERS = 5
_SAME_INSTANT = 0.95  # of those who get it at all at that time
_ROWS = 0.9
_FEW_INSTANTS = 0.2
_ALL_USERS = 0.9


def passive_kinds(log: pl.DataFrame, times: Mapping[str, str]) -> Mapping[str, str]:
    """Kind -> why, in words. None where what is left would not tell of nearly all users.

    `log`: as of `propose_users.some_users`. `times`: what the column of times is called of a kind
    that is a file's: `delivered_at` of `pushes`.
    """
    instants = log["ts"].n_unique()
    named = log.drop_nulls("event").sort("event").partition_by("event", maintain_order=True)
    by_kind = {str(rows["event"][0]): rows for rows in named}
    why = {kind: AT_ONCE for kind, rows in by_kind.items() if _at_once(rows, instants)}
    why |= {k: BY_NAME for k in by_kind if _called_so(k, times.get(k, ""), list(by_kind))}
    left = log.filter(~pl.col("event").is_in(list(why)).fill_null(value=False))
    if left["user"].n_unique() < _ALL_USERS * log["user"].n_unique():
        return {}
    return why


def _called_so(kind: str, time: str, kinds: list[str]) -> bool:
    words = words_of(kind)
    if words[-1:] and words[-1] in ALONE:
        return True
    if not _begins(words + words_of(time), SENT):
        return False
    return _begins(words, CARRIERS) or (
        len(words) == 1 and any(_begins(words_of(other), READ) for other in kinds)
    )


def _begins(words: list[str], stems: tuple[str, ...]) -> bool:
    return any(word.startswith(stem) for word in words for stem in stems)


def _at_once(rows: pl.DataFrame, instants: int) -> bool:
    """Whether nine of ten rows lie at a few of the log's instants, each of nearly all who get it
    then: of all whose first row is not later, and whose last is not earlier."""
    by_user = rows.group_by("user").agg(first=pl.col("ts").min(), last=pl.col("ts").max())
    there = rows.group_by("ts").agg(users=pl.col("user").n_unique(), rows=pl.len()).sort("ts")
    begun = by_user["first"].sort().search_sorted(there["ts"], side="right")
    ended = by_user["last"].sort().search_sorted(there["ts"], side="left")
    full = there.with_columns(live=begun - ended).filter(
        (pl.col("users") >= _LEAST_USERS) & (pl.col("users") >= _SAME_INSTANT * pl.col("live"))
    )
    return (
        len(full) > 1
        and int(full["rows"].sum()) >= _ROWS * len(rows)
        and len(full) <= _FEW_INSTANTS * instants
    )
