"""A domain of the visitor's own: two CSV files in, recommendations out, and a small adapter trained on request."""

import math
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from html import escape
from pathlib import Path

import gradio as gr
from gradio.context import Context

from molorec import gain, owned, plots, wording
from molorec.catalog import DomainInfo, csv_source, known
from molorec.catalog.lists import NEGATIVES
from molorec.catalog.movielens import NAME as MOVIELENS
from molorec.config import LIMITS
from molorec.engine import Engine
from molorec.errors import BadFile, BadInput, MolorecError
from molorec.gain import Gain
from molorec.journal import Journal
from molorec.spreadsheet import cell
from molorec.training.background import State, Trainings, command_for, model_key
from molorec.ui import render, who
from molorec.ui.screen import LONG, QUICK, Screen, free_on_failure, idle, running, wire_run
from molorec.ui.session import Job

INTRO = (
    "### Recommend your own things\nBring two CSV files: the **things** that can be recommended, and who **chose** what. The "
    "general adapter ranks them at once, without any training. Only you see what you bring; it is removed after "
    f"{LIMITS.owned_seconds // 3600} hours unless you save it.")
TRAIN = (
    "#### Train a plug-in\nA small adapter that learns from your data alone, on one processor core while you go on; that takes "
    "some 10 to 30 minutes. Once it is there, λ mixes it with the general one, and both are measured on held-out choices: "
    "whether it ranks better is said here.")
SAVING = ("Once saved, everyone who uses this machine can see it and it stays; its links get a new address, so make them anew. "
          "Only whoever runs this machine can delete it then, with `molorec domains remove NAME`.")
_SURE = ("(visitor, mine, domain) => confirm('Save it for everyone who uses this machine? That cannot be undone here.') ? "
         "[visitor, mine, domain] : ['', mine, domain]")
_NONE = ("none", "")
_ITEM = (("item_id", "Thing id"), ("title", "Title"), ("categories", "Kinds (if any)"))
_EVENT = (("user_id", "Person id"), ("item_id", "Chosen thing"), ("time", "Time or order"))
GUESS = math.log(NEGATIVES + 1)  # −log p of a title drawn at random from a list, in nats
_COLUMNS, _CELL = 12, 60  # how much of a file a preview shows
_CHOICES = 200
_TICK = 2.0  # seconds between looks at a training

CSS = """
.ml-own-facts { margin: .2rem 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.ml-own-left { margin: .2rem 0 .2rem 1.2rem; padding: 0; list-style: disc; color: var(--body-text-color-subdued); }
table.ml-known { width: 100%; border-collapse: collapse; }
table.ml-known, table.ml-known :is(thead, tbody, tr) { border: none !important; }
table.ml-known :is(th, td) { text-align: left; vertical-align: top; padding: .4em .6em .4em 0; border: none !important;
  border-bottom: 1px solid var(--border-color-primary) !important; }
.ml-own-preview .header-button, .ml-own-preview td { font-size: .85em; }
"""


