"""Who did what when, of some of the users: their whole history, from the whole files.

The first rows of a log that lies in order of time are of a few days, in which nobody is silent for
long and hardly anybody leaves; what churn could mean is not to be read off them.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from events.columns import as_amount, nulled
from events.propose_column import Column
from events.propose_look import Look, parsed, texts_of
from events.propose_plan import Plan
from events.propose_roles import Roles
from events.readers import read
from events.timestamps import TIME
from runtime.progress import progress

MOST_ROWS = 1_000_000  # kept: of more the users are halved
SCHEMA = {"user": pl.String(), "ts": TIME, "event": pl.String(), "amount": pl.Float64()}


def some_users(plan: Plan, most_rows: int = MOST_ROWS) -> pl.DataFrame:
    """Columns user, ts, event and amount: every row of some users, of all where `most_rows` hold
    them.

    Rows without a user or a time that can be read are left out; an amount that cannot is null. The
    event of a source without a column of events is its name, where there are several.
    """
    kept, held, halved = [], 0, 0
    with progress("looking at the files", None, "rows") as advance:
        for rows in _rows(plan):
            advance(len(rows))
            kept.append(rows.filter(_is_among(halved)).drop_nulls(["user", "ts"]))
            held += len(kept[-1])
            while held > most_rows:
                halved += 1
                kept = [rows.filter(_is_among(halved)) for rows in kept]
                held = sum(map(len, kept))
    return pl.concat([pl.DataFrame(schema=SCHEMA), *kept])


def _is_among(halved: int) -> pl.Expr:
    return pl.col("user").hash(0) % (1 << halved) == 0


def _rows(plan: Plan) -> Iterator[pl.DataFrame]:
    for source in plan.sources:
        named = source.name if len(plan.sources) > 1 else None
        for look in source.looks:
            if look.whole or source.joined:
                texts = [column.text for column in look.columns]
                yield _who_did_what(pl.DataFrame(texts), look, source.roles, named)
                continue
            for path in look.paths:
                for batch in read(path, look.layout):
                    yield _who_did_what(texts_of(batch.rows), look, source.roles, named)


def _who_did_what(texts: pl.DataFrame, look: Look, roles: Roles, named: str | None) -> pl.DataFrame:
    assert roles.user_id is not None
    assert roles.ts is not None
    time = look.column(roles.ts)
    assert time.time_format is not None
    event = look.column(roles.event) if roles.event else None
    amount = look.column(roles.amount) if roles.amount else None
    nothing = pl.Series([None] * len(texts))
    columns = {
        "user": _text(texts, look.column(roles.user_id)),
        "ts": parsed(_text(texts, time), time.time_format).cast(TIME),
        "event": _text(texts, event) if event else pl.Series([named] * len(texts)),
        "amount": _number(_text(texts, amount), amount.decimal) if amount else nothing,
    }
    return pl.DataFrame(columns, schema_overrides=SCHEMA)


def _number(values: pl.Series, decimal: str) -> pl.Series:
    name = values.name
    return values.to_frame().select(as_amount(name, pl.String(), decimal)).to_series()


def _text(texts: pl.DataFrame, column: Column) -> pl.Series:
    """The column with its words for none as null; null where a row of JSON does not have it."""
    if column.name not in texts.columns:
        return pl.Series([None] * len(texts), dtype=pl.String())
    return nulled(texts.select(column.name), ("", *column.null_words)).to_series()
