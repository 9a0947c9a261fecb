"""optimize, erase."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from holdfast.app import CONFIG, Config, Json, app, settings_of


@app.command()
def optimize(
    config: Config = CONFIG,
    buckets: Annotated[
        int | None,
        typer.Option(
            "--buckets", help="The number of buckets. Default: the settings', else by size."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """One sorted file a bucket, and as many buckets as suit the log."""
    from events.optimize import optimize as lay_out
    from holdfast.output import as_dict, print_fields, print_json

    result = as_dict(lay_out(settings_of(config), buckets))
    print_json(result) if as_json else print_fields("Optimized", result)


@app.command()
def erase(
    config: Config = CONFIG,
    user: Annotated[
        list[str] | None, typer.Option("--user", help="A user's id; repeat it for several.")
    ] = None,
    users_from: Annotated[
        Path | None, typer.Option("--users-from", help="A text file with one id a line.")
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option("--also", help="Another folder with exports; repeat it for several."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Remove people from every table, file, export and version, with a receipt."""
    from events.erase import erase as take_out
    from events.erase import read_ids
    from holdfast.output import as_dict, print_fields, print_json

    ids = [*(user or []), *(read_ids(users_from) if users_from else [])]
    receipt = take_out(settings_of(config), ids, also or [])
    result = as_dict(receipt) | {"receipt": receipt.path}
    if as_json:
        print_json(result)
        return
    shown: dict[str, object] = {
        "found": receipt.found,
        "users": len(receipt.users),
        "rows": receipt.rows,
    }
    shown |= {"tables": sum(table.rows > 0 for table in receipt.tables)}
    shown |= {"files": len(receipt.files), "receipt": str(receipt.path)}
    print_fields("Erased", shown)
