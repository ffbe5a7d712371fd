"""`centralcloud dashboard-users`: the users who log in to the dashboard with a password."""

from pathlib import Path
from typing import Annotated

import typer

from centralcloud.contracts import CentralCloudError, SettingsError
from centralcloud.contracts.errors import quote
from centralcloud.dashboard.security.viewer import NAME_EXPECTED, ROLES, Role, is_user_name
from centralcloud.runtime.terminal.output import AsJson, print_json, print_rows, print_text
from centralcloud.runtime.terminal.prompts import ask_password
from centralcloud.runtime.terminal.results import result_matters

app = typer.Typer(
    help="Show, add and remove users of the dashboard.\n\nWithout a command: `list`.",
    invoke_without_command=True,
)

_VARIABLE = "CENTRALCLOUD_DASHBOARD_USERS_FILE"
UsersFile = Annotated[
    Path | None, typer.Option("--file", help=f"The file of users; without it that of {_VARIABLE}.", show_default=False)
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user.")]


@app.callback()
def users_group(context: typer.Context, json_output: AsJson = False) -> None:
    """Show, add and remove users of the dashboard."""
    if context.invoked_subcommand is None:
        list_command(json_output=json_output)


@app.command("list")
def list_command(file: UsersFile = None, json_output: AsJson = False) -> None:
    """List the users, with the role of each."""
    from centralcloud.dashboard.security.users_file import read_users

    rows = [{"name": user.name, "role": user.role} for user in read_users(_path(file)).values()]
    if json_output:
        print_json(rows)
        return
    print_rows(rows, dict.fromkeys(("name", "role")), empty="the file has no users")


@app.command()
def add(
    name: Name,
    file: UsersFile = None,
    role: Annotated[
        str, typer.Option(help=f"{' or '.join(ROLES)}: a viewer reads, an operator also acts.", show_default=True)
    ] = "viewer",
    replace: Annotated[
        bool, typer.Option("--replace", help="Change the password and the role of a user that exists.")
    ] = False,
    json_output: AsJson = False,
) -> None:
    """Add a user. Asks for the password twice on a terminal, and reads one line from a pipe.

    A running dashboard knows the user at once.
    """
    from centralcloud.dashboard.security.passwords import hash_password
    from centralcloud.dashboard.security.users_file import User, editing

    path, known = _path(file), _role(role)
    if not is_user_name(name):
        raise SettingsError(f"NAME: found {quote(name)}, expected {NAME_EXPECTED}")
    with editing(path) as users:
        _check_existence(path, name, exists=name in users.users, replace=replace)
    hashed = hash_password(_new_password(name))  # while no other process waits for the file
    with editing(path) as users:
        exists = name in users.users
        _check_existence(path, name, exists=exists, replace=replace)
        result_matters()
        users.put(User(name, known, hashed))
    if json_output:
        print_json({"name": name, "role": known, "replaced": exists})
        return
    print_text(f"{'replaced' if exists else 'added'} {name} with the role {known}")


@app.command()
def remove(name: Name, file: UsersFile = None, json_output: AsJson = False) -> None:
    """Remove a user. Its sessions in a running dashboard end at once."""
    from centralcloud.dashboard.security.users_file import editing

    path = _path(file)
    with editing(path) as users:
        if name not in users.users:
            raise CentralCloudError(f"{path} has no user {quote(name)}: `centralcloud dashboard-users list` shows them")
        result_matters()
        users.remove(name)
    if json_output:
        print_json({"name": name, "removed": True})
        return
    print_text(f"removed {name}")


def _path(file: Path | None) -> Path:
    from centralcloud.dashboard.settings import DashboardSettings
    from centralcloud.runtime.settings import load_settings

    path = load_settings(DashboardSettings, users_file=file).users_file
    if path is None:
        raise SettingsError(f"found no file of users: set {_VARIABLE}, or --file")
    return path


def _role(text: str) -> Role:
    for role in ROLES:
        if role == text:
            return role
    raise SettingsError(f"--role: found {quote(text)}, expected {' or '.join(ROLES)}")


def _check_existence(path: Path, name: str, *, exists: bool, replace: bool) -> None:
    if exists and not replace:
        raise SettingsError(f"{path} has a user {name}: expected a new name, or --replace for a new password and role")
    if replace and not exists:
        raise SettingsError(f"--replace: {path} has no user {name}, expected one that exists")


def _new_password(name: str) -> str:
    from centralcloud.dashboard.security.passwords import LONGEST, SHORTEST

    password = ask_password(name, "", "no user was added").removesuffix("\n").removesuffix("\r")
    if not SHORTEST <= len(password) <= LONGEST:
        raise SettingsError(
            f"found a password of {len(password)} characters, expected {SHORTEST} to {LONGEST}, on one line"
        )
    return password
