"""Calls to a lent GPU carry all they need, and say how long they may take."""

import pickle

import pytest
import torch

from molorec.backends import Row, Writing, zero
from molorec.backends.local import Local
from molorec.engine import Engine


class Lent:
    """Runs a call as a forked process would: with arguments that were pickled, and nothing kept from earlier calls."""

    def __init__(self):
        self.asked = []

    def __call__(self, duration):
        def decorate(function):
            def called(*arguments):
                self.asked.append((function.__name__, duration(*arguments), len(pickle.dumps(arguments))))
                zero._stack.cache_clear()
                return function(*pickle.loads(pickle.dumps(arguments)))
            return called
        return decorate


@pytest.fixture
def lent():
    return Lent()


@pytest.fixture
def gpu(base, lent):
    return zero.ZeroGPU(base.model, lent)


def test_rankings_are_those_of_the_local_backend(engine, base, gpu, lent):
    other = Engine(base, engine.catalog, engine.adapter_folders, gpu)
    example = engine.catalog.examples("toybox", "quick")[0]
    for lam in (0.0, 0.4, 1.0, None):
        ours, theirs = engine.rank(example, lam).probabilities(), other.rank(example, lam).probabilities()
        assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= 1e-4
    many = other.rank_each(example, [i / 20 for i in range(21)])
    assert len(many) == 21 and [ask[0] for ask in lent.asked] == ["_score"] * 5
    assert lent.asked[-1][1] > lent.asked[0][1] == zero.START + zero.A_ROW
    assert max(size for *_, size in lent.asked) < 100_000  # λ and prompts, never the adapters' weights


def test_an_adapter_that_comes_later_is_read_by_the_call(engine, base, gpu):
    first = engine.mixture("toybox").stack
    packed = engine.pack(engine.mixture("toybox"), engine.catalog.examples("toybox", "quick")[0])
    gpu.score([Row(packed, [0.5, 0.5])], first, "sum")
    other = Engine(base, engine.catalog, engine.adapter_folders[::-1]).mixture("toybox").stack
    other.key = "another"
    for b in other.b:
        b.data.mul_(2)
    expected = Local(base.model).score([Row(packed, [0.5, 0.5])], other, "sum")[0]
    assert torch.allclose(gpu.score([Row(packed, [0.5, 0.5])], other, "sum")[0], expected, atol=1e-4)


def test_a_text_is_written_there(engine, base, gpu, lent):
    stack, how = engine.mixture("toybox").stack, Writing(5, 0, frozenset(), [3], 1.5)
    ours = list(Local(base.model).write([5, 6, 7], [0.3, 0.7], stack, "sum", how))
    assert list(gpu.write([5, 6, 7], [0.3, 0.7], stack, "sum", how)) == ours
    assert lent.asked[-1][:2] == ("_write", zero.START + 5 * zero.A_TOKEN)


@pytest.mark.parametrize(("value", "said"), [("true", True), ("1", True), ("", False), ("false", False)])
def test_a_space_says_whether_it_is_on_zerogpu(monkeypatch, value, said):
    monkeypatch.setenv("SPACES_ZERO_GPU", value)
    assert zero.is_zero() == said
