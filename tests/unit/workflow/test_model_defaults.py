"""Which provider and model each step asks, said apart, together, or by settings."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xtyl_nb as xt
from documents import copy, document
from workbench import workbench
from xtyl_engine.errors import PermanentError
from xtyl_engine.nodes.registry import node_type
from xtyl_engine.providers.registry import provider_names, split_model
from xtyl_engine.scheduler.rate_limits.permits import read_claim_policy
from xtyl_engine.scheduler.submit import Row, Submission, submit
from xtyl_engine.settings import SettingsError, load_settings
from xtyl_engine.workflow.model_defaults import ModelDefaults
from xtyl_engine.workflow.validate import validate

COPY, IMAGE, CALL = (node_type(name) for name in ("generate_copy", "generate_image", "call"))
DEFAULTS = ModelDefaults(provider="openai", text_model="anthropic:claude-x", image_model="gpt-image-x")


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("anthropic:claude-x", ("anthropic", "claude-x")),
        ("Anthropic: claude-x ", ("anthropic", "claude-x")),
        ("openai:openai/gpt-oss:20b", ("openai", "openai/gpt-oss:20b")),
        ("openai:mistral:7b", ("openai", "mistral:7b")),
        ("gemini:", ("gemini", "")),
        ("llama3:8b", (None, "llama3:8b")),
        ("openai/gpt-oss:20b", (None, "openai/gpt-oss:20b")),
        ("ft:gpt-4o:acme::id", (None, "ft:gpt-4o:acme::id")),
        ("anthropic", (None, "anthropic")),
        (":x", (None, ":x")),
    ],
)
def test_a_beginning_counts_only_where_it_is_a_providers_name(model, parts):
    """Names of models hold colons too."""
    assert split_model(model) == parts


@pytest.mark.parametrize(
    ("kind", "config", "asked"),
    [
        (COPY, {}, ("anthropic", "claude-x")),
        (IMAGE, {}, ("openai", "gpt-image-x")),
        (COPY, {"provider": "mistral"}, ("mistral", None)),
        (COPY, {"model": "gpt-y"}, ("openai", "gpt-y")),
        (COPY, {"model": "gemini:g"}, ("gemini", "g")),
        (COPY, {"provider": "gemini", "model": "gemini:g"}, ("gemini", "g")),
        (COPY, {"provider": "openai", "model": "openai:mistral:7b"}, ("openai", "mistral:7b")),
        # Stored by a release that knew no beginnings: its model is called so.
        (COPY, {"provider": "openai", "model": "mistral:7b"}, ("openai", "mistral:7b")),
        (CALL, {}, (None, None)),
    ],
)
def test_what_a_step_says_goes_before_what_settings_say(kind, config, asked):
    """A default model serves steps that name neither provider nor model, a default provider those that name none."""
    served = DEFAULTS.serve(kind, config)
    assert (served.get("provider"), served.get("model")) == asked


@settings(max_examples=60, deadline=None)
@given(
    provider=st.sampled_from([None, "", *provider_names()]),
    model=st.one_of(st.none(), st.text(max_size=12).filter(lambda text: split_model(text)[0] is None)),
    kind=st.sampled_from([COPY, IMAGE]),
)
def test_without_settings_and_beginnings_nothing_changes(provider, model, kind):
    """So that results of the release before are found under the keys that they have."""
    config = {"prompt": "x", "provider": provider, "model": model}
    assert ModelDefaults().serve(kind, config) is config
    only = ModelDefaults(provider="offline").serve(kind, config)
    assert only == {**config, "provider": provider or "offline"}


def test_settings_name_the_models_of_a_run(tmp_path, monkeypatch):
    """The jobs ask them, the plan counts by them, the cache keys are of what is really asked, however it was said."""
    monkeypatch.setenv("XTYL_TEXT_MODEL", "offline:offline/copy-1")
    monkeypatch.setenv("XTYL_IMAGE_MODEL", "offline:offline/poster-1")
    with workbench(tmp_path) as bench:
        silent = xt.Workflow("silent").generate_copy("line", prompt="Hi").generate_image("art", prompt="Hi", size="8x8")
        said = (
            xt.Workflow("said")
            .generate_copy("line", prompt="Hi", model="offline:offline/copy-1")
            .generate_image("art", prompt="Hi", size="8x8", provider="offline", model="offline/poster-1")
        )
        assert list(silent.plan()["cached"]) == [0, 0]
        run = bench.done(silent)
        assert run.state == "completed", run.jobs()["error"]
        assert list(said.plan()["cached"]) == [1, 1]
        assert list(bench.done(said).jobs()["cached"]) == [True, True]
        monkeypatch.setenv("XTYL_TEXT_MODEL", "offline:other")
        assert list(silent.plan()["cached"]) == [0, 1]
        monkeypatch.delenv("XTYL_TEXT_MODEL")
        monkeypatch.delenv("XTYL_IMAGE_MODEL")
        assert list(silent.plan()["cached"]) == [0, 0]


def test_a_template_that_was_kept_is_served_by_the_workers_settings(tmp_path):
    """Its plan says what its document said: apart, together, or nothing."""
    flows = [
        copy("said", model="offline:offline/copy-1"),
        copy("silent"),
    ]
    with workbench(tmp_path) as bench:
        kept = validate(document(*flows))
        submission = Submission(id="kept-1", plan=kept, rows=[Row(label=0, values={})], shape={}, functions=[])
        submit(bench.backend.database, submission)
        bench.executor.settings = replace(bench.settings, text_model="offline:offline/copy-1", provider="openai")
        run = bench.work(xt.attach("kept-1"))
        assert list(run.jobs()["provider"]) == ["offline", "offline"]
        assert run.state == "completed"


def test_a_later_change_of_settings_changes_no_run(tmp_path, monkeypatch):
    """What they named when it was submitted is asked, also of jobs that begin later."""
    monkeypatch.setenv("XTYL_TEXT_MODEL", "offline:offline/copy-1")
    with workbench(tmp_path) as bench:
        run = xt.Workflow("w").generate_copy("line", prompt="Hi").run()
        monkeypatch.setenv("XTYL_TEXT_MODEL", "offline:other")
        monkeypatch.setenv("XTYL_PROVIDER", "openai")
        assert bench.work(run).state == "completed"
        assert list(run.jobs()["model"]) == ["offline/copy-1"]


@pytest.mark.parametrize(
    ("variable", "value", "error", "words"),
    [
        ("XTYL_TEXT_MODEL", "anthropic:", SettingsError, "XTYL_TEXT_MODEL is 'anthropic:'"),
        ("XTYL_IMAGE_MODEL", "mistral:m", xt.WorkflowError, "`mistral` makes no images here"),
        ("XTYL_PROVIDER", "opanai", PermanentError, "Did you mean 'openai'"),
    ],
)
def test_a_setting_that_cannot_serve_is_refused_before_the_run(tmp_path, monkeypatch, variable, value, error, words):
    """With the words that say which it is, and nothing is submitted."""
    monkeypatch.setenv(variable, value)
    with workbench(tmp_path):
        flow = xt.Workflow("w").generate_copy("line", prompt="Hi").generate_image("art", prompt="Hi")
        for act in (flow.run, flow.plan):
            with pytest.raises(error) as caught:
                act()
            assert words in str(caught.value)
        assert len(xt.runs()) == 0


def test_rates_limit_the_provider_that_is_really_asked(tmp_path):
    """Also where a kept template or a setting names it together with the model."""
    environ = {"XTYL_HOME": str(tmp_path), "XTYL_TEXT_MODEL": "gemini:g", "XTYL_RATES": "gemini=1/s anthropic=1/s"}
    policy = read_claim_policy(load_settings(environ))

    def node(**config):
        return validate(document(copy("line", **config))).nodes["line"]

    assert [policy.provider_of(node(**config)) for config in ({}, {"model": "anthropic:c"}, {"model": "m"})] == [
        "gemini",
        "anthropic",
        "offline",
    ]
