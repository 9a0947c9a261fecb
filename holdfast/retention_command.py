"""retention."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.analysis import opened, print_found
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
)
from runtime.errors import UsageError

if TYPE_CHECKING:
    from retention.curve import RetentionTable
    from retention.drill import Figure

Text = str | None
Names = list[str] | None
Period = Annotated[Text, typer.Option("--period", help="day, week or month.")]
Mode = Annotated[Text, typer.Option("--mode", help="bracket, nday or rolling.")]
Periods = Annotated[int | None, typer.Option("--periods", help="How many after the anchor.")]
Brackets = Annotated[
    Text, typer.Option("--brackets", help="Periods after the anchor, as 0-0,1-7,8-30.")
]
Cohort = Annotated[
    Text, typer.Option("--cohort", help="day, week or month of the anchor; default: --period.")
]
OnClock = Annotated[
    Text, typer.Option("--clock", help="calendar, or elapsed: 24 hours from the anchor.")
]
From = Annotated[
    Text,
    typer.Option(
        "--anchor",
        help="first, first_in_range, every (recurring), or a date: those eligible then.",
    ),
]
Since = Annotated[Text, typer.Option("--since", help="Anchors from this date or instant on.")]
Until = Annotated[Text, typer.Option("--until", help="Anchors before this date or instant.")]
Start = Annotated[Names, typer.Option("--start", help="An event that anchors; may be repeated.")]
Back = Annotated[
    Names, typer.Option("--back", help="An event that counts as coming back; may be repeated.")
]
By = Annotated[
    Text,
    typer.Option("--by", help="channel, source, event, an attribute of [users] or a property."),
]
Top = Annotated[int | None, typer.Option("--top", help="How many values are told apart.")]
DidEvent = Annotated[Text, typer.Option("--did", help="Those who did this event, beside others.")]
AtLeast = Annotated[int | None, typer.Option("--at-least", help="So often they did it.")]
FirstDays = Annotated[
    int | None, typer.Option("--in-first-days", help="In so many days from the anchor.")
]
Measured = Annotated[
    Text, typer.Option("--measure", help="users, payers, revenue, arpu or cumulative.")
]
ListFile = Annotated[
    Path | None, typer.Option("--users", help="Write the users of one cell, to .csv or .parquet.")
]
InCell = Annotated[Text, typer.Option("--in-cell", help="Of this cell, as the table names it.")]
InCohort = Annotated[
    Text, typer.Option("--in-cohort", help="Of the cohort of this first day; default: all.")
]
InGroup = Annotated[
    Text, typer.Option("--in-group", help="Of this group, as the table names it; default: all.")
]
Lost = Annotated[bool, typer.Option("--lost", help="Those who were not retained.")]


@app.command()
def retention(
    config: Config = CONFIG,
    mode: Mode = None,
    period: Period = None,
    periods: Periods = None,
    brackets: Brackets = None,
    cohort: Cohort = None,
    clock: OnClock = None,
    anchor: From = None,
    since: Since = None,
    until: Until = None,
    start: Start = None,
    back: Back = None,
    by: By = None,
    top: Top = None,
    did: DidEvent = None,
    at_least: AtLeast = None,
    in_first_days: FirstDays = None,
    measure: Measured = None,
    users: ListFile = None,
    in_cell: InCell = None,
    in_cohort: InCohort = None,
    in_group: InGroup = None,
    lost: Lost = False,
    as_of: AsOf = None,
    device: OnDevice = DeviceName.auto,
    cluster: OnCluster = "none",
    as_json: Json = False,
) -> None:
    """Of the users who came in a period, how many were active so much later, or what they paid;
    what is not asked for is as [retention] of holdfast.toml says."""
    asked = {
        **{"mode": mode, "period": period, "periods": periods, "brackets": _brackets(brackets)},
        **{"cohort": cohort, "clock": clock, "anchor": anchor, "since": since, "until": until},
        **{"start": start, "back": back, "by": by, "top": top, "measure": measure},
        **{"did": did, "at_least": at_least, "in_first_days": in_first_days},
    }
    figure = _figure(users, in_cell, in_cohort, in_group, lost)
    from retention.curve import retention_as_set
    from retention.drill import write_users

    settings, store = opened(config, as_of)
    where = device_of(device)
    workers = cluster_of(cluster, where)
    table = retention_as_set(settings, store, where, workers, **asked)
    listed = None
    if users is not None and figure is not None:
        rows = write_users(users, table, figure, store, where, workers)
        listed = {"path": str(users), "rows": rows}
    _print(table, listed, as_json)


def _print(table: RetentionTable, listed: dict[str, Any] | None, as_json: bool) -> None:
    from retention.triangle import remarks, triangle
    from runtime.counted import counted

    if as_json:
        print_found("Retention", table.to_json() | {"users_file": listed}, as_json)
        return
    print_found("Retention", {"rows": triangle(table)}, as_json)
    for line in remarks(table):
        typer.echo(line)
    if listed is not None:
        typer.echo(f"{counted(listed['rows'], 'users')} written to {listed['path']}.")


def _brackets(text: Text) -> list[tuple[int, int]] | None:
    if text is None:
        return None
    found = []
    for part in text.split(","):
        start, _, end = part.strip().partition("-")
        if not (start.isdecimal() and (end or start).isdecimal()):
            raise UsageError(f"bracket '{part}' is not read; write them like 0-0,1-7,8-30")
        found.append((int(start), int(end or start)))
    return found


def _figure(users: Path | None, cell: Text, cohort: Text, group: Text, lost: bool) -> Figure | None:
    from retention.drill import Figure

    if users is None:
        if cell or cohort or group or lost:
            raise UsageError(
                "--in-cell, --in-cohort, --in-group and --lost say which users are listed; name "
                "the file with --users"
            )
        return None
    if cell is None:
        raise UsageError(f"--users {users} lists the users of one cell; name it with --in-cell")
    try:
        day = None if cohort is None else date.fromisoformat(cohort)
    except ValueError:
        raise UsageError(
            f"cohort '{cohort}' is no date; write its first day, as 2024-01-31"
        ) from None
    return Figure(cell, day, group, lost)
