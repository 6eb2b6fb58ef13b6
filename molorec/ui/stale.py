"""Notes that say when what a panel shows is of another ranking than the one on screen."""

from collections.abc import Callable
from dataclasses import replace

import gradio as gr

from molorec.errors import MolorecError
from molorec.ui import render, session
from molorec.ui.screen import Follower, Screen
from molorec.ui.session import View


def say(screen: Screen, kept: gr.State, note: gr.HTML, text: str, view: Callable[[object], View | None],
        any_lam: bool = False) -> None:
    """Show ``text`` in ``note`` whenever the screen asks for another ranking than a panel has kept.

    Parameters
    ----------
    view : of what is kept, the view that it was made of; None of nothing.
    any_lam : whether it is the same at every λ.
    """
    screen.followers.append(Follower(kept, note, text, view, any_lam))


def wire(screen: Screen) -> None:
    """Have all of them look at each ranking, once every panel is laid out: one event for all, for a λ that is dragged brings
    many rankings a second, and requests are counted (:mod:`molorec.ui.rate`)."""
    followers = screen.followers

    def look(*values):
        kept, asked = values[: len(followers)], values[len(followers) :]
        try:
            now = session.view_of(*asked)
        except MolorecError:  # said where the ranking would be
            now = None
        notes = [_note(follower, follower.view(each), now) for follower, each in zip(followers, kept, strict=True)]
        return notes[0] if len(notes) == 1 else notes  # as Gradio takes them

    screen.drawn.change(look, [*(follower.kept for follower in followers), *screen.asked],
                        [follower.note for follower in followers], show_progress="hidden", trigger_mode="always_last",
                        queue=False)


def _note(follower: Follower, made_of: View | None, now: View | None) -> gr.HTML:
    if now and made_of and follower.any_lam:
        now = replace(now, lam=made_of.lam)
    if made_of is None or made_of == now:
        return gr.HTML(visible=False)
    return gr.HTML(render.note(follower.text), visible=True)
