"""The vendors' providers through the engine: answers, refusals, and where their keys may be seen."""

import pytest

import xtyl_nb as xt
from vendor_server import vendor_server
from workbench import workbench
from xtyl_engine.providers.vendors import calls

KEY = "sk-canary-4711-0815"
ONCE = {"attempts": 1}


@pytest.fixture
def server(monkeypatch):
    with vendor_server() as served:
        for name in ("ANTHROPIC", "GEMINI", "MISTRAL"):
            monkeypatch.setenv(f"{name}_API_KEY", KEY)
            monkeypatch.setenv(f"{name}_BASE_URL", served.url)
        yield served
        calls.close()


def test_one_run_asks_several_vendors(server, tmp_path, monkeypatch):
    """Texts and an image come with their provider and model, from the cache too; no key is kept, though a server quotes it."""
    monkeypatch.setenv("XTYL_IMAGE_MODEL", "gemini:g-image")
    flow = (
        xt.Workflow("several")
        .generate_copy("line", prompt="Hi", model="anthropic:m", n=2)
        .generate_copy("short", prompt="Shorter: {{ line[0].text }}", provider="mistral", model="m")
        .generate_image("art", prompt="{{ short.text }}", size="64x64")
    )
    with workbench(tmp_path) as bench:
        run = bench.done(flow)
        assert run.state == "completed", run.jobs()["error"].dropna().tolist()
        jobs = run.jobs().set_index("node")
        assert list(jobs["provider"]) == ["anthropic", "anthropic", "mistral", "gemini"]
        assert list(jobs["model"]) == ["m-2026", "m-2026", "m-2026", "g-image-2026"]
        assert list(jobs["tokens"]) == [14, 14, 14, 1304]
        keys = [headers["idempotency-key"] for _, _, headers in server.requests]
        assert len(set(keys)) == len(keys) == 4
        assert list(bench.done(flow).jobs()["cached"]) == [True] * 4
        refused = bench.done(
            xt.Workflow("refused").generate_copy("line", prompt="Hi", model="anthropic:bad-key", retry=ONCE)
        )
        assert "does not take the key in ANTHROPIC_API_KEY" in refused.jobs()["error"][0]
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert kept == []
