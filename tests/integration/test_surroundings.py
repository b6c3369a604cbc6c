"""Functions find the surroundings of their kernel again: its interpreter and libraries, folder, import path and variables,
whichever process started the back end.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import xtyl_nb as xt
from backend import QUICK
from served import serve
from servers import embedded_home, presence
from workbench import direct_backend
from xtyl_engine.embedded.client import ensure
from xtyl_engine.queries.job_inputs import read_surroundings
from xtyl_engine.settings import Settings

HEAD = """
import json, os, sys
import xtyl_nb as xt

def told(run):
    frame = run.wait(60).frame()
    print(json.dumps([frame["made"].tolist(), list(frame["error"].dropna()), run.id]), flush=True)
"""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A back end that another program has started elsewhere, and where a kernel of this test runs."""

    settings: Settings
    folder: Path
    python: str = sys.executable

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def kernel(self, code: str, folder: str = ".", *, script: str | None = None, **variables: str) -> list[Any]:
        """What a kernel says that runs this code in a folder, as the text of a script if one is named."""
        (self.folder / folder).mkdir(parents=True, exist_ok=True)
        given = [str(self.write(script, HEAD + code))] if script else ["-c", HEAD + code]
        done = subprocess.run(
            [self.python, *given],
            cwd=self.folder / folder,
            env=self.settings.child_environ() | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def made(self, code: str, folder: str = ".", *, script: str | None = None, **variables: str) -> Any:
        """The one value of the one run that a kernel makes."""
        ((made, errors, _),) = self.kernel(code, folder, script=script, **variables)
        assert errors == []
        return made[0]


@pytest.fixture(scope="module")
def back_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Started by a program with another version of a library, another folder and other variables than the kernels here."""
    folder = tmp_path_factory.mktemp("surroundings")
    (folder / "theirs").mkdir()
    (folder / "theirs" / "library.py").write_text("VERSION = 'of the back end'")
    with embedded_home(folder, **QUICK) as settings, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder / "theirs"))
        patch.setenv("MY_KEY", "of the back end")
        ensure(settings)
        yield settings


@pytest.fixture
def place(back_end: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name, value in back_end.to_environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.delenv("MY_KEY", raising=False)
    (tmp_path / "project").mkdir()
    return Place(settings=back_end, folder=tmp_path / "project")


def other_environment(folder: Path, modules: Mapping[str, str]) -> str:
    """The interpreter of a virtual environment that has what this one has, and these modules before it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(folder)], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    for name, text in modules.items():
        (site / f"{name}.py").write_text(text)
    (site / "shared.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    return str(folder / "bin" / "python")


def test_a_kernel_of_another_environment_has_its_own_libraries(place: Place, tmp_path: Path) -> None:
    """Its functions run in its interpreter, with a module that only it has, and with its version of one that both have."""
    modules = {"only_here": "VALUE = 'only here'", "library": "VERSION = 'of the kernel'"}
    theirs = Place(
        settings=place.settings,
        folder=place.folder,
        python=other_environment(tmp_path / "venv", modules),
    )
    code = """
import library, only_here
def values(word):
    return {"prefix": sys.prefix, "library": library.VERSION, "only": only_here.VALUE, "word": word}
told(xt.Workflow("theirs").call("made", values, word="{{ word }}").run(word="lamp"))
"""
    found = json.loads(theirs.made(code))
    assert found == {
        "prefix": str(tmp_path / "venv"),
        "library": "of the kernel",
        "only": "only here",
        "word": "lamp",
    }
    assert presence(place.settings.home).python == sys.executable


def test_an_environment_that_is_gone_is_named(place: Place, tmp_path: Path) -> None:
    """A run that a person decides after its kernel's environment was removed: its functions fail with words, and a retry goes on
    once the environment is there again."""
    theirs = Place(
        settings=place.settings, folder=place.folder, python=other_environment(tmp_path / "venv", {"only_here": ""})
    )
    code = """
flow = xt.Workflow("later").generate_copy("line", prompt="For {{ word }}").review("pick", of="line")
flow = flow.call("made", lambda line: line.upper(), line="{{ pick.line.text }}").attach("kit", title="{{ pick.line.text }}")
print(json.dumps(flow.run(word="lamp").id))
"""
    (id,) = theirs.kernel(code)
    shutil.rmtree(tmp_path / "venv")
    xt.connect()
    run = xt.attach(id).approve("pick", choose=[0]).wait(60)
    frame = run.frame()
    error = frame["error"][0]
    assert f"the Python of the notebook that started this run is gone: {tmp_path}/venv/bin/python" in error
    assert "Make its environment again" in error
    other_environment(tmp_path / "venv", {"only_here": ""})
    assert run.retry().wait(60).state == "completed"
    xt.connect()


def test_an_environment_with_another_release_is_named(place: Place, tmp_path: Path) -> None:
    """Where the package of the kernel's environment does not understand the worker's, the error says so, and what to install."""
    other = "import xtyl_engine.runners.protocol as spoken\nspoken.PROTOCOL = 99"
    python = other_environment(tmp_path / "venv", {"sitecustomize": other})
    theirs = Place(settings=place.settings, folder=place.folder, python=python)
    code = """
told(xt.Workflow("other").call("made", lambda word: word, word="{{ word }}").run(word="lamp"))
"""
    ((_, (error,), _),) = theirs.kernel(code)
    assert f"{python} has another release of this package than the worker" in error
    assert "pip install" in error


def test_a_module_on_a_path_that_a_cell_appended_is_found(place: Place) -> None:
    """Imported at the top, within the function, or lazily by what it imports; with its own data beside it."""
    place.write("src/prices.py", "import rates\ndef price(n):\n    return n * rates.FACTOR")
    place.write("src/rates.py", "FACTOR = 3")
    place.write("src/deep/__init__.py", "")
    place.write(
        "src/deep/inner.py", "from importlib import resources\nTEXT = (resources.files('deep') / 'a.txt').read_text()"
    )
    place.write("src/deep/a.txt", "beside it")
    code = """
sys.path.append("../src")
import prices
def values(n):
    from deep.inner import TEXT
    import rates
    return [prices.price(n), rates.FACTOR, TEXT]
told(xt.Workflow("path").call("made", values, n=7).run(word="x"))
"""
    assert place.made(code, "notebooks") == [21, 3, "beside it"]


def test_a_script_finds_the_modules_beside_it_from_any_folder(place: Place) -> None:
    """`python project/scripts/run.py` from elsewhere: what stands beside the script is found, and relative paths mean the folder
    that it was started in."""
    place.write("scripts/beside.py", "def double(n):\n    return 2 * n")
    place.write("elsewhere/data.txt", "of the folder")
    code = """
import beside
def values(n):
    import beside as again
    return [beside.double(n), again.double(n), open("data.txt").read()]
if __name__ == "__main__":
    told(xt.Workflow("script").call("made", values, n=4).run(word="x"))
"""
    assert place.made(code, "elsewhere", script="scripts/run.py") == [8, 8, "of the folder"]


def test_relative_paths_mean_the_notebook_s_folder(place: Place) -> None:
    """A file beside the notebook is read by its name, and what is written stands beside the notebook, not in the back end's
    home; a change of folder is that of one call."""
    place.write("notebooks/prices.csv", "3,4")
    code = """
def written(word):
    with open("out.csv", "w") as file:
        file.write(word)
    os.chdir("/")
    return word
def read(word):
    return [open("prices.csv").read(), os.getcwd()]
flow = xt.Workflow("folder").call("written", written, word="lamp").call("made", read, word="{{ written }}")
told(flow.run(word="x"))
"""
    assert place.made(code, "notebooks") == ["3,4", str(place.folder / "notebooks")]
    assert (place.folder / "notebooks" / "out.csv").read_text() == "lamp"
    assert not (place.settings.home / "out.csv").exists()


EDITED = """
import importlib
import edited
flow = xt.Workflow("edited").call("made", lambda: edited.value(), cache=False).call("named", edited.value, after=[])
def run():
    told(flow.run())
"""


def edited(place: Place, value: int) -> str:
    """Write a package that is installed to be edited, where the back end and the kernels find it; the path to it."""
    folder = place.settings.home.parent / "theirs"
    (folder / "edited.py").write_text(f"def value():\n    return {value}  # {'now' * value}")
    return str(folder)


def test_an_edited_module_is_the_new_one_after_a_reload(place: Place) -> None:
    """What the kernel has loaded is what runs: the old one before `importlib.reload`, the new one after it."""
    path = edited(place, 6)
    code = """
run()
with open(edited.__file__, "w") as file:
    file.write("def value():\\n    return 9  # now")
importlib.reload(edited)
run()
"""
    assert [made for made, *_ in place.kernel(EDITED + code, "notebooks", PYTHONPATH=path)] == [[6], [9]]


def test_an_edited_module_is_the_new_one_after_a_restart(place: Place) -> None:
    """The kernel that was restarted says 9, and so does its run, in a function of the notebook and in one of the package."""
    code = (
        EDITED
        + """
run()
print(json.dumps(flow.run().wait(60).frame()["named"].tolist()))
"""
    )
    found = [place.kernel(code, "notebooks", PYTHONPATH=edited(place, value)) for value in (6, 9)]
    assert [(made[0], named) for (made, _, _), named in found] == [(6, [6]), (9, [9])]


def test_variables_are_those_of_the_cell(place: Place) -> None:
    """Set in the shell or in a cell, changed between two runs, and removed; those that ours set are the worker's."""
    code = """
def value():
    return [os.environ.get("MY_KEY"), os.environ["XTYL_HOME"] == home, os.environ["HOME"], os.environ.get("XTYL_URL")]
home = os.environ["XTYL_HOME"]
flow = xt.Workflow("variables").call("made", value)
told(flow.run(word="x"))
os.environ["MY_KEY"] = "of a cell"
told(flow.run(word="x"))
del os.environ["MY_KEY"]
told(flow.run(word="x"))
"""
    found = place.kernel(code, MY_KEY="of the shell", HOME="/home/of/kernel")
    assert [made[0][0] for made, _, _ in found] == ["of the shell", "of a cell", None]
    assert {tuple(made[0][1:]) for made, _, _ in found} == {(True, "/home/of/kernel", None)}


def test_a_retry_brings_the_variables_of_its_kernel(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that missed its key finds it, in the same run and at once; a look by another kernel takes nothing away."""
    code = """
def value():
    return os.environ["MY_KEY"]
told(xt.Workflow("retried").call("made", value).run(word="x"))
"""
    ((_, errors, id),) = place.kernel(code)
    assert "KeyError" in errors[0]
    xt.connect()
    monkeypatch.setenv("MY_KEY", "found")
    run = xt.attach(id).retry().wait(60)
    assert list(run.frame()["made"]) == ["found"]
    xt.connect()


def test_a_run_over_http_has_no_kernel(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its functions run in an empty folder with the worker's variables, and nothing of the program that sent it is stored."""
    monkeypatch.setenv("MY_KEY", "of the sender")
    with serve(place.settings) as served:
        xt.connect(served.url, token=served.token)
        run = xt.Workflow("far").call("made", lambda: [os.environ["MY_KEY"], os.listdir()]).run().wait(60)
        made = run.frame()["made"][0]
        xt.connect()
    assert made == ["of the back end", []]
    with direct_backend().database.read() as transaction:
        assert read_surroundings(transaction, run.id) is None
    xt.connect()
