"""How unsure the model is of its answer: what tuning makes as small as it can, in one of three ways.

`candidates` is the entropy over the candidates' probabilities, exact and with nothing to choose. `tokens` is the paper's: the
mean entropy over the whole vocabulary of the first few tokens of the answer. The answer is the one that the model begins, token
by token the likeliest, where all adapters weigh the same; it is kept, because the entropy of a text that changes with λ jumps.

`contrast` is the entropy over the candidates less that of the same list after a stranger's history, the next prompt's. An
adapter that is sure of itself whoever asks is surest of all by the first two, and has nothing to show by this one: the list holds
what its own person chose next, so a model that reads histories well is surer with that person's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from molorec.backends import Writing
from molorec.backends.local import Local
from molorec.catalog import RankingExample
from molorec.engine import Engine
from molorec.errors import BadInput, memory_in_words
from molorec.mixture.lam import ALL, AnyLam, Lam, spread
from molorec.mixture.mixture import Mixture
from molorec.mixture.rule import DEFAULT_RULE
from molorec.mixture.rule import rule as rule_named
from molorec.ranking.scorer import hidden_states, log_probabilities
from molorec.ranking.trie import PackedTrie

OBJECTIVES = ("candidates", "tokens", "contrast")
# Of an answer's beginning: the paper's numbers, by domain.
TOKENS, TOKENS_OF = 3, {"amazon14_beauty": 5}


def in_a_word(objective: str) -> str:
    """What an objective makes small: a difference of two entropies is no entropy.

    >>> in_a_word("tokens"), in_a_word("contrast")
    ('entropy', 'contrast')
    """
    return "contrast" if objective == "contrast" else "entropy"


@dataclass(frozen=True)
class Opening:
    """A prompt and the first tokens of its answer.

    Attributes
    ----------
    packed : all of these tokens, for one forward pass.
    first : the place whose output decides the answer's first token.
    """

    packed: PackedTrie
    first: int


def of_candidates(model: nn.Module, prompts: Sequence[PackedTrie]) -> Tensor:
    """The entropy of each prompt's candidates (prompts,), in nats, at whatever mixture is active; differentiable in λ."""
    return torch.stack([-(logs.exp() * logs).sum() for logs in log_probabilities(model, prompts)])


def of_tokens(model: nn.Module, prompts: Sequence[Opening]) -> Tensor:
    """The mean entropy of the first tokens of each answer (prompts,), in nats, over the whole vocabulary; differentiable in λ.

    One forward pass for all of them: each token stands behind those of the kept answer.
    """
    hidden = hidden_states(model, [prompt.packed for prompt in prompts])
    found = []
    for row, prompt in zip(hidden, prompts, strict=True):
        logs = model.get_output_embeddings()(row[prompt.first : len(prompt.packed.tokens)]).float().log_softmax(-1)
        found.append(-(logs.exp() * logs).sum(-1).mean())
    return torch.stack(found)


def middle(adapters: int) -> AnyLam:
    """The λ at which all adapters weigh the same.

    >>> middle(2), middle(4).weights
    (0.5, (('all', (0.25, 0.25, 0.25, 0.25)),))
    """
    return 0.5 if adapters == 2 else Lam("global", ((ALL, (1 / adapters,) * adapters),))


def strangers(prompts: Sequence[RankingExample]) -> dict[RankingExample, RankingExample]:
    """Each prompt with the history of the next one, and of the last with the first one's, less what is in its own list.

    Raises
    ------
    BadInput : a prompt has no other whose history would leave anything.
    """
    found = {}
    for place, example in enumerate(prompts):
        listed = {item.item_id for item in example.candidates}
        for other in (*prompts[place + 1 :], *prompts[:place]):
            history = tuple(item for item in other.history if item.item_id not in listed)
            if history and history != example.history:
                found[example] = replace(example, history=history)
                break
        else:
            raise BadInput(f"the objective 'contrast' needs prompts with different histories, and there are {len(prompts)}; give "
                           "more")
    return found


