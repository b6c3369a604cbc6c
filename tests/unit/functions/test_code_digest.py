"""The digest of a function follows its code and what it uses, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cells import in_notebook, pack_in_kernels
from xtyl_engine.functions.code_digest import code_digest

CELL = '''
import functools, json
from dataclasses import dataclass, field
from enum import Enum
RATE = 2
WORDS = {"calm", "bold", "bright", "dark"}
TABLE = {"a": [1, 2.5, None], "b": ({"x", "y"}, frozenset({1, 2}))}
class Tone(Enum):
    """Tones."""
    CALM = 1
    BOLD = 2
@dataclass
class Row:
    """A row."""
    x: int = 0
    tags: list = field(default_factory=list)
    def total(self, extra=1):
        """Words."""
        return self.x * RATE + extra
def make(plus):
    def add(x):
        return x + plus
    return add
add = make(1)
@functools.lru_cache(maxsize=8)
def helper(x):
    """Helps."""
    return add(x) + Row(x).total()
def step(x, tone=Tone.CALM, *, limit=10):
    """The step."""
    class Local:
        """Inside."""
        rate = RATE
    several = [each for each in range(x) if each in {1, 2}]
    return [helper(x), sorted(WORDS), TABLE, tone.value, json.dumps(several), Local.rate, min(x, limit)]
'''
SAME = {
    "again": lambda cell: [cell],
    "moved down": lambda cell: ["\n\n\n# A note.\n" + cell],
    "other cell": lambda cell: ["first = 1", "second = 2", cell],
    "two cells": lambda cell: [cell.partition("def step")[0], "".join(cell.partition("def step")[1:])],
    "comment": lambda cell: [cell.replace("    return add(x)", "    # Adds.\n    return add(x)")],
    "docstring changed": lambda cell: [cell.replace("The step.", "Another text.").replace("Helps.", "H.")],
    "docstrings removed": lambda cell: ["\n".join(line for line in cell.split("\n") if '    """' not in line)],
    "docstring added": lambda cell: [cell.replace("def add(x):\n", 'def add(x):\n        """Adds."""\n')],
    "order of a set": lambda cell: [cell.replace('"calm", "bold"', '"bold", "calm"').replace('"x", "y"', '"y", "x"')],
    "other names around": lambda cell: [cell, "unrelated = 5\ndef other():\n    return RATE"],
    "blank lines and spaces": lambda cell: [cell.replace("x + plus", "x  +  plus").replace("def step", "\n\ndef step")],
}
OTHER = {
    "code": ("sorted(WORDS)", "list(WORDS)"),
    "helper": ("return add(x) +", "return add(x) -"),
    "helper of a helper": ("return x + plus", "return x - plus"),
    "default": ("tone=Tone.CALM", "tone=Tone.BOLD"),
    "keyword default": ("limit=10", "limit=11"),
    "closure": ("add = make(1)", "add = make(2)"),
    "global number": ("RATE = 2", "RATE = 3"),
    "global of another type": ("RATE = 2", "RATE = 2.0"),
    "global set": ('"bright", "dark"', '"bright"'),
    "deep in a table": ("frozenset({1, 2})", "frozenset({1, 3})"),
    "method": ("self.x * RATE", "self.x + RATE"),
    "default of a method": ("extra=1", "extra=2"),
    "default of a field": ("x: int = 0", "x: int = 1"),
    "field": ("    tags: list =", "    more: int = 0\n    tags: list ="),
    "member of an enum": ("BOLD = 2", "BOLD = 3"),
    "size of a cache": ("maxsize=8", "maxsize=9"),
    "no cache": ("@functools.lru_cache(maxsize=8)\n", ""),
    "constant inside": ("{1, 2}]", "{1, 3}]"),
    "class inside": ("rate = RATE", "rate = RATE + 1"),
    "library": ("import functools, json", "import functools, pickle as json"),
    "exception that is caught": (
        "    return add(x) + Row(x).total()",
        "    try:\n        return add(x) + Row(x).total()\n    except ValueError:\n        pass",
    ),
}


