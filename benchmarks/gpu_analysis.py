"""Retention, funnels, paths, lifecycle, layers, early behaviours and tracking: what
benchmarks.gpu_check computes on both devices and compares."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from events.quality import quality
from events.store import EventStore
from retention.activity import activity
from retention.curve import retention
from retention.early import early_counts
from retention.funnel import funnel
from retention.layers import layers
from retention.lifecycle import lifecycle
from retention.paths import paths
from retention.rfm import rfm
from retention.stickiness import stickiness
from runtime.device import Device
from runtime.settings import Settings

STEPS = ("login", "view", "purchase")
Work = Callable[[Device], pl.DataFrame]


def analyses(settings: Settings, store: EventStore) -> dict[str, Work]:
    """By name, what is computed on a device."""
    return {
        "retention": lambda on: retention(settings, store, on).cells,
        "retention by channel": lambda on: retention(settings, store, on, by="channel").cells,
        "retention, recurring": lambda on: retention(settings, store, on, anchor="every").cells,
        "cumulative value": lambda on: retention(settings, store, on, measure="cumulative").cells,
        "funnel": lambda on: funnel(settings, store, on, STEPS).steps,
        "funnel, any order": lambda on: funnel(settings, store, on, STEPS, order="any").steps,
        "funnel, with an exclusion": lambda on: (
            funnel(settings, store, on, STEPS, exclude=("search",)).steps
        ),
        "paths": lambda on: paths(settings, store, on).paths.drop("nodes"),
        "lifecycle": lambda on: lifecycle(settings, store, on).periods,
        "stickiness": lambda on: stickiness(settings, store, on).days,
        "activity": lambda on: activity(settings, store, on, "month").periods,
        "rfm": lambda on: rfm(settings, store, on).cells,
        "layers": lambda on: layers(settings, store, on, "month").movements,
        "early behaviours": lambda on: early_counts(settings, store, on).table,
        "tracking": lambda on: quality(settings, store, on).daily,
    }
