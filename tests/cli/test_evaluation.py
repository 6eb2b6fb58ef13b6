"""``molorec evaluate``."""

import json
from pathlib import Path

import pytest

from molorec.errors import BadAdapter
from molorec.evaluation import entropies, rows, runs, table
from molorec.mixture.lam import from_saved, to_saved
from tests.cli.conftest import document
from tests.conftest import with_new_items


def test_evaluate_gives_the_documented_shape(molorec, served, tmp_path):
    answer = document(molorec("evaluate", "--domain", "toybox", "--limit", "3", "--lam", "0.4", "--rows",
                              tmp_path / "rows", "--json"))
    assert {"schema", "domain", "split", "lists_sha256", "systems"} <= set(answer)
    assert [s["name"] for s in answer["systems"]] == ["popularity", "base", "general", "specific", "half", "chosen"]
    assert all({"name", "n", "ndcg@1", "ndcg@3", "lo", "hi", "lam"} <= set(s) for s in answer["systems"])
    assert {s["n"] for s in answer["systems"]} == {3}
    assert answer["lists_sha256"] == served.catalog.lists_sha256("toybox", "warm", "quick")
    assert all("hr@10" in s for s in answer["systems"])
    for system in answer["systems"]:
        assert sum(part["n"] for part in system["by_position"]) == 3 and len(system["by_position"]) == 5
        missed = sum(rank > 1 for rank in rows.read(Path(answer["rows"]) / f"{system['name']}.json").ranks)
        assert system["second_or_third"]["n"] == missed
    assert Path(answer["rows"]) == tmp_path / "rows" / "toybox" / "warm-quick-first-3"
    kept = rows.read(Path(answer["rows"]) / "chosen.json")
    assert kept.n == 3 and from_saved(kept.lam) == 0.4
    assert kept.made_with["command"] == "molorec evaluate --domain toybox --limit 3 --lam 0.4"


def test_people_without_a_hard_list_are_counted(molorec, served):
    words = ("evaluate", "--domain", "toybox", "--setting", "warm-popular", "--systems", "popularity")
    answer = document(molorec(*words, "--json"))
    n, warm = (len(served.catalog.users("toybox", "quick", setting)) for setting in ("warm-popular", "warm"))
    assert answer["systems"][0]["n"] == n and answer["left_out"] == warm - n > 0
    assert f"{warm - n} of {warm} people left out" in molorec(*words)[1]


def test_systems_are_chosen_by_name_and_a_lam_comes_from_a_file(molorec, served, tmp_path):
    (tmp_path / "lam.json").write_text(json.dumps(to_saved(0.2)))
    words = ("evaluate", "--domain", "toybox", "--limit", "3", "--systems", "half", "oracle", "--json")
    answer = document(molorec(*words, "--lam-file", f"mixed-layer={tmp_path / 'lam.json'}"))
    assert [(s["name"], s["lam"]) for s in answer["systems"]] == [("half", 0.5), ("oracle", None), ("mixed-layer", 0.2)]
    alone = document(molorec("evaluate", "--domain", "toybox", "--limit", "2", "--lam-file", tmp_path / "lam.json", "--json"))
    assert (alone["systems"][-1]["name"], alone["systems"][-1]["lam"]) == ("chosen", 0.2)
    for text, said in (("=x", "not understood"), ("x=none.json", "none.json"), (f"half={tmp_path / 'lam.json'}", "half"),
                       (f"x={Path(__file__)}", "cannot be read")):
        code, _, err = molorec(*words, "--lam-file", text)
        assert code == 2 and said in err


def test_what_was_evaluated_is_kept(molorec, served):
    answer = document(molorec("evaluate", "--domain", "toybox", "--limit", "3", "--lam", "0.4", "--json"))
    kept = runs.read(Path(answer["kept"]))
    assert (kept.n, kept.limit, kept.lists_sha256) == (3, 3, answer["lists_sha256"])
    assert [system.scores["ndcg@1"].mean for system in kept.systems] == [s["ndcg@1"] for s in answer["systems"]]


def test_results_that_cannot_be_kept_are_printed_all_the_same(molorec, served, home):
    (home / "evaluations").write_text("in the way")
    code, out, err = molorec("evaluate", "--domain", "toybox", "--limit", "2", "--lam", "0.4", "--json")
    assert code == 0 and json.loads(out)["kept"] is None and "could not be kept" in err


def test_cards_that_cannot_be_written_cost_nothing_that_was_measured(molorec, served, monkeypatch):
    def refuse(*_):
        raise BadAdapter("adapter 'general' has no card")

    monkeypatch.setattr(table, "write_scores", refuse)
    code, out, err = molorec("evaluate", "--domain", "toybox", "--json", "--update-cards")
    assert code == 2 and "has no card" in err
    assert Path(json.loads(out)["kept"]).is_file() and json.loads(out)["share"] == 1


def test_the_sweep_has_five_points(molorec, served):
    answer = document(molorec("evaluate", "--domain", "toybox", "--sweep", "--limit", "2", "--json"))
    assert answer["n"] == 2 and [point["lam"] for point in answer["sweep"]] == [0, 0.25, 0.5, 0.75, 1]


