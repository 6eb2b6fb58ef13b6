"""``molorec rank``, ``tune`` and ``explain``."""

import json
import math
import re
import shutil
from unittest import mock

import pytest

from tests.cli.conftest import document


def test_rank_gives_the_documented_shape(molorec, served):
    answer = document(molorec("rank", "--domain", "toybox", "--lam", "0.3", "--json"))
    assert set(answer) == {"schema", "domain", "user", "lam", "rule", "entropy", "ranking"}
    assert answer["lam"] == pytest.approx(0.3) and answer["user"] == served.catalog.users("toybox", "quick")[0]
    assert [line["rank"] for line in answer["ranking"]] == list(range(1, 31))
    assert set(answer["ranking"][0]) == {"rank", "item_id", "title", "probability"}
    assert math.isclose(sum(line["probability"] for line in answer["ranking"]), 1, abs_tol=1e-6)


def test_rank_for_people_shows_as_many_lines_as_asked(molorec, served):
    code, out, _ = molorec("rank", "--domain", "toybox", "--top", "3")
    assert code == 0 and len(re.findall(r"^ +\d+ +[\d.]+%", out, re.M)) == 3


@pytest.mark.parametrize(("words", "said"), [
    (["--lam", "1.5"], "λ"), (["--lam", "nan"], "λ"), (["--lam", "half"], "--lam"),
    (["--domain", "nowhere"], "no domain 'nowhere'"),
    (["--user", "nobody"], "no user 'nobody'"), (["--rule", "mean"], "mean"),
    (["--setting", "cold"], "no setting 'cold'"), (["--top", "0"], "--top"), (["--top", "-3"], "--top"),
])
def test_what_cannot_be_ranked_is_said_with_two(molorec, served, words, said):
    code, out, err = molorec("rank", "--domain", "toybox", "--json", *words)
    assert code == 2 and out == "" and said in err


def test_tune_gives_the_documented_shape(molorec, served):
    answer = document(molorec("tune", "--domain", "toybox", "--prompts", "4", "--json"))
    assert set(answer) == {"schema", "domain", "objective", "rule", "granularity", "lam", "entropy_start", "entropy_end",
                           "curve", "prompts", "seconds"}
    assert answer["objective"] == "candidates" and answer["granularity"] == "global" and answer["prompts"] == 4
    assert 0 <= answer["lam"] <= 1 and answer["entropy_end"] <= answer["entropy_start"]
    assert all(len(point) == 2 for point in answer["curve"])


@pytest.mark.parametrize(("words", "granularity"), [
    (("--granularity", "layer"), "layer"), (("--granularity", "module", "--objective", "tokens", "--tokens", "2"), "module"),
    (("--objective", "tokens"), "global"), (("--objective", "contrast"), "global"),
    (("--granularity", "layer", "--objective", "contrast"), "layer")])
def test_a_tuned_lam_of_any_granularity_goes_into_a_file_and_is_used_from_it(molorec, served, tmp_path, words, granularity):
    answer = document(molorec("tune", "--domain", "toybox", "--prompts", "4", "--json", "--out", tmp_path / "lam.json", *words))
    assert set(answer) == {"schema", "domain", "objective", "rule", "granularity", "lam", "entropy_start", "entropy_end",
                           "curve", "prompts", "seconds"}
    assert json.loads((tmp_path / "lam.json").read_text()) == answer
    objective = words[words.index("--objective") + 1] if "--objective" in words else "candidates"
    assert (answer["granularity"], answer["objective"]) == (granularity, objective)
    used = ("--domain", "toybox", "--lam-file", tmp_path / "lam.json", "--json")
    ranked = document(molorec("rank", *used))
    assert ranked["lam"] == answer["lam"] and (granularity == "global") == isinstance(ranked["lam"], float)
    if granularity == "layer":
        assert ranked["lam"]["granularity"] == "layer" and set(ranked["lam"]["weights"]) == {"0", "1"}
        measured = document(molorec("evaluate", *used, "--limit", "2"))
        assert next(system for system in measured["systems"] if system["name"] == "chosen")["lam"] == answer["lam"]
        exported = document(molorec("export", *used, "--out", tmp_path / "mixed"))
        assert exported["lam"] == answer["lam"] and exported["difference"] <= 1e-4
        assert document(molorec("explain", *used))["lam"] == answer["lam"]
        code, out, _ = molorec("rank", *used[:-1])
        assert code == 0 and "ranking at a λ for each of 2 layers" in out
        code, out, _ = molorec("evaluate", *used[:-1], "--limit", "2")
        assert code == 0 and re.search(r"chosen +~0\.\d\d", out)


def test_tuning_by_layer_says_where_it_stands(molorec, served):
    code, out, _ = molorec("tune", "--domain", "toybox", "--prompts", "4", "--granularity", "layer", "--keep", "0.7")
    assert code == 0 and "best for all layers so far: λ = " in out and re.search(r"step 1 of at most \d+ ", out)
    assert re.search(r"a λ for each of 2 layers .* nat, against .* for all layers", out) and "on the prompts held out" in out


@pytest.mark.parametrize(("words", "said"), [
    (("tune", "--granularity", "head"), "no granularity"), (("tune", "--objective", "words"), "no objective"),
    (("tune", "--keep", "0.5"), "--keep is for"), (("tune", "--tokens", "5"), "--objective tokens"),
    (("tune", "--granularity", "layer", "--keep", "0"), "share of prompts"),
    (("tune", "--out", "none/lam.json"), "no folder"), (("rank", "--lam-file", "none.json"), "cannot be read"),
    (("rank", "--lam", "0.5", "--lam-file", "none.json"), "not allowed with"), (("export", "--out", "x"), "required")])
