"""Adapter folders: PEFT's two files beside our card, and every check before a model sees them."""

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from molorec import whole_folder
from molorec.errors import BadAdapter
from molorec.hashing import file_sha256
from molorec.mixture.card import A_SEED, CARD, FOR_PEOPLE, Card, read_card, read_object, write_card, write_object
from molorec.mixture.layer import AdapterStack

RANK, ALPHA, DROPOUT = 16, 32, 0.05

# variants of LoRA that older configurations do not mention; refused if switched on
_VARIANTS = ("use_qalora", "use_bdlora", "alora_invocation_tokens", "kasa_config", "corda_config", "eva_config", "arrow_config",
             "lora_ga_config", "monteclora_config", "target_parameters", "trainable_token_indices")
# ways to begin that leave the base's weights as they are; others (PiSSA, OLoRA, LoftQ …) train on another base than ours
_BEGINNINGS = (True, False, "gaussian", "orthogonal")

Factors = dict[str, tuple[Tensor, Tensor]]
_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
FILES = (_CONFIG, _WEIGHTS, CARD, FOR_PEOPLE)
_PREFIX = "base_model.model."
# settings of PEFT that change the maths; an adapter that uses one is refused, not read wrongly
_PLAIN = {"use_rslora": False, "use_dora": False, "bias": "none", "fan_in_fan_out": False, "lora_bias": False,
          "rank_pattern": {}, "alpha_pattern": {}, "modules_to_save": None, "layer_replication": None}


@dataclass
class Adapter:
    """A checked adapter in memory.

    Attributes
    ----------
    factors : module path → (A of shape (r, in), B of shape (out, r)).
    sha256 : hash of the weights file ("" for one that is still in training).
    key : identifies what it adds to the base, for caches: the weights and their scale.
    """

    factors: Factors
    rank: int
    alpha: float
    card: Card | None = None
    sha256: str = ""
    folder: Path | None = None

    @property
    def scale(self) -> float:
        return self.alpha / self.rank

    @property
    def key(self) -> str:
        # the usual scale is left out, so that what is kept by the weights alone, such as a λ in the record, is still found
        usual = not self.sha256 or self.scale == ALPHA / RANK
        return self.sha256[:16] + ("" if usual else f"*{self.scale:g}")

    @property
    def name(self) -> str:
        return self.folder.name if self.folder else (self.card.domain if self.card else "adapter")


def new(shapes: Mapping[str, tuple[int, int]], rank: int = RANK, alpha: float = ALPHA, seed: int = A_SEED) -> Adapter:
    """A fresh adapter: B zero, A uniform in ±1/√in from ``seed``, module by module in the given order.

    Every adapter of a base starts from the same A (same seed, same order), without which the `product` rule of
    eq. 6-8 adds cross terms of unrelated subspaces.

    Parameters
    ----------
    shapes : module path → (out, in).
    """
    generator = torch.Generator().manual_seed(seed)
    factors = {}
    for path, (out_features, in_features) in shapes.items():
        a = (torch.rand(rank, in_features, generator=generator) * 2 - 1) / math.sqrt(in_features)
        factors[path] = (a, torch.zeros(out_features, rank))
    return Adapter(factors, rank, alpha)


def stack(adapters: Sequence[Adapter], dropout: float = 0.0) -> AdapterStack:
    """Stack adapters for the mixture layer.

    Raises
    ------
    BadAdapter : they do not touch the same layers.
    """
    if not adapters:
        raise BadAdapter("there is no adapter to mix")
    paths = list(adapters[0].factors)
    for other in adapters[1:]:
        different = set(paths) ^ set(other.factors)
        if different:
            raise BadAdapter(f"adapters '{adapters[0].name}' and '{other.name}' do not change the same layers "
                             f"({len(different)} differ, e.g. {sorted(different)[0]}); train both on all linear layers")
    pairs = {path: [adapter.factors[path] for adapter in adapters] for path in paths}
    return AdapterStack(pairs, [adapter.scale for adapter in adapters], dropout, "+".join(adapter.key for adapter in adapters))


def read(folder: Path | str, shapes: Mapping[str, tuple[int, int]], base_sha256: str | None = None,
         tokenizer: str | None = None) -> Adapter:
    """Read a PEFT LoRA folder and check it against a base model, before any model is touched.

    Parameters
    ----------
    shapes : the base's linear layers, module path → (out, in).
    base_sha256, tokenizer : the base's hash and the tokenizer's fingerprint; checked if the adapter has a card.

    Raises
    ------
    BadAdapter : a file is missing or damaged; the settings are ones that we do not compute (rsLoRA, DoRA, biases,
        ranks that differ by layer); layers are missing, unknown or of the wrong shape; a weight is not finite;
        it was made for another base or tokenizer.
    """
    folder = Path(folder)
    config = read_object(folder / _CONFIG)
    rank, alpha = _plain_settings(folder, config)
    tensors = _tensors(folder)
    factors = _factors(folder, tensors, rank, shapes)
    card = read_card(folder)
    if card and base_sha256 and card.base_sha256 and card.base_sha256 != base_sha256:
        raise BadAdapter(f"adapter '{folder.name}' was trained for base {card.base} ({card.base_sha256[:12]}), the "
                         f"model in use is another ({base_sha256[:12]}); use that base, or train the adapter again")
    if card and tokenizer and card.tokenizer and card.tokenizer != tokenizer:
        raise BadAdapter(f"adapter '{folder.name}' was trained with another tokenizer ({card.tokenizer}, in use is "
                         f"{tokenizer}); fetch the base again")
    return Adapter(factors, rank, alpha, card, file_sha256(folder / _WEIGHTS), folder)


