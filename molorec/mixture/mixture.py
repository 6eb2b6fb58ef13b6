"""The adapters that a domain is ranked with: which are here, and whether they can be mixed."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from molorec.backbone import Backbone
from molorec.catalog import Catalog
from molorec.errors import BadInput, MolorecError, memory_in_words
from molorec.mixture import adapters, card
from molorec.mixture.adapters import Adapter
from molorec.mixture.lam import AnyLam, from_saved
from molorec.mixture.layer import AdapterStack
from molorec.prompts import Template, template
from molorec.ranking.trie import TitleTrie


@dataclass(frozen=True)
class Mixture:
    """The adapters in use for a domain: general first, specific last; one of them where only one exists.

    Attributes
    ----------
    problems : in words, which adapters are here and cannot be used, or are not what their folder says.
    missing : names of those that are not here.
    titles : the domain's titles, among which a candidate's tokens are decided; None where the list stands in the prompt.
    added : when the domain came into the catalogue, in Unix seconds: one that was replaced has other titles.
    read : when the adapters were read, by the monotonic clock.
    """

    domain: str
    adapters: tuple[Adapter, ...]
    stack: AdapterStack
    template: Template
    noun: str
    titles: TitleTrie | None = None
    problems: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    added: float = 0.0
    read: float = field(default=0.0, compare=False)

    @property
    def is_pair(self) -> bool:
        """Whether one number is a λ: one adapter has λ = 1, and three have weights each. Neither has a slider."""
        return len(self.adapters) == 2

    @property
    def tuned_lam(self) -> AnyLam | None:
        """The λ that tuning found for this domain and that is kept with its specific adapter."""
        kept = self.adapters[-1].card if self.is_pair else None
        return from_saved(kept.tuned_lam) if kept and kept.tuned_lam and kept.domain == self.domain else None

    @property
    def weak(self) -> tuple[str, ...]:
        """In words, what this pair fell short of when it was measured on this domain; empty if of nothing."""
        scores = [adapter.card.scores for adapter in self.adapters if adapter.card]
        reasons = [score.get("weak") for score in scores if score.get("domain") == self.domain]
        return tuple(dict.fromkeys(str(reason) for found in reasons if isinstance(found, list) for reason in found))

    @property
    def key(self) -> str:
        """Identifies the adapters' weights, for caches."""
        return self.stack.key

    def check_numbers(self, found: Iterable[Tensor]) -> None:
        """Raises MolorecError if the model gave something that is no number, which would rank as if it were sure."""
        if any(bool(one.isnan().any()) for one in found):
            names = ", ".join(f"'{one.name}' (rank {one.rank}, lora_alpha {one.alpha:g})" for one in self.adapters)
            raise MolorecError(f"the model's answer for '{self.domain}' is no number: the model, or one of {names}, is damaged "
                               "or adds far too much; get that again, or leave it out")


def read_mixture(domain: str, base: Backbone, catalog: Catalog, folders: Sequence[Path], also: Sequence[str] = ()) -> Mixture:
    """Read and check the general adapter, those of ``also``, and the domain's own.

    The general or the domain's own adapter is left out where it cannot be used, and named in ``problems``.

    Parameters
    ----------
    folders : each holds a folder an adapter ("general", or a domain's name); the first that has one wins.

    Raises
    ------
    BadInput : there is no such domain, or one of ``also`` is missing, cannot be used, or is mixed in already.
    MolorecError : there is no usable adapter at all, or they were trained on different templates.
    """
    info = catalog.domain(domain)
    names = ("general", *also, domain)
    twice = next((name for name in also if names.count(name) > 1), None)
    if twice:
        raise BadInput(f"adapter '{twice}' is a part of this mixture already; mix in another, or none")
    found, problems, missing = [], [], []
    for name in names:
        try:
            adapter = _read_first(name, base, folders)
        except MolorecError as error:
            if name in also:
                raise
            problems.append(str(error))
            continue
        if adapter is None and name in also:
            raise BadInput(f"there is no adapter '{name}' to mix in; it is looked for in " + ", ".join(map(str, folders)))
        problems += _misplaced(adapter, name, domain) if adapter else []
        (found if adapter else missing).append(adapter or name)
    found, more = _without_mixed(found)
    problems += more
    if not found:
        detail = "; ".join(problems) or "none is in " + ", ".join(map(str, folders))
        raise MolorecError(f"there is no adapter to rank '{domain}' with ({detail}); train one with training_scripts/")
    styles = {adapter.card.template for adapter in found if adapter.card} or {"open"}
    if len(styles) > 1:
        raise MolorecError(f"the adapters for '{domain}' were trained on different templates ({', '.join(sorted(styles))}); "
                           "they cannot be mixed: train both on one")
    with memory_in_words():
        stack = adapters.stack(found).to(base.device, base.dtype).eval()
    style = template(styles.pop())
    titles = None if style.listed else TitleTrie(base.prompter.titles(catalog.items(domain)))
    return Mixture(domain, tuple(found), stack, style, info.noun, titles, tuple(problems), tuple(missing), info.added,
                   time.monotonic())


def _read_first(name: str, base: Backbone, folders: Sequence[Path]) -> Adapter | None:
    for folder in folders:
        if (folder / name).is_dir():
            return adapters.read(folder / name, base.shapes, base.sha256, base.prompter.fingerprint())
    return None


def _misplaced(adapter: Adapter, name: str, domain: str) -> list[str]:
    """What its card says of an adapter whose folder says something else; it is used all the same."""
    made = adapter.card
    if not made or made.role in card.ALONE or name not in ("general", domain):
        return []
    right = made.role == "general" if name == "general" else (made.role, made.domain) == ("specific", domain)
    what = f"{made.role} one" + (f" of '{made.domain}'" if made.domain else "")
    return [] if right else [f"the adapter in the folder '{name}' is the {what}, so λ does not mean here what it says; put the "
                             "right one there"]


def _without_mixed(found: list[Adapter]) -> tuple[list[Adapter], list[str]]:
    """The adapters to mix, and what is wrong with the others: those that hold the general one already."""
    kept, problems = [], []
    for adapter in found:
        if len(found) > 1 and adapter.card and adapter.card.role in card.ALONE:
            what = "a mixture" if adapter.card.role == card.MERGED else "a baseline, trained on top of a general one,"
            problems.append(f"adapter '{adapter.name}' is {what} and not mixed with another; put it into a folder without one, "
                            "and give that as --adapters")
        else:
            kept.append(adapter)
    return kept, problems
