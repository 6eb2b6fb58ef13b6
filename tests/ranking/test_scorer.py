"""One packed forward pass gives what one forward pass for each trie node gives."""

import pytest
import torch

from molorec.mixture import adapters
from molorec.ranking.scorer import log_probabilities, padded
from molorec.ranking.trie import pack
from tests.conftest import random_adapter

END = 1
PROMPT = [20, 21, 22, 23, 24]
LISTS = {
    "long shared starts": [(5, 6, 7, 8, 9, END), (5, 6, 7, 8, 10, END), (5, 6, 7, 11, END), (5, 12, END), (13, END)],
    "nothing shared": [(5, END), (6, 7, END), (8, 9, END)],
    "one start for all, and twins": [(5, 6, 7, END), (5, 6, 8, END), (5, 6, 7, END)],
}


@pytest.fixture(scope="module")
def stack(base):
    return adapters.stack([random_adapter(base.shapes, seed=seed) for seed in (1, 2)]).eval()


def test_rows_are_padded_behind_to_a_common_multiple():
    made = padded([[1, 2], list(range(1, 18))], torch.device("cpu"))
    assert made.shape == (2, 32) and made[0].tolist() == [1, 2] + [0] * 30


def slow(model, prompt, candidates):
    """A forward pass for every prefix of every candidate, without a cache or a mask."""
    scores = []
    for candidate in candidates:
        score = 0.0
        for depth, token in enumerate(candidate):
            children = sorted({other[depth] for other in candidates if other[:depth] == candidate[:depth]})
            logits = model(input_ids=torch.tensor([[*prompt, *candidate[:depth]]])).logits[0, -1]
            score += logits[children].log_softmax(-1)[children.index(token)].item()
        scores.append(score - torch.tensor(float(candidates.count(candidate))).log().item())
    return torch.tensor(scores)


@pytest.mark.parametrize("case", LISTS)
@pytest.mark.parametrize("lam", [0.0, 0.6])
def test_packed_scores_are_those_of_one_forward_for_each_node(base, stack, case, lam):
    with torch.no_grad(), stack.at(lam):
        packed = log_probabilities(base.model, [pack(PROMPT, LISTS[case])])[0]
        assert (packed.exp() - slow(base.model, PROMPT, LISTS[case]).exp()).abs().max().item() <= 1e-4


def test_rows_of_a_padded_batch_are_the_single_rows(base, stack):
    rows = [pack(PROMPT[:length], LISTS[case]) for length, case in zip((2, 5, 3), LISTS, strict=True)]
    lams = torch.tensor([[0.1, 0.9], [0.5, 0.5], [1.0, 0.0]])
    with torch.no_grad():
        with stack.at(lams):
            together = log_probabilities(base.model, rows)
        for row, lam, expected in zip(rows, lams, together, strict=True):
            with stack.at(lam):
                alone = log_probabilities(base.model, [row])[0]
            assert (alone.exp() - expected.exp()).abs().max().item() <= 1e-4


def test_plain_rows_of_different_length_are_the_single_rows(base, stack):
    rows = [pack(PROMPT[:length], LISTS["nothing shared"]) for length in (2, 5)]
    with torch.no_grad(), stack.at(0.5):
        together = log_probabilities(base.model, rows)
        for row, expected in zip(rows, together, strict=True):
            assert (log_probabilities(base.model, [row])[0].exp() - expected.exp()).abs().max().item() <= 1e-4


def test_scores_have_a_slope_in_lam(base, stack):
    packed = [pack(PROMPT, LISTS["long shared starts"])]

    def score(weights):
        with stack.at(weights):
            return log_probabilities(base.model, packed)[0][0]

    lam = torch.tensor([0.4, 0.6], requires_grad=True)
    score(lam).backward()
    along = (lam.grad[0] - lam.grad[1]).item()
    step = 1e-2
    with torch.no_grad():
        slope = (score(0.4 + step) - score(0.4 - step)).item() / (2 * step)
    assert along == pytest.approx(slope, rel=0.02, abs=0.01)
    assert abs(along) > 0.01
