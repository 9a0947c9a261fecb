"""Who stays: retention by cohort, as a heat map and as a curve over all cohorts.

The page holds the counts (`Pool`) and sums any range of cohorts from them, so that a choice of
cohorts changes curve, interval and table together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from events.calendar import PERIODS, Period
from report.asked import Asked
from report.parts import Column, Filter, Panel, Pool, Section, Table, View
from report.shown import count, share
from report.words import Words
from retention.cells import MODES, Mode
from retention.curve import RetentionTable, retention
from retention.shares import with_share

MOST_COHORTS: Mapping[Period, int] = {"day": 60, "week": 78, "month": 60}
KEY: Mapping[Period, int] = {"day": 7, "week": 4, "month": 3}  # the period sentences tell of
LEAST_USERS = 30  # of a cohort that is called the best or the worst
EVERYONE = ""


def section(asked: Asked) -> Section:
    words = asked.words
    pools, by = gather(asked)
    filters = ("period", "mode", "group")
    titles = {"heat": words("cohorts.heat"), "curve": words("cohorts.curve")}
    panels = tuple(
        Panel(
            name=f"retention-{kind}",
            title=titles[kind],
            about=words(f"cohorts.{kind}_about"),
            views={key: _view(kind, key, pool, words) for key, pool in pools.items()},
            filters=filters,
            along=True,
            pooled=kind,  # type: ignore[arg-type]  # one of two words
        )
        for kind in titles
    )
    return Section(
        name="retention",
        title=words("cohorts.title"),
        about=_about(asked),
        panels=panels,
        filters=_filters(words, pools, by),
        pools=pools,
    )


def gather(asked: Asked) -> tuple[dict[tuple[str, ...], Pool], str | None]:
    """A pool for each period, mode and group, and one for everyone; and what groups are by."""
    found: dict[tuple[str, ...], Pool] = {}
    by, first = _dimension(asked)
    for period in ordered(PERIODS, asked.period):
        for mode in ordered(MODES, default_mode(asked)):
            table = first if not found else _table(asked, period, mode, by)
            found[period, mode, EVERYONE] = pool_of(table, _together(table.cells), asked.words)
            if by is not None:
                parts = table.cells.partition_by("kind", "group", maintain_order=True)
                for part in sorted(parts, key=_size):
                    named = _group(part["kind"][0], part["group"][0], asked.words)
                    found[period, mode, named] = pool_of(table, part, asked.words)
    return found, by


def _dimension(asked: Asked) -> tuple[str | None, RetentionTable]:
    """The first that tells users apart, None where there is none; and the first table by it."""
    for by in asked.dimensions:
        table = _table(asked, asked.period, default_mode(asked), by)
        if len(table.cells.select("kind", "group").unique()) > 1:
            return by, table
    return None, _table(asked, asked.period, default_mode(asked), None)


def _table(asked: Asked, period: Period, mode: Mode, by: str | None) -> RetentionTable:
    return retention(
        asked.settings,
        asked.store,
        asked.device,
        mode,
        period,
        clock=asked.settings.retention.clock,
        by=by,
        top=asked.page.groups,
        cluster=asked.cluster,
    )


def default_mode(asked: Asked) -> Mode:
    """What holdfast.toml says, and the classic where it says nothing."""
    asks = asked.settings.retention
    return asks.mode if "mode" in asks.model_fields_set else "nday"


def _together(cells: pl.DataFrame) -> pl.DataFrame:
    """Groups summed: a cell is known where it is of each of them."""
    summed = cells.group_by("cohort", "cell", "start", "end", maintain_order=True)
    return summed.agg(pl.col("users", "retained").sum(), pl.col("complete").all())


def _group(kind: str | None, group: str | None, words: Words) -> str:
    """A value of the log as it is; what stands for several, or for none, in words."""
    if kind != "value":
        return words(f"group.{kind}")
    return group or words("page.quoted", name="")


def _size(part: pl.DataFrame) -> tuple[bool, int]:
    """Values by their users, the rest and the missing last."""
    users = part.group_by("cohort").agg(pl.col("users").first())["users"].sum()
    return part["kind"][0] != "value", -int(users)


def ordered(known: tuple[Any, ...], first: Any) -> tuple[Any, ...]:
    """With the configured one in front: the default of a choice."""
    return (first, *(one for one in known if one != first))


def pool_of(table: RetentionTable, cells: pl.DataFrame, words: Words) -> Pool:
    """`cells`: the table's, or those of one group of it."""
    columns = table.overall.select("cell", "start", "end").rows()
    by_cohort = cells.sort("cohort", "start").partition_by("cohort", maintain_order=True)
    most = MOST_COHORTS[table.cohort]
    older, listed = by_cohort[:-most], by_cohort[-most:]
    return Pool(
        cells=tuple(_short(start, end) for _, start, end in columns),
        titles=tuple(_title(table.period, start, end, words) for _, start, end in columns),
        cohorts=tuple(str(part["cohort"][0]) for part in listed),
        users=tuple(int(part["users"][0]) for part in listed),
        retained=tuple(_known(part) for part in listed),
        earlier=tuple(_summed(older, place) for place in range(len(columns))),
        key=_key_cell(table, columns),
    )


