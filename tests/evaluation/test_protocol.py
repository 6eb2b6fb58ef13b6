"""The evaluation's table: every system on the same lists, paired by user, and no title kept."""

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest

from molorec.errors import BadInput
from molorec.evaluation import protocol
from molorec.evaluation.metrics import rank_of
from molorec.evaluation.protocol import SYSTEMS, Evaluation, Row, SystemResult, evaluate, sweep, tuned_lam, write_scores
from molorec.mixture.lam import to_saved

USERS = 8


@pytest.fixture
def evaluation(engine, monkeypatch):
    monkeypatch.setattr(protocol, "tuned_lam", lambda *_: 0.3)
    return evaluate(engine, "toybox", limit=USERS)


def test_every_system_ranks_every_user_at_its_own_lam(engine, evaluation):
    assert [result.name for result in evaluation.systems] == list(SYSTEMS)
    assert [result.lam for result in evaluation.systems] == [None, None, 1.0, 0.0, 0.5, 0.3]
    places = [engine.catalog.position("toybox", user) for user in engine.catalog.users("toybox", "quick", limit=USERS)]
    assert all([row.user for row in result.rows] == places for result in evaluation.systems)
    assert places[0] >= 100  # the first hundred are for tuning
    assert evaluation.lists_sha256 == engine.catalog.lists_sha256("toybox", "warm", "quick")


def test_a_row_is_what_the_engine_answers(engine, evaluation):
    for user, example in enumerate(engine.catalog.examples("toybox", "quick", limit=USERS)):
        for name, lam in (("base", None), ("specific", 0.0), ("mixed", 0.3)):
            ranking = engine.rank(example, lam)
            row = evaluation.system(name).rows[user]
            assert row.rank == rank_of(ranking.probabilities(), example.candidates.index(example.target))
            assert row.probability == ranking.probabilities()[example.candidates.index(example.target)]


def test_popularity_ranks_by_count_with_ties_against_it(engine, evaluation):
    counts = engine.catalog.popularity("toybox")
    examples = engine.catalog.examples("toybox", "quick", limit=USERS)
    for row, example in zip(evaluation.system("popularity").rows, examples, strict=True):
        mine = counts[example.target.item_id]
        assert row.rank == sum(counts[candidate.item_id] >= mine for candidate in example.candidates)


def test_rows_keep_no_title_and_no_id(engine, evaluation):
    text = json.dumps([asdict(row) for result in evaluation.systems for row in result.rows])
    assert set(json.loads(text)[0]) == {"domain", "user", "system", "rank", "probability"}
    for item in engine.catalog.items("toybox"):
        assert item.title not in text and f'"{item.item_id}"' not in text


def test_comparisons_are_paired_and_antisymmetric(evaluation):
    for one in evaluation.systems:
        assert one.low <= one.ndcg(1) <= one.high
        assert set(one.against) == set(SYSTEMS) - {one.name}
        for other in evaluation.systems:
            if other is not one:
                mean, low, high = one.against[other.name]
                assert mean == pytest.approx(one.ndcg(1) - other.ndcg(1))
                assert (-mean, -high, -low) == pytest.approx(other.against[one.name])


def test_moves_is_the_share_of_users_whose_first_title_changes(engine, evaluation):
    examples = engine.catalog.examples("toybox", "quick", limit=USERS)
    firsts = [{engine.rank(example, lam).items[0].item for lam in (0.0, 0.5, 1.0)} for example in examples]
    moved = [len(first) > 1 for first in firsts]
    assert evaluation.moves == np.mean(moved)


def test_the_people_that_lam_is_tuned_on_are_never_evaluated(engine):
    with pytest.raises(BadInput, match="tune"):
        evaluate(engine, "toybox", split="tune")


@pytest.mark.parametrize("changes", [
    {"systems": ["oracle"]}, {"split": "half"}, {"split": "full"}, {"setting": "cold"},
])
def test_what_is_not_there_is_refused(engine, changes):
    with pytest.raises(BadInput):
        evaluate(engine, "toybox", **{"limit": 2, "lam": 0.5, **changes})


