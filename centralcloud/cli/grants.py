"""`centralcloud grants`: roles with no more rights than they need."""

import unicodedata
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from centralcloud.cli.arguments import Reason
from centralcloud.cli.context import open_database, read_settings, this_operator
from centralcloud.contracts import SettingsError
from centralcloud.runtime.commands.arguments import utf8
from centralcloud.runtime.terminal.output import AsJson, print_document, print_json, print_line
from centralcloud.runtime.terminal.prompts import ask_password

if TYPE_CHECKING:
    from centralcloud.administration.grants import Applied, Login, Roles
    from centralcloud.store.operator_actions import Operator

_LONGEST_ROLE_NAME: Final = 63
_LONGEST_INSTANCE_ID: Final = 200
#: Words that GRANT does not accept as names of roles, even in quotes.
_RESERVED_NAMES: Final = ("public", "none")


class _PasswordFile(NamedTuple):
    """The file with the password of a role, and the option that names it; "-" is the terminal, or standard input."""

    option: str
    role: str
    file: Path | None


def grants(
    worker_role: Annotated[str, typer.Option(help="Role of `centralcloud run` and of operators' commands.")] = (
        "centralcloud_worker"
    ),
    instance_role: Annotated[str, typer.Option(help="Role of instances.")] = "centralcloud_instance",
    dashboard_role: Annotated[str, typer.Option(help="Role that reads what dashboards show.")] = (
        "centralcloud_dashboard"
    ),
    gateway_role: Annotated[str, typer.Option(help="Role of gateways.")] = "centralcloud_gateway",
    configurator_role: Annotated[
        str, typer.Option(help="Role that changes the configuration: models, endpoints, keys.")
    ] = "centralcloud_configurator",
    operator_role: Annotated[str, typer.Option(help="Role of the actions on the dashboard.")] = "centralcloud_operator",
    worker_password_file: Annotated[
        Path | None, typer.Option(help="With --apply, file with the password of the worker's role; - asks for it.")
    ] = None,
    dashboard_password_file: Annotated[Path | None, typer.Option(help="The same for the dashboards' role.")] = None,
    gateway_password_file: Annotated[Path | None, typer.Option(help="The same for the gateways' role.")] = None,
    configurator_password_file: Annotated[
        Path | None, typer.Option(help="The same for the role that changes the configuration.")
    ] = None,
    operator_password_file: Annotated[
        Path | None, typer.Option(help="The same for the role of the actions on the dashboard.")
    ] = None,
    instance: Annotated[str | None, typer.Option(help="Instead, a login for this instance id alone.")] = None,
    login: Annotated[str | None, typer.Option(help="Name of that login; without it, derived from the id.")] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="File with the password of that login; - asks for it.")
    ] = None,
    revoke: Annotated[bool, typer.Option("--revoke", help="Revoke the login of that instance.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Run the SQL, instead of printing it.")] = False,
    reason: Reason = None,
    json_output: AsJson = False,
) -> None:
    """Show the SQL for least-privilege roles, or run it.

    A role for workers, one for instances, one for dashboards, one for gateways, one that changes the configuration, one for
    the actions of operators on the dashboard. With --instance, a login that may act for one instance and for no other. Safe
    to repeat, and necessary after `centralcloud migrate`. --apply needs the owner of the schema, as a role that may create
    roles, or a superuser; printing needs no database. Passwords come from a file or from the terminal, and reach the server
    encrypted. --revoke of a login that does not exist ends with exit code 1.
    """
    from centralcloud.administration.grants import (
        Login,
        Roles,
        login_name,
        login_script,
        revoke_login_script,
        roles_script,
    )

    names = {
        "--worker-role": worker_role,
        "--instance-role": instance_role,
        "--dashboard-role": dashboard_role,
        "--gateway-role": gateway_role,
        "--configurator-role": configurator_role,
        "--operator-role": operator_role,
    }
    password_files = [
        _PasswordFile("--worker-password-file", worker_role, worker_password_file),
        _PasswordFile("--dashboard-password-file", dashboard_role, dashboard_password_file),
        _PasswordFile("--gateway-password-file", gateway_role, gateway_password_file),
        _PasswordFile("--configurator-password-file", configurator_role, configurator_password_file),
        _PasswordFile("--operator-password-file", operator_role, operator_password_file),
    ]
    for option, name in names.items():
        _check_role(name, option)
    for each in [*password_files, _PasswordFile("--password-file", "", password_file)]:
        if each.file is not None and not apply:
            raise SettingsError(f"--apply is required with {each.option}: no password is printed")
    for each in password_files:
        if each.file is not None and instance is not None:
            raise SettingsError(f"{each.option}: found --instance too, expected --password-file for its login")
    if instance is None:
        for option, given in {"--login": login, "--password-file": password_file, "--revoke": revoke}.items():
            if given:
                raise SettingsError(f"--instance is required with {option}")
        if len(set(names.values())) < len(names):
            raise SettingsError(f"{', '.join(names)}: found the same name twice, expected different roles")
        roles = Roles(
            worker=worker_role,
            instance=instance_role,
            dashboard=dashboard_role,
            gateway=gateway_role,
            configurator=configurator_role,
            operator=operator_role,
        )
        if apply:
            _apply_roles(roles, this_operator(reason), _passwords(password_files), json_output=json_output)
        else:
            _print(roles_script(roles), json_output=json_output)
        return
    _check_instance(instance)
    if password_file is not None and revoke:
        raise SettingsError("--password-file: found --revoke, expected a login to create")
    _check_role(login := login or login_name(instance_role, instance), "--login")
    one = Login(login, instance, instance_role)
    if not apply:
        _print(revoke_login_script(one) if revoke else login_script(one), json_output=json_output)
    elif revoke:
        _apply_revocation(one, this_operator(reason), json_output=json_output)
    else:
        password = _passwords([_PasswordFile("--password-file", one.name, password_file)]).get(one.name)
        _apply_login(one, this_operator(reason), password, json_output=json_output)