def _known(part: pl.DataFrame) -> tuple[int | None, ...]:
    return tuple(part.select(pl.when("complete").then("retained"))["retained"].to_list())


def _summed(parts: list[pl.DataFrame], place: int) -> tuple[int, int]:
    rows = [part.row(place, named=True) for part in parts]
    rows = [row for row in rows if row["complete"]]
    return sum(row["users"] for row in rows), sum(row["retained"] for row in rows)


def _short(start: int, end: int | None) -> str:
    if end is None:
        return f"{start}+"
    return str(start) if start == end else f"{start}–{end}"


def _title(period: Period, start: int, end: int | None, words: Words) -> str:
    kind = "later" if end is None else "one" if start == end else "span"
    return words(f"cohorts.cell_{period}_{kind}", start=start, end=end)


def _key_cell(table: RetentionTable, columns: list[tuple[str, int, int | None]]) -> int:
    """The cell with KEY in it, or the last before it of which something is known."""
    known = table.overall["users"].to_list()
    reached = [n for n, (_, start, _) in enumerate(columns) if start <= KEY[table.period]]
    told = [n for n in reached if known[n] > 0]
    return told[-1] if told else 0


def _about(asked: Asked) -> str:
    words, asks = asked.words, asked.settings.retention
    return words("cohorts.about", clock=words(f"cohorts.clock_{asks.clock}", zone=asked.zone))


def _filters(
    words: Words, pools: Mapping[tuple[str, ...], Pool], by: str | None
) -> tuple[Filter, ...]:
    modes = tuple(dict.fromkeys(mode for _, mode, _ in pools))
    groups = tuple(dict.fromkeys(group for _, _, group in pools))
    found = [
        Filter("mode", words("filter.mode"), tuple((m, words(f"cohorts.mode_{m}")) for m in modes))
    ]
    if len(groups) > 1:
        named = tuple((group, group or words("filter.everyone")) for group in groups)
        found.append(Filter("group", words("filter.group", by=by), named))
    return tuple(found)


def _view(kind: str, key: tuple[str, ...], pool: Pool, words: Words) -> View:
    """Sentence and numbers of all cohorts; the page makes the others itself."""
    if kind == "curve":
        return View(_curve_told(pool, words), None, curve_table(pool, words))
    return View(_heat_told(pool, words), None, _heat_table(pool, words))


def curve_rows(pool: Pool) -> pl.DataFrame:
    """cell, users, retained, share, low, high over all cohorts, the earlier ones too."""
    rows = []
    for place, title in enumerate(pool.titles):
        users, retained = pool.earlier[place]
        for size, counts in zip(pool.users, pool.retained, strict=True):
            if (found := counts[place]) is not None:
                users, retained = users + size, retained + found
        rows.append({"cell": title, "users": users, "retained": retained})
    return with_share(pl.DataFrame(rows), "retained", "users", pl.lit(value=True))


def curve_table(pool: Pool, words: Words) -> Table:
    kinds = ("text", "count", "count", "share", "share", "share")
    titles = ("cell", "users", "retained", "share", "low", "high")
    columns = tuple(
        Column(words(f"column.{title}"), kind)  # type: ignore[arg-type]  # Kinds, in a row
        for title, kind in zip(titles, kinds, strict=True)
    )
    return Table(columns, tuple(curve_rows(pool).select(titles).rows()))


def _curve_told(pool: Pool, words: Words) -> str:
    row = curve_rows(pool).row(pool.key, named=True)
    if not row["users"]:
        return words("cohorts.curve_none")
    shares = {name: share(row[name], words.lang) for name in ("share", "low", "high")}
    return words("cohorts.curve_told", users=count(row["users"]), cell=row["cell"], **shares)


def _heat_table(pool: Pool, words: Words) -> Table:
    columns = [Column(words("column.cohort"), "date"), Column(words("column.users"), "count")]
    columns += [Column(title, "share") for title in pool.titles]
    rows = [
        (cohort, size, *(None if n is None or not size else n / size for n in counts))
        for cohort, size, counts in zip(pool.cohorts, pool.users, pool.retained, strict=True)
    ]
    older = pool.earlier[0][0]
    note = words("cohorts.earlier", users=count(older)) if older else ""
    return Table(tuple(columns), tuple(rows), note)


def _heat_told(pool: Pool, words: Words) -> str:
    known = [
        (here / size, cohort, size)
        for cohort, size, counts in zip(pool.cohorts, pool.users, pool.retained, strict=True)
        if (here := counts[pool.key]) is not None and size
    ]
    if not known:
        return words("cohorts.heat_none", cohorts=count(len(pool.cohorts)))
    large = [one for one in known if one[2] >= LEAST_USERS] or known
    best, worst = max(large), min(large)
    return words(
        "cohorts.heat_told" if len(large) > 1 else "cohorts.heat_told_one",
        cohorts=count(len(pool.cohorts)),
        cell=pool.titles[pool.key],
        best=share(best[0], words.lang),
        best_cohort=best[1],
        worst=share(worst[0], words.lang),
        worst_cohort=worst[1],
    )
