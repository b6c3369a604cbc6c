"""Files over HTTP: fetched once, whole, several at a time; a missing or damaged file does not fail a frame."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from web import Answer, Asked, Web, document, problem, web
from xtyl_engine.errors import BackendError
from xtyl_engine.values.artifacts import ArtifactError
from xtyl_nb.backends.remote.http_client import Calls
from xtyl_nb.backends.remote.store import RemoteStore

FILES = {f"{sha256(data).hexdigest()}.txt": data for data in (b"tide", b"moss", b"lamp")}
REFERENCES = [{"$artifact": name[:64], "media_type": "text/plain", "size": 4} for name in FILES]


def answer(asked: Asked) -> Answer:
    """A file by its name, as the API sends it."""
    name = asked.path.partition("?")[0].rpartition("/")[2]
    if name not in FILES:
        return problem(404, "artifact/error", "this run refers to no such file")
    return Answer(body=FILES[name], media_type="text/plain")


@pytest.fixture
def server() -> Iterator[Web]:
    """A server of three files."""
    with web(answer) as made:
        yield made


@pytest.fixture
def store(server: Web, tmp_path: Path) -> RemoteStore:
    """The files of one execution there."""
    return RemoteStore(tmp_path, Calls(server.url, "token"), "run-1")


def test_a_file_is_brought_once(server: Web, store: RemoteStore) -> None:
    """The second time it is local, under its execution and its name."""
    assert [store.read(REFERENCES[0]), store.read(REFERENCES[0])] == [b"tide", b"tide"]
    assert [asked.path for asked in server.asked] == [f"/api/workflows/executions/run-1/artifacts/{next(iter(FILES))}"]


def test_all_files_of_outputs_are_brought_at_once(server: Web, store: RemoteStore) -> None:
    """Each is fetched once, however often it is referred to."""
    store.prepare([json.dumps({"items": REFERENCES}), json.dumps(REFERENCES[1]), "null"])
    assert len(server.asked) == 3
    assert [store.read(each) for each in REFERENCES] == list(FILES.values())
    assert len(server.asked) == 3


def test_a_missing_file_is_reported_when_it_is_opened(store: RemoteStore) -> None:
    """Its path is returned all the same, as on a direct back end."""
    gone = {"$artifact": "0" * 64, "media_type": "image/png"}
    store.prepare([json.dumps(gone)])
    assert not store.path(gone).exists()
    with pytest.raises(ArtifactError, match="cannot be read"):
        store.read(gone)


def test_a_file_that_arrives_damaged_is_not_kept(server: Web, store: RemoteStore) -> None:
    """Its name is its content's hash; the next time it is fetched anew."""
    server.answer = lambda asked: Answer(body=b"cut", media_type="text/plain")
    assert not store.path(REFERENCES[0]).exists()
    server.answer = answer
    assert store.read(REFERENCES[0]) == b"tide"


def test_a_back_end_that_is_away_is_no_missing_file(server: Web, store: RemoteStore) -> None:
    """The error is worth another try."""
    server.answer = lambda asked: problem(503, "backend/unreachable", "the back end does not answer")
    with pytest.raises(BackendError):
        store.path(REFERENCES[0])


def test_a_file_that_is_sent_gets_the_reference_of_the_back_end(server: Web, tmp_path: Path) -> None:
    """It has the receipt for a submission, and the facts that were known here."""
    server.answer = lambda asked: document(REFERENCES[0] | {"receipt": "signed"})
    sent = RemoteStore(tmp_path, Calls(server.url, "token")).save(b"tide", "text/plain", rows=1)
    assert sent == REFERENCES[0] | {"rows": 1, "receipt": "signed"}
    assert server.asked[0].body == b"tide"


def test_small_pictures_that_cannot_be_had_are_left_out(server: Web, store: RemoteStore) -> None:
    """A card without its picture is better than no card."""
    here, gone = next(iter(FILES)), f"{'0' * 64}.png"
    store.bring([here, gone])
    assert store.small(here).read_bytes() == b"tide"
    assert not store.small(gone).exists()
    assert {asked.path.partition("?")[2] for asked in server.asked} == {"size=512"}