def panel(engine: Engine, screen: Screen, journal: Journal, trainings: Trainings | None = None) -> None:
    """Lay the panel out and wire it. Private domains that are too old are removed now and whenever a tab is closed."""
    trainings = trainings or Trainings(partial(command_for, engine), model_key(engine))

    def remove_old() -> None:
        with suppress(MolorecError):  # the next one who looks finds them
            owned.remove_old(engine, trainings, journal)

    remove_old()
    Context.root_block.unload(remove_old)

    gr.Markdown(INTRO)
    with gr.Row(equal_height=False):
        items, item_columns = _upload("Things (CSV)", "things", _ITEM)
        events, event_columns = _upload("Choices (CSV)", "choices", _EVENT)
    with gr.Row():
        name = gr.Textbox(label="Name", placeholder="my films", max_length=40, max_lines=1, min_width=160)
        noun = gr.Textbox(label="What are these?", placeholder="films, products, songs …", max_length=LIMITS.noun_characters,
                          max_lines=1, min_width=160)
        core = gr.Slider(1, 10, 5, step=1, label="Fewest choices", info="Of a person and of a thing; rarer ones are left out",
                         buttons=[], min_width=220)
    add_button = gr.Button("Add and rank", variant="primary")
    outcome = gr.HTML(padding=False)

    with gr.Column(visible=False) as yours:
        gr.Markdown("### Yours")
        with gr.Row(equal_height=False):
            with gr.Column(min_width=280):
                mine = gr.Dropdown([], label="Your domain", interactive=True)
                facts = gr.HTML(padding=False)
                with gr.Row():
                    share = gr.Button("Save for everyone", min_width=120)
                    delete = gr.Button("Delete", min_width=80)
                with gr.Row(visible=False) as really:
                    sure = gr.Button("Delete for good", variant="stop", min_width=120)
                    keep = gr.Button("Keep it", min_width=80)
                gr.HTML(render.news(SAVING), padding=False)
            with gr.Column(min_width=300):
                gr.Markdown(TRAIN)
                with gr.Row():
                    train = gr.Button("Train", variant="primary", min_width=80)
                    stop = gr.Button("Stop training", interactive=False, min_width=80)
                progress = gr.HTML(padding=False)
                curve = gr.Plot(show_label=False, visible=False)
                with gr.Row(visible=False) as measuring:
                    measure = gr.Button("Is it better? Measure", min_width=150)
                    stop_measuring = gr.Button("Stop measuring", interactive=False, min_width=100)
                measured = gr.HTML(padding=False)
    with gr.Accordion("Known domains whose data is not here", open=False):
        gr.HTML(lambda: _known(engine), padding=False)  # made anew when the page is opened
    timer = gr.Timer(_TICK, active=False)
    drawn, finished = gr.State(None), gr.State(0)  # drawn: what the curve shows, so that it is not sent again
    job = gr.State(Job())

    columns = [*item_columns, *event_columns]
    training = [progress, curve, train, stop, timer, drawn]
    managed = [yours, mine, facts, really, measuring, measured, *training]
    on_screen = [screen.domain, screen.scenario, screen.user]

    def manage(visitor: str, chosen: str | None):
        """Everything below "Yours", with ``chosen`` if it is the visitor's, else with their latest."""
        try:
            held = sorted(owned.of(engine.catalog, visitor), key=lambda info: -info.added)
        except MolorecError:  # said where the ranking would be
            held = []
        if not held:
            return (gr.Column(visible=False), gr.Dropdown([], value=None), "", gr.Row(visible=False), gr.Row(visible=False), "",
                    *_training(None, None, None))
        info = next((info for info in held if info.name == chosen), held[0])
        return (gr.Column(visible=True), gr.Dropdown([(owned.label(info), info.name) for info in held], value=info.name),
                _facts(info), gr.Row(visible=False), *_measured(engine, info.name),
                *_training(info.name, trainings.state(info.name), None))

    def select(visitor: str, domain: str):
        """The three of ``on_screen`` that show a domain with its first person."""
        choices = who.domain_choices(engine.catalog, visitor)
        users = engine.catalog.first_users(domain, limit=1)
        return gr.Dropdown(choices=choices, value=domain), "warm", next(iter(users), "")

    def add(visitor, items, events, *rest):
        """Yields (outcome, Add button, what is on screen, the managed, the two files)."""
        *names, name, noun, core = rest
        stay = [gr.skip()] * (len(on_screen) + len(managed) + 2)
        yield render.news("Reading and checking the files …"), gr.Button(interactive=False), *stay
        try:
            item_names, event_names = _mapping(items, _ITEM, names[: len(_ITEM)]), _mapping(events, _EVENT, names[len(_ITEM) :])
            info = owned.bring(engine.catalog, visitor, name, noun, items, events, item_columns=item_names,
                               event_columns=event_names, core=int(core or 0))
            shown = select(visitor, info.name)
            told = f"<p class='ml-status' role='status'><b>{escape(owned.label(info))}</b> is there, and on screen above.</p>"
            if not shown[-1]:
                told += render.note("Nobody in it has a list of 30 titles to rank: choose “Build your own” above, or bring more.")
        except MolorecError as error:
            yield render.note(str(error)), gr.Button(interactive=True), *stay
            return
        yield told, gr.Button(interactive=True), *shown, *manage(visitor, info.name), None, None

    def remove(visitor, domain, current):
        """Returns (outcome, what is on screen, the managed)."""
        try:
            called = owned.label(owned.one_of(engine.catalog, visitor, domain))
            owned.delete(engine, trainings, journal, visitor, domain)
            told = f"<p class='ml-status' role='status'><b>{escape(called)}</b> is gone, with all that was made from it.</p>"
            left = [info.name for info in owned.visible(engine.catalog, visitor)]
            other = MOVIELENS if MOVIELENS in left else next(iter(left), None)
            choices = who.domain_choices(engine.catalog, visitor)
            if current in [name for _, name in choices] or not other:
                shown = (gr.Dropdown(choices=choices), gr.skip(), gr.skip())
            else:
                shown = select(visitor, other)
        except MolorecError as error:
            return render.note(str(error)), *[gr.skip()] * 3, *manage(visitor, domain)
        return told, *shown, *manage(visitor, None)

    def save(visitor, domain, current):
        """Returns (outcome, the domain on screen, the managed). No visitor: they thought better of it."""
        if not visitor:
            return [gr.skip()] * (2 + len(managed))
        try:
            info = owned.share(engine, trainings, journal, visitor, domain)
        except MolorecError as error:
            return render.note(str(error)), gr.skip(), *manage(visitor, domain)
        told = (f"<p class='ml-status' role='status'>Everyone on this machine can choose <b>{escape(info.name)}</b> now. "
                "Who has the page open sees it after a reload.</p>")
        choices = who.domain_choices(engine.catalog, visitor)
        return told, gr.Dropdown(choices=choices, value=info.name if current == domain else current), *manage(visitor, None)

    def start(visitor, domain):
        try:
            owned.train(engine, trainings, visitor, domain)
        except MolorecError as error:
            return render.note(str(error)), *[gr.skip()] * (len(training) - 1)
        return _training(domain, trainings.state(domain), None)

    def halt(visitor, domain):
        try:
            trainings.stop(owned.one_of(engine.catalog, visitor, domain).name)
        except MolorecError as error:
            return render.note(str(error)), *[gr.skip()] * (len(training) - 1)
        return _training(domain, trainings.state(domain), None)

    def look(visitor, domain, drawn, finished):
        """Returns (the training, how many adapters have come into use while the page looked on)."""
        try:
            state = trainings.state(owned.one_of(engine.catalog, visitor, domain).name)
        except MolorecError as error:
            return render.note(str(error)), *[gr.skip()] * 3, gr.Timer(active=False), None, finished
        over = state is not None and state.status == "done" and state.is_useful
        return *_training(domain, state, drawn), finished + over

    def compare(job, visitor, domain):
        """Yields (what came of it, the row of its buttons, Measure button, Stop button) as people are done."""
        run = job.start()
        yield render.news("Ranking held-out choices …"), gr.Row(visible=True), *running()
        try:
            name = owned.one_of(engine.catalog, visitor, domain).name
            for done, total in gain.measure(engine, name):
                if not job.wants(run):
                    why = render.news(f"{job.why} {done} of {total} people were done; nothing of it is kept.")
                    yield why if job.why else gr.skip(), gr.skip(), *idle()
                    return
                yield _measuring(done, total), gr.skip(), *running()
            found = gain.of(engine, name)
            yield gain_in_words(found) if found else "", gr.skip(), *idle()
        except MolorecError as error:
            yield render.note(str(error)), gr.skip(), *idle()

    for file in (items, events):  # what was wrong with another file
        file.upload(lambda: "", None, outcome, queue=False, show_progress="hidden")
    added = add_button.click(add, [screen.visitor, items, events, *columns, name, noun, core],
                             [outcome, add_button, *on_screen, *managed, items, events], **LONG)
    free_on_failure(added, outcome, add_button)
    added.then(**screen.refresh)
    sure.click(remove, [screen.visitor, mine, screen.domain], [outcome, *on_screen, *managed], **QUICK).then(**screen.refresh)
    share.click(save, [screen.visitor, mine, screen.domain], [outcome, screen.domain, *managed], js=_SURE,
                **QUICK).then(**screen.refresh)
    delete.click(lambda: gr.Row(visible=True), None, really, queue=False, show_progress="hidden")
    keep.click(lambda: gr.Row(visible=False), None, really, queue=False, show_progress="hidden")
    mine.input(lambda job: job.stop(""), job, None, queue=False, show_progress="hidden")
    mine.input(manage, [screen.visitor, mine], managed, **QUICK)
    comparing = {"inputs": [job, screen.visitor, mine], "outputs": [measured, measuring, measure, stop_measuring]}
    # what fell short is said beside the adapters' names
    wire_run(compare, job, measure, stop_measuring, measured, **comparing).then(**screen.refresh)
    train.click(start, [screen.visitor, mine], training, **QUICK)
    stop.click(halt, [screen.visitor, mine], training, queue=False, show_progress="hidden")
    # in a queue: an event outside of every queue does not tell the browser that a state has changed
    timer.tick(look, [screen.visitor, mine, drawn, finished], [*training, finished], show_progress="hidden",
               concurrency_id="training", concurrency_limit=8)
    finished.change(**screen.refresh).then(compare, **comparing, **LONG).then(**screen.refresh)
    gr.on([Context.root_block.load, screen.visitor.change], manage, [screen.visitor, mine], managed, **QUICK)


