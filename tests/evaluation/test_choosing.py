"""Choosing a λ: what is looked at, and what is best."""

import numpy as np
import pytest

from molorec.errors import BadInput
from molorec.evaluation.choosing import grid_lam, sweep
from molorec.evaluation.metrics import rank_of


def test_a_sweep_says_entropy_and_gain_at_each_lam(engine):
    examples = engine.catalog.examples("toybox", "quick", limit=3)
    found = list(sweep(engine, examples, [0.0, 1.0]))
    for lam, entropy, gain in found:
        rankings = [engine.rank(example, lam) for example in examples]
        assert entropy == pytest.approx(np.mean([ranking.entropy for ranking in rankings]))
        assert gain == np.mean([rank_of(ranking.probabilities(), ranking.example.candidates.index(ranking.example.target)) == 1
                                for ranking in rankings])
    assert [lam for lam, _, _ in found] == [0.0, 1.0]


def test_grid_is_the_best_of_eleven_on_validation_lists_of_people_in_quick(engine, monkeypatch):
    seen = []
    monkeypatch.setattr("molorec.evaluation.choosing.sweep", lambda engine, examples, lams, rule, told: seen.extend(examples) or
                        [(lam, 0.0, 0.3 if lam == 0.7 else 0.2) for lam in lams])
    assert grid_lam(engine, "toybox") == 0.7
    assert seen == engine.catalog.examples("toybox", "quick", "validation")


def test_a_domain_without_validation_lists_has_no_grid(engine, monkeypatch):
    monkeypatch.setattr(engine.catalog, "examples", lambda *_: [])
    with pytest.raises(BadInput, match="no validation lists"):
        grid_lam(engine, "toybox")
