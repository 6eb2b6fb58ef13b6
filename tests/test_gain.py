"""Whether an adapter of its own is worth having is measured on people that nothing has learned from, and kept with it."""

import pytest

from molorec import gain
from molorec.catalog import prepare
from molorec.errors import BadInput, MolorecError
from molorec.evaluation import protocol
from molorec.mixture.card import update_card
from tests.conftest import source_data


def test_it_is_what_an_evaluation_of_the_same_people_says(engine):
    assert gain.of(engine, "toybox") is None
    assert list(gain.measure(engine, "toybox", people=6)) == [(done, 6) for done in range(1, 7)]
    found = gain.of(engine, "toybox")
    expected = protocol.evaluate(engine, "toybox", limit=6, systems=("general", "popularity", "specific"))
    assert found.n == 6
    for name in ("general", "popularity", "specific"):
        assert found.scores[name] == pytest.approx(expected.system(name).ndcg(1), abs=1e-4)
    for name in ("general", "popularity"):
        assert found.over[name] == pytest.approx(expected.system("specific").against[name], abs=1e-4)


def test_what_is_not_shown_to_be_better_is_called_weak_wherever_it_ranks(engine, adapter_folder):
    list(gain.measure(engine, "toybox", people=4))
    found = gain.of(engine, "toybox")
    weak = [f"specific is not surely above {name}" for name, (_, low, _) in found.over.items() if low <= 0]
    assert weak and engine.mixture("toybox").weak == tuple(weak)


def test_stopped_before_the_last_person_it_keeps_nothing(engine):
    running = gain.measure(engine, "toybox", people=4)
    next(running)
    running.close()
    assert gain.of(engine, "toybox") is None


def test_without_an_adapter_of_its_own_or_people_it_says_so(engine, adapter_folder):
    engine.catalog.add_domain(prepare("zoo", source_data(seed=1)))
    with pytest.raises(BadInput, match="train one first"):
        next(gain.measure(engine, "zoo"))
    engine.catalog.remove_domain("toybox")
    engine.catalog.add_domain(prepare("toybox", source_data(users=60)))
    engine.forget("toybox")
    with pytest.raises(BadInput, match="bring more"):
        next(gain.measure(engine, "toybox"))


def test_a_full_disk_is_said(engine, fail_on):
    fail_on(gain, "update_card", 1, OSError(28, "No space left on device"))
    with pytest.raises(MolorecError, match="could not be kept"):
        list(gain.measure(engine, "toybox", people=2))


@pytest.mark.parametrize("scores", [{}, {"n": 962, "ndcg@1": 0.3}, {"n": "x"}])
def test_a_card_of_another_measurement_says_nothing(engine, adapter_folder, scores):
    update_card(adapter_folder / "toybox", scores=scores)
    engine.forget("toybox")
    assert gain.of(engine, "toybox") is None
