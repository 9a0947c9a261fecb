"""Which start leads to which step, instant by instant, in each of the three orders."""

from __future__ import annotations

from itertools import combinations

import polars as pl

from retention.funnel_instants import (
    NEVER,
    NO_START,
    PERSON,
    Marks,
    carried_down,
    changes,
    in_range,
    just_before,
    micros,
    new_and_repeated,
)
from retention.steps import FunnelQuestion

OPEN = "open"


def at_of(step: int) -> str:
    return f"at_{step}"


def start_of(step: int) -> str:
    return f"start_{step}"


def reached(rows: pl.LazyFrame, asked: FunnelQuestion, marks: Marks) -> pl.LazyFrame:
    """One row for each person who starts.

    Columns: person; for each step k from 0 `at_k` (its first completion) and `start_k` (the
    latest start that leads to it), null where it is not reached, microseconds since 1970;
    `open`: whether an unbroken attempt has time left.

    `rows`: the instants. Carried from one to the next is only the latest start: where its window
    is over, every earlier one's is, and where an exclusion has come since it reached a step, one
    has come since the others did. So within a person it never falls.
    """
    orders = {"any": _any_order, "strict": _strict, "sequential": _sequential}
    starts = [start_of(step) for step in range(len(asked.steps))]
    found = orders[asked.order](rows, asked, marks)
    found = found.filter(pl.col(OPEN) | pl.any_horizontal(pl.col(starts).is_not_null()))
    people = found.group_by(PERSON).agg(
        *(
            pl.when(pl.col(start).is_not_null()).then(pl.col("at")).min().alias(at_of(step))
            for step, start in enumerate(starts)
        ),
        *(pl.col(start).min() for start in starts),
        pl.col(OPEN).max(),
    )
    return people.filter(pl.col(starts[0]).is_not_null())


def _sequential(rows: pl.LazyFrame, asked: FunnelQuestion, marks: Marks) -> pl.LazyFrame:
    """The instants that tell, with `start_k` where k may have been reached for the first time.

    What no later step needs is dropped on the way.
    """
    rows = rows.with_columns(start=_first(asked, marks), open=pl.lit(value=False))
    for step in range(1, len(asked.steps)):
        # An exclusion lets go of the starts that reached the step before at an earlier instant.
        ends = changes([PERSON]) | marks(asked.excluded(step))
        carried = pl.coalesce("start", pl.when(ends).then(NO_START)).forward_fill()
        rows = rows.with_columns(carried=carried)
        rows = rows.with_columns(
            _in_time("carried", asked, changes([PERSON], after=True)),
            before=just_before(pl.col("carried")),
        )
        rows = _on(rows, asked, step, marks, pl.col("before") == NEVER)
    return rows.rename({"start": start_of(len(asked.steps) - 1)})


def _strict(rows: pl.LazyFrame, asked: FunnelQuestion, marks: Marks) -> pl.LazyFrame:
    """As above, where the instant before is the only one that leads on."""
    number = pl.col("number")
    rows = rows.with_columns(
        number=pl.col("at").is_not_null().cum_sum().cast(pl.Int64),
        last=changes([PERSON], after=True),
        start=_first(asked, marks),
        open=pl.lit(value=False),
    ).filter(pl.any_horizontal(list(marks.made())))
    for step in range(1, len(asked.steps)):
        follows = ~changes([PERSON]) & (number == number.shift(1) + 1)
        rows = rows.with_columns(
            _in_time("start", asked, pl.col("last")),
            before=pl.when(follows).then(pl.col("start").shift(1)),
        )
        rows = _on(rows, asked, step, marks, pl.col("before").is_null())
    return rows.rename({"start": start_of(len(asked.steps) - 1)})


def _on(
    rows: pl.LazyFrame, asked: FunnelQuestion, step: int, marks: Marks, first: pl.Expr
) -> pl.LazyFrame:
    """From the step before to this one; of the former's completions those are noted that have
    no other right `before` them, among which is the first of all."""
    here = pl.when(pl.col("start").is_not_null() & first).then(pl.col("start"))
    rows = rows.with_columns(_next(asked, step, marks), here.alias(start_of(step - 1)))
    return rows.filter(_needed(asked, step, marks))


