"""The experiment that the options of `centralcloud experiments start` ask for, and a file with one."""

import math
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from centralcloud.cli.arguments import parse_moment
from centralcloud.contracts import ContractError, SettingsError
from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import ExperimentPlan, ExperimentScope
from centralcloud.contracts.new_experiment import begin, scope_of
from centralcloud.runtime.commands.arguments import parse_age

_MOST_BYTES: Final = 1_000_000
#: A request may take as long as its timeout, and its outcome is ingested within this.
_AFTER_TIMEOUT_SECONDS: Final = 60
#: The tag of `<<` in YAML: an object may take the fields of several others.
_MERGE: Final = "tag:yaml.org,2002:merge"
_PLAN_FIELDS: Final = ExperimentPlan.__struct_encode_fields__

#: From the text of a score table (``rule:NAME``, ``version:N``, ``time:TIME`` or a file) to its scores in JSON.
ReadTable = Callable[[str], list[dict[str, Any]]]


def read_experiment_file(file: str) -> dict[str, Any]:
    """Return the object in a file of JSON or YAML; ``-`` reads standard input.

    Raises:
        SettingsError: it cannot be read, is too large, or has no object.
    """
    found = _read(file, "FILE")
    if not isinstance(found, dict):
        raise SettingsError(f"FILE: found {quote(found)} in {file}, expected an object with name and treatments")
    return found


def read_table_file(file: str) -> list[dict[str, Any]]:
    """Return the list of scores in a file of JSON or YAML.

    Raises:
        SettingsError: it cannot be read, is too large, or has no list.
    """
    found = _read(file, "--score-table")
    if not isinstance(found, list):
        expected = "a list of scores, each with modelId, complexity and score"
        raise SettingsError(f"--score-table: found {quote(found)} in {file}, expected {expected}")
    return found


