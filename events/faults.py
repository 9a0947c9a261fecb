"""What makes a row unusable, and the words for it."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from events.columns import EXACT_FLOAT, as_amount, as_clock, as_text, lost_digits
from events.mapping import SourcePlan, event_name
from runtime.clock import show

MOST_SHOWN = 100  # characters of a value in a reason
RAW = "raw "  # before the name of a column as it came, beside the contract's


@dataclass(frozen=True)
class Fault:
    """What makes a row unusable, and the words for it, with `value` in their braces. Both look
    at the contract's columns and, under RAW, at the source's."""

    bad: pl.Expr
    pattern: str
    value: pl.Expr | None = None

    @property
    def words(self) -> pl.Expr:
        """Null where the row has not this fault."""
        if self.value is None:
            return pl.when(self.bad).then(pl.lit(self.pattern))
        shown = self.value.str.slice(0, MOST_SHOWN)
        return pl.when(self.bad).then(pl.format(self.pattern, shown))


def faults_of(schema: pl.Schema, plan: SourcePlan) -> list[Fault]:
    """In the order in which they are told: of several the first."""
    return [*_user_faults(schema, plan), *_time_faults(schema, plan), *_other_faults(schema, plan)]


def _value(column: str, schema: pl.Schema) -> pl.Expr:
    if column not in schema:
        return pl.lit(None, pl.String())
    dtype = schema[column]
    if dtype.is_float():  # NaN and infinity by name
        return pl.col(RAW + column).cast(pl.String())
    return as_text(RAW + column, dtype)


def _missing(column: str, schema: pl.Schema) -> pl.Expr:
    """Whether there is no value: what `_value(...).is_null()` says, without making the text."""
    return pl.col(RAW + column).is_null() if column in schema else pl.lit(value=True)


def _user_faults(schema: pl.Schema, plan: SourcePlan) -> list[Fault]:
    column, user = plan.source.columns.user_id, pl.col("user_id")
    faults = []
    if column in schema and schema[column].is_float():
        inexact = lost_digits(RAW + column, schema[column])
        pattern = f"user id {{}} in '{_braced(column)}' is a float beyond {EXACT_FLOAT}, inexact"
        faults.append(Fault(inexact, pattern, _value(column, schema)))
    blank = user.is_null() | (user.str.strip_chars() == "")
    return [*faults, Fault(blank, f"the user id in '{column}' is empty")]


def _time_faults(schema: pl.Schema, plan: SourcePlan) -> list[Fault]:
    column, received = plan.source.columns.ts, plan.source.columns.received
    empty = Fault(_missing(column, schema), f"the time in '{column}' is empty")
    faults = [
        empty,
        *_clock_faults(schema, plan),
        *_of_time("ts", "time", column, plan.time_format, schema, plan),
    ]
    if received is None or received not in schema or plan.received_format is None:
        return faults
    arrival = _of_time("received", "arrival", received, plan.received_format, schema, plan)
    return [*faults, *arrival]


def _clock_faults(schema: pl.Schema, plan: SourcePlan) -> list[Fault]:
    column = plan.source.columns.clock
    if column is None:
        return []
    empty = Fault(_missing(column, schema), f"the time of day in '{column}' is empty")
    if column not in schema:
        return [empty]
    unread = as_clock(RAW + column, schema[column]).is_null() & ~_missing(column, schema)
    pattern = f"unreadable time of day '{{}}' in '{_braced(column)}'; expected 16:31 or 1631"
    return [empty, Fault(unread, pattern, _value(column, schema))]


def _of_time(
    name: str, words: str, column: str, time_format: str, schema: pl.Schema, plan: SourcePlan
) -> list[Fault]:
    """The faults of a time that is there, in the contract's column `name`."""
    text, time, named = _value(column, schema), pl.col(name), f"in '{_braced(column)}'"
    unread = f"unreadable {words} '{{}}' {named}; expected {_braced(time_format)}"
    early = f"{words} '{{}}' {named} is before events.earliest, {show(plan.earliest)}"
    late = f"{words} '{{}}' {named} is not before events.latest, {show(plan.latest)}"
    return [
        Fault(time.is_null() & ~_missing(column, schema), unread, text),
        Fault(time < plan.earliest, early, text),
        Fault(time >= plan.latest, late, text),
    ]


def _other_faults(schema: pl.Schema, plan: SourcePlan) -> list[Fault]:
    columns = plan.source.columns
    amount, quantity = columns.amount, columns.quantity
    faults = []
    for words, column in (("quantity", quantity), ("amount", amount)):
        if column is not None and column in schema:
            number = as_amount(RAW + column, schema[column], plan.source.decimal)
            read = pl.col("amount") if quantity is None else number  # read already
            faults += _of_number(words, column, read, schema)
    if quantity is not None:
        words = f"'{amount}' times '{quantity}' is not finite"
        faults.append(Fault(~pl.col("amount").is_finite(), words))
    if event_name(plan.source) is None:
        faults.append(Fault(pl.col("event").is_null(), f"the event in '{columns.event}' is empty"))
    return faults


def _of_number(words: str, column: str, number: pl.Expr, schema: pl.Schema) -> list[Fault]:
    named, text = f"{words} '{{}}' in '{_braced(column)}'", _value(column, schema)
    unread = number.is_null() & ~_missing(column, schema)
    return [
        Fault(unread, f"{named} is not a number", text),
        Fault(~number.is_finite(), f"{named} is not finite", text),
    ]


def _braced(text: str) -> str:
    """For a pattern of pl.format, where braces stand for values."""
    return text.replace("{", "{{").replace("}", "}}")
