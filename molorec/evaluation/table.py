"""Systems side by side, made of stored rows and of nothing else: scores, paired differences, and whether mixing helps."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from molorec.catalog.lists import NEGATIVES
from molorec.errors import BadAdapter, BadFile, BadInput
from molorec.evaluation import kept
from molorec.evaluation import rows as stored
from molorec.evaluation.metrics import Interval, by_position, hit_rate, ndcg, resampled_means
from molorec.evaluation.rows import SystemRows
from molorec.mixture.adapters import Adapter
from molorec.mixture.card import ALONE, update_card
from molorec.mixture.lam import AnyLam, from_saved, general, to_saved
from molorec.tuning import INSIDE
from molorec.wording import percent

SYSTEMS = ("popularity", "base", "general", "specific", "half", "mixed")
# asked for by name, since each costs many forwards: the λ of tuning by contrast, the one that is best on validation lists, and
# the one that is best on the other half of the very people who are tested (for reference: nobody could know it)
OPTIONAL = ("contrast", "grid", "oracle")
CHOSEN = "chosen"  # what stands in place of "mixed" where λ was given: "mixed" always means tuned
MOVES_AT_LEAST = 0.25
FEW = 30  # people, of whom a resampled interval says nothing: of one it has no width at all
# the facts that decide the rows of a system of ours, and those that decide it where adapters are mixed
OF_MODEL = ("base", "base_revision", "base_sha256", "precision", "backend", "template", "shuffles")
OF_MIXTURE = ("adapters", "rule")


@dataclass
class SystemResult:
    """One system over all users.

    Attributes
    ----------
    low, high : 95% bootstrap interval of NDCG@1.
    against : other system → (mean difference of NDCG@1, low, high), paired by user.
    """

    rows: SystemRows
    low: float = 0.0
    high: float = 0.0
    against: dict[str, tuple[float, float, float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.rows.system

    @property
    def lam(self) -> AnyLam | None:
        """None where nothing is mixed, or not at one λ."""
        return None if self.rows.lam is None else from_saved(self.rows.lam)

    @property
    def ranks(self) -> tuple[int, ...]:
        return self.rows.ranks

    @property
    def knows_nothing(self) -> bool:
        """Whether every candidate was alike to it, everywhere. Ties count against the truth, so it scores below a guess, and to
        be above it is no feat."""
        return min(self.ranks) > NEGATIVES

    def ndcg(self, k: int) -> float:
        """Mean NDCG@k."""
        return float(ndcg(self.ranks, k).mean())

    def hit_rate(self, k: int) -> float:
        """Mean HR@k."""
        return float(hit_rate(self.ranks, k).mean())

    def by_position(self) -> list[np.ndarray]:
        """NDCG@1 of the users whose true title stood in the first fifth of their list, in the second, and so on."""
        return by_position(ndcg(self.ranks, 1), self.rows.positions, NEGATIVES + 1)


@dataclass
class Evaluation:
    """A table of systems on one split of one domain, all on the same users.

    Attributes
    ----------
    limit : the most users that were asked for; None for a whole split.
    moves : share of users whose first title differs between λ = 0, ½ and 1 (None with one adapter).
    share : which share of the domain's people its adapter has learned from.
    """

    domain: str
    split: str
    setting: str
    lists_sha256: str
    limit: int | None
    systems: list[SystemResult]
    moves: float | None
    share: float = 1.0

    def system(self, name: str) -> SystemResult | None:
        """The result called ``name``, if it was run."""
        return next((result for result in self.systems if result.name == name), None)

    def for_card(self, name: str, weak: Sequence[str]) -> dict:
        """What the card of a system's adapter says of it, if popularity was measured beside it.

        Parameters
        ----------
        weak : what it falls short of, in words.
        """
        result = self.system(name)
        some = {} if self.limit is None else {"first people of the split": self.limit}
        return {"domain": self.domain, "split": self.split, **some, "setting": self.setting, "n": result.rows.n,
                "ndcg@1": round(result.ndcg(1), 4), "popularity ndcg@1": round(self.system("popularity").ndcg(1), 4),
                "lists_sha256": self.lists_sha256, "weak": list(weak)}

    @property
    def verdict(self) -> str:
        """Whether mixing helps, in words: only at a real mixture whose paired intervals are above both adapters alone."""
        mixed, contrast = self.system("mixed"), self.system("contrast")
        said = [_on_mixing(mixed, "entropy")] if mixed else []
        said += [_on_mixing(contrast, "contrast")] if contrast else []
        if said:
            return "; ".join(said)
        if self.system(CHOSEN):
            return "the λ was given, so this says nothing about tuning"
        alone = len(made_with([result.rows for result in self.systems]).get("adapters", ())) == 1
        return "one adapter: there is nothing to mix" if alone else "mixed was not measured, so this says nothing about it"

    @property
    def shortcomings(self) -> list[str]:
        """In words, what a pair of adapters falls short of before it can be called good; empty if of nothing."""
        found = []
        for name in ("specific", "mixed"):
            result = self.system(name)
            if result is None:
                found.append(f"{name} was not measured")
            elif "popularity" not in result.against:
                found.append(f"{name} was not compared with popularity")
            elif result.against["popularity"][1] <= 0:
                found.append(f"{name} is not surely above popularity")
        general = self.system("general")
        if general is None:
            found.append("general was not measured")
        elif "base" not in general.against:
            found.append("the general adapter was not compared with the bare base model")
        elif general.against["base"][0] <= 0:
            found.append("the general adapter is not above the bare base model")
        if self.moves is None:
            found.append("whether λ changes the first title was not measured")
        elif self.moves < MOVES_AT_LEAST:
            found.append("λ hardly changes the first title")
        return found


def of(systems: Sequence[SystemRows]) -> Evaluation:
    """Systems side by side, on the users that all of them have; whoever measured them, here or elsewhere.

    Raises
    ------
    BadInput : there are none, they are of different test sets, one stands there twice, they have no user in common, or those
        of MoLoRec's own systems were made with different models, adapters, rules or backends, or from different shares of the
        domain's people.
    """
    if not systems:
        raise BadInput("there are no rows to make a table of; run `molorec evaluate`")
    names = [rows.system for rows in systems]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise BadInput(f"there are two sets of rows of '{twice}'; give one of them")
    for rows in systems[1:]:
        stored.check_comparable(systems[0], rows)
        if rows.share != systems[0].share:
            raise BadInput(f"'{systems[0].system}' and '{rows.system}' stand in different tables: the domain's adapter learned "
                           f"from {percent(systems[0].share)} of its people, and from {percent(rows.share)}")
    made_with(systems)
    users = set(systems[0].users).intersection(*(rows.users for rows in systems))
    if not users:
        raise BadInput(f"{', '.join(names)} have no user in common; measure them for the same users")
    systems = [rows.of(users) for rows in systems]
    results = [SystemResult(rows) for rows in systems]
    _compare(results)
    limits = [rows.limit for rows in systems if rows.limit is not None]
    first = systems[0]
    return Evaluation(first.domain, first.split, first.setting, first.lists_sha256, min(limits, default=None), results,
                      _moves(systems), first.share)


def made_with(systems: Sequence[SystemRows]) -> dict:
    """What MoLoRec's own systems among these were made with: the model, the adapters, the rule; other systems may be of
    anything. Raises BadInput if they differ in it: such rows never stand in one table."""
    found: dict = {}
    for place, rows in enumerate(systems):
        for other in systems[:place]:
            fact = unlike(other, rows)
            if fact:
                raise BadInput(f"'{rows.system}' was not made with what '{other.system}' was: {fact} is "
                               f"{rows.made_with[fact]} and {other.made_with[fact]}; measure all of them in one evaluation")
        found |= _deciding(rows)
    if not found.keys() & OF_MIXTURE:  # an adapter that is no part of a mixture stands alone, with an adapter of its own
        found |= {fact: rows.made_with[fact] for rows in systems for fact in OF_MIXTURE if fact in rows.made_with}
    return found


def unlike(one: SystemRows, other: SystemRows) -> str | None:
    """A fact in which two systems of MoLoRec differ, so that their rows cannot stand in one table; None if there is none."""
    theirs = _deciding(other)
    return next((fact for fact, value in _deciding(one).items() if theirs.get(fact, value) != value), None)


def set_aside(systems: Sequence[SystemRows], place: Path) -> list[Path]:
    """Move what is kept below ``place`` of these systems' test set and was made with another model, other adapters or another
    rule than they, which no table can hold beside them, or is the same system at another λ: what was measured is never written
    over.

    Returns
    -------
    Where those files are now, below ``place/earlier``, which is not read.

    Raises
    ------
    MolorecError : one cannot be moved.
    """
    moved = []
    for file in sorted(stored.path(systems[0], place).parent.glob("*.json")):
        try:
            before = stored.read(file)
        except BadFile:  # said when it is read for a table
            continue
        if any(unlike(before, rows) or (before.system == rows.system and before.lam != rows.lam) for rows in systems):
            moved.append(kept.set_aside(file, place))
    return moved


def write_scores(evaluation: Evaluation, used: Sequence[Adapter]) -> None:
    """Keep an evaluation on the cards of the adapters that took part; a weak pair is marked so, for the screen.

    Raises
    ------
    BadAdapter : an adapter has no card.
    BadInput : popularity was not measured.
    """
    if evaluation.system("popularity") is None:
        raise BadInput("popularity was not measured, which a card's scores stand beside; measure it too")
    without = next((adapter for adapter in used if adapter.card is None or adapter.folder is None), None)
    if without:
        raise BadAdapter(f"adapter '{without.name}' has no card to write scores to")
    for adapter in used:
        own = evaluation.system(adapter.card.role)
        if own is None:
            raise BadAdapter(f"adapter '{adapter.name}' ({adapter.card.role}) took no part in this evaluation")
        scores = {**evaluation.for_card(adapter.card.role, evaluation.shortcomings), "ndcg@3": round(own.ndcg(3), 4)}
        mixed = evaluation.system("mixed")
        changes = {"tuned_lam": to_saved(mixed.lam)} if mixed and adapter.card.role == "specific" else {}
        update_card(adapter.folder, scores=scores, **changes)


def is_mixture(lam: AnyLam | None) -> bool:
    """Whether λ, on average over the layers, is far enough from both ends to be called a mixture.

    >>> is_mixture(0.5), is_mixture(0.99), is_mixture(None)
    (True, False, False)
    """
    return lam is not None and INSIDE[0] <= general(lam) <= INSIDE[1]


def _deciding(rows: SystemRows) -> dict:
    """The facts in which a system of MoLoRec must be like the others of its table; none of another system's."""
    if "backend" not in rows.made_with:  # popularity, and what others measured, here or elsewhere
        return {}
    names = OF_MODEL if rows.system in ALONE else (*OF_MODEL, *OF_MIXTURE)
    return {name: rows.made_with[name] for name in names if name in rows.made_with}


