"""The shape of the house: rooms and the arrows between them, as CONTRIBUTING.md draws them, one home for each heavy library,
modules that can be held in the head, and a light import.
"""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from repository import ROOT
from xtyl_engine.nodes import registry as node_registry
from xtyl_engine.providers import registry as provider_registry

PACKAGES = {"xtyl_nb": ROOT / "xtyl_nb", "xtyl_engine": ROOT / "engine" / "xtyl_engine"}
MOST_ENTRIES = {"xtyl_nb": 14, "xtyl_engine": 27}

HOMES = {
    "celery": {"xtyl_engine.broker.celery_app", "xtyl_engine.worker.task", "xtyl_engine.worker.process"},
    "billiard": {"xtyl_engine.worker.task"},
    "kombu": {"xtyl_engine.broker.celery_app", "xtyl_engine.worker.transport", "xtyl_engine.worker.waker"},
    "redis": {"xtyl_engine.broker"},
    "alembic": {"xtyl_engine.database.schema", "xtyl_engine.database.migrations"},
    "networkx": {"xtyl_engine.workflow.graph"},
    "jinja2": {"xtyl_engine.workflow.templating"},
    "structlog": {"xtyl_engine.telemetry.log_lines"},
    "prometheus_client": {"xtyl_engine.telemetry.prometheus"},
    "opentelemetry": {"xtyl_engine.telemetry.otel", "xtyl_engine.runners.tracing"},
    "sentry_sdk": {"xtyl_engine.telemetry.sentry"},
    "cloudpickle": {"xtyl_engine.functions.packing", "xtyl_engine.functions.pickler"},
    "openai": {"xtyl_engine.providers.openai"},
    "genai_prices": {"xtyl_engine.providers.price_list"},
    "any_llm": {"xtyl_engine.providers.vendors.library"},
    "anywidget": {"xtyl_nb.widget.widget"},
    "graphviz": {"xtyl_nb.drawing.draw"},
    "pandas": {"xtyl_nb.frames", "xtyl_nb.data.briefs"},
    "rich": {"xtyl_nb.cli"},
    "httpx": {"xtyl_engine.providers.vendors.library"},
    "httpx2": {"xtyl_nb.backends.remote.http_client", "xtyl_engine.providers.vendors.library"},
    "click": {"xtyl_nb.cli"},
    "fastapi": {"xtyl_engine.api"},
    "starlette": {"xtyl_engine.api"},
    "uvicorn": {"xtyl_engine.api"},
}
HEAVY = [
    "pandas",
    "sqlalchemy",
    "celery",
    "redis",
    "networkx",
    "anywidget",
    "ipywidgets",
    "pydantic",
    "jinja2",
    "PIL",
    "any_llm",
    "genai_prices",
    "httpx",
    "httpx2",
]


def modules() -> Iterator[tuple[str, Path]]:
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join([package, *parts]).removesuffix(".__init__"), path


MODULES = dict(modules())


def imports(path: Path, *, late: bool = True, typing: bool = False) -> set[str]:
    """The names a module imports; with `late` false, only those at module level that run; with `typing`, those for types too."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test) and not typing:
                continue
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) and not late:
                continue
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                # A relative import would pass by every rule below.
                assert child.module is not None, f"{path} imports relatively"
                assert child.level == 0, f"{path} imports relatively"
                found.add(child.module)
                found.update(f"{child.module}.{alias.name}" for alias in child.names)
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def ours(path: Path, **which: bool) -> set[str]:
    """The modules of this project that a module imports: of `from room import module` the module, not the room's face."""
    found = {name for name in imports(path, **which) if name in MODULES}
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)}


