"""Domains, items, users and stored candidate lists."""

from molorec.catalog.prepare import prepare
from molorec.catalog.records import DomainInfo, Item, RankingExample, SourceData
from molorec.catalog.store import Catalog

__all__ = ["Catalog", "DomainInfo", "Item", "RankingExample", "SourceData", "prepare"]
