"""The synthetic world as a company would have it: files of several layouts and a holdfast.toml.

    app-NNN.parquet       the phone app's events
    web-NNN.ndjson        the web's, milliseconds since 1970; web-NNN-late.ndjson came afterwards
    services-NNN.csv      billing, e-mail and support, ISO times, amounts
    users.csv             what was known of each user when they joined
    truth/                what nobody at the company knows; never read by ingest

A chunk of users is written at a time, so memory does not grow with the world.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import polars as pl

from events.synthetic_faults import FAULTS, plant, type_changes_on
from events.synthetic_log import block_log
from events.synthetic_oracle import classes, oracle, uplift, user_names
from events.synthetic_scene import CHANNELS, EVENTS
from events.synthetic_world import ACQUISITIONS, COUNTRIES, PLANS, World, draw_cast
from runtime.files import make_folder, write_atomic, write_text
from runtime.progress import progress

BLOCKS_A_FILE = 32
SERVICES = ("billing", "email", "support")

CONFIG = """\
# A synthetic subscription service. Its truth lies in truth/ and is read by nothing but reviewers.
[project]
name = "synthetic"

[[source]]
name = "app"
path = "app-*.parquet"
[source.columns]
user_id = "user"
ts = "at"
event = "action"
event_id = "id"
[source.constants]
channel = "app"

[[source]]
name = "web"
path = "web-*.ndjson"
time_format = "epoch_ms"
[source.columns]
user_id = "uid"
ts = "time"
event = "name"
event_id = "message"
[source.constants]
channel = "web"

[[source]]
name = "services"
path = "services-*.csv"
[source.columns]
user_id = "customer"
ts = "timestamp"
event = "type"
amount = "amount"
channel = "service"
event_id = "reference"

[users]
path = "users.csv"
attributes = ["country", "plan", "acquisition"]
[users.columns]
user_id = "user_id"

[events]
deduplicate = "event_id"
# Devices that have lost their clock say 1970, or a far future.
earliest = "{earliest}"
latest = "{latest}"

[activity]
# What the user does, not what is done to them.
exclude = ["payment", "payment_failed", "refund", "campaign_sent", "support_solved"]

[eligible]
within_days = 30

[churn]
kind = "active"
events = ["cancel"]
horizon_days = 30

[value]
events = ["payment", "purchase", "refund"]

