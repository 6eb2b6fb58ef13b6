"""Whether half and half was measured to be above both adapters: what a λ found without labels can be held against."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from molorec.errors import MolorecError
from molorec.evaluation import rows, runs
from molorec.evaluation.metrics import Interval
from molorec.evaluation.rows import SystemRows

SETTINGS = ("warm", "new-item")
ADAPTERS = ("general", "specific")


@dataclass(frozen=True)
class Measured:
    """Half and half against each adapter alone, on the most people that it was measured on in a setting.

    Attributes
    ----------
    n : people. over : adapter's role → NDCG@1 of half and half minus the adapter's, paired by person.
    """

    setting: str
    n: int
    over: dict[str, Interval]

    @property
    def helps(self) -> bool:
        """Whether it is surely above both."""
        return all(interval.low > 0 for interval in self.over.values())

    @property
    def surely_below(self) -> tuple[str, ...]:
        """The adapters that it is surely below."""
        return tuple(name for name, interval in self.over.items() if interval.high < 0)


def measured(domain: str, rule: str, adapters: Mapping[str, str]) -> list[Measured]:
    """What the rows that ship and those of this machine say of a domain and a rule, for these adapters alone.

    Parameters
    ----------
    adapters : name → hash of its weights.
    """
    found = []
    for setting in SETTINGS:
        places = [rows.folder() / domain, runs.SHIPPED / "rows" / domain]
        there = [systems for place in places for systems in map(_read, sorted(place.glob(f"{setting}-*")))
                 if systems and all(_made_with(each, setting, rule, adapters) for each in systems.values())]
        if there:
            most = max(there, key=lambda systems: systems["half"].n)
            over = {name: rows.compare(most["half"], most[name]) for name in ADAPTERS}
            found.append(Measured(setting, min(n for _, n in over.values()), {name: each for name, (each, _) in over.items()}))
    return found


def _read(test: Path) -> dict[str, SystemRows] | None:
    """The three systems of a test set's folder; None where one is missing or cannot be used."""
    try:
        return {name: rows.read(test / f"{name}.json") for name in ("half", *ADAPTERS)}
    except MolorecError:  # the tab Results says so
        return None


def _made_with(made: SystemRows, setting: str, rule: str, adapters: Mapping[str, str]) -> bool:
    return (made.setting, made.share, made.made_with.get("rule"), made.made_with.get("adapters")) == (
        setting, 1.0, rule, dict(adapters))
