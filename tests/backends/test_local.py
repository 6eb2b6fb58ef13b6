"""Rows that wait share a pass, and nobody notices."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import pytest
import torch

from molorec.backends import Row, Writing, local
from molorec.backends.local import Local
from molorec.mixture.lam import Lam
from molorec.ranking.scorer import log_probabilities
from tests.conftest import pico_backbone

SAME = 1e-4


@pytest.fixture
def parts(engine):
    """The mixture of "toybox" and some of its prompts, packed."""
    mixture = engine.mixture("toybox")
    return mixture, [engine.pack(mixture, engine.catalog.example("toybox", user))
                     for user in engine.catalog.users("toybox", "quick", limit=6)]


@pytest.fixture
def passes(monkeypatch):
    """The rows of every pass so far."""
    seen = []
    monkeypatch.setattr(local, "log_probabilities",
                        lambda model, packed: seen.append(list(packed)) or log_probabilities(model, packed))
    return seen


@contextmanager
def held(working, calls):
    """Lets no pass begin, until so many calls wait and the block ends."""
    go_on = threading.Event()
    working._worker.submit(go_on.wait, 10)
    try:
        yield
        for _ in range(500):
            if len(working._calls) == calls:
                return
            time.sleep(0.01)
        pytest.fail(f"{len(working._calls)} calls wait, not {calls}")
    finally:
        go_on.set()


def alone(base, mixture, row, rule="sum"):
    with torch.inference_mode(), mixture.stack.at(row.weights, rule):
        return log_probabilities(base.model, [row.packed])[0].exp()


def test_rows_of_different_callers_share_a_pass_and_get_their_own_answers(base, parts, passes):
    mixture, packed = parts
    working, rows = Local(base.model), [Row(packed[i], [i / 5, 1 - i / 5]) for i in range(5)]
    with ThreadPoolExecutor(5) as visitors:
        with held(working, 5):
            answers = [visitors.submit(working.score, [row], mixture.stack, "sum") for row in rows]
        for row, answer in zip(rows, answers, strict=True):
            assert (answer.result()[0].exp() - alone(base, mixture, row)).abs().max().item() <= SAME
    assert [len(batch) for batch in passes] == [5]


def test_rows_of_one_call_fill_its_passes_in_whatever_order_they_come(base, parts, passes):
    mixture, packed = parts
    rows = [Row(of, weights) for of in packed for weights in (None, [0.2, 0.8], [0.9, 0.1])]
    answers = Local(base.model, rows=6).score(rows, mixture.stack, "sum")
    assert [len(batch) for batch in passes] == [6, 6, 6]
    assert [len(entry.tokens) for batch in passes[:2] for entry in batch] == sorted(2 * [len(of.tokens) for of in packed])
    for row, logs in zip(rows, answers, strict=True):
        with torch.inference_mode(), nullcontext() if row.weights is None else mixture.stack.at(row.weights, "sum"):
            expected = log_probabilities(base.model, [row.packed])[0]
        assert (logs.exp() - expected.exp()).abs().max().item() <= SAME


def test_rows_of_different_granularities_share_a_pass(base, parts, passes):
    mixture, packed = parts
    groups = mixture.stack.groups("module")
    by_layer = Lam("layer", {layer: [0.9, 0.1] if layer == "0" else [0.2, 0.8] for layer in mixture.stack.groups("layer")})
    by_module = Lam("module", {path: [i / len(groups), 1 - i / len(groups)] for i, path in enumerate(groups)})
    working, rows = Local(base.model), [Row(of, lam) for of, lam in zip(packed, [[0.5, 0.5], by_layer, by_module], strict=False)]
    answers = working.score(rows, mixture.stack, "sum")
    for row, answer in zip(rows, answers, strict=True):
        assert (answer.exp() - alone(base, mixture, row)).abs().max().item() <= SAME
    assert [len(batch) for batch in passes] == [3]


def test_nobody_waits_for_the_whole_of_a_long_run(base, parts, passes):
    mixture, packed = parts
    working, long = Local(base.model, rows=2), [Row(packed[0], [i / 9, 1 - i / 9]) for i in range(10)]
    with ThreadPoolExecutor(2) as visitors:
        with held(working, 2):
            run = visitors.submit(working.score, long, mixture.stack, "sum")
            while not working._calls:
                time.sleep(0.01)
            short = visitors.submit(working.score, [Row(packed[1], [0.5, 0.5])], mixture.stack, "sum")
        assert len(run.result()) == 10 and len(short.result()) == 1
    assert packed[1] in passes[0] and len(passes) == 6


@pytest.mark.parametrize("change", ["rule", "stack", "base alone", "length"])
def test_what_cannot_be_mixed_in_one_pass_is_not(base, parts, passes, engine, change):
    mixture, packed = parts
    working, row = Local(base.model), Row(packed[0], [0.3, 0.7])
    other, stack, rule = Row(packed[1], [0.5, 0.5]), mixture.stack, "sum"
    if change == "rule":
        rule = "product"
    elif change == "stack":
        engine.forget("toybox")
        stack = engine.mixture("toybox").stack
    elif change == "base alone":
        other = Row(packed[1], None)
    else:
        example = engine.catalog.example("toybox", engine.catalog.users("toybox", "quick", limit=1)[0])
        other = Row(engine.pack(mixture, replace(example, history=example.history[-1:])), [0.5, 0.5])
    with ThreadPoolExecutor(2) as visitors:
        with held(working, 2):
            answers = [visitors.submit(working.score, [row], mixture.stack, "sum"),
                       visitors.submit(working.score, [other], stack, rule)]
        assert all(len(answer.result()) == 1 for answer in answers)
    assert [len(batch) for batch in passes] == [1, 1]


def test_a_row_that_fails_fails_alone(base, parts, monkeypatch):
    mixture, packed = parts

    def too_large(model, batch):
        if packed[2] in batch:
            raise MemoryError("can't allocate memory")
        return log_probabilities(model, batch)

    monkeypatch.setattr(local, "log_probabilities", too_large)
    working, rows = Local(base.model), [Row(packed[i], [0.5, 0.5]) for i in range(4)]
    with ThreadPoolExecutor(4) as visitors:
        with held(working, 4):
            answers = [visitors.submit(working.score, [row], mixture.stack, "sum") for row in rows]
        assert isinstance(answers[2].exception(), MemoryError)
        for i in (0, 1, 3):
            assert (answers[i].result()[0].exp() - alone(base, mixture, rows[i])).abs().max().item() <= SAME


def test_a_full_memory_halves_the_batch_and_says_so(base, parts, monkeypatch, caplog):
    mixture, packed = parts
    sizes = []

    def room_for_two(model, batch):
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return log_probabilities(model, batch)

    monkeypatch.setattr(local, "log_probabilities", room_for_two)
    working, rows = Local(base.model, rows=5), [Row(packed[i], [i / 5, 1 - i / 5]) for i in range(5)]
    answers = working.score(rows, mixture.stack, "sum")
    for row, answer in zip(rows, answers, strict=True):
        assert (answer.exp() - alone(base, mixture, row)).abs().max().item() <= SAME
    assert sizes == [5, 2, 2, 1] and working.rows == 2
    assert "not enough memory for 5 prompts at once; from now on 2" in caplog.text
    sizes.clear()
    working.score(rows, mixture.stack, "sum")
    assert sizes == [2, 2, 1]


def test_a_call_that_fails_leaves_nothing_waiting(base, parts, monkeypatch):
    mixture, packed = parts
    monkeypatch.setattr(local, "log_probabilities", lambda *_: 1 / 0)
    working = Local(base.model)
    with pytest.raises(ZeroDivisionError):
        working.score([Row(packed[0], [0.5, 0.5])] * 9, mixture.stack, "sum")
    assert not working._calls


def test_everything_runs_on_one_thread_without_gradients(parts, monkeypatch):
    mixture, packed = parts
    base = pico_backbone()  # its own: passes of other tests may still be under way
    working, seen, forward = Local(base.model), [], base.model.base_model.forward
    monkeypatch.setattr(base.model.base_model, "forward", lambda *arguments, **named: seen.append(
        (threading.get_ident(), torch.is_inference_mode_enabled())) or forward(*arguments, **named))
    with ThreadPoolExecutor(4) as visitors:
        list(visitors.map(lambda entry: working.score([Row(entry, [0.5, 0.5])], mixture.stack, "sum"), packed))
        list(visitors.map(lambda entry: working.next_token(entry.tokens, None, [0.5, 0.5], mixture.stack, "sum"), packed))
    assert len(set(seen)) == 1 and threading.get_ident() not in {thread for thread, _ in seen} and seen[0][1]
    assert working.score([], mixture.stack, "sum") == []


def test_what_is_written_is_the_likeliest_within_the_rules(base, parts):
    mixture, packed = parts
    working, tokens = Local(base.model), packed[0].tokens[:8]
    how = Writing(6, 3, frozenset({1}), [5, 6, 7], 1.5)
    texts = list(working.write(tokens, [0.3, 0.7], mixture.stack, "sum", how))
    assert [len(text) for text in texts] == list(range(1, len(texts) + 1))
    written: list[int] = []
    for token in texts[-1]:  # without a cache, one whole prompt a token
        with torch.inference_mode(), mixture.stack.at([0.3, 0.7], "sum"):
            logits = base.model(input_ids=torch.tensor([[*tokens, *written]])).logits[0, -1]
        logits = logits.float().clone()
        logits[[5, 6, 7]] = -torch.inf
        if len(written) < 3:
            logits[1] = -torch.inf
        logits[list(set(written))] -= 1.5
        assert int(logits.argmax()) == token
        written.append(token)
    assert not {1, 5, 6, 7} & set(written)
