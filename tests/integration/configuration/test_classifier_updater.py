"""Each gateway gets the trained classifier that the fleet uses, keeps it in a file, and refuses a damaged one."""

import hashlib
import json
from pathlib import Path

import pytest
from support.classifiers import classifier_bytes, labelled_rows, with_header, write_prompts
from support.commands import run_command
from support.servers import execute
from support.waiting import eventually

from centralcloud.administration.task_classifier.labelled_prompts import LabelledPrompt
from centralcloud.administration.task_classifier.training import Training, train
from centralcloud.administration.task_classifier.versions import (
    UnknownClassifierError,
    choose_classifier,
    list_choices,
    list_classifiers,
    roll_back,
    store_classifier,
)
from centralcloud.contracts.task_classifier import classify
from centralcloud.contracts.task_classifier.trained import CLASSIFIER_CHANNEL
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.notifications import NotificationListener
from centralcloud.store.operator_actions import Operator
from instance_agent.sync.classifier_file import ClassifierFile
from instance_agent.sync.classifier_updater import ClassifierUpdater


def an_updater(database: Database, folder: Path, **options) -> ClassifierUpdater:
    return ClassifierUpdater(database, file=ClassifierFile(folder), **options)


def store(url: str, data: bytes, *, use: bool = True) -> int:
    """Store a classifier as it is, valid or not."""
    ((version,),) = execute(
        url,
        "INSERT INTO task_classifiers (version, who, sha256, summary, model) "
        "SELECT coalesce(max(version), 0) + 1, 'test', %s, '{}', %s FROM task_classifiers RETURNING version",
        (hashlib.sha256(data).hexdigest(), data),
    )
    if use:
        choose(url, version)
    return int(version)


def choose(url: str, version: int | None) -> None:
    execute(
        url,
        "INSERT INTO task_classifier_choices (choice, version) "
        "SELECT coalesce(max(choice), 0) + 1, %s FROM task_classifier_choices",
        (version,),
    )


_LAW = classifier_bytes({"court": (100, -100)})


def version_of(updater: ClassifierUpdater) -> int | None:
    updater.run_once()
    return None if updater.classifier is None else updater.classifier.version


def test_a_gateway_follows_the_fleet_and_starts_from_its_file(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    seen: list[int | None] = []
    updater = an_updater(database, tmp_path, on_change=lambda each: seen.append(None if each is None else each.version))
    assert version_of(updater) is None
    assert not (tmp_path / "task_classifier.bin").exists()
    store(database_url, _LAW)
    assert version_of(updater) == 1
    again = an_updater(database, tmp_path)
    assert again.classifier is not None, "before the first poll, from the file"
    assert classify("in court", again.classifier).task_type == "law"
    second = store(database_url, classifier_bytes({"court": (-100, 100)}))
    assert version_of(updater) == second
    choose(database_url, 1)
    assert version_of(updater) == 1
    choose(database_url, None)
    assert version_of(updater) is None
    assert an_updater(database, tmp_path).classifier is None, "the file says so, too"
    assert seen == [1, 2, 1, None]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (_LAW[:-1], "bytes of weights"),
        (with_header(_LAW, format=2), "found format 2, expected 1"),
    ],
)
def test_a_classifier_that_cannot_be_used_is_refused_and_the_former_one_stays(
    database: Database, database_url: str, tmp_path: Path, data: bytes, reason: str
) -> None:
    updater = an_updater(database, tmp_path)
    store(database_url, _LAW)
    assert version_of(updater) == 1
    store(database_url, data)
    assert version_of(updater) == 1
    assert updater.problem is not None
    assert updater.problem.startswith("version 2: ")
    assert reason in updater.problem
    updater.run_once()
    assert updater.refused == 1, "it is not read again at each poll"
    execute(database_url, "UPDATE task_classifiers SET sha256 = repeat('0', 64) WHERE version = 1")
    choose(database_url, 1)
    assert version_of(updater) == 1
    assert updater.problem == "version 1: the checksum differs: it was changed or damaged"
    choose(database_url, store(database_url, _LAW))
    assert version_of(updater) == 3
    assert updater.problem is None


def test_a_damaged_file_is_ignored(database: Database, database_url: str, tmp_path: Path) -> None:
    store(database_url, _LAW)
    updater = an_updater(database, tmp_path)
    assert version_of(updater) == 1
    path = tmp_path / "task_classifier.bin"
    good = path.read_bytes()
    for damaged in (b"", good[:-1], good[:-1] + b"\x01", b'{"format":2}\n', b"\x00" * 6_000_000):
        path.write_bytes(damaged)
        assert ClassifierFile(tmp_path).load() is None
    updater = an_updater(database, tmp_path)
    assert updater.classifier is None
    assert version_of(updater) == 1
    assert path.read_bytes() == good


