"""The fluent builder: a Workflow is an immutable value, and every verb returns a new one. This module checks, plans, runs, draws
and stores a workflow, and finds the place of a new step; the verbs that add a step are in `steps`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from typing import TYPE_CHECKING, Any

from xtyl_engine.errors import with_article
from xtyl_engine.workflow.document import Document, Edge, Node
from xtyl_nb.runs.dollars import dollars_of
from xtyl_nb.workflow import steps
from xtyl_nb.workflow.errors import readable
from xtyl_nb.workflow.implied_edges import branch_ends, names_read

if TYPE_CHECKING:
    import graphviz
    import networkx
    import pandas as pd

    from xtyl_nb.runs.run import Run
    from xtyl_nb.workflow.steps import Branch


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Workflow:
    """A workflow under construction. Every verb returns a new one; the old one stays as it is.

    Args:
        name: The name of its runs, at most 200 characters.
        inputs: The names besides steps that Jinja text may use: columns of the frame, keywords
            of `run`. By default all such names that the Jinja texts use.
        budget: What one run may spend at providers, in US dollars. Before a job would
            pass it, the run pauses; `run.resume(budget=...)` goes on.

    Raises:
        TypeError: `name` is not text, `inputs` is not a list of names, or `budget` is no
            number.

    Example:
        >>> flow = xt.Workflow("launch", inputs=["product"])
        >>> flow.generate_copy("headline", prompt="A headline for {{ product }}", n=3)
        Workflow('launch', 1 node)
        >>> flow
        Workflow('launch', 0 nodes)
    """

    _document: Document
    # The nodes that the next step follows, and whether it follows them even if it reads others, because it joins a parallel.
    _after: tuple[str, ...]
    _joins: bool
    # The branches around the next step, each by its node and name.
    _inside: tuple[tuple[str, str], ...]

    def __init__(self, name: str = "workflow", *, inputs: Iterable[str] | None = None, budget: float | None = None):
        if not isinstance(name, str):
            raise TypeError(f"a workflow's name is text, not {with_article(type(name).__name__)}")
        if isinstance(inputs, str):
            raise TypeError(f"inputs is a list of names: inputs=[{inputs!r}]")
        document = Document(name=name, inputs=None if inputs is None else tuple(inputs), budget=dollars_of(budget))
        _fill(self, document)

    generate_copy = steps.generate_copy
    generate_image = steps.generate_image
    attach = steps.attach
    review = steps.review
    conditional = steps.conditional
    parallel = steps.parallel
    call = steps.call
    node = steps.node

    @property
    def name(self) -> str:
        """The name of its runs."""
        return self._document.name

    @property
    def inputs(self) -> tuple[str, ...] | None:
        """The names that were declared as inputs; without any it is None, and any name may be one."""
        return self._document.inputs

    @readable()
    def validate(self) -> Workflow:
        """Check the workflow by itself, without data: references, parameters, cycles, ids.

        Warns of a class in `returns=` whose own validators will not run.

        Returns:
            The workflow itself.

        Raises:
            WorkflowError: It cannot run as written. `problems` lists all problems, each with
                `code`, `node`, `message` and `hint`; a notebook shows them as a table.

        Example:
            >>> flow.validate()
            Workflow('launch', 2 nodes)
            >>> try:
            ...     flow.review("again", of="headlin").validate()
            ... except xt.WorkflowError as error:
            ...     print(error.problems[0].code, error.problems[0].node)
            workflow/unknown-reference again
        """
        from xtyl_engine.workflow.document import doubts_of
        from xtyl_engine.workflow.validate import validate

        validate(self._document)
        for doubt in doubts_of(self._document):
            warnings.warn(doubt, stacklevel=3)
        return self

    @readable()
    def plan(self, frame: Any = None, /, **inputs: Any) -> pd.DataFrame:
        """Say what a run over this frame would do and what it will likely cost, without running it.

        Args:
            frame: As for `run`.
            **inputs: As for `run`.

        Returns:
            A DataFrame with one row per node, indexed by `node`: its `type`, its `level`, the
            numbers of its `jobs`, of those `cached`, and of those left `to_run`, `why` these run,
            and `cost_low` and `cost_high`, the US dollars between which they will likely cost;
            what is not known is NA. Warns of keys that are not set, of models that are probably
            misspelt, of a budget that may not do, and of texts that probably mean another: an
            empty cell, or `{product}` where Jinja has two braces. The frame has the warnings as
            `warnings`, and what all is together as `total`.

        Raises:
            WorkflowError: The workflow does not fit the data, or cannot run at all.
            FrameError: The frame is no table, or has columns that cannot be used.
            BackendError: The back end cannot be reached.

        Example:
            >>> flow.plan(briefs)[["type", "jobs"]]
                               type  jobs
            node
            headline  generate_copy     6
            pick             review     2
        """
        from xtyl_nb.runs.launch import plan_document

        return plan_document(self._document, frame, inputs)

    @readable()
    def run(self, frame: Any = None, /, **inputs: Any) -> Run:
        """Run the workflow, once for each row of a frame, and show the live graph below the cell.

        Args:
            frame: A DataFrame, or a value that makes one, such as a list of dicts; at most 100,000
                rows. Jinja text reads its columns. Without a frame, the workflow runs once.
            **inputs: Values for every row, under the names by which Jinja text reads them.

        Returns:
            A Run, at once: the work goes on in the back end, even when this kernel ends.

        Raises:
            WorkflowError: The workflow does not fit the data, or cannot run at all.
            FrameError: The frame is no table, or has columns that cannot be used.
            BackendError: The back end cannot be reached. After any of these, nothing has run.

        Example:
            >>> flow.run(briefs)
            Run('launch')
            >>> flow.run(product="Aurora lamp")
            Run('launch')
        """
        from xtyl_nb.runs.launch import run_document

        return run_document(self._document, frame, inputs)

    def graph(self) -> networkx.DiGraph[str]:
        """Return the graph for networkx, with the edges that references make.

        Returns:
            A `networkx.DiGraph` of the nodes' ids.

        Example:
            >>> list(flow.graph().edges)
            [('headline', 'pick')]
        """
        from xtyl_engine.workflow.analysis import written_graph

        return written_graph(self._document)

    @readable()
    def order(self) -> list[str]:
        """Sort the nodes' ids so that each comes after all nodes that it depends on.

        Returns:
            The ids.

        Raises:
            WorkflowError: There is a cycle.

        Example:
            >>> flow.order()
            ['headline', 'pick']
        """
        from xtyl_engine.workflow.graph import order_nodes

        return order_nodes(self.graph())

    @readable()
    def levels(self) -> dict[str, int]:
        """Return the level of each node: 0 for those that depend on no other.

        Returns:
            By id, the length of the longest path to the node.

        Raises:
            WorkflowError: There is a cycle.

        Example:
            >>> flow.levels()
            {'headline': 0, 'pick': 1}
        """
        from xtyl_engine.workflow.graph import level_nodes

        return level_nodes(self.graph())

    def draw(self) -> graphviz.Digraph:
        """Return the graph for Graphviz. A notebook draws it, even without the `dot` program.

        Returns:
            A `graphviz.Digraph`; its `source` is DOT.

        Example:
            >>> flow.draw().source.splitlines()[0]
            'digraph launch {'
        """
        from xtyl_nb.drawing.draw import draw

        return draw(self._document)

    @readable()
    def to_json(self) -> str:
        """Write the workflow as a versioned document that `from_json` and other programs read.

        Returns:
            JSON text.

        Raises:
            WorkflowError: A function exists in this session only, or JSON cannot hold a value.

        Example:
            >>> print(flow.to_json())
            {
              "version": 1,
              "name": "launch",
              "nodes": [
            ...
        """
        from xtyl_engine.workflow.document_io import write_document

        return write_document(self._document)

    @classmethod
    @readable()
    def from_json(cls, source: Mapping[str, Any] | str | PathLike[str]) -> Workflow:
        """Read a workflow from a document.

        Args:
            source: A dict, JSON text, or the path of a file.

        Returns:
            A Workflow, which may have problems: `validate` reports them.

        Raises:
            WorkflowError: The source is not a document.

        Example:
            >>> xt.Workflow.from_json(flow.to_json())
            Workflow('launch', 2 nodes)
        """
        from xtyl_engine.workflow.document_io import read_document

        document = read_document(source)
        return _fill(object.__new__(Workflow), document, after=tuple(node.id for node in document.nodes[-1:]))

    def __repr__(self) -> str:
        count = len(self._document.nodes)
        return f"Workflow({self.name!r}, {count} node{'' if count == 1 else 's'})"

    def _repr_html_(self) -> str:
        from xtyl_nb.drawing.draw import draw_html

        return draw_html(self._document)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def _replace(
        self,
        *,
        after: tuple[str, ...] | None = None,
        joins: bool = False,
        inside: tuple[tuple[str, str], ...] | None = None,
        **document: Any,
    ) -> Workflow:
        return _fill(
            object.__new__(Workflow),
            replace(self._document, **document),
            after=self._after if after is None else after,
            joins=joins,
            inside=self._inside if inside is None else inside,
        )

    def _add(self, type: str, id: str, config: dict[str, Any], after: Iterable[str] | None) -> Workflow:
        from xtyl_engine.values.foreign import unwrapped

        for what, given in (("id", id), ("type", type)):
            if not isinstance(given, str):
                raise TypeError(f"a node's {what} is text, not {with_article(given.__class__.__name__)}")
        if isinstance(after, str):
            raise TypeError(f"after is a list of ids: after=[{after!r}]")
        after = None if after is None else tuple(after) if isinstance(after, Iterable) else (after,)
        if wrong := [each for each in after or () if not isinstance(each, str)]:
            raise TypeError(f"after is a list of ids, as text: after=[{wrong[0]!r}]")
        node = Node(id=id, type=type, config={name: unwrapped(value) for name, value in config.items()})
        if after is None:
            after = self._after if self._joins or not self._reads_any(node) else ()
        edges = (
            *self._document.edges,
            *(Edge(source=source, target=id) for source in dict.fromkeys(after)),
            *(Edge(source=source, target=id, branch=branch) for source, branch in self._inside),
        )
        return self._replace(nodes=(*self._document.nodes, node), edges=edges, after=(id,))

    def _reads_any(self, node: Node) -> bool:
        names = names_read(node)
        return bool(names) and any(other.id in names for other in self._document.nodes)

    def _branch(self, id: str, branches: Mapping[str, Branch], *, joins: bool = False) -> Workflow:
        """Build each branch on the one before. The next step follows all of them; if it `joins` them, whatever it reads."""
        flow = self
        tails: tuple[str, ...] = (id,)
        for name, build in branches.items():
            if not callable(build):
                raise TypeError(f"{name}= takes a function: {name}=lambda flow: flow.generate_copy(...)")
            start = flow._replace(after=(), inside=(*self._inside, (id, name)))
            flow = _checked(start, build(start), name)
            tails += branch_ends(flow._document, len(start._document.nodes), len(start._document.edges))
        return flow._replace(after=tails, joins=joins, inside=self._inside)


def _fill(
    flow: Workflow,
    document: Document,
    *,
    after: tuple[str, ...] = (),
    joins: bool = False,
    inside: tuple[tuple[str, str], ...] = (),
) -> Workflow:
    for name, value in (("_document", document), ("_after", after), ("_joins", joins), ("_inside", inside)):
        object.__setattr__(flow, name, value)
    return flow


def _checked(start: Workflow, built: Any, name: str) -> Workflow:
    """The workflow that a branch's function returned, checked to extend the one it was given."""
    if not isinstance(built, Workflow):
        raise TypeError(
            f"the function of {name}= returned {with_article(type(built).__name__)}; "
            "let it return the workflow it is given, extended"
        )
    count = len(start._document.nodes)
    if built._document.nodes[:count] != start._document.nodes or built._inside != start._inside:
        raise ValueError(f"the function of {name}= returned another workflow; let it extend the one it is given")
    return built


__all__ = ["Workflow"]
