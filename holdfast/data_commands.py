"""init, ingest, quality, snapshot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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


@app.command()
def init(
    files: Annotated[list[Path], typer.Argument(help="Event files, and a users table if any.")],
    config: Config = CONFIG,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    as_json: Json = False,
) -> None:
    """Look at the data and write a commented holdfast.toml."""
    from events.propose import propose
    from holdfast.output import print_fields, print_json
    from runtime.errors import UsageError
    from runtime.files import write_text

    if config.exists() and not force:
        raise UsageError(f"{config}: exists already; give --force to replace it or name another")
    write_text(config, propose(files, config))
    result = {"config": config, "next": f"holdfast ingest -c {config}"}
    print_json(result) if as_json else print_fields("Proposed; read it before you go on", result)


@app.command()
def ingest(config: Config = CONFIG, as_json: Json = False) -> None:
    """Sources to the event store; again with new files only adds what is new."""
    from events.ingest import ingest as ingest_sources
    from holdfast.output import as_dict, print_fields, print_json

    result = as_dict(ingest_sources(settings_of(config)))
    print_json(result) if as_json else print_fields("Ingested", result)


@app.command()
def quality(config: Config = CONFIG, as_of: AsOf = None, as_json: Json = False) -> None:
    """What is wrong with the tracking, by day and event."""
    from events.quality import quality as look
    from events.store import open_store
    from holdfast.output import print_json, print_rows

    settings = settings_of(config)
    found = look(settings, open_store(settings, instant_of(as_of, settings))).to_json()
    if as_json:
        print_json(found)
        return
    for name, rows in found.items():
        if isinstance(rows, list):
            print_rows(name.replace("_", " "), rows)


@app.command()
def snapshot(
    config: Config = CONFIG,
    cutoff: Annotated[
        list[str] | None,
        typer.Option("--cutoff", help="A cutoff; repeat it for several. Default: the as-of."),
    ] = None,
    as_of: AsOf = None,
    device: OnDevice = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """Features and labels at one or many cutoffs."""
    from features.snapshots import snapshot as take
    from holdfast.output import print_fields, print_json
    from runtime.clock import parse_instant

    settings = settings_of(config)
    zone = settings.project.timezone
    cutoffs = [parse_instant(text, zone) for text in cutoff or []]
    taken = take(settings, cutoffs, instant_of(as_of, settings), device_of(device))
    result = {
        "table": taken.path,
        "cutoffs": [c.at for c in taken.cutoffs],
        "rows": taken.rows,
        "features": len(taken.features),
        "digest": taken.digest,
    }
    print_json(result) if as_json else print_fields("Snapshot", result)
