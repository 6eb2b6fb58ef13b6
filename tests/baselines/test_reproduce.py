"""Others' protocols: which lists they draw, and what is kept of a figure."""

import numpy as np
import pytest

from molorec.baselines import data as numbers
from molorec.baselines import reproduce
from molorec.baselines.models import KINDS
from molorec.catalog import prepare
from molorec.errors import BadFile, BadInput
from tests.conftest import source_data

FIGURE = reproduce.Figure("a paper", "toybox", 20, False, {"hr@10": 0.5, "mrr": 0.2}, {"dimension": 8})


@pytest.mark.parametrize("unseen", [False, True])
def test_lists_hold_the_event_from_the_end_and_negatives_that_the_paper_allows(catalog, unseen):
    whole = numbers.load(catalog, "toybox", keep_last=0, held_out=True)
    figure = reproduce.Figure("a paper", "toybox", 20, unseen, {}, {})
    for last in (1, 2):
        lists = reproduce.one_out(whole, last, figure)
        assert len(lists) == len(whole.sequences)
        for user, history, candidates in zip(lists.users, lists.histories, lists.candidates, strict=True):
            sequence = whole.sequences[user - 1].tolist()
            assert candidates[0] == sequence[-last] and history.tolist() == sequence[:-last]
            assert len(set(candidates)) == 21
            assert not set(candidates[1:]) & set(sequence if unseen else sequence[:-2])
    assert np.array_equal(reproduce.one_out(whole, 2, figure, 7).candidates, lists.candidates[:7])


def test_too_small_a_domain_is_refused(catalog):
    whole = numbers.load(catalog, "toybox", keep_last=0, held_out=True)
    with pytest.raises(BadInput, match="100"):
        reproduce.one_out(whole, 1, reproduce.Figure("a paper", "toybox", 100, True, {}, {}))


def test_a_figure_is_trained_for_measured_and_kept(catalog, tmp_path, monkeypatch):
    monkeypatch.setitem(reproduce.FIGURES, "sasrec", FIGURE)
    assert reproduce.stored("sasrec") is None
    epochs = []
    result = reproduce.reproduce(catalog, "sasrec", {"epochs": 2, "length": 8, "batch": 32}, tmp_path, epochs.append)
    assert result == reproduce.stored("sasrec")
    assert len(epochs) == 2 == result["epochs"] and result["n"] == 130
    assert result["recipe"]["dimension"] == 8 and result["theirs"] == FIGURE.metrics
    assert result["within"] == all(abs(result["ours"][m] - FIGURE.metrics[m]) <= 0.02 for m in FIGURE.metrics)
    source = source_data(seed=9)
    catalog.add_domain(prepare("toybox", source), noun="things", replace=True)
    with pytest.raises(BadInput, match=r"of another training \(data differ"):
        reproduce.reproduce(catalog, "sasrec", {"epochs": 3, "length": 8, "batch": 32}, tmp_path)
    reproduce._file("sasrec").write_text("{")
    with pytest.raises(BadFile, match="reproduced.json"):
        reproduce.stored("sasrec")


def test_a_baseline_without_a_figure_says_so(catalog, tmp_path):
    with pytest.raises(BadInput, match="vq-rec"):
        reproduce.reproduce(catalog, "vq-rec", {}, tmp_path)


def test_every_figure_is_of_a_baseline_and_can_be_measured():
    assert set(reproduce.FIGURES) <= set(KINDS)
    ranks = np.array([1, 2, 11])
    for figure in reproduce.FIGURES.values():
        assert all(0 < reproduce.measure(ranks, metric) < 1 and 0 < theirs < 1 for metric, theirs in figure.metrics.items())
