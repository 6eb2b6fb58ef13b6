"""A file says which schema it has, and one from the future is left alone."""

import pytest
from sqlite_utils import Database

from molorec import database
from molorec.errors import CatalogError, JournalError


@pytest.mark.parametrize("error", [CatalogError, JournalError])
def test_a_newer_file_is_refused_with_its_name_and_both_numbers(tmp_path, error):
    db = Database(tmp_path / "a.db")
    assert database.schema_version(db, tmp_path / "a.db", 3, error) == 0
    db.execute("pragma user_version = 3")
    assert database.schema_version(db, tmp_path / "a.db", 3, error) == 3
    db.execute("pragma user_version = 4")
    with pytest.raises(error, match=r"a\.db was written by a newer MoLoRec \(schema 4, this one knows 3\).*MOLOREC_HOME"):
        database.schema_version(db, tmp_path / "a.db", 3, error)
