"""Calls of an asynchronous library from threads."""

import asyncio
import os
import threading

import pytest

from xtyl_engine.providers.vendors import calls
from xtyl_engine.providers.vendors.calls import MOST_IDLE, Exchange, lane


class Client:
    """Answers, and counts how many of it there are."""

    made = 0
    closed = 0

    def __init__(self):
        type(self).made += 1

    async def answer(self):
        await asyncio.sleep(0)
        return threading.get_ident()

    async def aclose(self):
        type(self).closed += 1


@pytest.fixture(autouse=True)
def counted():
    Client.made = Client.closed = 0
    yield
    calls.close()


def ask(place=("here",)):
    with lane(place, Client) as taken:
        return taken.wait(lambda client: client.answer(), Exchange(), 5)


def test_calls_one_after_the_other_share_a_client():
    """Each runs in the thread that waits; another place has a client of its own."""
    assert {ask(), ask(), ask()} == {threading.get_ident()}
    assert Client.made == 1
    ask(("elsewhere",))
    assert Client.made == 2


def test_calls_at_the_same_time_have_a_client_each():
    """None waits for another, and after them as many are idle as were needed."""
    with lane(("here",), Client) as first, lane(("here",), Client) as second:
        assert first is not second
    ask()
    assert Client.made == 2


def test_a_thread_that_runs_a_loop_can_ask_too():
    """As a cell of a notebook does, whose thread runs the kernel's loop."""

    async def cell():
        return ask()

    assert asyncio.run(cell()) != threading.get_ident()


def test_a_call_that_fails_leaves_its_client_to_the_next():
    """Its error comes out as it is."""

    async def fail():
        raise LookupError("no")

    with pytest.raises(LookupError), lane(("here",), Client) as taken:
        taken.wait(lambda client: fail(), Exchange(), 5)
    ask()
    assert Client.made == 1


def test_what_is_idle_has_a_bound():
    """Keys and servers that were asked once are not remembered for ever."""
    for number in range(MOST_IDLE + 3):
        ask((str(number),))
    assert Client.closed == 3
    calls.close()
    assert Client.closed == MOST_IDLE + 3


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_begins_anew():
    """The connections that it inherited are those of its parent."""
    ask()
    if (child := os.fork()) == 0:
        ask()
        os._exit(Client.made)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