def test_what_no_lam_can_be_had_from_is_bad_input(molorec, served, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    code, out, err = molorec(words[0], "--domain", "toybox", *words[1:])
    assert code == 2 and not out and said in err


def test_a_lam_of_other_layers_is_bad_input(molorec, served, tmp_path):
    (tmp_path / "lam.json").write_text('{"granularity": "layer", "weights": {"7": [1, 0]}}')
    code, _, err = molorec("rank", "--domain", "toybox", "--lam-file", tmp_path / "lam.json")
    assert code == 2 and "another base model" in err


def test_tuning_without_prompts_is_bad_input(molorec, served):
    code, _, err = molorec("tune", "--domain", "toybox", "--prompts", "0")
    assert code == 2 and "at least 1" in err


def test_explain_shows_a_text_only_where_it_is_grounded(molorec, served):
    answer = document(molorec("explain", "--domain", "toybox", "--json"))
    assert (answer["text"] is None) == (not answer["grounded"]) == bool(answer["problem"])
    history = served.catalog.example("toybox", answer["user"]).history[-10:]
    assert [line["item_id"] for line in answer["evidence"]] == [item.item_id for item in history]


def test_with_one_adapter_an_explanation_is_at_lam_one(molorec, served, adapter_folder):
    (adapter_folder / "toybox").rename(adapter_folder / "elsewhere")
    served.forget("toybox")
    assert document(molorec("explain", "--domain", "toybox", "--lam", "0.3", "--json"))["lam"] == 1


def test_explaining_what_is_no_candidate_is_bad_input(molorec, served):
    code, _, err = molorec("explain", "--domain", "toybox", "--item", "i999")
    assert code == 2 and "molorec rank" in err


def test_a_third_adapter_is_mixed_in_by_name(molorec, stored, pico_folder, tmp_path):
    shutil.copytree(tmp_path / "adapters" / "general", tmp_path / "adapters" / "books")
    (tmp_path / "lam.json").write_text('{"granularity": "global", "weights": {"all": [0.25, 0.25, 0.5]}}')
    words = ("rank", "--domain", "toybox", "--base", pico_folder, "--precision", "float32", "--adapters", tmp_path / "adapters")
    three = document(molorec(*words, "--also", "books", "--lam-file", tmp_path / "lam.json", "--json"))
    assert three["lam"]["weights"] == {"all": [0.25, 0.25, 0.5]}
    pair = document(molorec(*words, "--lam", "0.5", "--json"))  # the third one is the general one again
    assert three["entropy"] == pytest.approx(pair["entropy"], abs=1e-4)
    measured = document(molorec("evaluate", *words[1:], "--also", "books", "--limit", "3", "--lam-file",
                                f"three={tmp_path / 'lam.json'}", "--json"))
    assert [system["name"] for system in measured["systems"]] == ["popularity", "base", "three"]
    assert measured["systems"][2]["lam"]["weights"] == {"all": [0.25, 0.25, 0.5]}
    code, _, err = molorec(*words, "--also", "books")
    assert code == 2 and "3 adapters need as many weights; give them with --lam-file" in err
    code, _, err = molorec(*words, "--also", "lamps")
    assert code == 2 and "no adapter 'lamps'" in err


def test_where_lam_cannot_be_written_nothing_is_tuned(molorec, served, tmp_path, monkeypatch):
    for out, words in ((tmp_path, "that is a folder"), (tmp_path / "none" / "lam.json", "make it first")):
        code, _, said = molorec("tune", "--domain", "toybox", "--prompts", "4", "--out", out)
        assert code == 2 and f"--out {out}" in said and words in said
    with monkeypatch.context() as patch:
        patch.setattr("os.access", lambda *_: False)
        assert "nothing can be written into" in molorec("tune", "--domain", "toybox", "--out", tmp_path / "lam.json")[2]
    monkeypatch.setattr("molorec.whole_file.write", mock.Mock(side_effect=OSError(28, "No space left on device")))
    code, out, said = molorec("tune", "--domain", "toybox", "--prompts", "4", "--json", "--out", tmp_path / "lam.json")
    assert code == 1 and "lam" in json.loads(out) and "No space left" in said


def test_a_lam_that_was_tuned_for_something_else_is_said(molorec, served, tmp_path):
    file = tmp_path / "lam.json"
    file.write_text("\ufeff" + json.dumps({"lam": 0.2, "domain": "another", "rule": "product"}), "utf-8")
    code, out, said = molorec("rank", "--domain", "toybox", "--lam-file", file, "--json")
    assert code == 0 and json.loads(out)["lam"] == 0.2
    assert "for domain 'another', not for 'toybox'" in said and "for rule 'product', not for 'sum'" in said


def test_an_empty_id_is_nobody(molorec, served):
    code, _, said = molorec("rank", "--domain", "toybox", "--user", "")
    assert code == 2 and "no user ''" in said


def test_one_adapter_alone_is_said_in_place_of_lam(molorec, served):
    shutil.rmtree(served.adapter_folders[0] / "toybox")
    served.forget("toybox")
    assert "ranking by the adapter 'general' alone" in molorec("rank", "--domain", "toybox")[1]
