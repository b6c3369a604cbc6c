"""Tools for the tests of a node type or a provider, without a back end: run one job as a worker does, answer as a provider with
given answers, and check the rules for every type and provider. The product itself does not use them.
"""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from xtyl_engine.errors import PermanentError, WorkflowError, WorkflowException, with_article
from xtyl_engine.nodes.base import Context, Done, NodeConfig, NodeType, Wait
from xtyl_engine.nodes.registry import configure, node_type
from xtyl_engine.providers.base import ImageRequest, ImageResult, Provider, TextRequest, TextResult, Usage
from xtyl_engine.providers.offline.provider import OfflineProvider
from xtyl_engine.providers.registry import Factory, get_provider
from xtyl_engine.runners.calling import call
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.values.images import check_image
from xtyl_engine.values.plain import encode
from xtyl_engine.workflow.checks.parameters import check_parameters
from xtyl_engine.workflow.checks.wording import Suggestions
from xtyl_engine.workflow.document import Node
from xtyl_engine.workflow.templating.render import rendered

__all__ = ["FakeProvider", "check_node_type", "check_provider", "make_context", "run_node"]

Answer = str | bytes | Exception
_PROMPT = "A calm headline for Tidal mug"
# The parameters that a type with a fact must have.
_PARAMETERS = {"waits": ("of", "choose"), "takes_function": ("function", "arguments")}


class FakeProvider:
    """A provider that gives the answers it was made with, and keeps the requests.

    Args:
        *answers: Its answers in turn, the last one repeated: a text, the bytes of an image, or
            an exception to raise. Without any, it answers as the offline provider does.

    Attributes:
        requests: Each TextRequest and ImageRequest that it received.

    Example:
        >>> provider = FakeProvider("First.", TransientError("busy", retry_after=2))
    """

    name = "fake"
    takes_images = True

    def __init__(self, *answers: Answer):
        self.requests: list[TextRequest | ImageRequest] = []
        self._answers = list(answers)

    def write(self, request: TextRequest) -> TextResult:
        """The next answer, a text."""
        text = self._next(request, str) or OfflineProvider().write(request).text
        return TextResult(text=text, usage=self._usage(request))

    def draw(self, request: ImageRequest) -> ImageResult:
        """The next answer, an image."""
        data = self._next(request, bytes) or OfflineProvider().draw(request).data
        return ImageResult(data=data, usage=self._usage(request))

    def _next(self, request: TextRequest | ImageRequest, kind: type[Any]) -> Any:
        self.requests.append(request)
        if not self._answers:
            return None
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, kind), f"asked for {kind.__name__}, the next answer is {answer!r:.60}"
        return answer

    def _usage(self, request: TextRequest | ImageRequest) -> Usage:
        return Usage(provider=self.name, model=request.model or "fake-1", tokens=len(request.prompt.split()), cost=0.0)