def _upload(label: str, what: str, wanted: Sequence[tuple[str, str]]) -> tuple[gr.File, list[gr.Dropdown]]:
    """A file with its preview and the columns that hold what is wanted of it."""
    with gr.Column(min_width=300):
        file = gr.File(label=label, file_types=[".csv", ".gz"], type="filepath", height=130)
        with gr.Column(visible=False) as below:
            table = gr.Dataframe(interactive=False, label=f"First rows of the {what}", datatype="str", wrap=False, max_height=230,
                                 buttons=[], elem_classes="ml-own-preview", max_chars=_CELL)
            with gr.Row():
                columns = [gr.Dropdown([_NONE], value="", label=text, min_width=130, interactive=True) for _, text in wanted]
        problem = gr.HTML(padding=False)

    def look(path: str | None):
        """Returns (preview, what is below it, the columns, a problem)."""
        nothing = [gr.Dropdown([_NONE], value="")] * len(wanted)
        if not path:
            return gr.skip(), gr.Column(visible=False), *nothing, ""
        try:
            header, rows = csv_source.preview(path, bounds=owned.UPLOAD)
        except BadFile as error:
            return gr.skip(), gr.Column(visible=False), *nothing, render.note(str(owned.named(error)))
        choices = [column for column in dict.fromkeys(header[:_CHOICES]) if column]
        guessed = csv_source.guess(choices, [key for key, _ in wanted])
        found = [gr.Dropdown([_NONE, *((_short(column), column) for column in choices)], value=guessed[key]) for key, _ in wanted]
        table = gr.Dataframe({"headers": _cells(header), "data": [_cells(row) for row in rows]})
        return table, gr.Column(visible=True), *found, ""

    file.change(look, file, [table, below, *columns, problem], **QUICK)
    return file, columns


