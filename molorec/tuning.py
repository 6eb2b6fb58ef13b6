"""Choosing λ without labels: the λ at which the model is least uncertain (eq. 9-10 of the paper).

For one global λ the mean entropy H(λ) over the prompts is smooth, so it is measured at nested Chebyshev-Lobatto
nodes (3, then 5, then 9), interpolated, and its global minimum taken: no learning rate, no local minimum, and the
whole curve to look at. Prompts arrive in small batches; a bootstrap over prompts says how sure the curve and its
minimum are.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.polynomial.chebyshev import Chebyshev, chebpts2

from molorec.catalog import RankingExample
from molorec.engine import Engine
from molorec.entropy import Meter, in_a_word
from molorec.errors import BadInput
from molorec.mixture.rule import DEFAULT_RULE

LEVELS = (3, 5, 9)
PROMPTS = 50
SETTINGS = ("warm", "new-item")
GRID = np.linspace(0.0, 1.0, 201)
RESAMPLES = 200
# The curve has settled when a finer set of nodes moves it less than this, in nats.
CURVE_TOLERANCE = 0.005
# Prompts suffice when 95% of the resampled minima lie within this width of λ ...
LAM_TOLERANCE = 0.04
# ... or when choosing wrongly among them would cost less than this, in nats.
ENTROPY_TOLERANCE = 0.001
LEAST_PROMPTS = 20
INSIDE = (0.05, 0.95)


@dataclass(frozen=True)
class TuningStep:
    """What tuning knows after another prompt.

    Attributes
    ----------
    lam : the best λ so far; entropy : the mean entropy there, in nats.
    entropy_start : the mean entropy at λ = ½.
    curve : (λ, mean entropy) at the nodes, by λ.
    grid, mean, low, high : the interpolated curve and its 95% band over prompts, each of shape (201,).
    lam_low, lam_high : 95% of the resampled minima lie between them.
    prompts, total : prompts behind the curve, and how many there are.
    forwards : rankings made so far.
    settled : tuning has ended by itself; finer nodes or more prompts would not move λ.
    objective : what was made small, see :class:`molorec.entropy.Meter`. Where it is "contrast", ``entropy`` and the curve are
        differences, and ``lam`` is the mean of the resampled minima: each prompt says so little that the minimum of the mean
        curve is a matter of chance, and where the prompts do not tell at all, the mean is near ½.
    """

    lam: float
    entropy: float
    entropy_start: float
    curve: tuple[tuple[float, float], ...]
    grid: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    lam_low: float
    lam_high: float
    prompts: int
    total: int
    forwards: int
    seconds: float
    settled: bool
    objective: str = "candidates"

    @property
    def by(self) -> str:
        """What was made small, in a word."""
        return in_a_word(self.objective)

    @property
    def verdict(self) -> str:
        """The result in words; a minimum at an end is not called a mixture."""
        if self.by == "contrast" and self.lam_low < INSIDE[0] and self.lam_high > INSIDE[1]:
            return "these prompts do not tell: the best λ may be anywhere, so this is the mean of what they say"
        if self.lam > INSIDE[1]:
            return f"{self.by} prefers the general adapter alone"
        if self.lam < INSIDE[0]:
            return f"{self.by} prefers the specific adapter alone"
        return ("the model is least uncertain with a mixture of both" if self.by == "entropy" else
                "contrast prefers a mixture of both")


def nodes(count: int) -> np.ndarray:
    """Chebyshev-Lobatto points on [0, 1], which hold 0, ½ and 1 and those of every coarser level.

    >>> nodes(3).tolist()
    [0.0, 0.5, 1.0]
    >>> bool(np.isin(nodes(5).round(9), nodes(9).round(9)).all())
    True
    """
    return np.round((chebpts2(count) + 1) / 2, 12)


def interpolation(count: int, points: np.ndarray = GRID) -> np.ndarray:
    """The matrix (points, count) from values at :func:`nodes` to their interpolating polynomial's values."""
    at = nodes(count)
    return np.stack([Chebyshev.fit(at, unit, deg=count - 1, domain=[0, 1])(points) for unit in np.eye(count)], axis=1)


def minimise(entropies: Callable[[RankingExample, Sequence[float]], Sequence[float]], examples: Sequence[RankingExample],
             batch: int = 5, seed: int = 0, objective: str = "candidates") -> Iterator[TuningStep]:
    """Search the λ of least mean entropy, yielding after every prompt; close the iterator to stop.

    Parameters
    ----------
    entropies : the entropies in nats of one unlabelled example at several λ.
    examples : the prompts, none with a target.
    objective : what those entropies are.

    Raises
    ------
    BadInput : there are no examples, or one has a target.
    """
    if not examples:
        raise BadInput("there are no prompts to tune on")
    if any(example.target is not None for example in examples):
        raise BadInput("tuning takes unlabelled prompts only; pass example.unlabelled()")
    started, forwards = time.perf_counter(), 0
    rng = np.random.default_rng(seed)
    measured: list[dict[float, float]] = []  # for each prompt: λ → entropy
    level, calm, step = 0, 0, None

    def summary(known: Sequence[dict[float, float]]) -> TuningStep:
        return _summary(known, level, len(examples), forwards, time.perf_counter() - started, rng, objective)

    for first in range(0, len(examples), batch):
        measured.extend({} for _ in examples[first : first + batch])
        while True:
            for i, (example, known) in enumerate(zip(examples, measured, strict=False)):
                missing = [lam for lam in nodes(LEVELS[level]).tolist() if lam not in known]
                if missing:
                    known.update(zip(missing, entropies(example, missing), strict=True))
                    forwards += len(missing)
                    # a word after each prompt, so that whoever listens can stop here
                    if level == 0:
                        step = summary(measured[: i + 1])
                    yield replace(step, forwards=forwards, seconds=time.perf_counter() - started)
            step = summary(measured)
            if level + 1 == len(LEVELS) or (level and _agrees(measured, level)):
                break
            level += 1
        sure = step.lam_high - step.lam_low <= LAM_TOLERANCE or _is_flat_between(step)
        calm = calm + 1 if sure and step.prompts >= LEAST_PROMPTS else 0
        settled = calm >= 2 or step.prompts == len(examples)
        yield replace(step, settled=settled)
        if settled:
            return


