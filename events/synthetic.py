"""The synthetic world: a seeded subscription service whose truth is known.

`World(users=..., seed=...)` names one; `generate` gives its events in memory, `write_world` its
files with a holdfast.toml, `oracle` the best possible forecast at any cutoff, `uplift` the true
effect of its campaign. The laws are in `synthetic_laws` and `synthetic_rates`.
"""

from __future__ import annotations

from events.synthetic_files import WrittenWorld, write_world
from events.synthetic_log import generate
from events.synthetic_oracle import classes, oracle, uplift
from events.synthetic_world import World

__all__ = ["World", "WrittenWorld", "classes", "generate", "oracle", "uplift", "write_world"]
