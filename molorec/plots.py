"""Every Plotly figure, as pure functions of data."""

import html
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from molorec.evaluation.entropies import Learned
from molorec.explaining import Evidence
from molorec.landscape import Landscape
from molorec.mixture.lam import Lam
from molorec.mixture.layer import layer_of
from molorec.tuning import TuningStep

ACCENT, MUTED, NEGATIVE = "#0d9488", "#8a8f98", "#d97706"  # 3 to 1 and more on white and on the dark page alike
_SHORT = 34
_AXIS = {"gridcolor": "rgba(138,143,152,0.25)", "zerolinecolor": "rgba(138,143,152,0.5)", "automargin": True,
         "fixedrange": True}  # a finger that moves over a figure scrolls the page
# eight lines that stand out from white and from near black alike, each with a marker of its own for who sees no hue
LINES = ("#0d9488", "#d97706", "#3b82f6", "#db2777", "#8b5cf6", "#5f9a10", "#e5484d", "#7c8797")
_MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "star")


def entropy_curve(step: TuningStep | None) -> go.Figure:
    """Mean entropy, or contrast, against λ, with its band over prompts, the measured nodes, and the best λ so far."""
    contrast = step is not None and step.by == "contrast"
    figure = _figure("λ: 0 specific alone, 1 general alone", "own less stranger's entropy (nat)" if contrast else
                     "mean entropy (nat)")
    figure.update_xaxes(range=[-0.02, 1.02])
    if step is None:
        return figure
    figure.add_scatter(x=[*step.grid, *step.grid[::-1]], y=[*step.high, *step.low[::-1]], fill="toself", mode="lines",
                       line_width=0, fillcolor="rgba(13,148,136,0.18)", name="95% band", hoverinfo="skip")
    figure.add_scatter(x=step.grid, y=step.mean, mode="lines", line={"color": ACCENT, "width": 3}, name=step.by,
                       hovertemplate="λ %{x:.2f}: %{y:.4f} nat<extra></extra>")
    lams, values = zip(*step.curve, strict=True)
    figure.add_scatter(x=lams, y=values, mode="markers", marker={"color": ACCENT, "size": 8}, name="measured",
                       hovertemplate="measured at λ %{x:.3f}: %{y:.4f} nat<extra></extra>")
    figure.add_scatter(x=[step.lam], y=[step.entropy], mode="markers", name="λ so far", cliponaxis=False,
                       marker={"color": NEGATIVE, "size": 14, "symbol": "diamond"},
                       hovertemplate="λ so far %{x:.3f}: %{y:.4f} nat<extra></extra>")
    figure.add_vrect(x0=step.lam_low, x1=step.lam_high, fillcolor=NEGATIVE, opacity=0.12, line_width=0)
    return figure


def evidence_bars(evidence: Sequence[Evidence]) -> go.Figure:
    """What each history item does for the title: how far its probability falls when that is dropped, in percentage points."""
    figure = _figure("", "")
    effects = [100 * piece.effect for piece in evidence]
    figure.add_bar(y=[_label(piece.item.title, i) for i, piece in enumerate(evidence)], x=effects, orientation="h",
                   marker_color=[ACCENT if effect >= 0 else NEGATIVE for effect in effects],
                   customdata=[_escaped(piece.item.title) for piece in evidence],
                   hovertemplate="%{customdata}: %{x:+.2f} points<extra></extra>")
    figure.update_layout(height=max(180, 60 + 30 * len(evidence)), xaxis_nticks=5, margin_b=34, title={
        # under the whole figure: the bars alone are narrower than this on a telephone
        "text": "← against it · for it → (points of probability)", "font_size": 13, "x": 0.5, "xref": "container", "y": 0,
        "yref": "container", "yanchor": "bottom", "pad_b": 6})
    figure.update_yaxes(autorange="reversed", automargin=True, ticktext=[_short(piece.item.title) for piece in evidence],
                        tickvals=[_label(piece.item.title, i) for i, piece in enumerate(evidence)])
    return figure


