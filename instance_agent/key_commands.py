"""`instance-agent keys`: the keys of the gateway's programming interface."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import psycopg
import typer
from msgspec.structs import asdict

from centralcloud.contracts import CentralCloudError, ContractError, SettingsError
from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import ROLES, ApiKey, RateLimit, Role
from centralcloud.contracts.limits import MAX_RATE_REQUESTS, MAX_RATE_WINDOW_MS, MIN_RATE_WINDOW_MS
from centralcloud.runtime.commands.arguments import parse_age
from centralcloud.runtime.configuration.keys import (
    CreatedKey,
    create_key,
    remove_keys,
    revoke_key,
    rotate_key,
    state_of,
)
from centralcloud.runtime.configuration.writing import read_whole
from centralcloud.runtime.settings import load_settings
from centralcloud.runtime.terminal.output import AsJson, print_json, print_line, print_rows
from instance_agent.configuration_session import Why, open_configuration
from instance_agent.configuration_session import author as author_of
from instance_agent.key_file import KeyFile
from instance_agent.settings import KeySettings

_ONCE: Final = "the key is shown this once: store it now"
_KEY_ID: Final = "Id of the key: cck_ and 12 hexadecimal digits, as `keys list` shows it."

Output = Annotated[
    Path | None,
    typer.Option(help="Write the key to this new file, which only its owner can read, and do not print it."),
]

app = typer.Typer(
    help="Create, show, rotate, revoke and remove the keys of the gateway.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def create(
    role: Annotated[str, typer.Option(help="admin, operator, user or viewer.")],
    label: Annotated[str, typer.Option(help="Text for people: whose key it is, or for what.")],
    workspace: Annotated[str | None, typer.Option(help="The workspace that requests with the key belong to.")] = None,
    expires_in: Annotated[
        str | None, typer.Option(help="How long it is valid: 90d, 12h; without it, until it is revoked.")
    ] = None,
    rate_limit: Annotated[
        str | None,
        typer.Option(
            help="Most requests in a window, over all gateways together: 1000/15m; none: no limit. Without it, as "
            "RATE_LIMIT_MAX and RATE_LIMIT_WINDOW_MS say."
        ),
    ] = None,
    token_limit: Annotated[
        int | None, typer.Option(min=1, max=10**12, help="Most tokens of prompts and answers in the same window.")
    ] = None,
    if_none: Annotated[
        bool, typer.Option("--if-none", help="Create none where a valid key has this role; safe to repeat.")
    ] = False,
    output: Output = None,
    reason: Why = None,
    json_output: AsJson = False,
) -> None:
    """Create a key, and show it once: the database has only its hash.

    Needs a login with the rights of centralcloud_configurator. With --if-none and --output it suits a job that is repeated:
    a run that was interrupted is continued with the same key.
    """
    if role not in ROLES:
        raise SettingsError(f"--role is {role!r}: expected one of {', '.join(ROLES)}")
    valid_for = None if expires_in is None else _positive_age(expires_in, "--expires-in")
    limit = _rate_limit(rate_limit, token_limit)
    author = author_of(reason)
    with open_configuration("keys") as database, _output(output, may_exist=if_none) as file, _by_option():
        known = workspace is None or workspace in read_whole(database).configuration.workspaces
        created = create_key(
            database,
            author,
            role=_role(role),
            label=label,
            workspace=workspace,
            valid_for=valid_for,
            rate_limit=limit,
            text=None if file is None else file.text,
            only_if_none=if_none,
        )
        _finish(file, created)
    if not known:
        print_line(
            f"warning: the workspace {quote(workspace or '')} has no configuration: nothing limits its models and its spend "
            "(`instance-agent workspaces set FILE`)",
            err=True,
        )
    if created.text is None:
        found = f"a valid key with the role {role} exists: {created.key.id} ({created.key.label}); none was created"
        if json_output:
            print_json({**_as_json(created.key), "created": False, "key": None})
        else:
            print_line(found)
        return
    _show(created, output, json_output=json_output)


@app.command("list")
def list_keys(json_output: AsJson = False) -> None:
    """Show every key with its state, without the key itself."""
    with open_configuration("keys") as database:
        keys = read_whole(database).configuration.keys
    rows = [_as_json(key) for key in sorted(keys.values(), key=lambda key: (key.created_at, key.id))]
    if json_output:
        print_json(rows)
        return
    shown = ("id", "state", "role", "label", "workspace", "created_at", "expires_at", "replaced_by")
    columns: dict[str, Callable[[Any], Any] | None] = {**dict.fromkeys(shown), "rate_limit": _limit_text}
    print_rows(rows, columns, empty="no keys: `instance-agent keys create` makes one", texts=("label",))


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help=_KEY_ID)],
    reason: Why = None,
    json_output: AsJson = False,
) -> None:
    """Revoke a key: every gateway refuses it within seconds."""
    author = author_of(reason)
    with open_configuration("keys") as database:
        key = revoke_key(database, author, key_id)
        left = [each for each in read_whole(database).configuration.keys.values() if each.is_valid(datetime.now(UTC))]
    if json_output:
        print_json({**_as_json(key), "state": "revoked"})
        return
    print_line(f"revoked {key.id} ({key.role}, {key.label})")
    if key.role == "admin" and not any(each.role == "admin" for each in left):
        print_line("warning: no valid key has the role admin now", err=True)


@app.command()
def remove(
    key_ids: Annotated[list[str], typer.Argument(help=_KEY_ID, metavar="KEY_ID...")],
    reason: Why = None,
    json_output: AsJson = False,
) -> None:
    """Remove keys that are revoked or expired; the history of the configuration keeps them.

    The configuration has room for 20,000 entries. The last key stays: without any, a gateway needs none.
    """
    author = author_of(reason)
    with open_configuration("keys") as database:
        removed = remove_keys(database, author, key_ids)
    if json_output:
        print_json([_as_json(key) for key in removed])
        return
    for key in removed:
        print_line(f"removed {key.id} ({key.role}, {key.label})")


@app.command()
def rotate(
    key_id: Annotated[str, typer.Argument(help=_KEY_ID)],
    overlap: Annotated[str, typer.Option(help="How long the old key stays valid, too: 7d, 12h, 0s.")] = "7d",
    output: Output = None,
    reason: Why = None,
    json_output: AsJson = False,
) -> None:
    """Create a key in the place of another one; both are valid for some time, so that no request fails."""
    age = parse_age(overlap, "--overlap")
    author = author_of(reason)
    with open_configuration("keys") as database, _output(output, may_exist=False) as file:
        created = rotate_key(database, author, key_id, overlap=age, text=None if file is None else file.text)
        _finish(file, created)
    _show(created, output, json_output=json_output)
    if not json_output:
        print_line(f"the key before stays valid for {overlap}: revoke it when its clients have the new one", err=True)


def _show(created: CreatedKey, output: Path | None, *, json_output: bool) -> None:
    if json_output:
        shown = created.text if output is None else None
        print_json(
            {**_as_json(created.key), "created": True, "key": shown, "file": None if output is None else str(output)}
        )
    elif output is not None:
        print_line(f"wrote the key {created.key.id} ({created.key.role}, {created.key.label}) to {output}")
    else:
        print_line(_ONCE, err=True)
        print_line(created.text or "")


def _as_json(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "state": state_of(key, datetime.now(UTC)),
        "role": key.role,
        "label": key.label,
        "workspace": key.workspace,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "replaced_by": key.replaced_by,
        "rate_limit": None if key.rate_limit is None else asdict(key.rate_limit),
    }


@contextmanager
def _output(path: Path | None, *, may_exist: bool) -> Iterator[KeyFile | None]:
    """Open the file of a key. It stays for the next run where it is not known whether the database has committed."""
    if path is None:
        yield None
        return
    file = KeyFile(path, may_exist=may_exist)
    try:
        yield file
    except psycopg.Error:
        raise
    except CentralCloudError:
        file.discard()
        raise


@contextmanager
def _by_option() -> Iterator[None]:
    """Name the option in the error of a field that it sets."""
    try:
        yield
    except ContractError as error:
        name = error.field.rpartition(".")[2]
        if name not in ("label", "workspace"):
            raise
        raise SettingsError(str(error).replace(error.field, f"--{name}", 1)) from None


def _finish(file: KeyFile | None, created: CreatedKey) -> None:
    if file is None:
        return
    if created.text is not None:
        file.keep()
        return
    file.discard()
    if file.path.exists():
        raise CentralCloudError(
            f"--output: {file.path} has a key that is not registered, while {created.key.id} is valid: remove the file, or "
            "revoke that key"
        )


def _rate_limit(text: str | None, tokens: int | None) -> RateLimit | None:
    """Return the rate limit of a new key: 1000/15m, none, or that of the settings."""
    if text is None:
        settings = load_settings(KeySettings)
        requests, window_ms = settings.rate_limit_max, settings.rate_limit_window_ms
    elif text == "none":
        requests, window_ms = 0, 0
    else:
        number, slash, window = text.partition("/")
        if not slash or not re.fullmatch(r"[0-9]{1,10}", number) or not 1 <= int(number) <= MAX_RATE_REQUESTS:
            raise SettingsError(
                f"--rate-limit: found {text!r}, expected requests and a window such as 1000/15m, or none"
            )
        requests = int(number)
        window_ms = int(_positive_age(window, "--rate-limit").total_seconds() * 1000)
        if not MIN_RATE_WINDOW_MS <= window_ms <= MAX_RATE_WINDOW_MS:
            raise SettingsError(f"--rate-limit: found a window of {window}, expected 1s to 31d")
    if requests:
        return RateLimit(requests=requests, window_ms=window_ms, tokens=tokens)
    if tokens is not None:
        raise SettingsError("--token-limit: found no limit of requests beside it, expected --rate-limit with a window")
    return None


def _limit_text(limit: dict[str, int]) -> str:
    """Return a rate limit as `--rate-limit` takes it: 1000/15m."""
    seconds = limit["window_ms"] / 1000
    units = ((86_400, "d"), (3600, "h"), (60, "m"))
    window = next((f"{seconds // length:g}{unit}" for length, unit in units if seconds % length == 0), f"{seconds:g}s")
    tokens = "" if limit["tokens"] is None else f", {limit['tokens']} tokens"
    return f"{limit['requests']}/{window}{tokens}"


def _positive_age(text: str, option: str) -> timedelta:
    age = parse_age(text, option)
    if not age:
        raise SettingsError(f"{option}: found {text!r}, expected more than 0")
    return age


def _role(text: str) -> Role:
    return next(role for role in ROLES if role == text)
