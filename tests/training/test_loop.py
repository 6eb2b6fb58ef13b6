"""Training: it learns, it survives a kill, it keeps the best."""

from dataclasses import replace

import pytest
import torch
from safetensors import SafetensorError

from molorec.errors import BadInput, MolorecError
from molorec.mixture import adapters
from molorec.mixture.card import SECOND_ROUND, card_text, read_card
from molorec.prompts import template
from molorec.ranking.scorer import log_probabilities
from molorec.ranking.trie import pack
from molorec.training import objectives
from molorec.training.dataset import ListSampler, WindowSampler, load_domain
from molorec.training.distributed import Workers
from molorec.training.loop import Recipe, Training
from tests.conftest import card_for, random_adapter


@pytest.fixture
def data(catalog, base):
    return load_domain(catalog, "toybox", base.prompter, smoothing=0.5)[0]


def training(base, data, folder, recipe, **more):
    return Training(base, [data], [1.0], template(recipe.template), recipe, folder,
                    card_for(base, "specific", "toybox"), **more)


def parameters(run):
    return torch.cat([p.detach().flatten() for p in run.stack.parameters()])


@pytest.mark.parametrize("style", ["open", "listed"])
@pytest.mark.parametrize("objective", ["listwise", "lm"])
def test_every_template_and_objective_trains(base, data, tmp_path, style, objective):
    recipe = Recipe(template=style, objective=objective, steps=8, rows=4, length=500 if style == "listed" else 120,
                    warmup=1, learning_rate=0.02)
    losses = [progress.loss for progress in training(base, data, tmp_path, recipe).run()]
    assert len(losses) == 8
    assert min(losses[4:]) < losses[0]


class Fixed:
    """The same few batches again and again: 32 examples to learn by heart."""

    def __init__(self, sampler, batches):
        self.batches = [sampler.batch(step) for step in range(batches)]

    def batch(self, step):
        return self.batches[step % len(self.batches)]


def test_32_examples_are_learned_by_heart(base, catalog, tmp_path):
    hard = load_domain(catalog, "toybox", base.prompter, smoothing=0.0)[0]
    recipe = Recipe(template="listed", steps=140, rows=8, length=420, learning_rate=0.02, warmup=5, cooldown=0.3)
    run = training(base, hard, tmp_path, recipe)
    run.stack.dropout = 0.0  # learning by heart, nothing else
    run.sampler = Fixed(run.sampler, 4)
    losses = [progress.loss for progress in run.run(checkpoint_every_seconds=1e9)]
    assert sum(losses[:4]) / 4 > 2
    assert sum(losses[-4:]) / 4 < 0.1


def test_a_killed_training_goes_on_to_the_same_result(base, data, tmp_path):
    recipe = Recipe(steps=6, rows=2, length=100, warmup=1)
    straight = training(base, data, tmp_path / "straight", recipe)
    for _ in straight.run():
        pass
    killed = training(base, data, tmp_path / "killed", recipe)
    for progress in killed.run(checkpoint_every_seconds=0):
        if progress.step == 3:
            break
    resumed = training(base, data, tmp_path / "killed", recipe)
    steps = [progress.step for progress in resumed.run()]
    assert steps == [4, 5, 6]
    assert torch.allclose(parameters(resumed), parameters(straight), atol=1e-6)


def test_two_trainings_do_not_write_into_one_folder(base, data, tmp_path):
    recipe = Recipe(steps=2, rows=1, length=80)
    running = training(base, data, tmp_path, recipe).run()
    next(running)
    with pytest.raises(BadInput, match="another training writes to .* now.*another --out"):
        next(training(base, data, tmp_path, recipe).run())
    assert [progress.step for progress in running] == [2]
    assert list(training(base, data, tmp_path, recipe).run()) == []


@pytest.mark.parametrize(("count", "rows"), [(1, 5), (2, 3), (8, 1)])
def test_by_default_every_process_has_a_part_of_a_batch(base, data, tmp_path, count, rows):
    assert training(base, data, tmp_path, Recipe(rows=5), workers=Workers(0, count)).micro_rows == rows