def merge(base: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return an experiment of a file with options over it: those that are not given, or empty, change nothing."""
    merged = dict(base)
    for name, value in options.items():
        if value in (None, {}, [], ""):
            continue
        before = merged.get(name)
        merged[name] = {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value
    return merged


def scope_options(
    complexity: Sequence[str],
    task_type: Sequence[str],
    workspace: Sequence[str],
    policy: Sequence[str],
    requested: Sequence[str],
) -> dict[str, Any]:
    """Return the scope in JSON; fields without an option are left out."""
    lists = {
        "complexities": complexity,
        "taskTypes": task_type,
        "workspaces": workspace,
        "policies": policy,
        "requestedModels": requested,
    }
    return {name: list(values) for name, values in lists.items() if values}


def plan_options(
    *,
    steps: str | None,
    margin: float | None,
    alpha: float | None,
    dwell: str | None,
    horizon: str | None,
    timeout: str | None,
    slo: str | None,
    no_worse: bool,
    fields: Sequence[str],
) -> dict[str, Any]:
    """Return the plan in JSON; fields without an option are left out.

    Raises:
        SettingsError: an option has no such value.
    """
    plan: dict[str, Any] = {}
    if steps is not None:
        plan["steps"] = [_share(each) for each in steps.split(",")]
    if margin is not None:
        if not 0 < margin < 100:
            raise SettingsError(f"--margin: found {margin:g}, expected points of success above 0 and below 100")
        plan["margin"] = margin / 100
    if alpha is not None:
        if not 0 < alpha < 1:
            raise SettingsError(f"--alpha: found {alpha:g}, expected a probability above 0 and below 1")
        plan["alpha"] = alpha
    if dwell is not None:
        plan["dwellSeconds"] = parse_age(dwell, "--dwell").total_seconds()
    if horizon is not None:
        plan["horizonSeconds"] = parse_age(horizon, "--horizon").total_seconds()
    if timeout is not None:
        plan["outcomeWithinSeconds"] = parse_age(timeout, "--timeout").total_seconds() + _AFTER_TIMEOUT_SECONDS
    if slo is not None:
        plan["sloMs"] = parse_age(slo, "--slo").total_seconds() * 1000
    if no_worse:
        plan["requireBetter"] = False
    return plan | dict(_field(each) for each in fields)


def check_asked(asked: Mapping[str, Any], field: str) -> None:
    """Check what is asked for by itself: whether the fleet has the policies and models that it names is not looked at.

    Raises:
        SettingsError: names the path of the field.
    """
    now = datetime.now(UTC)
    try:
        begin(asked, field, now=now, token=secrets.token_hex(8), earlier=(), traffic=None)
    except ContractError as error:
        raise SettingsError(str(error)) from None


def read_scope(asked: Mapping[str, Any]) -> ExperimentScope:
    """Return the scope of what is asked for.

    Raises:
        SettingsError: names the path of the field.
    """
    try:
        return scope_of(asked, "experiment")
    except ContractError as error:
        raise SettingsError(str(error)) from None


def with_tables(asked: dict[str, Any], read_table: ReadTable) -> dict[str, Any]:
    """Return an experiment whose score tables are lists: a text in place of one names it, as `--score-table` does."""
    treatments = asked.get("treatments")
    if not isinstance(treatments, list):
        return asked
    read = [
        {**each, "scoreTable": read_table(each["scoreTable"])}
        if isinstance(each, dict) and isinstance(each.get("scoreTable"), str)
        else each
        for each in treatments
    ]
    return {**asked, "treatments": read}


def table_reader(
    complexities: Sequence[str],
    of_rule: Callable[[str, Sequence[str]], list[dict[str, Any]]],
    of_version: Callable[[int, Sequence[str]], list[dict[str, Any]]],
    of_time: Callable[[Any, Sequence[str]], list[dict[str, Any]]],
) -> ReadTable:
    """Return the reader of score tables, for the complexities of a scope."""

    def read(text: str) -> list[dict[str, Any]]:
        source, separator, value = text.partition(":")
        if separator and source == "rule":
            return of_rule(value, complexities)
        if separator and source == "version":
            if not (value.isascii() and value.isdecimal() and len(value) < 19):
                raise SettingsError(
                    f"--score-table: found {quote(text)}, expected version:N with the number of a version"
                )
            return of_version(int(value), complexities)
        if separator and source == "time":
            return of_time(parse_moment(value, "--score-table"), complexities)
        return read_table_file(text)

    return read


class _DuplicateKeyError(yaml.YAMLError):
    def __init__(self, problem: str, line: int) -> None:
        super().__init__(problem)
        self.problem, self.line = problem, line


class _UniqueKeys(yaml.SafeLoader):
    """Refuses an object with a key twice: the second value would replace the first without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                if key.value in seen:
                    raise _DuplicateKeyError(f"the key {quote(key.value)} a second time", key.start_mark.line + 1)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _share(text: str) -> float:
    try:
        share = float(text.strip().removesuffix("%")) / 100
    except ValueError:
        share = math.nan
    if not 0 < share <= 0.5:
        raise SettingsError(f"--steps: found {quote(text)}, expected percentages up to 50, such as 1,5,25,50")
    return share


def _field(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator or name not in _PLAN_FIELDS:
        known = ", ".join(_PLAN_FIELDS)
        raise SettingsError(f"--set: found {quote(text)}, expected FIELD=VALUE with a field of the plan: {known}")
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        raise SettingsError(f"--set: found {quote(text)}, expected a value in JSON, such as {name}=60") from None


def _read(file: str, option: str) -> Any:
    try:
        if file == "-":
            text = sys.stdin.buffer.read(_MOST_BYTES + 1)
        else:
            with Path(file).open("rb") as opened:
                text = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{option}: cannot read {file}: {error.strerror}") from None
    if len(text) > _MOST_BYTES:
        raise SettingsError(f"{option}: found more than {_MOST_BYTES:,} bytes in {file}, expected fewer")
    try:
        # A SafeLoader. JSON is YAML, too.
        return yaml.load(text, _UniqueKeys)  # noqa: S506  # nosec B506
    except _DuplicateKeyError as error:
        raise SettingsError(
            f"{option}: found {error.problem} in {file}, line {error.line}, expected each key once"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        where = str(error).replace("\n", " ")
        raise SettingsError(f"{option}: found a text that is not JSON or YAML in {file} ({where})") from None
