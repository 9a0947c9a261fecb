"""funnel."""

from __future__ import annotations

from collections.abc import Mapping
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
    instant_of,
)

if TYPE_CHECKING:
    from retention.funnel import Funnel
    from retention.funnel_users import Listed

Steps = Annotated[
    list[str] | None, typer.Argument(help="Event names, in order; 'a|b' for either of two.")
]
Name = Annotated[str | None, typer.Option("--name", help="One of [[funnel]] in holdfast.toml.")]
Within = Annotated[
    float | None,
    typer.Option(
        "--within-days", help="The conversion window from the first step, default 7 days."
    ),
]
Order = Annotated[
    str | None,
    typer.Option(
        "--order",
        help="sequential: other events may lie between two steps; strict: none may; any: the "
        "steps in whatever order. Default: sequential.",
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="EVENT[:FROM-TO]",
        help="An event that breaks an attempt between two steps, or only between these; may be "
        "repeated.",
    ),
]
Hold = Annotated[
    str | None, typer.Option("--hold", help="A property that is the same on every step.")
]
By = Annotated[
    str | None,
    typer.Option("--by", help="Broken down by a property of the start or an attribute."),
]
Top = Annotated[
    int | None, typer.Option("--top", help="How many values of --by are told apart, default 5.")
]
Since = Annotated[str | None, typer.Option("--since", help="Only starts at or after this.")]
Until = Annotated[str | None, typer.Option("--until", help="Only starts before this.")]
Dropped = Annotated[
    int | None,
    typer.Option("--dropped", metavar="STEP", help="List who reached this step and not the next."),
]
Reached = Annotated[
    int | None, typer.Option("--reached", metavar="STEP", help="List who reached this step.")
]
Value = Annotated[
    str | None, typer.Option("--value", help="Of the list, only those with this value of --by.")
]
Users = Annotated[
    Path | None, typer.Option("--users", help="The .csv or .parquet file for the list.")
]


@app.command()
def funnel(
    step: Steps = None,
    name: Name = None,
    config: Config = CONFIG,
    within_days: Within = None,
    order: Order = None,
    exclude: Exclude = None,
    hold: Hold = None,
    by: By = None,
    top: Top = None,
    since: Since = None,
    until: Until = None,
    dropped: Dropped = None,
    reached: Reached = None,
    value: Value = None,
    users: Users = None,
    as_of: AsOf = None,
    device: OnDevice = DeviceName.auto,
    cluster: OnCluster = "none",
    as_json: Json = False,
) -> None:
    """Who does one thing, then the next, and where they drop."""
    from retention.funnel_ask import FunnelCall, ask

    settings, store = opened(config, as_of)
    on = device_of(device)
    call = FunnelCall(
        steps=tuple(step or ()),
        name=name,
        within_days=within_days,
        order=order,
        exclude=None if exclude is None else tuple(exclude),
        hold=hold,
        by=by,
        top=top,
        since=instant_of(since, settings),
        until=instant_of(until, settings),
        dropped=dropped,
        reached=reached,
        value=value,
        users=users,
    )
    found, written = ask(settings, store, on, call, cluster_of(cluster, on))
    listed = {} if written is None else {"users": written.to_json()}
    if as_json:
        print_found("", found.to_json() | listed, as_json)
        return
    _print(found, written)


def _print(found: Funnel, written: Listed | None) -> None:
    from holdfast.output import print_rows
    from runtime.counted import counted
    from runtime.progress import say

    print_rows(found.title, [_shown(row) for row in found.steps.to_dicts()])
    for group in found.groups:
        by = found.question.by
        title = f"{by.name if by else ''} {group.label}"
        print_rows(title, [_shown(row) for row in group.steps.to_dicts()])
    if written is not None:
        say(f"{written.file}: {counted(written.rows, 'users')}")


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    from holdfast.output import percent

    return {
        "step": row["step"],
        "event": row["event"],
        "users": row["users"],
        "share": percent(row["share"]),
        "95 %": f"{percent(row['low'])} to {percent(row['high'])}",
        "of previous": percent(row["share_of_previous"]),
        "dropped": row["dropped"],
        "median time": _time(row["median_seconds"]),
        "90 % within": _time(row["p90_seconds"]),
        "still open": row["still_open"],
    }


def _time(seconds: float | None) -> str:
    """In the two largest units that it has."""
    if seconds is None:
        return "-"
    whole = round(seconds)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min")]
    parts.append((whole % 60, "s"))
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2])