@pytest.mark.parametrize(("changes", "words"), [
    ({"validate_every": 0}, "--validate-every is 0"), ({"rows": 0}, "--rows is 0"), ({"seed": -1}, "--seed is -1"),
    ({"learning_rate": float("nan")}, "--learning-rate is nan"), ({"learning_rate": float("inf")}, "--learning-rate is inf"),
    ({"recent": 0}, "recent"), ({"warmup": -5}, "warmup"), ({"clip": float("inf")}, "--clip inf"),
    ({"smoothing": 7.0}, "--smoothing is 7"),
    ({"calibration": -1.0}, "--calibration is -1"), ({"cooldown": float("nan")}, "--cooldown is nan"),
    ({"background": 1.5}, "--background is 1.5"), ({"replay": -2.0}, "--replay is -2"), ({"clip": -1.0}, "--clip -1")])
def test_an_impossible_recipe_is_refused_by_name(changes, words):
    with pytest.raises(BadInput, match=words):
        Recipe(**changes)


@pytest.mark.parametrize("how", [{"micro_rows": 3}, {"micro_rows": 1, "checkpointing": True}])
def test_less_memory_for_the_same_result(base, data, tmp_path, how):
    recipe = Recipe(steps=4, rows=4, length=100, warmup=1, replay=0.5, calibration=0.5)
    found = []
    for name, options in (("whole", {}), ("parts", how)):
        run = training(base, data, tmp_path / name, recipe, **options)
        run.stack.dropout = 0.0  # it is drawn anew for each part
        losses = [progress.loss for progress in run.run()]
        found.append((losses, parameters(run)))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-4)
    assert torch.allclose(found[1][1], found[0][1], atol=1e-4)


@pytest.mark.parametrize(("how", "said"), [
    ({}, "give --micro-rows 2 or --checkpointing: .*from the last checkpoint"), ({"micro_rows": 1}, "give --checkpointing: "),
    ({"micro_rows": 1, "checkpointing": True}, "close other programs, or give a smaller --length")])
def test_a_full_memory_is_said_with_what_helps_and_the_run_goes_on(base, data, tmp_path, monkeypatch, how, said):
    run = training(base, data, tmp_path, Recipe(steps=2, rows=4, length=80), **how)

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with monkeypatch.context() as patch:
        patch.setattr(objectives, "loss", full)
        with pytest.raises(MolorecError, match=f"not enough memory for this; {said}"):
            next(run.run())
    assert not base.model.training
    assert [progress.step for progress in training(base, data, tmp_path, Recipe(steps=2, rows=4, length=80), micro_rows=1).run()
            ] == [1, 2]


def test_a_forward_has_at_least_one_row(base, data, tmp_path):
    with pytest.raises(BadInput, match="micro rows are 0"):
        training(base, data, tmp_path, Recipe(), micro_rows=0)


def test_another_recipe_does_not_go_on_from_a_checkpoint(base, data, tmp_path):
    for _ in training(base, data, tmp_path, Recipe(steps=1, rows=1, length=80)).run():
        pass
    with pytest.raises(BadInput, match="rows"):
        next(training(base, data, tmp_path, Recipe(steps=1, rows=2, length=80)).run())


def test_other_data_or_another_start_does_not_go_on_from_a_checkpoint(base, data, tmp_path):
    recipe = Recipe(steps=1, rows=1, length=80)
    for _ in training(base, data, tmp_path, recipe).run():
        pass
    started = training(base, data, tmp_path, recipe,
                       init_from=adapters.read(tmp_path / "last", base.shapes, base.sha256))
    with pytest.raises(BadInput, match="init-from"):
        next(started.run())
    corrected = [replace(data.items[0], title="As it should read"), *data.items[1:]]  # as many of everything as before
    with pytest.raises(BadInput, match="data differ"):
        next(training(base, replace(data, items=corrected), tmp_path, recipe).run())


def test_a_loss_that_is_no_number_ends_the_training_before_it_is_learned_from(base, data, tmp_path, monkeypatch):
    run = training(base, data, tmp_path, Recipe(steps=3, rows=1, length=80, learning_rate=1e30))
    with pytest.raises(MolorecError, match="loss of step . is (nan|inf).*smaller --learning-rate than 1e\\+30"):
        for _ in run.run():
            pass


