"""Checks what nodes read from each other: names, fields, lists and items, what reviews carry, and the columns of the frame.
A node's own parameters are checked in `parameters`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from math import prod

from xtyl_engine.errors import Problem, with_article
from xtyl_engine.nodes.base import DECISION_FIELDS
from xtyl_engine.providers.schemas.fields import at
from xtyl_engine.workflow.analysis import MAX_AXES, NODE_PARAMETERS, Survey, named
from xtyl_engine.workflow.checks.wording import Suggestions, list_names, show_name, spelled
from xtyl_engine.workflow.document import Node
from xtyl_engine.workflow.plan import ROWS, shared_axes
from xtyl_engine.workflow.templating.names import FEEDBACK, ROW, Path, Use
from xtyl_engine.workflow.templating.render import iterate_texts
from xtyl_engine.workflow.unfolding import DOT, field_at, schema_of


class References:
    """The checks of one document's references. `known` are the inputs that will be given, None if not yet known."""

    def __init__(self, survey: Survey, known: Collection[str] | None, suggestions: Suggestions):
        self.survey = survey
        self.known = known
        self.suggestions = suggestions

    def check(self, node: Node) -> Iterator[Problem]:
        """All problems of what one node reads."""
        yield from self._check_named(node)
        told: set[Path] = set()
        for use in self.survey.texts[node.id].uses:
            root = str(use.path[0])
            found = self._check_node(node, use) if root in self.survey.nodes else self._check_input(node, use)
            if found is not None and use.path[:2] not in told:
                told.add(use.path[:2])
                yield found

    def _check_named(self, node: Node) -> Iterator[Problem]:
        for parameter in NODE_PARAMETERS:
            if (
                (name := named(node, parameter))
                and name not in self.survey.nodes
                and parameter == "over"
                and DOT in name
            ):
                yield self._not_unfolded(node, name)
            elif name and name not in self.survey.nodes:
                hint = self.suggestions.hint(name, self.survey.nodes, f"Write the id of another node in `{parameter}`.")
                yield _problem("unknown-reference", node, f"{parameter}=`{show_name(name)}` does not name a node", hint)
        yield from self._check_over(node)
        if node.kind.waits and named(node, "of") in self.survey.nodes:
            yield from self._check_review(node, named(node, "of"))
        if node.kind.waits:
            yield from self._check_shown(node)

    def _check_shown(self, node: Node) -> Iterator[Problem]:
        """The columns that a person sees beside the options."""
        shown, known = node.config.get("show"), self.known
        for name in shown if known is not None and isinstance(shown, (list, tuple)) else ():
            if isinstance(name, str) and name not in (known or ()):
                hint = self.suggestions.hint(name, known or (), f"Use some of {list_names(known or ())}.")
                yield _problem("missing-column", node, f"show=`{show_name(name)}`: there is no such column", hint)

    def _not_unfolded(self, node: Node, over: str) -> Problem:
        """Why there is no list in a field to run over."""
        root, *path = over.split(DOT)
        source, shown = self.survey.nodes.get(root), show_name(over)
        if source is None:
            hint = self.suggestions.hint(root, self.survey.nodes, "Write the id of another node, and its field.")
            return _problem("unknown-reference", node, f"over=`{shown}`: there is no node `{show_name(root)}`", hint)
        part = field_at(self.survey.nodes, root, path)
        if part is not None:
            hint = f"Run over {show_name(root)}, or ask for a list in its `returns`."
            return _problem("over-not-list", node, f"it runs over `{shown}`, which is no list", hint)
        fields = [name for name in self._fields(root) or () if field_at(self.survey.nodes, root, [name]) is not None]
        if not fields:
            hint = (
                "Give the step `returns=...` with a list in it, or let a step return the list, and run over that step."
            )
            return _problem(
                "over-not-list", node, f"it runs over `{shown}`, and {root} gives no answer with fields", hint
            )
        hint = self.suggestions.hint(path[-1], fields, f"Use one of {list_names(fields)}.")
        return _problem("unknown-field", node, f"over=`{shown}`: {root} has no such field", hint)

    def _check_over(self, node: Node) -> Iterator[Problem]:
        over, survey = named(node, "over"), self.survey
        if not over:
            return
        if over == node.id:
            yield _problem("cycle", node, f"it runs over itself: {over} -> {over}", "Name another node in `over`.")
        elif (
            over in survey.nodes
            and survey.axes[over] == (ROWS,)
            and over not in survey.expanders
            and over in survey.kinds
        ):
            hint = f"Give {over} n=2 or more, or drop `over`."
            yield _problem("over-not-list", node, f"it runs over {over}, which makes one item and no list", hint)
        if len(survey.axes[node.id]) > MAX_AXES >= len(survey.axes.get(over, ())):
            hint = "Leave out `over` here, or at a step that it runs over."
            yield _problem("too-large", node, f"it runs over more than {MAX_AXES} lists within lists", hint)

    def _check_review(self, node: Node, of: str) -> Iterator[Problem]:
        survey = self.survey
        if of == node.id:
            yield _problem("cycle", node, f"it reviews itself: {of} -> {of}", "Name another node in `of`.")
            return
        if survey.branches(of):
            hint = "Review a node that makes texts, images or values."
            yield _problem(
                "review-of-nothing", node, f"it reviews {of}, {with_article(survey.nodes[of].type)} with no items", hint
            )
            return
        choose, axes = node.config.get("choose", 1), survey.axes[of]
        gathered = axes[shared_axes(axes, survey.axes[node.id]) :]
        if isinstance(choose, int) and survey.expanders.isdisjoint({of, *gathered}):
            count = prod(survey.length(axis) for axis in gathered)
            if choose > count:
                hint = f"Choose at most {count}, or let {of} make more with `n`."
                yield _problem("bad-parameter", node, f"`choose` is {choose}, and {of} makes {count} for a row", hint)

    def _check_node(self, node: Node, use: Use) -> Problem | None:
        source, rest = str(use.path[0]), use.path[1:]
        if source == node.id:
            hint = "Read another node, or a column."
            return _problem("cycle", node, f"it reads its own output: {source} -> {source}", hint)
        if excluded := self._exclusion(node.id, source):
            return excluded
        is_list = self.survey.gives_list(source, node.id)
        if is_list is None:
            return None
        if is_list and rest and isinstance(rest[0], str):
            shown = show_name(str(rest[0]))
            hint = f'Use over="{source}" for one item at a time, or `{source}[0].{shown}`, or a for loop.'
            return _problem("list-as-item", node, f"`{source}.{shown}` reads a list as one item", hint)
        if not is_list and rest and isinstance(rest[0], int) and self._fields(source) is not None:
            hint = f"Write `{source}` without `[...]` or a loop; here it is one item."
            return _problem("item-as-list", node, f"`{source}` is one item and is read as a list", hint)
        if use.optional:
            return None
        if is_list and rest:
            return self._check_fields(node, source, rest[1:], f"{source}[{rest[0]}]")
        return self._check_fields(node, source, rest, source)

    def _fields(self, source: str) -> Collection[str] | None:
        """The fields of a node's output; None where they are not known."""
        kind = self.survey.kinds.get(source)
        return None if kind is None else kind.fields(self.survey.nodes[source].config)

    def _check_fields(
        self, node: Node, source: str, rest: Path, shown: str, axes: Collection[str] = ()
    ) -> Problem | None:
        if not rest or not isinstance(field := rest[0], str) or source not in self.survey.kinds:
            return None
        lineage = self.survey.lineages.get(source)
        if lineage is not None:
            if field in lineage:
                return self._check_fields(node, field, rest[1:], f"{shown}.{field}", self.survey.axes[lineage[0]])
            fields: Collection[str] = (*lineage, *DECISION_FIELDS)
            if field in self.survey.nodes:
                hint = f"Read `{field}` itself, or make it part of what is reviewed; it carries {list_names(lineage)}."
                return _problem(
                    "not-upstream", node, f"`{shown}.{field}`: {field} is not upstream of {lineage[0]}", hint
                )
        else:
            given = self._fields(source)
            # A review of an unknown node carries unknown fields; the unknown node is a problem of its own.
            if given is None or self.survey.nodes[source].kind.waits:
                return None
            fields = given
        if field in fields:
            return (
                None
                if lineage is not None
                else self._check_inner(node, source, rest, shown, {*axes, *self.survey.axes[node.id]})
            )
        carriers = (each for each in lineage or () if field in (self._fields(each) or ()))
        if (carrier := next(carriers, None)) is not None:
            hint = f"Write `{shown}.{carrier}.{field}`: `{carrier}` has it."
        else:
            otherwise = f"Read one that it has: {list_names(fields)}." if fields else "It has none: read another step."
            hint = self.suggestions.hint(field, fields, otherwise)
        kind = self.survey.nodes[source].type
        return _problem("unknown-field", node, f"`{shown}` ({kind}) has no field `{show_name(field)}`", hint)

    def _check_inner(self, node: Node, source: str, rest: Path, shown: str, axes: Collection[str]) -> Problem | None:
        """What a path reads inside an answer, as far as its schema says."""
        schema = schema_of(self.survey.kinds[source], self.survey.nodes[source].config)
        # The list by the name of its step, and by the name it has after a review: either may be what the node runs over.
        places = (source, shown)
        for step in rest:
            if not schema:
                return None
            if isinstance(step, int):
                schema, shown = schema.get("items", {}), f"{shown}[{step if step >= 0 else '...'}]"
                continue
            if schema.get("type") == "array":
                hint = (
                    f'Use over="{places[1]}" for one item at a time, or `{shown}[0].{show_name(step)}`, or a for loop.'
                )
                return _problem("list-as-item", node, f"`{shown}.{show_name(step)}` reads a list as one item", hint)
            found = at(schema, [step])
            if found is None:
                known = list(schema.get("properties", ()))
                hint = self.suggestions.hint(step, known, f"Read one that it has: {list_names(known)}.")
                return _problem("unknown-field", node, f"`{shown}` has no field `{show_name(step)}`", hint)
            places, shown = (f"{places[0]}{DOT}{step}", f"{places[1]}{DOT}{step}"), f"{shown}.{step}"
            schema = found.get("items", {}) if {*places} & {*axes} else found
        return None

    def _exclusion(self, reader: str, source: str) -> Problem | None:
        memberships = self.survey.memberships
        mine, theirs = memberships.get(reader, {}), memberships.get(source, {})
        for conditional in mine.keys() & theirs.keys():
            if mine[conditional] != theirs[conditional] and self.survey.nodes[conditional].kind.exclusive_branches:
                message = f"{source} is in the branch `{theirs[conditional]}` of {conditional}, never run together with this node"
                hint = f"Read it in its own branch, or after {conditional}."
                return _problem("not-upstream", self.survey.nodes[reader], message, hint)
        return None

    def _check_input(self, node: Node, use: Use) -> Problem | None:
        name, reads_field = str(use.path[0]), any(isinstance(step, str) for step in use.path[1:])
        if name == FEEDBACK or use.optional or (name in self.known if self.known is not None else not reads_field):
            return None
        if name == ROW:
            hint = f'Name a column: `{{{{ {ROW}["product name"] }}}}`.'
            return _problem("missing-column", node, f"`{ROW}` reads one column by its name, in quotes", hint)
        if (whole := self._spelled_out(node, name)) is not None:
            hint = f"Did you mean `{{{{ {spelled(whole)} }}}}`?"
            return _problem("missing-column", node, f"there is no column or input `{show_name(name)}`", hint)
        candidates = [*(self.known or ()), *self.survey.nodes]
        close = self.suggestions.closest(name, candidates)
        shown = show_name(name)
        if close is None and self.known is not None and not self.known:
            hint = f"Give it: flow.run(frame) with a column of this name, or flow.run({shown}=...)."
            return _problem(
                "unknown-reference", node, f"nothing gives `{shown}`: it is no step, and there is no table", hint
            )
        if close in self.survey.nodes or reads_field or (close is None and not self.known):
            otherwise = f'Write a node {shown} before it, or declare it: Workflow(name, inputs=["{shown}"]).'
            hint = f"Did you mean `{close}`?" if close else otherwise
            return _problem("unknown-reference", node, f"`{shown}` is no node and no input", hint)
        written = f"{{{{ {spelled(close)} }}}}" if close and spelled(close) != close else close
        hint = f"Did you mean `{written}`?" if close else f"Use one of the inputs: {list_names(self.known or ())}."
        return _problem("missing-column", node, f"there is no column or input `{shown}`", hint)

    def _spelled_out(self, node: Node, name: str) -> str | None:
        """The column of which a text reads a part: `product-name` is the one less the other to Jinja."""
        whole = [each for each in self.known or () if name in each and name != each and spelled(each) != each]
        texts = (
            [text for given in map(node.config.get, node.kind.rendered) for text in iterate_texts(given)]
            if whole
            else []
        )
        return next(
            (
                each
                for each in whole
                if any(re.search(rf"\{{[\{{%][^}}]{{0,200}}{re.escape(each)}", text) for text in texts)
            ),
            None,
        )


def _problem(code: str, node: Node, message: str, hint: str) -> Problem:
    return Problem(code=f"workflow/{code}", node=show_name(node.id), message=message, hint=hint)
