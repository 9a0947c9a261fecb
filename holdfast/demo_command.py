"""demo."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.analysis import opened
from holdfast.app import DeviceName, Json, OnDevice, app, device_of, folder_of

if TYPE_CHECKING:
    from runtime.device import Device

SHOWN = (  # of the CRM file: all its columns are wider than a terminal
    "rank",
    "user_id",
    "churn_probability",
    "churn_low",
    "churn_high",
    "expected_value",
    "value_low",
    "value_high",
    "reason_1",
    "reason_2",
)


@app.command()
def demo(
    folder: Annotated[
        Path,
        typer.Option(
            "--out", parser=folder_of, metavar="<path>", help="Where the demo's files go."
        ),
    ] = Path("demo"),
    tracking: Annotated[
        Path,
        typer.Option("--tracking", parser=folder_of, metavar="<path>", help="Where its runs go."),
    ] = Path("mlruns"),
    users: Annotated[int, typer.Option("--users", min=1000, help="Size of the world.")] = 20_000,
    seed: Annotated[int, typer.Option("--seed", help="Which world.")] = 0,
    device: OnDevice = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """The whole path on the embedded synthetic world, judged by its known truth."""
    from events.synthetic import World
    from holdfast.output import as_dict, print_fields, print_json, print_rows
    from serving.demo import demo as walk

    started = time.monotonic()
    on = device_of(device)
    result = as_dict(walk(folder, tracking, World(users=users, seed=seed), on))
    result["report"] = _page(folder, result["as_of"], on)
    result["seconds"] = time.monotonic() - started
    if as_json:
        print_json(result)
        return
    print_rows("Churn: who leaves in the 30 days after, by forecaster", result.pop("churn"))
    print_rows("Value: what they pay in the 30 days after", result.pop("value"))
    rows = [{name: row[name] for name in SHOWN} for row in result.pop("first_rows")]
    print_rows("The first rows of the CRM file, some of its columns", rows)
    print_fields("Done", result)


def _page(folder: Path, as_of: str, device: Device) -> Path:
    from report.asked import Asked
    from report.page import write_report
    from report.words import words_of

    settings, store = opened(folder / "holdfast.toml", as_of)
    asked = Asked(settings, store, device, words_of("en"))
    return write_report(asked, folder / "report.html").file
