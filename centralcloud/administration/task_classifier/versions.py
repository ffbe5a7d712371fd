"""Versions of the trained classifier in the database, and the choice which of them gateways use."""

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg
from msgspec import Struct, to_builtins
from psycopg.types.json import Jsonb

from centralcloud.contracts import CentralCloudError
from centralcloud.contracts.task_classifier.trained import CLASSIFIER_CHANNEL, ClassifierError, parse_classifier
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.operator_actions import Action, Operator, record_action

if TYPE_CHECKING:  # it imports numpy, which only training needs
    from centralcloud.administration.task_classifier.training import Training

#: Versions whose weights are kept, besides the one in use: the way back.
KEPT_MODELS: Final = 10
_MOST_CHOICES: Final = 100


class StoredClassifier(Struct, frozen=True):
    """A version of the trained classifier.

    Attributes:
        who: the user of the command, and the database role.
        summary: of its training: prompts, features, and the accuracy of each question.
        bytes: of its weights; None: they were removed, because ten newer versions exist.
    """

    version: int
    trained_at: datetime
    who: str
    reason: str | None
    sha256: str
    summary: dict[str, Any]
    bytes: int | None
    in_use: bool


class Choice(NamedTuple):
    """Which version gateways use from a time on; version None: none."""

    choice: int
    version: int | None
    at: datetime


class Chosen(NamedTuple):
    """The result of a choice."""

    before: int | None
    version: int | None


class UnknownClassifierError(CentralCloudError):
    """The version does not exist, or its weights were removed."""


_LOCK: Final = Query(__package__, "lock_classifiers")
_INSERT: Final = Query(__package__, "insert_classifier", row=int)
_REMOVE_OLD: Final = Query(__package__, "remove_old_models")
_CHOOSE: Final = Query(__package__, "insert_choice", row=int)
_LIST: Final = Query(__package__, "list_classifiers", row=StoredClassifier)
_CHOICES: Final = Query(__package__, "list_choices", row=Choice)
_READ_MODEL: Final = Query(__package__, "read_model")


def store_classifier(database: Database, training: "Training", operator: Operator, *, use: bool) -> int:
    """Store a trained classifier as the newest version, and return its number. Its prompts are not stored.

    Args:
        use: whether gateways use it from now on.
    """
    summary = {
        "prompts": training.prompts,
        "features": training.features,
        "least_confidence": training.classifier.header.least_confidence,
        "task_types": to_builtins(training.task_types),
        "levels": to_builtins(training.levels),
    }
    values = {
        "who": operator.who,
        "reason": operator.reason,
        "sha256": hashlib.sha256(training.data).hexdigest(),
        "summary": Jsonb(summary),
        "model": training.data,
    }
    with database.transaction() as connection:
        _LOCK.run(connection)
        version = _INSERT.one(connection, values)
        after = {"version": version, "prompts": training.prompts, "features": training.features}
        record_action(connection, operator, Action.TRAIN_CLASSIFIER, "task-classifier", after=after)
        if use:
            _choose(connection, version, operator)
        _REMOVE_OLD.run(connection, {"newest": version, "kept": KEPT_MODELS, "in_use": _in_use(connection)})
    return version


def choose_classifier(database: Database, version: int | None, operator: Operator) -> Chosen:
    """Make gateways use a version from now on; None: none, so that the table of words answers everything.

    Raises:
        UnknownClassifierError: the version does not exist, or its weights were removed.
        ClassifierError: this version of the program cannot read it.
    """
    with database.transaction() as connection:
        _LOCK.run(connection)
        if version is not None:
            _check(connection, version)
        return _choose(connection, version, operator)


def roll_back(database: Database, operator: Operator) -> Chosen:
    """Make gateways use what they used before the newest choice.

    Raises:
        UnknownClassifierError: there was no other choice, or the weights of that version were removed.
        ClassifierError: this version of the program cannot read it.
    """
    with database.transaction() as connection:
        _LOCK.run(connection)
        choices = _CHOICES.all(connection, {"most": 2})
        if not choices:
            raise UnknownClassifierError("no trained classifier was ever in use: there is nothing to go back to")
        before = choices[1].version if len(choices) > 1 else None
        if before is not None:
            _check(connection, before)
        return _choose(connection, before, operator)


def list_classifiers(database: Database, *, most: int) -> list[StoredClassifier]:
    """Return the newest versions, newest first."""
    with database.connection() as connection:
        return _LIST.all(connection, {"most": most})


def list_choices(database: Database) -> list[Choice]:
    """Return the newest choices, newest first."""
    with database.connection() as connection:
        return _CHOICES.all(connection, {"most": _MOST_CHOICES})


def _check(connection: psycopg.Connection[Any], version: int) -> None:
    row = _READ_MODEL.maybe(connection, {"version": version})
    if row is None:
        raise UnknownClassifierError(
            f"VERSION: found {version}, expected one that `centralcloud classifier show` lists"
        )
    if row[0] is None:
        raise UnknownClassifierError(
            f"VERSION: the weights of {version} were removed, because {KEPT_MODELS} newer versions exist: train it again"
        )
    try:
        parse_classifier(bytes(row[0]), version)
    except ClassifierError as error:
        raise ClassifierError(f"VERSION: {version} cannot be used: {error}") from None


def _choose(connection: psycopg.Connection[Any], version: int | None, operator: Operator) -> Chosen:
    before = _in_use(connection)
    if before != version:
        _CHOOSE.one(connection, {"version": version, "channel": CLASSIFIER_CHANNEL})
        record_action(
            connection,
            operator,
            Action.CHOOSE_CLASSIFIER,
            "task-classifier",
            before={"version": before},
            after={"version": version},
        )
    return Chosen(before, version)


def _in_use(connection: psycopg.Connection[Any]) -> int | None:
    newest = _CHOICES.maybe(connection, {"most": 1})
    return None if newest is None else newest.version
