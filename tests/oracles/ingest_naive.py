"""De-duplication said row by row, for the fast one to equal."""

from __future__ import annotations

from collections.abc import Sequence

from events.contract import IDENTITY, ROW_ORDER

Row = dict[str, object]


def _order(row: Row) -> tuple[tuple[bool, object], ...]:
    return tuple((row[name] is not None, row[name]) for name in ROW_ORDER)


def kept(new: Sequence[Row], stored: Sequence[Row], mode: str) -> list[Row]:
    """The new rows that are added to those stored, in ROW_ORDER."""

    def key(row: Row) -> tuple[object, ...]:
        if mode == "event_id" and row["event_id"] is not None:
            return ("id", row["source"], row["user_id"], row["event_id"])
        return ("row", *(row[name] for name in IDENTITY))

    seen = {key(row) for row in stored}
    added = []
    for row in sorted(new, key=_order):
        if mode == "none" or key(row) not in seen:
            seen.add(key(row))
            added.append(row)
    return added
