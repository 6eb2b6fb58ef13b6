"""λ by layer and by module: less entropy than one λ for all, base and adapters untouched, and an end in time."""

import itertools
from dataclasses import replace

import pytest
import torch

from molorec import descent
from molorec.descent import LEAST_PROMPTS, DescentStep, Settings, descend, inside, lattice
from molorec.engine import Engine
from molorec.entropy import Meter
from molorec.errors import BadInput
from molorec.mixture import adapters
from molorec.mixture.lam import Lam, general
from tests.conftest import card_for, random_adapter

SHORT = Settings(rounds=5)


def last(steps):
    *_, step = steps
    return step


@pytest.mark.parametrize(("granularity", "objective"), [("layer", "candidates"), ("module", "candidates"), ("module", "tokens")])
def test_the_entropy_falls_below_where_the_descent_began(engine, granularity, objective):
    steps = list(descend(engine, "toybox", granularity, 12, objective=objective, settings=SHORT))
    step = steps[-1]
    assert [each.settled for each in steps] == [False] * (len(steps) - 1) + [True]
    assert step.lam.granularity == granularity and len(set(step.lam.by_group().values())) > 1
    assert step.held_out < step.held_out_start
    meter, examples = Meter(engine, "toybox", objective=objective), engine.catalog.examples("toybox", "tune", limit=12)
    assert step.entropy == pytest.approx(meter.mean(examples, step.lam), abs=1e-5)
    assert step.entropy_start == pytest.approx(meter.mean(examples, 0.5), abs=1e-5)
    assert step.entropy_first == pytest.approx(meter.mean(examples, step.first), abs=1e-5)
    assert step.entropy < step.entropy_start and step.entropy < step.entropy_first
    assert step.held_out == pytest.approx(meter.mean(examples[-3:], step.lam), abs=1e-5)
    assert step.held_out_first == pytest.approx(meter.mean(examples[-3:], step.first), abs=1e-5)


@pytest.mark.parametrize(("general", "held_out", "held_out_first", "words"), [
    (0.5, 1.0, 1.2, "entropy is lower than at the one λ"), (0.5, 1.2, 1.0, "entropy is no lower than at the one λ"),
    (0.01, 1.0, 1.2, "specific adapter alone"), (0.97, 1.0, 1.2, "general adapter alone"), (0.5, 1.0, None, "not compared")])
def test_only_lists_kept_aside_say_that_something_was_gained(general, held_out, held_out_first, words):
    """All prompts together are no evidence: most of them were fitted to."""
    lam = Lam("layer", {"0": [general, 1 - general], "1": [general, 1 - general]})
    step = DescentStep(lam, 0.0, 2.0, (), 8, 8, 1.0, held_out=held_out, held_out_first=held_out_first, entropy=0.5)
    assert words in step.verdict


@pytest.mark.parametrize(("weights", "words"), [
    ((0.01, 0.02, 0.97), "prefers the 3. of the adapters alone"), ((0.01, 0.69, 0.3), "no lower")])
def test_of_three_adapters_the_one_that_has_all_the_weight_is_named(weights, words):
    step = DescentStep(Lam("global", {"all": weights}), 0.0, 2.0, (), 8, 8, 1.0, held_out=1.0, held_out_first=1.0, entropy=0.5)
    assert words in step.verdict


def test_what_contrast_found_is_not_called_entropy(engine):
    for step in descend(engine, "toybox", prompts=6, objective="contrast", settings=Settings(rounds=1)):
        assert step.objective == step.by == "contrast"
    assert "contrast" in step.verdict and "entropy" not in step.verdict


def test_it_begins_at_the_best_lam_for_all_moved_off_the_end(engine):
    steps = list(descend(engine, "toybox", prompts=6, settings=Settings(rounds=1)))
    begin = next(step for step in steps if step.held_out is not None)
    searched = [step for step in steps if step.held_out is None]
    assert searched and all(step.steps == 0 for step in searched) and begin.first == searched[-1].first
    assert general(begin.lam) == pytest.approx(min(0.95, max(0.05, begin.first)), abs=1e-4)
    assert len({values for _, values in begin.lam.weights}) == 1
    assert begin.curve and begin.entropy_first == pytest.approx(min(h for _, h in begin.curve), abs=0.05)


def test_neither_base_nor_adapters_change(engine):
    stack = engine.mixture("toybox").stack
    before = [parameter.clone() for parameter in (*engine.base.model.parameters(), *stack.parameters())]
    last(descend(engine, "toybox", prompts=5, settings=Settings(rounds=2)))
    after = [*engine.base.model.parameters(), *stack.parameters()]
    assert all(torch.equal(one, other) and other.grad is None for one, other in zip(before, after, strict=True))


