"""Keys of paths as they are written."""

from __future__ import annotations

import polars as pl

from retention.path_keys import Keys
from retention.path_nodes import Nodes


def texts(codes: pl.Expr, nodes: Nodes) -> pl.Expr:
    """What is written for the codes of nodes."""
    written = nodes.texts
    return codes.replace_strict(list(range(len(written))), list(written), return_dtype=pl.String())


def node_list(keys: Keys, nodes: Nodes, *, ended: bool = True) -> pl.Expr:
    """The nodes of a path in the order of time, as written; with how it ends unless left out."""
    found: list[pl.Expr] = []
    going = pl.lit(value=True)
    for place in range(keys.digits):
        digit = keys.digit(place)
        is_event = (digit > 0) & (digit <= nodes.rest)
        found.append(pl.when(going & (is_event | ended)).then(texts(digit, nodes)))
        going = going & is_event
    ordered = found[::-1] if nodes.backward else found
    return pl.concat_list(ordered).list.drop_nulls()
