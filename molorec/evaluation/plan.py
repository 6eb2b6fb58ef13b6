"""What an evaluation is to measure, decided and checked before anything is ranked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from molorec.catalog.lists import HARD
from molorec.engine import Engine
from molorec.errors import BadInput, check_least
from molorec.evaluation import rows as stored
from molorec.evaluation.choosing import POINTS, grid_lam, tuned_lam
from molorec.evaluation.table import CHOSEN, OPTIONAL, SYSTEMS
from molorec.mixture.card import ALONE
from molorec.mixture.lam import AnyLam
from molorec.mixture.rule import DEFAULT_RULE

_FIXED_LAM = {"base": None, "general": 1.0, "specific": 0.0, "half": 0.5, **dict.fromkeys(ALONE, 1.0)}


@dataclass(frozen=True)
class Plan:
    """What is to be measured, and with what: two measurements of one plan can be put together.

    Attributes
    ----------
    n : people; limit : the most that were asked for. systems : their names, in order; lams : system → λ, for those that a
    model ranks at one λ.
    shuffles : how many orders of each list the probabilities are averaged over; 1: the stored order alone.
    base, adapters, precision, backend : what ranks; the first two by hash.
    command : the command line that measures it; it may differ where two machines keep files in different places.
    """

    domain: str
    split: str
    setting: str
    n: int
    limit: int | None
    rule: str
    systems: tuple[str, ...]
    lams: dict[str, AnyLam | None]
    shuffles: int
    lists_sha256: str
    base: str
    precision: str
    backend: str
    adapters: str
    command: str

    @property
    def points(self) -> tuple[float, ...]:
        """The λ that everybody's list is ranked at beside those of ``lams``."""
        return POINTS if "oracle" in self.systems else ()


def make_plan(engine: Engine, domain: str, split: str = "quick", setting: str = "warm", limit: int | None = None,
         systems: Sequence[str] = SYSTEMS, rule: str = DEFAULT_RULE, lam: AnyLam | None = None,
         lams: Mapping[str, AnyLam] | None = None, shuffles: int = 1, command: str = "molorec evaluate",
         tuned: Mapping[str, AnyLam] | None = None,
         on_lam: Callable[[str, int, int], None] = lambda system, done, total: None) -> Plan:
    """What :func:`protocol.evaluate` with these arguments measures; λ is tuned here, unless one is given.

    Parameters
    ----------
    tuned : λ of `mixed`, `contrast` and `grid` that were found before, by what would find them here (:func:`parts.tuned`).
    on_lam : called with (system, lists done, lists in all) while the λ of one of these is looked for, which may take longer than
        the rest.

    Raises
    ------
    BadInput : the split is ``tune`` (its users are never evaluated), a system is unknown, there are no lists, a λ is given
        for a system that has one, or lists are to be shuffled that no prompt holds.
    """
    lams, tuned = dict(lams or {}), tuned or {}
    if split not in ("quick", "full"):
        raise BadInput(f"split '{split}' is not evaluated; choose quick or full (tune is for choosing λ)")
    if setting == "validation":
        raise BadInput("validation lists are those that checkpoints were chosen on; choose a setting to test in: warm, new-item, "
                       f"{', '.join(HARD)}")
    known = (*SYSTEMS, *OPTIONAL, *lams)
    unknown = [name for name in systems if name not in known]
    if unknown:
        raise BadInput(f"there is no system '{unknown[0]}'; choose from: {', '.join(known)}")
    taken = [name for name in lams if name in (*SYSTEMS, CHOSEN, "oracle") or not stored.is_name(name)]
    if taken:
        raise BadInput(f"no λ can be given as '{taken[0]}'; give yours another name, such as mixed-layer")
    check_least(1, limit=limit)
    limit = engine.catalog.cutting(domain, split, setting, limit)
    n = len(engine.catalog.users(domain, split, setting, limit))
    if not n:
        raise BadInput(f"domain '{domain}' has no lists in split '{split}', setting '{setting}'")
    mixture = engine.mixture(domain)
    if shuffles < 1:
        raise BadInput(f"lists in {shuffles} orders are none; give 1 or more")
    if shuffles > 1 and not mixture.template.listed:
        raise BadInput(f"template '{mixture.template.name}' has no list in its prompt, so its order cannot matter; leave out "
                       "--shuffles, or use adapters that were trained on 'listed'")
    alone = "general" if mixture.is_pair or not mixture.adapters[0].card else mixture.adapters[0].card.role
    if mixture.is_pair:
        names = list(dict.fromkeys((*systems, *lams)))
    else:  # of one adapter, it alone; of three and more, mixtures that were given: one number is no λ of them
        own = (alone,) if len(mixture.adapters) == 1 else lams
        names = [name for name in dict.fromkeys((*systems, *lams)) if name in ("popularity", "base", *own)]
    if alone in ALONE:  # which is there only if somebody asked for it
        names.append(alone)
    here = ", ".join(f"'{adapter.name}'" for adapter in mixture.adapters)
    lost = [name for name in systems if name not in names] if tuple(systems) != SYSTEMS else []  # of the usual, what there is
    if lost or not names:
        why = "".join(f"; {problem}" for problem in mixture.problems)
        raise BadInput(f"{', '.join(lost or systems)} cannot be measured with the adapters that '{domain}' has here: {here}{why}")
    if "oracle" in names and n < 2:
        raise BadInput("the oracle chooses λ on half of the users and is measured on the other half; ask for 2 users or more")
    at = {name: _FIXED_LAM[name] for name in names if name in _FIXED_LAM}
    if lam is not None and "mixed" not in systems:
        raise BadInput("a λ was given, and systems without 'mixed', whose place it takes; leave out one of the two")
    if lam is not None and len(mixture.adapters) == 1:
        raise BadInput(f"domain '{domain}' has one adapter here, '{alone}', so λ mixes nothing; leave it out")
    if lam is not None:
        names = [CHOSEN if name == "mixed" else name for name in names]
        names += [CHOSEN] if CHOSEN not in names else []  # of three adapters and more, `mixed` itself is nothing
        at[CHOSEN] = lam
    elif "mixed" in names:
        at["mixed"] = tuned["mixed"] if "mixed" in tuned else tuned_lam(engine, domain, rule, setting, "candidates",
                                                                        partial(on_lam, "mixed"))
    if "contrast" in names and "contrast" not in lams:
        at["contrast"] = tuned["contrast"] if "contrast" in tuned else tuned_lam(engine, domain, rule, setting, "contrast",
                                                                                 partial(on_lam, "contrast"))
    if "grid" in names and "grid" not in lams:
        at["grid"] = tuned["grid"] if "grid" in tuned else grid_lam(engine, domain, rule, partial(on_lam, "grid"))
    at |= {name: lams[name] for name in names if name in lams}
    return Plan(domain, split, setting, n, limit, rule, tuple(names), at, shuffles,
                engine.catalog.lists_sha256(domain, setting, split), engine.base.sha256, engine.base.precision,
                type(engine.backend).__name__, mixture.key, command)
