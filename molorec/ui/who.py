"""Who the ranking is for: a person of the data, or a history and candidates that the visitor puts together."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

import gradio as gr

from molorec import owned, space, titles
from molorec.catalog import Catalog, Item, known
from molorec.catalog.lists import NEGATIVES, marks
from molorec.config import LIMITS
from molorec.engine import Engine
from molorec.errors import BadInput, MolorecError, NoData
from molorec.prompts import HISTORY_TITLES
from molorec.taste import Taste
from molorec.ui import session
from molorec.ui.screen import QUICK, Screen, tell, warn
from molorec.ui.session import BUILT
from molorec.ui.titles import edited_list, search_results

SAMPLE_USERS = 12
FOUND, SEARCHED = 8, 200  # titles that a search shows, characters of what it is given
HINTS = {"warm": "Somebody of the data: what they chose, and 30 titles of which one came next.",
         "new-item": "The same, but none of the 30 titles was in the training of this domain's own adapter.",
         BUILT: "Your own history, and the titles to rank; both begin as those of the person who was on screen."}
# A dropdown hands on whatever the browser holds, also what was typed or what another tab has deleted: what is wrong with it
# is said where the ranking would be, not by Gradio's own error.
ANY = {"allow_custom_value": True}


@dataclass
class Who:
    """The panel's components."""

    domain: gr.Dropdown
    scenario: gr.Radio
    person: gr.Column
    sample: gr.Dropdown
    user: gr.Textbox
    random: gr.Button
    shown_history: gr.HTML
    shown_candidates: gr.HTML
    edit: gr.Button
    own: gr.Column
    search: gr.Textbox
    found: gr.HTML
    history: gr.HTML
    count: gr.Slider
    draw: gr.Button
    shuffle: gr.Button
    candidates: gr.HTML
    pasted: gr.Textbox
    paste_history: gr.Button
    paste_candidates: gr.Button


def panel(engine: Engine, domain: str) -> Who:
    """Lay the panel out, with the domain's first sample user."""
    gr.Markdown("### Who")
    samples = sample_users(engine.catalog, domain)
    found = {
        "domain": gr.Dropdown(domain_choices(engine.catalog), value=domain, label="Domain", elem_classes="ml-quiet", **ANY),
        "scenario": gr.Radio(list(session.SCENARIOS), value="warm", label="Whose history?", info=HINTS["warm"],
                             elem_classes="ml-quiet")}
    with gr.Column() as found["person"]:
        found["sample"] = gr.Dropdown(samples, value=samples[0][1] if samples else None, label="Sample users",
                                      info="What they choose more than others do", **ANY)
        with gr.Column(elem_classes="ml-quiet"):
            found["user"] = gr.Textbox(samples[0][1] if samples else "", label="User id", max_lines=1,
                                       info="Type one and press Enter")
            found["random"] = gr.Button("Random user", size="sm")
        gr.Markdown("**History**")
        found["shown_history"] = gr.HTML(padding=False)
        with gr.Column(elem_classes="ml-quiet"):
            with gr.Accordion("The candidates, in the order of the list", open=False):
                found["shown_candidates"] = gr.HTML(padding=False)
            found["edit"] = gr.Button("Change this history", size="sm")
    with gr.Column(visible=False) as found["own"]:
        found["search"] = gr.Textbox(label="Search titles", placeholder="alien, matirx …", max_lines=1, elem_classes="ml-quiet")
        found["found"] = search_results()
        gr.Markdown("**Your history**, oldest first")
        found["history"] = edited_list("Your history, oldest first", "Nothing yet: search for a title and add it.")
        with gr.Column(elem_classes="ml-quiet"):
            gr.Markdown("**Your candidates**")
            found["count"] = gr.Slider(2, LIMITS.candidates, NEGATIVES + 1, step=1, label="How many to draw", buttons=[])
            with gr.Row():
                found["draw"] = gr.Button("Draw at random", size="sm", min_width=80)
                found["shuffle"] = gr.Button("Shuffle", size="sm", min_width=80)
            with gr.Accordion("Show and change the candidates", open=False):
                found["candidates"] = edited_list("Your candidates", "Nothing yet: draw some, or search and add.")
            with gr.Accordion("Paste a list", open=False):
                found["pasted"] = gr.Textbox(label="Titles, one a line", lines=4, max_length=LIMITS.candidates * 200)
                with gr.Row():
                    found["paste_history"] = gr.Button("As history", size="sm", min_width=80)
                    found["paste_candidates"] = gr.Button("As candidates", size="sm", min_width=80)
    return Who(**found)


