"""The script: from a catalogue to rows, and again to the same."""

import json

import pytest

from molorec.baselines import command
from molorec.catalog import Catalog, prepare
from molorec.errors import BadInput
from molorec.evaluation import rows
from tests.conftest import source_data

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
    (["--model", "sasrec", "--domain", "nowhere"], "nowhere")])
def test_what_cannot_be_used_is_refused(toybox, words, problem):
    with pytest.raises(BadInput, match=problem):
        run(*words)
