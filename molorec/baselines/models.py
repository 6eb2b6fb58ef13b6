"""The baselines by name: how each is trained unless told otherwise, and what a search tries."""

from dataclasses import dataclass

from molorec.baselines.bpr_mf import BprMf
from molorec.baselines.fmlp_rec import FmlpRec
from molorec.baselines.gru4rec import Gru4Rec
from molorec.baselines.language.model import LanguageBaseline
from molorec.baselines.language.p5 import P5Style
from molorec.baselines.language.recformer import RecFormerStyle
from molorec.baselines.language.tallrec import TallRecStyle
from molorec.baselines.language.top_five import TopFive
from molorec.baselines.model import Baseline, Recipe
from molorec.baselines.sasrec import SasRec
from molorec.baselines.unisrec import TextSequential, UniSRec
from molorec.baselines.vq_rec import VqRec
from molorec.errors import BadInput
from molorec.evaluation.rows import SPLITS


@dataclass(frozen=True)
class Kind:
    """A kind of baseline.

    Attributes
    ----------
    name : as a table shows it.
    recipe : what it is trained with unless told otherwise.
    grid : what a search changes in it, one training each; the recipe as it is comes first.
    halving : epochs after which the search keeps the best training alone.
    validation_lists : the most that epochs are chosen on unless told otherwise.
    splits : whose lists are ranked unless told otherwise.
    """

    name: str
    model: type[Baseline]
    recipe: Recipe
    grid: tuple[dict, ...]
    halving: int
    validation_lists: int = 3_000
    splits: tuple[str, ...] = SPLITS

    @property
    def reads_titles(self) -> bool:
        """Whether it needs the titles' vectors."""
        return issubclass(self.model, TextSequential)

    @property
    def is_on_backbone(self) -> bool:
        """Whether it is an adapter of a language model, which it needs."""
        return issubclass(self.model, LanguageBaseline)


def _on_backbone(name: str, model: type[LanguageBaseline], recipe: Recipe, validation_lists: int) -> Kind:
    return Kind(name, model, recipe, ({}, {"rate": 1e-3}), 2, validation_lists, ("quick",))


# An epoch of those on a language model is 30,000 to 40,000 tokens, two or three minutes of one slow core; each validation list
# costs a forward pass, and for Top-5-generated some seventy more.
_SHORT = {"dropout": 0.05, "rate": 5e-4, "epochs": 8, "patience": 3}

KINDS = {
    "bpr-mf": Kind("BPR-MF", BprMf, Recipe(loss="bpr", batch=8192, rate=1e-2, l2=1e-3, epochs=200, patience=8),
                   ({}, {"l2": 1e-2}, {"l2": 2e-2}, {"l2": 1e-4}), 80),
    "gru4rec": Kind("GRU4Rec", Gru4Rec, Recipe(blocks=1, rate=5e-3, epochs=100),
                    ({}, {"dropout": 0.5}, {"rate": 2e-3}), 6),
    "sasrec": Kind("SASRec", SasRec, Recipe(batch=64, rate=2e-3),
                   ({}, {"dropout": 0.5}, {"dropout": 0.5, "rate": 1e-3}), 4),
    "fmlp-rec": Kind("FMLP-Rec", FmlpRec, Recipe(length=50, batch=256, examples=100_000),
                     ({}, {"dropout": 0.5}, {"rate": 3e-3}), 3),
    "unisrec": Kind("UniSRec", UniSRec, Recipe(heads=2, batch=256),
                    ({}, {"identity": True}, {"identity": True, "dropout": 0.5}), 5),
    "vq-rec": Kind("VQ-Rec", VqRec, Recipe(heads=2, batch=256), ({}, {"dropout": 0.5}, {"rate": 3e-3}), 5),
    "p5": _on_backbone("P5-style", P5Style, Recipe(length=20, batch=8, examples=256, **_SHORT), 150),
    "tallrec": _on_backbone("TALLRec-style", TallRecStyle, Recipe(length=10, batch=4, examples=88, negatives=3, **_SHORT), 60),
    "recformer": _on_backbone("RecFormer-style", RecFormerStyle,
                              Recipe(length=10, batch=8, examples=88, negatives=64, **_SHORT), 100),
    "top-5": _on_backbone("Top-5-generated", TopFive, Recipe(length=10, batch=4, examples=64, **_SHORT), 30),
}


def kind(name: str) -> Kind:
    """The kind called ``name``. Raises BadInput if there is none."""
    if name not in KINDS:
        raise BadInput(f"there is no baseline '{name}'; choose one of: {', '.join(KINDS)}")
    return KINDS[name]
