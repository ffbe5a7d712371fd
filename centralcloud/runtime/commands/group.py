"""Commands that are imported on first use, and a help that shows them in groups.

The help of a program is one table, so that `--help` need not import every command with all that it stands on. A test
compares each line of the table with the docstring of its command.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from itertools import chain
from typing import Any, ClassVar, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

#: Longer than any first sentence: the help wraps a line that is too long, and never cuts it.
_WHOLE_SENTENCE: Final = 1000


class Command(NamedTuple):
    """One command of a program.

    Attributes:
        name: as it is typed.
        help: the first sentence of its docstring.
        module: has either a function of that name, or a Typer application with commands of its own: `app`, or that of the
            name in `apps`.
    """

    name: str
    help: str
    module: str


class CommandGroup(TyperGroup):
    """A group of commands whose help shows the whole first sentence of each."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, under one heading for each section."""
        sections = {title: list(rows) for title, rows in self._sections(ctx).items()}
        width = max(len(name) for name, _ in chain(*sections.values()))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), line) for name, line in rows])

    def _sections(self, ctx: Any) -> Mapping[str, list[tuple[str, str]]]:
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        return {
            "Commands": [
                (name, command.get_short_help_str(_WHOLE_SENTENCE))
                for name, command in commands.items()
                if command and not command.hidden
            ]
        }


class ProgramGroup(CommandGroup):
    """The commands of a program: the table `sections`, whose commands are imported on first use.

    Attributes:
        elsewhere: commands of another program that are looked for here, with the command to use.
    """

    sections: ClassVar[Mapping[str, tuple[Command, ...]]] = {}
    elsewhere: ClassVar[Mapping[str, str]] = {}

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        table = {command.name: command for command in chain(*self.sections.values())}
        self.commands = LazyCommands(table)  # type: ignore[assignment]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command of the arguments; a usage error that names the other program for one of `elsewhere`."""
        if args and args[0] in self.elsewhere:
            ctx.fail(f"No such command {args[0]!r}: use `{self.elsewhere[args[0]]}`.")
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return the names, without importing the commands."""
        return list(self.commands)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Return completions from the table, without importing the commands."""
        commands = {
            command.name: TyperCommand(command.name, help=command.help) for command in chain(*self.sections.values())
        }
        plain = TyperGroup(name=self.name, commands=commands, params=self.params)  # type: ignore[arg-type]
        return plain.shell_complete(ctx, incomplete)

    def _sections(self, ctx: Any) -> Mapping[str, list[tuple[str, str]]]:  # noqa: ARG002
        return {
            title: [(command.name, command.help) for command in commands] for title, commands in self.sections.items()
        }


class LazyCommands(Mapping[str, Any]):
    """The commands of a table by name, each imported when it is looked up."""

    def __init__(self, table: Mapping[str, Command]) -> None:
        self._table = table
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = load_command(self._table[name])
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)


def load_command(command: Command) -> Any:
    """Import a command, as an object of Typer's click."""
    module = import_module(command.module)
    parent = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    parent.callback()(lambda: None)  # makes it a group, also with a single command
    apps = getattr(module, "apps", {})
    if (app := apps.get(command.name, getattr(module, "app", None))) is not None:
        parent.add_typer(app, name=command.name, cls=CommandGroup)
    else:
        parent.command(command.name)(getattr(module, command.name.replace("-", "_")))
    group: Any = typer.main.get_command(parent)
    return group.commands[command.name]
