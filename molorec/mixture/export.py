"""A mixture at one λ as one ordinary PEFT adapter, or as a whole model, for every other engine."""

import math
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from transformers import AutoTokenizer

from molorec import precision as precisions
from molorec import whole_folder
from molorec.errors import BadInput, MolorecError, memory_in_words
from molorec.mixture import adapters
from molorec.mixture.adapters import Adapter
from molorec.mixture.card import write_object
from molorec.mixture.lam import Lam, to_json
from molorec.mixture.layer import AdapterStack, Mixing

# Both are the same sum in float32, in another order.
TOLERANCE = 1e-5
DENSE = "molorec_mixture.json"  # marks a whole model as an export, and says of what


def rank_of(stack: AdapterStack, rule: str) -> int:
    """The rank of :func:`merge`."""
    return sum(stack.ranks) if rule == "sum" else stack.ranks[0]


def merge(stack: AdapterStack, lam, rule: str) -> Adapter:
    """One adapter that does what the stack does at λ: one for all layers, or a :class:`Lam`.

    Exact for every rule, layer by layer. `sum`: rank Σ r_k, the factors concatenated, each weighed √(λ_k s_k) on both sides.
    `product`: rank r, A = Σ λ_k A_k and B = Σ λ_k B_k (eq. 6-8). `peft_linear`: rank r with √λ_k. The exported
    scale α/r is 1 for `sum`, and the adapters' own for the others.

    Raises
    ------
    BadInput : λ differs from row to row or is of other layers, or the rule does not fit the adapters.
    """
    mixing = Mixing(stack, lam, rule)
    if mixing.has_rows:
        raise BadInput("an export has one λ; give one weight vector")
    rank, scale = stack.ranks[0], stack.scales[0]
    factors = {}
    for path in stack.paths:
        a, b = (t.detach().to("cpu", torch.float32) for t in stack.pair(path))
        weights = mixing.weights_of(path).detach().to("cpu", torch.float32)
        if rule == "sum":
            share = (weights * torch.tensor(stack.scales)).sqrt().repeat_interleave(torch.tensor(stack.ranks))
            factors[path] = (a * share[:, None], b * share)
        else:
            # √(s_i s_j) is not a product of one scale unless scales are equal, so each factor carries its own
            own = torch.tensor(stack.scales).sqrt() * (weights if rule == "product" else weights.sqrt()) / math.sqrt(scale)
            factors[path] = ((a.view(len(stack), rank, -1) * own[:, None, None]).sum(0),
                             (b.view(-1, len(stack), rank) * own[:, None]).sum(1))
    merged = rank_of(stack, rule)
    return Adapter(factors, merged, float(merged) if rule == "sum" else scale * merged)


def truncate(adapter: Adapter, rank: int) -> tuple[Adapter, float]:
    """The adapter of a smaller rank whose change of every weight matrix is nearest, by a truncated SVD of each.

    Returns
    -------
    The adapter, its scale 1, and the error: ‖ΔW − ΔW_r‖ / ‖ΔW‖ over all layers, in Frobenius norm, from 0 to 1.

    Raises
    ------
    BadInput : the rank is not from 1 to the adapter's own.
    """
    if not 1 <= rank <= adapter.rank:
        raise BadInput(f"rank {rank} is not possible; this mixture has rank {adapter.rank}, so give 1 to {adapter.rank}")
    factors, lost, whole = {}, 0.0, 0.0
    for path, (a, b) in adapter.factors.items():
        # ΔW = B A = Q_b (R_b R_aᵀ) Q_aᵀ: only a small matrix needs the SVD
        q_b, r_b = torch.linalg.qr(b.double() * adapter.scale)
        q_a, r_a = torch.linalg.qr(a.double().T)
        u, values, v = torch.linalg.svd(r_b @ r_a.T)
        root = values[:rank].sqrt()
        factors[path] = ((root[:, None] * (v[:rank] @ q_a.T)).float(), (q_b @ u[:, :rank] * root).float())
        lost += float(values[rank:].square().sum())
        whole += float(values.square().sum())
    return replace(adapter, factors=factors, rank=rank, alpha=float(rank)), math.sqrt(lost / whole) if whole else 0.0


def difference(adapter: Adapter, live: Mixing) -> float:
    """How far an adapter is from a mixture f: ‖f(x) − g(x)‖ / ‖f(x)‖ of what both add at random inputs x, over all layers."""
    stack = live.stack
    device = stack.a[0].device
    alone = Mixing(adapters.stack([adapter]).to(device), 1.0, "sum", "global")
    generator = torch.Generator().manual_seed(0)
    wrong = whole = 0.0
    with torch.inference_mode():
        for path in stack.paths:
            a, b = stack.pair(path)
            x, nothing = torch.randn(4, a.shape[1], generator=generator).to(device), torch.zeros(4, b.shape[0], device=device)
            wanted = live.add_to(nothing, x, path)
            wrong += float((alone.add_to(nothing, x, path) - wanted).square().sum())
            whole += float(wanted.square().sum())
    return math.sqrt(wrong / whole) if whole else math.sqrt(wrong)


