"""groups."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.app import (
    CONFIG,
    AsOf,
    Config,
    DeviceName,
    Json,
    OnDevice,
    app,
    device_of,
    instant_of,
    settings_of,
)

if TYPE_CHECKING:
    from training.groups import Found


class MethodName(StrEnum):
    kmeans = "kmeans"
    hdbscan = "hdbscan"


@app.command()
def groups(
    config: Config = CONFIG,
    as_of: AsOf = None,
    number: Annotated[
        int | None, typer.Option("--groups", help="How many, 2 to 8; default: as many as hold.")
    ] = None,
    method: Annotated[
        MethodName, typer.Option("--method", help="hdbscan leaves scattered users out.")
    ] = MethodName.kmeans,
    out: Annotated[
        Path | None, typer.Option("--out", help="A .parquet or .csv file of every user's group.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", help="A JSON file to keep the groups in.")
    ] = None,
    use: Annotated[
        Path | None, typer.Option("--use", help="Groups kept by --save, applied as they are.")
    ] = None,
    device: OnDevice = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """Core users: groups of like behaviour with names, profiles, and whether they hold."""
    from holdfast.output import print_json
    from training.groups import Wanted, find_groups
    from training.groups_report import report

    settings = settings_of(config)
    wanted = Wanted(method.value, number, use, save, out)
    found = find_groups(settings, instant_of(as_of, settings), wanted, device_of(device))
    print_json(report(found)) if as_json else _print(report(found), found)


def _print(told: dict[str, Any], found: Found) -> None:
    from holdfast.output import print_rows
    from runtime.progress import say
    from training.groups_report import in_short, moves_in_short, over_time, telling, typical

    print_rows(f"Groups as of {told['as_of']}, {told['users']:,} users", in_short(told))
    print_rows("What tells them apart", telling(told))
    print_rows("Typical values (medians)", typical(found))
    print_rows("Shares of users over time, by the same rule", over_time(told))
    for title, rows in moves_in_short(told):
        print_rows(title, rows)
    print_rows("Found anew at earlier cutoffs, and each group's likeness", told["found_anew"])
    for note in told["notes"]:
        say(f"note: {note}")
    for name in ("out", "saved"):
        if told[name]:
            say(f"{name}: {told[name]}")
