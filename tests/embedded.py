"""The fetched model and data, for the tests that need the real thing."""

import functools

import pytest

from molorec.catalog import Catalog
from molorec.datasets import ensure_movielens
from molorec.engine import Engine
from molorec.errors import FetchError


@functools.cache
def engine() -> Engine:
    """One engine on the shipped adapters for the whole run; skips where nothing can be fetched."""
    try:
        catalog = Catalog()
        ensure_movielens(catalog)
        return Engine.start(catalog=catalog)
    except FetchError as error:
        pytest.skip(f"the embedded model cannot be fetched: {error}")
