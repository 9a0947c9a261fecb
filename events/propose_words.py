"""The words of a column's name, whatever its case or joints, and texts as TOML has them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

_COMPOUND = re.compile(
    "^(kunden|customer|user|client|member|account|subscriber|visitor|player|order|event|purchase|"
    "sales?|total|unit|invoice|transaction|session|item|product|page|action)"
    "(id|no|nr|num|nummer|number|key|code|name|type|date|datetime|time|timestamp|amount|price|"
    "value|quantity|count)$"
)


def words_of(name: str) -> list[str]:
    """ "userId", "User ID" and "user_id" are the words user, id."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    words = [word.lower() for word in re.split(r"[\W_]+", apart) if word]
    return [part for word in words for part in _COMPOUND.sub(r"\1 \2", word).split()]


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def listed(values: Sequence[str]) -> str:
    return "[" + ", ".join(quoted(value) for value in values) + "]"
