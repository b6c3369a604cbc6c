"""The bodies of the API's requests, with the limits that hold before anything is looked up, and examples. It does not check
a workflow; `validate` does.
"""

from __future__ import annotations

from base64 import b64decode
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator
from pydantic.json_schema import WithJsonSchema

from xtyl_engine.api.tokens import NAME
from xtyl_engine.limits import LEAST_BUDGET, MAX_BUDGET, MAX_COMMENT_LENGTH, MAX_ID_LENGTH, MAX_ITEMS, MAX_NAME_LENGTH
from xtyl_engine.values.plain import mend

PROJECT = f"^{NAME.pattern}$"
WORKFLOW = {
    "name": "summer-launch",
    "nodes": [
        {"id": "headline", "type": "generate_copy", "config": {"prompt": "A headline for {{ product }}", "n": 2}}
    ],
    "edges": [],
}
ProjectName = Annotated[str, Field(pattern=PROJECT, max_length=64)]
Text = Annotated[str, Field(max_length=MAX_COMMENT_LENGTH)]
Who = Annotated[str, Field(max_length=100)]
Scalar = str | int | float | bool | None
Label = Scalar | list[Scalar | list[Scalar]]
OptionNumber = Annotated[int, Field(ge=0, lt=MAX_ITEMS, strict=True)]
Values = dict[str, JsonValue]


class Body(BaseModel):
    """A JSON object that takes no unknown member."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    examples: ClassVar[dict[str, Any]] = {}


class RowBody(Body):
    """One row: its label in the frame's index (its position if omitted), and its values by column."""

    label: Label = None
    values: Values


class TemplateName(Body):
    """A template by its name; its newest version unless one is given."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH)]
    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None


class Config(Body):
    """Settings of the execution. `max_parallel` is the largest number of jobs that run at a time."""

    max_parallel: Annotated[int, Field(ge=1, le=100_000)] | None = None


class Categories(Body):
    """A categorical type: its categories, their own type, and whether they have an order."""

    categories: list[JsonValue]
    of: str
    ordered: bool


DataType = str | Categories


class Index(Body):
    """The levels of a frame's index."""

    names: Annotated[list[Label], Field(min_length=1)] = [None]
    dtypes: Annotated[list[DataType], Field(min_length=1)] = ["object"]


class Shape(Body):
    """The facts that restore a frame: its columns in order, their types, its index, and the inputs that are one for all rows."""

    columns: list[str] = []
    dtypes: dict[str, DataType] = {}
    index: Index = Index()
    inputs: list[str] = []


def _decoded(text: object) -> bytes:
    if not isinstance(text, str):
        raise ValueError("base64 text is needed")
    return b64decode(text, validate=True)


class FunctionBody(Body):
    """A function of a notebook: its name, the Python version that pickled it, and cloudpickle's bytes in base64."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH)]
    python: Annotated[str, Field(pattern=r"^3\.[0-9]{1,2}$")]
    blob: Annotated[bytes, BeforeValidator(_decoded), WithJsonSchema({"type": "string", "contentEncoding": "base64"})]


class TemplateBody(Body):
    """A workflow's document, to be stored under its name."""

    examples: ClassVar[dict[str, Any]] = {"a workflow": {"workflow": WORKFLOW}}

    project_id: ProjectName | None = None
    workflow: dict[str, Any]


class SubmissionBody(Body):
    """One workflow, by document or template, and its data: `rows`, or `inputs`, which is one object for all rows or a list with
    one object for each row."""

    examples: ClassVar[dict[str, Any]] = {
        "a document": {"workflow": WORKFLOW, "inputs": [{"product": "Aurora lamp"}, {"product": "Tidal mug"}]},
        "a template": {"template": {"name": "summer-launch"}, "inputs": {"product": "Aurora lamp"}},
        "labelled rows": {
            "workflow": WORKFLOW,
            "rows": [{"label": "lamp", "values": {"product": "Aurora lamp"}}],
            "config": {"max_parallel": 4},
        },
    }

    project_id: ProjectName | None = None
    workflow: dict[str, Any] | None = None
    template_id: Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)] | None = None
    template: TemplateName | None = None
    rows: list[RowBody] | None = None
    inputs: list[Values] | Values | None = None
    shape: Shape | None = None
    config: Config = Config()
    functions: dict[str, FunctionBody] = {}

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(each is not None for each in (self.workflow, self.template_id, self.template)) != 1:
            raise ValueError("give one of `workflow`, `template_id` and `template`")
        if self.rows is not None and isinstance(self.inputs, list):
            raise ValueError("give `rows`, or `inputs` as a list, not both")
        return self


def _is_short(edits: dict[str, Any]) -> dict[str, Any]:
    if len(edits) > MAX_ITEMS:
        raise ValueError(f"at most {MAX_ITEMS} edits")
    return edits


Name = Annotated[str, Field(max_length=MAX_ID_LENGTH)]
Edits = dict[Annotated[str, Field(pattern="^[0-9]{1,6}$")], str | dict[Name, str | dict[Name, str]]]


class ResumeBody(Body):
    """What the execution may spend in all from now on, in US dollars."""

    examples: ClassVar[dict[str, Any]] = {"a larger budget": {"budget": 8.00}, "as it is": {}}

    budget: Annotated[float, Field(ge=LEAST_BUDGET, le=MAX_BUDGET, strict=True)] | None = None


class DecisionBody(Body):
    """A person's decision: `verb` names the decision, `by` the person."""

    verb: ClassVar[str]

    by: Who | None = None

    def said(self) -> dict[str, Any]:
        """The arguments of the verb, in a form that can be stored."""
        said = self.model_dump(exclude={"by"})
        return {name: mend(value) if isinstance(value, str) else value for name, value in said.items()}


class ApprovalBody(DecisionBody):
    """The chosen options by number, new texts for some of them, the person's name, and a comment."""

    verb = "approve"
    examples: ClassVar[dict[str, Any]] = {
        "one option": {"choose": [0], "by": "ana"},
        "with a new text": {"choose": [1], "edits": {"1": "Light, on a switch"}, "comment": "shorter"},
        "with new texts of fields": {"choose": [0], "edits": {"0": {"headline": "Light, on a switch"}}},
    }

    choose: Annotated[list[OptionNumber], Field(max_length=MAX_ITEMS)]
    edits: Annotated[Edits, AfterValidator(_is_short)] | None = None
    comment: Text | None = None

    def said(self) -> dict[str, Any]:
        edits = None if self.edits is None else {int(place): edit for place, edit in self.edits.items()}
        return super().said() | {"edits": edits}


class RejectionBody(DecisionBody):
    """The reason why no option is acceptable."""

    verb = "reject"
    examples: ClassVar[dict[str, Any]] = {"a reason": {"reason": "off brand", "by": "ana"}}

    reason: Text


class AnotherBody(DecisionBody):
    """A wish for the next option."""

    verb = "another"
    examples: ClassVar[dict[str, Any]] = {"a wish": {"comment": "warmer", "by": "ana"}}

    comment: Text | None = None


BODIES: tuple[type[Body], ...] = (TemplateBody, SubmissionBody, ResumeBody, ApprovalBody, RejectionBody, AnotherBody)
