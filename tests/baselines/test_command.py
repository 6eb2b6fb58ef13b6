"""The script: from a catalogue to rows, and again to the same."""

import json

import pytest

from molorec.baselines import command
from molorec.catalog import Catalog, prepare
from molorec.errors import BadInput
from molorec.evaluation import rows
from tests.conftest import pico_backbone, source_data, with_new_items

QUICK = ["--split", "quick", "--dimension", "8", "--length", "8", "--threads", "1"]


@pytest.fixture
def toybox(home):
    """The catalogue in MOLOREC_HOME, with "toybox"."""
    made = Catalog()
    made.add_domain(prepare("toybox", source_data()))
    return made


def run(*words):
    command.train(command.parser("Train").parse_args([*words]))


def test_rows_are_kept_and_the_same_command_gives_the_same(toybox, capsys):
    words = ["--model", "sasrec", "--domain", "toybox", "--epochs", "2", *QUICK]
    run(*words)
    said = capsys.readouterr().out
    assert "epoch 2" in said and "ndcg@3" in said
    found, problems = rows.load()
    assert not problems and [(made.setting, made.split) for made in found] == [("warm", "quick")]  # no list is new-item
    first = found[0]
    assert first.system == "SASRec" and first.lists_sha256 == toybox.lists_sha256("toybox", "warm", "quick")
    users = toybox.users("toybox", "quick", "warm")
    assert first.users == tuple(toybox.position("toybox", user) for user in users)
    for user, position, rank, chance, top in zip(users, first.positions, first.ranks, first.probabilities, first.firsts,
                                                 strict=True):
        example = toybox.example("toybox", user)
        assert example.candidates[position] == example.target
        assert (rank == 1) == (top == position) and chance <= 1 / rank
    assert first.made_with["recipe"]["dimension"] == 8 and first.made_with["reproduced"] is None
    run(*words)
    assert "epoch" not in capsys.readouterr().out.replace("--epochs", "")
    assert rows.load()[0][0].ranks == first.ranks


def test_new_items_get_rows_of_their_own(home):
    catalog = Catalog()
    catalog.add_domain(with_new_items())
    run("--model", "bpr-mf", "--domain", "toybox", "--epochs", "1", *QUICK)
    found, problems = rows.load()
    counts = {setting: len(catalog.users("toybox", "quick", setting)) for setting in ("warm", "new-item")}
    assert not problems and {made.setting: made.n for made in found} == counts and min(counts.values()) > 0


def test_a_search_is_reported_with_its_validation_scores(toybox, capsys):
    run("--model", "bpr-mf", "--domain", "toybox", "--search", "--epochs", "3", *QUICK)
    made = rows.load()[0][0].made_with
    assert len(made["search"]) == 4 and sum(trial["kept"] for trial in made["search"]) == 1
    kept = next(trial for trial in made["search"] if trial["kept"])
    assert kept["validation"] == max(trial["validation"] for trial in made["search"])
    assert made["recipe"] == made["recipe"] | kept["changes"]


def test_a_text_model_reads_the_titles(toybox, monkeypatch):
    import numpy as np

    seen = []

    def vectors(titles):
        seen.extend(titles)
        return np.random.default_rng(0).standard_normal((len(titles), 64)).astype(np.float32)

    monkeypatch.setattr(command.text, "vectors", vectors)
    run("--model", "vq-rec", "--domain", "toybox", "--epochs", "1", *QUICK)
    assert seen == [item.title for item in toybox.items("toybox")]
    assert rows.load()[0][0].system == "VQ-Rec"


def test_a_model_on_the_backbone_says_which_and_how_valid_its_titles_were(toybox, base, monkeypatch, capsys):
    monkeypatch.setattr(command.backbone, "load", lambda: base)
    monkeypatch.setattr("molorec.baselines.language.top_five.MOST_TOKENS", 8)
    words = ["--model", "top-5", "--domain", "toybox", "--epochs", "1", "--examples", "2", "--batch", "2", "--length", "2",
             "--validation-lists", "2", "--limit", "3", "--threads", "1"]
    run(*words)
    assert "2 validation lists" in capsys.readouterr().out
    found = rows.load()[0]
    assert [(made.system, made.setting, made.split, made.limit, made.n) for made in found] \
        == [("Top-5-generated", "warm", "quick", 3, 3)]  # the split full was not asked for
    made_with = found[0].made_with
    assert made_with["base"] == base.name and made_with["base_sha256"] == base.sha256 and made_with["reproduced"] is None
    assert made_with["validity"] == 0.0 and made_with["written"] >= 3  # the validation lists' titles are not counted
    assert set(found[0].ranks) == {30}
    other = pico_backbone(seed=5)
    monkeypatch.setattr(command.backbone, "load", lambda: other)
    with pytest.raises(BadInput, match="base_sha256"):
        run(*words)


def test_a_reproduction_is_printed_as_json(toybox, monkeypatch, capsys):
    figure = command.reproduce.Figure("a paper", "toybox", 20, False, {"hr@10": 0.5}, {})
    monkeypatch.setitem(command.reproduce.FIGURES, "bpr-mf", figure)
    run("--model", "bpr-mf", "--reproduce", "--epochs", "1", "--dimension", "8")
    said = capsys.readouterr().out
    assert json.loads(said[said.index("{") :])["theirs"] == {"hr@10": 0.5}
    run("--model", "bpr-mf", "--domain", "toybox", "--epochs", "1", *QUICK)
    assert rows.load()[0][0].made_with["reproduced"]["theirs"] == {"hr@10": 0.5}


@pytest.mark.parametrize("words, problem", [
    (["--model", "sasrec"], "--domain"), (["--model", "sasrec", "--domain", "toybox", "--threads", "0"], "--threads"),
    (["--model", "sasrec", "--domain", "nowhere"], "nowhere"),
    (["--model", "sasrec", "--domain", "toybox", "--limit", "0"], "--limit"),
    (["--model", "sasrec", "--domain", "toybox", "--validation-lists", "0"], "--validation-lists"),
    (["--model", "p5", "--reproduce"], "no figure")])
def test_what_cannot_be_used_is_refused(toybox, words, problem):
    with pytest.raises(BadInput, match=problem):
        run(*words)


@pytest.mark.parametrize(("words", "said"), [
    (["--epochs", "0"], "--epochs is 0"), (["--batch", "0"], "--batch is 0"), (["--seed", "-1"], "--seed is -1"),
    (["--dropout", "1"], "--dropout is 1"), (["--heads", "3"], "--dimension 64"),
    (["--search", "--halving", "-1"], "--halving is -1")])
def test_impossible_values_are_refused_by_name(toybox, words, said):
    with pytest.raises(BadInput, match=said):
        run("--model", "sasrec", "--domain", "toybox", *words)
