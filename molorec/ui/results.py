"""The tab Results: what was measured here, and what the paper reports. It only shows; nothing is measured for a visitor."""

from collections.abc import Sequence
from datetime import datetime
from html import escape

import gradio as gr

from molorec import owned, plots, wording
from molorec.catalog.lists import NEGATIVES
from molorec.engine import Engine
from molorec.errors import BadInput, MolorecError, NoData
from molorec.evaluation import entropies, metrics, published, rows, runs
from molorec.evaluation.metrics import Interval
from molorec.evaluation.published import Table
from molorec.evaluation.runs import Run, System
from molorec.evaluation.table import OPTIONAL, is_mixture
from molorec.evaluation.table import SYSTEMS as MEASURED
from molorec.mixture import lam as lams
from molorec.mixture.rule import DEFAULT_RULE
from molorec.spreadsheet import csv_text, json_text
from molorec.ui import render, shelf
from molorec.ui.screen import QUICK, Screen

OURS = (*MEASURED, *OPTIONAL)
BOTH, HERE, THERE = "Both", "Measured here", "The paper"
SETTINGS = (("People as they are (warm)", "warm"), ("New titles (new-item)", "new-item"),
            ("Other titles as popular (warm-popular)", "warm-popular"),
            ("Other titles of the kind (warm-category)", "warm-category"))
METRICS = {
    "ndcg@1": ("NDCG@1", "how often the title that the person really chose next stands first"),
    "ndcg@3": ("NDCG@3", "how often it is among the first three; second and third place count less"),
    "hr@3": ("HR@3", "how often it is among the first three"),
}
HEAD = ("Source", "System", "λ", "People", "Score", "95% interval", "Minus popularity")
CSV_HEAD = ("source", "domain", "setting", "split", "metric", "system", "lambda", "people", "score", "low", "high",
            "minus_popularity", "minus_popularity_low", "minus_popularity_high", "base_model", "lists_sha256", "date")
# what each system is, for the list below the figure
WHAT = {
    "popularity": "no model: the title that most people chose comes first",
    "base": "the language model as it was, without an adapter",
    "general": "the general adapter alone",
    "specific": "the adapter of this domain alone",
    "second-round": "the general adapter, trained on in this domain: one adapter in place of a mixture",
    "half": "both adapters, half and half",
    "mixed": "both adapters, at the λ that Auto-tune found",
    "contrast": "both adapters, at the λ where one's own history makes the model surer than a stranger's",
    "chosen": "both adapters, at a λ that somebody gave",
    "grid": "both adapters, at the λ that is best on validation lists",
    "oracle": "both adapters, at the λ that is best for the other half of the people",
    "BPR-MF": "no language model: a vector for each person and each title",
    "GRU4Rec": "no language model: a recurrent network over the titles as numbers",
    "SASRec": "no language model: attention over the titles as numbers",
    "FMLP-Rec": "no language model: filters over the titles as numbers",
    "UniSRec": "a small text encoder's vectors of the titles, and attention over them",
    "VQ-Rec": "the same vectors cut into codes, and attention over those",
    "P5-style": "another adapter of the same language model, which writes titles as numbers",
    "RecFormer-style": "another adapter, which makes vectors of titles and of histories",
    "TALLRec-style": "another adapter, asked of each title: Yes or No?",
    "Top-5-generated": "another adapter, which writes five titles of the list",
}

CSS = """
.ml-said { margin: .2rem 0; padding-left: 1.2em; line-height: 1.5; }
.ml-said li { margin: .25rem 0; }
.ml-results-table table { font-variant-numeric: tabular-nums; }
"""