def test_it_ends_when_the_held_out_entropy_stops_falling(engine, monkeypatch):
    """With prompts whose entropy never falls, after as many rounds as it has patience for."""
    monkeypatch.setattr(Meter, "mean", lambda self, examples, lam: 1.0)
    step = last(descend(engine, "toybox", prompts=8, settings=Settings(patience=2, batch=3)))
    assert step.steps == 2 * 2 and step.settled and step.most == 2 * 12
    assert len({values for _, values in step.lam.weights}) == 1  # the λ it began at


def test_the_lams_of_the_least_held_out_entropy_are_kept(engine, monkeypatch):
    heights = itertools.chain([2.0, 1.5, 1.0, 1.4, 1.3], itertools.repeat(1.2))
    asked = []
    monkeypatch.setattr(Meter, "mean", lambda self, examples, lam: asked.append(lam) or next(heights))
    step = last(descend(engine, "toybox", prompts=8, settings=Settings(rounds=6)))
    assert step.lam == asked[2] and step.held_out == 1.0 and step.held_out_start == 2.0


def test_closing_the_iterator_stops_all_further_passes(engine, monkeypatch):
    calls, run = [], engine.backend.run
    monkeypatch.setattr(engine.backend, "run", lambda work: calls.append(1) or run(work))
    steps = descend(engine, "toybox", prompts=8)
    next(step for step in steps if step.steps == 2)
    made = len(calls)
    steps.close()
    assert len(calls) == made == 2


def test_the_least_sure_prompts_are_dropped_when_asked(engine, monkeypatch):
    seen, backward = set(), Meter.backward
    monkeypatch.setattr(Meter, "backward", lambda self, examples, *rest: seen.update(examples) or backward(self, examples, *rest))
    examples = engine.catalog.examples("toybox", "tune", limit=12)
    step = last(descend(engine, "toybox", prompts=12, settings=Settings(keep=0.5, rounds=1)))
    learned = examples[:-3]
    begin = inside((step.first, 1 - step.first)).tolist()[0]
    entropies = {example: Meter(engine, "toybox").mean([example], begin) for example in learned}
    assert len(seen) == 4 and max(entropies[each] for each in seen) <= min(entropies[each] for each in set(learned) - seen) + 1e-3


@pytest.fixture
def three(base, catalog, adapter_folder):
    card = card_for(base, "general", "general")
    adapters.save(random_adapter(base.shapes, seed=9, card=card), adapter_folder / "books", base.name, torch.float32)
    return Engine(base, catalog, [adapter_folder], also=["books"])


@pytest.mark.parametrize("granularity", ["global", "layer"])
def test_three_adapters_begin_at_the_best_point_of_a_lattice(three, granularity):
    steps = list(descend(three, "toybox", granularity, 6, settings=replace(SHORT, rounds=2)))
    step, examples = steps[-1], three.catalog.examples("toybox", "tune", limit=6)
    meter = Meter(three, "toybox")
    entropies = {weights: meter.mean(examples, Lam("global", {"all": weights})) for weights in lattice(3)}
    assert step.first == Lam("global", {"all": min(entropies, key=entropies.get)})
    assert step.entropy_first == pytest.approx(min(entropies.values()), abs=1e-5)
    assert step.lam.adapters == 3 and step.lam.granularity == granularity
    assert step.held_out <= step.held_out_start and step.entropy < step.entropy_start


@pytest.mark.parametrize("adapters", [2, 3, 4])
def test_a_lattice_holds_every_adapter_alone_and_nothing_twice(adapters):
    points = lattice(adapters)
    assert len(set(points)) == len(points) and all(sum(point) == pytest.approx(1) for point in points)
    assert {tuple(float(i == k) for i in range(adapters)) for k in range(adapters)} <= set(points)


@pytest.mark.parametrize(("named", "said"), [
    ({"granularity": "head"}, "no granularity 'head'"), ({"prompts": 3}, "too few"), ({"prompts": 0}, "too few"),
    ({"objective": "words"}, "no objective"), ({"rule": "mean"}, "no mixing rule"),
    ({"settings": Settings(keep=0)}, "learn from is 0"),
    ({"settings": Settings(held_out=1)}, "held_out is 1"), ({"settings": Settings(batch=0)}, "batch 0"),
])
def test_what_cannot_be_tuned_is_refused_before_the_work(engine, named, said):
    with pytest.raises(BadInput, match=said):
        descend(engine, "toybox", **named)


def test_labelled_prompts_one_adapter_and_another_backend_are_refused(engine, adapter_folder):
    with pytest.raises(BadInput, match="unlabelled"):
        descend(engine, "toybox", examples=engine.catalog.examples("toybox", "quick", limit=LEAST_PROMPTS))
    elsewhere = Engine(engine.base, engine.catalog, engine.adapter_folders, object())
    with pytest.raises(BadInput, match="--backend local"):
        descent.descend(elsewhere, "toybox")
    (adapter_folder / "toybox").rename(adapter_folder / "elsewhere")
    engine.forget("toybox")
    with pytest.raises(BadInput, match="one adapter only"):
        descend(engine, "toybox")
