"""`xtyl lab`: the notebooks in a folder of the user's, in a real JupyterLab that answers only loopback, and only with
its token.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from repository import NOTEBOOKS
from servers import wait_until
from xtyl_nb.cli.lab import FIRST, copy_notebooks
from xtyl_nb.cli.main import main

XTYL = Path(sys.executable).parent / "xtyl"
# Root is asked to confirm that it means it.
OPTIONS = ["--no-browser", "--port=0", "--allow-root"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A running `xtyl lab`, its output, the address in it, and the keyboard of its terminal."""

    process: subprocess.Popen[bytes]
    output: Path
    keyboard: int

    def said(self, words: str) -> re.Match[str]:
        """Wait until it has printed this."""
        wait_until(lambda: re.search(words, self.output.read_text(), re.M) or self.process.poll() is not None)
        found = re.search(words, self.output.read_text(), re.M)
        assert found, self.output.read_text()
        return found

    @property
    def address(self) -> httpx.URL:
        return httpx.URL(self.said(r"^ +(http://\S+)$")[1])


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A `xtyl lab`, started in a folder with a file that is called as a library of JupyterLab's is."""
    folders = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    environment = os.environ | folders | {"IPYTHONDIR": str(tmp_path / "ipython")}
    (tmp_path / "tornado.py").write_text("raise SystemExit('this is not the library')")
    keyboard, terminal = os.openpty()
    with open(tmp_path / "output", "wb") as output:
        process = subprocess.Popen(
            [XTYL, "lab", *OPTIONS],
            env=environment,
            cwd=tmp_path,
            stdin=terminal,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield Lab(process=process, output=tmp_path / "output", keyboard=keyboard)
    finally:
        process.kill()
        process.wait()
        os.close(keyboard)
        os.close(terminal)


def test_the_first_notebook_is_served_to_its_user_alone(lab: Lab, tmp_path: Path) -> None:
    """The printed address opens it; without the token nothing is revealed, and no other machine reaches it."""
    address = lab.address
    assert address.host == "127.0.0.1"
    assert address.path == f"/lab/tree/{FIRST}"
    files = f"http://127.0.0.1:{address.port}/api/contents"
    assert httpx.get(files).status_code == 403
    headers = {"Authorization": f"token {address.params['token']}"}
    served = httpx.get(f"{files}/{FIRST}", headers=headers, timeout=30).json()["content"]["cells"]
    assert served[0]["source"].startswith("# A first workflow")
    assert sorted(path.name for path in (tmp_path / "xtyl-notebooks").iterdir()) == sorted(
        path.name for path in NOTEBOOKS.glob("*.ipynb")
    )
    sockets = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    assert re.findall(rf"^\s*\d+: (\w+):{address.port:04X} \w+:0000 0A", sockets, re.M) == ["0100007F"]


@pytest.mark.parametrize("way", ["answered", "pressed again", "told to end"])
def test_it_ends_when_it_is_told_to(lab: Lab, way: str) -> None:
    """Ctrl-C asks first, as JupyterLab does: `y` or another Ctrl-C ends it. So does a signal to end."""
    address = lab.address
    if way != "told to end":
        os.killpg(lab.process.pid, signal.SIGINT)
        lab.said("Shut down this Jupyter server")
    if way == "answered":
        os.write(lab.keyboard, b"y\n")
    else:
        os.killpg(lab.process.pid, signal.SIGTERM if way == "told to end" else signal.SIGINT)
    assert lab.process.wait(60) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)


def test_what_the_user_wrote_stays(tmp_path: Path) -> None:
    """A notebook that exists in the folder is left as it is; a missing one comes back."""
    copy_notebooks(tmp_path)
    (tmp_path / FIRST).write_text("mine")
    lost = tmp_path / "03_branches_and_items.ipynb"
    lost.unlink()
    copy_notebooks(tmp_path)
    assert (tmp_path / FIRST).read_text() == "mine"
    assert lost.read_bytes() == (NOTEBOOKS / lost.name).read_bytes()


def test_links_lead_somewhere_from_the_copy(tmp_path: Path) -> None:
    """They lead to a notebook beside it or to the project's pages, because there is no documentation folder."""
    copy_notebooks(tmp_path)
    for path in tmp_path.iterdir():
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        for link in re.findall(r"\]\(([^)#]+)\)", text):
            page = link.removeprefix("https://github.com/xtyl/xtyl-nb/blob/main/")
            assert (tmp_path / link).is_file() or (page != link and (NOTEBOOKS.parent / page).is_file()), link


def test_a_missing_jupyterlab_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install, before anything is copied."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "jupyterlab", None)
    done = CliRunner().invoke(main, ["lab"])
    assert done.exit_code == 1
    assert "needs JupyterLab, which is not installed" in done.output
    assert f'{sys.executable} -m pip install "xtyl-nb[lab]"' in done.output
    assert list(tmp_path.iterdir()) == []


def test_the_help_names_the_options_of_jupyterlab() -> None:
    """They have a name of their own beside the options of the command."""
    shown = CliRunner().invoke(main, ["lab", "--help"]).output
    assert "Usage: xtyl lab [OPTIONS] [JUPYTER_OPTIONS]..." in shown.replace("main lab", "xtyl lab")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The error has its path, the reason and a remedy."""
    (tmp_path / "file").write_text("")
    done = CliRunner().invoke(main, ["lab", "--folder", str(tmp_path / "file" / "notebooks")])
    assert done.exit_code == 1
    assert f"cannot be copied to {tmp_path}/file/notebooks: Not a directory" in done.output
    assert "--folder" in done.output