def _mapping(path: str | None, wanted: Sequence[tuple[str, str]], chosen: Sequence[str | None]) -> dict[str, str]:
    """What is wanted → the file's column. Raises BadInput if there is no file, it cannot be
    read, or a column is not chosen."""
    if not path:
        raise BadInput("choose two files: one of the things, one of who chose what")
    try:
        csv_source.preview(path, bounds=owned.UPLOAD)  # a file that cannot be read has no columns to choose from
    except BadFile as error:
        raise owned.named(error) from error
    for (key, label), column in zip(wanted, chosen, strict=True):
        if not column and key not in csv_source.OPTIONAL:
            raise BadInput(f"choose which column of {Path(path).name} holds “{label}”")
    return {key: column or "" for (key, _), column in zip(wanted, chosen, strict=True)}


def _facts(info: DomainInfo) -> str:
    left = "".join(f"<li>{escape(text)}</li>" for text in info.notes)
    return (f"<p class='ml-own-facts'>{info.users:,} people, {info.items:,} {escape(info.noun)}, {info.events:,} choices.</p>"
            + (f"<ul class='ml-own-left' aria-label='Left out'>{left}</ul>" if left else ""))


def _training(domain: str | None, state: State | None, drawn: object):
    """(text, curve, Train button, Stop button, timer, what the curve shows)."""
    if state is None or domain is None:
        return ("", gr.Plot(visible=False), gr.Button("Train", interactive=True), gr.Button(interactive=False),
                gr.Timer(active=False), None)
    running, now = state.is_running, (domain, state.step, state.status)
    figure = gr.skip()
    if not state.losses:
        figure = gr.Plot(visible=False)
    elif now != drawn:
        measured = state.validations if state.first is None else ((0, state.first), *state.validations)
        figure = gr.Plot(plots.loss_curve(state.losses, measured, state.steps, GUESS), visible=True)
    word = "Resume" if state.step and not running and state.status != "done" else "Train"
    return (training_status(state), figure, gr.Button(word, interactive=not running and state.status != "done"),
            gr.Button(interactive=running and state.status != "stopping"), gr.Timer(active=running), now)


