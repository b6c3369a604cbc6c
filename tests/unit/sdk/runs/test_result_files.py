"""A result becomes files that open by themselves: texts, tables, values, and each picture beside the value that holds it."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from xtyl_engine.nodes.registry import node_type
from xtyl_engine.values.artifacts import ArtifactError, ArtifactStore, is_artifact, references
from xtyl_engine.values.plain import plain
from xtyl_nb.runs.result_files import delivered, files_of

RED = Image.new("RGB", (2, 2), "red")


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path)


def saved(store: ArtifactStore, **assets: Any) -> dict[str, bytes]:
    """What these assets become, by the names of the files."""
    files = files_of(plain(assets, store), "kit", store)
    found = {file.name: file.read(store) for file in files}
    assert len(found) == len(files)
    return found


def test_texts_numbers_and_values(store: ArtifactStore) -> None:
    """Texts and numbers are .txt, dicts and lists .json that people can read, and what is missing is no file."""
    found = saved(
        store, title="grün\n", n=1, price=19.9, yes=True, none=None, facts={"a": "ü"}, tags=[], big="x" * 400_000
    )
    assert found.pop("kit-big.txt") == b"x" * 400_000
    assert found == {
        "kit-title.txt": "grün\n".encode(),
        "kit-n.txt": b"1",
        "kit-price.txt": b"19.9",
        "kit-yes.txt": b"true",
        "kit-facts.json": '{\n  "a": "ü"\n}\n'.encode(),
        "kit-tags.json": b"[]\n",
    }


def test_pictures_in_lists_and_dicts_are_files_beside(store: ArtifactStore) -> None:
    """A list of pictures is its pictures; a dict that holds more is a .json that names them."""
    found = saved(store, shots=[RED, None, RED], spec={"name": "x", "views": {"front view": RED, "none": None}})
    assert sorted(found) == ["kit-shots-0.png", "kit-shots-2.png", "kit-spec-views-front-view.png", "kit-spec.json"]
    assert json.loads(found["kit-spec.json"]) == {
        "name": "x",
        "views": {"front view": "kit-spec-views-front-view.png", "none": None},
    }
    assert all(Image.open(io.BytesIO(data)).size == (2, 2) for name, data in found.items() if name.endswith("png"))


def test_a_table_is_a_csv_that_names_its_pictures(store: ArtifactStore) -> None:
    """A table is read again by pandas, with a file for each picture in it."""
    table = pd.DataFrame({"label": ["a,b", 'c"d'], "n": [1.5, np.nan], "shot": [RED, None], "tags": [["x"], []]})
    found = saved(store, sheet=table, empty=pd.DataFrame({"a": []}))
    assert sorted(found) == ["kit-empty.csv", "kit-sheet-0-shot.png", "kit-sheet.csv"]
    assert found["kit-empty.csv"] == b"a\n"
    again = list(csv.DictReader(io.StringIO(found["kit-sheet.csv"].decode())))
    assert again == [
        {"label": "a,b", "n": "1.5", "shot": "kit-sheet-0-shot.png", "tags": '["x"]'},
        {"label": 'c"d', "n": "", "shot": "", "tags": "[]"},
    ]


@pytest.mark.parametrize(
    ("data", "media_type", "suffix"),
    [
        (b"%PDF-1.7", None, ".pdf"),
        (b"GIF89a...", None, ".gif"),
        (b"\0\0\0\x18ftypmp42", None, ".mp4"),
        (b"RIFF\0\0\0\0WAVE", "application/octet-stream", ".wav"),
        (b"\xff\xd8\xff\xe0", "image/png", ".jpg"),
        (b"<svg/>", "image/svg+xml", ".svg"),
        (b"a;b", "Text/CSV; charset=utf-8", ".csv"),
        (b"\1\2", None, ".bin"),
        (b"\1\2", "../../evil", ".bin"),
        (b"", "", ".bin"),
    ],
)
def test_a_file_has_the_suffix_of_what_it_is(store: ArtifactStore, data: bytes, media_type: Any, suffix: str) -> None:
    """The first bytes tell, then the media type; no media type makes a path."""
    (file,) = files_of({"file": store.save(data, media_type)}, "kit", store)
    assert (file.name, file.read(store)) == (f"kit-file{suffix}", data)


def test_a_missing_file_is_named_when_it_is_read(store: ArtifactStore) -> None:
    """A stored file that is gone has a name all the same, and an error says which it is."""
    kept = store.save(b"%PDF-1.7", "application/pdf")
    store.path(kept).unlink()
    (file,) = files_of({"file": kept}, "kit", store)
    assert file.name == "kit-file.pdf"
    with pytest.raises(ArtifactError, match="cannot be read: No such file"):
        file.read(store)


@pytest.mark.parametrize(
    ("kind", "output", "expected"),
    [
        ("attach", {"a": 1, "b": None}, {"a": 1, "b": None}),
        ("generate_copy", {"text": "t", "provider": "p", "cost": 0.1}, {None: "t"}),
        ("generate_image", {"image": {"$artifact": "0"}, "width": 5}, {None: {"$artifact": "0"}}),
        ("call", {"value": None}, {None: None}),
        ("call", {"value": {"text": "t", "score": 1}}, {None: {"text": "t", "score": 1}}),
        ("call", {"items": [{"text": "t", "score": 1}]}, {None: [{"text": "t", "score": 1}]}),
        ("review", {"choice": [0], "by": "ana", "of": "line", "line": {"text": "t"}}, {None: "t"}),
        ("review", {"choice": [0, 1], "of": "line", "items": [{"line": {"text": "t"}}]}, {None: ["t"]}),
    ],
)
def test_what_stands_for_a_step_is_saved(kind: str, output: dict[str, Any], expected: dict[str | None, Any]) -> None:
    """Of a kit each asset, of another step what it made, and not its width, its provider and its price."""
    assert delivered(node_type(kind), output) == expected


KEYS = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4),
    st.sampled_from(["a", "A", "a-b", "0", "$", "标题", "标图", "", ".", ".."]),
)
LEAVES = st.sampled_from(["text", 1, None, True, 0.5, b"\1\2", b"%PDF-1"])
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)


@given(assets=st.dictionaries(KEYS, VALUES, max_size=4))
@settings(max_examples=60)
def test_no_file_is_lost(tmp_path_factory: pytest.TempPathFactory, assets: dict[str, Any]) -> None:
    """Whatever is nested in what, each file has a name of its own that differs from others by more than case."""
    store = ArtifactStore(tmp_path_factory.getbasetemp() / "nested")
    kept = plain(assets, store)
    files = files_of(kept, "kit", store)
    assert len({file.name.casefold() for file in files}) == len(files)
    assert sum(is_artifact(file.content) for file in files) == len(list(references(kept)))
    texts = b"".join(file.read(store) for file in files if not is_artifact(file.content))
    assert b"$artifact" not in texts
