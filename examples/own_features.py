"""Features of a project's own: what holdfast.toml names with

    [features]
    own = "own_features.py"

`family(spec)` says what is measured of a user's events and which features are made of it. A
measure looks at one row at a time and names no cutoff: windows and cutoffs are added by
Holdfast, so it cannot look ahead. `holdfast leakcheck` proves it, `holdfast features` prints
what came out. docs/features.md explains each part.
"""

from __future__ import annotations

import polars as pl

from features.family import Column, Family, column, last_days, ratio, within
from features.measure import Measure
from features.spec import FeatureSpec
from features.time import Window

# `slice` tells which eighth of the local day a row lies in: 0 from midnight to three.
UNTIL_SIX = 2
NIGHT = pl.col("slice") < UNTIL_SIX
VIEW = pl.col("event") == "view"
# Properties are kept as JSON. Empty or missing ones give null, and null counts as nothing.
RATING = pl.col("properties").str.json_path_match("$.rating").cast(pl.Float64, strict=False)


def family(spec: FeatureSpec) -> Family:
    measures = {
        "own_views": Measure("events", VIEW),
        "own_night_views": Measure("events", VIEW & NIGHT),
        "own_ratings": Measure("events", RATING.is_not_null()),
        "own_rating_sum": Measure("events", RATING, real=True),
        "own_last_hour": Measure("active", pl.col("slice") * 3, how="last"),
    }
    columns = [*_rated(), *(c for window in spec.windows for c in _night(window))]
    return Family(measures, tuple(columns))


def _night(window: Window) -> list[Column]:
    when = last_days(window)
    night, views = within("own_night_views", window), within("own_views", window)
    return [
        column(
            f"own_night_views_{window}",
            "count",
            f"views from midnight to six {when}",
            f"{{}} [view|views] at night {when}",
            night,
            window,
        ),
        column(
            f"own_night_share_{window}",
            "share",
            f"share of views that were from midnight to six {when}",
            f"{{}} of views at night {when}",
            ratio(night, views),
            window,
            missing=f"no view {when}",
        ),
    ]


def _rated() -> list[Column]:
    return [
        column(
            "own_rating_mean",
            "number",
            "mean of the ratings given",
            "rates {} on average",
            ratio(within("own_rating_sum", None), within("own_ratings", None)),
            missing="never rated",
        ),
        column(
            "own_last_hour",
            "number",
            "local hour of the last activity, to three hours",
            "last active from {} o'clock",
            pl.col("own_last_hour"),
            missing="never active",
        ),
    ]
