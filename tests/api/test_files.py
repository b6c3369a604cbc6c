"""Files over HTTP: stored with a receipt for a project, referred to by its submissions only, and shown to tokens that
may see the run.
"""

from __future__ import annotations

import io
import json
import tracemalloc
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench import RUNS, Desk, open_desk, submit, work_off
from xtyl_engine.queries.files import ExecutionFiles
from xtyl_engine.values.artifacts import JSON, KEY, TABLE

KIT = {"name": "kit", "nodes": [{"id": "kit", "type": "attach", "config": {"assets": {"file": "{{ product }}"}}}]}
POSTER = {
    "name": "p",
    "nodes": [{"id": "poster", "type": "generate_image", "config": {"prompt": "{{ product }}", "size": "256x256"}}],
}


def picture(color: str = "red", mode: str = "RGB", size: tuple[int, int] = (120, 60)) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, color).save(buffer, "PNG")
    return buffer.getvalue()


def store(desk: Desk, data: bytes, media_type: str, who: str = "press-write") -> dict[str, Any]:
    answer = desk.ask("POST", f"/api/artifacts?media_type={media_type}", who, content=data)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_a_stored_file_goes_into_a_run_and_comes_out(desk: Desk) -> None:
    """Its reference with the receipt goes into a row; the receipt is not stored; the file comes back unchanged, or scaled."""
    data = picture()
    given = store(desk, data, "image/png")
    assert (given[KEY], given["width"], given["size"]) == (sha256(data).hexdigest(), 120, len(data))
    id = submit(desk, document=KIT, inputs=[{"product": given}])
    assert "receipt" not in desk.ask("GET", f"{RUNS}/{id}/rows").text
    work_off(desk, id)
    for name in (given[KEY], f"{given[KEY]}.png"):
        answer = desk.ask("GET", f"{RUNS}/{id}/artifacts/{name}", "press-read")
        assert (answer.content, answer.headers["content-type"]) == (data, "image/png")
        assert answer.headers["content-disposition"] == f'inline; filename="{given[KEY]}.png"'
        assert answer.headers["x-content-type-options"] == "nosniff"
    small = desk.ask("GET", f"{RUNS}/{id}/artifacts/{given[KEY]}?size=40")
    assert small.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(small.content)).size == (40, 20)


