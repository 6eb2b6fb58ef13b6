"""A file says which schema it has, and one from the future is left alone."""

import errno
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlite_utils import Database

from molorec import config, database
from molorec.catalog import Catalog
from molorec.errors import CatalogError, JournalError
from tests.conftest import toybox_catalog


@pytest.mark.parametrize("error", [CatalogError, JournalError])
def test_a_newer_file_is_refused_with_its_name_and_both_numbers(tmp_path, error):
    db = Database(tmp_path / "a.db")
    assert database.schema_version(db, tmp_path / "a.db", 3, error) == 0
    db.execute("pragma user_version = 3")
    assert database.schema_version(db, tmp_path / "a.db", 3, error) == 3
    db.execute("pragma user_version = 4")
    with pytest.raises(error, match=r"a\.db was written by a newer MoLoRec \(schema 4, this one knows 3\).*MOLOREC_HOME"):
        database.schema_version(db, tmp_path / "a.db", 3, error)


def test_a_place_that_cannot_be_written_to_is_named_and_no_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)  # a test may run as root, who may do all
    for file in (tmp_path / "catalog.db", tmp_path / "to" / "be" / "made" / "catalog.db"):
        said = database.mend(file)
        assert f"nothing can be written to {tmp_path};" in said and "MOLOREC_HOME" in said and "room" not in said

    def refused(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(CatalogError, match="Permission denied.*nothing can be written to .*MOLOREC_HOME"):
        Catalog(tmp_path / "catalog.db")


def test_a_full_disk_is_to_be_given_room(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(CatalogError, match="No space left.*check that the disk has room"):
        Catalog(tmp_path / "catalog.db")


OLD = """
import sqlite3, sys
from pathlib import Path
from molorec.catalog import Catalog
from molorec.journal import Journal
Path(sys.argv[2]).touch()
while not Path(sys.argv[1]).exists(): pass  # all at the same moment
Catalog(sys.argv[3]).domains(); Journal(sys.argv[4]).entries("somebody")
"""


def test_processes_that_bring_a_file_up_to_date_at_once_wait_for_each_other(tmp_path):
    catalog = toybox_catalog(tmp_path / "catalog.db")
    with sqlite3.connect(catalog.path) as db:  # as version 1 wrote it, and before any journal
        db.execute("alter table domains drop column added")
        db.execute("alter table domains drop column owner")
        db.execute("alter table items drop column categories")
        db.execute("pragma user_version = 1")
    running = [subprocess.Popen([sys.executable, "-c", OLD, tmp_path / "go", tmp_path / f"ready-{i}", catalog.path,
                                 tmp_path / "journal.db"], cwd=config.PACKAGE.parent) for i in range(4)]
    for _ in range(600):
        if len(list(tmp_path.glob("ready-*"))) == len(running):
            break
        time.sleep(0.1)
    (tmp_path / "go").touch()
    assert [process.wait(60) for process in running] == [0] * len(running)
    assert [info.name for info in Catalog(catalog.path).domains()] == ["toybox"]


def test_an_upgrade_that_fails_leaves_the_file_as_it_was(tmp_path):
    db = Database(tmp_path / "a.db")
    with pytest.raises(RuntimeError), database.upgrade(db, tmp_path / "a.db", 2, CatalogError) as found:
        assert found == 0
        db["things"].create({"name": str})
        raise RuntimeError("the power went")
    assert db.table_names() == [] and db.execute("pragma user_version").fetchone() == (0,)
    with database.upgrade(db, tmp_path / "a.db", 2, CatalogError) as found:
        db["things"].create({"name": str})
    assert db.table_names() == ["things"]
    with database.upgrade(db, tmp_path / "a.db", 2, CatalogError) as found:
        assert found is None