def check_files(folder: Path) -> None:
    """Raises BadAdapter if a folder's settings or weights could be read for no base model at all."""
    _plain_settings(folder, read_object(folder / _CONFIG))
    _tensors(folder)


def save(adapter: Adapter, folder: Path | str, base_name: str = "", dtype: torch.dtype = torch.bfloat16) -> Path:
    """Write an adapter as a PEFT folder (weights in ``dtype``), all of it or nothing.

    A folder of that name is replaced.

    Raises
    ------
    OSError : it cannot be written; what was there stays.
    """
    folder = Path(folder)
    with whole_folder.replacing(folder) as made:
        write(adapter, made, base_name, dtype)
    return folder


def write(adapter: Adapter, folder: Path, base_name: str, dtype: torch.dtype) -> None:
    """Write the files of :func:`save` into a folder that is there. Raises OSError, and then some of them may be missing."""
    tensors = {}
    for path, (a, b) in adapter.factors.items():
        tensors[f"{_PREFIX}{path}.lora_A.weight"] = a.detach().to("cpu", dtype).contiguous()
        tensors[f"{_PREFIX}{path}.lora_B.weight"] = b.detach().to("cpu", dtype).contiguous()
    write_tensors(tensors, folder / _WEIGHTS, {"format": "pt"})
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base_name,
              "r": adapter.rank, "lora_alpha": adapter.alpha, "lora_dropout": DROPOUT, "inference_mode": True,
              "target_modules": sorted({path.rpartition(".")[2] for path in adapter.factors}), **_PLAIN}
    write_object(folder / _CONFIG, config)
    shutil.copymode(folder / _CONFIG, folder / _WEIGHTS)  # safetensors writes for its owner alone
    if adapter.card:
        write_card(adapter.card, folder)


def write_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write a safetensors file. Raises OSError, as for any other file, where the library has an error of its own for it."""
    try:
        save_file(dict(tensors), path, metadata=metadata)
    except SafetensorError as error:
        raise OSError(f"{path.name} cannot be written ({error}); check that the disk has room") from error


def _plain_settings(folder: Path, config: dict) -> tuple[int, float]:
    if config.get("peft_type") != "LORA":
        raise BadAdapter(f"adapter '{folder.name}' is of type {config.get('peft_type')!r}, not LORA")
    for name, plain in _PLAIN.items():
        value = config.get(name, plain)
        if value != plain and not (value in (None, {}, []) and plain in (None, {}, False)):
            raise BadAdapter(f"adapter '{folder.name}' uses {name} = {value!r}, which changes the maths of mixing; "
                             f"train it with {name} = {plain!r}")
    variant = next((name for name in _VARIANTS if config.get(name)), None)
    if variant:
        raise BadAdapter(f"adapter '{folder.name}' uses {variant}, a variant of LoRA that mixing does not compute; train a "
                         "plain LoRA adapter")
    beginning = config.get("init_lora_weights", True)
    if beginning not in _BEGINNINGS:
        raise BadAdapter(f"adapter '{folder.name}' began with init_lora_weights = {beginning!r}, which changes the base model's "
                         "weights too; save it with PEFT's path_initial_model_for_weight_conversion, as a plain LoRA adapter")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        raise BadAdapter(f"adapter '{folder.name}': its rank is {rank!r}, not a whole number above 0")
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not math.isfinite(alpha) or alpha <= 0:
        raise BadAdapter(f"adapter '{folder.name}': its lora_alpha is {alpha!r}, not a number above 0")
    return rank, float(alpha)


def _tensors(folder: Path) -> dict[str, Tensor]:
    weights_file = folder / _WEIGHTS
    if not weights_file.is_file():
        other = next((f.name for f in folder.glob("adapter_model.*")), None)
        hint = f"; {other} is not read, because pickled weights can run code" if other else ""
        raise BadAdapter(f"adapter '{folder.name}' has no {_WEIGHTS}{hint}")
    try:
        with safe_open(weights_file, framework="pt") as stored:
            return {key: stored.get_tensor(key) for key in stored.keys()}
    except (SafetensorError, OSError, ValueError) as error:
        raise BadAdapter(f"adapter '{folder.name}': {_WEIGHTS} is damaged ({error}); get it again") from error


def _factors(folder: Path, tensors: dict[str, Tensor], rank: int, shapes: Mapping[str, tuple[int, int]]) -> Factors:
    def problem(text: str) -> BadAdapter:
        return BadAdapter(f"adapter '{folder.name}': {text}")

    remaining, factors = dict(tensors), {}
    for path, (out_features, in_features) in shapes.items():
        pair = []
        for letter, shape in (("A", (rank, in_features)), ("B", (out_features, rank))):
            key = f"{_PREFIX}{path}.lora_{letter}.weight"
            tensor = remaining.pop(key, None)
            if tensor is None:
                raise problem(f"the weights of {path} (lora_{letter}) are missing; all linear layers are needed")
            if tuple(tensor.shape) != shape:
                raise problem(f"{path} (lora_{letter}) has shape {tuple(tensor.shape)}, the base and rank {rank} need "
                              f"{shape}; it belongs to another base or rank")
            # as float32: what is finite in float64 may not be finite there
            if not tensor.is_floating_point() or not bool(torch.isfinite(tensor.float()).all()):
                raise problem(f"{path} (lora_{letter}) holds values that are not finite numbers")
            pair.append(tensor.float())
        factors[path] = (pair[0], pair[1])
    if remaining:
        raise problem(f"{len(remaining)} tensors fit no layer of the base, e.g. {sorted(remaining)[0]}")
    return factors
