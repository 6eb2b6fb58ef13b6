"""What is lost when a mixture is written into a model's weights, at 4 bits and at 16: ``python benchmarks/merging.py``.

Every way ranks the same lists at the same λ, beside the mixture over the base in float32. "Kept beside" is what MoLoRec
does: adapters in float32 or bfloat16 beside an untouched base.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from bitsandbytes.nn import Params4bit

from molorec import backbone
from molorec.backends import Row
from molorec.backends.local import Local
from molorec.catalog import Catalog
from molorec.datasets import ensure_movielens
from molorec.engine import Engine
from molorec.mixture import export
from molorec.mixture.layer import MixtureLinear
from molorec.precision import unpacked

DOMAIN = "movielens-1m"


def merged_into_4_bits(base: backbone.Backbone, merged) -> None:
    """Add ΔW to the 4-bit weights and round the sum to 4 bits again, as merging into a loaded 4-bit model does."""
    for path, (a, b) in merged.factors.items():
        layer = base.model.get_submodule(path).base
        weight = unpacked(layer.weight) + merged.scale * (b @ a)
        layer.weight = Params4bit(weight.to(torch.bfloat16), requires_grad=False, quant_type="nf4", compress_statistics=True,
                                  quant_storage=torch.uint8, module=layer).to("cpu")


def surviving(quantised: backbone.Backbone, base: backbone.Backbone, merged) -> float:
    """How much of ΔW is there after rounding: 1 − ‖(Q(W + ΔW) − Q(W)) − ΔW‖ / ‖ΔW‖ over all layers; 1 is all of it."""
    wrong = whole = 0.0
    for path, (a, b) in merged.factors.items():
        change = merged.scale * (b @ a)
        found = weight_of(quantised, path) - weight_of(base, path)
        wrong += float((found - change).square().sum())
        whole += float(change.square().sum())
    return 1 - (wrong / whole) ** 0.5


def weight_of(base: backbone.Backbone, path: str) -> torch.Tensor:
    module = base.model.get_submodule(path)
    return unpacked((module.base if isinstance(module, MixtureLinear) else module).weight)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=int, default=40)
    parser.add_argument("--lam", type=float, default=0.5)
    arguments = parser.parse_args()
    catalog = Catalog()
    ensure_movielens(catalog)
    whole = Engine.start(catalog=catalog, precision="float32")
    mixture = whole.mixture(DOMAIN)
    packed = [whole.pack(mixture, example) for example in catalog.examples(DOMAIN, "quick", limit=arguments.lists)]
    weights = [arguments.lam, 1 - arguments.lam]
    merged = export.merge(mixture.stack, weights, "sum")

    def probabilities(base: backbone.Backbone, weights: list[float] | None) -> list[np.ndarray]:
        stack = mixture.stack.to(base.dtype)
        backend = Local(base.model)
        return [backend.score([Row(entry, weights)], stack, "sum")[0].exp().double().numpy() for entry in packed]

    reference = probabilities(whole.base, weights)

    def report(name: str, base: backbone.Backbone, weights: list[float] | None, kept: float | None) -> None:
        found = probabilities(base, weights)
        pairs = list(zip(reference, found, strict=True))
        print(json.dumps({
            "way": name, "mean |Δp|": round(float(np.mean([np.abs(p - q).mean() for p, q in pairs])), 5),
            "largest |Δp|": round(float(max(np.abs(p - q).max() for p, q in pairs)), 3),
            "KL (nat)": round(float(np.mean([(p * np.log(p / q)).sum() for p, q in pairs])), 4),
            "same first": round(float(np.mean([p.argmax() == q.argmax() for p, q in pairs])), 3),
            "ΔW that survives": None if kept is None else round(kept, 3)}, ensure_ascii=False), flush=True)

    folder = whole.base.folder
    half, four = (backbone.load(folder, precision=name) for name in ("bfloat16", "nf4"))
    report("bfloat16 base, adapters kept beside", half, weights, None)
    report("4-bit base, adapters kept beside", four, weights, None)
    with tempfile.TemporaryDirectory() as work:
        dense = export.export_dense(mixture.stack, weights, "sum", folder, Path(work) / "dense")
        model = backbone.load(dense, precision="bfloat16")
        report("merged into the base, rounded to bfloat16", model, None, surviving(model, half, merged))
        model = backbone.load(dense, precision="nf4")
        report("merged into the base, then rounded to 4 bits", model, None, surviving(model, four, merged))
    model = backbone.load(folder, precision="nf4")
    merged_into_4_bits(model, merged)
    report("merged into the 4-bit base, rounded again", model, None, surviving(model, four, merged))


if __name__ == "__main__":
    main()
