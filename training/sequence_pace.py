"""The progress bar of a training: its loss, events a second, and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable

from runtime.progress import Advance, note, tell

TELL_SECONDS = 1.0


class Pace:
    """`advance`: None where nothing is shown."""

    def __init__(self, advance: Advance | None) -> None:
        self.advance = advance
        self.begun = self.told = time.monotonic()
        self.events = 0

    def done(self, events: int, loss: Callable[[], float]) -> None:
        """One step more. `loss` is asked for once a second: a device has to be waited for."""
        if self.advance is None:
            return
        self.events += events
        now = time.monotonic()
        if now - self.told >= TELL_SECONDS:
            self.told = now
            rate = self.events / (now - self.begun)
            tell(f"loss {loss():.4f}, {rate:,.0f} events/s")
        note(events)
        self.advance()
