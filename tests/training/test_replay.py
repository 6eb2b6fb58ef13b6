"""Free-text replay: the base model's own words, and an adapter that keeps them."""

import pytest

from molorec.explaining import STYLES
from molorec.mixture import adapters
from molorec.prompts import template
from molorec.training.dataset import load_domain
from molorec.training.loop import Recipe, Training
from molorec.training.replay import POOL, Replay
from tests.conftest import card_for, random_adapter

LENGTH = 260  # the pico tokenizer spells prose letter by letter


@pytest.fixture
def data(catalog, base):
    return load_domain(catalog, "toybox", base.prompter)[0]


@pytest.fixture
def replay(base, data):
    return Replay(base, [data], template("open"), LENGTH, seed=0)


def test_texts_are_begun_as_reasons_are(base, replay):
    assert len(replay.texts) == POOL
    for prompt, free in replay.texts:
        text = base.prompter.decode(prompt)
        assert "This person may like" in text and text.endswith("that are")
        assert len(free) == STYLES["short"].tokens and len(prompt) + len(free) <= LENGTH


def test_the_same_seed_gives_the_same_texts(base, data, replay):
    assert Replay(base, [data], template("open"), LENGTH, seed=0).texts == replay.texts


def test_an_adapter_that_changes_nothing_has_nothing_to_lose(base, replay):
    fresh = adapters.stack([adapters.new(base.shapes)])
    assert float(replay.loss(fresh, 0)) == pytest.approx(0, abs=1e-6)
    strong = adapters.stack([random_adapter(base.shapes)])
    assert float(replay.loss(strong, 0)) > 0.01


def test_training_with_it_keeps_the_base_models_words(base, data, tmp_path):
    def drift(weight):
        recipe = Recipe(steps=12, rows=2, length=LENGTH, warmup=1, learning_rate=0.02, replay=weight)
        run = Training(base, [data], [1.0], template("open"), recipe, tmp_path / str(weight),
                       card_for(base, "specific", "toybox"))
        for _ in run.run():
            pass
        texts = run.replay or Replay(base, [data], template("open"), LENGTH, seed=0)
        return texts.drift(run.stack.eval())

    assert drift(3.0) < 0.7 * drift(0.0)


def test_validation_counts_what_free_text_has_lost(base, data, catalog, tmp_path):
    examples = catalog.examples("toybox", "quick", "validation", limit=3)
    strong = random_adapter(base.shapes, card=card_for(base, "specific", "toybox"))

    def run(weight):
        return Training(base, [data], [1.0], template("open"), Recipe(length=LENGTH, replay=weight), tmp_path,
                        card_for(base, "specific", "toybox"), examples, strong)

    with_replay = run(2.0)
    lost = with_replay.replay.drift(with_replay.stack.eval())
    assert lost > 0.01
    assert with_replay.validate() == pytest.approx(run(0.0).validate() + 2 * lost, abs=1e-4)
