"""One vector a title, one a history, and their cosine."""

import numpy as np
import pytest
import torch

from molorec.baselines.language.recformer import TEMPERATURE
from molorec.baselines.language.windows import Window
from molorec.baselines.loop import scores


def slowly(model, base, tokens):
    with model.stack.at([1.0]), torch.inference_mode():
        return base.model.base_model(input_ids=torch.tensor([list(tokens)])).last_hidden_state[0, -1]


def flat(model, items):
    return [*model.opening, *(token for item in items for token in model.titles[item])]


def cosine(one, other):
    return torch.nn.functional.cosine_similarity(one, other, dim=0).item()


def test_a_score_is_the_cosine_of_last_hidden_states(make, base):
    model = make("recformer", strength=0.3)
    histories, candidates = [np.array([4, 5, 6]), np.array([], np.int64)], np.array([[7, 19, 23], [1, 7, 2]])
    with torch.inference_mode():
        found = model.scores(np.zeros(2), histories, candidates)
    for row, history, some in zip(found, histories, candidates, strict=True):
        vector = slowly(model, base, flat(model, history))
        expected = [cosine(vector, slowly(model, base, model.titles[item])) / TEMPERATURE for item in some]
        assert row.tolist() == pytest.approx(expected, abs=1e-2)
    assert found.std() > 0.01


def test_the_loss_is_the_softmax_over_the_batch_without_what_the_user_chose_himself(make, base):
    model = make("recformer", strength=0.3, negatives=0)
    batch = [Window(1, np.array([2, 3, 4])), Window(12, np.array([14, 15])), Window(2, np.array([9, 10]))]
    losses = []
    for user, items in batch:
        for place in range(1, len(items)):
            # of all targets 3, 4, 15 and 10
            others = [item for item in (3, 4, 15, 10) if item not in model.data.sequences[user - 1]]
            vector = slowly(model, base, flat(model, items[:place]))
            logits = torch.tensor([cosine(vector, slowly(model, base, model.titles[item])) / TEMPERATURE
                                   for item in (items[place], *others)])
            losses.append(-logits.log_softmax(0)[0].item())
    assert 10 in model.data.sequences[1] and 3 in model.data.sequences[1] and 10 not in model.data.sequences[0]
    assert model.loss(batch).item() == pytest.approx(np.mean(losses), abs=1e-2)


def test_more_negatives_make_it_harder(make):
    batch = [Window(1, np.array([2, 3, 4]))]
    alone = make("recformer", negatives=0).loss(batch).item()
    torch.manual_seed(0)
    # alone, each target's only rival would be the other, which this user chose
    assert alone == pytest.approx(0.0, abs=1e-6) and make("recformer", negatives=20).loss(batch).item() > 0.5


def test_a_title_is_encoded_once_for_all_lists_and_anew_when_the_adapter_has_changed(make, questions, monkeypatch):
    model = make("recformer", strength=0.3)
    encoded, vectors = [], model.title_vectors
    monkeypatch.setattr(model, "title_vectors", lambda items: encoded.extend(items) or vectors(items))
    before = scores(model, questions)
    assert sorted(encoded) == list(range(1, 23))
    with torch.no_grad():
        model.stack.b[0].add_(1.0)
    assert not np.allclose(scores(model, questions), before, atol=1e-2)
