"""Templates kept per project: numbered by name, added once, found again."""

from __future__ import annotations

import threading

import pytest

from plans import chain
from xtyl_engine.database.connection import Database
from xtyl_engine.database.schema import ensure_schema
from xtyl_engine.errors import TemplateNotFound
from xtyl_engine.queries.pages import Listing
from xtyl_engine.scheduler.templates import Catalogue


@pytest.fixture
def catalogue(database_url):
    database = Database(database_url)
    ensure_schema(database)
    yield Catalogue(database)
    database.close()


@pytest.fixture
def versions(database_url):
    database = Database(database_url)
    yield lambda project, name: list(Listing(database).versions(project, name, after=None, limit=100).items)
    database.close()


def test_a_new_plan_of_a_name_is_its_next_version(catalogue, versions):
    """Versions count from 1 for each name, newest first; the same plan again stays what it is."""
    first, second = catalogue.add("shop", chain(1)), catalogue.add("shop", chain(2))
    assert (first.version, second.version) == (1, 2)
    assert catalogue.add("shop", chain(1)) == first
    assert versions("shop", first.name) == [second, first]
    assert catalogue.names("shop") == [second]
    assert catalogue.names("shop", after=second.name) == []


def test_projects_do_not_see_each_others_templates(catalogue, versions):
    """Each counts for itself, and what is not there is named."""
    made = catalogue.add("shop", chain(1))
    assert versions("press", made.name) == []
    with pytest.raises(TemplateNotFound, match="'press' has no template"):
        catalogue.one("press", made.id)
    catalogue.add("press", chain(2))
    assert catalogue.add("press", chain(1)).version == 2


def test_versions_added_at_the_same_moment_get_numbers_of_their_own(catalogue, versions):
    """The later one takes the next number."""
    plans = [chain(length) for length in range(1, 9)]
    barrier = threading.Barrier(len(plans))

    def add(plan):
        barrier.wait(20)
        catalogue.add("shop", plan)

    threads = [threading.Thread(target=add, args=(plan,)) for plan in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    found = versions("shop", plans[0].name)
    assert [each.version for each in found] == list(range(len(plans), 0, -1))
    assert {each.id for each in found} == {plan.digest for plan in plans}
