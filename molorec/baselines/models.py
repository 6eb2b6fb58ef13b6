"""The baselines by name: how each is trained unless told otherwise, and what a search tries."""

from dataclasses import dataclass

from molorec.baselines.bpr_mf import BprMf
from molorec.baselines.fmlp_rec import FmlpRec
from molorec.baselines.gru4rec import Gru4Rec
from molorec.baselines.model import Baseline, Recipe
from molorec.baselines.sasrec import SasRec
from molorec.baselines.unisrec import TextSequential, UniSRec
from molorec.baselines.vq_rec import VqRec
from molorec.errors import BadInput


@dataclass(frozen=True)
class Kind:
    """A kind of baseline.

    Attributes
    ----------
    name : as a table shows it.
    recipe : what it is trained with unless told otherwise.
    grid : what a search changes in it, one training each; the recipe as it is comes first.
    halving : epochs after which the search keeps the best training alone.
    """

    name: str
    model: type[Baseline]
    recipe: Recipe
    grid: tuple[dict, ...]
    halving: int

    @property
    def reads_titles(self) -> bool:
        """Whether it needs the titles' vectors."""
        return issubclass(self.model, TextSequential)


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
}


def kind(name: str) -> Kind:
    """The kind called ``name``. Raises BadInput if there is none."""
    if name not in KINDS:
        raise BadInput(f"there is no baseline '{name}'; choose one of: {', '.join(KINDS)}")
    return KINDS[name]
