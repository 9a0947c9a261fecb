"""A retention table as people read one: cohorts down, cells across."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from retention.curve import RetentionTable

NOT_ENDED = "…"
MOST_LINES = 30


def triangle(table: RetentionTable, most: int = MOST_LINES) -> list[dict[str, str]]:
    """One row a line: its name, users and, by cell, a percentage or a mean; the newest `most`
    cohorts, or all groups, and at last all together. What has not ended is "…"."""
    called = "cohort" if table.groups.is_empty() else (table.by or "users who")
    rows = [
        _line(called, name, frame, table)
        for name, frame in (_by_cohort(table, most) if called == "cohort" else _by_group(table))
    ]
    return [*rows, _line(called, "overall", table.overall, table)]


def remarks(table: RetentionTable, most: int = MOST_LINES) -> list[str]:
    """What the triangle does not say of itself, a line each."""
    found = [f"{_what(table)}; {NOT_ENDED} has not ended; overall: cohorts whose cell has."]
    if table.anchor == "every":
        found.append(f"'users' counts {table.counted}.")
    cohorts = table.cells["cohort"].n_unique()
    if table.groups.is_empty() and cohorts > most:
        found.append(f"The newest {most} of {cohorts:,} cohorts; --json has all.")
    if not table.groups.is_empty() and cohorts > 1:
        found.append(f"{cohorts:,} cohorts by {table.cohort} together; --json has each.")
    if table.undecided:
        found.append(f"{table.undecided:,} left out, whose first days are not over.")
    return found


def _what(table: RetentionTable) -> str:
    cells = f"{table.period}s after the anchor ({table.mode}, {table.clock})"
    measured = {
        "users": "Share of users who were active",
        "payers": "Share of users who paid",
        "revenue": "Value as a share of the first cell's",
        "arpu": "Value a user of the cohort",
        "cumulative": "Value so far a user of the cohort",
    }
    return f"{measured[table.measure]}, by {cells}"


def _by_cohort(table: RetentionTable, most: int) -> Iterator[tuple[str, pl.DataFrame]]:
    days = table.cells["cohort"].unique().sort().tail(most)
    for day in days:
        yield str(day), table.cells.filter(cohort=day)


def _by_group(table: RetentionTable) -> Iterator[tuple[str, pl.DataFrame]]:
    for (kind, group), label in table.labels.items():
        same = pl.col("kind").eq_missing(kind) & pl.col("group").eq_missing(group)
        yield label, table.groups.filter(same)


def _line(called: str, name: str, frame: pl.DataFrame, table: RetentionTable) -> dict[str, str]:
    """Users: of the cell that is complete for most."""
    users = int(frame.select(pl.col("users").max().fill_null(0)).item())
    line = {called: name, "users": f"{users:,}"}
    shown = "mean" if table.measure in ("arpu", "cumulative") else "share"
    for cell, figure in frame.select("cell", shown).iter_rows():
        line[cell] = NOT_ENDED if figure is None else _written(figure, shown)
    return line


def _written(figure: float, shown: str) -> str:
    if shown == "share":
        return f"{figure:.1%}"
    return f"{figure:,.2f}"
