"""Every system on the same lists: who is measured, at which λ, and no title kept."""

import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from molorec.backends.local import Local
from molorec.engine import Engine
from molorec.errors import BadInput
from molorec.evaluation import protocol
from molorec.evaluation.choosing import POINTS
from molorec.evaluation.metrics import ndcg, rank_of
from molorec.evaluation.plan import make_plan
from molorec.evaluation.protocol import evaluate
from molorec.evaluation.table import SYSTEMS
from molorec.mixture import adapters
from molorec.mixture.card import ALONE, update_card
from tests.conftest import card_for, random_adapter
from tests.evaluation.conftest import USERS


def test_every_system_ranks_every_user_at_its_own_lam(engine, evaluation):
    assert [result.name for result in evaluation.systems] == list(SYSTEMS)
    assert [result.lam for result in evaluation.systems] == [None, None, 1.0, 0.0, 0.5, 0.3]
    places = [engine.catalog.position("toybox", user) for user in engine.catalog.users("toybox", "quick", limit=USERS)]
    assert all(list(result.rows.users) == places for result in evaluation.systems)
    assert places[0] >= 100  # the first hundred are for tuning
    assert evaluation.lists_sha256 == engine.catalog.lists_sha256("toybox", "warm", "quick")


def test_a_row_is_what_the_engine_answers(engine, evaluation):
    for user, example in enumerate(engine.catalog.examples("toybox", "quick", limit=USERS)):
        for name, lam in (("base", None), ("specific", 0.0), ("mixed", 0.3)):
            scores, target = engine.rank(example, lam).probabilities(), example.candidates.index(example.target)
            rows = evaluation.system(name).rows
            assert (rows.ranks[user], rows.positions[user]) == (rank_of(scores, target), target)
            assert rows.probabilities[user] == scores[target] and scores[rows.firsts[user]] == max(scores)


def test_popularity_ranks_by_count_with_ties_against_it(engine, evaluation):
    counts = engine.catalog.popularity("toybox")
    examples = engine.catalog.examples("toybox", "quick", limit=USERS)
    for rank, example in zip(evaluation.system("popularity").ranks, examples, strict=True):
        mine = counts[example.target.item_id]
        assert rank == sum(counts[candidate.item_id] >= mine for candidate in example.candidates)


def test_rows_keep_no_title_and_no_id(engine, evaluation):
    text = json.dumps([asdict(result.rows) for result in evaluation.systems])
    for item in engine.catalog.items("toybox"):
        assert item.title not in text and f'"{item.item_id}"' not in text


def test_one_adapter_leaves_nothing_to_mix(engine, adapter_folder):
    shutil.rmtree(adapter_folder / "toybox")
    evaluation = evaluate(engine, "toybox", limit=2)
    assert [result.name for result in evaluation.systems] == ["popularity", "base", "general"]
    assert evaluation.moves is None and "one adapter" in evaluation.verdict


@pytest.mark.parametrize("role", ALONE)
def test_what_is_no_part_of_a_mixture_is_measured_under_its_own_name(engine, adapter_folder, role):
    shutil.rmtree(adapter_folder / "general")
    update_card(adapter_folder / "toybox", role=role)
    found = evaluate(engine, "toybox", limit=2)
    assert [result.name for result in found.systems] == ["popularity", "base", role]
    assert found.system(role).lam is None
    assert found.system(role).ranks != found.system("base").ranks


def test_a_given_lam_is_not_called_mixed(engine):
    found = evaluate(engine, "toybox", limit=2, lam=0.3)
    assert [result.name for result in found.systems] == [*SYSTEMS[:-1], "chosen"]
    assert found.system("chosen").lam == 0.3
    assert "given" in found.verdict and "mixed was not measured" in found.shortcomings


def test_a_limit_that_cuts_nothing_is_none(engine):
    found = evaluate(engine, "toybox", limit=10_000, systems=["popularity"])
    assert found.limit is None and found.systems[0].rows.test == "warm-quick"


def test_progress_is_told_user_by_user(engine):
    told = []
    evaluate(engine, "toybox", limit=3, systems=["popularity"], on_user=lambda *counts: told.append(counts))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_the_oracle_takes_for_each_user_a_lam_chosen_without_them(engine):
    found = evaluate(engine, "toybox", limit=USERS, systems=["oracle"]).system("oracle")
    examples = engine.catalog.examples("toybox", "quick", limit=USERS)
    ranks = np.array([[rank_of(ranking.probabilities(), example.candidates.index(example.target))
                       for ranking in engine.rank_each(example, POINTS)] for example in examples])
    for half in (0, 1):
        best = ndcg(ranks[1 - half :: 2], 1).mean(axis=0)
        lam = found.rows.made_with["lam of each half"][half]
        assert best[POINTS.index(lam)] == best.max()
        assert list(found.ranks[half::2]) == ranks[half::2, POINTS.index(lam)].tolist()
    assert found.lam is None