def make_context(
    folder: str | os.PathLike[str],
    *,
    item: str = "0",
    attempt: int = 1,
    upstream: Mapping[str, Any] | None = None,
    provider: Provider | None = None,
    is_cancelled: bool = False,
) -> Context:
    """Make the context that a handler gets besides its config.

    Args:
        folder: The folder of `context.artifacts`, such as pytest's `tmp_path`.
        item: The item of the job: "3" is row 3, "3.0" the first item there.
        attempt: The number of the attempt at the job.
        upstream: For each node that is read, its output or the list of its outputs.
        provider: A provider that answers under every name; default: the installed ones.
        is_cancelled: Whether the run was stopped.
    """
    store = ArtifactStore(Path(folder))

    def called(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Done:
        output, items = call(function, arguments, store)
        return Done(output=output, items=items)

    return Context(
        execution_id="test",
        node="node",
        item=item,
        attempt=attempt,
        key=f"test/node/{item}/0",
        place=int(item.rpartition(".")[2]) if "." in item else 0,
        upstream=upstream or {},
        artifacts=store,
        provider=lambda name: provider or get_provider(name or OfflineProvider.name),
        function=lambda function: function,  # type: ignore[arg-type,return-value]
        call=called,
        cancelled=lambda: is_cancelled,
        log=logging.getLogger("xtyl"),
    )


def run_node(
    kind: NodeType | str, context: Context, inputs: Mapping[str, Any] | None = None, /, **config: Any
) -> Done | Wait:
    """Run one job as a worker does: check the config as written, render it, run the handler.

    Args:
        kind: The node type, or the name of an installed one.
        context: From `make_context`.
        inputs: The columns of the job's row, which Jinja text reads besides `context.upstream`.
        **config: The parameters as `flow.node` takes them, their Jinja not yet rendered.

    Returns:
        The result of the handler.

    Raises:
        WorkflowError: The config is wrong as written.
        PermanentError: It is wrong once rendered. Other errors of the handler are raised too.
        AssertionError: The result does not match the node type.

    Example:
        >>> run_node("generate_copy", make_context(tmp_path), {"mood": "calm"}, prompt="{{ mood }}")
    """
    kind = node_type(kind) if isinstance(kind, str) else kind
    config = dict(kind.stored(config))
    if problems := tuple(check_parameters(Node(id="node", type=kind.name, config=config), kind, Suggestions())):
        raise WorkflowError(problems, workflow="test")
    done = kind.run(configure(kind, rendered(kind, config, {**(inputs or {}), **context.upstream})), context)
    _refuse(f"what {kind.name} returned", _output_faults(kind, config, done))
    return done


def check_node_type(kind: NodeType | str) -> None:
    """Check the rules that hold for every node type.

    Args:
        kind: The node type; given by name, an installed package must offer it too.

    Raises:
        UnknownNodeType: No installed package offers a type of this name.
        AssertionError: It breaks rules; the message lists all of them.
    """
    offered = kind if isinstance(kind, str) else kind.name
    kind = node_type(kind) if isinstance(kind, str) else kind
    _refuse(f"the node type {offered}", _type_faults(kind, offered))


def check_provider(
    provider: Factory | str,
    environment: Mapping[str, str] = os.environ,
    /,
    *,
    writes: bool = True,
    draws: bool = True,
) -> None:
    """Ask a provider for one text and one image of 64 x 64 pixels, and check its answers.

    Args:
        provider: Its factory; given by name, an installed package must offer it too.
        environment: The variables from which it reads its settings.
        writes: False for one that makes no texts: then it must refuse with PermanentError.
        draws: False for one that makes no images.

    Raises:
        UnknownProvider: No installed package offers a provider of this name.
        WorkflowException: The provider refuses, though it should answer.
        AssertionError: Its answers break rules; the message lists all of them.
    """
    made = get_provider(provider, environment) if isinstance(provider, str) else provider(environment)
    offered = provider if isinstance(provider, str) else made.name
    _refuse(f"the provider {offered}", _provider_faults(made, offered, writes, draws))


def _refuse(what: str, faults: Iterator[str]) -> None:
    if told := "".join(f"\n- {fault}" for fault in faults):
        raise AssertionError(f"{what} is not as it must be:{told}")


def _output_faults(kind: NodeType, config: Mapping[str, Any], done: Any) -> Iterator[str]:
    if not isinstance(done, (Done, Wait)):
        yield f"it is {with_article(type(done).__name__)}: return Done(output=...)"
        return
    encode(dict(done.output))
    if isinstance(done, Wait):
        if not kind.waits:
            yield "it is Wait: say waits=True in the node type"
        return
    fields = kind.fields(config)
    if fields is not None and not kind.expands and set(fields) != set(done.output):
        yield f"its fields are {sorted(done.output)}: the node type says {sorted(fields)}"
    if done.items is not None and not (kind.expands and len(done.output.get("items", ())) == done.items):
        yield f"it has {done.items} items: say expands=True in the node type, and hold as many under `items`"
    if done.branch is not None and done.branch not in kind.branches(config):
        yield f"it takes the branch {done.branch!r}: the node type offers none of that name"


def _type_faults(kind: NodeType, offered: str) -> Iterator[str]:
    if kind.name != offered or not offered.isidentifier():
        yield f"its name is {kind.name!r}: take the one under which it is offered, of letters, digits and underscores"
    if not (issubclass(kind.config, NodeConfig) and kind.config.model_config.get("extra") == "forbid"):
        yield "its config takes any parameter: derive it from NodeConfig and leave `extra` as it is there"
    parameters = set(kind.config.model_fields)
    for name in sorted({*kind.rendered} - parameters):
        yield f"`rendered` names {name}: its config has no such parameter"
    for name in sorted({*kind.expressions} - {*kind.rendered}):
        yield f"`expressions` names {name}: add it to `rendered`"
    for name in (name for fact, names in _PARAMETERS.items() if getattr(kind, fact) for name in names):
        if name not in parameters:
            yield f"its facts ask for a parameter {name}: add it to its config"
    if "after" in parameters:
        yield "it has a parameter `after`: call it otherwise, flow.node takes that one itself"
    for name, meant in {name: field.annotation for name, field in NodeConfig.model_fields.items()}.items():
        if kind.config.model_fields[name].annotation not in (meant, *get_args(meant)):
            yield f"its parameter {name} takes other values than every step's: call it otherwise, the engine reads that one"
    if "n" in parameters and kind.config.model_fields["n"].annotation is not int:
        yield "its parameter `n` is no int: call it otherwise, a whole number there makes a list of so many items"
    try:
        inspect.signature(kind.run).bind(None, None)
    except TypeError as error:
        yield f"its handler cannot be called as run(config, context): {error}"
    try:
        fields, main = kind.fields({}), kind.main_of({})
        tuple(kind.branches({}))
    except Exception as error:
        yield f"`fields` or `branches` raises {error!r} for a config with nothing in it: a workflow may be wrong"
    else:
        if fields and main is not None and main not in fields:
            yield f"`main` is {main}: `fields` has {sorted(fields)}"


def _provider_faults(provider: Provider, offered: str, writes: bool, draws: bool) -> Iterator[str]:
    if provider.name != offered:
        yield f"its name is {provider.name!r}: take the one under which it is offered"
    text = TextRequest(prompt=_PROMPT, key="test/text")
    image = ImageRequest(prompt=_PROMPT, width=64, height=64, key="test/image")
    yield from _answer_faults("write", lambda: provider.write(text), TextResult, provider.name, writes)
    yield from _answer_faults("draw", lambda: provider.draw(image), ImageResult, provider.name, draws)


def _answer_faults(
    verb: str, ask: Callable[[], Any], kind: type[TextResult | ImageResult], name: str, answers: bool
) -> Iterator[str]:
    try:
        result = ask()
    except WorkflowException as error:
        if answers:
            raise
        if not isinstance(error, PermanentError):
            yield f"{verb}() raises {type(error).__name__}: raise PermanentError, as no other try will help"
        return
    except Exception as error:
        yield f"{verb}() raises {error!r}: raise TransientError or PermanentError from it"
        return
    if not answers:
        yield f"{verb}() gives an answer: check it, without {verb}s=False"
    if not isinstance(result, kind):
        yield f"{verb}() gives {with_article(type(result).__name__)}: return {kind.__name__}"
        return
    usage = result.usage
    if usage.provider != name or not usage.model:
        yield f"{verb}() says that {usage.provider!r} answered by {usage.model!r}: name the provider and its model"
    if (usage.tokens or 0) < 0 or (usage.cost or 0) < 0:
        yield f"{verb}() took {usage.tokens} tokens and {usage.cost} dollars: say None where that is not known"
    if isinstance(result, TextResult):
        if not result.text.strip():
            yield "write() gives an empty text: raise TransientError or PermanentError where there is none"
        return
    try:
        check_image(result.data)
    except WorkflowException as error:
        yield f"draw() gives no image: {error.message}"
