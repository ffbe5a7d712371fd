"""Commands print through the functions of runtime/terminal/output.py only, which escape the texts of others."""

import ast
from pathlib import Path

from support.repository import REPOSITORY

#: Modules that print by themselves, because they have escaped the text or emphasize it.
_PRINT_THEMSELVES = {
    "centralcloud/runtime/commands/cli.py": "prints its version, escapes errors",
    "centralcloud/runtime/commands/completion.py": "prints a script",
    "centralcloud/runtime/process/environment_file.py": "runs as root, on the standard library alone",
}
_MODULES = sorted(
    str(path.relative_to(REPOSITORY))
    for folder in ("centralcloud", "instance_agent")
    for path in (REPOSITORY / folder).rglob("*.py")
    if "runtime/terminal/" not in str(path)
)


def _prints(path: Path) -> list[int]:
    """Return the lines that call `print`, `typer.echo`, `typer.secho` or `write` of a standard stream."""
    lines = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in ("print", "typer.echo", "typer.secho", "sys.stdout.write", "sys.stderr.write"):
                lines.append(node.lineno)
    return lines


def test_no_other_module_prints_by_itself() -> None:
    printing = {module for module in _MODULES if _prints(REPOSITORY / module)}
    assert printing == set(_PRINT_THEMSELVES)
