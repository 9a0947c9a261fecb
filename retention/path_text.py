"""Keys of paths as they are written."""

from __future__ import annotations

import polars as pl

from retention.path_keys import Keys
from retention.path_nodes import ARROW, Nodes


def texts(codes: pl.Expr, nodes: Nodes) -> pl.Expr:
    """What is written for the codes of nodes."""
    written = nodes.texts
    return codes.replace_strict(list(range(len(written))), list(written), return_dtype=pl.String())


def path_texts(keys: Keys, nodes: Nodes, *, ended: bool = True) -> pl.Expr:
    """A path as it is written, in the order of time; with how it ends unless left out."""
    parts = _in_order(keys, nodes, ended=ended)
    return pl.concat_str(parts, separator=f" {ARROW} ", ignore_nulls=True)


def node_list(keys: Keys, nodes: Nodes) -> pl.Expr:
    """Its nodes, as written."""
    return pl.concat_list(_in_order(keys, nodes, ended=True)).list.drop_nulls()


def _in_order(keys: Keys, nodes: Nodes, *, ended: bool) -> list[pl.Expr]:
    """The text of each place, null where the path has none."""
    found: list[pl.Expr] = []
    going = pl.lit(value=True)
    for place in range(keys.digits):
        digit = keys.digit(place)
        is_event = (digit > 0) & (digit <= nodes.rest)
        found.append(pl.when(going & (is_event | ended)).then(texts(digit, nodes)))
        going = going & is_event
    return found[::-1] if nodes.backward else found
