"""Domains that papers often use: what they are called, and how to get those whose data is not here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from molorec.catalog import movielens
from molorec.catalog.records import DomainInfo
from molorec.download import WebFile


@dataclass(frozen=True)
class KnownDomain:
    """A domain that can be named before its data is in the catalogue.

    Attributes
    ----------
    name, label : in the catalogue; for people.
    about : what the command does, in sentences; empty if there is nothing to know.
    files, page : where its publisher offers it; none where it comes by another way.
    category : of Amazon, as in the files' names.
    """

    name: str
    label: str
    about: str = ""
    files: tuple[WebFile, ...] = ()
    page: str = ""
    category: str = ""

    @property
    def command(self) -> str:
        """The command line that adds it."""
        return "molorec domains fetch" + (f" {self.name}" if self.files else "")

    @property
    def by_hand(self) -> str:
        """What to do where this machine cannot reach the publisher, in a sentence."""
        names = " and ".join(file.name for file in self.files)
        path = "FOLDER" if len(self.files) > 1 else names
        return (f"get {names} from {self.page} on another machine, bring {'them' if len(self.files) > 1 else 'it'} here, and run "
                f"`molorec domains add {self.name} --from {path}`")

    @property
    def how(self) -> str:
        """What to do to get it, in sentences, with the command in backticks."""
        return " ".join(filter(None, (f"Run `{self.command}` on the machine that runs MoLoRec.", self.about,
                                      "A page that is open shows the domain after a reload.")))


_GROUPLENS = "https://files.grouplens.org/datasets/movielens/"
# the lab's own server, then the one that has offered the files since they were published
_AMAZON = ("https://mcauleylab.ucsd.edu/public_datasets/data/amazon/categoryFiles/",
           "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles/")
_AMAZON_PAGE = "https://cseweb.ucsd.edu/~jmcauley/datasets/amazon/links.html"


def _movielens(name: str, label: str, archive: str, md5: str = "") -> KnownDomain:
    return KnownDomain(name, label, "It downloads the archive from GroupLens, which offers it for research use.",
                       (WebFile(archive, (_GROUPLENS + archive,), md5),), "https://grouplens.org/datasets/movielens/")


def _amazon(name: str, label: str, category: str) -> KnownDomain:
    names = f"reviews_{category}_5.json.gz", f"meta_{category}.json.gz"
    return KnownDomain(
        name, label, "It downloads the 5-core reviews and the metadata of the Amazon review data of 2014, which the McAuley lab "
        "offers for research use and which cannot be shipped with this app; where the network does not allow that, it says what "
        "to do by hand.",
        tuple(WebFile(file, tuple(address + file for address in _AMAZON)) for file in names), _AMAZON_PAGE, category)


DOMAINS = {known.name: known for known in (
    KnownDomain(movielens.NAME, "MovieLens-1M"),
    _amazon("amazon14_beauty", "Amazon Beauty", "Beauty"),
    _amazon("amazon14_toys", "Amazon Toys and Games", "Toys_and_Games"),
    _amazon("amazon14_sports", "Amazon Sports and Outdoors", "Sports_and_Outdoors"))}

# not in the paper's tables, so named only when asked for
FURTHER = {known.name: known for known in (
    _movielens("movielens-100k", "MovieLens-100K", "ml-100k.zip", "0e33842e24a9c977be4e0107933c0723"),
    _movielens("movielens-10m", "MovieLens-10M", "ml-10m.zip", "ce571fd55effeba0271552578f2648bd"),
    _movielens("movielens-latest-small", "MovieLens latest, small", "ml-latest-small.zip"))}


def find(name: str) -> KnownDomain | None:
    """The known domain of that name, if there is one."""
    return DOMAINS.get(name) or FURTHER.get(name)


def missing(here: Iterable[DomainInfo], among: Mapping[str, KnownDomain] = DOMAINS) -> list[KnownDomain]:
    """The known domains that are not ``here``; by default, of those that the paper is about."""
    names = {info.name for info in here}
    return [known for name, known in among.items() if name not in names]
