"""Column names made from names that may hold any character: readable, safe and unique."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST = 40
SPACED = str.maketrans(dict.fromkeys("_-{}[]|", " "))
POOL = "other"  # the column of everything too rare to have one of its own


def slug(text: str) -> str:
    """Lower-case letters and digits of any script, everything else an underscore."""
    kept = "".join(c if c.isalnum() else "_" for c in text.lower())
    short = "_".join(part for part in kept.split("_") if part)[:LONGEST].strip("_")
    return short or "blank"


def slugs(texts: Iterable[str], taken: Iterable[str] = (POOL,)) -> dict[str, str]:
    """A different slug for each text; of those that look alike all but the first get a number."""
    used = set(taken)
    found: dict[str, str] = {}
    for text in texts:
        name, number = slug(text), 1
        while name in used:
            number += 1
            name = f"{slug(text)}_{number}"
        used.add(name)
        found[text] = name
    return found


def words(text: str) -> str:
    """The name as it is said in a sentence, without what marks a sentence's blanks."""
    return " ".join(text.translate(SPACED).split()) or "blank"