def panel(engine: Engine, screen: Screen) -> None:
    """Filters, the figure, what it says in words, the table and the download."""
    gr.Markdown(
        f"### How good is it?\nEvery system gets the same lists: one title that the person really chose next, hidden among "
        f"{NEGATIVES} others. The better a system, the more often it puts that title in front. The bars say how far the score "
        "could be off by the luck of which people were asked.")
    with gr.Row():
        source = gr.Radio([BOTH, HERE, THERE], value=BOTH, label="Whose numbers", min_width=230)
        domain = gr.Dropdown(_domains(engine, [], ""), label="Domain of the results", value=None, min_width=230)
        setting = gr.Dropdown(list(SETTINGS), value="warm", label="Setting", min_width=230)
        metric = gr.Dropdown([(name, key) for key, (name, _) in METRICS.items()], value="ndcg@1", label="Score",
                             min_width=230)
    run = gr.Dropdown([], label="Evaluation", info="Which of the evaluations that are kept here", visible=False)
    about = gr.HTML(padding=False)
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=320):
            figure = gr.Plot(label="Scores with their intervals", show_label=False, visible=False)
        with gr.Column(scale=2, min_width=300):
            words = gr.HTML(padding=False)
    table = gr.Dataframe(headers=list(HEAD), datatype="str", interactive=False, wrap=True, label="The same as a table",
                         elem_classes="ml-results-table", visible=False)
    with gr.Row():
        files = [gr.DownloadButton(f"Download the table as {kind}", size="sm", visible=False) for kind in ("CSV", "JSON")]

    learned_note, learned_figure = gr.HTML(padding=False), gr.Plot(show_label=False, label="Learned λ", visible=False)

    def show(visitor, source, domain, setting, metric, run):
        """What the filters ask for, from the files as they are now."""
        try:
            return _shown(engine, visitor, source, domain, setting, metric, run)
        except MolorecError as error:
            nothing = [gr.skip(), gr.skip(), render.note(str(error))]
            return *nothing, gr.Plot(visible=False), "", gr.Dataframe(visible=False), *[gr.DownloadButton(visible=False)] * 2

    def follow(drawn, followed, *filters):
        """The same for a domain that has come on screen; another person or another list of one domain changes nothing."""
        if drawn.get("domain", followed) == followed:
            return followed, *[gr.skip()] * len(outputs)
        return drawn["domain"], *show(*filters)

    followed = gr.State("")
    filters = [source, domain, setting, metric, run]
    outputs = [domain, run, about, figure, words, table, *files]
    domain.change(lambda domain: _learned(domain), domain, [learned_note, learned_figure], **QUICK)
    gr.on([each.input for each in filters], show, [screen.visitor, *filters], outputs, **QUICK)
    screen.drawn_list.change(follow, [screen.drawn_list, followed, screen.visitor, source, screen.domain, setting, metric, run],
                             [followed, *outputs], **QUICK)


def _shown(engine: Engine, visitor, source: str, domain: str | None, setting: str, metric: str, chosen: str | None) -> tuple:
    kept, problems = runs.load()
    private = {info.name for info in engine.catalog.owned_domains() if info.owner != visitor}
    kept = [run for run in kept if run.domain not in private]
    domains = _domains(engine, kept, visitor)
    if domain not in [value for _, value in domains]:
        domain = kept[0].domain if kept else domains[0][1]
    fitting = _labelled([run for run in kept if run.domain == domain and run.setting == setting])
    if chosen not in fitting:  # the one of the shipped way to train with most people, and of those the latest
        chosen = max(fitting, key=lambda label: (fitting[label].share, fitting[label].n), default=None)
    run = fitting.get(chosen) if source != THERE else None
    table = published.TABLES.get(setting) if source != HERE else None
    reported = table.of(domain, metric) if table else {}
    measured = [(_label(system), system.scores[metric]) for system in run.systems] if run else []
    name = METRICS[metric][0]
    figure = plots.results([(label, score.mean, score.low, score.high) for label, score in measured], list(reported.items()),
                           name, _chance(metric))
    about = []
    if source != THERE:
        about.append(_provenance(run) if run else render.note(_how_to_measure(engine, domain, setting)))
    if source != HERE:
        about.append(f"<p class='ml-dim'>{escape(table.source)}. {escape(published.NOT_COMPARABLE)}</p>" if reported
                     else render.note(_not_in_the_paper(domain, metric, setting)))
    about += [render.note(f"Left out: {problem}") for problem in problems]
    there = bool(measured or reported)
    if there:
        called = f"molorec-{owned.chosen_name(domain)}-{setting}-{metric.replace('@', '')}"
        buttons = [shelf.download(f"{called}.{kind}", text(CSV_HEAD, _csv_rows(run, table, domain, metric)))
                   for kind, text in (("csv", csv_text), ("json", json_text))]
    else:
        buttons = [gr.DownloadButton(visible=False)] * 2
    return (gr.Dropdown(domains, value=domain),
            gr.Dropdown(list(fitting), value=chosen, visible=bool(fitting) and source != THERE), "".join(about),
            gr.Plot(figure, visible=there), _words(run, reported, metric),
            gr.Dataframe(_rows(run, table, domain, metric), visible=there), *buttons)


