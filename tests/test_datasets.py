"""Known domains: fetched, found where they are, or said how to bring by hand."""

import shlex

import pytest

from molorec import cli, datasets, download
from molorec.catalog import known, prepare
from molorec.errors import BadInput, FetchError
from tests.conftest import source_data
from tests.published_files import amazon_2014, movielens_dat, zipped


@pytest.fixture
def offline(monkeypatch):
    def refuse(file, quiet=False):
        raise FetchError(f"{file.name} could not be fetched (no network)")

    monkeypatch.setattr(download, "fetch", refuse)


def test_a_known_domain_is_fetched_read_and_stored_once(catalog, tmp_path, monkeypatch):
    folder = amazon_2014(tmp_path, source_data(users=60), "Toys_and_Games")
    asked = []
    monkeypatch.setattr(download, "fetch", lambda file, quiet=False: asked.append(file.name) or folder / file.name)
    info = datasets.ensure(catalog, "amazon14_toys")
    assert info == catalog.domain("amazon14_toys") and (info.users, info.noun) == (60, "products")
    assert asked == ["reviews_Toys_and_Games_5.json.gz", "meta_Toys_and_Games.json.gz"]
    assert info.source == ", ".join(asked) and "McAuley" in info.terms
    assert datasets.ensure(catalog, "amazon14_toys") == info and len(asked) == 2


@pytest.mark.parametrize("name", [name for name in {**known.DOMAINS, **known.FURTHER} if name != "movielens-1m"])
def test_where_there_is_no_network_the_way_by_hand_is_said_and_works(catalog, offline, tmp_path, monkeypatch, home, name):
    with pytest.raises(FetchError, match="no network.*By hand: get .* from https://") as caught:
        datasets.ensure(catalog, name)
    words = shlex.split(str(caught.value).rpartition("`molorec ")[2].rstrip("`"))
    domain = known.find(name)
    if domain.category:
        amazon_2014(tmp_path / "FOLDER", source_data(users=60), domain.category)
    else:
        zipped(movielens_dat(tmp_path / "made", source_data(users=60)), tmp_path / words[-1])
    monkeypatch.chdir(tmp_path)
    cli.main(words)
    assert datasets.ensure(datasets.Catalog(), name).users == 60


def test_an_unknown_name_is_answered_with_those_that_are_known(catalog, offline):
    with pytest.raises(BadInput, match="'x' is none of the domains that can be fetched: movielens-1m, amazon14_beauty"):
        datasets.ensure(catalog, "x")


def test_the_name_whose_lists_results_stand_on_is_not_given_to_other_ids(catalog, tmp_path):
    folder = movielens_dat(tmp_path / "ml", source_data(users=60))
    with pytest.raises(BadInput, match="'movielens-1m' is the domain of `molorec domains fetch`.*such as ml-1m"):
        datasets.add_original(catalog, "movielens-1m", [folder], replace=True)
    info = datasets.add_original(catalog, "ml-1m", [folder], noun="movies", terms="mine", core=2)
    assert (info.noun, info.terms, info.source) == ("movies", "mine", "movies.dat, ratings.dat")


def test_the_lists_of_a_name_and_its_ids_do_not_depend_on_the_form(catalog, tmp_path):
    source = source_data(users=110)
    catalog.add_domain(prepare("amazon14_toys", source))
    before = catalog.lists_sha256("amazon14_toys"), catalog.items("amazon14_toys")
    datasets.add_original(catalog, "amazon14_toys", [amazon_2014(tmp_path, source)], replace=True)
    assert (catalog.lists_sha256("amazon14_toys"), catalog.items("amazon14_toys")) == before
