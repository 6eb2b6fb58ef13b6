"""The page builds over any engine, and everything that needs the model waits in one queue."""

import pytest

from molorec.config import LIMITS
from molorec.ui import page

MODEL_EVENTS = {"choose_user", "choose_random", "choose_domain", "choose_lam", "show_truth", "tune", "explain"}


@pytest.fixture
def built(engine):
    return page.build(engine)


def test_every_event_that_uses_the_model_waits_in_the_models_queue(built):
    events = [event for event in built.fns.values() if event.fn is not None and event.name in MODEL_EVENTS]
    assert {event.name for event in events} == MODEL_EVENTS
    assert {event.concurrency_id for event in events} == {"model"}


def test_the_queue_is_bounded(built):
    assert built._queue.max_size == LIMITS.queue


def test_the_page_says_which_adapters_are_in_use(built):
    assert "general + toybox" in str(built.config)


def test_a_broken_adapter_does_not_keep_the_page_from_building(engine, adapter_folder):
    for name in ("general", "toybox"):
        (adapter_folder / name / "adapter_model.safetensors").write_bytes(b"\x00" * 40)
    assert "damaged" in str(page.build(engine).config)
