"""Secrets in texts: by their form, and by the names of the variables that hold them."""

from __future__ import annotations

import os
from urllib.parse import quote, quote_plus

import pytest

from xtyl_engine.values.masking import HIDDEN, Mask, Masks, hide, names_secret


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("postgresql://me:hunter2@db/x is away", f"postgresql://me:{HIDDEN}@db/x is away"),
        ("redis://:hunter2@cache:6379", f"redis://:{HIDDEN}@cache:6379"),
        ("Authorization: Bearer abc.def-1", f"Authorization: {HIDDEN}"),
        ("api_key=abc123, model=m", f"api_key={HIDDEN}, model=m"),
        ('{"password": "hunter2"}', f'{{"password": "{HIDDEN}"}}'),
        ("refused sk-proj-abcdefgh1234", f"refused {HIDDEN}"),
        ("refused xtyl_4fQ9-abcDEF0123456789", f"refused {HIDDEN}"),
        ("{'Authorization': 'Bearer xtyl_4fQ9abcDEF01234'}", f"{{'Authorization': '{HIDDEN}'}}"),
        ("headers: [(b'authorization', b'Bearer abc.def-1')]", f"headers: [(b'authorization', b'Bearer {HIDDEN}')]"),
        ("authorization: Basic bWU6aHVudGVyMg==", f"authorization: {HIDDEN}"),
        ("GET /stream?token=abc123&since=4", f"GET /stream?token={HIDDEN}&since=4"),
        ("https://0123abcd@errors.example/7", f"https://{HIDDEN}@errors.example/7"),
        ("postgresql://me:p@ss@db/x is away", f"postgresql://me:{HIDDEN}@db/x is away"),
        ("XTYL_DATABASE_URL is not set", "XTYL_DATABASE_URL is not set"),
        ("xtyl_job_queue_seconds counts", "xtyl_job_queue_seconds counts"),
        ("12 tokens, cost 0.5", "12 tokens, cost 0.5"),
        ("a skirt-like thing at https://x.org/a:b@c", "a skirt-like thing at https://x.org/a:b@c"),
    ],
)
def test_secrets_are_hidden_by_their_form(said: str, heard: str) -> None:
    """Passwords in URLs, keys and tokens are not written, other words are."""
    assert hide(said) == heard


@pytest.mark.parametrize(("name", "is_secret"), [("authorization", True), ("api_key", True), ("model", False)])
def test_a_name_says_that_its_value_is_secret(name: str, is_secret: bool) -> None:
    """Whatever stands under such a name is secret."""
    assert names_secret(name) is is_secret


VARIABLES = {
    "STRIPE_KEY": "hunter2-hunter2",
    "SHOP_SECRET": "open sesame, please",
    "DB_PASSWORD": "correct horse battery",
    "MY_PWD": "swordfish-9",
    "SIGNING_PRIVATE_PEM": "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----",
    "TOKENIZERS_PARALLELISM": "false",
    "KEYBOARD": "qwertz-layout",
    "HOME": "/home/ana-lives-here",
}


def test_values_of_secret_variables_are_hidden() -> None:
    """A value is hidden wherever it stands, a key of several lines line by line; short values and other variables are not."""
    mask = Mask(VARIABLES)
    for value in ("hunter2-hunter2", "open sesame, please", "correct horse battery", "swordfish-9", "kqhkiG9w0BAQEF"):
        assert mask.hide(f"before {value} after") == f"before {HIDDEN} after"
    assert mask.hide(VARIABLES["SIGNING_PRIVATE_PEM"]) == HIDDEN
    for value in ("false", "qwertz-layout", "/home/ana-lives-here"):
        assert mask.hide(value) == value
    assert mask.hide("api_key=abc") == f"api_key={HIDDEN}"


def test_a_value_is_hidden_as_urls_and_python_write_it() -> None:
    """Encoded for a URL, and in quotes with its special characters escaped."""
    value = "two words/+'='\n\\"
    mask = Mask({"A_KEY": value})
    written = (quote(value), quote(value, safe=""), quote_plus(value), str([value]), repr(f'"{value}"'))
    for each in written:
        assert "words" not in mask.hide(f"before {each} after")


def test_the_beginning_of_a_secret_is_not_shown_before_its_end() -> None:
    """A text that is still being written may end inside of a value."""
    mask = Mask(VARIABLES)
    assert mask.without_beginning("the key is hunter2-hun") == "the key is "
    assert mask.without_beginning("the key is known") == "the key is known"
    assert Mask().without_beginning("hunter2-hun") == "hunter2-hun"


def test_a_mask_is_made_once_and_anew_when_this_process_has_other_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """All jobs of a kernel share its mask; a secret that is set in this process is hidden from then on."""
    masks, lent = Masks(), {"OPENAI_API_KEY": "lent-by-a-kernel"}
    assert masks.of(lent) is masks.of(lent)
    first = masks.of(os.environ)
    assert masks.of(os.environ) is first
    monkeypatch.setenv("OPENAI_API_KEY", "set-a-moment-later")
    assert masks.of(os.environ).hide("with set-a-moment-later") == f"with {HIDDEN}"


@pytest.mark.parametrize("cut", ["Invalid port: 'Kx7-passes'", "no host 'Kx7-passes'"])
@pytest.mark.parametrize("sign", ["#", "/", "?"])
def test_a_piece_of_a_password_that_is_not_written_for_urls_is_hidden(sign: str, cut: str) -> None:
    """A library that cuts such a password in two quotes one of its pieces."""
    mask = Mask({"HTTPS_PROXY": f"http://me:Kx7-passes{sign}x@proxy:3128"})
    assert mask.hide(cut) == cut.replace("Kx7-passes", "[hidden]")
