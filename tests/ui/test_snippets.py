"""The code that the screen shows gives the ranking that the screen shows."""

import json
import shlex
import shutil
import subprocess

import pytest

from molorec import cli
from molorec.catalog import prepare
from molorec.engine import Engine
from molorec.ui import session, snippets
from molorec.ui.session import View
from tests.conftest import source_data

ODD = ["$(touch pwned)", "'; touch pwned; '", "-x", "--lam=1", "a|b", "\\", "two\nlines", "ü \"\"\"", "{lam}"]


@pytest.fixture
def hostile(engine, adapter_folder, monkeypatch):
    """The pico engine with a domain of hostile ids and titles; the library and the command line start this one."""
    source = source_data(users=60)
    names = {item_id: (ODD[i] if i < len(ODD) else item_id) for i, item_id in enumerate(source.titles)}
    source.titles = {names[item_id]: f"{title} '; exit 1 #" for item_id, title in source.titles.items()}
    source.events = [(f"-{user}' $(x)\"", names[item_id], time) for user, item_id, time in source.events]
    engine.catalog.add_domain(prepare("hostile", source))
    shutil.copytree(adapter_folder / "toybox", adapter_folder / "hostile")
    monkeypatch.setattr(Engine, "start", classmethod(lambda cls, *_, **__: engine))
    monkeypatch.setattr(cli.common, "engine", lambda arguments: engine)
    return engine


@pytest.fixture(params=["hostile user", "plain user", "built"])
def view(request, hostile):
    if request.param == "hostile user":
        return View("hostile", hostile.catalog.users("hostile")[0], 0.3, "product")
    if request.param == "plain user":
        return View("toybox", hostile.catalog.users("toybox")[0], 1 / 3, "sum", "validation")
    known = {item.item_id for item in hostile.catalog.items("hostile")}
    odd = tuple(item_id for item_id in ODD if item_id in known)
    assert len(odd) > 5
    return View("hostile", "", 0.7, "sum", "built", ("i30", odd[0], "i31"), odd)


@pytest.fixture
def expected(hostile, view):
    ranking = hostile.rank(session.example_of(hostile, view), view.lam, view.rule)
    return [(ranked.rank, ranked.item.item_id, ranked.probability) for ranked in ranking.items]


def test_the_program_gives_what_is_on_screen(hostile, view, expected, capsys):
    names = {}
    exec(compile(snippets.python(view, hostile.base), "snippet", "exec"), names)
    assert [(r.rank, r.item.item_id, r.probability) for r in names["ranking"].items] == expected
    assert capsys.readouterr().out.count("%") == len(expected)


def test_the_command_gives_what_is_on_screen(hostile, view, expected, capsys, tmp_path):
    # a real shell takes the line apart; its words go to the real command line
    line = snippets.command(view, hostile.base)
    script = 'molorec() { for word; do printf "%s\\0" "$word"; done; }\n' + line
    (tmp_path / "empty").mkdir()
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True, cwd=tmp_path / "empty")
    words = done.stdout.decode().split("\0")[:-1]
    assert words == shlex.split(line)[1:] and not list((tmp_path / "empty").iterdir())
    cli.main([*words, "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert [(line["rank"], line["item_id"], line["probability"]) for line in answer["ranking"]] == expected
    assert answer["lam"] == view.lam and answer["rule"] == view.rule


def test_the_client_asks_for_what_is_on_screen(view):
    """The call that the program makes; tests/ui/test_api.py has it answered."""
    code = snippets.client(view, "http://127.0.0.1:7860/")
    compile(code, "snippet", "exec")
    calls = []

    class Client:
        def __init__(self, address):
            assert address == "http://127.0.0.1:7860/"

        def predict(self, **asked):
            calls.append(asked)
            return {"ranking": []}

    exec(code.replace("from gradio_client import Client\n", ""), {"Client": Client})
    asked, = calls
    assert asked.pop("api_name") == "/rank" and asked["lam"] == view.lam and asked["rule"] == view.rule
    assert tuple(asked.get("candidates", ())) == view.candidates and asked.get("user", "") == view.user


def test_another_model_than_usual_is_named(hostile):
    hostile.base.options = ("--profile", "qwen2-7b", "--base", "/models/my own", "--precision", "nf4")
    view = View("toybox", "1", 0.5)
    code = snippets.python(view, hostile.base)
    assert "Engine.start(catalog=catalog, profile=config.profile('qwen2-7b'), base='/models/my own', precision='nf4')" in code
    assert code.startswith("from molorec import config\n")
    assert shlex.split(snippets.command(view, hostile.base))[-3:] == ["--profile=qwen2-7b", "--base=/models/my own",
                                                                      "--precision=nf4"]


def test_movielens_is_fetched_where_it_is_missing(hostile):
    code = snippets.python(View("movielens-1m", "1"), hostile.base)
    assert "ensure_movielens(catalog)" in code
    compile(code, "snippet", "exec")


@pytest.mark.parametrize(("words", "said"), [
    (["--user", "u1", "--history-ids", "i1", "--candidate-ids", "i2|i3"], "either --user"),
    (["--history-ids", "i1"], "--candidate-ids"), (["--history-ids", "i1", "--candidate-ids", "i2|none"], "no item 'none'"),
    (["--history-ids", "i1", "--candidate-ids", "i2|i2"], "twice"),
])
def test_lists_that_cannot_be_ranked_are_refused_with_two(hostile, capsys, words, said):
    with pytest.raises(SystemExit) as stop:
        cli.main(["rank", "--domain", "toybox", *words])
    assert stop.value.code == 2 and said in capsys.readouterr().err