@pytest.fixture(scope="module")
def digests() -> dict[str, str]:
    """The digest in a kernel of its own, for each change."""
    cells = {name: change(CELL) for name, change in SAME.items()}
    for name, (old, new) in OTHER.items():
        assert old in CELL
        cells[name] = [CELL.replace(old, new)]
    (again,) = pack_in_kernels([cells.pop("again")])
    sent = pack_in_kernels(list(cells.values()))
    return {"again": again.digest} | {name: each.digest for name, each in zip(cells, sent, strict=True)}


@pytest.mark.parametrize("change", SAME)
def test_what_does_not_count(change: str, digests: dict[str, str]) -> None:
    """A moved cell, comments, docstrings, the order of a set and another kernel keep the digest."""
    assert digests[change] == digests["again"]


@pytest.mark.parametrize("change", OTHER)
def test_what_counts(change: str, digests: dict[str, str]) -> None:
    """Any change to what the step computes gives another digest."""
    same = [name for name, digest in digests.items() if digest == digests[change]]
    assert same == [change]


KINDS = {
    "partial": "from functools import partial\ndef add(x, y):\n    return x + y\nstep = partial(add, y={A})",
    "bound method": "class R:\n    def __init__(self, y):\n        self.y = y\n    def of(self, x):\n        return self.y\n"
    "step = R({A}).of",
    "cached step": "import functools\n@functools.cache\ndef step(x):\n    return x + {A}",
    "callable object": "class R:\n    def __call__(self, x):\n        return x + {A}\nstep = R()",
    "property": "class R:\n    @property\n    def y(self):\n        return {A}\ndef step(x):\n    return R().y",
    "static method": "class R:\n    @staticmethod\n    def y():\n        return {A}\ndef step(x):\n    return R.y()",
    "class method": "class R:\n    @classmethod\n    def y(cls):\n        return {A}\ndef step(x):\n    return R.y()",
    "base class": "class B:\n    y = {A}\nclass R(B):\n    pass\ndef step(x):\n    return R.y",
    "slots": "class R:\n    __slots__ = ('y',)\n    def __init__(self):\n        self.y = {A}\ndef step(x):\n    return R().y",
    "dispatch": "import functools\n@functools.singledispatch\ndef of(x):\n    return 0\n@of.register\ndef _(x: int):\n"
    "    return {A}\ndef step(x):\n    return of(x)",
    "new type": "from typing import NewType\nP = NewType('P{A}', int)\ndef step(x):\n    return P(x)",
    "pydantic": "from pydantic import BaseModel\nclass R(BaseModel):\n    y: int = {A}\ndef step(x):\n    return R().y",
    "pydantic validator": "from pydantic import BaseModel, field_validator\nclass R(BaseModel):\n    y: int = 1\n"
    "    @field_validator('y')\n    @classmethod\n    def more(cls, y):\n        return y + {A}\n"
    "def step(x):\n    return R(y=x).y",
    "named tuple": "from typing import NamedTuple\nclass R(NamedTuple):\n    y: int = {A}\ndef step(x):\n    return R().y",
    "array": "import numpy as np\nys = np.array([1, 2, {A}])\ndef step(x):\n    return ys.sum()",
    "frame": "import pandas as pd\nys = pd.DataFrame({{'y': ['a', 'b'], 'z': [1, {A}]}})\ndef step(x):\n    return ys.z.sum()",
    "pattern": "import re\nys = re.compile('a{A}')\ndef step(x):\n    return ys.match(x)",
    "mark": "def of(x):\n    return of.y\nof.y = {A}\ndef step(x):\n    return of(x)",
    "circle": "ys = [{A}]\nys.append(ys)\ndef step(x):\n    return ys",
    "recursion": "def step(x):\n    return 0 if x < {A} else step(x - 1)",
    "annotation of a field": "from dataclasses import dataclass\n@dataclass\nclass R:\n    y: 'A{A}' = 1\n"
    "def step(x):\n    return R()",
    "object in a set": "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass R:\n    y: int\n    z: str\n"
    "ys = {{R(1, 'a'), R({A}, 'b'), R(3, 'c')}}\ndef step(x):\n    return ys",
    "generator": "def several(x):\n    yield x + {A}\ndef step(x):\n    return list(several(x))",
    "lambda in a dict": "ways = {{'a': lambda x: x + {A}}}\ndef step(x):\n    return ways['a'](x)",
    "decorated": "import functools\ndef by(n):\n    def outer(f):\n        @functools.wraps(f)\n        def inner(**k):\n"
    "            return f(**k) * n\n        return inner\n    return outer\n@by({A})\ndef step(x):\n    return x",
    "name with underscores": "class R:\n    __table__ = {A}\ndef step(x):\n    return R.__table__",
    "protocol": "from typing import Protocol\nclass P(Protocol):\n    def y(self): ...\nclass R(P):\n    def y(self):\n"
    "        return {A}\ndef step(x):\n    return R().y()",
    "attrs": "import attrs\n@attrs.define\nclass R:\n    y: int = {A}\ndef step(x):\n    return R().y",
    "total ordering": "import functools\n@functools.total_ordering\nclass R:\n    y = {A}\n    def __lt__(self, o):\n"
    "        return self.y < o.y\n    def __eq__(self, o):\n        return self.y == o.y\ndef step(x):\n    return R() <= R()",
    "partial method": "from functools import partialmethod\nclass R:\n    def of(self, x, y):\n        return x + y\n"
    "    more = partialmethod(of, y={A})\ndef step(x):\n    return R().more(x)",
    "cached property": "from functools import cached_property\nclass R:\n    @cached_property\n    def y(self):\n"
    "        return {A}\ndef step(x):\n    return R().y",
    "abstract class": "from abc import ABC, abstractmethod\nclass B(ABC):\n    @abstractmethod\n    def y(self): ...\n"
    "class R(B):\n    def y(self):\n        return {A}\ndef step(x):\n    return R().y()",
    "generic class": "from typing import Generic, TypeVar\nT = TypeVar('T')\nclass R(Generic[T]):\n    y = {A}\n"
    "def step(x):\n    return R[int].y",
    "type hints": "from typing import Annotated, Literal\nfrom pydantic import BaseModel, Field\nclass R(BaseModel):\n"
    "    y: Annotated[int, Field(le={A})] = 1\n    z: Literal['a', 'b'] = 'a'\ndef step(x):\n    return R().y",
    "namespace": "from types import SimpleNamespace\nys = SimpleNamespace(a={A}, b={{'x', 'y', 'z'}})\n"
    "def step(x):\n    return ys",
    "getter": "from operator import itemgetter\nys = itemgetter({A})\ndef step(x):\n    return ys(x)",
    "numbers": "from decimal import Decimal\nfrom datetime import date\nfrom pathlib import Path\n"
    "ys = [Decimal({A}), date(2026, 1, {A}), Path('a/{A}')]\ndef step(x):\n    return ys",
    "random state": "import random\nys = random.Random({A})\ndef step(x):\n    return ys.random()",
    "async": "async def of(x):\n    return x + {A}\nasync def step(x):\n    return await of(x)",
    "set of texts": "ys = {{'a', 'b', 'c', 'd', 'e', '{A}'}}\ndef step(x):\n    return x in ys",
    "set in a test": "def step(x):\n    return x in {{'a', 'b', 'c', 'd', 'e', 'f', '{A}'}}",
    "metaclass": "class M(type):\n    def y(cls):\n        return {A}\nclass R(metaclass=M):\n    pass\n"
    "def step(x):\n    return R.y()",
    "subclass hook": "class B:\n    def __init_subclass__(cls, y=0):\n        cls.y = y\nclass R(B, y={A}):\n    pass\n"
    "def step(x):\n    return R.y",
    "flag": "from enum import Flag, auto\nclass F(Flag):\n    A = {A}\n    B = auto()\n"
    "def step(x, f=F.A | F.B):\n    return f.value",
    "typed dict": "from typing import TypedDict\nclass R(TypedDict):\n    y{A}: int\ndef step(x):\n    return R()",
    "alchemy": "from sqlalchemy import Integer\nfrom sqlalchemy.types import TypeDecorator\nclass R(TypeDecorator):\n"
    "    impl = Integer\n    y = {A}\ndef step(x):\n    return R.y",
}


