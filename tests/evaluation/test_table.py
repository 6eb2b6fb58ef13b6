"""Systems side by side: paired by user, and what is said of mixing."""

from dataclasses import replace

import numpy as np
import pytest

from molorec.errors import BadInput
from molorec.evaluation import rows as stored
from molorec.evaluation import table
from molorec.evaluation.metrics import ndcg
from molorec.evaluation.table import SYSTEMS, Evaluation, SystemResult, write_scores
from molorec.mixture.lam import to_saved
from tests.conftest import system_rows
from tests.evaluation.conftest import USERS


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Three people suffice here to say something of."""
    monkeypatch.setattr(table, "FEW", 3)


def test_of_few_people_nothing_is_said_of_mixing(monkeypatch):
    monkeypatch.undo()
    kept = [system_rows(name, lam=to_saved(lam), ranks=(rank,) * 3) for name, lam, rank in (
        ("general", 1.0, 3), ("specific", 0.0, 2), ("mixed", 0.5, 1))]
    assert table.of(kept).verdict == "3 people are too few to say whether mixing helps; measure 30 or more"
    kept[2] = system_rows("mixed", lam=to_saved(1.0), ranks=(3, 3, 3))
    assert table.of(kept).verdict == "entropy prefers the general adapter alone"


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


def test_a_lam_that_was_given_beside_a_tuned_one_takes_nothing_from_it():
    kept = [system_rows(name, lam=to_saved(lam)) for name, lam in (("mixed", 0.0), ("chosen", 0.3), ("general", 1.0))]
    assert table.of(kept).verdict == "entropy prefers the specific adapter alone"


def test_what_contrast_finds_is_said_beside_what_entropy_does():
    kept = [system_rows(name, lam=to_saved(lam), ranks=(rank,) * 3) for name, lam, rank in (
        ("general", 1.0, 3), ("specific", 0.0, 2), ("mixed", 0.0, 2), ("contrast", 0.5, 1))]
    assert table.of(kept).verdict == ("entropy prefers the specific adapter alone; at the λ of contrast, mixing helps: it is "
                                   "above both adapters alone")
    kept[3] = system_rows("contrast", lam=to_saved(0.0), ranks=(2, 2, 2))
    assert table.of(kept[:2] + kept[3:]).verdict == "contrast prefers the specific adapter alone"


def test_without_the_adapters_alone_nothing_is_said_of_mixing():
    found = table.of([system_rows("half", lam=to_saved(0.5)), system_rows("mixed", ranks=(1, 1, 1))])
    assert "adapters alone were not measured" in found.verdict
    assert "mixed was not compared with popularity" in found.shortcomings
    only = table.of([system_rows("general", lam=to_saved(1.0)), system_rows("mixed", ranks=(1, 1, 1))])
    assert "adapters alone were not measured" in only.verdict
    assert "the general adapter was not compared with the bare base model" in only.shortcomings


def test_a_second_round_of_another_model_stands_in_no_table_with_these():
    facts = {**system_rows().made_with, "base": "pico", "adapters": {"toybox": "ab"}, "rule": "sum", "backend": "Local"}
    second = system_rows("second-round", lam=None, made_with=facts)
    base = system_rows("base", lam=None, made_with={**system_rows().made_with, "base": "nano", "backend": "Local"})
    with pytest.raises(BadInput, match="base is"):
        table.of([base, second])
    alone = table.of([system_rows("base", lam=None, made_with={**base.made_with, "base": "pico"}), second])
    assert alone.verdict == "one adapter: there is nothing to mix"


def test_rows_of_any_name_that_a_model_of_ours_made_are_held_to_one_model():
    """A λ of one's own may be called anything (--lam-file best-layer=…)."""
    facts = {**system_rows().made_with, "base": "pico", "adapters": {"toybox": "ab"}, "rule": "sum", "backend": "Local",
             "precision": "float32"}
    half, own = (system_rows(name, made_with={**facts, "rule": rule}) for name, rule in (("half", "sum"), ("best", "product")))
    with pytest.raises(BadInput, match="'best' was not made with what 'half' was: rule is product and sum"):
        table.of([half, own])


def test_rows_made_with_something_else_are_moved_aside_and_not_written_over(tmp_path):
    facts = {**system_rows().made_with, "base": "pico", "adapters": {"toybox": "ab"}, "rule": "sum", "backend": "Local",
             "precision": "float32"}
    half, general = (system_rows(name, made_with=facts) for name in ("half", "general"))
    baseline = system_rows("SASRec", lam=None)
    for rows in (half, general, baseline):
        stored.save(rows, tmp_path)
    assert table.set_aside([half], tmp_path) == []
    other = system_rows("half", made_with={**facts, "rule": "product"})
    moved = table.set_aside([other], tmp_path)
    assert [file.name for file in moved] == ["general.json", "half.json"]
    assert [rows.system for rows in stored.load(tmp_path)[0]] == ["SASRec"]
    assert (tmp_path / "earlier") in moved[0].parents and moved[0].is_file()


