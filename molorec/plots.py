"""Every Plotly figure, as pure functions of data."""

import html
from collections.abc import Sequence

import plotly.graph_objects as go

from molorec.explaining import Evidence
from molorec.tuning import TuningStep

ACCENT, MUTED, NEGATIVE = "#0f766e", "#8a8f98", "#b45309"
_SHORT = 34


def entropy_curve(step: TuningStep | None) -> go.Figure:
    """Mean entropy against λ, with its band over prompts, the measured nodes, and the best λ so far."""
    figure = _figure("λ: 0 specific alone, 1 general alone", "mean entropy (nat)")
    figure.update_xaxes(range=[-0.02, 1.02])
    if step is None:
        return figure
    figure.add_scatter(x=[*step.grid, *step.grid[::-1]], y=[*step.high, *step.low[::-1]], fill="toself", mode="lines",
                       line_width=0, fillcolor="rgba(15,118,110,0.18)", name="95% band", hoverinfo="skip")
    figure.add_scatter(x=step.grid, y=step.mean, mode="lines", line={"color": ACCENT, "width": 3}, name="entropy",
                       hovertemplate="λ %{x:.2f}: %{y:.4f} nat<extra></extra>")
    lams, values = zip(*step.curve, strict=True)
    figure.add_scatter(x=lams, y=values, mode="markers", marker={"color": ACCENT, "size": 8}, name="measured",
                       hovertemplate="measured at λ %{x:.3f}: %{y:.4f} nat<extra></extra>")
    figure.add_scatter(x=[step.lam], y=[step.entropy], mode="markers", name="least so far",
                       marker={"color": NEGATIVE, "size": 14, "symbol": "diamond"},
                       hovertemplate="least at λ %{x:.3f}: %{y:.4f} nat<extra></extra>")
    figure.add_vrect(x0=step.lam_low, x1=step.lam_high, fillcolor=NEGATIVE, opacity=0.12, line_width=0)
    return figure


def evidence_bars(evidence: Sequence[Evidence]) -> go.Figure:
    """How far the title's probability falls when each history item is dropped, in percentage points."""
    figure = _figure("points lost without it", "")
    effects = [100 * piece.effect for piece in evidence]
    figure.add_bar(y=[_label(piece.item.title, i) for i, piece in enumerate(evidence)], x=effects, orientation="h",
                   marker_color=[ACCENT if effect >= 0 else NEGATIVE for effect in effects],
                   customdata=[html.escape(piece.item.title) for piece in evidence],
                   hovertemplate="%{customdata}: %{x:+.2f} points<extra></extra>")
    figure.update_layout(height=max(180, 60 + 30 * len(evidence)), xaxis_nticks=5)
    figure.update_yaxes(autorange="reversed", automargin=True, ticktext=[_short(piece.item.title) for piece in evidence],
                        tickvals=[_label(piece.item.title, i) for i, piece in enumerate(evidence)])
    return figure


def _figure(x: str, y: str) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", font_color=MUTED, height=300,
        margin={"l": 10, "r": 10, "t": 10, "b": 10}, xaxis_title=x, yaxis_title=y, showlegend=False)
    figure.update_xaxes(gridcolor="rgba(138,143,152,0.25)", zerolinecolor="rgba(138,143,152,0.5)", automargin=True)
    figure.update_yaxes(gridcolor="rgba(138,143,152,0.25)", zerolinecolor="rgba(138,143,152,0.5)", automargin=True)
    return figure


def _label(title: str, i: int) -> str:
    return f"{i}|{html.escape(title)}"  # a bar each, also for two items of one title


def _short(title: str) -> str:
    return html.escape(title if len(title) <= _SHORT else title[: _SHORT - 1] + "…")