def test_without_validation_lists_the_last_step_is_the_best_whatever_was_there(base, data, tmp_path):
    for steps in (1, 2):
        for _ in training(base, data, tmp_path, Recipe(steps=steps, rows=1, length=80)).run():
            pass
        (tmp_path / "checkpoint.safetensors").unlink()
        assert read_card(tmp_path / "best").steps == steps


def test_a_damaged_checkpoint_is_named_and_kept(base, data, tmp_path):
    file = tmp_path / "checkpoint.safetensors"
    file.write_bytes(b"half a fi")
    with pytest.raises(BadInput, match="damaged"):
        next(training(base, data, tmp_path, Recipe(steps=1, rows=1, length=80)).run())
    assert file.read_bytes() == b"half a fi"


@pytest.mark.parametrize("nth", [3, 4])  # each checkpoint writes its state, then the adapter
def test_a_checkpoint_that_finds_the_disk_full_leaves_the_last_whole_one(base, data, tmp_path, fail_on, nth):
    recipe = Recipe(steps=3, rows=1, length=80)
    error = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    fail_on(adapters, "save_file", nth, error)
    with pytest.raises(OSError, match="No space left on device.*room"):
        for _ in training(base, data, tmp_path, recipe).run(checkpoint_every_seconds=0):
            pass
    assert [progress.step for progress in training(base, data, tmp_path, recipe).run()] == ([2, 3] if nth == 3 else [3])


def test_the_best_checkpoint_is_kept_and_says_what_it_is(base, data, catalog, tmp_path):
    examples = catalog.examples("toybox", "quick", "validation", limit=6)
    recipe = Recipe(steps=12, rows=4, length=120, learning_rate=0.02, warmup=1, validate_every=3)
    run = training(base, data, tmp_path, recipe, validation=examples)
    seen = [progress.validation for progress in run.run() if progress.validation is not None]
    assert run.best <= min(seen)
    adapter = adapters.read(tmp_path / "best", base.shapes, base.sha256, base.prompter.fingerprint())
    assert adapter.card.role == "specific" and adapter.card.steps in (3, 6, 9, 12)
    assert "toybox" in (tmp_path / "best" / "README.md").read_text()


def test_a_warm_start_begins_where_the_other_ended(base, data, tmp_path):
    start = adapters.new(base.shapes, seed=7)
    run = training(base, data, tmp_path, Recipe(steps=1), init_from=start)
    path = run.stack.paths[0]
    assert torch.equal(run.stack.pair(path)[0], start.factors[path][0])


def test_a_start_is_given_back_as_it_came_and_must_be_of_the_same_kind(base, data, catalog, tmp_path):
    for _ in training(base, data, tmp_path / "one", Recipe(steps=2, rows=2, length=100, warmup=1)).run():
        pass
    start = adapters.read(tmp_path / "one" / "last", base.shapes, base.sha256)
    examples = catalog.examples("toybox", "quick", "validation", limit=2)
    again = training(base, data, tmp_path / "two", Recipe(steps=0), validation=examples, init_from=start)
    assert list(again.run()) == []
    best = adapters.read(tmp_path / "two" / "best", base.shapes, base.sha256)
    assert all(torch.equal(best.factors[path][1], b) for path, (_, b) in start.factors.items())
    with pytest.raises(BadInput, match="template 'open'"):
        training(base, data, tmp_path / "three", Recipe(template="listed"), init_from=start)


def test_what_goes_on_from_an_adapter_has_learned_from_whom_that_one_has(base, data, tmp_path):
    few = card_for(base, "specific", "toybox", share=0.1)

    def share(start):
        adapter = random_adapter(base.shapes, card=card_for(base, "specific", "toybox", share=start))
        return Training(base, [data], [1.0], template("open"), Recipe(steps=1), tmp_path, few, init_from=adapter).card.share

    assert (share(1.0), share(0.1)) == (1.0, 0.1)


def test_only_a_second_round_starts_from_a_general_adapter(base, data, tmp_path):
    general = random_adapter(base.shapes, card=card_for(base, "general", "general", data={"films": "9 users"}, steps=5))

    def started(role):
        return Training(base, [data], [1.0], template("open"), Recipe(steps=1), tmp_path / role, card_for(base, role, "toybox"),
                        init_from=general)

    with pytest.raises(BadInput, match="general adapter.*this training is for a specific one"):
        started("specific")
    adapter = started(SECOND_ROUND).adapter()
    assert (adapter.card.role, adapter.card.data, adapter.card.steps) == ("second-round", {"films": "9 users"}, 5)
    assert "it is no part of a mixture" in card_text(adapter.card)


