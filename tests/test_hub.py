"""Adapters travel to the hub and back whole, or not at all."""

import shutil

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalTokenNotFoundError

from molorec import config, hub
from molorec.errors import BadAdapter, BadInput, FetchError
from molorec.mixture import adapters
from molorec.mixture.card import SECOND_ROUND, update_card
from tests.conftest import card_for, random_adapter

EMBEDDED = config.EMBEDDED


@pytest.fixture
def adapter(base, tmp_path):
    """The folder of a specific adapter for "toybox" whose card names the embedded model."""
    made = random_adapter(base.shapes, card=card_for(base, "specific", "toybox"))
    folder = adapters.save(made, tmp_path / "toybox", base.name)
    update_card(folder, base=EMBEDDED.base)
    return folder


class Hub:
    """What was asked of the hub; holds one repository, a copy of a folder."""

    def __init__(self, folder):
        self.folder, self.asked, self.error = folder, [], None

    def snapshot_download(self, repository, revision, allow_patterns, local_dir):
        self.asked.append((repository, revision))
        if self.error:
            raise self.error
        local_dir.mkdir()
        for name in allow_patterns:
            if (self.folder / name).exists():
                shutil.copy(self.folder / name, local_dir / name)
        (local_dir / ".cache").mkdir()
        return str(local_dir)

    def create_repo(self, repository, exist_ok, private):
        huggingface_hub.utils.validate_repo_id(repository)
        if self.error:
            raise self.error
        self.asked.append((repository, private))

    def upload_folder(self, repo_id, folder_path, allow_patterns, commit_message):
        self.asked.append((repo_id, sorted(f.name for f in folder_path.iterdir() if f.name in allow_patterns)))
        return "commit 1"


@pytest.fixture
def remote(adapter, monkeypatch):
    made = Hub(adapter)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", made.snapshot_download)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: made)
    return made


@pytest.mark.parametrize("public", [True, False])
def test_what_is_pushed_is_the_adapter_and_nothing_else(remote, adapter, public):
    (adapter / "secret.txt").write_text("mine")
    assert hub.push(adapter, "someone/toys", public) == "commit 1"
    assert remote.asked == [("someone/toys", not public), ("someone/toys", sorted(adapters.FILES))]


def test_a_pulled_adapter_comes_into_use(remote, home, base):
    folder = hub.pull("someone/toys@v2", EMBEDDED)
    assert remote.asked == [("someone/toys", "v2")]
    assert folder == home / "adapters" / "embedded" / "toybox"
    assert sorted(file.name for file in folder.iterdir()) == sorted(adapters.FILES)
    assert adapters.read(folder, base.shapes).card.domain == "toybox"
    assert [entry.folder for entry in hub.here(EMBEDDED)][0] == folder
    assert not list(folder.parent.glob(".pull-*"))


def test_a_baseline_does_not_take_the_place_of_the_specific_adapter(remote):
    update_card(remote.folder, role=SECOND_ROUND)
    assert hub.pull("someone/toys", EMBEDDED).name == "toybox-second-round"
    update_card(remote.folder, role="merged")
    assert hub.pull("someone/toys", EMBEDDED).name == "toybox-merged"


def test_what_is_there_is_replaced_only_on_demand(remote, home):
    folder = hub.pull("someone/toys", EMBEDDED)
    (folder / "mark").write_text("the first")
    with pytest.raises(BadInput, match="there already"):
        hub.pull("someone/toys", EMBEDDED)
    assert (folder / "mark").exists()
    assert hub.pull("someone/toys", EMBEDDED, "other") == folder.parent / "other"
    hub.pull("someone/toys", EMBEDDED, replace=True)
    assert not (folder / "mark").exists()


@pytest.mark.parametrize("name", ["../general", ".hidden", "a/b"])
def test_a_name_that_leads_elsewhere_is_refused(remote, name):
    with pytest.raises(BadInput, match="no name for an adapter"):
        hub.pull("someone/toys", EMBEDDED, name)


def test_an_adapter_of_another_base_is_refused_with_the_profile_that_has_it(remote):
    update_card(remote.folder, base="Qwen/Qwen2-7B-Instruct")
    with pytest.raises(BadInput, match="for the base model Qwen/Qwen2-7B-Instruct.*--profile qwen2-7b"):
        hub.pull("someone/toys", EMBEDDED)
    assert hub.pull("someone/toys", config.QWEN2_7B).parent.name == "qwen2-7b"
    update_card(remote.folder, base="someone/else")
    with pytest.raises(BadInput, match="no profile has that one"):
        hub.pull("someone/toys", EMBEDDED)


@pytest.mark.parametrize(("file", "content"), [("molorec.json", None), ("molorec.json", "{"), ("adapter_config.json", None),
                                               ("adapter_model.safetensors", None), ("adapter_model.safetensors", "half a fi")])
def test_a_damaged_adapter_leaves_nothing_behind(remote, home, file, content):
    (remote.folder / file).unlink()
    if content:
        (remote.folder / file).write_text(content)
    with pytest.raises(BadAdapter):
        hub.pull("someone/toys", EMBEDDED)
    assert list((home / "adapters" / "embedded").iterdir()) == []
    if file == "molorec.json":
        with pytest.raises(BadAdapter):
            hub.push(remote.folder, "someone/toys")


def test_what_the_hub_says_is_one_line_with_what_to_do(remote, adapter):
    remote.error = OSError("no route\nto host")
    with pytest.raises(FetchError, match=r"no route\); check the name and the network"):
        hub.pull("someone/toys", EMBEDDED)
    remote.error = LocalTokenNotFoundError("Token is required")
    with pytest.raises(FetchError, match="hf auth login"):
        hub.push(adapter, "someone/toys")
    with pytest.raises(BadInput, match="looks like someone/adapter"):
        hub.push(adapter, "not/a/name")


def test_adapters_that_cannot_be_read_are_listed_with_the_reason(home):
    broken = home / "adapters" / "embedded" / "broken"
    broken.mkdir(parents=True)
    (broken / "molorec.json").write_text("{")
    entry = hub.here(EMBEDDED)[0]
    assert entry.card is None and "cannot be read" in entry.problem
    assert {found.folder.name for found in hub.here(EMBEDDED)} == {
        "broken", "general", "movielens-1m", "amazon14_beauty", "amazon14_toys"}


def test_half_of_an_adapters_weights_is_no_adapter_and_hides_the_one_that_ships(adapter, home):
    shutil.copytree(adapter, home / "adapters" / "embedded" / "movielens-1m")
    first = hub.here(EMBEDDED)[0]
    assert first.is_used and not first.problem
    weights = first.folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:weights.stat().st_size // 2])
    first, *others = hub.here(EMBEDDED)
    assert first.is_first and not first.is_used and first.card and "is damaged" in first.problem
    shipped = next(entry for entry in others if entry.folder.name == "movielens-1m")
    assert not shipped.is_used and not shipped.problem
