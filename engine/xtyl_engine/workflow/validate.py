"""From a Document to a Plan, or to all its problems at once, in document order. The checks themselves are in `checks`;
nothing is stored or submitted here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from xtyl_engine.errors import Problem, WorkflowError
from xtyl_engine.nodes.registry import node_type, node_types
from xtyl_engine.workflow.analysis import Survey, survey
from xtyl_engine.workflow.checks import structure
from xtyl_engine.workflow.checks.models import check_model, check_packages
from xtyl_engine.workflow.checks.parameters import check_jinja, check_parameters
from xtyl_engine.workflow.checks.pictures import check_pictures
from xtyl_engine.workflow.checks.references import References
from xtyl_engine.workflow.checks.wording import Suggestions, list_names, show_name
from xtyl_engine.workflow.document import Document, Node
from xtyl_engine.workflow.graph import level_nodes, order_nodes
from xtyl_engine.workflow.plan import Plan, Reading, make_plan
from xtyl_engine.workflow.unfolding import DOT, is_unfolded


def validate(document: Document, *, columns: Collection[str] | None = None, defined: Collection[str] = ()) -> Plan:
    """The plan of a document.

    `columns` are those of the frame, `defined` the inputs given by keyword. Without both, the data is not known yet, and
    any name that is no node passes as an input. Raises WorkflowError with every problem.
    """
    problems, read = _examined(document, columns, defined)
    if problems or read is None:
        raise WorkflowError(problems, workflow=show_name(document.name), document=document)
    return _planned(read)


def find_problems(
    document: Document, *, columns: Collection[str] | None = None, defined: Collection[str] = ()
) -> tuple[Problem, ...]:
    """All problems of a document, in document order; empty if it has none."""
    return _examined(document, columns, defined)[0]


def check_models(plan: Plan, *, packages: bool) -> None:
    """Raise WorkflowError if the provider of a node cannot do its work, now that defaults are written into the plan; with
    `packages` also if what it needs is not installed in this Python."""
    asking = [node for node in plan.nodes.values() if node.kind.asks_provider]
    suggestions = Suggestions()
    problems = [each for node in asking for each in check_model(node.id, node.kind, node.config, suggestions)]
    if packages:
        problems += check_packages((node.id, str(node.config.get("provider"))) for node in asking)
    if problems:
        raise WorkflowError(problems, workflow=show_name(plan.name))


def _examined(
    document: Document, columns: Collection[str] | None, defined: Collection[str]
) -> tuple[tuple[Problem, ...], Survey | None]:
    if unreadable := tuple(structure.check_size(document)):
        return unreadable, None
    given = None if columns is None and not defined else (*(columns or ()), *defined)
    read = survey(document, given or ())
    found = _check_all(read, given, Suggestions())
    places = {show_name(node.id): place for place, node in reversed(list(enumerate(document.nodes)))}
    unique = dict.fromkeys(found)
    return tuple(sorted(unique, key=lambda problem: places.get(problem.node or "", -1))), read


def _check_all(read: Survey, given: Collection[str] | None, suggestions: Suggestions) -> Iterator[Problem]:
    document = read.document
    known = tuple(node_types())
    names = (
        None if document.inputs is None and given is None else dict.fromkeys((*(document.inputs or ()), *(given or ())))
    )
    references = References(read, names, suggestions)
    yield from _check_inputs(document, given, suggestions)
    yield from structure.check_name(document)
    yield from structure.check_budget(document)
    yield from structure.check_ids(document)
    for node in document.nodes:
        yield from structure.check_type(node, known, suggestions)
        if node.type in known:
            yield from check_parameters(node, node_type(node.type), suggestions)
    for node in read.nodes.values():
        # A node for a list in a field has no problem of its own: where it is named, all is told.
        if not is_unfolded(node.id):
            yield from check_jinja(node, read.texts[node.id], names, suggestions)
            yield from references.check(node)
        yield from check_pictures(read, node)
    for edge in document.edges:
        yield from structure.check_edge(read, edge, suggestions)
    yield from structure.check_branching(read)
    yield from structure.check_reach(read)
    yield from structure.check_counts(read)


def _check_inputs(document: Document, given: Collection[str] | None, suggestions: Suggestions) -> Iterator[Problem]:
    ids = {node.id for node in document.nodes}
    for name in dict.fromkeys((*(document.inputs or ()), *(given or ()))):
        if name in ids:
            message = f"`{show_name(name)}` is both a node and an input or column"
            yield _input_problem("column-is-node", name, message, "Rename the node, or the column of the frame.")
    for name in document.inputs or ():
        if given is not None and name not in given:
            shown = f"given are {list_names(given)}" if given else "nothing is given"
            hint = suggestions.hint(name, given, f"Give it as a column or by keyword; {shown}.")
            yield _input_problem(
                "missing-column", None, f"the input `{show_name(name)}` is declared but not given", hint
            )


def _input_problem(code: str, node: str | None, message: str, hint: str) -> Problem:
    return Problem(code=f"workflow/{code}", node=None if node is None else show_name(node), message=message, hint=hint)


def _planned(read: Survey) -> Plan:
    declared = read.document.inputs
    readings = {id: _reading(read, node) for id, node in read.nodes.items()}
    used = tuple(dict.fromkeys(name for reading in readings.values() for name in reading.columns))
    return make_plan(
        read.document,
        nodes=read.nodes.values(),
        order=order_nodes(read.graph),
        depths=level_nodes(read.graph),
        edges=read.edges,
        readings=readings,
        expanders=read.expanders,
        inputs=used if declared is None else declared,
    )


def _reading(read: Survey, node: Node) -> Reading:
    roots = _unique(str(use.path[0]) for use in read.texts[node.id].uses)
    carried = read.lineages.get(node.id, ())
    over = (read.overs[node.id],) if node.id in read.overs else ()
    # What it reads of an output holds the items of lists in place of the lists, where it runs over these.
    lists = [axis for axis in read.axes[node.id] if is_unfolded(axis) and axis.partition(DOT)[0] in roots]
    return Reading(
        nodes=tuple(_unique((*carried, *over, *lists, *(name for name in roots if name in read.nodes)))),
        columns=tuple(name for name in roots if name not in read.nodes),
    )


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


__all__ = ["check_models", "find_problems", "validate"]
