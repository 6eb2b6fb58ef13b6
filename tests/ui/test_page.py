"""The page builds over any engine, and everything that needs the model waits in one queue."""

import pytest

from molorec.config import LIMITS
from molorec.ui import mix, page, ranked, tune, who

PANELS = (page, who, mix, tune, ranked)
LONG_RUNS = {"tune", "explain", "check_position"}
AT_ONCE = {"search", "stop"}  # need no model


@pytest.fixture
def built(engine):
    return page.build(engine)


def test_rankings_never_wait_behind_long_runs(built):
    events = [event for event in built.fns.values() if event.fn is not None
              and event.fn.__module__ in {panel.__name__ for panel in PANELS} and event.name not in AT_ONCE]
    queues = {event.name: event.concurrency_id for event in events}
    assert {"show", "show_typed", "show_anew", "press_auto", *LONG_RUNS} <= queues.keys()
    assert all(queue == ("long" if name in LONG_RUNS else "model") for name, queue in queues.items())


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
