"""The base model as a teacher: its mean is gone, what a history adds is left."""

import pytest
import torch

from molorec.errors import BadInput
from molorec.prompts import template
from molorec.training.calibration import AT_ROOT, BELOW, CalibratedTeacher
from molorec.training.dataset import WindowSampler, load_domain
from molorec.training.loop import Recipe, Training
from tests.conftest import card_for

LENGTH = 120


@pytest.fixture
def data(catalog, base):
    return load_domain(catalog, "toybox", base.prompter)[0]


@pytest.fixture
def batch(data):
    return WindowSampler([data], [1.0], template("open"), "listwise", 6, LENGTH, 0).batch(3)


@pytest.fixture
def teacher(base, data):
    return CalibratedTeacher(base, [data], template("open"), LENGTH, seed=0)


def test_labels_are_what_the_base_model_says_less_its_mean(base, teacher, batch):
    taught = teacher.blend(batch, 1.0).roots["toybox"][3]
    positions, choices, offsets, _ = batch.roots["toybox"]
    row, place = positions[4].tolist()
    with torch.inference_mode():
        state = base.model.base_model(input_ids=batch.tokens[row : row + 1, : place + 1]).last_hidden_state[0, -1]
    scores = base.model.get_output_embeddings().weight[choices] @ (state - teacher.means["toybox"])
    assert torch.allclose(taught[4], (scores / AT_ROOT + offsets[4]).softmax(-1), atol=1e-5)


def test_over_many_people_no_word_is_favoured(base, data, teacher):
    """The scores behind the labels have mean 0, where the base model's own differ by more than a nat."""
    many = WindowSampler([data], [1.0], template("open"), "listwise", 40, LENGTH, 9).batch(0)
    positions, choices, _, _ = many.roots["toybox"]
    with torch.inference_mode():
        hidden = base.model.base_model(input_ids=many.tokens).last_hidden_state
    states = hidden[positions[:, 0], positions[:, 1]]
    head = base.model.get_output_embeddings().weight[choices]
    before, after = (states @ head.t()).mean(0), ((states - teacher.means["toybox"]) @ head.t()).mean(0)
    assert float(after.std()) < 0.2 * float(before.std())


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_labels_stay_distributions_and_nothing_else_changes(teacher, batch, share):
    blended = teacher.blend(batch, share)
    (positions, choices, offsets, targets), before = blended.roots["toybox"], batch.roots["toybox"]
    assert torch.allclose(targets.sum(1), torch.ones(len(targets)), atol=1e-5)
    assert not targets[offsets < -100].any()
    assert torch.equal(targets, before[3]) == (share == 0)
    assert all(torch.equal(a, b) for a, b in zip((positions, choices, offsets), before[:3], strict=True))
    assert blended.tokens is batch.tokens
    assert all(torch.equal(a, b) for a, b in zip(blended.nodes[:3], batch.nodes[:3], strict=True))
    assert torch.allclose(blended.nodes[3].sum(1), torch.ones(len(blended.nodes[3])), atol=1e-5)
    assert torch.equal(blended.nodes[3], batch.nodes[3]) == (share == 0)


def test_where_titles_that_begin_alike_part_the_base_model_is_taken_with_its_mean(base, teacher, batch):
    positions, choices, offsets, _ = batch.nodes
    taught = teacher.blend(batch, 1.0).nodes[3]
    row, place = positions[2].tolist()
    with torch.inference_mode():
        state = base.model.base_model(input_ids=batch.tokens[row : row + 1, : place + 1]).last_hidden_state[0, -1]
    scores = base.model.get_output_embeddings().weight[choices[2]] @ state
    assert torch.allclose(taught[2], (scores / BELOW + offsets[2]).softmax(-1), atol=1e-5)


def test_a_training_learns_from_it_and_goes_on_to_the_same_result(base, data, tmp_path):
    recipe = Recipe(steps=6, rows=4, length=LENGTH, warmup=1, learning_rate=0.02, calibration=1.0)

    def training(folder):
        return Training(base, [data], [1.0], template("open"), recipe, folder, card_for(base, "general", "general"))

    straight = training(tmp_path / "straight")
    losses = [progress.loss for progress in straight.run()]
    assert losses[-1] < losses[0]
    for progress in training(tmp_path / "killed").run(checkpoint_every_seconds=0):
        if progress.step == 3:
            break
    resumed = training(tmp_path / "killed")
    for _ in resumed.run():
        pass
    for one, other in zip(straight.stack.parameters(), resumed.stack.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("changes", [{"template": "listed"}, {"objective": "lm"}])
def test_it_needs_decisions_over_a_whole_catalogue(base, data, tmp_path, changes):
    recipe = Recipe(calibration=0.5, **changes)
    with pytest.raises(BadInput, match="calibration"):
        Training(base, [data], [1.0], template(recipe.template), recipe, tmp_path, card_for(base, "general", "general"))