def _apply_roles(roles: "Roles", operator: "Operator", passwords: dict[str, str], *, json_output: bool) -> None:
    from centralcloud.administration.grants import apply_roles

    with open_database(read_settings(), "grants") as database:
        done = apply_roles(database, roles, operator, passwords)
    if json_output:
        print_json({"roles": asdict(roles), **done._asdict()})
        return
    print_line(
        f"workers: {roles.worker}, instances: {roles.instance}, dashboards: {roles.dashboard}, gateways: {roles.gateway}, "
        f"configuration: {roles.configurator}, operators: {roles.operator}"
    )
    _report(done, [name for name in done.created if name not in passwords])


def _apply_login(login: "Login", operator: "Operator", password: str | None, *, json_output: bool) -> None:
    from centralcloud.administration.grants import apply_login

    with open_database(read_settings(), "grants") as database:
        done = apply_login(database, login, operator, password)
    if json_output:
        print_json({"instance_id": login.instance_id, "login": login.name, **done._asdict()})
        return
    print_line(f"{login.instance_id} logs in as {login.name}, which speaks for no instance that it is not listed for")
    _report(done, [name for name in done.created if password is None or name != login.name])


def _apply_revocation(login: "Login", operator: "Operator", *, json_output: bool) -> None:
    from centralcloud.administration.grants import GrantsError, apply_revocation

    with open_database(read_settings(), "grants") as database:
        done = apply_revocation(database, login, operator)
    if json_output:
        print_json({"instance_id": login.instance_id, "login": login.name, **done._asdict()})
    if not done.existed:
        raise GrantsError(f"{login.instance_id} has no login {login.name}: nothing was revoked")
    if json_output:
        return
    fate = "stays, without rights for this instance" if done.remains else "was dropped"
    print_line(f"{login.instance_id} no longer has the login {login.name}: the role {fate}")


def _report(done: "Applied", without_password: list[str]) -> None:
    from centralcloud.administration.grants import password_statement

    for warning in done.warnings:
        print_line(f"warning: {warning}", err=True)
    if without_password:
        print_line("new roles without a password; where the server asks for one, complete and run:")
        for name in without_password:
            print_line(password_statement(name))


def _print(script: str, *, json_output: bool) -> None:
    script = f"BEGIN;\n{script.rstrip()}\nCOMMIT;"
    if json_output:
        print_json({"sql": script})
    else:
        print_document(script)


def _check_role(name: str, option: str) -> None:
    _check_text(name, option)
    if not 1 <= len(name.encode()) <= _LONGEST_ROLE_NAME:
        raise SettingsError(f"{option}: found {len(name.encode())} bytes, expected 1 to {_LONGEST_ROLE_NAME}")
    if name in _RESERVED_NAMES or name.startswith("pg_"):
        raise SettingsError(f"{option}: found {name!r}, which PostgreSQL reserves, expected another name")


def _check_instance(instance: str) -> None:
    _check_text(instance, "--instance")
    if not 1 <= len(instance) <= _LONGEST_INSTANCE_ID:
        raise SettingsError(f"--instance: found {len(instance)} characters, expected 1 to {_LONGEST_INSTANCE_ID}")


def _check_text(text: str, option: str) -> None:
    """Refuse text that would end the line of a comment in the printed SQL."""
    utf8(text, option)
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise SettingsError(f"{option}: found a control character in {text!r}, expected text on one line")


def _passwords(files: Sequence[_PasswordFile]) -> dict[str, str]:
    """Read the passwords that are given, by role."""
    return {each.role: _read_password(each, each.file) for each in files if each.file is not None}


def _read_password(source: _PasswordFile, file: Path) -> str:
    try:
        if str(file) == "-":
            what, otherwise = f"{source.option}: ", "nothing was granted"
            password, where = ask_password(source.role, what, otherwise), "standard input"
        else:
            password, where = file.read_text("utf-8"), str(file)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", "not UTF-8")
        raise SettingsError(f"{source.option}: cannot read {file}: {why}") from None
    password = password.removesuffix("\n").removesuffix("\r")
    if not password or "\n" in password or "\0" in password:
        raise SettingsError(f"{source.option}: expected a password on one line in {where}")
    return password