[[funnel]]
name = "first steps"
steps = ["signup", "view", "play", "favourite"]
within_days = 14
"""


@dataclass(frozen=True)
class WrittenWorld:
    """`rows`: lines of the event files, faults included."""

    config: Path
    paths: tuple[Path, ...]
    rows: int


def write_world(world: World, folder: Path, cutoffs: tuple[datetime, ...] = ()) -> WrittenWorld:
    """Writes the files, their holdfast.toml and the truth (the oracle at `cutoffs`).

    The same world gives the same bytes. Raises OutputError.
    """
    make_folder(folder)
    paths: list[Path] = []
    planted: list[pl.DataFrame] = []
    rows = 0
    chunks = range(0, world.blocks, BLOCKS_A_FILE)
    with progress("synthetic world", len(chunks), "files of each kind") as advance:
        for number, first in enumerate(chunks):
            blocks = range(first, min(first + BLOCKS_A_FILE, world.blocks))
            tracked, faults = zip(*(_tracked(world, block) for block in blocks), strict=True)
            frame = pl.concat(tracked).sort("ts", "event_id")
            paths += list(_write_events(folder, number, frame, _type_changes(world)))
            planted += faults
            rows += frame.height
            advance()
    paths.append(write_atomic(folder / "users.csv", _users(world).write_csv))
    _write_truth(world, folder / "truth", pl.concat(planted), cutoffs)
    earliest, latest = (at.date().isoformat() for at in (world.start_at, world.end_at))
    config = write_text(folder / "holdfast.toml", CONFIG.format(earliest=earliest, latest=latest))
    return WrittenWorld(config, tuple(paths), rows)


def _tracked(world: World, block: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    log, ids = block_log(world, block)
    frame = pl.DataFrame(
        {
            "event_id": ids,
            "user_id": pl.Series(user_names(block, world)).gather(log.user),
            "ts": pl.Series(log.ts).cast(pl.Datetime("ms")),
            "event": pl.Series(EVENTS).gather(log.code),
            "amount": pl.Series(log.amount, nan_to_null=True),
            "channel": pl.Series(CHANNELS).gather(log.channel),
            "detail": pl.Series(log.detail),
            "late": pl.repeat(False, log.rows, eager=True),
        }
    )
    return plant(world, frame)


def _type_changes(world: World) -> datetime:
    return type_changes_on(world) if world.faults else world.end_at.replace(tzinfo=None)


def _write_events(
    folder: Path, number: int, rows: pl.DataFrame, changes: datetime
) -> Iterator[Path]:
    app = rows.filter(pl.col("channel") == "app")
    yield write_atomic(folder / f"app-{number:03d}.parquet", _app(app).write_parquet)
    web = rows.filter(pl.col("channel") == "web")
    for late, ending in ((False, ""), (True, "-late")):
        part = web.filter(pl.col("late") == late)
        if part.height or not late:
            path = folder / f"web-{number:03d}{ending}.ndjson"
            yield write_atomic(path, partial(_write_web, part, changes))
    services = _services(rows.filter(pl.col("channel").is_in(SERVICES)))
    yield write_atomic(folder / f"services-{number:03d}.csv", services.write_csv)


def _app(rows: pl.DataFrame) -> pl.DataFrame:
    item = pl.when(pl.col("detail") >= 0).then("detail")
    return rows.select(id="event_id", user="user_id", at="ts", action="event", item=item)


def _write_web(rows: pl.DataFrame, changes: datetime, path: Path) -> None:
    """One file, in which `item` is a number before `changes` and text from then on."""
    number = pl.when(pl.col("detail") >= 0).then("detail")
    text = "item-" + number.cast(pl.String)
    with path.open("wb") as file:
        for part, item in (
            (rows.filter(pl.col("ts") < changes), number),
            (rows.filter(pl.col("ts") >= changes), text),
        ):
            time = pl.col("ts").dt.epoch("ms")
            part.select(
                message="event_id", uid="user_id", time=time, name="event", item=item
            ).write_ndjson(file)


def _services(rows: pl.DataFrame) -> pl.DataFrame:
    plans = list(PLANS)
    plan = pl.col("detail").replace_strict(
        list(range(len(plans))), plans, default=None, return_dtype=pl.String
    )
    return rows.select(
        reference="event_id",
        customer="user_id",
        timestamp=pl.col("ts").dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"),
        service="channel",
        type="event",
        amount=pl.col("amount").round(2),
        plan=plan,
    )


def _users(world: World) -> pl.DataFrame:
    frames = []
    for block in range(world.blocks):
        names, cast = user_names(block, world), draw_cast(world, block)
        here = slice(len(names))
        frames.append(
            pl.DataFrame(
                {
                    "user_id": names,
                    "signup": [world.at(int(day)).date() for day in cast.signup[here]],
                    "country": [COUNTRIES[c] for c in cast.country[here]],
                    "plan": [PLANS[c] for c in cast.plan[here]],
                    "acquisition": [ACQUISITIONS[c] for c in cast.acquisition[here]],
                }
            )
        )
    return pl.concat(frames)


def _write_truth(
    world: World, folder: Path, planted: pl.DataFrame, cutoffs: tuple[datetime, ...]
) -> None:
    make_folder(folder)
    keys = [name for name in FAULTS if name != "rows"]
    faults = planted.group_by(keys, maintain_order=True).agg(pl.col("rows").sum())
    write_atomic(folder / "faults.csv", faults.write_csv)
    write_atomic(folder / "classes.parquet", classes(world).write_parquet)
    write_atomic(folder / "uplift.parquet", uplift(world).write_parquet)
    for cutoff in cutoffs:
        name = f"oracle-{cutoff.date().isoformat()}.parquet"
        write_atomic(folder / name, oracle(world, cutoff).write_parquet)
