"""report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
)


@app.command()
def report(
    config: Config = CONFIG,
    out: Annotated[
        Path | None, typer.Option("--out", help="The file; default: what [report] names.")
    ] = None,
    lang: Annotated[
        str | None, typer.Option("--lang", help="en or zh; default: what [report] says.")
    ] = None,
    funnel: Annotated[
        list[str] | None,
        typer.Option(
            "--funnel",
            metavar="NAME",
            help="A [[funnel]] of holdfast.toml by its name, or steps with > between; repeat it "
            "for several. Default: all that are named there, or a proposal.",
        ),
    ] = None,
    ids: Annotated[
        bool, typer.Option("--ids", help="Name users on the page; it is personal data then.")
    ] = False,
    as_of: AsOf = None,
    device: OnDevice = DeviceName.auto,
    cluster: OnCluster = "none",
    as_json: Json = False,
) -> None:
    """One page that a manager opens in a browser: retention, funnels, paths, risk, quality."""
    from holdfast.output import print_fields, print_json
    from report.asked import Asked, funnels_asked
    from report.page import write_report
    from report.words import words_of

    settings, store = opened(config, as_of)
    words, on = words_of(lang or settings.report.lang), device_of(device)
    drawn = funnels_asked(settings, funnel or ())
    asked = Asked(settings, store, on, words, drawn, ids, cluster_of(cluster, on))
    done = write_report(asked, out or settings.resolve(settings.report.file))
    told = {"file": done.file, "bytes": done.bytes, "sections": done.sections}
    print_json(told) if as_json else print_fields("Report", told)
