"""Settings from environment variables. A wrong value is one line: the variable, the value, and what is allowed."""

import difflib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from centralcloud.contracts import SettingsError
from centralcloud.runtime.extras import require_extra
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.url import EMBEDDED_PREFIX, UnusableUrlError, check_url
from centralcloud.runtime.validation import expectation

log = get_logger(__name__)

HOW_TO_NAME_A_DATABASE = (
    "set it to your PostgreSQL (postgresql://user@host/database), or to embedded: for a server in .centralcloud/"
)
_HOW_TO_WRITE_IT = f"{HOW_TO_NAME_A_DATABASE}; in a password, @ and / and % are written %40 and %2F and %25"

#: Variables that Kubernetes sets for a service of the same name as the program, without the prefix.
_OF_KUBERNETES: Final = re.compile(r"(SERVICE_HOST|(SERVICE_)?PORT)(_|$)")


def _check_database_url(value: SecretStr) -> SecretStr:
    return SecretStr(check_url(value.get_secret_value()))


DatabaseUrl = Annotated[SecretStr, AfterValidator(_check_database_url)]


def _lowered(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class DatabaseSettings(BaseSettings):
    """Settings that every program has, each under its own prefix: its database and its logs."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True)

    database_url: DatabaseUrl | None = None
    database_url_file: Path | None = None
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lowered)] = "info"
    log_format: Annotated[Literal["auto", "json", "console"], BeforeValidator(_lowered)] = "auto"

    @property
    def program(self) -> str:
        """The name of the program: the prefix of its variables, in the spelling of its command."""
        return self.model_config["env_prefix"].strip("_").lower().replace("_", "-")

    @property
    def database(self) -> str:
        """The database URL as plain text.

        Raises:
            SettingsError: no URL is set, the file that holds it cannot be used, or it is ``embedded:`` without that extra.
        """
        url = read_database_url(self.database_url, self.database_url_file)
        if url is None:
            raise SettingsError(f"DATABASE_URL is not set: {HOW_TO_NAME_A_DATABASE}")
        return url

    def require_database(self) -> None:
        """Check that `database` can be used. For a program that logs, before its first event.

        Raises:
            SettingsError: as `database`.
        """
        _ = self.database


class ProgramSettings(DatabaseSettings):
    """Settings that both programs have, each under its own prefix."""

    http_address: str = "127.0.0.1"
    http_port: int = Field(default=0, ge=0, le=65_535)
    wait_for_login: bool = False


def read_database_url(url: SecretStr | None, file: Path | None, variable: str = "DATABASE_URL") -> str | None:
    """Return the URL as plain text: the one that is set, else the one in the file; None: neither is set.

    Args:
        url: as set.
        file: contains only the URL.
        variable: the environment variable of the URL; that of the file has ``_FILE`` after it.

    Raises:
        SettingsError: the file cannot be used, or the URL is ``embedded:`` without that extra.
    """
    if url is not None:
        text = url.get_secret_value()
    elif file is not None:
        text = _read_file(file, f"{variable}_FILE")
    else:
        return None
    if text.startswith(EMBEDDED_PREFIX):
        require_extra("embedded")
    return text


def _read_file(file: Path, variable: str) -> str:
    """Read the URL from a file. Unlike an environment variable, a file is visible to no child process and not to `ps`."""
    try:
        return check_url(file.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{variable} is {str(file)!r}: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(
            f"{variable} is {str(file)!r}, which does not hold a usable database URL: {_url_problem(error)}"
        ) from None


def _url_problem(error: object) -> str:
    """The named problem of a URL, or how to write one."""
    return (str(error) if isinstance(error, UnusableUrlError) else "") or _HOW_TO_WRITE_IT


_Settings = TypeVar("_Settings", bound=BaseSettings)


def load_settings(settings_class: type[_Settings], **overrides: Any) -> _Settings:
    """Load the settings from the environment. A value in `overrides` that is not None takes precedence.

    Raises:
        SettingsError: a value is wrong.
    """
    try:
        return settings_class(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise SettingsError(_explain(settings_class, error)) from None


def unknown_variables(settings_class: type[BaseSettings], *others: type[BaseSettings]) -> dict[str, str | None]:
    """Find variables that have the prefix of the settings and are not settings, each with the closest name.

    A mistyped name has no effect, and would otherwise be silent. The variables of `others`, whose prefix begins with that
    of the settings, are known, too.
    """
    prefix = settings_class.model_config["env_prefix"]
    known = {
        variable
        for each in (settings_class, *others)
        for name in each.model_fields
        for _, choices in _variables(each, name)
        for variable in choices
    }
    names = {variable.removeprefix(prefix): variable for variable in sorted(known)}
    unknown: dict[str, str | None] = {}
    for variable in sorted(os.environ):
        name = variable.removeprefix(prefix)
        if name != variable and variable not in known and not _OF_KUBERNETES.match(name):
            alike = difflib.get_close_matches(name, names, n=1, cutoff=0.7)
            unknown[variable] = names[alike[0]] if alike else None
    return unknown


def warn_of_unknown_variables(settings_class: type[BaseSettings], *others: type[BaseSettings]) -> None:
    """Log each unknown variable, for programs that run in the background."""
    for variable, meant in unknown_variables(settings_class, *others).items():
        log.warning("setting_unknown", variable=variable, meant=meant, effect="none")


class InvalidField(NamedTuple):
    """The first wrong field of a settings model: its path, its value, and what is expected."""

    path: list[str]
    found: Any
    expected: str


def invalid_field(error: ValidationError) -> InvalidField:
    """The first wrong field. For a group as a whole its validator names the field, and the value, in the error's context."""
    first = error.errors(include_url=False)[0]
    path, found = [str(part) for part in first["loc"]], first["input"]
    if field := first.get("ctx", {}).get("field"):
        path.append(field)
        found = first["ctx"]["found"]
    return InvalidField(path, found, expectation(first))


def _explain(settings_class: type[BaseSettings], error: ValidationError) -> str:
    path, found, expected = invalid_field(error)
    variable = _variable(settings_class, path)
    if variable.endswith("DATABASE_URL"):
        problem = error.errors(include_url=False)[0].get("ctx", {}).get("error")
        return f"{variable} is not a usable database URL: {_url_problem(problem)}"
    return f"{variable} is {str(found)!r}: {expected}"


def _variable(settings_class: type[BaseSettings], path: Sequence[str]) -> str:
    """The environment variable of the field at `path`: its name or an alias, after the group if it has one."""
    for field_name in settings_class.model_fields:
        for names, choices in _variables(settings_class, field_name):
            if tuple(path) == names or path[0] in choices:
                return next((choice for choice in choices if choice in os.environ), choices[-1])
    return ".".join(path) or "settings"


def _variables(settings_class: type[BaseSettings], field_name: str) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """The path of a field, or of each field of a group, with its variables in the order of precedence."""
    field = settings_class.model_fields[field_name]
    prefix = settings_class.model_config["env_prefix"]
    group = field.annotation
    if isinstance(group, type) and issubclass(group, BaseModel):
        for name in group.model_fields:
            yield (field_name, name), [f"{prefix}{field_name}_{name}".upper()]
    elif isinstance(alias := field.validation_alias, AliasChoices):
        yield (field_name,), [str(choice) for choice in alias.choices]
    else:
        yield (field_name,), [f"{prefix}{field_name}".upper()]


def variables_of(settings_class: type[BaseSettings]) -> dict[str, Any]:
    """Every environment variable with its default; of several names for a field, the general one."""
    found: dict[str, Any] = {}
    for field_name, field in settings_class.model_fields.items():
        for path, choices in _variables(settings_class, field_name):
            default = field.get_default(call_default_factory=False)
            found[choices[-1]] = getattr(default, path[1]) if len(path) > 1 else default
    return found