def drawn_arrows() -> dict[str, set[str]]:
    """The table of rooms in CONTRIBUTING.md: what each may import, room by room or module by module."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("| room | for | may import |")[2].partition("\n\n")[0]
    arrows: dict[str, set[str]] = {}
    for line in table.splitlines()[2:]:
        room, _, may = (cell.strip() for cell in line.strip("|").split("|"))
        found = set(re.findall(r"`([\w.]+)`", may))
        above = next((name for name in arrows if f"all that `{name}` may" in may), None)
        arrows[room.strip("`")] = found | (arrows[above] if above else set())
    return arrows


ARROWS = drawn_arrows()


def room_of(name: str) -> str:
    """The room a module stands in: a folder, a module that is drawn as a room, or its package."""
    package, *rest = name.split(".")
    first = f"{package}.{rest[0]}" if rest else package
    return first if first in ARROWS or (rest and (PACKAGES[package] / rest[0]).is_dir()) else package


@pytest.mark.parametrize("name", MODULES)
def test_a_module_can_be_held_in_the_head(name: str) -> None:
    """At most 400 lines a module and 50 a function, and a docstring that says what it is."""
    source = MODULES[name].read_text(encoding="utf-8")
    tree = ast.parse(source)
    assert len(source.splitlines()) <= 400
    assert ast.get_docstring(tree)
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    is_migration = ".versions." in name
    long = [f.name for f in functions if f.end_lineno and f.end_lineno - f.lineno >= 50 and not is_migration]
    assert long == []


def test_half_of_all_modules_are_short() -> None:
    """The median module has under 150 lines, faces left out."""
    lengths = [len(path.read_text().splitlines()) for path in MODULES.values() if path.name != "__init__.py"]
    assert statistics.median(lengths) < 150


@pytest.mark.parametrize("package", PACKAGES)
def test_the_top_of_a_package_is_seen_at_a_glance(package: str) -> None:
    """The top of each package holds few entries."""
    entries = {path.name for path in PACKAGES[package].iterdir() if path.name != "__pycache__"}
    assert len(entries) <= MOST_ENTRIES[package], sorted(entries)


FACES = [name for name, path in MODULES.items() if path.name == "__init__.py" and ".migrations" not in name]


@pytest.mark.parametrize("name", FACES)
def test_a_face_says_what_its_room_is_for(name: str) -> None:
    """A face begins with a docstring, and loading a room's face loads nothing of ours."""
    assert ast.get_docstring(ast.parse(MODULES[name].read_text(encoding="utf-8")))
    assert name in PACKAGES or ours(MODULES[name], late=False) == set()


