"""Entropies prompt by prompt: kept, read again or refused, and the λ that so many prompts teach."""

import json

import numpy as np
import pytest

from molorec import cli, tuning
from molorec.errors import BadFile, BadInput
from molorec.evaluation import entropies
from molorec.evaluation.entropies import Entropies


def made(prompts=60, best=0.3, noise=0.3, **changes):
    """Curves whose mean is least at ``best``; single ones are off by ``noise`` or so."""
    rng = np.random.default_rng(0)
    at = tuning.nodes(9)
    curves = 2 + np.stack([(at - best - shift) ** 2 for shift in rng.normal(0, noise, prompts)])
    return Entropies(**{"domain": "toybox", "setting": "warm", "values": curves, "made_with": {"command": "molorec entropies"},
                        **changes})


def test_more_prompts_teach_lam_more_surely():
    found = made(100).by_count()
    assert [one.prompts for one in found] == [10, 25, 50, 100]
    assert found[-1].lam == pytest.approx(0.3, abs=0.08)
    assert all(one.low <= one.lam <= one.high for one in found)
    assert found[-1].high - found[-1].low < found[0].high - found[0].low
    with pytest.raises(BadInput, match="101 prompts"):
        made(100).learned(101)


def test_what_is_kept_is_read_again(tmp_path):
    path = entropies.save(made(12), tmp_path)
    assert path == tmp_path / "toybox" / "entropies-warm.json"
    assert entropies.load(tmp_path) == ([made(12)], [])
    assert len(path.read_text().splitlines()) == 13  # a prompt a line


@pytest.mark.parametrize("changes", [{"schema": 9}, {"values": [[1.0, 2.0]]}, {"values": [[float("nan")] * 9]},
                                     {"setting": "mild"}, {"domain": "../x"}, {"more": 1}])
def test_what_is_not_as_it_should_be_is_refused_in_words(tmp_path, changes):
    path = entropies.save(made(2), tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(BadFile, match="molorec entropies"):
        entropies.read(path)
    assert len(entropies.load(tmp_path)[1]) == 1


def test_measured_entropies_are_those_of_the_rankings(engine):
    found = entropies.measure(engine, "toybox", prompts=2)
    example = engine.catalog.examples("toybox", "tune", limit=2)[1]
    ranked = engine.rank_each(example, tuning.nodes(9).tolist())
    assert found.values[1] == pytest.approx([ranking.entropy for ranking in ranked], abs=1e-4)
    for wrong in ({"setting": "mild"}, {"prompts": 0}):
        with pytest.raises(BadInput):
            entropies.measure(engine, "toybox", **wrong)


def test_the_command_has_its_help(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["entropies", "--help"])
    assert ended.value.code == 0 and "nine λ" in capsys.readouterr().out
