"""Checks how the nodes and edges of a document fit together: ids, edges, branches, loops, unreachable nodes, sizes.
References between nodes are checked in `references`.
"""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from math import prod

from xtyl_engine.errors import Problem, WorkflowException
from xtyl_engine.limits import LEAST_BUDGET, MAX_BUDGET, MAX_EDGES, MAX_ID_LENGTH, MAX_ITEMS, MAX_NAME_LENGTH, MAX_NODES
from xtyl_engine.nodes.base import DECISION_FIELDS
from xtyl_engine.workflow.analysis import Survey
from xtyl_engine.workflow.checks.wording import Suggestions, list_names, show_name
from xtyl_engine.workflow.document import Document, Edge, Node
from xtyl_engine.workflow.graph import find_downstream, loop_problem
from xtyl_engine.workflow.plan import shared_axes
from xtyl_engine.workflow.templating.names import RESERVED
from xtyl_engine.workflow.templating.render import iterate_texts
from xtyl_engine.workflow.templating.size import MAX_SIGNS, has_more_signs

JINJA_WORDS = RESERVED | {"loop", "true", "false", "none"}
RESULT_WORDS = frozenset({*DECISION_FIELDS, "of", "items", "status", "error"})


def check_size(document: Document) -> Iterator[Problem]:
    """Problems that end the checks: a document with no nodes, with far too many nodes or edges, or with far too much Jinja."""
    if not document.nodes:
        yield _problem(
            "empty",
            None,
            "the workflow has no nodes",
            'Add one, and keep what the verb returns: flow = flow.generate_copy("headline", prompt=...).',
        )
    for count, most, what in ((len(document.nodes), MAX_NODES, "nodes"), (len(document.edges), MAX_EDGES, "edges")):
        if count > most:
            hint = "Run over the rows of a frame, or over a list with `over`, instead of writing a node for each."
            yield _problem("too-large", None, f"{count:,} {what}; {most:,} is the most", hint)
    if has_more_signs(_texts(document)):
        hint = "Work values out in a function, or in a column of the frame, and let the texts read them."
        yield _problem("too-large", None, f"its texts hold more than {MAX_SIGNS:,} words and signs of Jinja", hint)


def _texts(document: Document) -> Iterator[str]:
    for node in document.nodes:
        # What is nested too deep is a problem of its own.
        with suppress(WorkflowException):
            yield from iterate_texts(node.config)


def check_name(document: Document) -> Iterator[Problem]:
    """A name that is not readable in a list of runs."""
    name = document.name
    reason = "is empty" if not name.strip() else f"has {len(name):,} characters" if len(name) > MAX_NAME_LENGTH else ""
    if not reason and not name.isprintable():
        reason = "holds characters that cannot be seen"
    if reason:
        hint = f"Use a short text, at most {MAX_NAME_LENGTH} characters, such as Workflow('summer launch')."
        yield _problem("bad-name", None, f"the workflow's name `{show_name(name)}` {reason}", hint)


def check_budget(document: Document) -> Iterator[Problem]:
    """A budget that nothing can be spent of, or that no amount of money is."""
    if document.budget is not None and not LEAST_BUDGET <= document.budget <= MAX_BUDGET:
        hint = (
            f"Write what one run may spend in US dollars, more than 0 and at most {MAX_BUDGET:,}, such as budget=5.00."
        )
        yield _problem("bad-budget", None, f"the workflow's budget is {document.budget!r}", hint)


def check_ids(document: Document) -> Iterator[Problem]:
    """Ids that are no names, are used twice, or are easily confused."""
    seen: dict[str, str] = {}
    exact: set[str] = set()
    for node in document.nodes:
        if reason := _objection(node.id):
            hint = f"Use letters, digits and underscores, at most {MAX_ID_LENGTH}, such as `headline` or `hero_image`."
            if node.id in RESULT_WORDS:
                hint = f"Choose another, such as `my_{node.id}`: outputs or frames have a field of this name."
            yield _problem("bad-id", node.id, f"the id `{show_name(node.id)}` {reason}", hint)
        alike = unicodedata.normalize("NFKC", node.id).casefold()
        if node.id in exact:
            yield _problem("duplicate-id", node.id, "two nodes have this id", "Give each node its own id.")
        elif alike in seen:
            message = (
                f"`{show_name(node.id)}` and `{show_name(seen[alike])}` differ only in case or in how letters are coded"
            )
            yield _problem("similar-id", node.id, message, "Rename one of them.")
        exact.add(node.id)
        seen.setdefault(alike, node.id)


def _objection(id: str) -> str | None:
    if not id:
        return "is empty"
    if len(id) > MAX_ID_LENGTH:
        return f"has {len(id):,} characters"
    if not id.isidentifier():
        return "is no Python identifier"
    if not unicodedata.is_normalized("NFC", id):
        return "is not in Unicode normal form C"
    if keyword.iskeyword(id):
        return "is a Python keyword"
    if id in JINJA_WORDS:
        return "means something else in Jinja"
    return "is a name that results use" if id in RESULT_WORDS else None


