"""The clean log of the synthetic world, a block of users at a time."""

from __future__ import annotations

import numpy as np
import polars as pl

from events.contract import TIME
from events.synthetic_events import emit
from events.synthetic_hidden import simulate
from events.synthetic_oracle import user_names
from events.synthetic_scene import CHANNELS, EVENTS, Log
from events.synthetic_world import BLOCK_USERS, Ints, World, draw_cast

IDS_PER_BLOCK = 1 << 24  # event ids stay below 2^53, exact in JSON, for 500 M users


def generate(world: World) -> pl.DataFrame:
    """The clean log: event_id (Int64), user_id, ts, event, amount, channel; in no order."""
    return pl.concat([_frame(world, block) for block in range(world.blocks)])


def _frame(world: World, block: int) -> pl.DataFrame:
    log, ids = block_log(world, block)
    return pl.DataFrame(
        {
            "event_id": ids,
            "user_id": pl.Series(user_names(block, world)).gather(log.user),
            "ts": pl.Series(log.ts * 1000).cast(TIME),
            "event": pl.Series(EVENTS).gather(log.code),
            "amount": pl.Series(log.amount, nan_to_null=True),
            "channel": pl.Series(CHANNELS).gather(log.channel),
        }
    )


def block_log(world: World, block: int) -> tuple[Log, Ints]:
    """The events of a block's users that the world has, and their ids."""
    cast = draw_cast(world, block)
    log = emit(world, cast, simulate(world, cast, block), block)
    ids = np.arange(log.rows) + block * IDS_PER_BLOCK
    here = min(BLOCK_USERS, world.users - block * BLOCK_USERS)
    if here == BLOCK_USERS:
        return log, ids
    keep = log.user < here
    return log.take(keep), ids[keep]