def wire(engine: Engine, people: Who, screen: Screen) -> None:
    """Whoever is chosen, and whatever list is changed, is on screen first and ranked then."""

    def choose_domain(visitor: str, domain: str):
        try:
            if owned.is_anothers(engine.catalog, visitor, domain):  # it stays nowhere: other panels read the picker too
                warn(engine.catalog.no_domain(domain))
                domain = next((name for _, name in domain_choices(engine.catalog, visitor)), "")
        except MolorecError:  # said where the ranking would be
            pass
        return domain, "warm", user_for(engine, domain, "warm"), [], []

    def choose_scenario(domain: str, scenario: str, user: str, history: list, candidates: list, drawn: dict):
        user = user_for(engine, domain, scenario, user)
        if scenario == BUILT and not history:
            history, candidates = _start_from(engine, domain, user, drawn.get("scenario", "warm"))
        elif scenario != BUILT and not user and _is_here(engine, domain):
            of, why = (("a list of new titles", "too few of its titles are held out") if scenario == "new-item" else
                       ("a list", "too few of them chose enough, or there are too few titles to draw 30 from"))
            warn(f"Nobody in {owned.chosen_name(domain)} has {of}: {why}.")
        return user, history, candidates

    def change_history(domain: str, scenario: str, user: str):
        """From a person of the data to a list of one's own that starts with theirs."""
        return BUILT, *_start_from(engine, domain, user, scenario)

    def choose_random(domain: str, scenario: str, user: str):
        try:
            return engine.catalog.random_user(domain, scenario)
        except MolorecError as error:
            warn(error)
            return user

    def search(domain: str, text: str):
        looked_for = (text or "").strip()[:SEARCHED]
        try:
            found = engine.catalog.search(domain, looked_for, limit=FOUND)
        except MolorecError as error:
            warn(error)
            return {"text": "", "rows": []}
        return {"text": looked_for, "rows": session.as_value(found)}

    def add(event: gr.EventData, domain: str, history: list | None, candidates: list | None):
        """Add a found title to the list that was pressed."""
        lists = {"history": list(history or []), "candidates": list(candidates or [])}
        try:
            found, target = engine.catalog.item(domain, str((event.title or {}).get("id"))), lists[event.to]
            if found.item_id in session.item_ids(target):
                tell(f"“{found.title}” is there already.")
            else:
                target += session.as_value([found])
        except (MolorecError, KeyError, AttributeError) as error:
            warn(error)
        return lists["history"], lists["candidates"]

    def draw(count: float, domain: str, history: list, candidates: list):
        try:
            return session.as_value(
                draw_candidates(engine.catalog, domain, int(count or 0), session.item_ids(history), random.Random()))
        except MolorecError as error:
            warn(error)
            return candidates

    def shuffle(candidates: list | None):
        return random.sample(candidates or [], len(candidates or []))

    def paste(text: str, domain: str, before: list, least: int):
        """The titles of the text in place of a list, of ``least`` at least."""
        try:
            items, guessed, missing = resolve(engine.catalog, domain, text or "")
        except MolorecError as error:
            warn(error)
            return before
        if missing:
            warn(f"{len(missing)} of the lines name no title of {owned.chosen_name(domain)}: {', '.join(missing)[:200]}")
        if len(items) < least:
            warn(f"titles found: {len(items)}. A list to rank needs {least}; it stays as it was." if least > 1 else
                 "no title was found; the list stays as it was.")
            return before
        read = "; ".join(f"“{line[:40]}” as “{title[:60]}”" for line, title in list(guessed.items())[:5])
        tell(f"{len(items)} in place of the {len(before or [])} that were there." + (f" Read {read}." if read else ""))
        return session.as_value(items)

    domain, scenario, user, lists = people.domain, people.scenario, people.user, [people.history, people.candidates]
    domain.input(choose_domain, [screen.visitor, domain], [domain, scenario, user, *lists], **QUICK).then(**screen.refresh)
    scenario.input(choose_scenario, [domain, scenario, user, *lists, screen.drawn], [user, *lists],
                   **QUICK).then(**screen.refresh)
    people.edit.click(change_history, [domain, scenario, user], [scenario, *lists], **QUICK).then(**screen.refresh)
    people.sample.input(None, people.sample, user, js="user => user").then(**screen.rank)
    people.user.change(None, people.user, people.sample, js="user => user")  # whoever is on screen
    people.random.click(choose_random, [domain, scenario, user], user, **QUICK).then(**screen.rank)
    # on every change: text that is pasted or dropped is no input to Gradio
    people.search.change(search, [domain, people.search], people.found, show_progress="hidden", trigger_mode="always_last",
                        concurrency_limit=8)
    people.found.select(add, [domain, *lists], lists, **QUICK).then(**screen.rank)
    people.draw.click(draw, [people.count, domain, *lists], people.candidates, **QUICK).then(**screen.rank)
    people.shuffle.click(shuffle, people.candidates, people.candidates, **QUICK).then(**screen.rank)
    for button, target, least in ((people.paste_history, people.history, 1), (people.paste_candidates, people.candidates, 2)):
        # many lines that name nothing take long in a large shop: nobody's ranking waits for them
        button.click(paste, [people.pasted, domain, target, gr.State(least)], target, show_progress="hidden",
                     concurrency_id="paste", concurrency_limit=1).then(**screen.rank)