def test_what_a_run_made_is_its_own(desk: Desk) -> None:
    """An image that a job drew is served for its run, whose overview names it, and not for another run, although the
    file exists."""
    id, other = submit(desk, document=POSTER), submit(desk)
    work_off(desk, id)
    (name,) = desk.ask("GET", f"{RUNS}/{id}/overview").json()["nodes"]["poster"]["images"]
    assert desk.ask("GET", f"{RUNS}/{id}/artifacts/{name}").status_code == 200
    for path in (f"{other}/artifacts/{name}", f"{id}/artifacts/{'0' * 64}"):
        answer = desk.ask("GET", f"{RUNS}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "artifact/error")


def test_a_name_in_a_text_is_no_reference(lite: Desk) -> None:
    """Writing down the name of another project's file gives no access to it."""
    theirs = store(lite, picture("blue"), "image/png", "shop-write")
    id = submit(lite, document=KIT, inputs=[{"product": f"see {theirs[KEY]}"}])
    work_off(lite, id)
    assert lite.ask("GET", f"{RUNS}/{id}/artifacts/{theirs[KEY]}").status_code == 404


REFERENCE = "{'$' ~ 'artifact': product, 'media_type': 'image/png', 'size': 1}"
MAKING = (
    "{{ %s }}",
    "{{ [%s] }}",
    "{{ {'deep': [1, %s]} }}",
    "{{ {'a': %s}.get('a') }}",
    "{{ [%s]|first }}",
    "{{ {'a': %s}.items()|list }}",
    "{{ none or %s }}",
    "{{ {'a': {}}.get('b', %s) }}",
    "{{ missing|default(%s) }}",
    "{{ ['$', 'artifact']|join|upper|lower|replace('x', 'y') and %s }}",
)


def test_jinja_makes_no_reference(lite: Desk) -> None:
    """However Jinja builds a mapping with the key of a reference, its job fails by name, and another project's file stays
    out of reach; a reference that the row holds is passed on."""
    mine = store(lite, picture(), "image/png")
    theirs = store(lite, picture("blue"), "image/png", "shop-write")
    texts = [way % REFERENCE for way in MAKING]
    nodes = [{"id": f"n{at}", "type": "attach", "config": {"assets": {"a": text}}} for at, text in enumerate(texts)]
    own = {"id": "own", "type": "attach", "config": {"assets": {"a": "{{ {'deep': [mine]} }}"}}}
    inputs = [{"product": theirs[KEY], "mine": mine}]
    id = submit(lite, document={"name": "w", "nodes": [*nodes, own]}, inputs=inputs)
    work_off(lite, id)
    assert lite.ask("GET", f"{RUNS}/{id}/artifacts/{theirs[KEY]}").status_code == 404
    jobs = {each["node"]: each for each in lite.ask("GET", f"{RUNS}/{id}/jobs").json()["jobs"]}
    assert {each["state"] for node, each in jobs.items() if node != "own"} == {"failed"}
    assert jobs["own"]["state"] == "completed"
    errors = [lite.ask("GET", f"{RUNS}/{id}/jobs/n{at}/0").text for at in range(len(MAKING))]
    assert all("Jinja makes no reference to a stored file" in each for each in errors)
    assert lite.ask("GET", f"{RUNS}/{id}/artifacts/{mine[KEY]}").status_code == 200


def test_an_opened_function_makes_no_reference(tmp_path: Path, broker: str) -> None:
    """What a function that the operator has opened reads out of a text of the row is no reference to another project's
    file; what stood in its arguments is one still."""
    opened = {"XTYL_ACCEPT_FUNCTIONS": "0", "XTYL_FUNCTIONS": "json:loads copy:copy"}
    desk = open_desk(tmp_path / "home", f"sqlite:///{tmp_path / 'xtyl.db'}", broker, **opened)
    with desk.client:
        mine = store(desk, picture(), "image/png")
        theirs = store(desk, picture("blue"), "image/png", "shop-write")
        text = json.dumps({"a": [{name: part for name, part in theirs.items() if name != "receipt"}]})
        calls = {"read": ("json:loads", {"s": "{{ product }}"}), "own": ("copy:copy", {"x": "{{ mine }}"})}
        nodes = [
            {"id": node, "type": "call", "config": {"function": name, "arguments": arguments}}
            for node, (name, arguments) in calls.items()
        ]
        id = submit(desk, document={"name": "w", "nodes": nodes}, inputs=[{"product": text, "mine": mine}])
        work_off(desk, id)
        assert desk.ask("GET", f"{RUNS}/{id}/artifacts/{theirs[KEY]}").status_code == 404
        jobs = desk.ask("GET", f"{RUNS}/{id}/jobs").json()["jobs"]
        assert {each["node"]: each["state"] for each in jobs} == {"read": "failed", "own": "completed"}
        assert "its arguments do not hold" in desk.ask("GET", f"{RUNS}/{id}/jobs/read/0").text


@pytest.mark.parametrize("change", ["none", "theirs", "forged", "other", "shape"])
def test_a_reference_without_its_receipt_is_refused(lite: Desk, change: str) -> None:
    """In rows, in documents and in stored tables, a reference is refused without a receipt, or with a forged one, or
    with that of another project or file."""
    mine = store(lite, picture(), "image/png")
    theirs = store(lite, picture("blue"), "image/png", "shop-write")
    wrong = {
        "none": {name: value for name, value in mine.items() if name != "receipt"},
        "theirs": theirs,
        "forged": {**mine, "receipt": "0" * 64},
        "other": {**theirs, "receipt": mine["receipt"]},
        "shape": {KEY: 5, "receipt": "ä"},
    }[change]
    document = {"name": "w", "nodes": [{"id": "k", "type": "attach", "config": {"assets": {"a": [{"deep": wrong}]}}}]}
    table = {"columns": ["a"], "records": [{"a": wrong}]}
    for answer in (
        lite.ask("POST", RUNS, json={"workflow": KIT, "inputs": [{"product": [wrong]}]}),
        lite.ask("POST", RUNS, json={"workflow": document}),
        lite.ask("POST", "/api/workflows/templates", json={"workflow": document}),
        lite.ask("POST", f"/api/artifacts?media_type={TABLE}", content=json.dumps(table)),
        lite.ask("POST", f"/api/artifacts?media_type={JSON}", content=json.dumps({"x": wrong})),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "artifact/receipt")


def test_a_receipt_is_for_a_kind_of_file(lite: Desk) -> None:
    """Bytes that were stored unread are not read as JSON under their receipt, where another project has stored the same
    as JSON: they may refer to its files."""
    theirs = store(lite, picture("blue"), "image/png", "shop-write")
    holding = store(lite, json.dumps({"a": theirs}).encode(), JSON, "shop-write")
    data = lite.service.engine.store.read(holding)
    mine = store(lite, data, "text/plain")
    for media_type in (JSON, TABLE):
        inputs = [{"product": {**mine, "media_type": media_type}}]
        answer = lite.ask("POST", RUNS, json={"workflow": KIT, "inputs": inputs})
        assert (answer.status_code, answer.json()["code"]) == (422, "artifact/receipt")


def test_a_reference_in_a_document_is_not_rendered(lite: Desk) -> None:
    """Jinja in the facts of a stored file stays as it is: it does not make the file another's."""
    theirs = store(lite, picture("blue"), "image/png", "shop-write")
    holding = store(lite, json.dumps({"a": theirs}).encode(), JSON, "shop-write")
    mine = store(lite, lite.service.engine.store.read(holding), "application/octet-stream")
    asset = {**mine, "media_type": "{{ 'application/json' }}"}
    document = {"name": "w", "nodes": [{"id": "k", "type": "attach", "config": {"assets": {"a": asset}}}]}
    id = submit(lite, document=document)
    work_off(lite, id)
    assert lite.ask("GET", f"{RUNS}/{id}/artifacts/{theirs[KEY]}").status_code == 404
    (job,) = lite.ask("GET", f"{RUNS}/{id}/jobs?outputs=true").json()["jobs"]
    assert job["output"]["a"]["media_type"] == "{{ 'application/json' }}"


def test_a_receipt_for_a_file_that_is_gone(lite: Desk) -> None:
    """It is refused before anything is written, not later by a worker."""
    mine = store(lite, picture(), "image/png")
    lite.service.engine.store.path(mine).unlink()
    answer = lite.ask("POST", RUNS, json={"workflow": KIT, "inputs": [{"product": mine}]})
    assert (answer.status_code, answer.json()["code"]) == (422, "artifact/receipt")


def test_what_a_table_refers_to_comes_with_it(desk: Desk) -> None:
    """A table with an image is stored without the receipts, and a token that may see the table may see the image."""
    image = store(desk, picture("green"), "image/png")
    table = store(desk, json.dumps({"columns": ["a"], "records": [{"a": image}]}).encode(), TABLE)
    assert (table["rows"], table["columns"]) == (1, ["a"])
    id = submit(desk, document=KIT, inputs=[{"product": table}])
    stored = desk.ask("GET", f"{RUNS}/{id}/artifacts/{table[KEY]}").json()
    assert "receipt" not in stored["records"][0]["a"]
    assert desk.ask("GET", f"{RUNS}/{id}/artifacts/{image[KEY]}").status_code == 200


@pytest.mark.parametrize(
    ("data", "media_type", "code"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg%2Bxml", "artifact/image"),
        (b"no image", "image/png", "artifact/image"),
        (picture()[:60], "image/png", "artifact/image"),
        (picture()[:60], "text/plain", "artifact/image"),
        (b"{", "application/json", "api/invalid"),
        (b"{}", "application/vnd.xtyl.table%2Bjson", "artifact/refused"),
        (b"x", "nonsense", "artifact/refused"),
    ],
)
def test_files_that_are_refused(shared: Desk, data: bytes, media_type: str, code: str) -> None:
    """A file that does not match its type is 422, in the API's own words."""
    answer = shared.ask("POST", f"/api/artifacts?media_type={media_type}", content=data)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert "PIL" not in answer.text


def test_nothing_is_sent_that_a_browser_runs(lite: Desk) -> None:
    """HTML and scripts are sent as bytes to save; a text is sent as text."""
    page = store(lite, b"<script>alert(1)</script>", "text/html")
    words = store(lite, b"<script>alert(1)</script> said", "text/plain")
    id = submit(lite, document=KIT, inputs=[{"product": [page, words]}])
    sent = [lite.ask("GET", f"{RUNS}/{id}/artifacts/{each[KEY]}") for each in (page, words)]
    assert [each.headers["content-type"] for each in sent] == ["application/octet-stream", "text/plain; charset=utf-8"]
    assert all(each.headers["content-disposition"].startswith("attachment") for each in sent)


def test_what_cannot_be_scaled(lite: Desk) -> None:
    """A text, a damaged image and sizes out of bounds are problems in the API's own words; a transparent image stays
    transparent."""
    words = store(lite, b"words", "text/plain")
    broken, clear = store(lite, picture(), "image/png"), store(lite, picture("#ff000080", "RGBA"), "image/png")
    id = submit(lite, document=KIT, inputs=[{"product": [words, broken, clear]}])
    lite.service.engine.store.path(broken).write_bytes(picture()[:60])
    place = f"{RUNS}/{id}/artifacts"
    assert lite.ask("GET", f"{place}/{words[KEY]}?size=64").json()["code"] == "artifact/image"
    damaged = lite.ask("GET", f"{place}/{broken[KEY]}?size=64")
    assert (damaged.status_code, damaged.json()["detail"]) == (
        422,
        "the image/png image is truncated or damaged: its pixels cannot be read",
    )
    assert lite.ask("GET", f"{place}/{broken[KEY]}").json()["code"] == "artifact/error"
    assert lite.ask("GET", f"{place}/{clear[KEY]}?size=64").headers["content-type"] == "image/png"
    for size in ("15", "2049", "x"):
        assert lite.ask("GET", f"{place}/{clear[KEY]}?size={size}").status_code == 422
    for name in ("..%2f..%2fkey", "x", f"{clear[KEY]}.toolong"):
        assert lite.ask("GET", f"{place}/{name}").status_code in (404, 422)


def test_a_large_file_is_sent_in_parts(lite: Desk) -> None:
    """A file of 24 MB is verified and sent without ever being in the API's memory as a whole; one that is damaged is not sent."""
    data = bytes(24 * 2**20)
    given = store(lite, data, "application/octet-stream")
    id = submit(lite, document=KIT, inputs=[{"product": given}])
    found = lite.service.reader.of("press", id)
    tracemalloc.start()
    with found.file(given[KEY], None).content as content:
        assert content.read(10) == bytes(10)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 4 * 2**20
    answer = lite.ask("GET", f"{RUNS}/{id}/artifacts/{given[KEY]}")
    assert (answer.content == data, answer.headers["content-length"]) == (True, str(len(data)))
    lite.service.engine.store.path(given).write_bytes(b"other")
    assert lite.ask("GET", f"{RUNS}/{id}/artifacts/{given[KEY]}").json()["code"] == "artifact/error"


def test_what_is_remembered_of_files_is_short(lite: Desk) -> None:
    """Of a table with 20,000 columns, and of a file whose media type is a megabyte long, a few words are remembered."""
    columns = [f"c{n}" for n in range(20_000)]
    table = store(lite, json.dumps({"columns": columns, "records": []}).encode(), TABLE)
    plain = store(lite, b"plain", "application/x-plain") | {"media_type": "x" * 2**20}
    id = submit(lite, document=KIT, inputs=[{"product": table, "other": plain}])
    kept = ExecutionFiles(lite.service.engine.database, lite.service.engine.store)
    for each in (table, plain):
        assert kept.find(id, each[KEY])[KEY] == each[KEY]
        assert len(repr(kept.find(id, each[KEY]))) < 200
        assert lite.ask("GET", f"{RUNS}/{id}/artifacts/{each[KEY]}").status_code == 200


def test_a_model_sees_the_project_s_own_files_alone(lite: Desk) -> None:
    """A reference with its receipt is an image that is looked at; the path of a file on the worker's machine, and another
    project's file, are none."""
    mine, theirs = store(lite, picture(), "image/png"), store(lite, picture("blue"), "image/png", "shop-write")
    seen = {"id": "seen", "type": "generate_copy", "config": {"prompt": "x", "images": "{{ product }}"}}
    flow = {"name": "see", "nodes": [seen]}
    id = submit(lite, document=flow, inputs=[{"product": mine}, {"product": "/etc/hosts"}])
    work_off(lite, id)
    assert "120 x 60 pixels, mostly red" in lite.ask("GET", f"{RUNS}/{id}/jobs/seen/0").text
    assert "the text '/etc/hosts' is no image" in lite.ask("GET", f"{RUNS}/{id}/jobs/seen/1").text
    for given in (theirs, {name: part for name, part in theirs.items() if name != "receipt"}):
        answer = lite.ask("POST", RUNS, "press-write", json={"workflow": flow, "inputs": [{"product": given}]})
        assert answer.status_code in (403, 422), answer.text
