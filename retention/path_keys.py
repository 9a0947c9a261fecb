"""A path as whole numbers: one digit a node, so that paths are counted as numbers are."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from retention.path_question import PathQuestion
from retention.path_rows import micros

_SMALL, _LARGE = 2**31, 2**63
BESIDE = _SMALL  # above every small key: a user's number times this, plus the key, is both


@dataclass(frozen=True)
class Keys:
    """How paths of at most `steps` events in a number system of `base` are laid in whole numbers.

    Digit 0 is the first event (the last, where paths are read backward), digit n the n-th after
    it; the digit after the last event says how the path ends. Words: `key0` holds the first
    `per_word` digits, `key1` the next ones and so on, each with its lowest digit first.
    """

    base: int
    steps: int

    @property
    def digits(self) -> int:
        return self.steps + 1

    @property
    def is_small(self) -> bool:
        """Whether one 32-bit word holds them all."""
        return bool(self.base**self.digits <= _SMALL)

    @property
    def per_word(self) -> int:
        if self.is_small:
            return self.digits
        fits = 1
        while self.base ** (fits + 1) <= _LARGE:
            fits += 1
        return fits

    @property
    def dtype(self) -> type[pl.DataType]:
        return pl.Int32 if self.is_small else pl.Int64

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"key{n}" for n in range(-(-self.digits // self.per_word)))

    def digit(self, place: int) -> pl.Expr:
        """The node at a place, 0-based."""
        word, within = divmod(place, self.per_word)
        return pl.col(f"key{word}") // int(self.base**within) % self.base


def keys_of(asked: PathQuestion) -> Keys:
    return Keys(asked.nodes.base, asked.steps)


def path_rows(rows: pl.LazyFrame, asked: PathQuestion, *, everywhere: bool = False) -> pl.LazyFrame:
    """One row a path: number (and what else a row has), `key0` and so on.

    `rows` as `retention.path_rows` gives them. `everywhere`: a path begins at each of them.
    """
    keys = keys_of(asked)
    rows = _stepped(rows, asked).with_columns(
        node=pl.col("kind").clip(upper_bound=asked.nodes.rest).cast(keys.dtype)
    )
    # Whether the next digit belongs to the same path, and from which row it comes.
    begins, step = pl.col("begins"), 1 if asked.backward else -1
    on = ~begins if asked.backward else ~begins.shift(-1).fill_null(value=True)
    rows = rows.with_columns(on=on, begun=pl.lit(value=True) if everywhere else _begun(asked))
    rows = rows.with_columns(pl.lit(0, keys.dtype).alias(name) for name in keys.names)
    rows = rows.with_columns(key0=pl.lit(asked.nodes.cut, keys.dtype))
    for _ in range(asked.steps):
        rows = rows.with_columns(**_pushed(keys, step))
    return rows.filter(pl.col("begun")).drop("node", "on", "begun", "begins", "ending", "kind")


def _pushed(keys: Keys, step: int) -> dict[str, pl.Expr]:
    """Each row's key with one digit more: its node, then the key of the row after it."""
    found: dict[str, pl.Expr] = {}
    carry, base = pl.col("node"), keys.base
    for place, name in enumerate(keys.names):
        ending = pl.col("ending") if place == 0 else pl.lit(0, keys.dtype)
        moved = pl.when(pl.col("on")).then(pl.col(name).shift(step)).otherwise(ending)
        if len(keys.names) == 1:
            return {name: carry + moved * base}
        room = base ** (keys.per_word - 1)
        found[name] = carry + moved % room * base
        carry = moved // room
    return found


def _stepped(rows: pl.LazyFrame, asked: PathQuestion) -> pl.LazyFrame:
    """The rows that are steps, with `begins`: whether a session (or user) begins, and `ending`:
    the digit for a path that has no event after (or, backward, before) this one.

    A session is joined by an event at most the gap after the one before, as in the features.
    """
    first = (pl.col("number") != pl.col("number").shift(1)).fill_null(value=True)
    begins = first
    if asked.per == "session":
        pause = (pl.col("ts") - pl.col("ts").shift(1) > asked.gap_us).fill_null(value=True)
        begins = first | pause
    rows = rows.with_columns(begins=begins)
    if not (asked.exclude or asked.collapse):
        return rows.with_columns(ending=_ending(pl.col("ts"), asked))
    edge = begins if asked.backward else pl.col("begins").shift(-1).fill_null(value=True)
    at_edge = pl.when(edge).then(pl.col("ts"))
    spread = at_edge.forward_fill() if asked.backward else at_edge.backward_fill()
    rows = rows.with_columns(
        unit=pl.col("begins").cast(pl.Int32).cum_sum(),
        ending=_ending(spread, asked),
    )
    rows = _begun_anew(rows.filter(pl.col("kind") > 0))
    if asked.collapse:
        again = (pl.col("kind") == pl.col("kind").shift(1)).fill_null(value=False)
        rows = _begun_anew(rows.filter(pl.col("begins") | ~again))
    return rows.drop("unit")


def _begun_anew(rows: pl.LazyFrame) -> pl.LazyFrame:
    changed = (pl.col("unit") != pl.col("unit").shift(1)).fill_null(value=True)
    return rows.with_columns(begins=changed)


def _ending(edge: pl.Expr, asked: PathQuestion) -> pl.Expr:
    """The end of a session whose last event (first, backward) lies at `edge`.

    It is open while an event may yet come that would join it. A user's path is always open; read
    backward it begins with the user, unless events before the range were left out.
    """
    dtype = keys_of(asked).dtype
    known, open_ = pl.lit(0, dtype), pl.lit(asked.nodes.open, dtype)
    if asked.backward:
        if asked.per == "user" or not asked.earlier or asked.since is None:
            return open_ if asked.earlier else known
        return pl.when(edge - asked.gap_us < micros(asked.since)).then(open_).otherwise(known)
    if asked.per == "user":
        return open_
    return pl.when(edge + asked.gap_us >= micros(asked.end)).then(open_).otherwise(known)


def _begun(asked: PathQuestion) -> pl.Expr:
    """Whether a row is where a path is read from; once a session (or user) at most."""
    if asked.origin == "start":
        return pl.col("begins")
    assert asked.event is not None
    chosen = pl.col("kind") == asked.kinds[asked.event]
    unit = pl.col("begins").cast(pl.Int32).cum_sum()
    before = pl.when(chosen).then(unit).forward_fill().shift(1)
    return chosen & (before != unit).fill_null(value=True)
