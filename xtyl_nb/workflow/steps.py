"""The verbs that add a step to a Workflow. Each only records its arguments and returns a new Workflow; `validate` checks it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from xtyl_nb.workflow.parameters import given, told, tried

if TYPE_CHECKING:
    from xtyl_engine.nodes.base import Retry
    from xtyl_nb.workflow.builder import Workflow

    Branch = Callable[[Workflow], Workflow]


def generate_copy(
    self: Workflow,
    id: str,
    *,
    prompt: str,
    n: int = 1,
    over: str | None = None,
    after: Iterable[str] | None = None,
    system: str | None = None,
    images: str | list[Any] | None = None,
    provider: str | None = None,
    model: str | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    seed: int | None = None,
    returns: type | Mapping[str, Any] | None = None,
    retry: int | Mapping[str, Any] | Retry | None = None,
    timeout: float | None = None,
    cache: bool | None = None,
) -> Workflow:
    """Write text with a provider, `n` texts for each input.

    Args:
        id: The step's name, by which others read it: letters, digits and underscores.
        prompt: Jinja text over columns and earlier steps, as in the example.
        n: The number of texts; more than one makes a list of items.
        over: A step that makes a list: run for each of its items, not once with all of them.
        after: Steps to wait for besides those it reads; default: the last, if it reads none.
        system: Instructions before the prompt, Jinja text too.
        images: What the model sees: "{{ photo }}" of a column or a step, or a list of these.
        provider: Its name, such as "openai"; by default that of the back end.
        model: Its name, or provider and name, "gemini:..."; by default that of the provider.
        temperature: From 0 to 2; by default that of the model.
        max_tokens: The most tokens of an answer; a text that it cuts has `finish` "length".
        seed: Makes texts repeatable; each of `n` texts counts one up from it.
        returns: A pydantic class or a JSON Schema: its fields are the output's, no `text`.
        retry: Attempts (default 3), or a dict with their pauses, as `generate_image` takes it.
        timeout: Seconds that an attempt may take (default 60).
        cache: False asks again; otherwise a text made from the same parameters is reused.

    Returns:
        A new Workflow. Its output: `text`, `provider`, `model`, `tokens`, `cost` ($), `finish`.
    Raises:
        TypeError: `id` is not text, or `after` is not a list of ids.

    Example:
        >>> xt.Workflow("launch").generate_copy("line", prompt="A line for {{ product }}", n=3)
        Workflow('launch', 1 node)
    """
    return self._add("generate_copy", *told(locals()))


def generate_image(
    self: Workflow,
    id: str,
    *,
    prompt: str,
    n: int = 1,
    size: str = "1024x1024",
    images: str | list[Any] | None = None,
    mask: str | None = None,
    over: str | None = None,
    after: Iterable[str] | None = None,
    provider: str | None = None,
    model: str | None = None,
    seed: int | None = None,
    retry: int | Mapping[str, Any] | Retry | None = None,
    timeout: float | None = None,
    cache: bool | None = None,
) -> Workflow:
    """Draw images with a provider, or change given ones, `n` images for each input.

    Args:
        id: The step's name, by which others read it: letters, digits and underscores.
        prompt: Jinja text over columns and earlier steps.
        n: The number of images; more than one makes a list of items.
        size: Width and height in pixels.
        images: What is changed: "{{ photo }}" of a column or a step, or a list of these.
        mask: An image as large as the first of them, which changes only where this one is
            transparent; or white, in one without transparency.
        over: A step that makes a list: run for each of its items, not once with all of them.
        after: Steps to wait for besides those it reads; default: the last, if it reads none.
        provider: Its name, such as "openai"; by default that of the back end.
        model: Its name, or provider and name, "gemini:..."; by default that of the provider.
        seed: Makes images repeatable; each of `n` images counts one up from it.
        retry: Attempts (default 3), or a dict that adds their pauses, doubled each time:
            {"attempts": 5, "base_seconds": 2, "max_seconds": 60, "busy_seconds": 600}.
        timeout: Seconds that an attempt may take (default 180).
        cache: False asks again; otherwise an image made from the same parameters is reused.

    Returns:
        A new Workflow. Its output: `image` (a stored file), `width` and `height` (pixels),
        `provider`, `model`, `prompt`, `tokens`, `cost` (US dollars).

    Raises:
        TypeError: `id` is not text, or `after` is not a list of ids.

    Example:
        >>> flow.generate_image("poster", prompt="Poster: {{ headline.text }}", over="headline")
        Workflow('launch', 3 nodes)
    """
    return self._add("generate_image", *told(locals()))


def attach(
    self: Workflow,
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
    """Gather texts, images, tables and files, each under a name, into one deliverable.

    Args:
        id: The step's name, by which others read it: letters, digits and underscores.
        over: A step that makes a list: run for each of its items, not once with all of them.
        after: Steps to wait for besides those it reads; default: the last, if it reads none.
        retry: Attempts (default 3), or a dict that adds their pauses, doubled each time:
            {"attempts": 5, "base_seconds": 2, "max_seconds": 60, "busy_seconds": 600}.
        timeout: Seconds that an attempt may take; no limit by default.
        cache: True reuses the deliverable of the same assets.
        **assets: The assets, by name. A text is Jinja; one that is an expression, such as
            "{{ poster.image }}", passes the value itself.

    Returns:
        A new Workflow. Its output: one field for each asset.

    Raises:
        TypeError: `id` is not text, or `after` is not a list of ids.

    Example:
        >>> flow.attach("kit", title="{{ pick.headline.text }}", product="{{ product }}")
        Workflow('launch', 3 nodes)
    """
    return self._add("attach", id, given(assets=assets, over=over) | tried(retry, timeout, cache), after)


def review(
    self: Workflow,
    id: str,
    *,
    of: str,
    choose: int = 1,
    edit: bool = False,
    instructions: str | None = None,
    show: Iterable[str] | None = None,
    auto: str | None = None,
    over: str | None = None,
    after: Iterable[str] | None = None,
) -> Workflow:
    """Wait for a person to pick some of a step's items, or to reject them all.

    Args:
        id: The step's name, by which others read it: letters, digits and underscores.
        of: The step whose items are the options.
        choose: The number of options to pick.
        edit: Whether the person may change the picked texts.
        instructions: A text for the person, shown beside the options.
        show: The columns of the row that the person sees; by default those with short values.
        auto: "first" picks the first options without a person, for tests and documents.
        over: A step that makes a list: decide for each of its items, not once about all.
        after: Steps to wait for besides those it reads; default: the last, if it reads none.

    Returns:
        A new Workflow. Its output: `choice` (the numbers of the options picked), `by`,
        `comment`, and the option by its steps, as in `{{ pick.headline.text }}`. With
        `choose` above 1 it is a list of options.

    Raises:
        TypeError: `id` is not text, or `after` is not a list of ids.

    Example:
        >>> copy = xt.Workflow("launch").generate_copy("line", prompt="For {{ product }}", n=3)
        >>> copy.review("pick", of="line", choose=2, instructions="Short ones, please.")
        Workflow('launch', 2 nodes)
    """
    shown = list(show) if show is not None and not isinstance(show, str) else show
    config = given(of=of, choose=choose, edit=edit, instructions=instructions, show=shown, auto=auto, over=over)
    return self._add("review", id, config, after)


def conditional(
    self: Workflow,
    id: str,
    *,
    when: Any,
    then: Branch,
    otherwise: Branch | None = None,
    over: str | None = None,
    after: Iterable[str] | None = None,
) -> Workflow:
    """Take one of two branches; the other's steps are skipped, and later steps run either way.

    Args:
        id: The step's name, by which others read it: letters, digits and underscores.
        when: One Jinja expression, with or without its braces, such as "price > 100".
        then: A function that takes a Workflow and returns it with the steps for a true `when`.
        otherwise: The same for a false one; by default there are no steps for it.
        over: A step that makes a list: decide for each of its items, not once for all.
        after: Steps to wait for besides those it reads; default: the last, if it reads none.

    Returns:
        A new Workflow. Its output: `branch` ("then" or "otherwise") and `value`.

    Raises:
        TypeError: `id` is not text, `after` is not a list of ids, a branch is no function, or
            what it returns is no Workflow.
        ValueError: A branch returns another Workflow than the one it was given.

    Example:
        >>> flow.conditional(
        ...     "premium",
        ...     when="price > 100",
        ...     then=lambda w: w.generate_copy("pitch", prompt="Why {{ product }} is worth it"),
        ... )
        Workflow('launch', 4 nodes)
    """
    if isinstance(when, str) and "{{" not in when and "{%" not in when:
        when = f"{{{{ {when} }}}}"
    branches = {"then": then} | ({} if otherwise is None else {"otherwise": otherwise})
    return self._add("conditional", id, given(when=when, over=over), after)._branch(id, branches)


def parallel(
    self: Workflow, id: str, /, *, over: str | None = None, after: Iterable[str] | None = None, **branches: Branch
) -> Workflow:
    """Open named branches that run side by side; the next step starts after all of them.

    Args:
        id: The step's name, by which others read it: letters, digits and underscores.
        over: A step that makes a list: open the branches once for each of its items.
        after: Steps to wait for besides those it reads; default: the last, if it reads none.
        **branches: Functions that take a Workflow and return it extended, by the branch's name.

    Returns:
        A new Workflow. Its output: `branches`, the list of their names.

    Raises:
        TypeError: `id` is not text, `after` is not a list of ids, a branch is no function, or
            what it returns is no Workflow.
        ValueError: A branch returns another Workflow than the one it was given.

    Example:
        >>> flow.parallel(
        ...     "channels",
        ...     mail=lambda w: w.generate_copy("subject", prompt="A subject for {{ product }}"),
        ...     web=lambda w: w.generate_image("banner", prompt="{{ product }}", size="728x90"),
        ... )
        Workflow('launch', 5 nodes)
    """
    config = given(branches=list(branches), over=over)
    return self._add("parallel", id, config, after)._branch(id, branches, joins=True)


def call(
    self: Workflow,
    id: str,
    function: Callable[..., Any] | str,
    /,
    *,
    over: str | None = None,
    after: Iterable[str] | None = None,
    retry: int | Mapping[str, Any] | Retry | None = None,
    timeout: float | None = None,
    cache: bool | None = None,
    depends: Iterable[str] | None = None,
    **arguments: Any,
) -> Workflow:
    """Call a Python function of yours, even one that is defined in the notebook.

    It runs in a process of its own, with the notebook's packages, modules, folder and
    variables; on a fleet, with those of the worker. `run.logs()` has what it prints. What it
    changes in globals does not come back.

    Args:
        id: The step's name, by which others read it: letters, digits and underscores.
        function: It returns a JSON value, a DataFrame, a PIL image or bytes; a list or a
            DataFrame makes items.
        over: A step that makes a list: call for each of its items, not once with all of them.
        after: Steps to wait for besides those it reads; default: the last, if it reads none.
        retry: Attempts (default 3), or a dict that adds their pauses, doubled each time:
            {"attempts": 5, "base_seconds": 2, "max_seconds": 60, "busy_seconds": 600}.
            TransientError, ConnectionError and TimeoutError are tried again, no other.
        timeout: Seconds that an attempt may take before its process is ended; default: none.
        cache: True reuses the value of the same code, helpers, values and arguments.
        depends: Installed packages or modules whose versions count too, by name: ["pandas"].
        **arguments: The function's keyword arguments. A text is Jinja; one that is an
            expression, such as "{{ price }}", passes the value itself, a stored file as an
            object with `path`, `open()` and `read()`.

    Returns:
        A new Workflow. `{{ id }}` is the value that the function returned.

    Raises:
        TypeError: `id` is not text, or `after` is not a list of ids.

    Example:
        >>> def length(text):
        ...     return len(text)
        >>> flow.call("length", length, text="{{ headline.text }}", over="headline")
        Workflow('launch', 3 nodes)
    """
    config = given(function=function, arguments=arguments or None, over=over, depends=depends or None)
    return self._add("call", id, config | tried(retry, timeout, cache), after)


def node(
    self: Workflow,
    type: str,
    id: str,
    /,
    *,
    after: Iterable[str] | None = None,
    retry: int | Mapping[str, Any] | Retry | None = None,
    timeout: float | None = None,
    cache: bool | None = None,
    **config: Any,
) -> Workflow:
    """Add a step of any type, including types of other packages.

    Args:
        type: The type's name, such as "generate_copy".
        id: The step's name, by which others read it: letters, digits and underscores.
        after: Steps to wait for besides those it reads; default: the last, if it reads none.
        retry: Attempts (default 3), or a dict that adds their pauses, doubled each time:
            {"attempts": 5, "base_seconds": 2, "max_seconds": 60, "busy_seconds": 600}.
        timeout: Seconds that an attempt may take; by default the engine sets no limit.
        cache: Whether to reuse the output of an equal step; the type sets the default.
        **config: The type's own parameters, and `over`, a step that makes a list: run once for
            each of its items. For a type with branches also the branches, by name: functions
            that take a Workflow and return it extended.

    Returns:
        A new Workflow. `validate` reports wrong parameters, and a type that is not installed.

    Raises:
        TypeError: `type` or `id` is not text, `after` is not a list of ids, or a branch's
            function returns no Workflow.
        ValueError: A branch returns another Workflow than the one it was given.

    Example:
        >>> flow.node("generate_copy", "slogan", prompt="A slogan for {{ product }}")
        Workflow('launch', 3 nodes)
    """
    values = {name: value for name, value in config.items() if value is not None}
    branches, joins = _opened(type, values)
    return self._add(type, id, values | tried(retry, timeout, cache), after)._branch(id, branches, joins=joins)


def _opened(type: str, config: dict[str, Any]) -> tuple[dict[str, Branch], bool]:
    """Take the branches out of a config, and say whether the next step joins them. Where a type has a parameter `branches`
    for their names, it opens a branch for every function."""
    from xtyl_engine.nodes.registry import type_facts

    if not isinstance(type, str) or not any(map(callable, config.values())):
        return {}, False
    kind = type_facts(type)
    parameters = kind.config.model_fields
    functions = [name for name, value in config.items() if callable(value) and name not in parameters]
    if functions and "branches" in parameters:
        config.setdefault("branches", functions)
    names = functions if "branches" in parameters else [name for name in kind.branches(config) if name in functions]
    found = {name: config.pop(name) for name in dict.fromkeys(names)}
    return found, bool(found) and not kind.exclusive_branches
