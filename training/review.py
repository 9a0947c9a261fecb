"""The page a reviewer reads: figures, numbers with intervals, notes. One file, works offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from training.compare import Shown

STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5c6675; --paper: #ffffff;
  --card: #f5f7fa; --line: #dde2ea; --accent: #3f86e8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa5b5; --paper: #12161c;
  --card: #1a2029; --line: #2d3644; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 880px; margin: 0 auto; padding: 20px 16px 48px; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 1.1rem; margin: 0 0 2px; }
p { margin: 0 0 8px; } .soft { color: var(--soft); font-size: .9rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 14px 14px 10px; margin: 16px 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums;
  font-size: .92rem; }
th, td { text-align: right; padding: 5px 8px; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; } td small { color: var(--soft); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tr:last-child td { border-bottom: 0; }
ul { margin: 4px 0; padding-left: 20px; } .figure { width: 100%; overflow: hidden; }
dl { display: grid; grid-template-columns: auto 1fr; gap: 2px 14px; margin: 0;
  font-size: .9rem; } dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
"""

SCRIPT = """
const dark = matchMedia("(prefers-color-scheme: dark)");
function themed(layout) {
  const css = getComputedStyle(document.documentElement);
  const ink = css.getPropertyValue("--ink").trim(), line = css.getPropertyValue("--line").trim();
  const out = {...layout, autosize: true, font: {color: ink, size: 12, family: "inherit"},
    hoverlabel: {bgcolor: css.getPropertyValue("--card").trim(), font: {color: ink}}};
  for (const key of Object.keys(layout)) if (/^[xy]axis/.test(key))
    out[key] = {...layout[key], gridcolor: line, linecolor: line, color: ink};
  return out;
}
function draw() {
  for (const {id, figure} of FIGURES)
    Plotly.react(id, figure.data, themed(figure.layout), {responsive: true, displayModeBar: false});
}
draw(); addEventListener("resize", draw); dark.addEventListener("change", draw);
"""


def page(
    title: str,
    lead: str,
    rows: Sequence[Shown],
    figures: Mapping[str, tuple[str, Any]],
    notes: Sequence[str],
    facts: Mapping[str, str],
) -> str:
    """HTML with plotly.js inside. `figures`: heading to (explanation, plotly figure)."""
    return sheet(title, lead, noted(notes) + _table(rows), figures, listed(facts))


def sheet(
    title: str, lead: str, before: str, figures: Mapping[str, tuple[str, Any]], after: str
) -> str:
    """The same of HTML before and after the figures."""
    from plotly.offline import get_plotlyjs

    drawn = [
        f'{{"id": "figure-{i}", "figure": {_inline(figure)}}}'
        for i, (_, figure) in enumerate(figures.values())
    ]
    sections = "".join(
        f"<section><h2>{escape(heading)}</h2><p class=soft>{escape(told)}</p>"
        f'<div class=figure id="figure-{i}"></div></section>'
        for i, (heading, (told, _)) in enumerate(figures.items())
    )
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        f"<h1>{escape(title)}</h1><p class=soft>{escape(lead)}</p>"
        f"{before}{sections}{after}</main>"
        f"<script>{get_plotlyjs()}</script>"
        f"<script>const FIGURES = [{', '.join(drawn)}];{SCRIPT}</script></body></html>\n"
    )


def _inline(figure: Any) -> str:
    # "</" would end the script early, wherever a feature's name holds it.
    return str(figure.to_json()).replace("</", "<\\/")


def noted(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<section><h2>To know before reading on</h2><ul>{items}</ul></section>"


def _table(rows: Sequence[Shown]) -> str:
    body = "".join(
        f"<tr><td>{escape(row.words)}</td><td>{row.value}<br><small>{row.between}</small></td>"
        f"<td>{row.floor}</td></tr>"
        for row in rows
    )
    return (
        "<section><h2>How good it is on users it has not seen</h2><div class=scroll><table>"
        "<tr><th>metric</th><th>model<br><small>95 % interval over users</small></th>"
        f"<th>recency alone</th></tr>{body}</table></div></section>"
    )


def listed(facts: Mapping[str, str]) -> str:
    items = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
    return f"<section><h2>Where it comes from</h2><dl>{items}</dl></section>"
