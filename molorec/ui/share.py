"""The panel "Use it elsewhere": what is on screen as a link, as code, as files; and a visitor's own record."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import gradio as gr

from molorec import documents, owned
from molorec.engine import Engine
from molorec.errors import BadInput, MolorecError
from molorec.journal import RANKING, Entry, Journal
from molorec.mixture import export
from molorec.mixture.lam import AnyLam, Lam, in_words
from molorec.mixture.rule import as_weights
from molorec.ranking.result import Ranking
from molorec.spreadsheet import csv_text, json_text
from molorec.ui import link, render, session, shelf, snippets
from molorec.ui.screen import LONG, QUICK, Screen
from molorec.ui.session import BUILT, View

SHOWN = 50  # entries of the record
COPY = "Copy the link"
INTRO = ("Everything on screen can be had elsewhere: as a **link** that opens this view, as **code** that gives the same "
         "ranking, as **files**.")
CODE_NOTE = ("The code runs where MoLoRec, its data and its adapters are; the API client needs only "
             "`pip install gradio_client` and this page running.")
ADAPTER_NOTE = ("Both adapters mixed at this λ, as one ordinary adapter that other software for language models loads "
                "(PEFT format, in a zip).")
RECORD_NOTE = ("What you ranked and tuned from this browser, newest first. It is kept on the machine that runs this page, and "
               "shown to you alone.")
HEADERS = ["No.", "When (UTC)", "What", "Domain", "For whom", "λ", "Rule", "Outcome", "Entropy (nat)",
           "Seconds"]
CSV_HEADER = ["number", "time", "kind", "domain", "scenario", "user", "lam", "rule", "entropy", "seconds", "adapters", "base",
              "top", "lam_low", "lam_high", "prompts", "objective"]
_WIDTHS = ["60px", "185px", "85px", "120px", "115px", "70px", "105px", "260px", "130px", "85px"]
CSS = """
.ml-share-record table { font-variant-numeric: tabular-nums; }
.ml-share-code .cm-content, .ml-share-code .cm-line { overflow-wrap: anywhere; }
"""
# The page's own address as the visitor's browser knows it, behind whatever proxy, takes the place of the last input.
_ADDRESS = "(...values) => [...values.slice(0, -1), location.href.split(/[?#]/)[0]]"
_COPY = """async link => {
  try { await navigator.clipboard.writeText(link); return 'Copied'; }
  catch { return 'This browser does not let the page copy'; }
}"""
_SURE = "visitor => confirm('Delete your record of rankings and tunings? It cannot be brought back.') ? visitor : ''"
_GO = "query => { if (query) location.search = query; }"
_RECORD = {"show_progress": "hidden", "concurrency_id": "record", "concurrency_limit": 4}


def panel(engine: Engine, screen: Screen, journal: Journal, tab: gr.Tab) -> None:
    """Lay out the panel and wire it. Call it inside the tab that is to hold it, once ``screen.refresh`` is filled.

    Parameters
    ----------
    tab : that tab; whoever opens it sees their record as it is now.
    """
    gr.Markdown(INTRO)
    address = gr.Textbox(visible=False)
    with gr.Row(equal_height=False):
        with gr.Column(min_width=310):
            here = gr.Textbox(label="Link to this view", info="It follows what is on screen", interactive=False, max_lines=1)
            copy = gr.Button(COPY, size="md")  # the textbox's own button would take the label from the text
            link_note = gr.HTML(padding=False, visible=False)
            show = gr.Button("Show for this view", variant="primary")
            shown = gr.HTML(render.news("Press the button to get code and files for what is on screen."), padding=False)
            with gr.Row():
                as_csv = gr.DownloadButton("Ranking as CSV", size="md", interactive=False, min_width=120)
                as_json = gr.DownloadButton("Ranking as JSON", size="md", interactive=False, min_width=120)
        with gr.Column(min_width=310, elem_classes="ml-share-code"):
            gr.Markdown(CODE_NOTE)
            with gr.Tab("Python"):
                python = _code("Python, with the library", "python")
            with gr.Tab("Command line"):
                command = _code("Command line", "shell")
            with gr.Tab("API client"):
                client = _code("Python, over the network", "python")
    with gr.Row(equal_height=False):
        with gr.Column(min_width=310):
            gr.Markdown("### The mixed adapter\n" + ADAPTER_NOTE)
        with gr.Column(min_width=310):
            with gr.Row():
                make = gr.Button("Make the mixed adapter", size="md", min_width=150)
                adapter = gr.DownloadButton("Download the adapter", size="md", interactive=False, min_width=150)
            adapter_note = gr.HTML(padding=False, visible=False)
    gr.Markdown("### Your record\n" + RECORD_NOTE)
    record_note = gr.HTML(padding=False, visible=False)
    record = gr.Dataframe(headers=HEADERS, datatype="str", type="array", interactive=False, show_label=False, max_height=330,
                          buttons=[], elem_classes="ml-share-record", column_widths=_WIDTHS, visible=False)
    picked = gr.Dropdown([], label="Entry", info="Press a row of the table, or choose here", visible=False)
    with gr.Row():
        open_entry = gr.Button("Open this view", variant="primary", size="md", min_width=130)
        latest = gr.Button("Show my latest", size="md", min_width=130)
        record_csv, record_json = (gr.DownloadButton(f"Record as {kind}", size="md", interactive=False, min_width=130)
                                   for kind in ("CSV", "JSON"))
        forget = gr.Button("Forget my record", variant="stop", size="md", min_width=130)
    target = gr.Textbox(visible=False)

    def follow(*values):
        *asked, page = values
        try:
            return str(page or "") + link.query_of(session.view_of(*asked)), gr.HTML(visible=False), COPY
        except MolorecError as error:
            return "", _note(error), COPY

    def show_for(*values):
        *asked, page = values
        try:
            view = session.counted(engine, session.view_of(*asked))
            ranking = engine.rank(session.example_of(engine, view), view.lam, view.rule)
            name = _file_name(view)
            files = (shelf.TABLES.put_text(f"{name}.csv", csv_text(*ranking_rows(view, ranking))),
                     shelf.TABLES.put_text(f"{name}.json", json.dumps(documents.ranking(ranking), ensure_ascii=False,
                                                                      indent=1) + "\n"))
            code = (snippets.python(view, engine.base), snippets.command(view, engine.base),
                    _client_code(engine, view, str(page or "")))
        except MolorecError as error:
            nothing = gr.DownloadButton(value=None, interactive=False)
            return _note(error), "", "", "", nothing, nothing
        return (_words(view), *code, *(gr.DownloadButton(value=file, interactive=True) for file in files))

    def make_adapter(*asked):
        """Yields (text, download button)."""
        nothing = gr.DownloadButton(value=None, interactive=False)
        yield _news("Mixing …"), nothing
        try:
            view = session.counted(engine, session.view_of(*asked))
            file, rank = adapter_zip(engine, view)
            words = adapter_words(file, rank, view.domain, view.lam, view.rule)
            yield _news(words), gr.DownloadButton(value=file, interactive=True)
        except MolorecError as error:
            yield _note(error), nothing

    def show_record(visitor: str):
        """(note, table, entries to choose from, two files)."""
        try:
            return _record_parts(journal.entries(visitor, SHOWN) if visitor else [])
        except MolorecError as error:
            return _note(error), *[gr.skip()] * 4

    def forget_record(visitor: str):
        try:
            gone = journal.forget(visitor) if visitor else 0
        except MolorecError as error:
            return _note(error), *[gr.skip()] * 4
        if not gone:
            return _news("Nothing was deleted."), *[gr.skip()] * 4
        return _news(f"{gone} entries are deleted."), *_record_parts([])[1:]

    def pick(event: gr.SelectData):
        return event.row_value[0]

    def open_view(number: object, visitor: str, *asked):
        """(λ twice, rule, note, query): λ and rule where the entry is of what is on screen, else a query to go to."""
        stay = gr.skip(), gr.skip(), gr.skip()
        try:
            entry = journal.entry(visitor, int(str(number))) if visitor and str(number or "").isdecimal() else None
            if entry is None:
                raise BadInput("choose an entry of your record first")
            view = _view_of(entry)
            if _same_list(entry, view, asked):
                return view.lam, view.lam, view.rule, _news(f"Entry {entry.number} is on screen: λ = {view.lam:g}."), ""
            return *stay, _news(f"Opening entry {entry.number} …"), link.query_of(view)
        except MolorecError as error:
            return *stay, _note(error), ""

    screen.drawn.change(follow, [*screen.asked, address], [here, link_note, copy], js=_ADDRESS, queue=False,
                        show_progress="hidden", trigger_mode="always_last")
    copy.click(None, here, copy, js=_COPY)
    show.click(show_for, [*screen.asked, address], [shown, python, command, client, as_csv, as_json], js=_ADDRESS, **QUICK)
    make.click(make_adapter, screen.asked, [adapter_note, adapter], **LONG)
    parts = [record_note, record, picked, record_csv, record_json]
    gr.on([tab.select, screen.visitor.change], show_record, [screen.visitor], parts, **_RECORD)
    latest.click(show_record, screen.visitor, parts, **_RECORD)
    forget.click(forget_record, screen.visitor, parts, js=_SURE, **_RECORD)
    record.select(pick, None, picked, queue=False, show_progress="hidden")
    open_entry.click(open_view, [picked, screen.visitor, *screen.asked], [*screen.lam_twice, screen.rule, record_note, target],
                     **_RECORD).then(None, target, js=_GO).then(**screen.refresh)


def ranking_rows(view: View, ranking: Ranking) -> tuple[list[str], list[list]]:
    """Head and rows of the ranking as a table, best first; λ, rule and whose it is stand in every row."""
    example = ranking.example
    return (["domain", "scenario", "user", "lam", "rule", "rank", "item_id", "title", "probability"],
            [[example.domain, view.scenario, example.user, ranking.lam, ranking.rule, ranked.rank, ranked.item.item_id,
              ranked.item.title, ranked.probability] for ranked in ranking.items])


def record_rows(entries: Sequence[Entry]) -> tuple[list[str], list[list]]:
    """Head and rows of a record as a table, with titles and probabilities of a ranking in one cell."""
    return CSV_HEADER, [
        [entry.number, entry.time, entry.kind, entry.domain, entry.scenario, entry.user, entry.lam, entry.rule, entry.entropy,
         entry.seconds, entry.adapters, entry.base, "; ".join(f"{title} {probability:.4f}" for title, probability in entry.top),
         entry.lam_low, entry.lam_high, entry.prompts, entry.objective] for entry in entries]


def adapter_zip(engine: Engine, view: View, lam: Lam | None = None) -> tuple[str, int]:
    """The domain's adapters mixed at the view's λ and rule, as a PEFT folder in a zip.

    Parameters
    ----------
    lam : a λ that differs by layer, in place of the view's.

    Returns
    -------
    The zip's path, and the mixed adapter's rank.

    Raises
    ------
    BadInput : λ or the rule does not fit the adapters. MolorecError : the file cannot be written.
    """
    mixture = engine.mixture(view.domain)
    name, rank = _file_name(view, whose=False) if lam is None else shelf.plain(
        f"molorec-{owned.chosen_name(view.domain)}-{view.rule}-lam-by-{lam.granularity}"), 0
    lam = lam or as_weights(view.lam, len(mixture.adapters))

    def write(path: Path) -> None:
        nonlocal rank
        with TemporaryDirectory(dir=path.parent.parent, prefix="making-") as work:
            folder = export.export(list(mixture.adapters), mixture.stack, lam, view.rule, Path(work) / name, engine.base.name)
            rank = json.loads((folder / "adapter_config.json").read_text("utf-8"))["r"]
            with zipfile.ZipFile(path, "w") as archive:  # stored: random-looking weights do not get smaller
                for file in sorted(folder.iterdir()):
                    archive.write(file, f"{name}/{file.name}")

    return shelf.ADAPTERS.put(f"{name}.zip", write), rank


def adapter_words(file: str, rank: int, domain: str, lam: AnyLam, rule: str) -> str:
    """What a mixed adapter's file is, in words."""
    size = Path(file).stat().st_size
    amount = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} KB"
    return (f"Ready: one adapter of rank {rank}, {amount}, for {owned.chosen_name(domain)} at {in_words(lam)}, rule '{rule}'. It "
            "does exactly what the live mixture does: nothing is approximated, and the weights have 32 bits.")


