"""Indices are spelt under constraint, with the very probabilities that the model gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from molorec.baselines.language.p5 import sequential_indices


def test_indices_follow_first_appearance_and_what_was_kept_from_training_comes_last(walks):
    walks.sequences[0] = np.array([7, 3, 7, 9])
    indices = sequential_indices(walks)
    assert [indices[item - 1] for item in (7, 3, 9)] == ["1001", "1002", "1003"]
    assert indices[walks.sequences[1][0] - 1] == "1004"
    assert sorted(indices) == [str(1000 + n) for n in range(1, 25)]
    assert indices[-2:] == ["1023", "1024"]


@pytest.mark.parametrize(("count", "digits"), [(8_999, 4), (9_000, 5), (89_999, 5)])
def test_indices_of_a_great_catalogue_are_of_one_width_and_no_wider_than_that_needs(walks, count, digits):
    great = replace(walks, items=walks.items[:1] * count)
    assert {len(index) for index in sequential_indices(great)} == {digits}


def test_scores_are_those_of_spelling_each_index_by_itself(make, base):
    model = make("p5", strength=0.3)
    history, candidates = np.array([4, 5, 6]), np.array([7, 19, 23, 1, 12, 24])
    with torch.inference_mode():
        found = model.scores(np.zeros(1), [history], candidates[None])[0]
        slow = []
        prompt = [*model.opening, *(token for item in history for token in model.indices[item])]
        for item in candidates:
            score, index = 0.0, model.indices[item]
            for depth, token in enumerate(index):
                allowed = sorted({other[depth] for other in model.indices[1:] if other[:depth] == index[:depth]})
                with model.stack.at([1.0]):
                    logits = base.model(input_ids=torch.tensor([[*prompt, *index[:depth]]])).logits[0, -1]
                score += logits[allowed].log_softmax(-1)[allowed.index(token)].item()
            slow.append(score)
    assert (found.exp() - torch.tensor(slow).softmax(-1)).abs().max() < 1e-4
    assert found.exp().max() > 2 / len(candidates)  # such a list would be alike for any order of digits


def test_learned_is_every_index_but_the_first(make, monkeypatch):
    model = make("p5")
    given = []
    monkeypatch.setattr(model, "answer_loss", lambda prompts, answers: given.extend(zip(prompts, answers, strict=True)))
    for batch in model.epoch(np.random.default_rng(0)):
        model.loss(batch)
        for window, (prompt, answer) in zip(batch, given[-len(batch) :], strict=True):
            assert tuple(prompt) == (*model.opening, *model.indices[window.items[0]])
            assert answer == [token for item in window.items[1:] for token in model.indices[item]]
