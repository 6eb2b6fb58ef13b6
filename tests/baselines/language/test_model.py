"""Whatever the model: only its adapter learns, nothing that was kept from training is read, and a kill costs nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from molorec.baselines.language import model as shared
from molorec.baselines.loop import Training, scores
from molorec.baselines.models import KINDS
from molorec.ranking import scorer

NAMES = [name for name, kind in KINDS.items() if kind.is_on_backbone]


def finish(run, until=None):
    return [progress.loss for progress in run.run(until)]


@pytest.fixture(autouse=True)
def short_answers(monkeypatch):
    monkeypatch.setattr("molorec.baselines.language.top_five.MOST_TOKENS", 12)


@pytest.mark.parametrize("name", NAMES)
def test_a_few_steps_lower_the_loss_and_leave_the_backbone_alone(name, make, few, base, tmp_path):
    before = {key: value.clone() for key, value in base.model.state_dict().items()}
    losses = finish(Training(make(name, epochs=4, patience=9), few, tmp_path))
    assert losses[-1] < losses[0] - 0.05
    assert all(torch.equal(value, before[key]) for key, value in base.model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in base.model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_resuming_gives_what_one_go_gives(name, make, few, tmp_path):
    changes = {"epochs": 2, "dropout": 0.1, "examples": 8}
    whole = Training(make(name, **changes), few, tmp_path / "whole")
    finish(whole)
    finish(Training(make(name, **changes), few, tmp_path / "parts"), until=1)
    torch.manual_seed(99)
    resumed = Training(make(name, **changes), few, tmp_path / "parts")
    assert len(finish(resumed)) == 1
    assert resumed.history == whole.history
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_checkpoint_holds_the_adapter_and_no_backbone(make, few, base, tmp_path):
    model = make("p5", epochs=1)
    finish(Training(model, few, tmp_path))
    stored = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["model"]
    assert len(stored) == 2 * len(base.shapes) and all(key.startswith("stack.") for key in stored)
    assert {tuple(stored[f"stack.a.{i}"].shape) for i in range(len(base.shapes))} \
        == {(16, in_features) for _, in_features in base.shapes.values()}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_was_kept_from_training_is_read(name, make, monkeypatch):
    model, seen, padded = make(name, batch=4, examples=60), [], shared.padded

    def recorded(rows, device):
        seen.extend("".join(f" {token}" for token in row) + " " for row in rows)
        return padded(rows, device)

    for reader in (shared, scorer):  # rows with branches are padded where they are read
        monkeypatch.setattr(reader, "padded", recorded)
    for batch in model.epoch(np.random.default_rng(0)):
        model.loss(batch)
    spelt = model.indices if name == "p5" else model.titles
    read = [any("".join(f" {token}" for token in spelt[item]) + " " in row for row in seen) for item in range(1, 25)]
    assert read == [True] * 22 + [False] * 2


@pytest.mark.parametrize("name", NAMES)
def test_a_list_is_scored_alike_alone_and_beside_others(name, make, questions):
    model = make(name, strength=0.3, length=3)
    histories = [questions.histories[0], questions.histories[1][:1], np.array([], np.int64)]
    lists = replace(questions, users=np.zeros(3, np.int64), histories=histories, candidates=questions.candidates[:3],
                    targets=questions.targets[:3])
    together = scores(model, lists)
    assert together.shape == lists.candidates.shape
    for i in range(3):
        alone = replace(lists, users=lists.users[:1], histories=histories[i : i + 1], candidates=lists.candidates[i : i + 1],
                        targets=lists.targets[:1])
        assert np.allclose(scores(model, alone)[0], together[i], atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_of_a_history_no_more_than_its_length_is_read(name, make, few):
    model = make(name, strength=0.3, length=2)
    assert np.allclose(scores(model, few), scores(model, replace(few, histories=[history[-2:] for history in few.histories])))
