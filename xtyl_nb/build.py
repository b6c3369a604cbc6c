"""The fluent builder: a Workflow is an immutable value, and every verb returns a new one. Verbs only write down what
was asked for; `validate` judges it, all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

from xtyl_engine.workflow import Document, Edge, Node
from xtyl_nb.follow import branch_ends, names_read

if TYPE_CHECKING:
    import graphviz
    import networkx
    import pandas as pd

    from xtyl_engine.nodes.base import Retry
    from xtyl_nb.run import Run

Branch = Callable[["Workflow"], "Workflow"]


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Workflow:
    """A workflow under construction: a document, the nodes that the next step follows (whatever it reads, if it joins a
    parallel), and the branches it is in."""

    document: Document
    _after: tuple[str, ...]
    _joins: bool
    _inside: tuple[tuple[str, str], ...]

    def __init__(self, name: str = "workflow", *, inputs: Iterable[str] | None = None):
        """Start a workflow. `inputs` may declare the names that templates use and that are no node."""
        if not isinstance(name, str):
            raise TypeError(f"a workflow's name is text, not a {type(name).__name__}")
        if isinstance(inputs, str):
            raise TypeError(f"inputs is a list of names: inputs=[{inputs!r}]")
        _fill(self, Document(name=name, inputs=None if inputs is None else tuple(inputs)))

    @property
    def name(self) -> str:
        """The workflow's name."""
        return self.document.name

    def generate_copy(
        self,
        id: str,
        *,
        prompt: str,
        n: int = 1,
        over: str | None = None,
        after: Iterable[str] | None = None,
        system: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        seed: int | None = None,
        retry: int | Mapping[str, Any] | Retry | None = None,
        timeout: float | None = None,
        cache: bool | None = None,
    ) -> Workflow:
        """Write text with a provider; `n` texts for each input. Its output has `text`, `provider`, `model` and usage."""
        config = _given(
            prompt=prompt,
            n=None if n == 1 else n,
            over=over,
            system=system,
            provider=provider,
            model=model,
            temperature=temperature,
            max_tokens=max_tokens,
            seed=seed,
            retry=_retry(retry),
            timeout=timeout,
            cache=cache,
        )
        return self._add("generate_copy", id, config, after)

    def generate_image(
        self,
        id: str,
        *,
        prompt: str,
        n: int = 1,
        size: str = "1024x1024",
        over: str | None = None,
        after: Iterable[str] | None = None,
        provider: str | None = None,
        model: str | None = None,
        seed: int | None = None,
        retry: int | Mapping[str, Any] | Retry | None = None,
        timeout: float | None = None,
        cache: bool | None = None,
    ) -> Workflow:
        """Draw an image with a provider, `size` in pixels. Its output has `image`, `width` and `height`."""
        config = _given(
            prompt=prompt,
            n=None if n == 1 else n,
            size=None if size == "1024x1024" else size,
            over=over,
            provider=provider,
            model=model,
            seed=seed,
            retry=_retry(retry),
            timeout=timeout,
            cache=cache,
        )
        return self._add("generate_image", id, config, after)

    def attach(
        self,
        id: str,
        /,
        *,
        over: str | None = None,
        after: Iterable[str] | None = None,
        retry: int | Mapping[str, Any] | Retry | None = None,
        timeout: float | None = None,
        cache: bool | None = None,
        **assets: Any,
    ) -> Workflow:
        """Gather texts, images, tables and files, each under a name, into one deliverable."""
        config = _given(assets=assets, over=over, retry=_retry(retry), timeout=timeout, cache=cache)
        return self._add("attach", id, config, after)

    def review(
        self,
        id: str,
        *,
        of: str,
        choose: int = 1,
        edit: bool = False,
        instructions: str | None = None,
        auto: str | None = None,
        over: str | None = None,
        after: Iterable[str] | None = None,
    ) -> Workflow:
        """Wait for a person to pick `choose` of the items of a node, and to edit their texts if `edit`; or to reject them.

        `auto="first"` decides by itself. Its output holds what was picked and all upstream of it, by node.
        """
        config = _given(
            of=of,
            choose=None if choose == 1 else choose,
            edit=None if edit is False else edit,
            instructions=instructions,
            auto=auto,
            over=over,
        )
        return self._add("review", id, config, after)

    def conditional(
        self,
        id: str,
        *,
        when: Any,
        then: Branch,
        otherwise: Branch | None = None,
        over: str | None = None,
        after: Iterable[str] | None = None,
    ) -> Workflow:
        """Go one of two ways, by one expression such as "{{ tone == 'calm' }}". Each way takes a Workflow and returns it
        extended; the steps of the way not taken are skipped, and what follows runs either way."""
        if isinstance(when, str) and "{{" not in when and "{%" not in when:
            when = f"{{{{ {when} }}}}"
        branches = {"then": then} | ({} if otherwise is None else {"otherwise": otherwise})
        return self._add("conditional", id, _given(when=when, over=over), after)._branch(id, branches)

    def parallel(
        self, id: str, /, *, over: str | None = None, after: Iterable[str] | None = None, **branches: Branch
    ) -> Workflow:
        """Open named branches that run side by side; the next step starts after all of them."""
        config = _given(branches=list(branches), over=over)
        return self._add("parallel", id, config, after)._branch(id, branches, joins=True)

    def call(
        self,
        id: str,
        function: Callable[..., Any],
        /,
        *,
        over: str | None = None,
        after: Iterable[str] | None = None,
        retry: int | Mapping[str, Any] | Retry | None = None,
        timeout: float | None = None,
        cache: bool | None = None,
        **arguments: Any,
    ) -> Workflow:
        """Call a Python function, also one of the notebook, with keyword arguments. It returns JSON-able values, a
        DataFrame, a PIL image or bytes; a list makes items."""
        config = _given(
            function=function,
            arguments=arguments or None,
            over=over,
            retry=_retry(retry),
            timeout=timeout,
            cache=cache,
        )
        return self._add("call", id, config, after)

    def validate(self) -> Workflow:
        """The workflow itself if it is right. Raises WorkflowError with every problem, shown as a table in a notebook."""
        from xtyl_engine.validate import validate
        from xtyl_nb.problems import readable

        with readable():
            validate(self.document)
        return self

    def plan(self, frame: Any = None, /, **inputs: Any) -> pd.DataFrame:
        """Per node, how many jobs a run over this frame would have and how many are cached. Runs none of them."""
        from xtyl_nb.launch import plan_document
        from xtyl_nb.problems import readable

        with readable():
            return plan_document(self.document, frame, inputs)

    def run(self, frame: Any = None, /, **inputs: Any) -> Run:
        """Run it, once for each row of a frame. Returns at once, with a handle that shows the live graph."""
        from xtyl_nb.launch import run_document
        from xtyl_nb.problems import readable

        with readable():
            return run_document(self.document, frame, inputs)

    def graph(self) -> networkx.DiGraph[str]:
        """The graph, with the edges that references make."""
        from xtyl_engine.survey import survey

        return survey(self.document).graph

    def order(self) -> list[str]:
        """The nodes' ids, each after all it depends on. Raises WorkflowError for a cycle."""
        from xtyl_engine.graph import order_nodes
        from xtyl_nb.problems import readable

        with readable():
            return order_nodes(self.graph())

    def levels(self) -> dict[str, int]:
        """Each node's execution level, 0 for those that depend on none. Raises WorkflowError for a cycle."""
        from xtyl_engine.graph import level_nodes
        from xtyl_nb.problems import readable

        with readable():
            return level_nodes(self.graph())

    def draw(self) -> graphviz.Digraph:
        """The graph for Graphviz."""
        from xtyl_nb.draw import draw

        return draw(self.document)

    def to_json(self) -> str:
        """The versioned document as JSON text. Raises WorkflowError for functions and values that no other program
        could read."""
        from xtyl_nb.document import write_document
        from xtyl_nb.problems import readable

        with readable():
            return write_document(self.document)

    @classmethod
    def from_json(cls, source: Mapping[str, Any] | str | PathLike[str]) -> Workflow:
        """The workflow of a document: a dict, JSON text, or the path of a file. Raises WorkflowError if it is no
        document; what is wrong with the workflow itself is for `validate`."""
        from xtyl_nb.document import read_document
        from xtyl_nb.problems import readable

        with readable():
            document = read_document(source)
        return _fill(object.__new__(Workflow), document, after=tuple(node.id for node in document.nodes[-1:]))

    def __repr__(self) -> str:
        count = len(self.document.nodes)
        return f"Workflow({self.name!r}, {count} node{'' if count == 1 else 's'})"

    def _repr_html_(self) -> str:
        from xtyl_nb.draw import draw_html

        return draw_html(self.document)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def _replace(
        self,
        *,
        nodes: tuple[Node, ...] | None = None,
        edges: tuple[Edge, ...] | None = None,
        after: tuple[str, ...] | None = None,
        joins: bool = False,
        inside: tuple[tuple[str, str], ...] | None = None,
    ) -> Workflow:
        old = self.document
        document = Document(
            name=old.name,
            nodes=old.nodes if nodes is None else nodes,
            edges=old.edges if edges is None else edges,
            inputs=old.inputs,
            starts=old.starts,
        )
        return _fill(
            object.__new__(Workflow),
            document,
            after=self._after if after is None else after,
            joins=joins,
            inside=self._inside if inside is None else inside,
        )

    def _add(self, type: str, id: str, config: dict[str, Any], after: Iterable[str] | None) -> Workflow:
        if not isinstance(id, str):
            raise TypeError(f"a node's id is text, not a {id.__class__.__name__}")
        if isinstance(after, str):
            raise TypeError(f"after is a list of ids: after=[{after!r}]")
        after = None if after is None else tuple(after) if isinstance(after, Iterable) else (after,)
        if wrong := [each for each in after or () if not isinstance(each, str)]:
            raise TypeError(f"after is a list of ids, as text: after=[{wrong[0]!r}]")
        node = Node(id=id, type=type, config=config)
        if after is None:
            after = self._after if self._joins or not self._reads_any(node) else ()
        edges = (
            *self.document.edges,
            *(Edge(source=source, target=id) for source in dict.fromkeys(after)),
            *(Edge(source=source, target=id, branch=branch) for source, branch in self._inside),
        )
        return self._replace(nodes=(*self.document.nodes, node), edges=edges, after=(id,))

    def _reads_any(self, node: Node) -> bool:
        names = names_read(node)
        return bool(names) and any(other.id in names for other in self.document.nodes)

    def _branch(self, id: str, branches: Mapping[str, Branch], *, joins: bool = False) -> Workflow:
        """Build each branch on the one before; what follows comes after them all, whatever it reads if it `joins` them."""
        flow = self
        tails: tuple[str, ...] = (id,)
        for name, build in branches.items():
            if not callable(build):
                raise TypeError(f"{name}= takes a function: {name}=lambda flow: flow.generate_copy(...)")
            start = flow._replace(after=(), inside=(*self._inside, (id, name)))
            flow = _checked(start, build(start), name)
            tails += branch_ends(flow.document, len(start.document.nodes), len(start.document.edges))
        return flow._replace(after=tails, joins=joins, inside=self._inside)


