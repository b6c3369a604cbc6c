"""The shape of the code: arrows one way, one home for each heavy library, small modules, a light import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from xtyl_engine.nodes import registry
from xtyl_engine.providers import registry

ROOT = Path(__file__).parent.parent
PACKAGES = {"xtyl_nb": ROOT / "xtyl_nb", "xtyl_engine": ROOT / "engine" / "xtyl_engine"}

# What decides: values, states, plans, schedules. It imports nothing that runs, stores or sends.
PURE = {
    "errors", "states", "limits", "events", "workflow", "plan", "schedule", "overview", "outcomes", "names", "template",
    "wire", "sandbox", "graph", "survey", "references", "parameters", "shape", "wording", "validate", "remedies",
}  # fmt: skip

HOMES = {
    "celery": {"xtyl_engine.broker.celery_app", "xtyl_engine.worker.task"},
    "billiard": {"xtyl_engine.worker.task"},
    "kombu": {"xtyl_engine.broker.celery_app", "xtyl_engine.worker.transport", "xtyl_engine.worker.task"},
    "redis": {"xtyl_engine.broker.async_listener", "xtyl_engine.broker.redis_client"},
    "alembic": {"xtyl_engine.database.schema", "xtyl_engine.database.migrations"},
    "networkx": {"xtyl_engine.workflow.graph"},
    "jinja2": {
        "xtyl_engine.workflow.templating.render",
        "xtyl_engine.workflow.templating.sandbox",
        "xtyl_engine.workflow.templating.names",
    },
    "structlog": {"xtyl_engine.telemetry.log_lines"},
    "prometheus_client": {"xtyl_engine.telemetry.prometheus"},
    "opentelemetry": {"xtyl_engine.telemetry.otel"},
    "sentry_sdk": {"xtyl_engine.telemetry.sentry"},
    "cloudpickle": {"xtyl_engine.values.functions"},
    "openai": {"xtyl_engine.providers.openai"},
    "anywidget": {"xtyl_nb.widget.widget"},
    "graphviz": {"xtyl_nb.drawing.draw"},
    "pandas": {"xtyl_nb.frames.results", "xtyl_nb.frames.dtypes", "xtyl_nb.frames.result_frame", "xtyl_nb.data.briefs"},
    "rich": {"xtyl_nb.cli.terminal", "xtyl_nb.cli.demo"},
    "httpx2": {"xtyl_nb.backends.remote.http_client"},
    "click": {"xtyl_nb.cli.main", "xtyl_nb.cli.serve", "xtyl_nb.cli.maintenance"},
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
    "httpx2",
]


def modules() -> Iterator[tuple[str, Path]]:
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join([package, *parts]).removesuffix(".__init__"), path


def imports(path: Path, *, late: bool = True) -> set[str]:
    """The absolute names a module imports; with `late` false, only those at module level that run."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) and not late:
                continue
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                found.add(child.module)
                found.update(f"{child.module}.{alias.name}" for alias in child.names)
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


MODULES = dict(modules())


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


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("xtyl_engine")])
def test_the_engine_does_not_know_the_notebook(name: str) -> None:
    """Nothing in the engine imports the SDK."""
    assert not [each for each in imports(MODULES[name]) if each.split(".")[0] == "xtyl_nb"]


@pytest.mark.parametrize("name", sorted(PURE))
def test_what_decides_imports_nothing_that_runs(name: str) -> None:
    """Pure modules import pure modules, and the registries of node types and providers."""
    registries = {
        "xtyl_engine.nodes.registry",
        "xtyl_engine.nodes.base",
        "xtyl_engine.providers.registry",
        "xtyl_engine.providers.base",
    }
    allowed = {f"xtyl_engine.{each}" for each in PURE} | registries
    ours = {each for each in imports(MODULES[f"xtyl_engine.{name}"]) if each in MODULES}
    assert ours - allowed == {each for each in ours - allowed if each == "xtyl_engine"}


@pytest.mark.parametrize("library", sorted(HOMES))
def test_a_heavy_library_has_one_home(library: str) -> None:
    """Only its home imports it."""
    users = {name for name, path in MODULES.items() if library in {each.split(".")[0] for each in imports(path)}}
    homes = HOMES[library]
    assert {name for name in users if not any(name == home or name.startswith(home + ".") for home in homes)} == set()


def test_no_import_runs_in_a_circle() -> None:
    """The imports that run when a module is loaded form no cycle."""
    graph = {
        name: {each for each in imports(path, late=False) if each in MODULES and each != name}
        for name, path in MODULES.items()
    }
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


def is_built_in_name(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and node.value in (*registry.BUILTIN, *registry.BUILTIN)


def decisions_by_name(tree: ast.AST) -> Iterator[str]:
    """Every place that decides by the name of a built-in node type or provider: compares, matches, or looks it up."""
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
    names = "|".join(registry.BUILTIN)
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
        "WorkflowException", "attach", "connect", "load_briefs", "runs",
    ]  # fmt: skip
    assert all(hasattr(xtyl_nb, name) for name in xtyl_nb.__all__)
