"""`centralcloud settings`: the settings of the whole fleet, in the database."""

import difflib
from typing import Annotated, Any, Final

import typer

from centralcloud.cli.arguments import Reason
from centralcloud.cli.context import open_database, read_settings, this_operator
from centralcloud.contracts import SettingsError
from centralcloud.fleet_settings import FleetSettingsSource
from centralcloud.runtime.commands.arguments import utf8
from centralcloud.runtime.terminal.output import AsJson, print_json, print_line, print_rows, print_text
from centralcloud.settings import FLEET_SETTINGS, FleetSetting, Settings
from centralcloud.store.fleet_settings import list_settings
from centralcloud.store.operator_actions import newest_setting_changes

app = typer.Typer(
    help="Show and change the settings of the whole fleet.\n\nWithout a command: `show`.",
    invoke_without_command=True,
)

#: When a changed setting takes effect, by its group.
_EFFECTIVE: Final = {
    "retention": "its next round of maintenance",
    "finding": "its next search for findings",
    "words": "its next batch",
    "names": "its next batch with a new name",
    "": "its next run of the learner",
}
_UNSET: Final = ("none", "null", "")


@app.callback()
def settings_group(context: typer.Context, json_output: AsJson = False) -> None:
    """Show and change the settings of the whole fleet."""
    if context.invoked_subcommand is None:
        show(json_output=json_output)


@app.command()
def show(json_output: AsJson = False) -> None:
    """Show every fleet setting.

    With its value, its default, when it was changed and by whom. The column `environment` shows values that this command's
    environment sets differently: the database's value is used.
    """
    settings = read_settings()
    source = FleetSettingsSource(settings)
    with open_database(settings, "settings") as database, database.transaction() as connection:
        stored = {row.name: row for row in list_settings(connection)}
        changes = newest_setting_changes(connection)
        problem = _problem(lambda: source.read(connection))
    environment, explicit = settings.fleet.flatten(), settings.explicit_fleet_settings
    rows = []
    for name, setting in FLEET_SETTINGS.items():
        value = stored[name].value if name in stored else environment[name]
        rows.append(
            {
                "name": name,
                "value": value,
                "default": setting.default,
                "stored": name in stored,
                "changed_at": stored[name].updated_at if name in stored else None,
                "changed_by": changes.get(name) if name in stored else None,
                "variable": setting.variable,
                "environment": explicit.get(name) if name in explicit and explicit[name] != value else None,
            }
        )
    unknown = sorted(stored.keys() - FLEET_SETTINGS.keys())
    if json_output:
        print_json({"settings": rows, "unknown": unknown, "problem": problem})
    else:
        texts = ("changed_by", "environment")
        print_rows([_worded(row) for row in rows], dict.fromkeys(_COLUMNS), empty="", texts=texts)
        if not all(row["stored"] for row in rows):
            print_text("a value without a time is not stored yet: the first daemon stores that of its environment")
        for name in unknown:
            print_text(f"{name} is ignored: this version does not know it")
        if problem:
            print_line(problem, err=True)
    if problem:
        raise typer.Exit(1)


_COLUMNS: Final = ("name", "value", "default", "changed_at", "changed_by", "environment")


@app.command("set")
def set_command(
    name: Annotated[str, typer.Argument(help="A name that `show` lists.")],
    value: Annotated[str, typer.Argument(help="The new value; none removes a value that is optional.")],
    reason: Reason = None,
    json_output: AsJson = False,
) -> None:
    """Change a fleet setting. Every replica uses the new value from its next run on, without a restart."""
    from centralcloud.administration.fleet_settings import change_setting

    setting = _find(name)
    utf8(value, "VALUE")
    operator = this_operator(reason)
    settings = read_settings()
    source = FleetSettingsSource(settings)
    wanted = None if setting.may_be_unset and value.lower() in _UNSET else value
    with open_database(settings, "settings") as database:
        change = change_setting(database, name, wanted, operator, check=source.check)
    effective = _EFFECTIVE.get(setting.group, _EFFECTIVE[""])
    if json_output:
        print_json({**change._asdict(), "effective": effective})
    elif change.changed:
        before = _text(change.before) if change.was_stored else "not stored"
        print_text(f"{name}: {before} -> {_text(change.after)}; every replica uses it from {effective} on")
    else:
        print_text(f"{name} is {_text(change.after)} already")


def _find(name: str) -> FleetSetting:
    if name in FLEET_SETTINGS:
        return FLEET_SETTINGS[name]
    by_variable = {setting.variable: fleet_name for fleet_name, setting in FLEET_SETTINGS.items()}
    variable = name.upper() if name.upper().startswith("CENTRALCLOUD_") else f"CENTRALCLOUD_{name.upper()}"
    variable = variable.replace(".", "_")
    if variable in by_variable:
        raise SettingsError(f"NAME: found {name!r}, expected {by_variable[variable]!r}")
    field = variable.removeprefix("CENTRALCLOUD_").lower()
    if field in Settings.model_fields and field not in {setting.group for setting in FLEET_SETTINGS.values()}:
        raise SettingsError(
            f"{field} is not a fleet setting: each process has its own, by the environment variable {variable}"
        )
    alike = difflib.get_close_matches(name.lower(), FLEET_SETTINGS, n=1)
    meant = f"; is {alike[0]} meant?" if alike else ""
    raise SettingsError(f"NAME: found {name!r}, expected a name that `centralcloud settings show` lists{meant}")


def _problem(read: Any) -> str | None:
    try:
        read()
    except SettingsError as error:
        return str(error)
    return None


def _worded(row: dict[str, Any]) -> dict[str, Any]:
    environment = row["environment"]
    return {
        **row,
        "value": _text(row["value"]),
        "default": _text(row["default"]),
        "environment": None if environment is None else f"{row['variable']}={_text(environment)}, not used",
    }


def _text(value: Any) -> str:
    return "none" if value is None else str(value)
