"""init, ingest, snapshot, features."""

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
    OnCluster,
    OnDevice,
    app,
    cluster_of,
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
    from runtime.files import check_file, write_text

    check_file(config, "--config")
    if config.exists() and not force:
        raise UsageError(f"{config}: exists already; give --force to replace it or name another")
    write_text(config, propose(files, config))
    result = {"config": config, "next": f"holdfast ingest -c {config}"}
    print_json(result) if as_json else print_fields("Proposed; read it before you go on", result)


@app.command()
def ingest(config: Config = CONFIG, cluster: OnCluster = "none", as_json: Json = False) -> None:
    """Sources to the event store; again with new files only adds what is new."""
    from events.ingest import ingest as ingest_sources
    from holdfast.output import as_dict, print_fields, print_json

    result = as_dict(ingest_sources(settings_of(config), cluster_of(cluster)))
    print_json(result) if as_json else print_fields("Ingested", result)


@app.command()
def snapshot(
    config: Config = CONFIG,
    cutoff: Annotated[
        list[str] | None,
        typer.Option("--cutoff", help="A cutoff; repeat it for several. Default: the as-of."),
    ] = None,
    sequences: Annotated[
        int | None,
        typer.Option(
            "--sequences", metavar="L", min=1, help="Also the last L events of every user."
        ),
    ] = None,
    as_of: AsOf = None,
    device: OnDevice = DeviceName.auto,
    cluster: OnCluster = "none",
    as_json: Json = False,
) -> None:
    """Features, labels and, where asked, sequences at one or many cutoffs."""
    from features.sequence_build import build_sequences
    from features.snapshots import asked, build_snapshots
    from holdfast.output import print_fields, print_json
    from runtime.clock import parse_instant
    from runtime.cluster import connected

    settings = settings_of(config)
    cutoffs = [parse_instant(text, settings.project.timezone) for text in cutoff or []]
    job = asked(settings, cutoffs, instant_of(as_of, settings), device_of(device))
    with connected(cluster_of(cluster, job.device)) as started:
        taken = build_snapshots(
            settings, job.store, job.cutoffs, job.spec, job.device, job.labelled, started
        )
        if sequences is not None:
            made = build_sequences(
                settings, job.store, job.cutoffs, job.spec, job.device, sequences, started
            )
    result = {
        "table": taken.path,
        "cutoffs": [c.at for c in taken.cutoffs],
        "rows": taken.rows,
        "features": len(taken.features),
        "digest": taken.digest,
        "buckets_computed": taken.buckets_computed,
    }
    if sequences is not None:
        result |= {"sequences": made.path, "sequence_rows": made.sequences}
    print_json(result) if as_json else print_fields("Snapshot", result)


@app.command()
def features(
    config: Config = CONFIG,
    as_of: AsOf = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the catalogue as a Markdown table.")
    ] = False,
    as_json: Json = False,
) -> None:
    """The catalogue: every feature with its words, unit, window, inputs and formula."""
    from features.catalogue import as_markdown, catalogue
    from holdfast.output import as_dict, print_json, print_rows

    settings = settings_of(config)
    found = catalogue(settings, instant_of(as_of, settings))
    if as_json:
        print_json(as_dict(found))
    elif markdown:
        typer.echo(as_markdown(found), nl=False)
    else:
        rows = [{**vars(e), "inputs": ", ".join(e.inputs)} for e in found.features]
        shown = ("name", "family", "description", "unit", "window_days", "inputs")
        title = f"Set '{found.set}', version {found.version}: {len(rows)} features"
        print_rows(title, [{name: row[name] for name in shown} for row in rows])