@pytest.fixture(scope="module")
def of_kinds() -> dict[str, list[str]]:
    """Three digests of each kind: with 7, in another kernel and place with 7, and with 8."""
    ways = ["{}", "before = 1\n# Note.\n\n{}", "{}"]
    # Each in a process of its own, whose hashes of texts are its own.
    found = [
        pack_in_kernels([[way.format(source.format(A=number))] for source in KINDS.values()])
        for way, number in zip(ways, (7, 7, 8), strict=True)
    ]
    return {kind: [sent.digest for sent in each] for kind, *each in zip(KINDS, *found, strict=True)}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_thing_counts(kind: str, of_kinds: dict[str, list[str]]) -> None:
    """Whatever a function uses, its content counts, and where and when it was made does not."""
    first, again, other = of_kinds[kind]
    assert first == again != other


PRICING = '__version__ = "1"\nRATE = 2\ndef total(x):\n    """Words."""\n    return x * RATE\n'
LOCKED = f"import threading\nfrom rates import PLUS\nLOCK = threading.Lock()\n{PRICING[:-1]} + PLUS if LOCK else 0\n"
WAYS = {
    "imported": "import pricing\ndef step(x):\n    return pricing.total(x)",
    "taken": "from pricing import total\ndef step(x):\n    return total(x)",
    "within": "def step(x):\n    import pricing\n    return pricing.total(x)",
    "within and loaded": "import pricing\ndef step(x):\n    from pricing import total\n    return total(x)",
    "the function itself": "from pricing import total as step",
}


