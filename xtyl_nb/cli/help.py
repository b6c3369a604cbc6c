"""The help of the command: its commands by what people do with them, with an example of each, and the closest name for one that
does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping

import click

from xtyl_engine.errors import closest_name

# By what people do: the commands, each with an example.
SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Begin": {
        "demo": "xtyl demo --rows 2",
        "lab": "xtyl lab --no-browser",
    },
    "Look": {
        "runs": "xtyl runs --state failed --name autumn",
        "show": "xtyl show latest --follow",
        "status": "xtyl status --json",
        "doctor": "xtyl doctor",
    },
    "Decide": {
        "pause": "xtyl pause latest",
        "resume": "xtyl resume summer-launch",
        "stop": "xtyl stop latest",
        "retry": "xtyl retry latest",
    },
    "Keep running": {
        "up": "xtyl up",
        "down": "xtyl down",
        "worker": "xtyl worker --slots 4",
        "api": "xtyl api --port 8000",
        "token": "xtyl token create ana --role read --project press",
    },
    "Operate": {
        "migrate": "xtyl migrate",
        "prune": "xtyl prune --older-than 30d --dry-run",
        "backup": "xtyl backup ~/backups --every 1d",
        "restore": "xtyl restore ~/backups",
    },
}
LEAD = {"Look": "show", "Decide": "pause", "Begin": "demo", "Keep running": "worker", "Operate": "prune"}
ENDING = """A run is named by its id, by the beginning of its id, or by `latest`.

Exit codes: 0 done; 1 an error, or what was looked at is not well; 2 a command that is not written so; 130 Ctrl-C."""


class Help(click.Group):
    """A group of commands whose help is in sections, and which names the closest command for one that it does not have."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command, with its example at the end of its help."""
        super().add_command(cmd, name)
        for examples in SECTIONS.values():
            if (example := examples.get(name or cmd.name or "")) is not None:
                cmd.epilog = f"Example: {example}"

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by what people do, and an example for each section."""
        longest = max(len(name) for name in self.commands)
        for title, examples in SECTIONS.items():
            with formatter.section(title):
                room = formatter.width - 6 - longest
                rows = [(name.ljust(longest), self.commands[name].get_short_help_str(room)) for name in examples]
                formatter.write_dl(rows)
                formatter.write_text(f"Example: {examples[LEAD[title]]}")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the words name. Raises UsageError with the closest name."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            ctx.fail(f"There is no command {args[0]!r}. {closest_name(args[0], self.commands)}")
        return super().resolve_command(ctx, args)
