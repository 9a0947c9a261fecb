"""Those that "auto" tried, side by side on the test slice, which chose none of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from training.plots import BLUE, GREY, styled

PANELS = (
    ("churn", "churn_roc_auc", "churn: ROC-AUC"),
    ("value", "value_normalized_gini", "value: normalised Gini"),
)


def panels_of(rows: Sequence[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Those of PANELS that the test slice had the metric of; none where it has one class only."""
    return [panel for panel in PANELS if any(panel[1] in row for row in rows)]


def tried(rows: Sequence[dict[str, Any]]) -> Any:
    """A row for each model, in the order tried, with 95 % intervals over users; filled: chosen.

    rows    of `Trained.table`, with one panel at least
    """
    from plotly import graph_objects as go
    from plotly.subplots import make_subplots

    panels = panels_of(rows)
    figure = make_subplots(rows=1, cols=len(panels), shared_yaxes=True, horizontal_spacing=0.04)
    for column, (target, metric, title) in enumerate(panels, start=1):
        known = [row for row in rows if metric in row]
        chosen = [target in row["chosen_for"] for row in known]
        points = [row[metric] for row in known]
        dots = go.Scatter(
            x=points,
            y=[row["model"] for row in known],
            error_x={
                "array": [row.get(f"{metric}_high", row[metric]) - row[metric] for row in known],
                "arrayminus": [
                    row[metric] - row.get(f"{metric}_low", row[metric]) for row in known
                ],
                "thickness": 1,
                "color": GREY,
            },
            mode="markers",
            marker={
                "size": 10,
                "color": BLUE,
                "symbol": ["circle" if one else "circle-open" for one in chosen],
            },
            hovertemplate="%{y}: %{x:.4f}<extra></extra>",
            showlegend=False,
        )
        figure.add_trace(dots, row=1, col=column)
        figure.update_xaxes(title_text=title, row=1, col=column)
    figure.update_yaxes(autorange="reversed", automargin=True)
    return styled(figure, height=120 + 34 * len(rows))


def told_of(rows: Sequence[dict[str, Any]]) -> str:
    each = [(row["model"], " and ".join(row["chosen_for"])) for row in rows]
    chosen = [f"{model} for {target}" for model, target in each if target]
    return (
        f"Chosen on the calibration slice: {', '.join(chosen)} (filled). Shown is what the test "
        "slice says of each as it was tried, with intervals of 95 % over users; what was chosen "
        "has been fitted anew since."
    )