def test_those_who_tune_are_not_evaluated(molorec, served):
    code, _, err = molorec("evaluate", "--domain", "toybox", "--split", "tune")
    assert code == 2 and "not evaluated" in err


@pytest.mark.parametrize(("words", "said"), [
    (["--sweep", "--lam", "0.5"], "--sweep"), (["--sweep", "--rows", "rows"], "--sweep"),
    (["--sweep", "--systems", "grid"], "--sweep"),
    (["--sweep", "--update-cards"], "--sweep"), (["--update-cards", "--lam", "0.5"], "whole splits"),
    (["--update-cards", "--limit", "5"], "whole splits"), (["--update-cards", "--rule", "product"], "whole splits"),
    (["--update-cards", "--systems", "half"], "whole splits"), (["--shuffles", "2"], "no list in its prompt"),
    (["--systems", "median"], "grid"),
    (["--limit", "0"], "--limit"), (["--at-once", "0"], "--at-once"), (["--part", "1/2"], "--parts FOLDER"),
    (["--part", "half", "--parts", "x"], "not understood"), (["--parts", "x", "--sweep"], "--parts"),
    (["--part", "1/2", "--parts", "x", "--rows", "rows"], "--rows"), (["--part", "3/2", "--parts", "x"], "no part 3"),
    (["--parts", "x", "--lam-file", "lam.json"], "--lam-file"), (["--sweep", "--setting", "new-item"], "--setting"),
    (["--sweep", "--split", "full"], "--split"),
])
def test_options_that_do_not_go_together_are_refused(molorec, served, words, said):
    code, out, err = molorec("evaluate", "--domain", "toybox", *words)
    assert code == 2 and out == "" and said in err


def test_new_items_are_ranked_and_their_lam_is_tuned_on_prompts_with_new_items(molorec, served):
    served.catalog.remove_domain("toybox")
    served.catalog.add_domain(with_new_items())
    served.forget("toybox")
    systems = ("popularity", "general", "specific", "mixed", "contrast")
    answer = document(molorec("evaluate", "--domain", "toybox", "--setting", "new-item", "--systems", *systems, "--json"))
    people = served.catalog.users("toybox", "quick", "new-item")
    assert people and [(s["name"], s["n"]) for s in answer["systems"]] == [(name, len(people)) for name in systems]
    assert answer["lists_sha256"] == served.catalog.lists_sha256("toybox", "new-item", "quick")
    assert Path(answer["rows"]).name == "new-item-quick"
    tuned = document(molorec("tune", "--domain", "toybox", "--setting", "new-item", "--json"))
    assert tuned["lam"] == next(s["lam"] for s in answer["systems"] if s["name"] == "mixed")
    warm = document(molorec("tune", "--domain", "toybox", "--json"))
    assert warm["entropy_end"] != tuned["entropy_end"]  # other prompts


def test_another_lam_puts_the_rows_of_the_one_before_aside(molorec, served, tmp_path):
    words = ("evaluate", "--domain", "toybox", "--limit", "3", "--systems", "popularity", "mixed", "--rows", tmp_path, "--json")
    for lam in ("0.3", "0.7"):
        code, _, said = molorec(*words, "--lam", lam)
        assert code == 0
    assert "another model, adapters, rule or λ" in said
    there = [from_saved(rows.read(file).lam) for file in sorted(tmp_path.rglob("chosen.json"))]
    assert sorted(there) == [0.3, 0.7] and len(list((tmp_path / "earlier").rglob("chosen.json"))) == 1


def test_what_was_asked_for_by_name_is_measured_or_refused(molorec, served):
    (served.adapter_folders[0] / "toybox" / "adapter_model.safetensors").write_bytes(b"half of it")
    served.forget("toybox")
    code, _, said = molorec("evaluate", "--domain", "toybox", "--limit", "3", "--systems", "general", "half")
    assert code == 2 and "half cannot be measured" in said and "'general'; adapter 'toybox'" in said
    code, _, said = molorec("evaluate", "--domain", "toybox", "--sweep")
    assert code == 2 and "no λ to move" in said


def test_the_search_for_a_lam_says_how_far_it_is(molorec, served, tmp_path):
    _, _, said = molorec("evaluate", "--domain", "toybox", "--limit", "2", "--systems", "mixed", "grid", "--rows", tmp_path)
    assert "lists looked at for the λ of 'mixed'" in said and "lists looked at for the λ of 'grid'" in said


def test_fewer_entropies_never_take_the_place_of_more(molorec, served, tmp_path):
    words = ("entropies", "--domain", "toybox", "--rows", tmp_path, "--json")
    kept = tmp_path / "toybox" / "entropies-warm.json"
    for count, aside in ((3, 0), (4, 0), (2, 1)):
        molorec(*words, "--prompts", count)
        assert len(entropies.read(kept).values) == count
        assert len(list((tmp_path / "earlier").rglob("*.json"))) == aside