class Meter:
    """The entropy of a domain's prompts at any λ, as numbers or with its gradient.

    Parameters
    ----------
    objective : "candidates", "tokens" or "contrast".
    tokens : of an answer's beginning, for "tokens"; by default the paper's number.
    prompts : all that will be asked about, for "contrast": a prompt's stranger is the next of them.

    Raises
    ------
    BadInput : there is no such objective or rule, the backend cannot measure it, or no prompt has a stranger.
    """

    def __init__(self, engine: Engine, domain: str, rule: str = DEFAULT_RULE, objective: str = "candidates",
                 tokens: int | None = None, prompts: Sequence[RankingExample] = ()):
        if objective not in OBJECTIVES:
            raise BadInput(f"there is no objective '{objective}'; choose one of: {', '.join(OBJECTIVES)}")
        self.tokens = tokens if tokens is not None else TOKENS_OF.get(domain, TOKENS)
        if not 1 <= self.tokens <= 40:
            raise BadInput(f"the first {self.tokens} tokens of an answer cannot be looked at; give 1 to 40")
        rule_named(rule)
        self.engine, self.rule, self.objective = engine, rule, objective
        self.mixture: Mixture = engine.mixture(domain)
        self._prepared: dict[RankingExample, PackedTrie | Opening] = {}
        self._strangers = strangers(prompts) if objective == "contrast" else {}
        if objective == "tokens":
            self.local()

    def at(self, example: RankingExample, lams: Sequence[AnyLam]) -> list[float]:
        """The entropy of one prompt at several λ, in nats; that of candidates comes from the engine's memory where it can."""
        if self.objective == "tokens":
            return self.each([(example, lam) for lam in lams])
        found = [[ranking.entropy for ranking in self.engine.rank_each(each, lams, self.rule)]
                 for each in self._rankings(example)]
        return [own - sum(stranger) for own, *stranger in zip(*found, strict=True)]

    def mean(self, examples: Sequence[RankingExample], lam: AnyLam) -> float:
        """The mean entropy of several prompts at one λ, in nats."""
        found = self.each([(example, lam) for example in examples])
        return sum(found) / len(found)

    def each(self, asked: Sequence[tuple[RankingExample, AnyLam]]) -> list[float]:
        """The entropy of each prompt at its λ, in nats, as many in a forward pass as the backend takes."""
        rankings = [(each, lam) for example, lam in asked for each in self._rankings(example)]
        found: list[float] = []
        for first in range(0, len(rankings), self.engine.rows):
            part = rankings[first : first + self.engine.rows]
            prompts, lams = [self.prepared(example) for example, _ in part], [lam for _, lam in part]
            if self.objective != "tokens":
                logs = self.engine.log_probabilities(self.mixture, list(zip(prompts, lams, strict=True)), self.rule)
                found += [float(-(of.exp() * of).sum()) for of in logs]
            else:
                found += self._run(lambda model, prompts=prompts, lams=lams: self._without_gradient(model, prompts, lams))
        if self.objective == "contrast":
            return [own - stranger for own, stranger in zip(found[::2], found[1::2], strict=True)]
        return found

    def backward(self, examples: Sequence[RankingExample], free: Tensor, granularity: str) -> float:
        """Add to ``free.grad`` the slope of the prompts' mean entropy, and give that entropy in nats.

        Parameters
        ----------
        free : (groups, K) in float32; its softmax is λ.

        Raises
        ------
        BadInput : the backend gives no gradients.
        """
        prompts = [self.prepared(each) for example in examples for each in self._rankings(example)]

        def work(model: nn.Module) -> float:
            weights = free.softmax(-1)
            with self.mixture.stack.at(weights[0] if granularity == "global" else weights, self.rule, granularity):
                loss = self._entropies(model, prompts).mean()
            loss.backward()
            return float(loss.detach())

        return self._run(work)

    def prepared(self, example: RankingExample) -> PackedTrie | Opening:
        """An example as tokens."""
        known = self._prepared.get(example)
        if known is None:
            packed = self.engine.pack(self.mixture, example)
            known = self._prepared[example] = self._opening(packed) if self.objective == "tokens" else packed
        return known

    def _rankings(self, example: RankingExample) -> list[RankingExample]:
        """What is ranked for a prompt: itself, and for "contrast" the same list after its stranger's history."""
        return [example, self._strangers[example]] if self.objective == "contrast" else [example]

    def _opening(self, packed: PackedTrie) -> Opening:
        prompt = packed.tokens[: packed.prompt_length]
        how = Writing(self.tokens - 1, 0, frozenset(self.engine.base.prompter.stops), (), 0.0)
        answer: list[int] = []
        for answer in self.engine.write(self.mixture, prompt, middle(len(self.mixture.adapters)), self.rule, how):
            pass
        tokens = [*prompt, *answer]
        return Opening(PackedTrie(tokens, len(tokens), list(range(len(tokens)))), len(prompt) - 1)

    def _entropies(self, model: nn.Module, prompts: Sequence[PackedTrie | Opening]) -> Tensor:
        found = of_tokens(model, prompts) if self.objective == "tokens" else of_candidates(model, prompts)
        self.mixture.check_numbers([found])
        return found[::2] - found[1::2] if self.objective == "contrast" else found

    def _without_gradient(self, model: nn.Module, prompts: Sequence[Opening], lams: Sequence[AnyLam]) -> list[float]:
        rows = [spread(lam) for lam in lams]
        with torch.inference_mode(), self.mixture.stack.at(rows, self.rule):
            return self._entropies(model, prompts).tolist()

    def local(self) -> Local:
        """The backend, if the model is in this process. Raises BadInput if it is elsewhere."""
        backend = self.engine.backend
        if not isinstance(backend, Local):
            raise BadInput("the objective 'tokens', and λ by layer, need the model in this process, and this one runs elsewhere; "
                           "start with --backend local, on a machine that lends it no GPU for seconds alone as ZeroGPU does")
        return backend

    def _run(self, work: Callable[[nn.Module], Any]) -> Any:
        local = self.local()
        with memory_in_words():
            return local.run(work)