def _first(asked: FunnelQuestion, marks: Marks) -> pl.Expr:
    return pl.when(marks(asked.steps[0]) & in_range(asked)).then(pl.col("at"))


def _next(asked: FunnelQuestion, step: int, marks: Marks) -> pl.Expr:
    """`start` of this step, of those of the step before: at the instant itself, unless the
    event's name was a step before (no event is counted twice), or from an instant before."""
    new, repeated = new_and_repeated(asked, step)
    lead = pl.coalesce("start", "before")
    if repeated:
        lead = pl.when(marks(new)).then(lead).otherwise(pl.col("before"))
    done = marks(new) | marks(repeated)
    return pl.when(done & (pl.col("at") - lead < asked.within_us)).then(lead).alias("start")


def _needed(asked: FunnelQuestion, step: int, marks: Marks) -> pl.Expr:
    """Whether the instant says anything of the steps after this one, or has been noted."""
    needed = pl.col(OPEN) | pl.col("start").is_not_null()
    for earlier in range(step):
        needed |= pl.col(start_of(earlier)).is_not_null()
    for later in range(step + 1, len(asked.steps)):
        for names in (*new_and_repeated(asked, later), asked.excluded(later)):
            needed |= marks(names)
    return needed


def _in_time(start: str, asked: FunnelQuestion, last: pl.Expr) -> pl.Expr:
    """`open`: whether what stands at the person's last instant has time left."""
    in_time = pl.col(start) + asked.within_us > micros(asked.covered_until)
    return (pl.col(OPEN) | (last & in_time.fill_null(value=False))).alias(OPEN)


def _any_order(rows: pl.LazyFrame, asked: FunnelQuestion, marks: Marks) -> pl.LazyFrame:
    """At each instant, for each step the last time that it was done; of a step written n times
    the last n times. The k-th latest of these is the latest start with k steps since."""
    done, excluded = marks(asked.events), marks(asked.excluded(1))
    rows, names = _last_times(rows, asked, marks)
    rows = _falling(rows, names).with_columns(
        latest=carried_down(pl.col("at"), done & in_range(asked)),
        broken=carried_down(pl.col("at"), excluded),
    )
    # Nothing but a start in the range counts, and none that an exclusion lies after.
    earliest = NEVER if asked.since is None else micros(asked.since)
    in_time = pl.col("at") - asked.within_us + 1
    rows = rows.with_columns(intact=pl.max_horizontal(just_before(pl.col("broken")), in_time))
    starts = {}
    for step, name in enumerate(names):
        start = pl.min_horizontal(name, "latest")
        valid = done & (pl.col(name) >= earliest) & (start >= pl.col("intact"))
        starts[start_of(step)] = pl.when(valid).then(start)
    whole = changes([PERSON], after=True) & (pl.col("latest") >= pl.col("broken"))
    rows = rows.with_columns(**starts, open=pl.lit(value=False))
    rows = rows.with_columns(_in_time("latest", asked, whole))
    again = ~changes([PERSON]) & pl.col(*starts).shift(1).is_not_null()
    return rows.with_columns(pl.when(~again).then(pl.col(*starts)))


def _last_times(
    rows: pl.LazyFrame, asked: FunnelQuestion, marks: Marks
) -> tuple[pl.LazyFrame, list[str]]:
    """A column for each step: when it was last done; where it is written before, the time before
    that of the one written before."""
    names: list[str] = []
    last: dict[frozenset[str], str] = {}
    for number, step in enumerate(asked.steps):
        name, same = f"done_{number}", last.get(frozenset(step))
        value = pl.col("at") if same is None else just_before(pl.col(same))
        rows = rows.with_columns(carried_down(value, marks(step)).alias(name))
        names.append(name)
        last[frozenset(step)] = name
    return rows, names


def _falling(rows: pl.LazyFrame, names: list[str]) -> pl.LazyFrame:
    """The columns' values sorted in each row, the largest in the first."""
    for one, other in combinations(names, 2):
        rows = rows.with_columns(
            pl.max_horizontal(one, other).alias(one), pl.min_horizontal(one, other).alias(other)
        )
    return rows
