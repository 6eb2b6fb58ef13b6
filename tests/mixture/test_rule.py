"""λ becomes weights that sum to 1, and weights become the three rules' matrices."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molorec.errors import BadInput
from molorec.mixture.rule import RULES, as_weights, rule


@pytest.mark.parametrize(("lam", "adapters", "weights"), [
    (0, 2, [0, 1]), (1, 2, [1, 0]), (0.25, 2, [0.25, 0.75]), ((0.2, 0.3, 0.5), 3, [0.2, 0.3, 0.5]),
    (1, 1, [1]), ([1.0], 1, [1]),
    ([[0.1, 0.9], [1, 0]], 2, [[0.1, 0.9], [1, 0]]),
])
def test_lam_is_the_weight_of_the_first_adapter(lam, adapters, weights):
    torch.testing.assert_close(as_weights(lam, adapters), torch.tensor(weights, dtype=torch.float32))


@pytest.mark.parametrize(("lam", "adapters"), [
    (-0.1, 2), (1.1, 2), (float("nan"), 2), (float("inf"), 2), ("half", 2), (None, 2), ({}, 2), ([], 2), (10**400, 2),
    ([0.5, 0.6], 2), ([-0.5, 1.5], 2), ([1.0], 2), (0.5, 1), (0.5, 3), ([0.5, 0.5], 3), ([[0.5, 0.5], [0.5, 0.6]], 2),
    ([[0.5, 0.5], [0.5]], 2),
])
def test_what_is_no_weight_vector_is_refused(lam, adapters):
    with pytest.raises(BadInput):
        as_weights(lam, adapters)


@given(st.floats(0, 1))
@settings(deadline=None, max_examples=50)
def test_a_number_gives_two_weights_that_sum_to_one(lam):
    weights = as_weights(lam)
    assert weights.sum().item() == pytest.approx(1, abs=1e-6)
    assert weights[0].item() == pytest.approx(lam, abs=1e-6)


@given(st.floats(allow_nan=True, allow_infinity=True).filter(lambda lam: not -1e-3 <= lam <= 1 + 1e-3))
@settings(deadline=None, max_examples=50)
def test_every_other_number_is_refused(lam):
    with pytest.raises(BadInput, match="λ"):
        as_weights(lam)


@given(st.floats(-9e-5, 1 + 9e-5))
@settings(deadline=None, max_examples=50)
def test_rounding_errors_never_leave_a_negative_weight(lam):
    """A weight of -5e-5 has no square root, so an export at it would hold NaN."""
    weights = as_weights(lam)
    assert weights.min() >= 0 and weights.max() <= 1


@pytest.mark.parametrize(("name", "matrix"), [
    ("sum", [[0.25, 0], [0, 0.75]]),
    ("product", [[0.0625, 0.1875], [0.1875, 0.5625]]),
    ("peft_linear", [[0.25, 0.1875**0.5], [0.1875**0.5, 0.75]]),
])
def test_the_matrix_of_each_rule(name, matrix):
    made = rule(name).matrix(torch.tensor([0.25, 0.75]))
    torch.testing.assert_close(made, torch.tensor(matrix))
    assert rule(name).diagonal == (made[0, 1] == 0)


@pytest.mark.parametrize("name", RULES)
def test_rows_have_a_matrix_each(name):
    rows = torch.tensor([[0.25, 0.75], [1, 0], [0.5, 0.5]])
    torch.testing.assert_close(rule(name).matrix(rows), torch.stack([rule(name).matrix(row) for row in rows]))


def test_an_unknown_rule_is_refused_and_the_known_ones_named():
    with pytest.raises(BadInput, match="'mean'.*sum, product, peft_linear"):
        rule("mean")