def check_setting(setting: str) -> None:
    """Raises BadInput if no prompts of the setting may be tuned on: which titles stand in a harder list says something of its
    truth, and validation lists are another step's."""
    if setting not in SETTINGS:
        raise BadInput(f"λ is tuned on prompts of the settings {' and '.join(SETTINGS)}, not '{setting}'")


def tune(engine: Engine, domain: str, prompts: int = PROMPTS, rule: str = DEFAULT_RULE, setting: str = "warm",
         examples: Sequence[RankingExample] | None = None, objective: str = "candidates",
         tokens: int | None = None) -> Iterator[TuningStep]:
    """Tune the global λ of a domain's two adapters on its ``tune`` users' prompts, whose targets nobody looks at.

    Parameters
    ----------
    examples : prompts in place of those.
    objective, tokens : which entropy, see :class:`molorec.entropy.Meter`.

    Raises
    ------
    BadInput : the domain is unknown, has not two adapters, or has no such prompts; the objective cannot be measured.
    """
    count = len(engine.mixture(domain).adapters)
    if count == 1:
        raise BadInput("this domain has one adapter only, so there is no λ to tune")
    if count > 2:
        raise BadInput(f"one number is no λ of {count} adapters; molorec.descent tunes their weights")
    if prompts < 1:
        raise BadInput(f"{prompts} prompts are too few; give at least 1")
    check_setting(setting)
    found = examples if examples is not None else engine.catalog.examples(domain, "tune", setting, limit=prompts)
    return minimise(Meter(engine, domain, rule, objective, tokens, found).at, found, objective=objective)


def _values(measured: Sequence[dict[float, float]], level: int) -> np.ndarray:
    at = nodes(LEVELS[level]).tolist()
    return np.array([[known[lam] for lam in at] for known in measured])


def _agrees(measured: Sequence[dict[float, float]], level: int) -> bool:
    """Whether this level's interpolant says the same as the coarser one's."""
    finer = interpolation(LEVELS[level]) @ _values(measured, level).mean(axis=0)
    coarser = interpolation(LEVELS[level - 1]) @ _values(measured, level - 1).mean(axis=0)
    return float(np.abs(finer - coarser).max()) <= CURVE_TOLERANCE


def _is_flat_between(step: TuningStep) -> bool:
    between = (step.grid >= step.lam_low) & (step.grid <= step.lam_high)
    return float(step.mean[between].max() - step.entropy) <= ENTROPY_TOLERANCE if between.any() else True


@dataclass(frozen=True)
class Resampled:
    """A curve of mean entropy and its minimum, with what resampling the prompts makes of both (95%).

    Attributes
    ----------
    mean, low, high : at :data:`GRID`, (201,). lam : the minimum; from ``lam_low`` to ``lam_high`` lie the resampled ones, and
        ``lam_mean`` is their mean.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    lam: float
    lam_low: float
    lam_high: float
    lam_mean: float


def resampled(values: np.ndarray, rng: np.random.Generator) -> Resampled:
    """The curve behind entropies (prompts, count) at :func:`nodes`."""
    matrix = interpolation(values.shape[1])
    mean = matrix @ values.mean(axis=0)
    draws = rng.integers(0, len(values), (RESAMPLES, len(values)))
    curves = values[draws].mean(axis=1) @ matrix.T
    low, high = np.quantile(curves, [0.025, 0.975], axis=0)
    minima = GRID[curves.argmin(axis=1)]
    lam_low, lam_high = np.quantile(minima, [0.025, 0.975])
    return Resampled(mean, low, high, float(GRID[mean.argmin()]), float(lam_low), float(lam_high), float(minima.mean()))


def _summary(measured: Sequence[dict[float, float]], level: int, total: int, forwards: int, seconds: float,
             rng: np.random.Generator, objective: str) -> TuningStep:
    values = _values(measured, level)
    found = resampled(values, rng)
    lam = found.lam_mean if objective == "contrast" else found.lam
    at = nodes(LEVELS[level])
    return TuningStep(
        lam=lam, entropy=float(np.interp(lam, GRID, found.mean)), entropy_start=float(np.interp(0.5, GRID, found.mean)),
        curve=tuple(zip(at.tolist(), values.mean(axis=0).tolist(), strict=True)), grid=GRID, mean=found.mean, low=found.low,
        high=found.high, lam_low=found.lam_low, lam_high=found.lam_high, prompts=len(values), total=total,
        forwards=forwards, seconds=seconds, settled=False, objective=objective)