def write(merged: Adapter, live: Mixing, folder: Path | str, base_name: str = "") -> Path:
    """Write an adapter that does what a live mixture does, read it again and compare, before it is called done.

    Its weights are float32: rounding to bf16 would make it differ.

    Raises
    ------
    MolorecError : what was read is not the live mixture; what stood in the folder before is still there.
    """
    folder = Path(folder)
    with whole_folder.replacing(folder) as made:
        adapters.write(merged, made, base_name, torch.float32)
        again = adapters.read(made, {path: (b.shape[0], a.shape[1]) for path, (a, b) in merged.factors.items()})
        found = difference(again, live)
        if not found <= TOLERANCE:
            raise MolorecError(f"what was written for {folder} is not the live mixture: what it adds differs by {found:.2g} of "
                               "its size; check the disk, and write it again")
    return folder


def export(sources: list[Adapter], stack: AdapterStack, lam, rule: str, folder: Path | str, base_name: str,
           rank: int | None = None) -> Path:
    """:func:`write` what :func:`merge` gives as a PEFT folder with a card that says what was mixed, at which λ.

    Parameters
    ----------
    rank : of the exported adapter, by :func:`truncate`; None for the exact one.
    """
    error, live = 0.0, Mixing(stack, lam, rule, "global")
    with memory_in_words():
        merged = merge(stack, lam, rule)
        if rank is not None:
            merged, error = truncate(merged, rank)
            live = Mixing(adapters.stack([merged]), 1.0, "sum", "global")
    last = sources[-1].card
    if last:
        grouped = isinstance(lam, Lam) and lam.granularity != "global"
        weights = [round(w, 6) for w in (lam.mean if grouped else Mixing(stack, lam, rule).weights.tolist())]
        note = {"λ": f"one for each of {len(lam.weights)} {lam.granularity}s; these weights are the means"} if grouped else {}
        merged.card = replace(last, role="merged", objective=f"mixture by rule '{rule}'", scores={}, steps=0, seconds=0.0,
                              device="", tuned_lam=None,
                              data={"mixed from": ", ".join(f"{s.name} × {w}" for s, w in zip(sources, weights, strict=True)),
                                    **note, **({"truncation error": round(error, 6)} if rank is not None else {})})
    return write(merged, live, folder, base_name)


def export_dense(stack: AdapterStack, lam, rule: str, base: Path, folder: Path | str, precision: str = "bfloat16") -> Path:
    """Write the base model with the mixture added to its weights, as a folder of transformers, whole or not at all.

    The sum is made in float32 on the base's own weights, never on 4-bit ones, and rounded once: to bfloat16, or through
    bfloat16 to NF4. Rounding loses part of a small ΔW (``benchmarks/merging.py``), which is why the live mixture keeps its
    adapters beside the base.

    Parameters
    ----------
    base : the base model's folder, at the precision it is published in.

    Raises
    ------
    BadInput : the base holds 4-bit weights, or needs more memory than is free; λ is none for these layers, or the rule does
        not fit the adapters.
    OSError : the folder cannot be written; what was there stays.
    """
    if precisions.is_packed(base):
        raise BadInput(f"{base} holds 4-bit weights, and a mixture is added to whole ones; give the model as it is published")
    merged = merge(stack, lam, rule)
    folder, device = Path(folder), torch.device("cpu")
    with whole_folder.replacing(folder) as made, tempfile.TemporaryDirectory(dir=made.parent) as work, memory_in_words():
        precisions.check_memory(base, "bfloat16", device)
        model = precisions.load_model(base, "bfloat16", device)
        with torch.no_grad():
            for path, (a, b) in merged.factors.items():
                weight = model.get_submodule(path).weight
                weight.copy_(weight.float() + merged.scale * (b @ a))
        tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
        if precision == "nf4":
            for part in (model, tokenizer):
                part.save_pretrained(work)
            model = precisions.load_model(Path(work), "nf4", torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        for part in (model, tokenizer):
            part.save_pretrained(made)
        weights = to_json(lam) if isinstance(lam, Lam) else Mixing(stack, lam, rule).weights.tolist()
        write_object(made / DENSE, {"weights": weights, "rule": rule, "precision": precision})
        for weights in made.glob("*.safetensors"):  # safetensors writes for its owner alone
            shutil.copymode(made / DENSE, weights)
    return folder
