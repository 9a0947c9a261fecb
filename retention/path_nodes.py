"""The nodes of paths: events by name, the pooled rest, and how a path ends; written and read.

A node that is no event is written in parentheses. An event whose name could be taken for one, or
would break a path in two, is written as a JSON string: "(other events)". So no name that a log has
can clash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from events.names import require_events
from runtime.errors import UsageError

Per = Literal["session", "user"]
ENDED = 0  # the code of a path's own end: that of its session; or, read backward, its beginning
POOLED = "(other events)"
OPEN, EARLIER = "(still open)", "(began earlier)"
CUT = "(cut)"
ARROW = ">"
_ODD = ('"', "(")


@dataclass(frozen=True)
class Nodes:
    """`kept`: the events that have a node of their own, the most frequent first. `pooled`: the
    others. `backward`: whether paths are read from their last event.

    The codes of nodes: 0 the end, 1 the first of `kept` and so on, then the pooled events, a path
    that is still open, one that is cut at the most steps.
    """

    kept: tuple[str, ...]
    pooled: tuple[str, ...]
    per: Per
    backward: bool

    @property
    def rest(self) -> int:
        return len(self.kept) + 1

    @property
    def open(self) -> int:
        return self.rest + 1

    @property
    def cut(self) -> int:
        return self.rest + 2

    @property
    def base(self) -> int:
        return self.rest + 3

    @property
    def texts(self) -> tuple[str, ...]:
        """What is written for each code."""
        ended = f"({'start' if self.backward else 'end'} of {self.per})"
        going = EARLIER if self.backward else OPEN
        return (ended, *map(node_text, self.kept), POOLED, going, CUT)

    def is_event(self, code: int) -> bool:
        return ENDED < code <= self.rest

    def codes_of(self, text: str, called: str) -> tuple[int, ...]:
        """The codes of a path as it is written. Raises UsageError for what is no node."""
        code_of = {name: code for code, name in enumerate(self.texts)}
        return tuple(self._code(node, code_of, called) for node in split(text, called))

    def _code(self, node: str, code_of: Mapping[str, int], called: str) -> int:
        if node in code_of:
            return code_of[node]
        name = named(node)
        if name in self.pooled:
            raise UsageError(
                f"{called}: event '{name}' is not among the {len(self.kept)} that are told apart; "
                f"write {POOLED}, or raise --top"
            )
        if name is not None:
            require_events([name], dict.fromkeys((*self.kept, *self.pooled), 0), called)
        marks = ", ".join(text for code, text in enumerate(self.texts) if not self.is_event(code))
        raise UsageError(f"{called}: no node {node}; beside events there are {POOLED}, {marks}")


def node_text(name: str) -> str:
    """An event as it is written in a path."""
    plain = name == name.strip() and not name.startswith(_ODD) and ARROW not in name
    return name if plain and name else json.dumps(name, ensure_ascii=False)


def named(node: str) -> str | None:
    """The event that is written so; None for a node that is no event."""
    if node.startswith("("):
        return None
    return str(json.loads(node)) if node.startswith('"') else node


def path_text(nodes: Sequence[str]) -> str:
    return f" {ARROW} ".join(nodes)


def split(text: str, called: str) -> list[str]:
    """The nodes of a written path, as `node_text` writes them. Raises UsageError."""
    nodes, rest = [], text.strip()
    while True:
        node, rest = _next(rest, called)
        if not node:
            raise UsageError(f"{called} '{text}': an empty step; write it like 'view > cart > buy'")
        nodes.append(node)
        if not rest:
            return nodes
        rest = rest.removeprefix(ARROW).strip()


def _next(text: str, called: str) -> tuple[str, str]:
    """The first node, and what follows it from its arrow on."""
    if text.startswith('"'):
        try:
            name, end = json.JSONDecoder().raw_decode(text)
        except json.JSONDecodeError:
            raise UsageError(f"{called} '{text}': a quoted event has no closing quote") from None
        rest = text[end:].strip()
        if rest and not rest.startswith(ARROW):
            raise UsageError(f"{called} '{text}': after a quoted event comes {ARROW}")
        return node_text(str(name)), rest
    node, arrow, rest = text.partition(ARROW)
    return node.strip(), arrow + rest
