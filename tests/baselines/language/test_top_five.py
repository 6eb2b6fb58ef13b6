"""The answer that is learned, and how one that was written is graded."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from molorec.baselines.language.windows import Window
from molorec.baselines.loop import scores
from molorec.catalog import Item


def test_the_answer_names_the_true_title_and_then_four_others_of_the_list(make):
    model = make("top-5")
    window, prompter = Window(3, model.data.sequences[2][:4]), model.backbone.prompter
    example = model.example(window, np.random.default_rng(0))
    text, title = prompter.decode(example.prompt), [item.title for item in model.data.items]
    history, listed = text.split("Candidates:\n")
    assert [line.strip() for line in history.splitlines()[1:]] == [title[item - 1] for item in window.items[:-1]]
    listed = [line.strip() for line in listed.splitlines()[:-1]]
    assert len(listed) == len(set(listed)) == 22 - 9 + 1
    assert set(listed) == {title[item - 1] for item in range(1, 23) if item not in model.data.sequences[2]} \
        | {title[window.items[-1] - 1]}
    answer = [part.strip() for part in prompter.decode(example.answer).split("||")]
    assert answer[0] == title[window.items[-1] - 1] and len(set(answer)) == 5 and set(answer) < set(listed)
    assert example.answer[-1] == prompter.terminator and example.answer.count(prompter.terminator) == 1
    true = prompter.decode(model.titles[window.items[-1]])
    places = {prompter.decode(model.example(window, np.random.default_rng(seed)).prompt).index(true) for seed in range(9)}
    assert len(places) > 3  # anywhere in the list


def test_the_place_in_the_answer_is_the_rank_and_who_is_not_named_is_last(make):
    model, candidates = make("top-5"), np.arange(1, 11)
    title = [item.title for item in model.data.items]
    text = f"{title[6]} || nonsense || {title[2]} || {title[6]} || {title[22]}"
    found = np.tile(model.graded(text, candidates).numpy(), (10, 1))
    # the seventh and the third of the list are named, with nonsense between them; title 23 is none of it, and once is enough
    assert model.ranks(found, np.arange(10)).tolist() == [10, 10, 3, 10, 10, 10, 1, 10, 10, 10]
    assert model.take_notes() == {"validity": pytest.approx(2 / 5), "written": 5}
    assert model.take_notes() == {}


def test_an_empty_answer_leaves_all_last_and_says_so(make):
    model = make("top-5")
    found = model.graded("", np.arange(1, 5)).numpy()
    assert model.ranks(found[None], np.array([2])).tolist() == [4]
    assert model.take_notes() == {"validity": 0.0, "written": 0}


def test_a_title_that_is_cut_in_the_prompt_is_found_as_it_stands_there(make, walks):
    long = " ".join(["Wandering"] * 40) + " (1999)"
    data = replace(walks, items=(Item("i1", long), *walks.items[1:]))
    model = make("top-5", data=data)
    shown = model.backbone.prompter.decode(model.titles[1][:-1])
    assert shown.strip() != long and long.startswith(shown.strip())
    assert model.graded(shown, np.arange(1, 5)).tolist() == [5, 0, 0, 0]
    assert model.graded(long, np.arange(1, 5)).tolist() == [0, 0, 0, 0]


def test_what_the_model_writes_is_what_is_graded(make, few, monkeypatch):
    model = make("top-5")
    wanted = iter(few.targets)
    by_tokens = {}
    for history, candidates in zip(few.histories, few.candidates, strict=True):
        by_tokens[tuple(model.prompt(history[-4:], candidates))] = candidates

    def write(base, prompts, most, stops):
        answers = []
        for prompt in prompts:
            candidates = by_tokens[tuple(prompt)]
            target = next(wanted)
            answers.append(model.answer([candidates[target], candidates[target - 1]])[:-1])
        return answers

    monkeypatch.setattr("molorec.baselines.language.top_five.write", write)
    assert model.ranks(scores(model, few), few.targets).tolist() == [1] * 6
    assert model.take_notes() == {"validity": 1.0, "written": 12}


def test_it_learns_to_write_titles_of_the_list(make, few):
    torch.manual_seed(0)
    model = make("top-5", length=2, rate=1e-2)
    example = model.example(Window(1, model.data.sequences[0][:3]), np.random.default_rng(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for _ in range(40):
        optimizer.zero_grad()
        model.loss([example]).backward()
        optimizer.step()
    listed = example.prompt[len(model.opening) :]
    candidates = np.array([item for item in range(1, 23) if item not in model.data.sequences[0] or item == 3])
    order = sorted(candidates, key=lambda item: next(i for i in range(len(listed))
                                                      if tuple(listed[i : i + len(model.titles[item])]) == model.titles[item]))
    with torch.inference_mode():
        found = model.eval().scores(np.zeros(1), [model.data.sequences[0][:2]], np.array([order]))[0].numpy()
    assert model.ranks(found[None], np.array([order.index(3)])).tolist() == [1]
    assert model.take_notes() == {"validity": 1.0, "written": 5}
