"""Commands that open the back end to others over HTTP: serve the API, make and remove its tokens. `main` adds them to the `xtyl`
command.
"""

from __future__ import annotations

import time

import click

from xtyl_engine.api.tokens import MAX_DAYS, Role, Token, TokenFile
from xtyl_nb.cli.maintenance import settings_of_home
from xtyl_nb.cli.screen import say


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(1, 65_535), default=8000, show_default=True)
def api(host: str, port: int) -> None:
    """Serve the HTTP API of this back end, until it is stopped."""
    from xtyl_engine.settings import SettingsError, load_settings

    try:
        from xtyl_engine.api.serve import serve
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"the HTTP API needs {error.name}, which is not installed here",
            hint="Run `pip install 'xtyl-nb[server]'`.",
        ) from error
    say(f"xtyl api: http://{f'[{host}]' if ':' in host else host}:{port}")
    serve(load_settings(), host, port)


@click.group()
def token() -> None:
    """Make, list and remove the tokens of the HTTP API."""


@token.command()
@click.argument("name")
@click.option(
    "--role", type=click.Choice([str(role) for role in Role]), required=True, help="The role: what the token may do."
)
@click.option(
    "--project", required=True, help="The project whose executions and templates it sees; '*' for all projects."
)
@click.option(
    "--days", type=click.IntRange(1, MAX_DAYS), default=None, help="The time until it expires; never by default."
)
def create(name: str, role: str, project: str, days: int | None) -> None:
    """Make a token and show it, once only."""
    say(_tokens().create(name, Role(role), None if project == "*" else project, days=days))


@token.command(name="list")
def list_tokens() -> None:
    """List the tokens; their secrets are not stored."""
    found = _tokens().tokens()
    say("\n".join(map(_described, found)) if found else "No tokens yet.")


@token.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove a token; it is refused at once, and its open streams end within seconds."""
    _tokens().remove(name)
    say(f"The token {name!r} is gone.")


def _tokens() -> TokenFile:
    from xtyl_engine.settings import prepare_home

    settings = settings_of_home()
    prepare_home(settings)
    return TokenFile(settings.tokens_file)


def _described(token: Token) -> str:
    ends = "never" if token.expires is None else time.strftime("%Y-%m-%d", time.gmtime(token.expires))
    word = "ended" if token.is_expired else "ends"
    return f"{token.name:<24} {token.role:<7} {token.project or '*':<24} {word} {ends}"


DOORS = (api, token)