def _learned(domain: str | None) -> tuple:
    """Which λ entropy chooses in a domain, on how many prompts, warm and new: in words and as a figure."""
    measured = [each for place in (rows.SHIPPED, None) for each in entropies.load(place)[0] if each.domain == domain]
    found = {each.setting: each.by_count() for each in measured}
    if not any(found.values()):
        return "", gr.Plot(visible=False)
    words = "; ".join(f"{name}: λ {lams[-1].lam:.2f} on {lams[-1].prompts} prompts (95% of resamples: {lams[-1].low:.2f} to "
                      f"{lams[-1].high:.2f})" for name, lams in found.items() if lams)
    return (f"<h4>Which λ entropy chooses, and on how many prompts</h4><p>λ is the general adapter's weight. {escape(words)}. "
            "In the paper (figures 4 and 5) λ is larger for new titles, and 50 to 100 prompts are enough.</p>",
            gr.Plot(plots.learned({name: lams for name, lams in found.items() if lams}), visible=True))


def _domains(engine: Engine, kept: Sequence[Run], visitor: str) -> list[tuple[str, str]]:
    """(label, domain): those with results, those of the catalogue, and those that only the paper has."""
    here = {info.name: owned.label(info) for info in engine.catalog.domains(visitor or "")}
    ours = dict.fromkeys([*(run.domain for run in kept), *here])
    # with the id, by which whoever has its data would look for it
    called = {name: f"{title} ({name})" for name, title in published.DOMAINS.items()} | here
    return [(called.get(name, name), name) for name in ours] + [
        (f"{title} (paper only)", name) for name, title in published.DOMAINS.items() if name not in ours]


def _labelled(fitting: Sequence[Run]) -> dict[str, Run]:
    found: dict[str, Run] = {}
    for run in fitting:
        lam = next((f", {lams.in_words(system.lam)}" for system in run.systems if system.name == "chosen"), "")
        rule = "" if run.rule == DEFAULT_RULE else f", rule {run.rule}"
        label = f"{_day(run)}, {run.split}, {run.n:,} people{wording.few_shot(run.share)}{rule}{lam}"
        while label in found:
            label += " (earlier)"
        found[label] = run
    return found


def _day(run: Run) -> str:
    return datetime.fromisoformat(run.date).strftime("%d %b %Y")


def _label(system: System) -> str:
    return system.name if system.lam is None else f"{system.name}, λ={lams.short(system.lam)}"


def _chance(metric: str) -> float:
    """The score of a guess: the true title is equally likely at every place of the list."""
    return float(metrics.METRICS[metric](range(1, NEGATIVES + 2)).mean())


# -- in words ----------------------------------------------------------------------------------------------------


def _provenance(run: Run) -> str:
    adapters = ", ".join(f"{name} {sha256[:12]}" for name, sha256 in run.adapters.items())
    line = (f"Measured here on {_day(run)}: {run.domain}, split {run.split}, setting {run.setting}, {run.n:,} people, lists "
            f"{run.lists_sha256[:12]}. Model {run.base}, adapters {adapters}, mixing rule {run.rule}.")
    some = "" if run.limit is None else render.note(f"Only the first {run.n:,} people of the split were asked.")
    few = render.note(wording.few_shot_note(run.share)) if run.share < 1 else ""
    return f"<p class='ml-dim'>{escape(line)}</p>{some}{few}"


def _how_to_measure(engine: Engine, domain: str, setting: str) -> str:
    command = f"molorec evaluate --domain {domain} --split quick"
    if setting != "warm":
        command += f" --setting {setting}"
    first = "To measure"
    try:
        engine.catalog.domain(domain)
    except NoData as error:
        first = f"{error} To measure after that"
    except BadInput:  # what was measured on it is here still, but for this setting
        first = f"There is no domain '{domain}' here: add it with `molorec domains add {domain} …`. To measure after that"
    return (f"Nothing has been measured here on {domain} in the setting {setting}. {first}, run `{command}` on the machine "
            "that runs MoLoRec, and open this tab again. It takes some minutes.")


