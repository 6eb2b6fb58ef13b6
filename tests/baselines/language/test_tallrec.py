"""Questions packed behind one history are answered as if each were asked alone."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from molorec.baselines.language.windows import Window
from molorec.errors import BadInput


def slowly(model, base, items, candidate):
    row = [*model.opening, *(token for item in items for token in model.titles[item]), *model.before, *model.titles[candidate]]
    with model.stack.at([1.0]):
        return base.model(input_ids=torch.tensor([row])).logits[0, -1]


def test_scores_are_those_of_one_question_after_the_other(make, base):
    model = make("tallrec", strength=0.3)
    history, candidates = np.array([4, 5, 6]), np.array([7, 19, 23, 1])
    with torch.inference_mode():
        found = model.scores(np.zeros(1), [history], candidates[None])[0]
        logits = [slowly(model, base, history, candidate) for candidate in candidates]
    assert (found - torch.stack([row[model.yes] - row[model.no] for row in logits])).abs().max() < 1e-3
    assert found.std() > 0.01


def test_a_window_is_asked_about_in_its_later_half_what_came_next_and_what_was_never_chosen(make, base):
    model = make("tallrec", strength=0.3, negatives=2)
    window = Window(1, model.data.sequences[0][:5])  # 1 … 5 of 1 … 9
    asked = model.example(window, np.random.default_rng(0))
    assert asked.labels == [True, False, False] * 3
    by_tokens = {title: item for item, title in enumerate(model.titles)}
    losses = []
    for number, ((fork, first, end), label) in enumerate(zip(asked.row.spans, asked.labels, strict=True)):
        place = number // 3 + 2  # questions behind items 2, 3 and 4
        assert fork == len(model.opening) + sum(len(model.titles[item]) for item in window.items[:place])
        candidate = by_tokens[tuple(asked.row.tokens[first + len(model.before) : end])]
        assert candidate == window.items[place] if label else candidate not in model.data.sequences[0]
        with torch.inference_mode():
            wanted = torch.tensor(model.yes if label else model.no)
            losses.append(F.cross_entropy(slowly(model, base, window.items[:place], candidate), wanted))
    assert model.loss([asked]).item() == pytest.approx(torch.stack(losses).mean().item(), abs=1e-3)


def test_a_tokenizer_without_yes_and_no_is_refused(make, base, monkeypatch):
    monkeypatch.setattr(base.prompter, "encode", lambda text: [7])
    with pytest.raises(BadInput, match="Yes"):
        make("tallrec")
