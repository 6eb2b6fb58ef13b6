"""The page builds over any engine, and everything that needs the model waits in one queue."""

import pytest

from molorec.config import LIMITS
from molorec.ui import page

QUEUES = {"show": "model", "show_anew": "model", "choose_sample": "model", "choose_random": "model", "choose_domain": "model",
          "choose_scenario": "model", "change_history": "model", "add": "model", "draw": "model", "shuffle": "model",
          "paste_history": "model", "paste_candidates": "model", "move_lam": "model", "type_lam": "model",
          "choose_rule": "model", "press_auto": "model", "show_truth": "model", "open_page": "model", "tune": "long",
          "explain": "long", "check_position": "long"}


@pytest.fixture
def built(engine):
    return page.build(engine)


def test_rankings_never_wait_behind_long_runs(built):
    events = [event for event in built.fns.values()
              if event.fn is not None and event.name in QUEUES and event.fn.__module__ == page.__name__]
    assert {event.name for event in events} == QUEUES.keys()
    assert all(event.concurrency_id == QUEUES[event.name] for event in events)


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
    assert public == {"domains", "users", "search", "rank", "tune", "sweep", "explain"}