def test_a_database_of_an_earlier_version_is_not_an_outage(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    store(database_url, _LAW)
    updater = an_updater(database, tmp_path)
    assert version_of(updater) == 1
    execute(database_url, "DROP FUNCTION centralcloud.task_classifier_in_use()")
    assert version_of(updater) == 1
    assert "does not offer trained classifiers" in (updater.problem or "")


@pytest.fixture(scope="module")
def training() -> Training:
    return train([LabelledPrompt(*row.values()) for row in labelled_rows(150)], place="x")


_OPERATOR = Operator(who="alice", via="cli", source="here", reason="a trial")


def test_a_choice_reaches_a_notified_gateway_at_once_and_can_be_rolled_back(
    database: Database, database_url: str, tmp_path: Path, training: Training
) -> None:
    updater = an_updater(database, tmp_path, poll_interval_seconds=600)
    listener = NotificationListener(database, {CLASSIFIER_CHANNEL: updater.wake})
    tasks = (updater, listener)
    for task in tasks:
        task.start()

    def in_use(version: int | None) -> bool:
        return (
            updater.classifier is None
            if version is None
            else bool(updater.classifier and updater.classifier.version == version)
        )

    try:
        eventually(lambda: listener.working)
        assert store_classifier(database, training, _OPERATOR, use=True) == 1
        eventually(lambda: in_use(1))
        assert store_classifier(database, training, _OPERATOR, use=False) == 2
        assert choose_classifier(database, 2, _OPERATOR) == (1, 2)
        assert choose_classifier(database, 2, _OPERATOR) == (2, 2), "no new choice"
        eventually(lambda: in_use(2))
        assert roll_back(database, _OPERATOR) == (2, 1)
        assert choose_classifier(database, None, _OPERATOR) == (1, None)
        eventually(lambda: in_use(None))
    finally:
        for task in tasks:
            task.stop()
            assert task.join(20)
    assert [each.version for each in list_choices(database)] == [None, 1, 2, 1]
    actions = execute(database_url, "SELECT action FROM operator_actions ORDER BY id")
    assert [action for (action,) in actions] == [
        "train_classifier", "choose_classifier", "train_classifier", *["choose_classifier"] * 3,
    ]  # fmt: skip


def test_the_weights_of_old_versions_are_removed_but_those_in_use(database: Database, training: Training) -> None:
    store_classifier(database, training, _OPERATOR, use=True)
    for _ in range(11):
        store_classifier(database, training, _OPERATOR, use=False)
    kept = [each.version for each in list_classifiers(database, most=100) if each.bytes is not None]
    assert kept == [12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 1]
    with pytest.raises(UnknownClassifierError, match="the weights of 2 were removed"):
        choose_classifier(database, 2, _OPERATOR)
    with pytest.raises(UnknownClassifierError, match="found 13, expected one"):
        choose_classifier(database, 13, _OPERATOR)


def run(url: str, *arguments: str, code: int = 0) -> str:
    result = run_command("centralcloud", "classifier", *arguments, env={"DATABASE_URL": url})
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout if code == 0 else result.stderr


def test_the_commands_train_show_and_choose(database_url: str, tmp_path: Path) -> None:
    file = write_prompts(tmp_path / "prompts.jsonl", labelled_rows(150))
    assert "there is nothing to go back to" in run(database_url, "rollback", code=1)
    printed = run(database_url, "train", "--prompts", str(file))
    assert "stored as version 1; gateways use it within seconds" in printed
    assert "task type: 100.0% of " in printed
    assert run(database_url, "use", "1") == "gateways use version 1 already\n"
    assert run(database_url, "off").startswith("version 1 -> the table of words; ")
    shown = json.loads(run(database_url, "show", "--json"))
    assert [(each["version"], each["in_use"]) for each in shown["versions"]] == [(1, False)]
    assert "billing" in run(database_url, "show", "1")
    texts = execute(database_url, "SELECT row_to_json(t)::text FROM task_classifiers t")
    assert not any("invoice" in text for (text,) in texts), "no text of a prompt is stored"
    execute(database_url, """UPDATE task_classifiers SET summary = '{"prompts": 150, "levels": {"share": 1}}'""")
    assert "150" in run(database_url, "show")
    assert "complexity: its accuracy is not readable, another version" in run(database_url, "show", "1")
