"""The users table's attributes as columns: numbers as they are, categories as flags."""

from __future__ import annotations

import polars as pl

from features.attributes import Attribute, as_number, as_text, in_frame
from features.family import Column, Family, column
from features.naming import slugs, words
from features.spec import FeatureSpec


def statics(spec: FeatureSpec) -> Family:
    """One column a number, one flag a learned category; unknown users have null and 0."""
    wanted = [(attribute, value) for attribute in spec.attributes for value in _values(attribute)]
    names = slugs((_label(attribute, value) for attribute, value in wanted), taken=())
    return Family(
        columns=tuple(
            _column(attribute, value, f"user_{names[_label(attribute, value)]}")
            for attribute, value in wanted
        )
    )


def _values(attribute: Attribute) -> tuple[str | None, ...]:
    return (None,) if attribute.kind == "number" else attribute.categories


def _label(attribute: Attribute, value: str | None) -> str:
    # The separators keep ("a", "b c") and ("a b", "c") two labels; slugs() numbers their names.
    return attribute.name if value is None else f"{attribute.name}\0is\0{value}"


def _column(attribute: Attribute, value: str | None, name: str) -> Column:
    noun = words(attribute.name)
    if value is None:
        return column(
            name,
            "number",
            f"the users table's '{noun}'",
            f"{noun} is {{}}",
            as_number(in_frame(attribute.name)),
            missing=f"{noun} is unknown",
        )
    flag = (as_text(in_frame(attribute.name)) == value).fill_null(value=False).cast(pl.Int64)
    return column(
        name, "flag", f"the users table's '{noun}' is '{value}'", f"{noun} {{}} {value}", flag
    )