def _on_mixing(tuned: SystemResult, by: str) -> str:
    if not is_mixture(tuned.lam):
        end, other = ("general", "specific") if general(tuned.lam) > 0.5 else ("specific", "general")
        better = tuned.rows.n >= FEW and other in tuned.against and tuned.against[other][2] < 0
        return f"{by} prefers the {end} adapter alone" + (f", though the {other} one is surely better" if better else "")
    at = "at the λ of contrast, " if by == "contrast" else ""
    if not {"general", "specific"} <= tuned.against.keys():
        return at + "the adapters alone were not measured, so this does not say whether mixing helps"
    if tuned.rows.n < FEW:
        return at + f"{tuned.rows.n} people are too few to say whether mixing helps; measure {FEW} or more"
    if all(tuned.against[name][1] > 0 for name in ("general", "specific")):
        return at + "mixing helps: it is above both adapters alone"
    better = [name for name in ("general", "specific") if tuned.against[name][2] < 0]
    if better:
        return at + f"mixing does not help: the {better[0]} adapter alone is surely better"
    return at + "mixing is not shown to help: it is not surely above both adapters alone"


def _moves(systems: Sequence[SystemRows]) -> float | None:
    firsts = [rows.firsts for rows in systems if rows.system in ("general", "specific", "half")]
    if len(firsts) < 3 or not all(firsts):
        return None
    return float(np.mean([len(set(places)) > 1 for places in zip(*firsts, strict=True)]))


def _compare(results: list[SystemResult]) -> None:
    """Fill in the intervals; the same resampled users for every pair."""
    gains = np.stack([ndcg(result.ranks, 1) for result in results], axis=1)
    means, resampled = gains.mean(axis=0), resampled_means(gains)
    for place, result in enumerate(results):
        own = Interval.of_means(means[place], resampled[:, place])
        result.low, result.high = own.low, own.high
        for beside, other in enumerate(results[:place]):
            found = Interval.of_means(means[place] - means[beside], resampled[:, place] - resampled[:, beside])
            result.against[other.name] = found.mean, found.low, found.high
            other.against[result.name] = -found.mean, -found.high, -found.low
