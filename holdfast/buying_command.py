"""buying."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

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


class KindName(StrEnum):
    bg = "bg/nbd"
    mbg = "mbg/nbd"


@app.command()
def buying(
    config: Config = CONFIG,
    as_of: AsOf = None,
    horizon_days: Annotated[
        int | None, typer.Option("--horizon-days", help="How far ahead; default: that of value.")
    ] = None,
    kind: Annotated[
        KindName | None, typer.Option("--kind", help="Default: the one of the greater likelihood.")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            help="A column or property of the first purchase that may move how often they buy and "
            "when they leave (a covariate); may be repeated.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="A .parquet or .csv file of every customer.")
    ] = None,
    device: OnDevice = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """Who is still a customer, what they will buy and spend: BG/NBD with Gamma-Gamma."""
    from holdfast.output import print_json
    from training.buying_customers import Asked, describe_customers
    from training.buying_report import report

    settings = settings_of(config)
    asked = Asked(horizon_days, kind.value if kind else None, tuple(by or ()), out)
    found = describe_customers(settings, instant_of(as_of, settings), asked, device_of(device))
    print_json(report(found)) if as_json else _print(report(found))


def _print(told: dict[str, Any]) -> None:
    from holdfast.output import print_fields, print_rows
    from runtime.progress import say

    sums = ("customers", "alive", "buyers", "expected_purchases", "expected_value")
    print_fields(f"The next {told['horizon_days']} days", {n: told[n] for n in sums})
    print_rows("Laws, with 95 % intervals", told["laws"])
    if told["groups"]:
        print_rows("A customer, by the first purchase", [_in_words(row) for row in told["groups"]])
        print_rows("Covariates as factors, with 95 % intervals", told["covariates"])
    for note in told["notes"]:
        say(f"note: {note}")
    if told["out"]:
        say(f"out: {told['out']}")


def _in_words(row: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("_", " "): value for name, value in row.items()}
