"""optimize, erase."""

from __future__ import annotations

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