def landscape(found: Landscape, lam: float, tuned: float | None = None, truth: bool = False, titles: int = 8) -> go.Figure:
    """A sweep over λ: the top titles' probabilities, the entropy, and where the title really chosen stands.

    Parameters
    ----------
    lam : the λ on screen, marked by a line; tuned : the tuned one, marked too, or None.
    truth : draw the rank of the held-out item, if there is one.
    titles : how many titles get a line; they are those of :meth:`Landscape.top`.
    """
    shown = found.top(titles)
    ranks = found.target_ranks if truth else None
    heights = [250, 110] if ranks is None else [250, 110, 110]
    figure = _figure("", "")
    figure.set_subplots(rows=len(heights), cols=1, shared_xaxes=True, vertical_spacing=0.05, row_heights=heights)
    for i, item in enumerate(shown):
        colour = LINES[i % len(LINES)]
        figure.add_scatter(
            row=1, col=1, x=found.lams, y=found.of(item), mode="lines+markers", name=_short(item.title),
            line={"color": colour, "width": 2}, marker={"color": colour, "size": 7, "symbol": _MARKERS[i % len(_MARKERS)]},
            meta=_folded(item.title), hovertemplate="%{meta}<br>λ %{x:.2f}: %{y:.1%}<extra></extra>")
    figure.add_scatter(row=2, col=1, x=found.lams, y=found.entropies, mode="lines+markers", name="entropy", showlegend=False,
                       line={"color": LINES[0], "width": 2}, marker={"color": LINES[0], "size": 6},
                       hovertemplate="λ %{x:.2f}: %{y:.4f} nat<extra></extra>")
    figure.update_yaxes(row=1, col=1, title="probability", tickformat=".0%", rangemode="tozero")
    figure.update_yaxes(row=2, col=1, title="entropy (nat)", nticks=4)
    if ranks is not None:
        count = len(found.example.candidates)
        figure.add_scatter(row=3, col=1, x=found.lams, y=ranks, mode="lines+markers", name="rank", showlegend=False,
                           line={"color": LINES[1], "width": 2}, marker={"color": LINES[1], "size": 6},
                           meta=_folded(found.example.target.title),
                           hovertemplate=f"%{{meta}}<br>λ %{{x:.2f}}: rank %{{y}} of {count}<extra></extra>")
        margin = 0.08 * count
        figure.update_yaxes(row=3, col=1, title="rank", range=[count + margin, 1 - margin], zeroline=False,
                            tickvals=[1, (count + 1) // 2, count])
    figure.update_xaxes(range=[-0.03, 1.03], **_AXIS)
    figure.update_yaxes(**_AXIS)
    figure.update_xaxes(row=len(heights), col=1, title="λ (0 specific, 1 general)")
    # no zoom: a finger that drags over the plot is to scroll the page, and a click is to choose a λ
    figure.update_layout(
        dragmode=False, hovermode="closest", showlegend=True, height=130 + sum(heights) + 20 * len(shown),
        hoverlabel={"align": "left", "namelength": -1}, margin_t=44,
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0, "itemclick": False,
                "itemdoubleclick": False})
    _mark(figure, "lam", f"λ now {lam:.2f}", lam, MUTED, "solid", 2)
    if tuned is not None:
        _mark(figure, "tuned", f"tuned {tuned:.2f}", tuned, LINES[1], "dash", 18)
    return figure


def _mark(figure: go.Figure, name: str, text: str, lam: float, colour: str, dash: str, shift: int) -> None:
    """A vertical line through all subplots with its label above them; ``name`` is how the browser finds it to move it."""
    figure.add_shape(name=name, type="line", xref="x", yref="paper", x0=lam, x1=lam, y0=0, y1=1,
                     line={"color": colour, "width": 2, "dash": dash})
    figure.add_annotation(name=name, text=text, xref="x", yref="paper", x=lam, y=1, yanchor="bottom", yshift=shift,
                          xanchor="left" if lam < 0.15 else "right" if lam > 0.85 else "center", showarrow=False)


def results(measured: Sequence[tuple[str, float, float, float]], published: Sequence[tuple[str, float]], metric: str,
            chance: float | None = None) -> go.Figure:
    """What was measured here and, in a panel and on a scale of its own, what the paper reports.

    Parameters
    ----------
    measured : (system, mean, low, high), low and high being the ends of the 95% interval.
    published : (system, score); the paper gives no intervals, so these are hollow.
    chance : the score of a guess among the candidates, drawn as a dotted line in both panels.
    """
    panels = [("Measured here", measured)] * bool(measured) + [("Reported by the paper", published)] * bool(published)
    figure = _figure("", "")
    if not panels:
        return figure
    lines = [max(2, len(rows)) for _, rows in panels]
    height = 26 * sum(lines) + 90 * len(panels)
    figure.set_subplots(rows=len(panels), cols=1, row_heights=lines, vertical_spacing=100 / height if len(panels) > 1 else 0,
                        subplot_titles=[f"<b>{title}</b>" for title, _ in panels])
    for row, (title, systems) in enumerate(panels, start=1):
        names = [_escaped(system[0]) for system in systems]
        if title == "Measured here":
            _, means, lows, highs = zip(*systems, strict=True)
            figure.add_scatter(
                row=row, col=1, x=means, y=names, mode="markers", marker={"color": ACCENT, "size": 11}, name=title,
                error_x={"type": "data", "symmetric": False, "color": ACCENT, "thickness": 2, "width": 5,
                         "array": [high - mean for mean, high in zip(means, highs, strict=True)],
                         "arrayminus": [mean - low for mean, low in zip(means, lows, strict=True)]},
                customdata=list(zip(lows, highs, strict=True)),
                hovertemplate="%{y}: %{x:.3f}, 95% interval %{customdata[0]:.3f} to %{customdata[1]:.3f}<extra></extra>")
        else:
            figure.add_scatter(row=row, col=1, x=[score for _, score in systems], y=names, mode="markers", name=title,
                               marker={"color": MUTED, "size": 10, "symbol": "circle-open", "line_width": 2},
                               hovertemplate="%{y}: %{x:.4f} in the paper<extra></extra>")
        if chance is not None:
            figure.add_vline(x=chance, row=row, col=1, line={"color": MUTED, "dash": "dot", "width": 1.5})
        figure.update_xaxes(row=row, col=1, title_text=_escaped(metric), rangemode="tozero", nticks=6)
        figure.update_yaxes(row=row, col=1, range=[len(systems) - 0.4, -0.6], ticksuffix=" ", categoryarray=names,
                            categoryorder="array")
    return _on_the_grid(figure, height)


def learned(found: Mapping[str, Sequence[Learned]]) -> go.Figure:
    """The λ that entropy chooses by the number of unlabelled prompts, a line a setting, with 95% of resampled ones."""
    figure = _figure("unlabelled prompts", "λ (0 specific, 1 general)")
    for i, (name, lams) in enumerate(found.items()):
        figure.add_scatter(
            x=[one.prompts for one in lams], y=[one.lam for one in lams], mode="lines+markers", name=_escaped(name),
            line={"color": LINES[i % len(LINES)], "width": 2},
            marker={"color": LINES[i % len(LINES)], "size": 9, "symbol": _MARKERS[i % len(_MARKERS)]},
            error_y={"type": "data", "symmetric": False, "array": [one.high - one.lam for one in lams],
                     "arrayminus": [one.lam - one.low for one in lams], "thickness": 1.5, "width": 4},
            hovertemplate="%{x} prompts: λ %{y:.2f}<extra>%{fullData.name}</extra>")
    figure.update_yaxes(range=[-0.03, 1.03])
    # not where the points are: 25 and 26 prompts would stand upon each other
    figure.update_xaxes(rangemode="tozero", tickvals=[10, 25, 50, 75, 100])
    figure.update_layout(showlegend=True, margin_t=34, legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0})
    return figure