def _code(label: str, language: str) -> gr.Code:
    return gr.Code(label=label, language=language, interactive=False, buttons=["copy"], wrap_lines=True, lines=12, max_lines=24,
                   show_line_numbers=False)


def _client_code(engine: Engine, view: View, page: str) -> str:
    if engine.catalog.domain(view.domain).owner:
        return "# The API opens everyone's domains only, and this one is yours alone.\n"
    return snippets.client(view, page)


def _record_parts(entries: Sequence[Entry]) -> tuple:
    if not entries:
        return (_news("There is nothing in your record yet."), gr.Dataframe(visible=False),
                gr.Dropdown([], value=None, visible=False), *[gr.DownloadButton(value=None, interactive=False)] * 2)
    files = [shelf.TABLES.put_text(f"molorec-record.{kind}", text(*record_rows(entries)))
             for kind, text in (("csv", csv_text), ("json", json_text))]
    return (gr.HTML(visible=False), gr.Dataframe([_line(entry) for entry in entries], visible=True),
            gr.Dropdown([(_label(entry), str(entry.number)) for entry in entries], value=str(entries[0].number), visible=True),
            *(gr.DownloadButton(value=file, interactive=True) for file in files))


def _line(entry: Entry) -> list[str]:
    if entry.kind == RANKING:
        found = f"{entry.top[0][0]} ({entry.top[0][1]:.1%})" if entry.top else ""
    else:
        by = ", by contrast" if entry.objective == "contrast" else ""
        found = f"λ {entry.lam_low:.2f} to {entry.lam_high:.2f}, {entry.prompts} prompts{by}"
    return [str(entry.number), _when(entry), entry.kind, owned.chosen_name(entry.domain), _whose(entry), f"{entry.lam:g}",
            entry.rule, found, f"{entry.entropy:.3f}", f"{entry.seconds:.2f}"]