def test_listwise_loss_is_the_rankings_own_log_probability(base, catalog):
    hard = load_domain(catalog, "toybox", base.prompter)[0]
    sampler = ListSampler([hard], [1.0], template("listed"), "listwise", rows=1, length=600, seed=3)
    batch = sampler.batch(0)
    with torch.no_grad():
        hidden = base.model.base_model(input_ids=batch.tokens, use_cache=False).last_hidden_state
        value = float(objectives.loss(batch, hidden, base.model.get_output_embeddings().weight))
    # the same list, read back from the row's tokens: 30 titles between the two headings, then the answer
    prompter = base.prompter
    row = batch.tokens[0].tolist()
    ask = prompter.encode(template("listed").before_answer)
    end = next(i for i in range(len(row)) if row[i : i + len(ask)] == ask) + len(ask)
    opening = prompter.encode(template("listed").before_candidates)
    begin = next(i for i in range(len(row)) if row[i : i + len(opening)] == opening) + len(opening)
    titles, title = [], []
    for token in row[begin : end - len(ask)]:
        title.append(token)
        if token == prompter.terminator:
            titles.append(tuple(title))
            title = []
    assert len(titles) == 30
    answer = next(i for i, t in enumerate(titles) if row[end : end + len(t)] == list(t))
    with torch.no_grad():
        logs = log_probabilities(base.model, [pack(row[:end], titles)])[0]
    assert abs(value + float(logs[answer])) < 1e-4


def test_a_step_always_has_the_same_batch_and_root_labels_are_distributions(data):
    sampler = WindowSampler([data], [1.0], template("open"), "listwise", rows=3, length=100, seed=0)
    one, two = sampler.batch(5), sampler.batch(5)
    assert torch.equal(one.tokens, two.tokens)
    _, _, offsets, targets = one.roots["toybox"]
    assert torch.allclose(targets.sum(1), torch.ones(len(targets)), atol=1e-5)
    assert not targets[offsets < -100].any()  # nothing that has been seen already


def test_titles_of_target_domains_are_never_learned(catalog, base):
    forms = {"amber song", "basin song"}
    data, removed = load_domain(catalog, "toybox", base.prompter, without_forms=forms)
    assert removed == 2
    assert not any(item.title.startswith(("Amber Song", "Basin Song")) for item in data.items)


def test_a_training_that_only_makes_it_worse_keeps_the_start(base, data, catalog, tmp_path):
    examples = catalog.examples("toybox", "quick", "validation", limit=3)
    run = training(base, data, tmp_path, Recipe(steps=2, rows=1, length=80, validate_every=1), validation=examples)
    worse = iter([1.0, 2.0, 3.0])
    run.validate = lambda: next(worse)
    assert [progress.best for progress in run.run()] == [1.0, 1.0]
    kept = adapters.read(tmp_path / "best", base.shapes)
    assert kept.card.steps == 0 and not any(b.any() for _, b in kept.factors.values())


def test_an_unknown_objective_is_refused_before_any_work(base, data, tmp_path):
    with pytest.raises(BadInput, match="hinge"):
        training(base, data, tmp_path / "out", Recipe(objective="hinge"))
    assert not (tmp_path / "out").exists()


def test_a_gradient_that_is_not_finite_does_not_reach_the_weights(base, data, tmp_path, monkeypatch):
    run = training(base, data, tmp_path, Recipe(steps=2, rows=2, length=100, warmup=1))
    before = parameters(run).clone()
    learn = run._learn

    def spoilt(part, place):
        value = learn(part, place)
        next(run.stack.parameters()).grad.fill_(float("inf"))
        return value

    monkeypatch.setattr(run, "_learn", spoilt)
    with pytest.raises(MolorecError, match="gradient of step 1 is not finite"):
        list(run.run(checkpoint_every_seconds=0))
    assert torch.equal(parameters(run), before)
