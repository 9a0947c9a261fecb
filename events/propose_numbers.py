"""Whether a column that nobody has described holds numbers, and what parts their fractions."""

from __future__ import annotations

import polars as pl

from events.columns import as_amount
from events.money import as_plain

_LEAST_SHARE = 0.95
_COMMAS = r"^[+-]?\d+(\.\d{3})*,\d{1,2}$|^[+-]?\d{1,3}(\.\d{3})+$"
_POINTS = r"^[+-]?\d+\.\d+$|^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"


def number_of(known: pl.Series) -> tuple[bool, str]:
    """Whether most of these texts are numbers, with a currency or without; "," or "." before
    the fraction."""
    if known.str.contains(r"\d").sum() < max(1, _LEAST_SHARE * len(known)):
        return False, "."
    if known.cast(pl.Float64, strict=False).is_finite().fill_null(value=False).all():
        return True, "."
    bare = as_plain(known.str.strip_chars())
    decimal = "," if bare.str.contains(_COMMAS).sum() > bare.str.contains(_POINTS).sum() else "."
    read_as = known.alias("v").to_frame().select(as_amount("v", pl.String(), decimal))["v"]
    return int(read_as.is_finite().sum() or 0) >= _LEAST_SHARE * len(known), decimal
