"""Completion of a program's commands and options in the user's shell."""

import os
from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import completion_init, get_completion_script  # type: ignore[attr-defined]


class Shell(StrEnum):
    """Shells for which there is a script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    context: typer.Context, shell: Annotated[Shell, typer.Argument(help="The shell that is to run the script.")]
) -> None:
    """Print the script that completes commands and options in a shell.

    For this terminal: eval "$(PROGRAM completion bash)". To keep it, add that line to ~/.bashrc (for zsh to ~/.zshrc, with
    zsh for bash); for fish, write the script to ~/.config/fish/completions/PROGRAM.fish.
    """
    program = context.find_root().info_name or ""
    names = {"prog_name": program, "complete_var": _variable(program), "shell": shell.value}
    typer.echo(get_completion_script(**names))


def prepare_completion(program: str) -> None:
    """Register Typer's completions when the script of a shell asks for them; costs nothing otherwise."""
    if _variable(program) in os.environ:
        completion_init()


def _variable(program: str) -> str:
    return f"_{program.replace('-', '_').upper()}_COMPLETE"
