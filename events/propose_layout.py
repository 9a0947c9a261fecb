"""How a file is laid out, as lines of a proposed holdfast.toml."""

from __future__ import annotations

from collections.abc import Sequence

from events.propose_column import Column
from events.propose_look import Look
from events.propose_words import listed, quoted


def layout_lines(look: Look, paths: Sequence[str]) -> list[str]:
    path = quoted(paths[0]) if len(paths) == 1 else listed(paths)
    more = " # files that match later are added by the next ingest" if "*" in path else ""
    lines = [f"path = {path}{more}", f"format = {quoted(look.form)}"]
    layout = look.layout
    if layout.encoding is not None:
        lines.append(
            f"encoding = {quoted(layout.encoding)} # a guess, it is not UTF-8: do names read well?"
        )
    if layout.delimiter is not None:
        lines.append(f"delimiter = {quoted(layout.delimiter)}")
    if layout.unnest:
        lines.append(f"unnest = {listed(layout.unnest)} # objects whose fields are columns")
    if not look.header:
        names = [column.name for column in look.columns]
        lines += ["header = false # give the columns better names", f"names = {listed(names)}"]
    elif layout.names:
        note = "# the first line leaves some out: put theirs here"
        lines.append(f"names = {listed(layout.names)} {note}")
    return lines


def null_lines(columns: Sequence[Column]) -> list[str]:
    words = sorted({word for column in columns for word in column.null_words})
    return [f"null_values = {listed(['', *words])} # stand for 'none'"] if words else []
