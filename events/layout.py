"""How many buckets a log is parted into."""

from __future__ import annotations

BUCKET_ROWS = 1_000_000
MOST_BUCKETS = 65_536


def buckets_for(rows: int) -> int:
    """The smallest power of two of buckets that hold a million rows each; at most 65,536."""
    needed = -(-max(rows, 1) // BUCKET_ROWS)
    return min(1 << (needed - 1).bit_length(), MOST_BUCKETS)