def weight_changes(maps: Sequence[tuple[str, np.ndarray]]) -> go.Figure:
    """How much each adapter changes the weights of one layer: a heat map an adapter, on one colour scale.

    Parameters
    ----------
    maps : (adapter, mean |ΔW| by block), the blocks in the order of the layer's rows and columns.
    """
    figure = _figure("", "")
    if not maps:
        return figure
    figure.set_subplots(rows=1, cols=len(maps), horizontal_spacing=0.04, subplot_titles=[_escaped(name) for name, _ in maps])
    for column, (name, values) in enumerate(maps, start=1):
        figure.add_heatmap(row=1, col=column, z=values, coloraxis="coloraxis", name=_escaped(name),
                           hovertemplate="%{z:.2e}<extra>%{fullData.name}</extra>")
    # from nearly transparent to the accent: on white and on near black alike, the stronger colour is the larger change
    colours = [[0, "rgba(20,184,166,0.06)"], [1, "rgb(20,184,166)"]]
    figure.update_layout(coloraxis={"colorscale": colours, "cmin": 0, "colorbar": {
        "orientation": "h", "thickness": 10, "y": -0.08, "yanchor": "top", "nticks": 4, "exponentformat": "power",
        "title": {"text": "mean change of a weight", "side": "bottom"}}})
    _on_the_grid(figure, 330)
    figure.update_xaxes(showticklabels=False, showgrid=False, zeroline=False)
    figure.update_yaxes(showticklabels=False, showgrid=False, zeroline=False, autorange="reversed")
    return figure


