"""Domains that papers often use: what they are called, and how to get those whose data is not here."""

from collections.abc import Iterable
from dataclasses import dataclass

from molorec.catalog import movielens
from molorec.catalog.records import DomainInfo


@dataclass(frozen=True)
class KnownDomain:
    """A domain that can be named before its data is in the catalogue.

    Attributes
    ----------
    name, label : in the catalogue; for people.
    command : the command line that adds it.
    before : what has to be done before that command, in sentences; empty if nothing.
    """

    name: str
    label: str
    command: str
    before: str = ""

    @property
    def how(self) -> str:
        """What to do to get it, in sentences, with the command in backticks."""
        then = f"Then run `{self.command}`" if self.before else f"Run `{self.command}`"
        return " ".join(filter(None, (self.before, f"{then} on the machine that runs MoLoRec."
                                      " A page that is open shows the domain after a reload.")))


def _amazon(name: str, label: str) -> KnownDomain:
    return KnownDomain(
        name, label, f"molorec domains add {name} --items items.csv --interactions interactions.csv --noun products",
        "The files cannot be shipped with this app. Get the 5-core reviews and the metadata from the Amazon review data of 2014, "
        "which the McAuley lab offers for research use, and write them as two CSV files under the names that the columns have "
        "there: items.csv with asin and title, interactions.csv with reviewerID, asin and unixReviewTime.")


DOMAINS = {known.name: known for known in (
    KnownDomain(movielens.NAME, "MovieLens-1M", "molorec domains fetch"),
    _amazon("amazon14_beauty", "Amazon Beauty"), _amazon("amazon14_toys", "Amazon Toys and Games"),
    _amazon("amazon14_sports", "Amazon Sports and Outdoors"))}


def missing(here: Iterable[DomainInfo]) -> list[KnownDomain]:
    """The known domains that are not ``here``."""
    names = {info.name for info in here}
    return [known for name, known in DOMAINS.items() if name not in names]
