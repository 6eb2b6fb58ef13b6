"""Writing several answers at once gives what writing each alone gives, and any text is read."""

import pytest
import torch

from molorec.baselines.language.writing import named, write

TITLES = ["Amber Song (1950)", "Basin || Song (1951)", "Cedar Song (1952)"]


@pytest.mark.parametrize("text, found", [
    ("", []), (" ", []), ("||", []), (" || || ", []),
    ("Cedar Song (1952)", [2]), (" Cedar Song (1952) ||Amber Song (1950) ", [2, 0]),
    ("Cedar Song || amber song (1950) || nothing of this kind", [None, None, None]),
    ("Cedar Song (1952) || Cedar Song (1952)", [2, 2]),
    ("Basin || Song (1951) || Amber Song (1950)", [1, 0]), ("Basin||Song (1951)", [1]), ("Basin || Amber Song (1950)", [None, 0]),
    ("Amber Song (1950) Cedar Song (1952)", [None]), ("Amber Song (1950) ||| Cedar Song (1952)", [0, None]),
    ("x || " * 9, [None] * 5), ("x || x || x || x || x || Amber Song (1950)", [None] * 5)])
def test_a_text_names(text, found):
    assert named(text, TITLES) == found


def test_of_titles_that_are_alike_the_first_is_named():
    assert named("A || B", ["B", "A", "A"]) == [1, 0]


def test_without_titles_nothing_is_named():
    assert named("A", []) == [None]


def slowly(model, prompt, most, stops):
    written = []
    while len(written) < most:
        token = int(model(input_ids=torch.tensor([[*prompt, *written]])).logits[0, -1].argmax())
        if token in stops:
            break
        written.append(token)
    return written


def test_many_are_written_as_each_alone(make, base):
    model, prompts = make("top-5", strength=0.3), [[20, 21, 22, 23, 24, 25, 26], [30, 31], [40, 41, 42, 43]]
    with model.stack.at([1.0]), torch.inference_mode():
        alone = [slowly(base.model, prompt, 12, ()) for prompt in prompts]
        assert write(base.model, prompts, 12, ()) == alone
        assert len({tuple(answer) for answer in alone}) == 3
        # one ends where its own stop comes, the others go on
        stops = {alone[0][4]}
        cut = [slowly(base.model, prompt, 12, stops) for prompt in prompts]
        assert len(cut[0]) <= 4 and write(base.model, prompts, 12, stops) == cut


def test_when_all_have_ended_no_token_more_is_computed(make, base, monkeypatch):
    calls, forward = [], base.model.base_model.forward
    monkeypatch.setattr(base.model.base_model, "forward", lambda *args, **named: calls.append(1) or forward(*args, **named))
    assert write(base.model, [[20, 21]], 50, range(len(base.prompter.tokenizer))) == [[]]
    assert len(calls) == 1
