"""λ as a value: one for all layers, or one for each layer or each module; how it is kept, compared and put into words.

A number is the λ of two adapters that holds in all layers: the weight of the first (general), the second (specific) having
the rest. A :class:`Lam` is every other λ, and can stand wherever a number can.
"""

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from molorec.errors import BadFile, BadInput
from molorec.mixture.rule import as_weights

GRANULARITIES = ("global", "layer", "module")  # from coarse to fine
ALL = "all"  # the one group of a global λ
STEP = 10_000  # weights are kept to a ten-thousandth: ``LOG.md`` says what a thousandth costs
_NUMBER = re.compile(r"(\d+)")
_DIGITS = 10  # a longer run of digits numbers no layer


@dataclass(frozen=True)
class Lam:
    """One weight vector for each group of layers. Hashable; equal to another of the same weights in any order.

    Attributes
    ----------
    granularity : "global" (one group, "all"), "layer" (a group is a layer's number) or "module" (a linear layer's path).
    weights : (group, weights of the K adapters in [0, 1], summing to 1), in natural order of the groups.

    Raises
    ------
    BadInput : there is no such granularity or no group, a group stands there twice, or a vector is no λ.

    >>> Lam("layer", {"1": [0.25, 0.75], "0": [1, 0]}).weights
    (('0', (1.0, 0.0)), ('1', (0.25, 0.75)))
    """

    granularity: str
    weights: tuple[tuple[str, tuple[float, ...]], ...]

    def __post_init__(self):
        if self.granularity not in GRANULARITIES:
            raise BadInput(f"there is no granularity '{self.granularity}'; choose one of: {', '.join(GRANULARITIES)}")
        pairs = self.weights.items() if isinstance(self.weights, Mapping) else self.weights
        checked = tuple(sorted(((group, _checked(group, values)) for group, values in pairs), key=_natural))
        if not checked:
            raise BadInput("a saved λ holds no weights")
        if len({group for group, _ in checked}) < len(checked):
            raise BadInput("a saved λ names a group of layers twice")
        if self.granularity == "global" and [group for group, _ in checked] != [ALL]:
            raise BadInput(f"a global λ has one weight vector, called '{ALL}', not {_few(group for group, _ in checked)}")
        counts = {len(values) for _, values in checked}
        if len(counts) > 1:
            raise BadInput(f"a saved λ has weights of {' and '.join(map(str, sorted(counts)))} adapters; all groups need as many")
        object.__setattr__(self, "weights", checked)

    @classmethod
    def of(cls, granularity: str, groups: Sequence[str], weights: Tensor) -> "Lam":
        """The λ of a tensor (groups, K), to the nearest ten-thousandth, so that what is saved is what was measured."""
        rows = weights.detach().to("cpu").double().tolist()
        return cls(granularity, tuple((group, rounded(row)) for group, row in zip(groups, rows, strict=True)))

    @property
    def adapters(self) -> int:
        """K: how many adapters it weighs."""
        return len(self.weights[0][1])

    @property
    def mean(self) -> tuple[float, ...]:
        """Each adapter's weight, averaged over the groups."""
        return tuple(sum(column) / len(self.weights) for column in zip(*(values for _, values in self.weights), strict=True))

    def by_group(self) -> dict[str, tuple[float, ...]]:
        """Group → weights (K,)."""
        return dict(self.weights)


AnyLam = float | Lam


def rounded(weights: Sequence[float]) -> tuple[float, ...]:
    """Weights to the nearest ten-thousandth; they sum to 1 as before.

    >>> rounded([0.333349, 0.666651]), rounded([1 / 3, 1 / 3, 1 / 3])
    ((0.3333, 0.6667), (0.3333, 0.3334, 0.3333))
    """
    ends = [0, *(round(total * STEP) for total in itertools.accumulate(weights))]
    return tuple((end - start) / STEP for start, end in itertools.pairwise(ends))


def spread(lam: AnyLam) -> "Lam | list[float]":
    """λ with a weight for each adapter: a number becomes those of two.

    >>> spread(0.25)
    [0.25, 0.75]
    """
    return lam if isinstance(lam, Lam) else [lam, 1 - lam]


def to_saved(lam: AnyLam) -> dict:
    """λ in the form in which it is kept, whatever its granularity.

    >>> to_saved(0.25)
    {'granularity': 'global', 'weights': {'all': [0.25, 0.75]}}
    """
    if not isinstance(lam, Lam):
        return {"granularity": "global", "weights": {ALL: list(rounded(spread(lam)))}}
    return {"granularity": lam.granularity, "weights": {group: list(values) for group, values in lam.weights}}