def training_status(state: State) -> str:
    """Where a training stands, in words, with a progress bar once there is a step."""
    gained = ""
    if state.first is not None and state.best is not None:
        gained = (" Surprise at held-out choices (with what free writing has lost), less is better: "
                  f"{state.first:.3f} nat before, {state.best:.3f} at best; a guess among {NEGATIVES + 1} has {GUESS:.2f}.")
    at = f"Step {state.step} of {state.steps}"
    if state.status == "starting":
        text = ("Loading the model and your data, then measuring held-out choices before the first step: "
                f"{state.waited:.0f} s so far, of one or two minutes …")
    elif state.status == "training":
        text = f"{at}, about {_duration(state.seconds_left)} left.{gained}"
    elif state.status == "stopping":
        text = "Finishing the step, then keeping what there is …"
    elif state.status == "stopped":
        text = f"{state.message} {at}.{gained} “Resume” goes on from there.".strip() if state.step else state.message
    elif state.status == "done" and state.is_useful:
        text = f"Done: the plug-in is in use, and λ mixes it.{gained}"
    elif state.status == "done":
        text = f"Done, but it foresees held-out choices no better than before, so it is not used.{gained} More data may help."
    else:
        return render.note(state.message)
    share = 100 * state.step / max(1, state.steps)
    bar = f"<div class='ml-progress'><span style='width:{share:.0f}%'></span></div>" if state.steps else ""
    return f"<div role='status'>{bar}<p class='ml-status'>{escape(text)}</p></div>"


def gain_in_words(found: Gain) -> str:
    """Whether the trained adapter ranks better than what there was without it, as HTML."""
    names = {"general": "the general adapter", "popularity": "popularity"}
    lines = []
    for other, interval in found.over.items():
        _, low, high = interval
        how = "better than" if low > 0 else "worse than" if high < 0 else "not shown to be better than"
        lines.append(f"The plug-in is <b>{how}</b> {names[other]} ({wording.score(found.scores[other])}): "
                     f"{wording.difference(*interval)}.")
    few = ("<p class='ml-dim'>The brackets hold the 95% interval of the difference; where it holds 0, the luck of which people "
           "were asked could explain it.</p>")
    own = found.scores["specific"]
    listed = "".join(f"<li>{line}</li>" for line in lines)
    return (f"<div role='status'><p class='ml-status'>Measured on the held-out last choice of {found.n:,} people: the plug-in "
            f"alone (λ = 0) ranks it first for {own:.1%} of them (NDCG@1 {wording.score(own)}); a guess would for "
            f"{1 / (NEGATIVES + 1):.1%}.</p><ul class='ml-own-left'>{listed}</ul>{few}</div>")


def _measured(engine: Engine, domain: str) -> tuple[gr.Row, str]:
    """(the row of buttons that measure, what was measured): nothing before there is an adapter of its own."""
    try:
        pair, found = engine.mixture(domain).is_pair, gain.of(engine, domain)
    except MolorecError:  # said where the ranking would be
        return gr.Row(visible=False), ""
    return gr.Row(visible=pair), gain_in_words(found) if found else ""


def _measuring(done: int, total: int) -> str:
    return (f"<div role='status'><div class='ml-progress'><span style='width:{100 * done / total:.0f}%'></span></div>"
            f"<p class='ml-status'>{done} of {total} people's held-out choices are ranked.</p></div>")


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "some minutes"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _cells(values: Sequence[str]) -> list[str]:
    return [_short(str(cell(value))) for value in values[:_COLUMNS]]


def _short(text: str) -> str:
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def _known(engine: Engine) -> str:
    """How to get the known domains whose data is not here, as HTML."""
    try:
        missing = known.missing(engine.catalog.domains())
    except MolorecError as error:
        return render.note(str(error))
    if not missing:
        return "<p class='ml-dim'>All domains that are known are here.</p>"
    about = "".join(f"<p class='ml-dim'>{escape(text)}</p>" for text in dict.fromkeys(
        domain.about for domain in missing if domain.about))
    rows = "".join(
        f"<tr><td>{escape(domain.label)}</td><td>{render.code(domain.command)}</td></tr>" for domain in missing)
    return (f"<table class='ml-known'><thead><tr><th scope='col'>Domain</th><th scope='col'>Command</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>{about}<p class='ml-dim'>Reload this page afterwards.</p>")
