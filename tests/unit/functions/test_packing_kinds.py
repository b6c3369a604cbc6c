"""What cells hold is packed in one process and gives its results in another; what cannot go is refused by name."""

import pytest

from cells import call_in_runner, pack_in_kernels

CACHED = "import functools\n@functools.cache\ndef rate(x):\n    return x * 2\n"
KINDS = {
    "cache": (CACHED + "def step(x):\n    return rate(x) + rate(x)", 12),
    "cache across cells": ([CACHED, "def step(x):\n    return rate(x) + rate(x)"], 12),
    "lru_cache with a size": (
        "import functools\n@functools.lru_cache(maxsize=2, typed=True)\ndef rate(x):\n    return x * 2\n"
        "def step(x):\n    return [rate(x), *rate.cache_parameters().values(), rate.cache_info().misses]",
        [6, 2, True, 1],
    ),
    "cache that calls itself": (
        "import functools\n@functools.cache\ndef fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n"
        "def step(x):\n    return [fib(x + 27), fib.cache_info().currsize]",
        [832040, 31],
    ),
    "cached step": ("import functools\n@functools.cache\ndef step(x):\n    return x * 2", 6),
    "cached method": (
        "import functools\nclass Rates:\n    @functools.lru_cache\n    def of(self, x):\n        return x * 2\n"
        "    @functools.cached_property\n    def one(self):\n        return 1\n"
        "def step(x):\n    rates = Rates()\n    return rates.of(x) + rates.one",
        7,
    ),
    "cached closure": (
        "import functools\ndef make(rate):\n    @functools.cache\n    def times(x):\n        return x * rate\n"
        "    return times\ntwice = make(2)\ndef step(x):\n    return twice(x)",
        6,
    ),
    "cache under a decorator": (
        "import functools\ndef loud(f):\n    @functools.wraps(f)\n    def louder(x):\n        return f(x) + 1\n"
        "    return louder\n@loud\n@functools.cache\ndef rate(x):\n    return x * 2\ndef step(x):\n    return rate(x)",
        7,
    ),
    "NewType": (
        "from typing import NewType\nPrice = NewType('Price', int)\n"
        "def step(x: Price) -> Price:\n    return Price(x * 2)",
        6,
    ),
    "NewType of a class": (
        "from typing import NewType\nclass Money(int):\n    pass\nPrice = NewType('Price', Money)\n"
        "def step(x):\n    return [Price(x), Price.__name__, Price.__module__, Price.__supertype__ is Money]",
        [3, "Price", "__main__", True],
    ),
    "TypeVar and ParamSpec": (
        "from typing import Callable, Generic, ParamSpec, TypeVar\nT = TypeVar('T')\nP = ParamSpec('P')\n"
        "def same(f: Callable[P, T]) -> Callable[P, T]:\n    return f\n"
        "class Box(Generic[T]):\n    def __init__(self, of: T):\n        self.of = of\n"
        "def step(x):\n    return same(Box[int](x)).of",
        3,
    ),
    "TypeVarTuple": (
        "from typing import TypeVarTuple, Unpack\nTs = TypeVarTuple('Ts')\n"
        "def first(*xs: Unpack[Ts]):\n    return xs[0]\ndef step(x):\n    return first(x)",
        3,
    ),
    "partial": (
        "from functools import partial\ndef times(x, y):\n    return x * y\nstep = partial(times, y=2)",
        6,
    ),
    "partial of a cache": (CACHED + "step = functools.partial(rate)", 6),
    "partial of a partial as a helper": (
        "from functools import partial\ndef total(x, y, z):\n    return x + y + z\n"
        "one = partial(total, y=1)\ntwo = partial(one, z=2)\ndef step(x):\n    return two(x)",
        6,
    ),
    "decorated with arguments": (
        "import functools\ndef times(n):\n    def decorate(f):\n        @functools.wraps(f)\n"
        "        def inner(*args, **kwargs):\n            return f(*args, **kwargs) * n\n        return inner\n"
        "    return decorate\n@times(2)\ndef step(x):\n    return x",
        6,
    ),
    "decorated by a class": (
        "import functools\nclass Twice:\n    def __init__(self, f):\n        functools.update_wrapper(self, f)\n"
        "        self.f = f\n    def __call__(self, **given):\n        return 2 * self.f(**given)\n"
        "@Twice\ndef step(x):\n    return x",
        6,
    ),
    "singledispatch": (
        "import functools\n@functools.singledispatch\ndef show(x):\n    return 'any'\n"
        "@show.register\ndef _(x: int):\n    return show(float(x)) + ' int'\n"
        "@show.register(float)\ndef _(x):\n    return 'float'\n"
        "def step(x):\n    return [show(x), show('x'), show.__name__]",
        ["float int", "any", "show"],
    ),
    "singledispatch over classes of a cell": (
        "import functools\nclass A: pass\nclass B(A): pass\n@functools.singledispatch\ndef show(x):\n    return 0\n"
        "@show.register\ndef _(x: A):\n    return 2\ndef step(x):\n    return x * show(B())",
        6,
    ),
    "singledispatchmethod": (
        "from functools import singledispatchmethod\nclass Show:\n    @singledispatchmethod\n    def of(self, x):\n"
        "        return 'any'\n    @of.register\n    def _(self, x: int):\n        return 'int'\n"
        "def step(x):\n    return Show().of(x)",
        "int",
    ),
    "class with methods": (
        "class Base:\n    rate = 2\n    def of(self, x):\n        return x * self.rate\n"
        "class Rates(Base):\n    __slots__ = ('extra',)\n    def __init__(self):\n        self.extra = 1\n"
        "    def of(self, x):\n        return super().of(x) + self.extra + self.more + self.none() + Rates.make().extra\n"
        "    @property\n    def more(self):\n        return 1\n    @staticmethod\n    def none():\n        return 0\n"
        "    @classmethod\n    def make(cls):\n        return cls()\ndef step(x):\n    return Rates().of(x)",
        9,
    ),
    "instance": (
        "class Rates:\n    def __init__(self, rate):\n        self.rate = rate\nrates = Rates(2)\n"
        "def step(x):\n    return x * rates.rate",
        6,
    ),
    "bound method": (
        "class Rates:\n    rate = 2\n    def of(self, x):\n        return x * self.rate\nstep = Rates().of",
        6,
    ),
    "dataclass": (
        "from dataclasses import dataclass, field, replace, asdict\n@dataclass(frozen=True, slots=True, order=True)\n"
        "class Row:\n    x: int\n    tags: list = field(default_factory=list)\n"
        "def step(x):\n    return asdict(replace(Row(1), x=x))",
        {"x": 3, "tags": []},
    ),
    "dataclass instance": (
        "from dataclasses import dataclass\n@dataclass\nclass Row:\n    x: int\nrow = Row(2)\n"
        "def step(x):\n    return row == Row(2) and x * row.x",
        6,
    ),
    "enum": (
        "from enum import Enum, Flag, StrEnum, auto\nclass Tone(Enum):\n    CALM = 1\n    BOLD = 2\n"
        "    def twice(self):\n        return self.value * 2\nclass Bits(Flag):\n    A = auto()\n    B = auto()\n"
        "class Word(StrEnum):\n    ONE = 'one'\nchosen = Tone.BOLD\n"
        "def step(x, tone=Tone.CALM):\n"
        "    return [chosen is Tone.BOLD, tone is Tone.CALM, chosen.twice(), (Bits.A | Bits.B).value, Word.ONE]",
        [True, True, 4, 3, "one"],
    ),
    "named tuple and typed dict": (
        "from typing import NamedTuple, TypedDict\nfrom collections import namedtuple\n"
        "class Row(NamedTuple):\n    x: int\n    y: int = 2\nPair = namedtuple('Pair', 'a b')\n"
        "class Named(TypedDict):\n    x: int\ndef step(x):\n    return [Row(x).y, Pair(1, x).b, Named(x=x)]",
        [2, 3, {"x": 3}],
    ),
    "protocol and abstract class": (
        "from abc import ABC, abstractmethod\nfrom typing import Protocol, runtime_checkable\n"
        "@runtime_checkable\nclass Has(Protocol):\n    def of(self, x): ...\n"
        "class Base(ABC):\n    @abstractmethod\n    def of(self, x): ...\n"
        "class Made(Base):\n    def of(self, x):\n        return x * 2\n"
        "def step(x):\n    return [Made().of(x), isinstance(Made(), Has), isinstance(Made(), Base)]",
        [6, True, True],
    ),
    "pydantic model": (
        "from pydantic import BaseModel, Field, field_validator\nclass Tag(BaseModel):\n    name: str = 'a'\n"
        "class Row(BaseModel):\n    x: int = Field(ge=0)\n    tags: list[Tag] = [Tag()]\n"
        "    @field_validator('x')\n    @classmethod\n    def twice(cls, x):\n        return x * 2\n"
        "def step(x):\n    return Row(x=x).model_dump()",
        {"x": 6, "tags": [{"name": "a"}]},
    ),
    "error class": (
        "class Bad(ValueError):\n    pass\ndef step(x):\n    try:\n        raise Bad('no')\n"
        "    except Bad as error:\n        return str(error)",
        "no",
    ),
    "metaclass": (
        "class Meta(type):\n    def __call__(cls, x):\n        return super().__call__(x * 2)\n"
        "class Made(metaclass=Meta):\n    def __init__(self, x):\n        self.x = x\ndef step(x):\n    return Made(x).x",
        6,
    ),
    "generator": (
        "def several(x):\n    for each in range(x):\n        yield each * RATE\nRATE = 2\n"
        "def step(x):\n    return list(several(x))",
        [0, 2, 4],
    ),
    "context manager": (
        "from contextlib import contextmanager\n@contextmanager\ndef within(x):\n    yield x * 2\n"
        "def step(x):\n    with within(x) as y:\n        return y",
        6,
    ),
    "name in a nested lambda": (
        "RATE = 2\ndef step(x):\n    return [(lambda y: y * RATE)(each) for each in [x]][0]",
        6,
    ),
    "name in the body of a nested class": (
        "RATE = 2\ndef step(x):\n    class Made:\n        rate = RATE\n    return Made.rate * x",
        6,
    ),
    "helpers that call each other": (
        "def even(n):\n    return n == 0 or odd(n - 1)\ndef odd(n):\n    return n != 0 and even(n - 1)\n"
        "def step(x):\n    return odd(x)",
        True,
    ),
    "defaults": ("class Rate: of = 2\ndef step(x, *, rate=Rate, more=[0]):\n    return x * rate.of + more[0]", 6),
    "marks on a function": ("def rate(x):\n    return rate.of * x\nrate.of = 2\ndef step(x):\n    return rate(x)", 6),
    "one object in two places": (
        "MISSING = object()\ndef step(x, given=MISSING):\n    return x if given is MISSING else 0",
        3,
    ),
    "a logger and a pattern": (
        "import logging, re\nlog = logging.getLogger(__name__)\nword = re.compile('a+')\n"
        "def step(x):\n    log.info('x')\n    return bool(word.match('a')) and x",
        3,
    ),
    "a module of the standard library": (
        "import xml.etree.ElementTree as ET\nimport os.path\ndef step(x):\n    return ET.fromstring('<a/>').tag * x",
        "aaa",
    ),
}