@pytest.mark.parametrize("source", [PRICING, LOCKED], ids=["packed", "imported"])
@pytest.mark.parametrize("way", WAYS)
def test_a_module_counts(way: str, source: str, tmp_path: Path) -> None:
    """A module beside the notebook counts by its code, in each way to use it; comments, docstrings and lines do not."""
    (tmp_path / "pricing.py").write_text(source)
    (tmp_path / "rates.py").write_text("PLUS = 1\n")

    def digest() -> str:
        return pack_in_kernels([[WAYS[way]]], path=[tmp_path])[0].digest

    first = digest()
    (tmp_path / "pricing.py").write_text("# Prices.\n\n" + source.replace("Words.", "Others."))
    assert digest() == first
    (tmp_path / "pricing.py").write_text(source.replace("RATE = 2", "RATE = 30"))
    changed = digest()
    assert changed != first
    if way == "imported":
        (tmp_path / "pricing.py").write_text(source.replace('"1"', '"2"'))
        assert digest() not in (first, changed)
    if source == LOCKED:
        (tmp_path / "rates.py").write_text("PLUS = 10\n")
        assert digest() not in (first, changed)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers() | st.text(max_size=3), max_size=4)
        | st.sets(st.integers() | st.text(max_size=3), max_size=4)
    ),
    max_leaves=12,
)


def using(value: object) -> str:
    function = in_notebook("def step(x):\n    return value", "step")
    function.__globals__["value"] = value
    return code_digest(function)


@settings(max_examples=200, deadline=None)
@given(VALUES, VALUES)
def test_values_count_by_what_they_are(first: object, second: object) -> None:
    """Two values have one digest just if they are written the same way: types, order of lists, signs of zero, NaN."""
    assert (using(first) == using(second)) == (written(first) == written(second))


def written(value: object) -> str:
    if isinstance(value, (set, frozenset)):
        return f"{type(value).__name__}{sorted(map(written, value))}"
    if isinstance(value, dict):
        return f"dict{[(written(key), written(part)) for key, part in value.items()]}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}{[written(part) for part in value]}"
    return f"{type(value).__name__}{value!r}"


def test_another_python_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code of another minor version of Python is other code."""
    before = code_digest(json.dumps)
    monkeypatch.setattr("xtyl_engine.functions.code_digest.PYTHON", "3.99")
    assert code_digest(json.dumps) != before
