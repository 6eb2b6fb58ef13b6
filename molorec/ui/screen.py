"""The components that hold what a visitor asks for. Every panel reads them at its events: nothing is remembered twice."""

from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from molorec.ui import render
from molorec.ui.session import PLACE, Job, View

# Rankings share one queue of a few workers, and runs of many rankings another, so that two visitors who tune keep
# nobody from moving λ; the engine takes all of them one forward at a time.
QUICK = {"show_progress": "hidden", "concurrency_id": "model", "concurrency_limit": 4}
FAILED = "This failed in a way that nobody foresaw; the app's own log says more. Try again."
LONG = {"show_progress": "hidden", "concurrency_id": "long", "concurrency_limit": 2}


@dataclass(frozen=True)
class Follower:
    """A note that says when what a panel has kept is no longer what is on screen, see :func:`molorec.ui.stale.say`."""

    kept: gr.State
    note: gr.HTML
    text: str
    view: Callable[[Any], View | None]
    any_lam: bool


@dataclass
class Screen:
    """One page's components.

    Attributes
    ----------
    visitor : a random id that the browser keeps; what somebody brings or keeps is theirs by it.
    tuned : (domain, rule) → the λ that was tuned in this tab.
    drawn, drawn_list : the view whose ranking is on screen as a link's fields, with its λ and without; the domain alone if
        it cannot be ranked. Panels that follow the screen listen to these: they change on the server, once for each ranking,
        whatever the browser makes of a component whose choices and value arrive one after the other.
    rank : keyword arguments of an event that ranks what the screen asks for; ``event.then(**screen.rank)`` after setting λ.
    refresh : the same, and what depends on the domain and the scenario alone; after setting one of these.
    followers : the panels' notes that follow the ranking; :func:`molorec.ui.stale.wire` wires them once all are there.
    """

    visitor: gr.BrowserState
    domain: Component
    scenario: Component
    user: Component
    history: Component
    candidates: Component
    lam: Component
    number: Component
    rule: Component
    tuned: gr.State
    drawn: gr.State
    drawn_list: gr.State
    rank: dict[str, Any] = field(default_factory=dict)
    refresh: dict[str, Any] = field(default_factory=dict)
    followers: list[Follower] = field(default_factory=list)

    @property
    def asked(self) -> list[Component]:
        """The inputs that :func:`molorec.ui.session.view_of` makes a view from."""
        return [getattr(self, name) for name in PLACE]

    @property
    def lam_twice(self) -> list[Component]:
        """The slider and the box: whoever sets λ sets both."""
        return [self.lam, self.number]


def warn(text: object) -> None:
    """Show a problem for some seconds. Gradio shows such a text as HTML, so it is escaped here."""
    gr.Warning(escape(str(text)))


def tell(text: object) -> None:
    """Show news as :func:`warn` shows a problem."""
    gr.Info(escape(str(text)))


def stop(job: Job) -> gr.Button:
    """What a Stop button does: the run it belongs to is to end, and it cannot be pressed again."""
    job.stop("Stopped.")
    return gr.Button(interactive=False)


def free_on_failure(began: Dependency, status: gr.HTML, *buttons: gr.Button) -> None:
    """After an error of ``began`` that nobody foresaw ``status`` says so, and a start button, and its Stop, work again."""
    began.failure(lambda: (render.note(FAILED), *idle()[: len(buttons)]), None, [status, *buttons], queue=False,
                  show_progress="hidden")


def wire_run(run: Callable, job: gr.State, start: gr.Button, end: gr.Button, status: gr.HTML, inputs: list[Component],
             outputs: list[Component]) -> Dependency:
    """A long run with its two buttons: one begins it, the other ends it.

    Parameters
    ----------
    run : a generator that words every problem it knows; of any other, ``status`` says so and the run can be started again.
    job : the :class:`Job` that ``run`` asks whether it is still wanted.
    """
    began = start.click(run, inputs, outputs, **LONG)
    free_on_failure(began, status, start, end)
    end.click(stop, job, end, queue=False)
    return began


def running() -> tuple[gr.Button, gr.Button]:
    """A start button that cannot be pressed and a Stop that can."""
    return gr.Button(interactive=False), gr.Button(interactive=True)


def idle() -> tuple[gr.Button, gr.Button]:
    """A start button that can be pressed and a Stop that cannot."""
    return gr.Button(interactive=True), gr.Button(interactive=False)