def test_one_adapter_leaves_nothing_to_mix(engine, adapter_folder):
    shutil.rmtree(adapter_folder / "toybox")
    evaluation = evaluate(engine, "toybox", limit=2)
    assert [result.name for result in evaluation.systems] == ["popularity", "base", "general"]
    assert evaluation.moves is None


def test_mixed_is_at_the_lam_of_tuning(engine):
    assert evaluate(engine, "toybox", limit=1, systems=["mixed"]).system("mixed").lam == tuned_lam(engine, "toybox")


def test_a_given_lam_is_not_called_mixed(engine):
    found = evaluate(engine, "toybox", limit=2, lam=0.3)
    assert [result.name for result in found.systems] == [*SYSTEMS[:-1], "chosen"]
    assert found.system("chosen").lam == 0.3
    assert "given" in found.verdict and "mixed was not measured" in found.shortcomings


@pytest.mark.parametrize(("lam", "above_general", "above_specific", "words"), [
    (0.5, 0.02, 0.01, "mixing helps"), (0.5, 0.02, -0.01, "not shown"), (0.5, 0.0, 0.01, "not shown"),
    (0.99, 0.02, 0.01, "prefers the general"), (0.0, 0.02, 0.01, "prefers the specific"),
])
def test_mixing_helps_only_inside_and_above_both_adapters(lam, above_general, above_specific, words):
    against = {"general": (0.03, above_general, 0.05), "specific": (0.03, above_specific, 0.05)}
    mixed = SystemResult("mixed", lam, [Row("toybox", 0, "mixed", 1, 0.5)], against=against)
    assert words in Evaluation("toybox", "quick", "warm", "", [mixed], None).verdict


@pytest.mark.parametrize(("name", "against", "moves", "words"), [
    ("specific", {"popularity": (0.05, 0.0, 0.1)}, 0.5, "specific is not surely above popularity"),
    ("mixed", {"popularity": (0.05, -0.01, 0.1)}, 0.5, "mixed is not surely above popularity"),
    ("general", {"base": (0.0, -0.1, 0.1)}, 0.5, "general adapter is not above the bare base"),
    (None, {}, 0.2, "hardly changes"),
])
def test_a_pair_is_weak_for_every_reason_it_has(name, against, moves, words):
    good = {"specific": {"popularity": (0.1, 0.01, 0.2)}, "mixed": {"popularity": (0.1, 0.01, 0.2)},
            "general": {"base": (0.02, -0.01, 0.1)}}

    def shortcomings(found, moved):
        results = [SystemResult(system, 0.5, [], against=values) for system, values in found.items()]
        return Evaluation("toybox", "quick", "warm", "", results, moved).shortcomings

    assert shortcomings(good, 0.5) == []
    only, = shortcomings(good | ({name: against} if name else {}), moves)
    assert words in only


def test_scores_are_kept_on_the_cards(engine, evaluation):
    write_scores(evaluation, engine.mixture("toybox").adapters)
    engine.forget("toybox")
    general, specific = (adapter.card for adapter in engine.mixture("toybox").adapters)
    assert general.scores["ndcg@1"] == pytest.approx(evaluation.system("general").ndcg(1), abs=1e-4)
    assert specific.scores["ndcg@1"] == pytest.approx(evaluation.system("specific").ndcg(1), abs=1e-4)
    assert (general.tuned_lam, specific.tuned_lam) == (None, to_saved(0.3))
    assert engine.mixture("toybox").weak == tuple(evaluation.shortcomings)


def test_progress_is_told_user_by_user(engine):
    told = []
    evaluate(engine, "toybox", limit=3, systems=["popularity"], on_user=lambda *counts: told.append(counts))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_sweep_says_entropy_and_gain_at_each_lam(engine):
    examples = engine.catalog.examples("toybox", "quick", limit=3)
    found = list(sweep(engine, examples, [0.0, 1.0]))
    for lam, entropy, gain in found:
        rankings = [engine.rank(example, lam) for example in examples]
        assert entropy == pytest.approx(np.mean([ranking.entropy for ranking in rankings]))
        assert gain == np.mean([rank_of(ranking.probabilities(), ranking.example.candidates.index(ranking.example.target)) == 1
                                for ranking in rankings])
    assert [lam for lam, _, _ in found] == [0.0, 1.0]