def from_saved(saved: object) -> AnyLam:
    """The λ behind :func:`to_saved`: a number for the one λ of two adapters. Raises BadInput if it is none.

    >>> from_saved(to_saved(0.25))
    0.25
    """
    weights = saved.get("weights") if isinstance(saved, dict) else None
    if not isinstance(weights, dict) or not isinstance(saved.get("granularity"), str):
        raise BadInput(f"{str(saved)[:80]} is no saved λ; one looks like {json.dumps(to_saved(0.25))}")
    return simplest(Lam(saved["granularity"], weights))


def simplest(lam: AnyLam) -> AnyLam:
    """A number for the one λ of two adapters, so that equal λ are equal; everything else as it is."""
    if isinstance(lam, Lam) and lam.granularity == "global" and lam.adapters == 2:
        return lam.weights[0][1][0]
    return lam


def to_json(lam: AnyLam | None) -> float | dict | None:
    """λ as a JSON document holds it: a number, a saved λ, or nothing for the base model alone."""
    return to_saved(lam) if isinstance(lam, Lam) else lam


def from_json(value: object) -> AnyLam | None:
    """What :func:`to_json` gave. Raises BadInput if it is no λ."""
    if value is None or isinstance(value, dict):
        return None if value is None else from_saved(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(f"λ is {value!r}; it is a number from 0 to 1, or a saved λ")
    as_weights(value)
    return float(value)


def read(path: Path) -> tuple[AnyLam, dict[str, str]]:
    """The λ in a file that ``molorec tune --out`` wrote or that holds a saved λ alone, and for which domain and rule it was
    tuned, as far as the file says so. Raises BadFile if it holds none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadFile(path, f"it cannot be read ({error}); give a file that `molorec tune --out` wrote") from error
    try:
        if not isinstance(content, dict) or content.get("lam") is None:
            return from_saved(content), {}
        return from_json(content["lam"]), {fact: str(content[fact]) for fact in ("domain", "rule") if fact in content}
    except BadInput as error:
        raise BadFile(path, f"it holds no λ: {error}") from error


def general(lam: AnyLam) -> float:
    """The weight of the general adapter, averaged over the layers.

    >>> general(0.25), general(Lam("layer", {"0": [1, 0], "1": [0.5, 0.5]}))
    (0.25, 0.75)
    """
    return lam.mean[0] if isinstance(lam, Lam) else lam


def short(lam: AnyLam | None) -> str:
    """λ for a column of a table; a mean is marked as one.

    >>> short(0.25), short(Lam("layer", {"0": [1, 0], "1": [0.5, 0.5]})), short(None)
    ('0.25', '~0.75', '')
    """
    return "" if lam is None else f"{'~' if isinstance(lam, Lam) and lam.granularity != 'global' else ''}{general(lam):.2f}"


def in_words(lam: AnyLam) -> str:
    """λ for a sentence.

    >>> in_words(0.25)
    'λ = 0.25'
    >>> in_words(Lam("layer", {"0": [1, 0], "1": [0.5, 0.5]}))
    'a λ for each of 2 layers (0.75 on average)'
    >>> in_words(Lam("global", {"all": [0.2, 0.3, 0.5]}))
    'λ = (0.2, 0.3, 0.5)'
    """
    if not isinstance(lam, Lam):
        return f"λ = {lam:g}"
    if lam.granularity == "global":
        return f"λ = ({', '.join(f'{weight:g}' for weight in lam.mean)})"
    mean = f"{lam.mean[0]:.2f}" if lam.adapters == 2 else f"({', '.join(f'{weight:.2f}' for weight in lam.mean)})"
    return f"a λ for each of {len(lam.weights)} {lam.granularity}s ({mean} on average)"


def _checked(group: object, values: object) -> tuple[float, ...]:
    if not isinstance(group, str) or not isinstance(values, list | tuple) or not values or not all(map(_is_number, values)):
        raise BadInput(f"a saved λ has {values!r} for '{group}'; it needs the adapters' weights, such as [0.25, 0.75]")
    try:
        as_weights(values, len(values))
    except BadInput as error:
        raise BadInput(f"{group}: {error}") from error
    return tuple(min(1.0, max(0.0, float(value))) for value in values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _natural(pair: tuple[str, object]) -> list:
    """Layer 2 before layer 10."""
    return [(int(part), "") if part.isdecimal() and len(part) < _DIGITS else (-1, part) for part in _NUMBER.split(pair[0])]


def _few(names: Iterable[str]) -> str:
    first = list(itertools.islice(names, 4))
    return ", ".join(f"'{name}'" for name in first[:3]) + (" …" if len(first) > 3 else "")
