"""The training loop: steps, checkpoints that survive a kill, and the choice of the best checkpoint."""

import json
import math
import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from molorec.backbone import Backbone
from molorec.catalog import RankingExample
from molorec.errors import BadInput, MolorecError, check_least, memory_in_words
from molorec.mixture import adapters
from molorec.mixture.adapters import Adapter
from molorec.mixture.card import SECOND_ROUND, Card
from molorec.mixture.layer import AdapterStack
from molorec.options import described
from molorec.prompts import Template
from molorec.ranking.scorer import log_probabilities
from molorec.ranking.trie import PackedTrie, pack
from molorec.training import attention, objectives
from molorec.training.calibration import CalibratedTeacher
from molorec.training.dataset import Batch, ListSampler, TrainingDomain, WindowSampler
from molorec.training.distributed import ALONE, Workers
from molorec.training.recomputation import recomputed
from molorec.training.replay import Replay

NEGATIVE_SAMPLING = ("uniform", "popularity")
WITHOUT = "without the titles of"  # in a card's data: the domains whose titles were removed from the others


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training's result, apart from the data. What each field is stands beside it; more in
    :class:`~molorec.training.dataset.TrainingDomain` (negatives), :class:`~molorec.training.calibration.CalibratedTeacher` and
    :class:`~molorec.training.replay.Replay`.

    Raises
    ------
    BadInput : a value is not possible.
    """

    template: str = described("open", "how a decision is put to the model")
    objective: str = described("listwise", "what is learned of a decision")
    steps: int = described(1000, "optimiser steps")
    rows: int = described(8, "rows of a batch")
    length: int = described(160, "tokens of a row")
    learning_rate: float = described(5e-4, "reached after the warmup, kept, and brought to 0 over the cooldown")
    warmup: int = described(20, "steps over which the learning rate rises")
    cooldown: float = described(0.7, "share of the steps over which the learning rate falls")
    negatives: str = described("uniform", "how they are drawn: \"uniform\" for a domain's own adapter, \"popularity\" for one "
                               "that other domains use, so that it does not learn what is popular")
    background: float = described(0.0, "share of each decision that holds first tokens neutral which only other domains of the "
                                  "training have (listwise, template open, several domains)")
    calibration: float = described(0.0, "share of each decision's label that the base model gives itself, less what it always "
                                   "expects (general adapters; listwise, template open)")
    replay: float = described(0.0, "weight of keeping the base model's way to write reasons; 0 for none")
    smoothing: float = described(0.7, "share of each label that comes from transition counts (listwise, template open)")
    recent: int = described(6, "how many of a history's last titles those counts look at")
    clip: float = described(1.0, "the longest a step's gradient may be")
    seed: int = described(0, "of every random draw")
    validate_every: int = described(100, "steps between looks at the validation lists; the best of them is kept")

    def __post_init__(self) -> None:
        check_least(0, steps=self.steps, seed=self.seed)
        check_least(1, rows=self.rows, length=self.length, validate_every=self.validate_every)
        check_least(1, recent=self.recent)
        check_least(0, warmup=self.warmup)
        if not 0 < self.learning_rate < math.inf:  # written so that no number at all is refused too
            raise BadInput(f"--learning-rate is {self.learning_rate}; give a number above 0")
        for name in ("cooldown", "background", "calibration", "smoothing"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(f"--{name} is {getattr(self, name)}; it is a share, from 0 to 1")
        if not (0 <= self.replay < math.inf and 0 < self.clip < math.inf):
            raise BadInput(f"--replay is {self.replay}, --clip {self.clip}; replay is from 0 on, clip above 0")

    def rate(self, step: int) -> float:
        """The learning rate of a step (from 0).

        >>> [round(Recipe(steps=100, warmup=10, cooldown=0.3, learning_rate=1.0).rate(s), 2) for s in (0, 9, 50, 85, 99)]
        [0.1, 1.0, 1.0, 0.5, 0.03]
        """
        left = self.steps - step
        falling = min(1.0, left / max(1.0, self.cooldown * self.steps))
        return self.learning_rate * min(1.0, (step + 1) / max(1, self.warmup)) * falling


@dataclass(frozen=True)
class Progress:
    """What a training tells the world after a step; ``validation``: see :meth:`Training.validate`, where it was taken."""

    step: int
    steps: int
    loss: float
    labels: int
    tokens_per_second: float
    seconds: float
    validation: float | None = None
    best: float | None = None


class Training:
    """One adapter in training. Iterate over :meth:`run`; stop iterating to stop; run again to go on.

    Parameters
    ----------
    folder : checkpoints and the finished adapter; keep it outside a work tree.
    validation : examples with targets, for choosing the checkpoint.
    init_from : an adapter to start from instead of B = 0.
    micro_rows : rows of one forward, by default a part of the batch for each process; a batch of more is learned from part by
        part, to the same gradient. Decides memory, not the result, but for the dropout that is drawn anew for each part.
    checkpointing : see :mod:`~molorec.training.recomputation`.
    workers : the processes that share each batch's parts; only the first of them writes files.
    """

    def __init__(self, backbone: Backbone, domains: Sequence[TrainingDomain], shares: Sequence[float], style: Template,
                 recipe: Recipe, folder: Path | str, card: Card, validation: Sequence[RankingExample] = (),
                 init_from: Adapter | None = None, micro_rows: int | None = None, checkpointing: bool = False,
                 workers: Workers = ALONE):
        if micro_rows is not None and micro_rows < 1:
            raise BadInput(f"micro rows are {micro_rows}; give 1 or more")
        objectives.check(recipe.objective)
        if recipe.negatives not in NEGATIVE_SAMPLING:
            raise BadInput(f"negatives cannot be '{recipe.negatives}'; choose one of: {', '.join(NEGATIVE_SAMPLING)}")
        if not domains:
            raise BadInput("there is no domain to train on")
        self.backbone, self.recipe, self.card, self.style = backbone, recipe, card, style
        self.folder, self.workers, self.checkpointing = Path(folder), workers, checkpointing
        self.micro_rows = micro_rows or -(-recipe.rows // workers.count)  # a part for each process
        if recipe.background:
            tokens = {token for domain in domains for token in domain.root_tokens.tolist()}
            for domain in domains:
                domain.widen(tokens, recipe.background)
        if recipe.calibration and (style.listed or recipe.objective != "listwise"):
            raise BadInput(f"calibration is for template 'open' and objective 'listwise'; with '{style.name}' and "
                           f"'{recipe.objective}' give --calibration 0")
        sampler = ListSampler if style.listed else WindowSampler
        self.sampler = sampler(domains, shares, style, recipe.objective, recipe.rows, recipe.length, recipe.seed)
        self.teacher = CalibratedTeacher(backbone, domains, style, recipe.length, recipe.seed) if recipe.calibration else None
        self.replay = Replay(backbone, domains, style, recipe.length, recipe.seed) if recipe.replay else None
        by_name = {domain.name: domain for domain in domains}
        self.validation = [self._packed(example, by_name[example.domain]) for example in validation]
        roles = (card.role, "general") if card.role == SECOND_ROUND else (card.role,)
        if init_from and init_from.card and (init_from.card.template != style.name or init_from.card.role not in roles):
            raise BadInput(f"--init-from is a {init_from.card.role} adapter for template '{init_from.card.template}'; this "
                           f"training is for a {card.role} one on '{style.name}': start from one of that kind")
        if init_from and init_from.card:
            # who a specific adapter began with, it has learned from; what a general one saw is of other domains
            share = max(card.share, init_from.card.share) if init_from.card.role == card.role else card.share
            self.card = replace(card, data=_seen(init_from.card.data, card.data), share=share)
        start = init_from or adapters.new(backbone.shapes)
        self.rank, self.alpha = start.rank, start.alpha
        self.earlier = (start.card.steps, start.card.seconds) if start.card else (0, 0.0)
        # all that decides the result; a checkpoint is gone on from only if all of it is the same
        self.made_from = asdict(recipe) | {"data": {domain.name: domain.sha256() for domain in domains},
                                           "shares": [float(share) for share in shares],
                                           "validation lists": len(validation), "base": card.base_sha256,
                                           "precision": backbone.precision, "init-from": start.sha256}
        self.stack: AdapterStack = adapters.stack([start], adapters.DROPOUT).to(backbone.device)
        self.stack.requires_grad_(True)
        # from equal starts, Muon reached a validation loss in about half the labels that AdamW took (LOG.md)
        self.optimizer = torch.optim.Muon(self.stack.parameters(), lr=recipe.learning_rate, weight_decay=0.0,
                                          adjust_lr_fn="match_rms_adamw")
        self.step, self.seconds, self.labels, self.tokens = 0, 0.0, 0, 0
        self.best: float | None = None

    def run(self, checkpoint_every_seconds: float = 180.0) -> Iterator[Progress]:
        """Train to the last step, yielding after each. Resumes from ``folder`` if a checkpoint is there.

        Raises
        ------
        BadInput : another training writes to ``folder`` now, or has left a checkpoint there that this one cannot go on from.
        MolorecError : there is not enough memory, or a loss or gradient is no number. OSError : ``folder`` cannot be written.
        """
        with self._alone():
            yield from self._run(checkpoint_every_seconds)

    def _run(self, checkpoint_every_seconds: float) -> Iterator[Progress]:
        self._resume()
        if self.step == 0 and self.validation:
            self.best = self.validate()
            self._save_adapter("best")  # the start counts: a training may only make it worse
        saved = time.monotonic()
        while self.step < self.recipe.steps:
            started = time.monotonic()
            batch_loss = self._train_step()
            self.step += 1
            validation = None
            self.seconds += time.monotonic() - started
            last = self.step == self.recipe.steps
            if self.validation and (last or self.step % self.recipe.validate_every == 0):
                validation = self.validate()
                if self.best is None or validation < self.best:
                    self.best = validation
                    self._save_adapter("best")
            if self.workers.is_first and (last or time.monotonic() - saved > checkpoint_every_seconds):
                self.checkpoint()
                saved = time.monotonic()
            yield Progress(self.step, self.recipe.steps, batch_loss, self.labels, self.tokens / max(self.seconds, 1e-9),
                           self.seconds, validation, self.best)
        if not self.validation:  # whatever another training left there
            self._save_adapter("best")

    def validate(self) -> float:
        """Mean −log p(target) over the validation lists, without dropout; not less than that with replay, where what free text
        has lost is added with its weight: else a start that cannot write would stay the best."""
        self.stack.eval()
        total = torch.zeros((), device=self.backbone.device)
        with torch.inference_mode(), self.stack.at([1.0]):
            for _, (packed, target) in self.workers.share(self.validation):
                total -= log_probabilities(self.backbone.model, [packed])[0][target]
        self.workers.add_up([total])
        lost = self.replay.drift(self.stack) if self.replay else 0.0
        return float(total) / len(self.validation) + self.recipe.replay * lost

    def adapter(self) -> Adapter:
        """The adapter as it stands."""
        factors = {path: (a.detach().clone(), b.detach().clone())
                   for path, (a, b) in ((path, self.stack.pair(path)) for path in self.stack.paths)}
        steps, seconds = self.earlier  # of the adapter that this training started from
        card = replace(self.card, steps=steps + self.step, seconds=round(seconds + self.seconds, 1),
                       device=device_name(self.backbone.device))
        return Adapter(factors, self.rank, self.alpha, card)

    def _train_step(self) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(self.step)
        batch = self.sampler.batch(self.step)
        model, device = self.backbone.model, self.backbone.device
        value = torch.zeros((), device=device)
        self.stack.train()
        with (attention.applied(model), memory_in_words(self._less_memory()),
              recomputed(model, self.stack) if self.checkpointing else nullcontext()):
            for place, part in self.workers.share(batch.split(self.micro_rows)):
                value += self._learn(part.to(device), place)
        parameters = list(self.stack.parameters())
        for parameter in parameters:
            if parameter.grad is None:  # a process that had no part of this batch
                parameter.grad = torch.zeros_like(parameter)
        self.workers.add_up([value, *(parameter.grad for parameter in parameters)])
        if not math.isfinite(value):  # before it reaches the weights, so that the last checkpoint can be gone on from
            raise MolorecError(f"the loss of step {self.step + 1} is {float(value)}, no number to learn from; give a smaller "
                               f"--learning-rate than {self.recipe.learning_rate:g} and another --out")
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.recipe.clip)
        if not torch.isfinite(norm):
            raise MolorecError(f"the gradient of step {self.step + 1} is not finite; give a smaller --learning-rate than "
                               f"{self.recipe.learning_rate:g} and another --out")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.labels += batch.labels
        self.tokens += batch.tokens.numel()
        return float(value)

    def _less_memory(self) -> str:
        """What would help if memory were full: the same run goes on, at most with other draws of dropout."""
        ways = [f"--micro-rows {self.micro_rows // 2}"] * (self.micro_rows > 1) + ["--checkpointing"] * (not self.checkpointing)
        if not ways:
            return "close other programs, or give a smaller --length or --precision nf4 and another --out"
        return (f"give {' or '.join(ways)}: with the same --out it goes on from the last checkpoint, to the same result but for "
                "the draws of dropout")

    def _learn(self, part: Batch, place: int) -> torch.Tensor:
        """Add the gradient of a batch's part; returns its share of the loss."""
        # so that dropout depends neither on where a run resumed nor on which process has the part
        torch.manual_seed((self.recipe.seed * 1_000_003 + self.step + place * 1_000_000_007) % 2**63)
        model = self.backbone.model
        if self.teacher:
            part = self.teacher.blend(part, self.recipe.calibration)
        with self.stack.at([1.0]):
            hidden = model.base_model(input_ids=part.tokens, use_cache=False).last_hidden_state
        value = objectives.loss(part, hidden, model.get_output_embeddings().weight)
        if self.replay and place == 0:
            value = value + self.recipe.replay * self.replay.loss(self.stack, self.step)
        value.backward()
        return value.detach()

    def _packed(self, example: RankingExample, domain: TrainingDomain) -> tuple[PackedTrie, int]:
        prompter = self.backbone.prompter
        packed = pack(prompter.ranking(example, self.style, domain.noun), prompter.titles(example.candidates),
                      None if self.style.listed else domain.trie)
        return packed, example.candidates.index(example.target)

    # -- checkpoints: written beside, then renamed, so that a kill leaves the last whole one ---------------------

    @property
    def _state_file(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other trainings from writing the same files. Raises BadInput if one is at it."""
        if not self.workers.is_first:
            yield
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            held = FileLock(self._state_file.with_suffix(".lock")).acquire(timeout=0)
        except Timeout:
            raise BadInput(f"another training writes to {self.folder} now; let it go on, stop it first, or give another "
                           "--out") from None
        with held:
            yield

    def checkpoint(self) -> None:
        """Write what :meth:`run` goes on from."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"parameter.{i}": p.detach().contiguous() for i, p in enumerate(self.stack.parameters())}
        for i, p in enumerate(self.stack.parameters()):
            if p in self.optimizer.state:
                tensors[f"momentum.{i}"] = self.optimizer.state[p]["momentum_buffer"].contiguous()
        facts = {"step": self.step, "seconds": self.seconds, "labels": self.labels, "tokens": self.tokens,
                 "best": self.best, "made from": self.made_from}
        partial = self._state_file.with_suffix(".partial")
        adapters.write_tensors(tensors, partial, {"molorec": json.dumps(facts)})
        os.replace(partial, self._state_file)
        self._save_adapter("last")

    def _resume(self) -> None:
        if self.step:
            return
        # of the first process alone: other machines need not see its folder
        facts, tensors = self.workers.from_first(self._read_checkpoint() if self.workers.is_first else (None, {}))
        if facts is None:
            return
        device = self.backbone.device
        for i, p in enumerate(self.stack.parameters()):
            p.data.copy_(tensors[f"parameter.{i}"])
            if f"momentum.{i}" in tensors:
                self.optimizer.state[p] = {"momentum_buffer": tensors[f"momentum.{i}"].to(device)}
        self.step, self.seconds, self.labels = facts["step"], facts["seconds"], facts["labels"]
        self.tokens, self.best = facts["tokens"], facts["best"]

    def _read_checkpoint(self) -> tuple[dict | None, dict[str, torch.Tensor]]:
        """What was known and the tensors, on the CPU; None and nothing if there is no checkpoint."""
        if not self._state_file.exists():
            return None, {}
        try:
            with safe_open(self._state_file, "pt") as stored:
                facts = json.loads(stored.metadata()["molorec"])
            made_from = facts["made from"]
            tensors = load_file(self._state_file)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise BadInput(f"{self._state_file} is damaged or of another version ({error}); delete it to start again, with "
                           f"--init-from {self.folder / 'last'} if that is there") from error
        changed = [name for name, value in self.made_from.items() if made_from.get(name) != value]
        if changed:
            raise BadInput(f"{self.folder} holds a checkpoint of another training ({', '.join(changed)} differ); give "
                           "another --out, or delete that folder")
        return facts, tensors

    def _save_adapter(self, name: str) -> None:
        if self.workers.is_first:
            adapters.save(self.adapter(), self.folder / name, self.card.base)


def _seen(before: dict[str, str], now: dict[str, str]) -> dict[str, str]:
    """What an adapter has seen that goes on from another: a domain's earlier part is not hidden by a later, smaller one.

    Only the titles that were kept from it both times have never been seen.

    >>> _seen({"films": "90 users"}, {"films": "9 users", "toys": "5 users"})
    {'films': '90 users, then 9 users', 'toys': '5 users'}
    >>> _seen({"films": "90 users", WITHOUT: "a, b"}, {"films": "90 users", WITHOUT: "c, b"})
    {'films': '90 users', 'without the titles of': 'b'}
    """
    never = [name for name in before.get(WITHOUT, "").split(", ") if name and name in now.get(WITHOUT, "").split(", ")]
    before, now = ({name: fact for name, fact in facts.items() if name != WITHOUT} for facts in (before, now))
    both = {name: f"{before[name]}, then {now[name]}" for name in now if before.get(name, now[name]) != now[name]}
    return {**before, **now, **both, **({WITHOUT: ", ".join(never)} if never else {})}


def device_name(device: torch.device) -> str:
    """The device in words, for an adapter's card."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"
