"""One loop for all: it survives a kill, stops in time, and keeps the best."""

import numpy as np
import pytest
import torch

from molorec.baselines.loop import Training, scores
from molorec.baselines.model import Baseline, Recipe
from molorec.baselines.sasrec import SasRec
from molorec.baselines.search import search
from molorec.errors import BadInput, MolorecError
from molorec.evaluation.metrics import rank_of

RECIPE = {"dimension": 8, "length": 8, "batch": 16, "rate": 1e-2, "negatives": 8}


def training(data, lists, folder, **changes):
    torch.manual_seed(0)
    return Training(SasRec(data, Recipe(**{**RECIPE, **changes})), lists, folder, k=1)


def finish(run, until=None):
    return [progress for progress in run.run(until)]


def test_resuming_gives_what_an_uninterrupted_run_gives(successors, questions, tmp_path):
    whole = training(successors, questions, tmp_path / "whole", epochs=4)
    finish(whole)
    finish(training(successors, questions, tmp_path / "parts", epochs=4), until=2)
    torch.manual_seed(99)
    resumed = training(successors, questions, tmp_path / "parts", epochs=4)
    assert len(finish(resumed)) == 2
    assert resumed.history == whole.history
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_finished_run_gives_its_best_model_again_without_training(successors, questions, tmp_path):
    first = training(successors, questions, tmp_path, epochs=3)
    finish(first)
    again = training(successors, questions, tmp_path, epochs=3)
    assert finish(again) == []
    assert np.array_equal(scores(again.best_model(), questions), scores(first.best_model(), questions))


def test_it_ends_once_no_epoch_was_better_for_long_enough(successors, questions, tmp_path, monkeypatch):
    run = training(successors, questions, tmp_path, epochs=50, patience=3)
    given = iter([0.1, 0.5, 0.4, 0.4, 0.3, 0.9])
    monkeypatch.setattr(run, "validate", lambda: next(given))
    marks = []
    for progress in run.run():
        marks.append(run.model.items.weight.detach().clone())
    assert run.history == [0.1, 0.5, 0.4, 0.4, 0.3] and run.best_epoch == 2
    assert torch.equal(run.best_model().items.weight, marks[1])


@pytest.mark.parametrize("changes", [{"rate": 0.5}, {"dropout": 0.9}])
def test_a_checkpoint_of_another_recipe_is_refused_by_name(changes, successors, questions, tmp_path):
    finish(training(successors, questions, tmp_path, epochs=1))
    with pytest.raises(BadInput, match=next(iter(changes))):
        finish(training(successors, questions, tmp_path, epochs=1, **changes))


def test_a_damaged_checkpoint_is_named(successors, questions, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(BadInput, match="damaged"):
        finish(training(successors, questions, tmp_path))


def test_a_full_disk_leaves_the_last_checkpoint(successors, questions, tmp_path, fail_on):
    finish(training(successors, questions, tmp_path, epochs=3), until=1)
    fail_on(torch, "save", 1, OSError("No space left on device"))
    with pytest.raises(MolorecError, match="No space"):
        finish(training(successors, questions, tmp_path, epochs=3))
    assert len(finish(training(successors, questions, tmp_path, epochs=3))) == 2


def test_a_loss_that_is_no_number_ends_it(successors, questions, tmp_path):
    run = training(successors, questions, tmp_path)
    with torch.no_grad():
        run.model.items.weight[3] = torch.nan
    with pytest.raises(MolorecError, match="--rate"):
        finish(run)
    with pytest.raises(MolorecError, match="no numbers"):
        scores(run.model, questions)


def test_ranks_are_those_of_the_protocol_ties_against_us():
    rng = np.random.default_rng(0)
    made, targets = rng.integers(0, 4, (50, 9)).astype(float), rng.integers(0, 9, 50)
    found = Baseline.ranks(None, made, targets).tolist()
    assert found == [rank_of(row.tolist(), target) for row, target in zip(made, targets, strict=True)]


def test_a_search_keeps_the_best_says_what_it_tried_and_goes_on_where_it_was(successors, questions, tmp_path):
    made = []

    def make(recipe, folder):
        made.append(recipe)
        torch.manual_seed(0)
        return Training(SasRec(successors, recipe), questions, folder, k=1)

    grid = ({"rate": 1e-5}, {}, {"rate": 1e-6})
    seen = []
    recipe = Recipe(**RECIPE, epochs=5, patience=9)
    winner, trials = search(make, recipe, grid, 2, tmp_path, lambda changes, progress: seen.append((changes, progress.epoch)))
    assert [trial.kept for trial in trials] == [False, True, False]
    assert [trial.changes for trial in trials] == list(grid)
    assert winner.model.recipe == recipe and winner.epoch == 5
    assert len(seen) == 3 * 2 + 3
    again, same = search(make, recipe, grid, 2, tmp_path, lambda *_: pytest.fail("trained again"))
    assert same == trials and again.history == winner.history
