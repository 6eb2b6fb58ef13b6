"""``molorec adapters``, ``export`` and ``serve``."""

import json
import os
import shutil
import socket
import subprocess
import sys

import pytest

from molorec import hub
from tests.cli.conftest import document


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
    (home / "adapters" / "embedded" / "general" / "adapter_model.safetensors").write_bytes(b"half a fi")
    assert "cannot be used: adapter 'general': adapter_model.safetensors is damaged" in molorec("adapters", "list")[1]
    listed = document(molorec("adapters", "list", "--json"))["adapters"]
    assert listed[0]["problem"] and not any(entry["used"] for entry in listed if entry["name"] == "general")


def test_an_adapter_is_pulled_by_its_name_on_the_hub(molorec, monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "pull", lambda *asked: tmp_path / str(asked[0]) / str(asked[2:]))
    assert "someone/toys" in document(molorec("adapters", "pull", "someone/toys", "--json"))["folder"]
    monkeypatch.setattr(hub, "push", lambda *asked: f"pushed {asked[1:]}")
    assert document(molorec("adapters", "push", tmp_path, "someone/toys", "--json"))["commit"] == "pushed ('someone/toys', False)"


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


def test_serve_without_vllm_says_so_before_mixtures_are_made(molorec, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("molorec.port.check_free", lambda port: None)
    code, _, err = molorec("serve", "--out", tmp_path / "mixtures")
    assert code == 1 and "requirements-gpu.txt" in err and "--print" in err and not (tmp_path / "mixtures").exists()


def test_serve_refuses_a_backend_which_it_would_not_use(molorec, tmp_path):
    code, _, err = molorec("serve", "--backend", "nonsense", "--print", "--out", tmp_path / "mixtures")
    assert code == 2 and "--backend is nonsense" in err and not (tmp_path / "mixtures").exists()


def test_serve_notes_an_adapter_that_it_leaves_out(molorec, stored, pico_folder, tmp_path):
    (tmp_path / "adapters" / "toybox" / "adapter_model.safetensors").write_bytes(b"half a fi")
    code, out, err = molorec("serve", "--domain", "toybox", "--base", pico_folder, "--precision", "float32", "--adapters",
                             tmp_path / "adapters", "--print", "--out", tmp_path / "mixtures")
    assert code == 0 and out.startswith("1 mixtures") and "note: adapter 'toybox': adapter_model.safetensors is damaged" in err


@pytest.mark.parametrize("words", [("serve", "--print"), ("export", "--lam", "0.3")])
def test_a_place_where_nothing_can_be_written_is_refused_by_the_options_name(molorec, tmp_path, words, monkeypatch):
    (tmp_path / "file").touch()
    code, _, err = molorec(*words, "--out", tmp_path / "file" / "out")
    assert code == 2 and f"--out cannot be made: {tmp_path / 'file'} is no folder" in err
    monkeypatch.setattr(os, "access", lambda place, how: False)
    code, _, err = molorec(*words, "--out", tmp_path / "new" / "out")
    assert code == 2 and f"--out cannot be made: {tmp_path} may not be written to" in err


@pytest.mark.parametrize(("error", "code", "said"), [
    (OSError(28, "No space left on device"), 1, "could not be written"), (PermissionError(1, "Not permitted"), 2, "cannot be")])
def test_what_goes_wrong_in_writing_is_said_with_the_options_name(molorec, served, tmp_path, monkeypatch, error, code, said):
    def fails(*_):
        raise error

    monkeypatch.setattr("molorec.mixture.adapters.write_tensors", fails)
    ended, _, err = molorec("export", "--domain", "toybox", "--lam", "0.3", "--out", tmp_path / "out")
    assert ended == code and f"--out {tmp_path / 'out'} {said}" in err and error.strerror in err


def test_a_whole_model_is_replaced_only_when_forced_and_only_if_it_is_an_export(molorec, stored, pico_folder, tmp_path):
    export = ("export", "--domain", "toybox", "--base", pico_folder, "--precision", "float32", "--adapters",
              tmp_path / "adapters", "--lam", "0.3", "--dense", "bfloat16", "--out")
    assert molorec(*export, tmp_path / "dense")[0] == 0
    code, _, err = molorec(*export, tmp_path / "dense")
    assert code == 2 and "--force" in err
    assert molorec(*export, tmp_path / "dense", "--force")[0] == 0
    code, _, err = molorec(*export, pico_folder, "--force")
    assert code == 2 and "no export" in err and (pico_folder / "model.safetensors").is_file()


@pytest.mark.parametrize("json_words", [(), ("--json",)])
def test_serve_says_all_of_its_own_and_nothing_of_the_servers_in_its_document(stored, pico_folder, tmp_path, json_words):
    script = """
import sys
from molorec import cli
from molorec.cli import adapters
from molorec import serving
find = adapters.importlib.util.find_spec
adapters.importlib.util.find_spec = lambda name, *rest: name == "vllm" or find(name, *rest)
serving.command = lambda *_: ([sys.executable, "-c", "print('the server speaks')"], {})
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
