"""paths."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.analysis import opened
from holdfast.app import (
    CONFIG,
    AsOf,
    Config,
    DeviceName,
    Json,
    OnCluster,
    OnDevice,
    app,
    cluster_of,
    device_of,
    instant_of,
)

Text = str | None
From = Annotated[
    Text, typer.Option("--from", metavar="EVENT", help="Begin at the first such event.")
]
Until = Annotated[
    Text, typer.Option("--until", metavar="EVENT", help="What leads to the first such event.")
]
Per = Annotated[Text, typer.Option("--per", help="session or user.")]
Steps = Annotated[int | None, typer.Option("--steps", help="Events of a path at most.")]
Top = Annotated[
    int | None, typer.Option("--top", help="Kinds of events told apart; the others are pooled.")
]
Collapse = Annotated[
    bool | None, typer.Option("--collapse/--every", help="A repeat in a row is no step of its own.")
]
AllEvents = Annotated[
    bool, typer.Option("--all-events", help="Events that are no activity are steps too.")
]
Since = Annotated[Text, typer.Option("--since", help="As if the log began at this date.")]
UntilDate = Annotated[Text, typer.Option("--until-date", help="As if the log ended at this date.")]
Way = Annotated[Text, typer.Option("--path", metavar="'A > B'", help="Count who goes this path.")]
Transition = Annotated[
    Text, typer.Option("--transition", metavar="'A > B'", help="Count who goes from A to B.")
]
At = Annotated[int | None, typer.Option("--at", help="The transition's step; default: any.")]
Users = Annotated[
    Path | None, typer.Option("--users", metavar="FILE", help="List who: .csv or .parquet.")
]
Before = Annotated[
    Text, typer.Option("--before", metavar="churn", help="Which paths precede churn or staying.")
]
AtCutoff = Annotated[
    Text,
    typer.Option("--cutoff", help="Churn after it; default: the newest matured."),
]
Days = Annotated[int | None, typer.Option("--days", help="How far before the cutoff to look.")]
Whole = Annotated[
    bool, typer.Option("--whole", help="Compare whole sessions, not runs of 1 to 3 events.")
]
Least = Annotated[
    int | None, typer.Option("--least-users", help="Fewer on either side are not compared.")
]
SHOWN = 15
EACH = 6


@app.command()
def paths(
    config: Config = CONFIG,
    start: From = None,
    until: Until = None,
    per: Per = None,
    steps: Steps = None,
    top: Top = None,
    collapse: Collapse = None,
    all_events: AllEvents = False,
    since: Since = None,
    until_date: UntilDate = None,
    path: Way = None,
    transition: Transition = None,
    at: At = None,
    users: Users = None,
    before: Before = None,
    cutoff: AtCutoff = None,
    days: Days = None,
    whole: Whole = False,
    least_users: Least = None,
    as_of: AsOf = None,
    device: OnDevice = DeviceName.auto,
    cluster: OnCluster = "none",
    as_json: Json = False,
) -> None:
    """What users do next, or before; who goes a path; and which paths precede churn."""
    from retention.path_answer import Wanted, answer
    from retention.path_question import Asked

    settings, store = opened(config, as_of)
    begin, end = instant_of(since, settings), instant_of(until_date, settings)
    kinds = "all" if all_events else None
    asked = Asked(start, until, per, steps, top, collapse, kinds, begin, end)
    instant, on = instant_of(cutoff, settings), device_of(device)
    wanted = Wanted(asked, path, transition, at, users, before, instant, days, whole, least_users)
    found = answer(settings, store, on, wanted, cluster_of(cluster, on)).to_json()
    _print(found, as_json)


def _print(found: dict[str, Any], as_json: bool) -> None:
    from holdfast.output import print_fields, print_json, print_rows
    from runtime.counted import counted

    if as_json:
        print_json(found)
    elif "transitions" in found:
        print_rows("Transitions", _first_of_each(found["transitions"], "step"))
        print_rows("Paths", _without(found["paths"], "nodes"))
        kinds = len(found["paths"]) + found["rest"]["paths"]
        went = f"{counted(found['count'], 'paths')} of {counted(kinds, 'kinds')}"
        typer.echo(f"{went}, by {counted(found['users'], 'users')}")
    elif "rows" in found:
        shown = ("path", "users", "rate", "rate_without", "lift", "low", "high", "q", "precedes")
        print_rows("Before churn", [{n: row[n] for n in shown} for row in found["rows"][:SHOWN]])
        for row in found["rows"]:
            if row["precedes"]:
                typer.echo(row["words"])
        idle = found["users"] - found["went"]
        users = counted(found["users"], "users")
        typer.echo(f"{users} compared, {idle:,} of them did nothing in these days")
        typer.echo(found["note"])
    else:
        print_fields("Who goes it", found)


def _first_of_each(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The first few rows of each value, in their order."""
    seen: dict[Any, int] = {}
    shown = []
    for row in rows:
        seen[row[name]] = seen.get(row[name], 0) + 1
        if seen[row[name]] <= EACH:
            shown.append(row)
    return shown


def _without(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [{n: value for n, value in row.items() if n != name} for row in rows[:SHOWN]]