def layer_weights(lam: Lam, paths: Sequence[str]) -> go.Figure:
    """The general adapter's weight as a heat map: a row a layer, a column a part of it; one column where a layer has one λ.

    The colours span what there is, so that small differences are seen; the scale says how small they are.

    Parameters
    ----------
    paths : of the model's linear layers, in its order.
    """
    weights = {group: values[0] for group, values in lam.weights}
    layers = list(dict.fromkeys(layer_of(path) for path in paths))
    parts = list(dict.fromkeys(path.rpartition(".")[2] for path in paths)) if lam.granularity == "module" else [""]
    places = {(layer_of(path), path.rpartition(".")[2] if lam.granularity == "module" else ""): path for path in paths}
    values, hovers = [], []
    for number, layer in enumerate(layers, start=1):
        found = [places.get((layer, part)) for part in parts]
        row = [None if path is None else weights[path if lam.granularity == "module" else layer] for path in found]
        values.append(row)
        hovers.append([f"layer {number} of {len(layers)}{_part_in_words(part)}" for part in parts])
    present = [value for row in values for value in row if value is not None]
    low, high = min(present), max(present)
    if high - low < 0.02:  # all the same: a scale of rounding errors would look like differences
        low, high = max(0.0, low - 0.01), min(1.0, high + 0.01)
    names = [_PARTS.get(part, (_escaped(part) or "the whole layer", ""))[0] for part in parts]
    figure = _figure("", "layer, the first on top")
    figure.add_heatmap(
        z=values, x=names, y=list(range(1, len(layers) + 1)), customdata=hovers, zmin=low, zmax=high,
        xgap=1, ygap=1,
        colorscale=[[0, LINES[1]], [0.5, "#8d99a8"], [1, LINES[0]]],
        hovertemplate="%{customdata}<br>general weighs %{z:.0%}, specific the rest<extra></extra>",
        colorbar={"orientation": "h", "thickness": 10, "y": 1.02, "yanchor": "bottom", "nticks": 5, "tickformat": ".0%",
                  "title": {"text": "weight of the general adapter", "side": "top"}})
    _on_the_grid(figure, 150 + 15 * max(6, len(layers)))
    figure.update_xaxes(side="bottom", showgrid=False, tickfont_size=11)
    figure.update_yaxes(autorange="reversed", showgrid=False, zeroline=False, nticks=8, tickformat="d")
    figure.update_layout(hoverlabel={"align": "left"})
    return figure


# The parts of a layer: a short name, and what they do, for whoever never heard of them.
_PARTS = {
    "q_proj": ("query", "what a word looks for in the others"), "k_proj": ("key", "what a word can be found by"),
    "v_proj": ("value", "what a word passes on when it is found"), "o_proj": ("output", "what is made of all that was found"),
    "gate_proj": ("gate", "which of its notions the layer takes up"), "up_proj": ("up", "the notions that the layer knows"),
    "down_proj": ("down", "what the layer adds to the word because of them")}


def _part_in_words(part: str) -> str:
    name, does = _PARTS.get(part, (_escaped(part), ""))
    return f", {name}" + (f"<br>({does})" if does else "") if part else ""


def mixing(titles: Sequence[str], probabilities: Mapping[float, Sequence[float]]) -> go.Figure:
    """Each title's probability at several λ, a mark a λ, joined by a line.

    Parameters
    ----------
    probabilities : λ → the titles' probabilities in [0, 1], in the order of ``titles``.
    """
    figure = _figure("probability (%)", "")
    places = [_label(title, i) for i, title in enumerate(titles)]
    for i, place in enumerate(places):
        across = [100 * values[i] for values in probabilities.values()]
        figure.add_scatter(x=[min(across), max(across)], y=[place, place], mode="lines", hoverinfo="skip", showlegend=False,
                           line={"color": MUTED, "width": 2})
    marks = zip((NEGATIVE, MUTED, ACCENT), ("diamond", "square", "circle"), probabilities.items(), strict=False)
    for color, symbol, (lam, values) in marks:
        figure.add_scatter(
            x=[100 * value for value in values], y=places, mode="markers", name=f"λ = {lam:g}", cliponaxis=False,
            marker={"color": color, "symbol": symbol, "size": 11}, customdata=[_escaped(title) for title in titles],
            hovertemplate="%{customdata}: %{x:.1f}%<extra>%{fullData.name}</extra>")
    figure.update_layout(height=90 + 46 * max(2, len(titles)), showlegend=True, margin_t=34,
                         legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0})
    figure.update_xaxes(rangemode="tozero", nticks=6)
    # the titles stand above their lines: beside them, a telephone would have no room left for the marks
    figure.update_yaxes(range=[len(titles) - 0.6, -0.75], categoryarray=places, showgrid=False, showticklabels=False)
    for title, place in zip(titles, places, strict=True):
        figure.add_annotation(text=_short(title), x=0, xref="paper", xanchor="left", y=place, yshift=16, showarrow=False)
    return figure