@pytest.mark.parametrize("name", [name for name in FACES if name not in PACKAGES])
def test_a_face_lists_what_other_rooms_use(name: str) -> None:
    """`__all__` names just the modules that others import, or that the console script starts."""
    users = {other for other in MODULES if not f"{other}.".startswith(f"{name}.")}
    used = {each for other in users for each in ours(MODULES[other], typing=True) if each.startswith(f"{name}.")}
    started = re.findall(rf'= "({re.escape(name)}\.\w+):', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (public,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(MODULES[name].read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    assert public == sorted({each.removeprefix(f"{name}.").split(".")[0] for each in [*used, *started]})


def test_every_room_is_drawn() -> None:
    """CONTRIBUTING.md names each room, and none that is not there."""
    assert set(ARROWS) == {room_of(name) for name in MODULES}


@pytest.mark.parametrize("name", MODULES)
def test_arrows_go_as_they_are_drawn(name: str) -> None:
    """A module imports its own room, and what the table in CONTRIBUTING.md allows, late imports and those for types too."""
    room = room_of(name)
    wrong = {other for other in ours(MODULES[name], typing=True) if not {other, room_of(other)} & {room, *ARROWS[room]}}
    assert wrong == set()


@pytest.mark.parametrize("library", sorted(HOMES))
def test_a_heavy_library_has_one_home(library: str) -> None:
    """Only its home imports it."""
    users = {name for name, path in MODULES.items() if library in {each.split(".")[0] for each in imports(path)}}
    homes = HOMES[library]
    assert {name for name in users if not any(name == home or name.startswith(home + ".") for home in homes)} == set()


def assert_no_circle(graph: dict[str, set[str]]) -> None:
    state: dict[str, int] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert state.get(name) != 1, " -> ".join([*path, name])
        if state.get(name) == 2:
            return
        state[name] = 1
        for other in sorted(graph[name]):
            visit(other, (*path, name))
        state[name] = 2

    for name in graph:
        visit(name, ())


def test_no_import_runs_in_a_circle() -> None:
    """No modules import each other round, late imports too. Those for types alone run never, and may stay inside a room."""
    assert_no_circle({name: ours(path) - {name} for name, path in MODULES.items()})


def test_no_rooms_stand_in_a_circle() -> None:
    """The rooms as a whole import each other one way."""
    graph: dict[str, set[str]] = defaultdict(set)
    for name, path in MODULES.items():
        for other in ours(path, typing=True):
            graph[room_of(name)] |= {room_of(other)} - {room_of(name)}
    del graph["xtyl_nb"], graph["xtyl_engine"]
    assert_no_circle({room: {other for other in graph[room] if other in graph} for room in graph})


def test_no_class_has_the_name_of_another() -> None:
    """A class name stands for one thing in the whole product."""
    homes = defaultdict(list)
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(name)
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


def is_built_in_name(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and node.value in (*node_registry.BUILTIN, *provider_registry.BUILTIN)


def decisions_by_name(tree: ast.AST) -> Iterator[str]:
    """Every place that decides by the name of a built-in node type or provider: compares, matches, or looks it up."""
    parts: Sequence[ast.AST | None]
    for node in ast.walk(tree):
        match node:
            case ast.Compare():
                parts = [part for side in (node.left, *node.comparators) for part in ast.walk(side)]
            case ast.Dict():
                parts = node.keys
            case ast.Subscript():
                parts = [node.slice]
            case ast.MatchValue():
                parts = [node.value]
            case ast.Tuple() | ast.List() | ast.Set() if all(map(is_built_in_name, node.elts)):
                parts = node.elts
            case _:
                continue
        if any(map(is_built_in_name, parts)):
            yield ast.unparse(node)


AT_HOME = ("xtyl_engine.nodes.registry", "xtyl_engine.providers.registry")
STATIC = sorted((PACKAGES["xtyl_nb"]).rglob("static/*"))


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith(AT_HOME)])
def test_no_module_decides_by_the_name_of_a_node_type_or_provider(name: str) -> None:
    """What differs between node types is a fact of NodeType, so that a new type is one file; and a new provider too."""
    assert list(decisions_by_name(ast.parse(MODULES[name].read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "code",
    [
        'node.type == "review"',
        '"call" != kind.name',
        'node.type in ("conditional", "parallel")',
        '{"review": 110.0}.get(type)',
        'HEIGHTS["review"]',
        'LARGE = {"generate_image", "call"}',
        'match type:\n    case "attach":\n        pass',
        'provider == "offline"',
    ],
)
def test_deciding_by_name_is_seen(code: str) -> None:
    """The test above sees every form of it."""
    assert list(decisions_by_name(ast.parse(code)))


@pytest.mark.parametrize("path", STATIC, ids=lambda path: path.name)
def test_the_page_does_not_know_the_node_types(path: Path) -> None:
    """No script compares with a type's name, and no style selects by one."""
    names = "|".join(node_registry.BUILTIN)
    decides = rf"""[!=]==?\s*["'](?:{names})["']|case ["'](?:{names})["']|\[[\w-]+[~|^$*]?=["']?(?:{names})\b"""
    assert re.findall(decides, path.read_text(encoding="utf-8")) == []
    assert re.search(decides, 'if (node.type === "review")')
    assert re.search(decides, '.card[data-type="generate_image"] {}')


def test_importing_the_sdk_loads_nothing_heavy() -> None:
    """`import xtyl_nb` brings no library that a user would wait for."""
    code = f"import sys, xtyl_nb; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_these() -> None:
    """What `from xtyl_nb import *` gives is what the docs promise."""
    import xtyl_nb

    assert sorted(xtyl_nb.__all__) == [
        "BackendError", "ControlRefused", "DecisionRefused", "ExecutionState", "FrameError", "PartialFailureError",
        "PermanentError", "Problem", "Run", "RunNotFound", "TransientError", "WaitTimeout", "Workflow", "WorkflowError",
        "WorkflowException", "attach", "connect", "load_briefs", "progress", "runs",
    ]  # fmt: skip
    assert all(hasattr(xtyl_nb, name) for name in xtyl_nb.__all__)