def _fill(
    flow: Workflow,
    document: Document,
    *,
    after: tuple[str, ...] = (),
    joins: bool = False,
    inside: tuple[tuple[str, str], ...] = (),
) -> Workflow:
    for name, value in (("document", document), ("_after", after), ("_joins", joins), ("_inside", inside)):
        object.__setattr__(flow, name, value)
    return flow


def _given(**config: Any) -> dict[str, Any]:
    return {name: value for name, value in config.items() if value is not None}


def _retry(retry: int | Mapping[str, Any] | Retry | None) -> Any:
    if isinstance(retry, int) and not isinstance(retry, bool):
        return {"attempts": retry}
    dump = getattr(retry, "model_dump", None)
    return retry if dump is None else dump(exclude_unset=True)


def _checked(start: Workflow, built: Any, name: str) -> Workflow:
    """What a branch's function returned, if it is the workflow it was given, extended."""
    if not isinstance(built, Workflow):
        raise TypeError(
            f"the function of {name}= returned a {type(built).__name__}; let it return the workflow it is given, extended"
        )
    count = len(start.document.nodes)
    if built.document.nodes[:count] != start.document.nodes or built._inside != start._inside:
        raise ValueError(f"the function of {name}= returned another workflow; let it extend the one it is given")
    return built


__all__ = ["Workflow"]