def certainty(lists: Sequence[tuple[str, Sequence[float]]]) -> go.Figure:
    """The candidates' probabilities of a few prompts side by side, each from its likeliest title down, on one scale.

    Parameters
    ----------
    lists : (name of the prompt, probabilities in [0, 1]).
    """
    figure = _figure("", "")
    if not lists:
        return figure
    figure.set_subplots(rows=1, cols=len(lists), shared_yaxes=True, horizontal_spacing=0.06,
                        subplot_titles=[_escaped(name) for name, _ in lists])
    for column, (name, values) in enumerate(lists, start=1):
        figure.add_bar(row=1, col=column, x=list(range(1, len(values) + 1)), y=[100 * p for p in sorted(values, reverse=True)],
                       marker_color=ACCENT, name=_escaped(name),
                       hovertemplate="place %{x}: %{y:.1f}%<extra></extra>")
        figure.update_xaxes(row=1, col=column, title_text="place", nticks=4, showgrid=False)
    figure.update_yaxes(row=1, col=1, title_text="probability (%)", rangemode="tozero")
    return _on_the_grid(figure, 280)


def _on_the_grid(figure: go.Figure, height: int) -> go.Figure:
    """Subplots with the looks of a single figure's axes."""
    figure.update_layout(height=height, margin_t=30, dragmode=False)
    figure.update_annotations(font_size=13)  # the subplots' titles: two side by side must fit a telephone
    for axes in (figure.update_xaxes, figure.update_yaxes):
        axes(**_AXIS)
    return figure


def loss_curve(losses: Sequence[tuple[int, float]], validations: Sequence[tuple[int, float]], steps: int,
               chance: float) -> go.Figure:
    """A training's loss by step, as points and as a running mean over an eighth of them, and below it what held-out lists
    say: two scales, for the loss counts every token of a row and the other the chosen title alone.

    Parameters
    ----------
    losses, validations : (step, nats). steps : where the training ends. chance : the held-out value of a guess, in nats.
    """
    figure = _figure("", "")
    figure.set_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.16, row_heights=[3, 2],
                        subplot_titles=["loss of a step (nat)", "surprise at held-out choices (nat)"])
    if losses:
        at, values = zip(*losses, strict=True)
        window = max(1, len(values) // 8)
        recent = [values[max(0, i - window + 1) : i + 1] for i in range(len(values))]
        smooth = [sum(few) / len(few) for few in recent]
        figure.add_scatter(row=1, col=1, x=at, y=values, mode="markers", name="each step",
                           marker={"color": ACCENT, "size": 4, "opacity": 0.35},
                           hovertemplate="step %{x}: %{y:.3f} nat<extra></extra>")
        figure.add_scatter(row=1, col=1, x=at, y=smooth, mode="lines", line={"color": ACCENT, "width": 3}, name="running mean",
                           hovertemplate="mean to step %{x}: %{y:.3f} nat<extra></extra>")
    if validations:
        at, values = zip(*validations, strict=True)
        figure.add_scatter(row=2, col=1, x=at, y=values, mode="lines+markers", name="held-out choices",
                           line={"color": NEGATIVE, "width": 1, "dash": "dot"},
                           marker={"color": NEGATIVE, "size": 10, "symbol": "diamond"},
                           hovertemplate="held-out choices, step %{x}: %{y:.3f} nat<extra></extra>")
    figure.add_hline(y=chance, row=2, col=1, line={"color": MUTED, "dash": "dash", "width": 1.5},
                     annotation_text=f"a guess: {chance:.2f}", annotation_position="bottom right")
    _on_the_grid(figure, 340)
    figure.update_xaxes(range=[0, max(1, steps)])
    figure.update_xaxes(row=2, col=1, title_text="step")
    return figure


def _figure(x: str, y: str) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", font_color=MUTED, height=300,
        margin={"l": 10, "r": 10, "t": 10, "b": 10}, xaxis_title=x, yaxis_title=y, showlegend=False,
        dragmode=False)
    figure.update_xaxes(**_AXIS)
    figure.update_yaxes(**_AXIS)
    return figure


def _label(title: str, i: int) -> str:
    return f"{i}|{_escaped(title)}"  # a bar each, also for two items of one title


def _short(title: str) -> str:
    return _escaped(title if len(title) <= _SHORT else title[: _SHORT - 1] + "…")


def _folded(title: str, width: int = 40) -> str:
    """A title for a hover label, in lines that fit a narrow screen."""
    return "<br>".join(_escaped(line) for line in textwrap.wrap(title, width)[:3])


def _escaped(text: str) -> str:
    """Text that is no markup; quotes stay, because Plotly would show ``&quot;`` as it stands."""
    return html.escape(text, quote=False)
