"""The page builds over any engine, and everything that needs the model waits in one queue."""

import pytest

from molorec.config import LIMITS
from molorec.ui import page

LONG_RUNS = {"api.explain", "api.order", "api.sweep", "api.tune", "landscape.sweep", "layers.mix", "layers.tune", "own.add",
             "own.compare", "ranked.check_position", "ranked.explain", "share.make_adapter", "story.draw", "tune.tune"}
# need no model, or must not keep a ranking waiting
APART = {"own.halt", "own.look", "own.remove_old", "screen.stop", "share.follow", "share.forget_record", "share.open_view",
         "share.pick", "share.show_record", "stale.look", "who.paste", "who.search"}


@pytest.fixture
def built(engine):
    return page.build(engine)


def test_rankings_never_wait_behind_long_runs(built):
    events = [(f"{event.fn.__module__.removeprefix('molorec.ui.')}.{event.name}", event.concurrency_id)
              for event in built.fns.values() if event.fn is not None and event.name != "<lambda>"]
    assert {"page.show", "page.show_typed", "mix.press_auto", *LONG_RUNS, *APART} <= {name for name, _ in events}
    assert {name for name, queue in events if queue == "long"} == LONG_RUNS
    assert {name for name, queue in events if queue != "model"} == LONG_RUNS | APART


def test_every_ranking_on_screen_says_when_it_was_asked_for(built):
    rankings = [event for event in built.fns.values() if event.fn and event.fn.__module__ == page.__name__
                and event.name.startswith("show")]
    assert len(rankings) > 15 and all("performance.now()" in event.js for event in rankings)


def test_the_queue_is_bounded(built):
    assert built._queue.max_size == LIMITS.queue


def test_the_page_says_which_adapters_are_in_use(built):
    assert "general + toybox" in str(built.config)


def test_a_broken_adapter_does_not_keep_the_page_from_building(engine, adapter_folder):
    for name in ("general", "toybox"):
        (adapter_folder / name / "adapter_model.safetensors").write_bytes(b"\x00" * 40)
    assert "damaged" in str(page.build(engine).config)


def test_the_api_is_the_endpoints_under_their_plain_names(built):
    public = {event.api_name for event in built.fns.values() if event.api_visibility == "public"}
    assert public == {"domains", "users", "search", "rank", "tune", "sweep", "explain", "compare", "order", "results"}
