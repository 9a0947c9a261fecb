"""leakcheck."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.app import CONFIG, AsOf, Config, Json, app, instant_of, settings_of

if TYPE_CHECKING:
    from features.leakcheck import Checked, Leak

LEAKED = 1
COLUMNS_SHOWN = 8


@app.command()
def leakcheck(
    config: Config = CONFIG,
    cutoff: Annotated[
        list[str] | None,
        typer.Option(
            "--cutoff", help="A cutoff; repeat it for several. Default: three are chosen."
        ),
    ] = None,
    own: Annotated[
        Path | None,
        typer.Option(
            "--own",
            help="A Python file with compute(events, users, cutoff) to check in the place of "
            "the project's features.",
        ),
    ] = None,
    users: Annotated[
        int, typer.Option("--users", min=1, help="How many users to look at, with all they did.")
    ] = 300,
    as_of: AsOf = None,
    as_json: Json = False,
) -> None:
    """Whether any feature looks beyond its cutoff. Exit 1 where one does."""
    from features.leakcheck_project import leakcheck as look
    from holdfast.output import print_fields, print_json, print_rows
    from runtime.clock import parse_instant

    settings = settings_of(config)
    cutoffs = [parse_instant(text, settings.project.timezone) for text in cutoff or []]
    found = look(settings, cutoffs, instant_of(as_of, settings), users, own)
    if as_json:
        print_json(_in_full(found))
    else:
        print_rows("Leaks", _by_world(found.leaks))
        print_fields("Checked", _in_short(found))
    if found.leaks:
        raise typer.Exit(LEAKED)


def _in_full(found: Checked) -> dict[str, Any]:
    return {
        "clean": not found.leaks,
        "leaks": [vars(leak) | {"cutoff": leak.cutoff.at} for leak in found.leaks],
        "features": len(found.features),
        "cutoffs": [{"cutoff": at.at, "users": users} for at, users in found.users.items()],
        "worlds": found.worlds,
        "not_altered": found.idle,
    }


def _in_short(found: Checked) -> dict[str, Any]:
    from runtime.clock import show

    return {
        "features": len(found.features),
        "columns that leak": len({leak.column for leak in found.leaks}),
        "users, by cutoff": [f"{users:,} at {show(at.at)}" for at, users in found.users.items()],
        "altered worlds": found.worlds,
        "not altered": [f"{world} (needs {needs})" for world, needs in found.idle.items()],
    }


def _by_world(leaks: tuple[Leak, ...]) -> list[dict[str, Any]]:
    """One row a world, the worst first, which is how the leaks come."""
    rows = []
    for world in dict.fromkeys(leak.world for leak in leaks):
        mine = [leak for leak in leaks if leak.world == world]
        names = list(dict.fromkeys(leak.column for leak in mine))
        more = f" and {len(names) - COLUMNS_SHOWN} more" if len(names) > COLUMNS_SHOWN else ""
        rows.append(
            {
                "world": world,
                "columns that changed": ", ".join(names[:COLUMNS_SHOWN]) + more,
                "users": mine[0].users,
                "example": _example(mine[0]),
                "likely cause": mine[0].cause,
            }
        )
    return rows


def _example(leak: Leak) -> str:
    from runtime.clock import show

    at = show(leak.cutoff.at)
    return f"{leak.column} of {leak.example_user} at {at}: {leak.before} became {leak.after}"
