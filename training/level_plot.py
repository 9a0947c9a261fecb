"""The figure of a review that shows how calibration held at past cutoffs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from training.plots import BLUE, GREY, ORANGE, styled


def past_reliability(rows: Sequence[dict[str, Any]]) -> Any:
    """Churn at each past cutoff, and what was predicted there with and without what was carried to
    it. `rows`: as of `training.present.Carried`."""
    from plotly import graph_objects as go

    figure = go.Figure()
    at = [row["cutoff"] for row in rows]
    lines = (
        ("churned", "base_rate", None, GREY),
        ("predicted as calibrated", "predicted", "ece", ORANGE),
        ("predicted when carried", "predicted_carried", "ece_carried", BLUE),
    )
    for name, column, error, colour in lines:
        told = [f"<br>ECE {row[error]:.4f}" if error else "" for row in rows]
        figure.add_trace(
            go.Scatter(
                x=at,
                y=[row[column] for row in rows],
                mode="lines+markers",
                name=name,
                line_color=colour,
                customdata=told,
                hovertemplate="%{x}: %{y:.1%}%{customdata}<extra>%{fullData.name}</extra>",
            )
        )
    figure.update_yaxes(title_text="share of churn", tickformat=".1%")
    figure.update_xaxes(title_text="past cutoff", type="date")
    return styled(figure, height=360)


def told_of(rows: Sequence[dict[str, Any]], candidate: str) -> str:
    """The line above the figure."""
    before, after = (sum(row[name] for row in rows) / len(rows) for name in ("ece", "ece_carried"))
    return (
        f"An older model, carried to each of {len(rows)} past cutoffs by what was known there "
        f"({candidate}): a mean calibration error of {after:.4f}, {before:.4f} left alone."
    )