@pytest.fixture(scope="module")
def sent():
    """Each kind, packed by a kernel of its own."""
    cells = [[source] if isinstance(source, str) else source for source, _ in KINDS.values()]
    return dict(zip(KINDS, pack_in_kernels(cells), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_cell_holds_works_elsewhere(kind, sent):
    """A step that uses it gives the same in a process that has nothing of the notebook."""
    told = call_in_runner(sent[kind], x=3)
    assert (told.refused, told.raised, told.result) == (None, None, KINDS[kind][1])


REFUSED = {
    "lock": (
        "import threading\nlock = threading.Lock()\ndef step(x):\n    return lock, x",
        "`lock`, a lock that step()",
    ),
    "lock in a helper of another cell": (
        "import threading\nlock = threading.Lock()\ndef helper(x):\n    return lock, x\ndef step(x):\n    return helper(x)",
        "`lock`, a lock that helper() captured",
    ),
    "lock in a nested lambda": (
        "import threading\nlock = threading.Lock()\ndef step(x):\n    return (lambda: lock)()",
        "`lock`, a lock that step() captured",
    ),
    "lock in a partial": (
        "import threading, functools\ndef take(x, lock):\n    return x\n"
        "step = functools.partial(take, lock=threading.Lock())",
        "`lock`, a lock",
    ),
    "lock in a dict": (
        "import threading\nlocks = {'a': threading.Lock()}\ndef step(x):\n    return locks",
        "`locks`, a dict that step() captured, cannot be packed: cannot pickle '_thread.lock' object",
    ),
    "lock in a class": (
        "import threading\nclass Rates:\n    lock = threading.Lock()\ndef step(x):\n    return Rates.lock",
        "`lock`, a lock that Rates captured",
    ),
    "lock under a cache": (
        "import threading, functools\nlock = threading.Lock()\n@functools.cache\ndef rate(x):\n    return lock, x\n"
        "def step(x):\n    return rate(x)",
        "`lock`, a lock that rate() captured",
    ),
    "lock in a default": (
        "import threading\ndef step(x, lock=threading.Lock()):\n    return x",
        "`lock`, a lock that step() captured",
    ),
    "lock in a bound method": (
        "import threading\nclass Rates:\n    def __init__(self):\n        self.lock = threading.Lock()\n"
        "    def of(self, x):\n        return x\nstep = Rates().of",
        "`lock`, a lock",
    ),
    "generator that runs": (
        "several = (each for each in range(3))\ndef step(x):\n    return list(several)",
        "`several`, a generator that step() captured",
    ),
    "open file": (
        "import tempfile\nfile = tempfile.TemporaryFile()\ndef step(x):\n    return file",
        "`file`, a BufferedRandom that step() captured",
    ),
    "connection": (
        "import sqlite3\nbase = sqlite3.connect(':memory:')\ndef step(x):\n    return base",
        "`base`, a Connection that step() captured",
    ),
    "named by a place that only the notebook has": (
        "class Named:\n    def __reduce__(self):\n        return 'named'\nnamed = Named()\ndef step(x):\n    return named",
        "`named`, a Named that step() captured",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_go_is_refused_by_name(kind):
    """Before the run, with the variable, the function that uses it, and what to do."""
    source, words = REFUSED[kind]
    (refused,) = pack_in_kernels([[source]])
    assert words in (refused.refused or "")
    assert "\n  " in (refused.refused or "")


def test_what_a_class_holds_can_be_put_into_a_module():
    """Nothing can be created inside a class; a module with such a class is imported where the function runs."""
    (refused,) = pack_in_kernels([[REFUSED["lock in a class"][0]]])
    assert "Put Rates into a module beside the notebook" in (refused.refused or "")


def test_an_error_in_a_helper_of_another_cell_shows_its_line():
    """A traceback quotes each cell that it passes through, classes and caches too."""
    cells = [
        "def helper(x):\n    return 1 / x  # The helper's line.",
        "class Rates:\n    rate = 2\n\n    def of(self, x):\n        return helper(x)  # The method's line.",
        "import functools\n@functools.cache\ndef kept(x):\n    inner = lambda: Rates().of(x)  # The lambda's line.\n"
        "    return inner()",
        "def step(x):\n    return kept(x)  # The step's line.",
    ]
    (sent,) = pack_in_kernels([cells])
    raised = call_in_runner(sent, x=0).raised or ""
    for words in ("helper's", "method's", "lambda's", "step's"):
        assert f"# The {words} line." in raised
    assert [f"/{number}.py" in raised for number in range(4)] == [True] * 4


def test_only_lines_of_what_is_packed_go_along():
    """Other lines of a cell stay at home: a key may stand there."""
    (sent,) = pack_in_kernels([["KEY = 'sk-secret'\ndef step(x):\n    return x  # Mine.\n\nTOKEN = 'secret'"]])
    assert sent.packed is not None
    blob = sent.packed.blob
    assert b"# Mine." in blob
    assert b"secret" not in blob
