"""The training scripts' command line: nonsense is refused before a model is loaded."""

import signal
import threading

import pytest
import torch

from molorec.catalog import prepare
from molorec.errors import BadInput
from molorec.mixture import adapters
from molorec.mixture.card import SECOND_ROUND
from molorec.training import command
from molorec.training.distributed import ALONE
from molorec.training.loop import Training
from tests.conftest import card_for, random_adapter, source_data


def train(*words, shares=(1.0,)):
    arguments = command.parser("test").parse_args(list(words))
    return command.train(arguments, role="specific", domain="toybox", names=["toybox"], shares=shares, targets=[])


@pytest.mark.parametrize("share", [0.0, -1.0, float("nan"), float("inf")])
def test_shares_are_numbers_above_zero(share):
    with pytest.raises(BadInput, match="--shares"):
        train(shares=[share])


def test_threads_are_at_least_one():
    with pytest.raises(BadInput, match="--threads is 0"):
        train("--threads", "0")


def test_a_second_round_needs_a_first():
    arguments = command.parser("test").parse_args([])
    with pytest.raises(BadInput, match="--init-from"):
        command.train(arguments, role=SECOND_ROUND, domain="toybox", names=["toybox"], shares=[1.0], targets=[])


def test_a_card_says_the_share_and_the_second_round(base, catalog, tmp_path, monkeypatch):
    monkeypatch.setattr(command.backbone, "load", lambda *_: base)
    monkeypatch.setattr(command, "Catalog", lambda: catalog)
    general = random_adapter(base.shapes, card=card_for(base, "general", "general"))
    adapters.save(general, tmp_path / "general", base.name, torch.float32)
    arguments = command.parser("test").parse_args(["--init-from", str(tmp_path / "general"), "--validation-lists", "0"])
    made = command._training(arguments, ALONE, SECOND_ROUND, "toybox", ["toybox"], [1.0], [], 0.2)
    sha256 = adapters.read(tmp_path / "general", base.shapes).sha256
    assert made.card.data["second round"] == f"on top of adapter 'general', {sha256[:12]}"
    assert made.card.data["toybox"].startswith("26 users") and made.card.data["toybox"].endswith(", 20% of the users")
    assert made.folder.name == "toybox-share-0.2-second-round" and made.card.share == 0.2


def test_a_general_adapters_card_names_the_domains_whose_titles_it_never_saw(base, catalog, monkeypatch):
    monkeypatch.setattr(command.backbone, "load", lambda *_: base)
    monkeypatch.setattr(command, "Catalog", lambda: catalog)
    target = source_data(items=40)  # half of toybox's titles
    catalog.add_domain(prepare("zoo", target))
    arguments = command.parser("test").parse_args(["--validation-lists", "0"])
    made = command._training(arguments, ALONE, "general", "general", ["toybox"], [1.0], ["zoo"], 1.0)
    assert made.card.data["without the titles of"] == "zoo"
    assert made.card.data["toybox"].endswith(", 40 titles of target domains removed")


@pytest.mark.parametrize(("error", "code"), [(BadInput("no such domain"), 2), (OSError("disk full"), 1),
                                             (KeyboardInterrupt(), 130)])
def test_a_problem_is_one_line(capsys, error, code):
    def run():
        raise error

    with pytest.raises(SystemExit) as stop:
        command.main(run)
    assert stop.value.code == code
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.fixture
def in_the_foreground():
    """As on a terminal: a shell has what it runs in the background ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("in_the_foreground")
def test_an_interrupted_training_ends_its_step_and_keeps_it(base, catalog, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command.backbone, "load", lambda *_: base)
    monkeypatch.setattr(command, "Catalog", lambda: catalog)
    step, interrupted = Training._train_step, []

    def interrupt(self):
        if self.step == 1 and not interrupted:
            interrupted.append(signal.raise_signal(signal.SIGINT))
        return step(self)

    monkeypatch.setattr(Training, "_train_step", interrupt)
    words = ("--out", str(tmp_path), "--steps", "4", "--rows", "1", "--length", "80", "--validation-lists", "0")
    with pytest.raises(SystemExit) as stop:
        command.main(lambda: train(*words))
    assert stop.value.code == 130 and "stopped; the same command goes on after step 2" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train(*words)
    assert "step 1/4" not in capsys.readouterr().out and (tmp_path / "best").is_dir()


@pytest.mark.usefixtures("in_the_foreground")
def test_a_second_interruption_ends_a_training_at_once(capsys):
    def run():
        with command._interrupted_between_steps(threading.Event()):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            pytest.fail("it went on")

    with pytest.raises(SystemExit) as stop:
        command.main(run)
    assert stop.value.code == 130 and "or begins anew if none was written" in capsys.readouterr().err


@pytest.mark.parametrize(("n", "counts"), [(0, [0, 0, 0]), (2, [1, 1, 0]), (5, [2, 2, 1]), (6, [2, 2, 2])])
def test_validation_lists_are_as_many_as_were_asked_for_from_all_domains(catalog, n, counts):
    names = ["toybox", "zoo", "farm"]
    for name in names[1:]:
        catalog.add_domain(prepare(name, source_data()), noun="animals")
    found = command._validation(catalog, names, n, set())
    assert [sum(example.domain == name for example in found) for name in names] == counts