def groups(engine: Engine, domain: str, scenario: str, user: str) -> tuple[gr.Radio, gr.Column, gr.Column, gr.Dropdown]:
    """What the panel shows in a scenario: its hint, the two groups' visibility, and sample users with ``user`` chosen."""
    samples, here = _samples(engine, domain, scenario), _is_here(engine, domain)
    sample = gr.Dropdown(samples, value=user or None)
    return (gr.Radio(info=HINTS[scenario]), gr.Column(visible=here and scenario != BUILT),
            gr.Column(visible=here and scenario == BUILT), gr.skip() if scenario == BUILT else sample)


def user_for(engine: Engine, domain: str, scenario: str, user: str = "") -> str:
    """``user`` if they have a list in the scenario, else the first sample user; empty if there is nobody."""
    if scenario == BUILT or _has_list(engine, domain, user, scenario):
        return user
    return next((known for _, known in _samples(engine, domain, scenario)), "")


def _is_here(engine: Engine, domain: str) -> bool:
    """False for a known domain whose data is not here; whatever else is wrong is said where the ranking would be."""
    try:
        engine.catalog.domain(domain)
    except NoData:
        return False
    except MolorecError:
        pass
    return True


def _samples(engine: Engine, domain: str, scenario: str) -> list[tuple[str, str]]:
    if scenario == BUILT:
        return []
    try:
        return sample_users(engine.catalog, domain, scenario)
    except MolorecError:  # said where the ranking would be
        return []


def _has_list(engine: Engine, domain: str, user: str, scenario: str) -> bool:
    try:
        engine.catalog.example(domain, user, scenario)
        return True
    except MolorecError:
        return False


def _start_from(engine: Engine, domain: str, user: str, scenario: str) -> tuple[list[dict], list[dict]]:
    """A person's latest choices and candidates, as lists to change; empty ones if there is no such person."""
    try:
        example = engine.catalog.example(domain, (user or "").strip(), scenario if scenario != BUILT else "warm")
    except MolorecError:
        return [], []
    return session.as_value(example.history[-HISTORY_TITLES:]), session.as_value(example.candidates)


def domain_choices(catalog: Catalog, visitor: object = "") -> list[tuple[str, str]]:
    """(label, name) of what the picker offers: everyone's domains, the visitor's own, and the known ones that are not here,
    except on a Space, where no visitor could get them."""
    here = owned.visible(catalog, visitor)
    missing = [] if space.is_space() else known.missing(here)
    return [(owned.label(info), info.name) for info in here] + [
        (f"{domain.label} (data not here)", domain.name) for domain in missing]


def sample_users(catalog: Catalog, domain: str, scenario: str = "warm") -> list[tuple[str, str]]:
    """(label, id) of a few users, described by their taste."""
    users = catalog.first_users(domain, scenario, SAMPLE_USERS)
    taste = Taste(catalog, domain)
    return [(f"{user} · {taste.describe(catalog.example(domain, user, scenario).history)}", user) for user in users]


def draw_candidates(catalog: Catalog, domain: str, count: int, history: Iterable[str], rng: random.Random) -> list[Item]:
    """Up to ``count`` items that are not in the history (ids), no two of one title, in random order.

    Raises
    ------
    BadInput : the count is not 2 to 300, or the domain holds too few other titles.
    """
    if not 2 <= count <= LIMITS.candidates:
        raise BadInput(f"{count} candidates cannot be drawn; choose 2 to {LIMITS.candidates}")
    items, chosen = list(catalog.items(domain)), []
    rng.shuffle(items)
    known, used = set(history), set()
    for item in items:
        own = set(marks(item.title, titles.normalise(item.title)))
        if item.item_id not in known and not own & used:
            chosen.append(item)
            used |= own
        if len(chosen) == count:
            return chosen
    if len(chosen) < 2:
        raise BadInput(f"'{domain}' holds too few titles that are not in the history; take some out of it")
    return chosen


def resolve(catalog: Catalog, domain: str, text: str) -> tuple[list[Item], dict[str, str], list[str]]:
    """What the lines of a text name; of a line its first :data:`SEARCHED` characters count.

    Returns
    -------
    items, guessed, missing : each item once; of the lines that are only written much like a title, line → that title; the
        lines for which there is none.

    Raises
    ------
    BadInput : there are no lines, or more than a list can hold.
    """
    lines = [line.strip()[:SEARCHED] for line in text.splitlines() if line.strip()]
    if not lines:
        raise BadInput("there is nothing to read; put one title on a line")
    if len(lines) > LIMITS.candidates:
        raise BadInput(f"{len(lines)} lines are too many; a list holds at most {LIMITS.candidates}")
    best = list(zip(lines, catalog.best_matches(domain, lines), strict=True))
    return (list(dict.fromkeys(item for _, (item, _) in best if item)),
            {line: item.title for line, (item, has_words) in best if item and not has_words},
            [line for line, (item, _) in best if item is None])
