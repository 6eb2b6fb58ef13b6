"""What ``molorec serve`` starts: a domain's mixtures as files, and vLLM's server that names them."""

import sys
from collections.abc import Sequence
from pathlib import Path

from molorec import tuning
from molorec.backbone import Backbone
from molorec.backends.server import name_of
from molorec.backends.vllm import LONGEST, MIXTURES
from molorec.errors import BadInput
from molorec.mixture import export
from molorec.mixture.lam import STEP, rounded, spread
from molorec.mixture.layer import Mixing
from molorec.mixture.mixture import Mixture

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM can be set up for


def export_mixtures(mixture: Mixture, rule: str, points: int, folder: Path) -> dict[str, Path]:
    """Export a domain's mixtures at equally spaced λ and those that tuning asks for; what a server is to call each → its folder.

    Raises
    ------
    BadInput : fewer than 2 points, or more than there are steps of λ; there are more than two adapters.
    """
    if len(mixture.adapters) > 2:
        raise BadInput(f"a server has mixtures of two adapters, not of {len(mixture.adapters)}; leave out --also")
    if not 2 <= points <= STEP + 1:
        raise BadInput(f"{points} points of λ cannot be served; give 2 to {STEP + 1}")
    lams = sorted({*(i / (points - 1) for i in range(points)), *tuning.nodes(tuning.LEVELS[-1])}) if mixture.is_pair else [1.0]
    made = {}
    for lam in lams:
        weights = rounded(spread(lam) if mixture.is_pair else [lam])
        name = name_of(mixture.stack.key, rule, weights)
        made[name] = export.write(export.merge(mixture.stack, weights, rule), Mixing(mixture.stack, weights, rule, "global"),
                                  folder / name)
    return made


def command(base: Backbone, mixtures: dict[str, Path], rank: int, port: int,
            more: Sequence[str] = ()) -> tuple[list[str], dict[str, str]]:
    """The command that serves mixtures of a rank to this machine alone, and what its environment must not allow.

    Parameters
    ----------
    more : options of vLLM's own; they cannot change what is set here, because the last of two options counts.

    Raises
    ------
    BadInput : vLLM takes no adapter of that rank.
    """
    size = next((size for size in RANKS if size >= rank), None)
    if size is None:
        raise BadInput(f"mixtures of rank {rank} are more than vLLM takes ({RANKS[-1]}); mix smaller adapters")
    names = sorted({path.rpartition(".")[2] for path in base.shapes})
    words = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *more, "--model", str(base.folder),
             "--served-model-name", base.name, "--host", "127.0.0.1", "--port", str(port),
             "--dtype", "float32" if base.precision == "float32" else "bfloat16",
             *(["--quantization", "bitsandbytes"] if base.precision == "nf4" else []),
             "--max-model-len", str(LONGEST), "--enable-prefix-caching", "--enable-lora", "--max-loras", str(MIXTURES),
             "--max-cpu-loras", str(max(MIXTURES, len(mixtures))),
             "--max-lora-rank", str(size), "--lora-target-modules", *names,
             "--lora-modules", *(f"{name}={folder.resolve()}" for name, folder in mixtures.items())]
    return words, {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "0"}
