"""Domains that are named before they are here."""

import shlex

import pytest

from molorec import cli
from molorec.catalog import known, prepare
from molorec.errors import NoData
from molorec.evaluation import published
from tests.conftest import source_data


def test_a_known_domain_is_missing_until_its_data_is_here(catalog):
    assert [domain.name for domain in known.missing(catalog.domains())] == list(known.DOMAINS)
    catalog.add_domain(prepare("amazon14_toys", source_data()))
    assert "amazon14_toys" not in [domain.name for domain in known.missing(catalog.domains())]
    assert catalog.domain("amazon14_toys").users == 130


@pytest.mark.parametrize("name", known.DOMAINS)
def test_a_missing_one_says_what_to_run_and_that_can_be_run(catalog, name):
    with pytest.raises(NoData, match=known.DOMAINS[name].label) as caught:
        catalog.domain(name)
    program, *words = shlex.split(str(caught.value).split("`")[1])
    arguments = cli.parser().parse_args(words)
    assert program == "molorec" and getattr(arguments, "name", name) == name and callable(arguments.run)


def test_an_unknown_domain_is_no_known_one(catalog):
    with pytest.raises(Exception, match="there is no domain 'x'; there are: toybox") as caught:
        catalog.domain("x")
    assert not isinstance(caught.value, NoData)


def test_the_paper_calls_the_domains_by_the_same_names():
    assert published.DOMAINS == {name: known.DOMAINS[name].label for name in published.DOMAINS}
    assert published.DOMAINS.keys() == known.DOMAINS.keys()
