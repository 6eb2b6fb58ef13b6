"""The façade that the screen, the command line, the API and the scripts use.

Thread-safe: the base model is shared and never changed; adapters are read-only once loaded, and λ is an argument of
every call.
"""

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from numbers import Real
from pathlib import Path

import torch

from molorec import backbone, backends, config
from molorec.backbone import Backbone
from molorec.backends import Backend, Row, Writing
from molorec.backends.local import Local
from molorec.catalog import Catalog, RankingExample
from molorec.config import LIMITS, Profile
from molorec.errors import BadInput, memory_in_words
from molorec.mixture.lam import AnyLam, Lam, simplest, spread
from molorec.mixture.mixture import Mixture, read_mixture
from molorec.mixture.rule import DEFAULT_RULE, as_weights
from molorec.mixture.rule import rule as rule_named
from molorec.ranking.result import Ranking
from molorec.ranking.trie import PackedTrie, pack

CACHED_RANKINGS = 4_096
KEPT_MIXTURES = 16  # domains, the last ones asked for; each holds its adapters (32 MB of the embedded model) and titles
LOOK_AGAIN = 60.0  # seconds until an adapter that could not be used is read again


class Engine:
    """Ranks candidates at any λ with one base model and every domain's adapters.

    Parameters
    ----------
    adapter_folders : each holds a folder an adapter ("general", or a domain's name); the first that has one wins.
    backend : what computes; by default the base model in this process.
    also : names of further adapters, mixed in between the general and the specific one; λ then has a weight for each.
    """

    def __init__(self, base: Backbone, catalog: Catalog, adapter_folders: Sequence[Path] = (), backend: Backend | None = None,
                 also: Sequence[str] = ()):
        self.base, self.catalog = base, catalog
        self.adapter_folders, self.also = list(adapter_folders), tuple(also)
        self._mixtures: OrderedDict[str, Mixture] = OrderedDict()
        self._forgotten = 0
        self._cache: OrderedDict[tuple, tuple[float, ...]] = OrderedDict()
        self.backend = backend or Local(base.model)
        self._state = threading.Lock()

    @classmethod
    def start(cls, profile: Profile | None = None, base: str | None = None, catalog: Catalog | None = None,
              adapter_folders: Sequence[Path] | None = None, precision: str | None = None,
              backend: str | None = None, also: Sequence[str] = ()) -> "Engine":
        """Load the profile's base model and find its adapters; for ``base`` and ``precision`` see :func:`backbone.load`.

        Parameters
        ----------
        backend : "local", "vllm", or the address of a server; by default ``MOLOREC_BACKEND``, else "local".
        """
        profile = profile or config.profile()
        folders = adapter_folders if adapter_folders is not None else config.adapter_folders(profile, base)
        backend = backend or os.environ.get("MOLOREC_BACKEND") or "local"
        if backend == "local":
            loaded = backbone.load(base, profile, precision)
            return cls(loaded, catalog or Catalog(), folders, backends.lent(loaded), also)
        outline = backbone.outline(base, profile, precision)
        return cls(outline, catalog or Catalog(), folders, backends.remote(backend, outline), also)

    @property
    def rows(self) -> int:
        """How many prompts share a forward pass at most: a list of λ is best asked for in as many at a time."""
        return self.backend.rows

    # -- adapters ------------------------------------------------------------------------------------------------

    def mixture(self, domain: str) -> Mixture:
        """The general adapter and the domain's own one, and those that are mixed in between; read and checked on first use, and
        again once the domain has been replaced, by whatever program.

        The general or the domain's own adapter is left out where it cannot be used, and named in ``problems``; it is looked at
        again after a while, for what kept it from being read may have passed. One that comes while the app runs is read at once.

        Raises
        ------
        BadInput : there is no such domain, or one of ``also`` is missing or cannot be used.
        MolorecError : there is no usable adapter at all.
        """
        added = self.catalog.domain(domain).added
        with self._state:
            known, forgotten = self._mixtures.get(domain), self._forgotten
            if known:
                self._mixtures.move_to_end(domain)
        if known and known.added == added and not self._may_have_changed(known):
            return known
        read = read_mixture(domain, self.base, self.catalog, self.adapter_folders, self.also)
        with self._state:
            if self._forgotten != forgotten:  # what was read may be what was to be forgotten
                return read
            found = self._mixtures.get(domain)
            if found is None or found is known:  # the first of several that read it at once is everybody's
                found = self._mixtures[domain] = read
            while len(self._mixtures) > KEPT_MIXTURES:
                self._mixtures.popitem(last=False)
            return found

    def _may_have_changed(self, mixture: Mixture) -> bool:
        come = any((folder / name).is_dir() for name in mixture.missing for folder in self.adapter_folders)
        return come or bool(mixture.problems) and time.monotonic() - mixture.read > LOOK_AGAIN

    def forget(self, domain: str) -> None:
        """Read a domain's adapters and titles again at the next use (after training or deleting one)."""
        with self._state:
            self._mixtures.pop(domain, None)
            self._forgotten += 1

    # -- ranking -------------------------------------------------------------------------------------------------

    def rank(self, example: RankingExample, lam: AnyLam | None = 0.5, rule: str = DEFAULT_RULE) -> Ranking:
        """Rank an example's candidates at λ, the weight of the general adapter; None: the base model alone.

        With one adapter only, λ counts as 1 whatever it is.

        Parameters
        ----------
        lam : a number for two adapters; a :class:`Lam` for more of them, or for a λ that differs by layer.

        Raises
        ------
        BadInput : λ or the rule is not valid or not for these adapters; there are no candidates, too many, or one twice.
        """
        return self.rank_all([example], [lam], rule)[0][0]

    def rank_each(self, example: RankingExample, lams: Sequence[AnyLam | None], rule: str = DEFAULT_RULE) -> list[Ranking]:
        """Rank an example's candidates at each of several λ. Raises BadInput as :meth:`rank`."""
        return self.rank_all([example], lams, rule)[0]

    def rank_all(self, examples: Sequence[RankingExample], lams: Sequence[AnyLam | None], rule: str = DEFAULT_RULE,
                 mixture: Mixture | None = None) -> list[list[Ranking]]:
        """Rank several examples of one domain, each at each of several λ: from the cache as far as it goes, the others in as
        few forward passes as hold them.

        Parameters
        ----------
        mixture : of the examples' domain, for one that must not change between calls; by default the one in use now.

        Returns
        -------
        For each example its rankings, in the order of ``lams``; their ``seconds`` are even shares of the whole's.

        Raises
        ------
        BadInput : as :meth:`rank`, or the examples are of several domains.
        """
        started = time.perf_counter()
        domains = {example.domain for example in examples}
        if len(domains) != 1:
            raise BadInput(f"examples of one domain are ranked together, not of {len(domains)}")
        mixture = mixture or self.mixture(domains.pop())
        lams = [_valid(mixture, lam, rule) for lam in lams]
        catalogue = mixture.titles.key if mixture.titles else ""
        keys, found, missing = [], [], []
        for place, example in enumerate(examples):
            packed = self.pack(mixture, example)
            titles = tuple(candidate.title for candidate in example.candidates)
            keys.append((self.base.sha256, mixture.key, catalogue, rule, tuple(packed.tokens[: packed.prompt_length]), titles))
            found.append(self._cached(keys[-1], lams))
            missing += [(place, packed, lam) for lam in dict.fromkeys(lams) if lam not in found[-1]]
        if missing:
            logs = self.log_probabilities(mixture, [(packed, lam) for _, packed, lam in missing], rule)
            for (place, _, lam), of in zip(missing, logs, strict=True):
                found[place][lam] = tuple(of.double().softmax(0).tolist())
                self._remember((*keys[place], lam), found[place][lam])
        seconds = (time.perf_counter() - started) / max(1, len(examples) * len(lams))
        return [[Ranking.of(example, at[lam], lam, rule, seconds) for lam in lams]
                for example, at in zip(examples, found, strict=True)]

    def pack(self, mixture: Mixture, example: RankingExample) -> PackedTrie:
        """The example as tokens: its prompt and the trie of its candidates.

        Raises
        ------
        BadInput : there are no candidates, too many, one stands there twice, or the model cannot read as much.
        """
        n = len(example.candidates)
        if not n:
            raise BadInput("there are no candidates to rank; choose at least two")
        if n > LIMITS.candidates:
            raise BadInput(f"{n} candidates are too many; rank at most {LIMITS.candidates}")
        if len(set(example.candidates)) < n:
            twice = next(item for item in example.candidates if example.candidates.count(item) > 1)
            raise BadInput(f"'{twice.title}' stands among the candidates twice")
        prompter = self.base.prompter
        packed = pack(prompter.ranking(example, mixture.template, mixture.noun), prompter.titles(example.candidates),
                      mixture.titles)
        length = max(packed.position_ids) + 1
        if self.base.longest and length > self.base.longest:
            raise BadInput(f"the prompt has {length:,} tokens, and this model reads {self.base.longest:,} at most; take fewer "
                           "candidates")
        return packed

    def log_probabilities(self, mixture: Mixture, asked: Sequence[tuple[PackedTrie, AnyLam | None]],
                          rule: str) -> list[torch.Tensor]:
        """log p of packed candidates (n,), each at its λ (None: the base model alone), never from the cache.

        Raises
        ------
        MolorecError : what the model gives is no number.
        """
        rows = [Row(packed, _weights(mixture, lam)) for packed, lam in asked]
        with memory_in_words():
            found = self.backend.score(rows, mixture.stack, rule)
        mixture.check_numbers(found)
        return found

    def write(self, mixture: Mixture, tokens: Sequence[int], lam: AnyLam | None, rule: str, how: Writing) -> Iterator[list[int]]:
        """What the model writes behind ``tokens`` at λ, yielded whole after each new token."""
        texts = self.backend.write(tokens, _weights(mixture, lam), mixture.stack, rule, how)
        while True:
            with memory_in_words():
                text = next(texts, None)
            if text is None:
                return
            yield text

    def _cached(self, base: tuple, lams: Sequence[AnyLam | None]) -> dict[AnyLam | None, tuple[float, ...]]:
        """λ → the candidates' probabilities, for those λ that were ranked before."""
        with self._state:
            found = {lam: self._cache[*base, lam] for lam in lams if (*base, lam) in self._cache}
            for lam in found:
                self._cache.move_to_end((*base, lam))
        return found

    def _remember(self, key: tuple, probabilities: tuple[float, ...]) -> None:
        with self._state:
            self._cache[key] = probabilities
            while len(self._cache) > CACHED_RANKINGS:
                self._cache.popitem(last=False)


def _valid(mixture: Mixture, lam: AnyLam | None, rule: str) -> AnyLam | None:
    """λ as what it is remembered by; equal λ are equal there."""
    rule_named(rule)
    if lam is None:
        return None
    if isinstance(lam, Lam):
        if len(mixture.adapters) == 1:
            return 1.0
        mixture.stack.weights(lam, lam.granularity)
        return simplest(lam)
    if not isinstance(lam, Real):
        raise BadInput(f"λ = {lam!r} is not a number; give one from 0 to 1, or a saved λ")
    as_weights(lam)
    if len(mixture.adapters) == 1:
        return 1.0
    as_weights(lam, len(mixture.adapters))
    return min(1.0, max(0.0, float(lam)))  # a rounding error outside is none


def _weights(mixture: Mixture, lam: AnyLam | None) -> Sequence[float] | Lam | None:
    if lam is None or len(mixture.adapters) == 1:
        return lam if lam is None else [1.0]
    return spread(lam)
