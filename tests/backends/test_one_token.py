"""One-token requests give what one packed forward pass gives."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from molorec.backends import Row, Writing, one_token
from molorec.backends.local import Local
from molorec.backends.one_token import OneToken, questions
from molorec.engine import Engine
from molorec.errors import BadInput
from molorec.mixture.lam import rounded
from molorec.ranking.trie import pack

SAME = 1e-4


class Asked(OneToken):
    """Answers from the pico model, one token at a time, as a server would."""

    def __init__(self, model):
        super().__init__()
        self.model, self.asked, self.released = model, [], 0

    async def ask(self, tokens, children, adapter):
        self.asked.append((tuple(tokens), tuple(children)))
        assert len(children) <= one_token.MOST
        logs = self._logits(tokens, adapter).log_softmax(-1)
        return {child: float(logs[child]) for child in children}

    async def stream(self, tokens, adapter, how):
        written = []
        while len(written) < how.most:
            await asyncio.sleep(0.01)
            written.append(int(self._logits([*tokens, *written], adapter).argmax()))
            yield list(written)

    async def adapter(self, weights, stack, rule):
        if weights is not None and rounded(weights)[0] == 0.123:
            raise BadInput("no such mixture")

        @asynccontextmanager
        async def held():
            try:
                yield None if weights is None else (stack, rounded(weights), rule)
            finally:
                self.released += 1

        return held()

    def _logits(self, tokens, adapter):
        with torch.inference_mode():
            if adapter is None:
                return self.model(input_ids=torch.tensor([tokens])).logits[0, -1].float()
            stack, weights, rule = adapter
            with stack.at(weights, rule):
                return self.model(input_ids=torch.tensor([tokens])).logits[0, -1].float()


@pytest.fixture
def asked(base):
    return Asked(base.model)


@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0, None])
@pytest.mark.parametrize("most", [128, 3])
def test_rankings_are_those_of_the_local_backend(engine, asked, base, lam, most, monkeypatch):
    monkeypatch.setattr(one_token, "MOST", most)
    other = Engine(base, engine.catalog, engine.adapter_folders, asked)
    for example in engine.catalog.examples("toybox", "quick", limit=2):
        ours, theirs = engine.rank(example, lam), other.rank(example, lam)
        assert max(abs(a - b) for a, b in zip(ours.probabilities(), theirs.probabilities(), strict=True)) <= SAME
        assert theirs.entropy == pytest.approx(ours.entropy, abs=SAME)
    assert asked.released == 2


def test_many_lams_at_once_are_each_their_own(engine, asked):
    mixture = engine.mixture("toybox")
    packed = engine.pack(mixture, engine.catalog.examples("toybox", "quick")[0])
    rows = [Row(packed, [lam, 1 - lam]) for lam in (0.0, 0.25, 0.5, 1.0)]
    found = asked.score(rows, mixture.stack, "sum")
    expected = Local(engine.base.model).score(rows, mixture.stack, "sum")
    assert all((one.exp() - other.exp()).abs().max() <= SAME for one, other in zip(found, expected, strict=True))


@given(st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=4).map(lambda tokens: [*tokens, 0]), min_size=1, max_size=8,
                unique_by=tuple))
def test_every_branching_node_is_asked_for_behind_the_tokens_that_lead_there(candidates):
    packed = pack([9, 8], candidates)
    found = questions(packed)
    assert len(found) == len(packed.nodes)
    for tokens, children in found:
        assert tokens[:2] == [9, 8]
        beginning = tokens[2:]
        below = {tuple(candidate[: len(beginning) + 1]) for candidate in candidates if candidate[: len(beginning)] == beginning}
        assert {(*beginning, child) for child in children} == below and len(below) > 1


def test_what_is_wrong_with_a_request_reaches_who_asked_and_others_go_on(engine, asked):
    mixture = engine.mixture("toybox")
    packed = engine.pack(mixture, engine.catalog.examples("toybox", "quick")[0])
    how = Writing(3, 0, frozenset(), [], 0.0)
    with pytest.raises(BadInput, match="no such mixture"):
        asked.score([Row(packed, [0.5, 0.5]), Row(packed, [0.123, 0.877])], mixture.stack, "sum")
    with pytest.raises(BadInput, match="no such mixture"):
        list(asked.write([5, 6], [0.123, 0.877], mixture.stack, "sum", how))
    assert len(asked.score([Row(packed, [0.5, 0.5])], mixture.stack, "sum")[0]) == len(packed.paths)


def test_a_text_is_streamed_and_closing_it_ends_the_request(engine, asked):
    mixture, how = engine.mixture("toybox"), Writing(1000, 0, frozenset(), [], 0.0)
    texts = asked.write([5, 6, 7], [0.5, 0.5], mixture.stack, "sum", how)
    assert [len(next(texts)) for _ in range(3)] == [1, 2, 3]
    texts.close()
    done = threading.Event()
    for _ in range(200):
        if asked.released:
            return
        done.wait(0.02)
    pytest.fail("the request goes on")


def test_lam_counts_to_the_ten_thousandth():
    assert rounded([0.14644660940672624, 0.8535533905932737]) == (0.1464, 0.8536)
    assert rounded([1.0]) == (1.0,)
