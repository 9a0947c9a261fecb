"""What a page is made of: sections of panels, each a sentence, a figure and its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

# A Plotly figure as plain JSON. Colours that begin with "$" are looked up in the page's theme.
Figure = dict[str, Any]
# "name" is a word of the log, told apart because no language translates it; "word" a text too short
# to be broken; "said" a number that is put in words already.
Kind = Literal[
    "text",
    "word",
    "name",
    "date",
    "said",
    "count",
    "share",
    "money",
    "number",
    "duration",
    "factor",
]


@dataclass(frozen=True)
class Column:
    title: str
    kind: Kind


@dataclass(frozen=True)
class Table:
    """`rows`: plain values by column, None where unknown. `note`: of how many they are, where
    not all are listed."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class View:
    """What a panel shows under one choice of its filters. `figure`: None for a list."""

    told: str
    figure: Figure | None
    table: Table


Key = tuple[str, ...]  # values of filters
Views = Mapping[Key, View]


@dataclass(frozen=True)
class Pool:
    """Counts of a retention table, from which the page sums a range of cohorts again.

    `cohorts`: first days; `retained`: one list a cohort, one count a cell, None where the cell's
    period has not ended. `earlier`: (users, retained) by cell, summed over the cohorts that are
    too old to be listed. `key`: the cell that sentences tell of.
    """

    cells: tuple[str, ...]
    titles: tuple[str, ...]
    cohorts: tuple[str, ...]
    users: tuple[int, ...]
    retained: tuple[tuple[int | None, ...], ...]
    earlier: tuple[tuple[int, int], ...]
    key: int


@dataclass(frozen=True)
class Panel:
    """`filters`: names of those that choose a view, in the order of the keys of `views`.
    `along`: the first column is a day, by which the page can cut rows and figure to a range.
    `pooled`: drawn by the page itself from its section's pools: a "heat" map or a "curve".
    `wide`: better scrolled than squeezed on a narrow screen."""

    name: str
    title: str
    about: str
    views: Views
    filters: tuple[str, ...] = ()
    along: bool = False
    pooled: Literal["", "heat", "curve"] = ""
    wide: bool = False


@dataclass(frozen=True)
class Filter:
    """A choice: `options` are (value, label), the first the default."""

    name: str
    label: str
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Fact:
    """A number to read first, with what it means. `value` is put in words already."""

    title: str
    value: str
    about: str


@dataclass(frozen=True)
class Section:
    """`nothing`: why there is nothing to show, where that is so. `lines`: sentences on their
    own, such as definitions."""

    name: str
    title: str
    about: str
    panels: tuple[Panel, ...] = ()
    filters: tuple[Filter, ...] = ()
    facts: tuple[Fact, ...] = ()
    lines: tuple[str, ...] = ()
    nothing: str = ""
    pools: Mapping[Key, Pool] = field(default_factory=dict)


def one_view(view: View) -> Views:
    """Views of a panel that no filter changes."""
    return {(): view}