def test_a_given_lam_has_its_own_name(engine):
    found = evaluate(engine, "toybox", limit=2, systems=["half"], lams={"mixed-layer": 0.2, "grid": 0.5})
    assert [(result.name, result.lam) for result in found.systems] == [("half", 0.5), ("mixed-layer", 0.2), ("grid", 0.5)]
    assert found.system("grid").ranks == found.system("half").ranks
    for name in ("mixed", "half", "oracle", "../up"):
        with pytest.raises(BadInput, match="another name"):
            evaluate(engine, "toybox", limit=2, systems=["half"], lams={name: 0.2})


def test_rows_say_what_they_were_made_with_and_no_more(engine, evaluation):
    facts = evaluation.system("mixed").rows.made_with
    assert facts["adapters"] == {adapter.name: adapter.sha256 for adapter in engine.mixture("toybox").adapters}
    assert (facts["base_sha256"], facts["rule"], facts["seed"]) == (engine.base.sha256, "sum", "2025")
    assert "adapters" not in evaluation.system("base").rows.made_with
    assert "base" not in evaluation.system("popularity").rows.made_with


@pytest.fixture
def listing(base, catalog, tmp_path):
    """An engine whose adapters were trained on the template that holds the list."""
    for seed, (name, role) in enumerate((("general", "general"), ("toybox", "specific")), start=1):
        card = card_for(base, role, name, template="listed")
        adapters.save(random_adapter(base.shapes, seed=seed, card=card), tmp_path / "listed" / name, base.name, torch.float32)
    return Engine(base, catalog, [tmp_path / "listed"])


def test_probabilities_are_averaged_over_orders_the_first_of_which_is_the_stored_one(listing):
    plan = make_plan(listing, "toybox", limit=3, systems=["popularity", "half"], shuffles=3)
    users = listing.catalog.users("toybox", "quick", limit=3)
    for answer, user in zip(protocol.measure(listing, plan, users), users, strict=True):
        example = listing.catalog.example("toybox", user)
        orders = protocol._orders(example, 3)
        assert orders[0] == list(range(30)) and [sorted(order) for order in orders] == [orders[0]] * 3
        assert len({tuple(order) for order in orders}) == 3 and orders == protocol._orders(example, 3)
        by_item = [dict(zip((example.candidates[i] for i in order), listing.rank(
            replace(example, candidates=tuple(example.candidates[i] for i in order))).probabilities(), strict=True))
            for order in orders]
        mean = [np.mean([each[item] for each in by_item]) for item in example.candidates]
        target = example.candidates.index(example.target)
        placed = answer.systems["half"]
        assert placed == (rank_of(mean, target), pytest.approx(mean[target]), mean.index(max(mean)))
        assert answer.position == target and len({each[example.target] for each in by_item}) == 3


def test_several_users_share_passes(engine, base, monkeypatch):
    sizes, forward = [], Local._forward
    monkeypatch.setattr(Local, "_forward", lambda self, batch: sizes.append(len(batch)) or forward(self, batch))
    plan = make_plan(engine, "toybox", limit=10, systems=["base", "general", "specific", "half"])
    assert len(list(protocol.measure(engine, plan, engine.catalog.users("toybox", "quick", limit=10)))) == 10
    assert sum(sizes) == 40 and len(sizes) <= 12  # 8 if all were full; one user at a time would be 20


def test_adapters_that_change_under_way_change_nothing_that_is_measured(engine, base, adapter_folder, monkeypatch):
    plan, users = make_plan(engine, "toybox", limit=3, systems=["specific"]), engine.catalog.users("toybox", "quick", limit=3)
    alone = list(protocol.measure(engine, plan, users))
    answers = protocol.measure(engine, plan, users, at_once=1)
    found = [next(answers)]
    card = card_for(base, "specific", "toybox")
    adapters.save(random_adapter(base.shapes, seed=7, card=card), adapter_folder / "toybox", base.name, torch.float32)
    engine.forget("toybox")
    engine._cache.clear()
    assert [*found, *answers] == alone
    for refused in (lambda: list(protocol.measure(engine, plan, users)), lambda: protocol.facts(engine, plan)):
        with pytest.raises(BadInput, match="others than a moment ago"):
            refused()
