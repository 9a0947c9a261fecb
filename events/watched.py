"""The shares that are watched, cell by cell; what befalls all of a channel or an event is told
once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np

from events.findings import Finding, Severity
from events.grid import Cell, Counts, Grid
from events.shares import MOSTLY, Shift, Watched, Words
from runtime.settings_quality import Kind, Quality

DAYS_APART = 7  # a cell of few rows shows a change some days later


def share_findings(grid: Grid, rule: Quality) -> list[Finding]:
    """Of amounts, properties, their types, repeats and arrivals."""
    found: list[Finding] = []
    for watch in (_amounts, _repeats, _late, _ahead):
        found += _largest_first(grid, rule, watch)
    for name in (n.removeprefix("there:") for n in grid.measures if n.startswith("there:")):
        found += _largest_first(grid, rule, _type_of(name))
        found += _largest_first(grid, rule, _presence_of(name))
    return found


Watch = Callable[[Grid, Quality, Cell, list[int]], Watched | None]


def _largest_first(grid: Grid, rule: Quality, watch: Watch) -> list[Finding]:
    """Of cells, those of a channel or of an event that shift together as one."""
    cells = {cell: [place] for place, cell in enumerate(grid.cells)}
    found = [f for cell, places in cells.items() for f in _of(grid, rule, watch, cell, places)]
    for axis in (1, 0):
        for cell, members in zip(*grid.summed_by(axis), strict=True):
            if len(members) > 1:
                found = _joined(found, _of(grid, rule, watch, cell, members), cell)
    return found


def _of(grid: Grid, rule: Quality, watch: Watch, cell: Cell, members: list[int]) -> list[Finding]:
    watched = watch(grid, rule, cell, members)
    return watched.findings(grid) if watched else []


def _joined(found: list[Finding], group: list[Finding], cell: Cell) -> list[Finding]:
    """The group's findings in the place of its cells' where two of them say the same, or beside
    them where no cell says anything at the time; else a single cell is the cause."""
    for one in group:
        at_the_time = [f for f in found if _meet(f, cell) and _overlap(f, one)]
        same = [f for f in at_the_time if _inside(f, cell) and _like(f, one)]
        if len(same) > 1 or not at_the_time:
            found = [f for f in found if f not in same] + [one]
    return found


def _inside(finding: Finding, cell: Cell) -> bool:
    event, channel = cell
    return event in (None, finding.event) and channel in (None, finding.channel)


def _meet(finding: Finding, cell: Cell) -> bool:
    pairs = zip((finding.event, finding.channel), cell, strict=True)
    return all(mine is None or theirs is None or mine == theirs for mine, theirs in pairs)


def _days(finding: Finding) -> tuple[date, date]:
    assert finding.first_day is not None
    assert finding.last_day is not None
    return finding.first_day, finding.last_day


def _overlap(one: Finding, other: Finding) -> bool:
    return _days(one)[0] <= _days(other)[1] and _days(other)[0] <= _days(one)[1]


def _like(one: Finding, other: Finding) -> bool:
    """Begun at about one time, or wholly within the other's days."""
    (first, last), (begins, ends) = _days(one), _days(other)
    return abs((first - begins).days) <= DAYS_APART or begins <= first <= last <= ends


def _sum(grid: Grid, name: str, members: list[int]) -> Counts:
    counts: Counts = grid.measures[name][:, members].sum(axis=1)
    return counts


def _watched(
    grid: Grid,
    cell: Cell,
    members: list[int],
    measure: str,
    of: str,
    kind: Kind,
    severity: Severity,
    rise: float,
    words: Words,
    *,
    down: bool = False,
    named: str | None = None,
) -> Watched:
    part, whole = _sum(grid, measure, members), _sum(grid, of, members)
    return Watched(kind, severity, cell, members, part, whole, rise, down, words, named)


def _amounts(grid: Grid, rule: Quality, cell: Cell, members: list[int]) -> Watched | None:
    """Only of events that mostly carry an amount, each by itself."""
    if cell[0] is None or _share(grid, "nulls", members) > MOSTLY:
        return None

    def words(shift: Shift, name: str, when: str) -> str:
        return f"{shift.found:.0%} of {name} have no amount {when}; usually {shift.usual:.0%}"

    rise = rule.least_rise
    return _watched(grid, cell, members, "nulls", "rows", "amounts", "warning", rise, words)


def _of_rows(
    kind: Kind, severity: Severity, rise: Callable[[Quality], float], sentence: str
) -> Watch:
    """A share of the rows, whose measure has the kind's name; `sentence` has blanks for the share
    found and the usual one, what the rows are called, when, and the hours that are late."""

    def watch(grid: Grid, rule: Quality, cell: Cell, members: list[int]) -> Watched | None:
        def words(shift: Shift, name: str, when: str) -> str:
            shares = {"found": shift.found, "usual": shift.usual}
            return sentence.format(name=name, when=when, hours=rule.late_hours, **shares)

        named = (kind, "rows", kind, severity)
        return _watched(grid, cell, members, *named, rise(rule), words)

    return watch


_repeats = _of_rows(
    "repeats",
    "error",
    lambda rule: rule.repeat_share,
    "{found:.0%} of the rows of {name} {when} are like another one of the same user and instant in "
    "all but the id; usually {usual:.0%}: sent twice?",
)
_late = _of_rows(
    "late",
    "warning",
    lambda rule: rule.late_share,
    "{found:.0%} of the rows of {name} {when} arrived more than {hours:g} hours after they "
    "happened; usually {usual:.0%}",
)
_ahead = _of_rows(
    "ahead",
    "warning",
    lambda rule: rule.repeat_share / 2,
    "{found:.0%} of the rows of {name} {when} happened after they had arrived; usually "
    "{usual:.0%}: clocks that are ahead?",
)


def _type_of(name: str) -> Watch:
    def words(shift: Shift, called: str, when: str) -> str:
        turned = "a number no more, but text" if shift.found < shift.usual else "a number, not text"
        return (
            f"property '{name}' of {called} is {turned}, {when}: {shift.found:.0%} of its values "
            f"read as numbers where {shift.usual:.0%} did"
        )

    def watch(grid: Grid, rule: Quality, cell: Cell, members: list[int]) -> Watched | None:
        part, whole = f"number:{name}", f"there:{name}"
        rise = max(rule.least_rise, MOSTLY)
        of: tuple[str, Kind, Severity] = (whole, "type", "warning")
        return _watched(grid, cell, members, part, *of, rise, words, down=True, named=name)

    return watch


def _presence_of(name: str) -> Watch:
    def words(shift: Shift, called: str, when: str) -> str:
        return (
            f"{shift.found:.0%} of the rows of {called} have the property '{name}' {when}; "
            f"usually {shift.usual:.0%}"
        )

    def watch(grid: Grid, rule: Quality, cell: Cell, members: list[int]) -> Watched | None:
        if cell[0] is None:  # which events there are on a day would move it
            return None
        part, rise = f"there:{name}", rule.least_rise
        return _watched(
            grid,
            cell,
            members,
            part,
            "rows",
            "property",
            "warning",
            rise,
            words,
            down=True,
            named=name,
        )

    return watch


def _share(grid: Grid, measure: str, members: list[int]) -> float:
    """The median over the days that have enough rows, NaN where none has."""
    part, whole = _sum(grid, measure, members), _sum(grid, "rows", members)
    enough = whole >= 1
    return float(np.median(part[enough] / whole[enough])) if enough.any() else np.nan