@pytest.mark.parametrize(("lam", "above_general", "above_specific", "words"), [
    (0.5, 0.02, 0.01, "mixing helps"), (0.5, 0.02, -0.01, "not shown"), (0.5, 0.0, 0.01, "not shown"),
    (0.99, 0.02, 0.01, "prefers the general"), (0.0, 0.02, 0.01, "prefers the specific"),
])
def test_mixing_helps_only_inside_and_above_both_adapters(lam, above_general, above_specific, words):
    against = {"general": (0.03, above_general, 0.05), "specific": (0.03, above_specific, 0.05)}
    mixed = SystemResult(system_rows(lam=None if lam is None else to_saved(lam)), against=against)
    assert words in Evaluation("toybox", "quick", "warm", "", None, [mixed], None).verdict


@pytest.mark.parametrize("above", [(-0.01, -0.02, -0.002), (-0.01, -0.02, 0.0)])
def test_a_mixture_below_an_adapter_alone_is_called_so(above):
    against = {"general": (0.03, 0.01, 0.05), "specific": above}
    mixed = SystemResult(system_rows(lam=to_saved(0.3)), against=against)
    said = Evaluation("toybox", "quick", "warm", "", None, [mixed], None).verdict
    assert said == ("mixing does not help: the specific adapter alone is surely better" if above[2] < 0 else
                    "mixing is not shown to help: it is not surely above both adapters alone")


@pytest.mark.parametrize(("lam", "above", "words"), [
    (1.0, (-0.1, -0.2, -0.01), "the general adapter alone, though the specific one is surely better"),
    (0.0, (-0.1, -0.2, -0.01), "the specific adapter alone, though the general one is surely better"),
    (1.0, (-0.1, -0.2, 0.01), "the general adapter alone"),
])
def test_an_end_that_is_the_wrong_one_is_called_so(lam, above, words):
    other = "specific" if lam else "general"
    mixed = SystemResult(system_rows("mixed", lam=to_saved(lam)), against={other: above})
    assert Evaluation("toybox", "quick", "warm", "", None, [mixed], None).verdict == f"entropy prefers {words}"


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
        results = [SystemResult(system_rows(system), against=values) for system, values in found.items()]
        return Evaluation("toybox", "quick", "warm", "", None, results, moved).shortcomings

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


def test_baselines_stand_beside_ours_on_the_users_that_all_have(evaluation):
    ours = evaluation.system("mixed").rows
    users = [*ours.users[2:], ours.users[-1] + 1]
    baseline = replace(ours, system="SASRec", lam=None, users=users, ranks=[1] * 7, probabilities=[0.9] * 7, positions=[0] * 7,
                       firsts=(), made_with=stored.facts("python sasrec.py", base="another"))
    found = table.of([ours, baseline])
    assert [result.rows.users for result in found.systems] == [tuple(users[:-1])] * 2
    assert found.system("SASRec").against["mixed"][0] == pytest.approx(1 - ndcg(ours.ranks[2:], 1).mean())


@pytest.mark.parametrize(("changes", "words"), [
    ({"lists_sha256": "cd" * 32}, "lists_sha256"), ({"system": "mixed"}, "two sets"),
    ({"users": (110, 111, 112)}, "no user in common"),
    ({"made_with": stored.facts("x", base_sha256="1", backend="Local")}, "base_sha256 is 1"),
    ({"made_with": stored.facts("x", base_sha256="0", adapters={"general": "1"}, backend="Local")}, "adapters"),
    ({"made_with": stored.facts("x", base_sha256="0", backend="VLLM")}, "backend"),
    ({"made_with": stored.facts("x", base_sha256="0", share=0.1)}, "from 100% of its people, and from 10%"),
])
def test_what_does_not_go_together_makes_no_table(changes, words):
    facts = stored.facts("x", base_sha256="0", adapters={"general": "0"}, backend="Local")
    with pytest.raises(BadInput, match=words):
        table.of([system_rows(made_with=facts), system_rows(**{"system": "half", "made_with": facts, **changes})])


def test_no_rows_make_no_table():
    with pytest.raises(BadInput, match="no rows"):
        table.of([])


def test_gain_by_position_is_of_all_users(evaluation):
    result = evaluation.system("half")
    parts = result.by_position()
    assert len(parts) == 5 and sum(map(len, parts)) == USERS
    assert sum(part.sum() for part in parts) == pytest.approx(result.ndcg(1) * USERS)
    assert len(parts[0]) == sum(position < 6 for position in result.rows.positions)
