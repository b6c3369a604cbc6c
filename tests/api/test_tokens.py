"""Tokens: shown once, stored as hashes in a private file, and refused once they are removed or expired."""

from __future__ import annotations

import stat
import threading
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import Desk
from xtyl_engine.api.tokens import Role, TokenFile, TokenRefused
from xtyl_engine.errors import BackendError
from xtyl_nb.cli.main import main


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "home" / "tokens")


def test_a_token_is_found_by_its_secret_alone(tokens: TokenFile, tmp_path: Path) -> None:
    """A token is found by its secret; the file is private and holds no secret."""
    secret = tokens.create("ana", Role.REVIEW, "press")
    found = tokens.find(secret)
    assert found is not None
    assert (found.name, found.role, found.project, found.expires) == ("ana", Role.REVIEW, "press", None)
    assert secret.startswith("xtyl_")
    assert len(secret) > 45
    assert tokens.find(secret[:-1]) is None
    path = tmp_path / "home" / "tokens"
    assert secret not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert found.digest not in repr(found)


def test_a_token_is_32_random_bytes(tokens: TokenFile) -> None:
    """Each is another one, of 32 bytes."""
    parts = [tokens.create(f"t{n}", Role.READ, None).removeprefix("xtyl_") for n in range(20)]
    assert {len(urlsafe_b64decode(part + "==")) for part in parts} == {32}
    assert len({letters for part in parts for letters in [part[:8], part[-8:]]}) == 40


def test_a_removed_token_is_refused(tokens: TokenFile) -> None:
    """It is invalid at once, even in a process that knew it before and for a caller that holds the found token."""
    secret = tokens.create("ana", Role.READ, None)
    reader = TokenFile(tokens._path)
    found = reader.find(secret)
    assert found is not None
    assert reader.is_valid(found)
    tokens.remove("ana")
    assert reader.find(secret) is None
    assert not reader.is_valid(found)


def test_a_token_runs_out(tokens: TokenFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its days it is invalid, and is still listed."""
    secret = tokens.create("ana", Role.READ, None, days=2)
    found = tokens.find(secret)
    assert found is not None
    created = found.created
    monkeypatch.setattr("xtyl_engine.api.tokens.time.time", lambda: created + 2 * 86_400)
    assert tokens.find(secret) is None
    assert not tokens.is_valid(found)
    assert [each.is_expired for each in tokens.tokens()] == [True]


def test_roles_include_the_smaller_ones() -> None:
    """Read, review and write each allow what the role before allows."""
    assert [role.includes(Role.REVIEW) for role in Role] == [False, True, True]


@pytest.mark.parametrize(
    ("name", "project"), [("", None), ("a b", None), ("-x", None), ("x" * 65, None), ("x", "a/b"), ("x\0", None)]
)
def test_names_that_cannot_be(tokens: TokenFile, name: str, project: str | None) -> None:
    """A name that a log line or a URL cannot hold is refused."""
    with pytest.raises(TokenRefused):
        tokens.create(name, Role.READ, project)


def test_a_name_is_taken_once(tokens: TokenFile) -> None:
    """Two tokens cannot have one name, and a missing one cannot be removed."""
    tokens.create("ana", Role.READ, None)
    with pytest.raises(TokenRefused, match="already"):
        tokens.create("ana", Role.WRITE, None)
    with pytest.raises(TokenRefused, match=r"no token 'bob'\n  Name one of these: ana\."):
        tokens.remove("bob")
    tokens.remove("ana")
    with pytest.raises(TokenRefused, match=r"no token 'ana'\n  There are no tokens to remove\."):
        tokens.remove("ana")


def test_tokens_made_at_once_are_all_kept(tokens: TokenFile) -> None:
    """Processes that change the file at once wait for each other."""
    threads = [threading.Thread(target=tokens.create, args=(f"t{number}", Role.READ, None)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(tokens.tokens()) == 8


@pytest.mark.parametrize("text", ["", "[]", '{"tokens": [{"name": "x"}]}', '{"tokens": 5}'])
def test_a_file_changed_by_hand_is_named(tokens: TokenFile, text: str) -> None:
    """A damaged file of tokens is an error with a remedy, and lets no caller in."""
    tokens.create("ana", Role.READ, None)
    tokens._path.write_text(text)
    with pytest.raises(BackendError, match="cannot be read"):
        tokens.find("xtyl_x")


def test_the_commands() -> None:
    """`xtyl token` makes a token and shows it, lists it without its secret, and removes it."""
    runner = CliRunner()
    made = runner.invoke(main, ["token", "create", "ana", "--role", "write", "--project", "*", "--days", "9"])
    assert made.output.startswith("xtyl_")
    listed = runner.invoke(main, ["token", "list"]).output
    assert listed.split()[:3] == ["ana", "write", "*"]
    assert made.output.strip() not in listed
    assert runner.invoke(main, ["token", "create", "ana", "--role", "write", "--project", "*"]).exit_code == 1
    assert runner.invoke(main, ["token", "remove", "ana"]).exit_code == 0
    assert runner.invoke(main, ["token", "list"]).output == "No tokens yet.\n"


def test_a_removed_token_stops_at_the_api(lite: Desk) -> None:
    """The next request with it is 401."""
    assert lite.ask("GET", "/api/me", "press-read").status_code == 200
    TokenFile(lite.settings.tokens_file).remove("press-read")
    assert lite.ask("GET", "/api/me", "press-read").status_code == 401
    lite.settings.tokens_file.write_text("nonsense")
    assert lite.ask("GET", "/api/me", "press-write").status_code == 503


def test_no_answer_and_no_log_holds_a_token(lite: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """A token, valid or not, is never repeated, wherever it is sent."""
    secret = lite.secrets["press-write"]
    answers = [
        lite.ask("GET", "/api/me"),
        lite.ask("GET", "/nowhere", headers={"Authorization": f"Basic {secret}"}),
        lite.ask("POST", "/api/workflows/executions", content=b"{"),
    ]
    assert not [each for each in answers if secret in each.text + str(each.headers)]
    assert secret not in caplog.text
