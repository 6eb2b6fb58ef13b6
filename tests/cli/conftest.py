"""What the tests of the command line share."""

import json
import signal

import pytest

from molorec import backbone, cli
from molorec.catalog import Catalog, prepare
from molorec.cli import common
from tests.conftest import pico_model, pico_tokenizer, source_data, toybox_adapters


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

    before = signal.getsignal(signal.SIGINT)
    yield run
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def served(engine, monkeypatch):
    """The commands that need a model get the pico engine."""
    def checked(arguments):
        engine.catalog.domain(arguments.domain)
        return engine

    monkeypatch.setattr(common, "engine", checked)
    return engine


@pytest.fixture
def stored(home):
    """The home's own catalogue holds "toybox"."""
    catalog = Catalog()
    catalog.add_domain(prepare("toybox", source_data()))
    return catalog


@pytest.fixture
def pico_folder(tmp_path):
    tokenizer = pico_tokenizer()
    pico_model("qwen2", len(tokenizer)).save_pretrained(tmp_path / "pico")
    tokenizer.save_pretrained(tmp_path / "pico")
    toybox_adapters(backbone.load(tmp_path / "pico", precision="float32"), tmp_path / "adapters")
    return tmp_path / "pico"


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