def _label(entry: Entry) -> str:
    return f"No. {entry.number}: λ = {entry.lam:g}, {entry.kind}, {owned.chosen_name(entry.domain)}, {_whose(entry)}"


def _when(entry: Entry) -> str:
    return entry.time[:19].replace("T", " ")


def _whose(entry: Entry) -> str:
    if entry.kind != RANKING:
        return "the domain"
    return "your own list" if entry.scenario == BUILT else f"user {entry.user}"


def _view_of(entry: Entry) -> View:
    lists = (entry.history, entry.candidates) if entry.scenario == BUILT else ((), ())
    return View(entry.domain, entry.user, entry.lam, entry.rule, entry.scenario or "warm", *lists)


def _same_list(entry: Entry, view: View, asked: Sequence[object]) -> bool:
    """Whether what is on screen is the entry's but for λ and rule; a tuning is of a whole domain."""
    if entry.kind != RANKING:
        return asked[0] == entry.domain
    try:
        now = session.view_of(*asked)
    except BadInput:
        return False
    return ((now.domain, now.user, now.scenario, now.history, now.candidates)
            == (view.domain, view.user, view.scenario, view.history, view.candidates))


def _words(view: View) -> gr.HTML:
    whose = "a list of your own" if view.scenario == BUILT else f"user {view.user}"
    return _news(f"Code and files are for {owned.chosen_name(view.domain)}, {whose}, λ = {view.lam:g}, rule '{view.rule}'.")


def _note(text: object) -> gr.HTML:
    return gr.HTML(render.note(str(text)), visible=True)


def _news(text: str) -> gr.HTML:
    return gr.HTML(render.news(text), visible=True)


def _file_name(view: View, whose: bool = True) -> str:
    parts = [owned.chosen_name(view.domain), view.rule, f"lam{view.lam:g}"]
    if whose:
        parts.insert(1, "own-list" if view.scenario == BUILT else f"user-{view.user}")
    return shelf.plain("-".join(["molorec", *parts]))