def check_type(node: Node, known: tuple[str, ...], suggestions: Suggestions) -> Iterator[Problem]:
    """A node of a type that does not exist."""
    if node.type not in known:
        hint = suggestions.hint(node.type, known, f"Use one of {list_names(known)}.")
        hint += " For a type of another package, install that package here and on the workers."
        yield _problem("unknown-type", node.id, f"there is no node type `{show_name(node.type)}`", hint)


def check_edge(survey: Survey, edge: Edge, suggestions: Suggestions) -> Iterator[Problem]:
    """An edge whose ends or branch do not exist."""
    shown = f"{show_name(edge.source)} -> {show_name(edge.target)}"
    ends = [edge.source, edge.target]
    here = next((end for end in reversed(ends) if end in survey.nodes), None)
    for end in ends:
        if end not in survey.nodes:
            hint = suggestions.hint(end, survey.nodes, "Remove the edge, or add the node.")
            yield _problem("bad-edge", here, f"the edge {shown}: there is no node `{show_name(end)}`", hint)
    if edge.source == edge.target and edge.source not in survey.repeated:
        yield _problem("bad-edge", here, f"the edge {shown} leads a node to itself", "Remove it.")
    if edge.branch is not None and edge.source in survey.kinds:
        offered = survey.branches(edge.source)
        if edge.branch not in offered:
            otherwise = (
                f"Use one of {list_names(offered)}." if offered else f"Remove `branch`: {edge.source} has no branches."
            )
            hint = suggestions.hint(edge.branch, offered, otherwise)
            yield _problem("bad-branch", edge.source, f"the edge {shown} leaves by `{show_name(edge.branch)}`", hint)


def check_branching(survey: Survey) -> Iterator[Problem]:
    """Branching nodes without branches, and nodes that no choice of branches reaches."""
    left = {edge.source for edge in survey.edges if edge.branch is not None}
    for id, node in survey.nodes.items():
        if node.kind.branch_example and id not in left:
            hint = f"Add one: {node.kind.branch_example}."
            yield _problem("bad-branch", id, f"no node is in a branch of this {node.type}", hint)
    taken: dict[tuple[str, str], str] = {}
    for edge in survey.document.edges:
        if edge.branch is None or edge.source not in survey.nodes or edge.target not in survey.nodes:
            continue
        first = taken.setdefault((edge.source, edge.target), edge.branch)
        if first != edge.branch and survey.nodes[edge.source].kind.exclusive_branches:
            message = f"it is in both `{first}` and `{edge.branch}` of {edge.source}, and would never run"
            yield _problem(
                "unreachable", edge.target, message, "Remove `branch` from both edges: then it runs either way."
            )
        yield from _check_alignment(survey, edge)


def _check_alignment(survey: Survey, edge: Edge) -> Iterator[Problem]:
    outer, inner = survey.axes[edge.source], survey.axes[edge.target]
    if shared_axes(outer, inner) < len(outer):
        message = f"it is in a branch of {edge.source}, which decides for each item of {outer[-1]}"
        yield _problem("branch-not-aligned", edge.target, message, f'Run it for each item too: over="{outer[-1]}".')


def check_reach(survey: Survey) -> Iterator[Problem]:
    """Loops, and, in a document with a start, nodes that it does not lead to."""
    yield from (loop_problem(loop) for loop in survey.loops)
    if survey.document.starts is not None:
        reached = find_downstream(survey.graph, survey.document.starts)
        for id in survey.nodes:
            # A node of an unknown type reads unknown nodes, so the edges to it are not known either.
            if id not in reached and id in survey.kinds:
                yield _problem(
                    "unreachable", id, "no way leads to it from the start", "Add an edge or a reference to it."
                )


def check_counts(survey: Survey) -> Iterator[Problem]:
    """Too many edges, those of references included, or too many items of lists within lists."""
    if len(survey.edges) > MAX_EDGES:
        message = f"{len(survey.edges):,} edges with those of references; {MAX_EDGES:,} is the most"
        yield _problem("too-large", None, message, "Let a node in between gather what many nodes read.")
    for id, axes in survey.axes.items():
        count = prod(survey.length(axis) for axis in axes if axis in survey.nodes)
        if axes[-1] == id and survey.length(id) <= MAX_ITEMS < count:
            yield _problem(
                "too-large", id, f"it makes {count:,} items for one row; {MAX_ITEMS:,} is the most", "Lower `n`."
            )


def _problem(code: str, node: str | None, message: str, hint: str) -> Problem:
    return Problem(code=f"workflow/{code}", node=None if node is None else show_name(node), message=message, hint=hint)
