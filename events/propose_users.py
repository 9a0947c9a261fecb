"""Who did what when, of some of the users: their whole history, from the whole files.

The first rows of a log that lies in order of time are of a few days, in which nobody is silent for
long and hardly anybody leaves; what churn could mean is not to be read off them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from events.columns import as_amount, nulled
from events.propose_look import Look, parsed, texts_of
from events.propose_plan import Plan, SourcePlan
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
        for source, look, batch in _batches(plan):
            advance(len(batch))
            known = batch.select(set(_needed(source.roles)) & set(batch.columns))
            if source.roles.user_id not in known.columns:
                continue
            users = texts_of(known.select(source.roles.user_id))  # texts of times take their time
            ids = _text(users, look, source.roles.user_id)
            among = known.filter(_is_among(halved, ids))
            named = source.name if len(plan.sources) > 1 else None
            rows = _who_did_what(texts_of(among), look, source.roles, named)
            kept.append(rows.drop_nulls(["user", "ts"]))
            held += len(kept[-1])
            while held > most_rows:
                halved += 1
                kept = [rows.filter(_is_among(halved, rows["user"])) for rows in kept]
                held = sum(map(len, kept))
    return pl.concat([pl.DataFrame(schema=SCHEMA), *kept])


def _needed(roles: Roles) -> Sequence[str]:
    found = (roles.user_id, roles.ts, roles.event, roles.amount)
    return [name for name in found if name]


def _is_among(halved: int, users: pl.Series) -> pl.Series:
    return users.hash(0) % (1 << halved) == 0


def _batches(plan: Plan) -> Iterator[tuple[SourcePlan, Look, pl.DataFrame]]:
    for source in plan.sources:
        for look in source.looks:
            if look.whole or source.joined:
                yield source, look, pl.DataFrame([column.text for column in look.columns])
                continue
            for path in look.paths:
                for batch in read(path, look.layout):
                    yield source, look, batch.rows


def _who_did_what(texts: pl.DataFrame, look: Look, roles: Roles, named: str | None) -> pl.DataFrame:
    assert roles.ts is not None
    time = look.column(roles.ts)
    assert time.time_format is not None
    amount = look.column(roles.amount) if roles.amount else None
    columns = {
        "user": _text(texts, look, roles.user_id),
        "ts": parsed(_text(texts, look, roles.ts), time.time_format).cast(TIME),
        "event": _text(texts, look, roles.event, named),
        "amount": _number(_text(texts, look, roles.amount), amount.decimal if amount else "."),
    }
    return pl.DataFrame(columns, schema_overrides=SCHEMA)


def _number(values: pl.Series, decimal: str) -> pl.Series:
    name = values.name
    return values.to_frame().select(as_amount(name, pl.String(), decimal)).to_series()


def _text(texts: pl.DataFrame, look: Look, name: str | None, value: str | None = None) -> pl.Series:
    """The column with its words for none as null, null where a row of JSON does not have it;
    `value` of each row where no column is named."""
    if name is None or name not in texts.columns:
        constant = value if name is None else None
        return pl.Series(name or "", [constant], dtype=pl.String()).new_from_index(0, len(texts))
    return nulled(texts.select(name), ("", *look.column(name).null_words)).to_series()
