"""Entropies that were measured, prompt by prompt: what λ would have been learned from how many of them, warm or new-item.

Tuning stops once more prompts would not move λ. To say how many are needed (figure 5 of the paper), and how λ differs between
settings (figure 4), all prompts are measured at all nodes, once, and kept.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from molorec import tuning, whole_file
from molorec.engine import Engine
from molorec.entropy import Meter
from molorec.errors import BadFile, BadInput, MolorecError
from molorec.evaluation import kept, protocol, rows
from molorec.mixture.rule import DEFAULT_RULE

SCHEMA = 1
COUNTS = (10, 25, 50, 100)  # of prompts, as in figure 5
_MOST_BYTES = 2**20


@dataclass(frozen=True)
class Learned:
    """The λ of least mean entropy on the first ``prompts`` prompts; 95% of resampled ones lie from ``low`` to ``high``."""

    prompts: int
    lam: float
    low: float
    high: float


@dataclass(frozen=True)
class Entropies:
    """Entropies of one domain's prompts at the nodes of the search for λ.

    Attributes
    ----------
    values : in nats, (prompts, 9), in the order of the ``tune`` users and of :func:`molorec.tuning.nodes`.
    made_with : see :func:`molorec.evaluation.rows.facts`.

    Raises
    ------
    ValueError : a value is not as above.
    """

    domain: str
    setting: str
    values: tuple[tuple[float, ...], ...]
    made_with: dict

    def __post_init__(self) -> None:
        if not rows.is_name(self.domain) or self.setting not in tuning.SETTINGS or not isinstance(self.made_with, dict):
            raise ValueError(f"domain {self.domain!r}, setting {self.setting!r}")
        values = np.array(self.values, float)
        if values.ndim != 2 or values.shape[1] != tuning.LEVELS[-1] or not len(values):
            raise ValueError(f"there are {values.shape} entropies; (prompts, {tuning.LEVELS[-1]}) are needed")
        if not np.isfinite(values).all() or (values < 0).any():
            raise ValueError("an entropy is no number from 0 on")
        object.__setattr__(self, "values", tuple(map(tuple, values.tolist())))

    def learned(self, prompts: int) -> Learned:
        """What tuning on the first so many prompts finds. Raises BadInput if there are not so many."""
        if not 1 <= prompts <= len(self.values):
            raise BadInput(f"{prompts} prompts were asked for, {len(self.values)} were measured")
        found = tuning.resampled(np.array(self.values[:prompts]), np.random.default_rng(0))
        return Learned(prompts, found.lam, found.lam_low, found.lam_high)

    def by_count(self) -> list[Learned]:
        """From 10, 25 and 50 prompts, as far as there are so many, and from all of them, 100 at most."""
        most = min(COUNTS[-1], len(self.values))
        return [self.learned(count) for count in (*(count for count in COUNTS if count < most), most)]


def measure(engine: Engine, domain: str, setting: str = "warm", prompts: int = COUNTS[-1], rule: str = DEFAULT_RULE,
            command: str = "molorec entropies", on_prompt: Callable[[int, int], None] = lambda done, total: None) -> Entropies:
    """Measure the entropy over candidates of a domain's ``tune`` prompts at all nodes.

    Raises
    ------
    BadInput : the domain is unknown, has not two adapters, or has no such prompts.
    """
    if not engine.mixture(domain).is_pair:
        raise BadInput(f"'{domain}' has not two adapters, so there is no λ to learn")
    tuning.check_setting(setting)
    if prompts < 1:
        raise BadInput(f"{prompts} prompts are too few; give at least 1")
    examples = engine.catalog.examples(domain, "tune", setting, limit=prompts)
    if not examples:
        raise BadInput(f"domain '{domain}' has no prompts in the setting '{setting}'")
    meter, values = Meter(engine, domain, rule), []
    for example in examples:
        values.append(tuple(round(value, 5) for value in meter.at(example, tuning.nodes(tuning.LEVELS[-1]).tolist())))
        on_prompt(len(values), len(examples))
    facts = rows.facts(command, protocol.PACKAGES, base=engine.base.name, base_sha256=engine.base.sha256,
                       precision=engine.base.precision, rule=rule,
                       adapters={adapter.name: adapter.sha256 for adapter in engine.mixture(domain).adapters})
    return Entropies(domain, setting, tuple(values), facts)


def save(found: Entropies, to: Path | None = None) -> Path:
    """Write entropies below ``to`` (by default where rows are kept). Those of the same domain and setting that are there go to
    ``to/earlier``, unless these are the same prompts' again and more.

    Raises
    ------
    MolorecError : they cannot be written.
    """
    place = to or rows.folder()
    path = _path(found, place)
    with suppress(BadFile):  # none there, or one that cannot be used
        before = read(path)
        if found.values[: len(before.values)] != before.values:
            kept.set_aside(path, place)
    lines = ",\n".join(json.dumps(list(line)) for line in found.values)
    head = json.dumps({"schema": SCHEMA, **vars(found), "values": []}, ensure_ascii=False)
    try:
        return whole_file.write(path, head.replace('"values": []', f'"values": [\n{lines}]') + "\n")
    except OSError as error:
        raise MolorecError(f"the entropies could not be kept in {path.parent} ({error}); make room there") from error


def load(place: Path | None = None) -> tuple[list[Entropies], list[str]]:
    """All entropies below a folder, and in words what could not be read."""
    return kept.readable(place or rows.folder(), "*/entropies-*.json", read)


def read(file: Path) -> Entropies:
    """One file. Raises BadFile, with the reason, if it cannot be used."""
    return kept.read(file, lambda content: Entropies(**content), schema=SCHEMA, most=_MOST_BYTES, name=str(file),
                     mend="delete it and run `molorec entropies` again")


def _path(found: Entropies, to: Path) -> Path:
    return to / found.domain / f"entropies-{found.setting}.json"
