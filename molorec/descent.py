"""λ for each layer or each module, and the weights of three adapters and more: by the gradient of the entropy.

It begins at the one λ for all layers that is best, which :mod:`molorec.tuning` finds without a gradient (for three adapters and
more, the best point of a lattice), moved off the ends, because a softmax cannot leave one. From there Adam moves a free number
for each weight, whose softmax λ is; base and adapters stay as they are. Prompts that take no part in it say when to stop: where
their entropy no longer falls, what is learned is the prompts, not the domain. Low entropy can still be sure and wrong, so every
step says where it began.

Not done, and why: a term that rewards answers that differ from prompt to prompt needs probabilities over one set of answers, and
each prompt has candidates of its own.
"""

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from molorec.catalog import RankingExample
from molorec.engine import Engine
from molorec.entropy import Meter, in_a_word, middle
from molorec.errors import BadInput
from molorec.mixture.lam import ALL, GRANULARITIES, AnyLam, Lam, simplest
from molorec.mixture.rule import DEFAULT_RULE
from molorec.tuning import INSIDE, PROMPTS, check_setting, minimise

LEAST_PROMPTS = 4
LATTICE = 4  # steps of a weight from 0 to 1


@dataclass(frozen=True)
class Settings:
    """How the descent goes.

    Attributes
    ----------
    rate : Adam's; about how far the logit of a weight moves in a step.
    batch : prompts of a step; rounds : at most so many passes over the prompts.
    held_out : share of the prompts that only say when to stop.
    patience : it ends after so many rounds without a held-out entropy lower by ``tolerance``, in nats.
    keep : share of the other prompts to learn from, the surest where the descent begins; below 1 the least sure are dropped,
        whose gradients are largest and say least.
    seed : of the prompts' order.
    """

    rate: float = 0.1
    batch: int = 5
    rounds: int = 12
    held_out: float = 0.25
    patience: int = 2
    tolerance: float = 0.001
    keep: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class DescentStep:
    """What tuning knows so far.

    Attributes
    ----------
    lam : the best λ so far, by the held-out prompts.
    first : the best λ for all layers, known so far; entropy_first : the mean entropy there of the prompts looked at, read off the
        curve until the end and measured then.
    curve : (λ, mean entropy) of the search for it, for two adapters.
    steps, most : of Adam, made and at most; 0 while the first λ is looked for.
    held_out, held_out_start : the mean entropy of the held-out prompts at ``lam`` and where the descent began; None before it.
    held_out_first : the same at ``first``; None before the end. Only what is lower here than there was gained, for the other
        prompts are those that λ was fitted to. A gain is a little flattered: these prompts also said where to stop.
    entropy, entropy_start : the mean entropy of all prompts at ``lam`` and where all adapters weigh the same; None before the
        end.
    looked, prompts : prompts that have been looked at, and how many there are.
    settled : it has ended by itself.
    objective : what was made small, see :class:`molorec.entropy.Meter`; of "contrast" all entropies here are differences.
    """

    lam: AnyLam
    first: AnyLam
    entropy_first: float
    curve: tuple[tuple[float, float], ...]
    looked: int
    prompts: int
    seconds: float
    steps: int = 0
    most: int = 0
    held_out: float | None = None
    held_out_start: float | None = None
    held_out_first: float | None = None
    entropy: float | None = None
    entropy_start: float | None = None
    settled: bool = False
    objective: str = "candidates"

    @property
    def by(self) -> str:
        """What was made small, in a word."""
        return in_a_word(self.objective)

    @property
    def verdict(self) -> str:
        """The result in words; what lies at an end on average is not called a mixture."""
        weights = self.lam.mean if isinstance(self.lam, Lam) else (self.lam, 1 - self.lam)
        if max(weights) > INSIDE[1]:
            number = weights.index(max(weights))
            which = ("general", "specific")[number] if len(weights) == 2 else f"{number + 1}. of the"
            return f"{self.by} prefers the {which} adapter{'s' if len(weights) > 2 else ''} alone, all but everywhere"
        if self.held_out_first is None:
            return "not compared with one λ for all layers yet"
        if self.held_out >= self.held_out_first:
            return f"on lists that were kept aside, {self.by} is no lower than at the one λ that is best for all layers"
        return f"on lists that were kept aside, {self.by} is lower than at the one λ that is best for all layers"