def _not_in_the_paper(domain: str, metric: str, setting: str) -> str:
    if setting not in published.TABLES:
        return "The paper has no lists of this kind; it has people as they are (warm) and new titles (new-item)."
    if domain not in published.DOMAINS:
        return f"The paper has no numbers for {domain}; it has {', '.join(published.DOMAINS.values())}."
    return f"The paper does not report {METRICS[metric][0]}; choose NDCG@1 or NDCG@3."


def _words(run: Run | None, reported: dict[str, float], metric: str) -> str:
    name, meaning = METRICS[metric]
    if not run and not reported:
        return ""
    said = [f"{name} says {meaning}. A blind guess would score {wording.score(_chance(metric))} (the dotted line)."]
    if run:
        said.append(_on_mixing(run))
        if _is_blind(run.system("popularity")):
            said.append("Popularity is no yardstick here: to it all candidates are alike, and ties count against it.")
        else:  # of what others built the table below says it
            ours = [system for system in run.systems if system.against_popularity and system.name in OURS]
            said += [_against_popularity(system, metric) for system in ours]
        if run.moves is not None:
            said.append(f"For {run.moves:.0%} of people the first title is not the same at λ = 0, ½ and 1: λ changes what is "
                        "recommended.")
    lines = "".join(f"<li>{escape(text)}</li>" for text in said)
    known = [f"{system.name}: {WHAT[system.name]}" for system in run.systems if system.name in WHAT] if run else []
    what = f"<p class='ml-dim'>{'<br>'.join(map(escape, known))}</p>" if known else ""
    return f"<h4>What this says</h4><ul class='ml-said'>{lines}</ul>{what}"


def _is_blind(popularity: System | None) -> bool:
    return popularity is not None and popularity.knows_nothing


def _against_popularity(system: System, metric: str) -> str:
    difference = system.against_popularity[metric]
    if difference.low > 0:
        how = "is surely above popularity"
    elif difference.high < 0:
        how = "is surely below popularity"
    else:
        how = "is not shown to differ from popularity"
    return f"{_label(system)} {how}: {_difference(difference)}."


def _on_mixing(run: Run) -> str:
    tuned = [system for system in (run.system("mixed"), run.system("contrast")) if system]
    text = f"On mixing (by NDCG@1): {run.verdict}"
    if tuned and not any(is_mixture(system.lam) for system in tuned):
        text += ", so with this pair mixing is not shown to help"
    return text + "."


# -- numbers -----------------------------------------------------------------------------------------------------


def _difference(interval: Interval) -> str:
    return wording.difference(interval.mean, interval.low, interval.high)


def _rows(run: Run | None, table: Table | None, domain: str, metric: str) -> list[list[str]]:
    """The table on screen; λ, people and intervals are empty where there are none."""
    rows = []
    blind = run is not None and _is_blind(run.system("popularity"))
    for system in run.systems if run else ():
        score, against = system.scores[metric], None if blind else system.against_popularity.get(metric)
        rows.append([HERE, system.name, lams.short(system.lam), f"{run.n:,}", wording.score(score.mean),
                     f"{wording.score(score.low)} to {wording.score(score.high)}", _difference(against) if against else ""])
    for name, score in (table.of(domain, metric) if table else {}).items():
        rows.append([f"Paper, Table {table.number}", name, "", "", f"{score:.4f}".removeprefix("0"), "", ""])
    return rows


def _csv_rows(run: Run | None, table: Table | None, domain: str, metric: str) -> list[list[object]]:
    rows: list[list[object]] = []
    for system in run.systems if run else ():
        score, against = system.scores[metric], system.against_popularity.get(metric)
        rows.append(["measured here", run.domain, run.setting, run.split, metric, system.name,
                     None if system.lam is None else lams.general(system.lam), run.n, score.mean,
                     score.low, score.high, *((against.mean, against.low, against.high) if against else (None,) * 3),
                     run.base, run.lists_sha256, run.date])
    for name, score in (table.of(domain, metric) if table else {}).items():
        rows.append([f"{published.PAPER}, Table {table.number}", domain, table.setting, None, metric, name, None, None, score,
                     *(None,) * 8])
    return rows
