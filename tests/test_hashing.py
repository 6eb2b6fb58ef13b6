"""Hashes: of one file, of several, and of those that the hub's cache names by their hash."""

import hashlib

import pytest

from molorec.hashing import file_sha256, files_sha256


def test_one_file_has_the_hash_of_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_sha256(tmp_path / "a") == files_sha256([tmp_path / "a"]) == hashlib.sha256(b"abc").hexdigest()


def test_several_files_have_one_hash_whatever_their_order(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(name)
    assert files_sha256([tmp_path / "b", tmp_path / "a"]) == files_sha256([tmp_path / "a", tmp_path / "b"])
    assert files_sha256([tmp_path / "a"]) != files_sha256([tmp_path / "a", tmp_path / "b"])


@pytest.mark.parametrize(("blob", "read"), [(hashlib.sha256(b"abc").hexdigest(), False), ("0123abcd", True)])
def test_a_large_file_of_the_hubs_cache_is_not_read_for_its_hash(tmp_path, monkeypatch, blob, read):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / blob).write_bytes(b"abc")
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "blobs" / blob)
    real, opened = hashlib.file_digest, []
    monkeypatch.setattr(hashlib, "file_digest", lambda *given: opened.append(1) or real(*given))
    assert file_sha256(tmp_path / "model.safetensors") == hashlib.sha256(b"abc").hexdigest()
    assert bool(opened) is read