def descend(engine: Engine, domain: str, granularity: str = "layer", prompts: int = PROMPTS, rule: str = DEFAULT_RULE,
            setting: str = "warm", objective: str = "candidates", tokens: int | None = None,
            examples: Sequence[RankingExample] | None = None, settings: Settings | None = None) -> Iterator[DescentStep]:
    """Tune λ on a domain's ``tune`` prompts, yielding after every few of them; close the iterator to stop.

    Parameters
    ----------
    granularity : "layer" or "module"; "global" for three adapters and more.
    objective, tokens : which entropy, see :class:`molorec.entropy.Meter`.
    examples : unlabelled prompts in place of those.

    Raises
    ------
    BadInput : there is one adapter only or no such granularity, there are too few prompts, one has a target, or a setting or the
        backend does not do.
    """
    settings = settings or Settings()
    count = len(engine.mixture(domain).adapters)
    if count == 1:
        raise BadInput("this domain has one adapter only, so there is no λ to tune")
    if granularity not in GRANULARITIES:
        raise BadInput(f"there is no granularity '{granularity}'; choose one of: {', '.join(GRANULARITIES)}")
    if prompts < 1:
        raise BadInput(f"{prompts} prompts are too few; give at least {LEAST_PROMPTS}")
    check_setting(setting)
    found = list(examples if examples is not None else engine.catalog.examples(domain, "tune", setting, limit=prompts))
    if len(found) < LEAST_PROMPTS:
        raise BadInput(f"{len(found)} prompts are too few to tune on some and look at others; give at least {LEAST_PROMPTS}")
    if any(example.target is not None for example in found):
        raise BadInput("tuning takes unlabelled prompts only; pass example.unlabelled()")
    if not 0 < settings.keep <= 1:
        raise BadInput(f"the share of prompts to learn from is {settings.keep:g}; give one above 0 and up to 1")
    if not 0 < settings.held_out < 1 or settings.batch < 1 or settings.rounds < 1:
        raise BadInput(f"held_out is {settings.held_out:g}, batch {settings.batch}, rounds {settings.rounds}; give a share "
                       "between 0 and 1, and whole numbers above 0")
    meter = Meter(engine, domain, rule, objective, tokens, found)
    meter.local()  # before the work: there are no gradients elsewhere
    return _descended(meter, granularity, found, settings)


def lattice(adapters: int, steps: int = LATTICE) -> list[tuple[float, ...]]:
    """Weight vectors spread evenly: all whose weights are multiples of 1/``steps``.

    >>> lattice(3, 1)
    [(0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)]
    """
    return [tuple(part / steps for part in parts) for parts in itertools.product(range(steps + 1), repeat=adapters)
            if sum(parts) == steps]


def inside(weights: Sequence[float]) -> Tensor:
    """Weights (K,) moved off the ends, those below .05 to that, then scaled to sum to 1.

    >>> [round(weight, 3) for weight in inside([0, 1]).tolist()]
    [0.05, 0.95]
    """
    clipped = torch.tensor(weights, dtype=torch.float32).clamp(*INSIDE)
    return clipped / clipped.sum()


def _descended(meter: Meter, granularity: str, examples: list[RankingExample], settings: Settings) -> Iterator[DescentStep]:
    started = time.perf_counter()
    stack = meter.mixture.stack
    groups = stack.groups(granularity)

    def everywhere(weights: Sequence[float] | Tensor) -> AnyLam:
        row = torch.as_tensor(weights, dtype=torch.float64)
        return simplest(Lam.of(granularity, groups, row.expand(len(groups), -1)))

    def after(step: DescentStep, **changes) -> DescentStep:
        return replace(step, **changes, seconds=time.perf_counter() - started)

    step = None
    for weights, entropy, curve, looked in _searched(meter, examples):
        step = DescentStep(everywhere(weights), simplest(Lam("global", ((ALL, weights),))), entropy, curve, looked, len(examples),
                           time.perf_counter() - started, objective=meter.objective)
        yield step
    begin = inside(step.first.weights[0][1] if isinstance(step.first, Lam) else (step.first, 1 - step.first))
    held = max(1, round(settings.held_out * len(examples)))
    learned, watched = examples[:-held], examples[-held:]
    if settings.keep < 1:
        start = everywhere(begin)
        sure = sorted(learned, key=dict(zip(learned, meter.each([(each, start) for each in learned]), strict=True)).__getitem__)
        learned = sure[: max(1, round(settings.keep * len(learned)))]
    free = begin.log().repeat(len(groups), 1).requires_grad_()
    optimizer = torch.optim.Adam([free], lr=settings.rate)
    best = Lam.of(granularity, groups, free.softmax(-1))
    lowest = meter.mean(watched, best)
    most = settings.rounds * -(-len(learned) // settings.batch)
    step = after(step, lam=simplest(best), most=most, held_out=lowest, held_out_start=lowest, looked=len(examples))
    yield step
    rng, calm = np.random.default_rng(settings.seed), 0
    for _ in range(settings.rounds):
        order = rng.permutation(len(learned))
        for first in range(0, len(learned), settings.batch):
            optimizer.zero_grad()
            meter.backward([learned[i] for i in order[first : first + settings.batch]], free, granularity)
            optimizer.step()
            step = after(step, steps=step.steps + 1)
            yield step
        now = Lam.of(granularity, groups, free.softmax(-1))
        entropy = meter.mean(watched, now)
        calm = 0 if entropy < lowest - settings.tolerance else calm + 1
        if entropy < lowest:
            best, lowest = now, entropy
        step = after(step, lam=simplest(best), held_out=lowest)
        yield step
        if calm >= settings.patience:
            break
    entropy, at_first, start = (meter.mean(examples, lam) for lam in (simplest(best), step.first, middle(len(stack))))
    yield after(step, entropy=entropy, entropy_first=at_first, entropy_start=start, settled=True,
                held_out_first=meter.mean(watched, step.first))


def _searched(meter: Meter, examples: Sequence[RankingExample]):
    """Yields (weights, their mean entropy, curve, prompts looked at): the best weights for all layers known so far."""
    count = len(meter.mixture.adapters)
    if count == 2:
        for step in minimise(meter.at, examples, objective=meter.objective):
            yield (step.lam, 1 - step.lam), step.entropy, step.curve, step.prompts
        return
    found: list[tuple[float, tuple[float, ...]]] = []
    for weights in lattice(count):
        found.append((meter.mean(examples, Lam("global", ((ALL, weights),))), weights))
        entropy, best = min(found)
        yield best, entropy, (), len(examples)
