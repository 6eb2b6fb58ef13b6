"""How a base model's weights are held: whole numbers of bits, and the memory that takes."""

import logging
import os
from pathlib import Path

import psutil
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel

from molorec.errors import BadInput

# bytes a weight of a linear layer takes; NF4 with double quantisation: half a byte, and an 8-bit scale for each 64 weights
BYTES = {"float32": 4.0, "bfloat16": 2.0, "nf4": 0.5 + 1 / 64}
PRECISIONS = tuple(BYTES)


def chosen(name: str | None, default: str | None = None) -> str:
    """The precision asked for, else ``MOLOREC_PRECISION``, else ``default``, else what the device multiplies natively.

    Raises
    ------
    BadInput : there is no such precision.
    """
    name = name or os.environ.get("MOLOREC_PRECISION") or default or dtype_name(native_dtype())
    if name not in PRECISIONS:
        raise BadInput(f"there is no precision '{name}'; choose one of: {', '.join(PRECISIONS)}")
    return name


def native_dtype() -> torch.dtype:
    """bfloat16 where the processor or the GPU multiplies it natively, else float32."""
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else torch.float32


def compute_dtype(precision: str) -> torch.dtype:
    """What is multiplied and added in: 4-bit weights are unpacked to what the device is fast at."""
    return native_dtype() if precision == "nf4" else getattr(torch, precision)


def dtype_name(dtype: torch.dtype) -> str:
    """"bfloat16" for ``torch.bfloat16``."""
    return str(dtype).removeprefix("torch.")


def load_model(folder: Path, precision: str, device: torch.device) -> PreTrainedModel:
    """A causal language model with its weights at a precision.

    NF4 as vLLM's plugin reads it: double quantisation, packed into uint8.

    Raises
    ------
    OSError, ValueError : the folder holds no model.
    """
    settings = {"dtype": compute_dtype(precision), "local_files_only": True}
    if precision != "nf4":
        return AutoModelForCausalLM.from_pretrained(folder, **settings).to(device)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it names, at every start, a kernel that it looks for in vain
    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=settings["dtype"], bnb_4bit_quant_storage=torch.uint8)
    packing = {} if is_packed(folder) else {"quantization_config": quantization}
    model = AutoModelForCausalLM.from_pretrained(folder, **settings, **packing, device_map={"": device})
    from bitsandbytes.nn import Linear4bit  # after the log is quiet

    for module in model.modules():
        if isinstance(module, Linear4bit):
            # bitsandbytes 0.50.2 repacks the weights at the first forward where the processor has AVX512-BF16; gradients
            # and whatever unpacks the weights are silently wrong from then on
            module.support_avx512bf16_for_cpu = False
    return model


def unpacked(weight: torch.Tensor) -> torch.Tensor:
    """A linear layer's weights (out, in) in float32, whatever they are packed as."""
    state = getattr(weight, "quant_state", None)
    if state is None:
        return weight.detach().float()
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(weight.data, state).float()


def count(model: nn.Module) -> int:
    """How many weights a model has, packed ones each counted."""
    states = [(parameter, getattr(parameter, "quant_state", None)) for parameter in model.parameters()]
    return sum(parameter.numel() if state is None else state.shape.numel() for parameter, state in states)


def is_packed(folder: Path) -> bool:
    """Whether a model's folder holds its weights in 4 bits already, and so at no other precision.

    Raises
    ------
    OSError, ValueError : the folder holds no model.
    """
    return hasattr(AutoConfig.from_pretrained(folder, local_files_only=True), "quantization_config")


def weight_bytes(folder: Path, precision: str) -> int:
    """Memory that a model's weights take: linear layers at the precision, embeddings and head at the dtype of computing.

    Raises
    ------
    OSError, ValueError : the folder holds no model.
    """
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder, local_files_only=True))
    head = model.get_output_embeddings()
    linear = sum(module.weight.numel() for module in model.modules() if isinstance(module, nn.Linear) and module is not head)
    other = sum(parameter.numel() for parameter in model.parameters()) - linear
    return int(linear * BYTES[precision] + other * compute_dtype(precision).itemsize)


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device now."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available


def smaller(precision: str) -> str:
    """What helps where a model at a precision does not fit, in words."""
    other = "" if precision == "nf4" else "choose --precision nf4, "
    return f"close what else uses it, {other}or take a smaller model, such as --profile embedded"


def check_memory(folder: Path, precision: str, device: torch.device) -> None:
    """Raises BadInput if the weights alone are more than the device has free, with what would help."""
    needed, free = weight_bytes(folder, precision), free_bytes(device)
    if needed > free:
        where = torch.cuda.get_device_name(device) if device.type == "cuda" else "this machine"
        raise BadInput(f"'{folder.name}' in {precision} takes {needed / 2**30:.1f} GiB for its weights alone, and {where} has "
                       f"{free / 2**30:.1f} GiB free; {smaller(precision)}")
