"""Adapters on the Hugging Face hub: pushed with their card, pulled into the folder where they come into use."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import HFValidationError, HTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

from molorec import config, whole_folder
from molorec.config import Profile
from molorec.errors import BadAdapter, BadInput, FetchError
from molorec.mixture import adapters
from molorec.mixture.adapters import FILES
from molorec.mixture.card import CARD, Card, read_card


@dataclass(frozen=True)
class Found:
    """An adapter folder of this machine; ``card`` is None where it has none that can be read, ``problem`` says what is wrong.

    Attributes
    ----------
    is_first : whether it is the one that its name stands for, damaged or not.
    """

    folder: Path
    card: Card | None
    problem: str = ""
    is_first: bool = True

    @property
    def is_used(self) -> bool:
        return self.is_first and not self.problem


def here(profile: Profile) -> list[Found]:
    """The adapters in a profile's folders, in the order in which they are looked for; of one name the first is used. Their
    files are read, but not held against a base model."""
    found: list[Found] = []
    for folder in (folder for root in config.adapter_folders(profile) if root.is_dir() for folder in sorted(root.iterdir())):
        if folder.is_dir() and not folder.name.startswith("."):
            card, problem = None, ""
            try:
                card = read_card(folder)
                adapters.check_files(folder)
            except BadAdapter as error:
                problem = str(error)
            found.append(Found(folder, card, problem, all(other.folder.name != folder.name for other in found)))
    return found


def push(folder: Path | str, repository: str, public: bool = False) -> str:
    """Upload an adapter's files to a hub repository, made if it is not there (private unless ``public``).

    Returns
    -------
    The commit's address.

    Raises
    ------
    BadAdapter : the folder is no adapter with a card. BadInput : the name can be none. FetchError : the hub said no.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(f"there is no folder {folder}; `molorec adapters list` names those that are here")
    if read_card(folder) is None:
        raise BadAdapter(f"adapter '{folder.name}' has no card, so nobody could tell what it is for; train it with "
                         "training_scripts/, or export it")
    with _hub_errors(repository, "is there a token? `hf auth login` keeps one"):
        hub = huggingface_hub.HfApi()
        hub.create_repo(repository, exist_ok=True, private=not public)
        return str(hub.upload_folder(repo_id=repository, folder_path=folder, allow_patterns=list(FILES),
                                     commit_message=f"MoLoRec adapter {folder.name}"))


def pull(repository: str, profile: Profile, name: str | None = None, replace: bool = False) -> Path:
    """Download an adapter ("name" or "name@revision") into the profile's folder in ``MOLOREC_HOME``; all of it or nothing.

    Parameters
    ----------
    name : of the folder; by default what its card says: "general", or its domain (with its role behind it if that is not the
        specific one, which it would take the place of).

    Raises
    ------
    BadInput : the name can be none, the adapter is for another base model, or there is one of that name and no ``replace``.
    BadAdapter : what is there is no adapter, or a damaged one. FetchError : it cannot be fetched.
    """
    repository, _, revision = repository.partition("@")
    root = config.home() / "adapters" / profile.name
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=root) as work:
        new = Path(work) / "new"
        with _hub_errors(repository, "check the name and the network"):
            huggingface_hub.snapshot_download(repository, revision=revision or None, allow_patterns=list(FILES), local_dir=new)
        shutil.rmtree(new / ".cache", ignore_errors=True)  # the hub's own notes
        card = read_card(new)
        if card is None:
            raise BadAdapter(f"'{repository}' has no {CARD}, so nobody can tell what it is for; put the folder into "
                             f"{root} yourself if you know")
        adapters.check_files(new)
        if not _is_of(card, profile):
            fitting = [other.name for other in config.PROFILES.values() if _is_of(card, other)]
            raise BadInput(f"'{repository}' is for the base model {card.base}, profile '{profile.name}' has {profile.base}; "
                           + (f"give --profile {fitting[0]}" if fitting else "no profile has that one"))
        usual = {"general": "general", "specific": card.domain}.get(card.role, f"{card.domain}-{card.role}")
        folder = root / (name or usual)
        if folder.parent != root or folder.name.startswith("."):
            raise BadInput(f"'{name or card.domain}' is no name for an adapter; give --name")
        if folder.exists() and not replace:
            raise BadInput(f"{folder} is there already; give another --name, or --replace")
        whole_folder.put(new, folder)
    return folder


def _is_of(card: Card, profile: Profile) -> bool:
    """By name; a base that was loaded from a folder has the folder's. The weights' hash is checked when it is used."""
    return card.base.rpartition("/")[2] == profile.base.rpartition("/")[2]


@contextmanager
def _hub_errors(repository: str, hint: str) -> Iterator[None]:
    try:
        yield
    except HFValidationError as error:
        raise BadInput(f"'{repository}' is no name of a hub repository; it looks like someone/adapter") from error
    except (HTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FetchError(f"the hub did not do it for '{repository}' ({reason}); {hint}") from error
