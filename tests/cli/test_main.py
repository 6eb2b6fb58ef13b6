"""The command line as a whole."""

import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from molorec import cli
from molorec.cli import common

PAGES = [Path(cli.__file__).parents[2] / name for name in ("README.md", "docs/gpu.md")]
COMMANDS = ["doctor", "domains list", "domains fetch", "domains add", "domains remove", "domains lists", "domains overlap",
            "domains search", "domains users",
            "rank", "tune", "explain", "evaluate", "entropies", "report", "export", "adapters list", "adapters push",
            "adapters pull", "serve"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(molorec, command):
    code, out, _ = molorec(*command.split(), "--help")
    assert code == 0 and "usage: molorec " + command in out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_of_a_page_is_understood(page):
    lines = [line.split("#")[0].split("|")[0] for line in re.findall(r"^molorec (.+)$", page.read_text("utf-8"), re.M)]
    assert lines
    for line in lines:
        assert callable(cli.parser().parse_args(shlex.split(line)).run)


def test_adapters_are_looked_for_in_a_folder_that_is_there(molorec, stored, tmp_path):
    code, _, err = molorec("rank", "--domain", "toybox", "--adapters", tmp_path / "none")
    assert code == 2 and "there is no such folder" in err


@pytest.mark.parametrize(("backend", "code", "said"), [
    ("tpu", 2, "choose local, vllm"), ("http://127.0.0.1:9", 1, "does not answer"),
    ("http://127.0.0.1:80000", 2, "a port from 1 to 65535")])
def test_a_backend_that_is_not_there_is_said(molorec, stored, pico_folder, tmp_path, backend, code, said):
    found, _, err = molorec("rank", "--domain", "toybox", "--base", pico_folder, "--adapters", tmp_path / "adapters",
                            "--backend", backend)
    assert found == code and said in err


def test_ctrl_c_is_one_word_and_exit_code_one(molorec, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(common, "engine", interrupted)
    assert molorec("rank") == (1, "", "stopped\n")
    assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL  # a second one waits for nothing
    code, _, said = molorec("evaluate")
    assert code == 1 and said.startswith("stopped; nothing was kept") and "--part 1/1" in said


def test_the_command_line_is_there_before_anything_heavy():
    script = "import molorec.cli, sys; print('torch' in sys.modules or 'gradio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
