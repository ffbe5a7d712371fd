"""Dead letters are found by reason, field and time, sent again exactly once, or discarded."""

import json
import threading
import tracemalloc

import pytest
from support.commands import run_command
from support.events import an_event, send, send_texts
from support.operators import OPERATOR
from support.servers import execute

from centralcloud.administration.dead_letters import Filter, discard, list_dead_letters, replay
from centralcloud.administration.message_edits import Edit
from centralcloud.administration.verification import verify
from centralcloud.ingest.batch_ingest import BatchResult
from centralcloud.ingest.drain import drain
from centralcloud.runtime.postgres.database import Database


def command(url: str, *arguments: str, code: int = 0) -> str:
    result = run_command("centralcloud", "dead-letters", *arguments, env={"DATABASE_URL": url})
    assert result.returncode == code, result.stderr
    return result.stdout if code == 0 else result.stderr


@pytest.fixture
def letters(database: Database, database_url: str) -> list[int]:
    """Make three dead letters and return their ids: a wrong complexity, a missing model, and a wrong complexity again."""
    events = [an_event(complexity="urgent"), an_event(selected_model=""), an_event(complexity="vital", decision_id="d")]
    send(database_url, [*events, an_event()])
    assert drain(database, batch_size=10).result == BatchResult(records=1, dead_letters=3)
    return [row[0] for row in execute(database_url, "SELECT id FROM dead_letters ORDER BY id")]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], [2, 1, 0]),
        (["--field", "routing_decision.complexity"], [2, 0]),
        (["--reason", "URGENT"], [0]),
        (["--reason", "expected one of", "--limit", "1"], [2]),
        (["--since", "1h"], [2, 1, 0]),
        (["--until", "1h"], []),
        (["--since", "2026-01-01T00:00", "--until", "2199-01-01"], [2, 1, 0]),
    ],
)
def test_dead_letters_are_listed_by_field_reason_and_time(
    database_url: str, letters: list[int], options: list[str], found: list[int]
) -> None:
    listed = json.loads(command(database_url, "list", "--json", *options))
    assert [letter["id"] for letter in listed] == [letters[position] for position in found]
    table = command(database_url, "list", *options)
    assert all(str(letters[position]) in table for position in found)
    assert found or table == "no dead letters\n"


def test_a_dead_letter_is_shown_with_its_complete_message(database_url: str, letters: list[int]) -> None:
    shown = command(database_url, "show", str(letters[0]))
    assert 'reason: routing_decision.complexity: found "urgent"' in shown
    assert '"selected_model": "gpt-4o"' in shown
    assert (
        json.loads(command(database_url, "show", str(letters[0]), "--json"))["field"] == "routing_decision.complexity"
    )
    assert "dead letter 99999: found nothing" in command(database_url, "show", "99999", code=1)


def test_a_dead_letter_that_is_replayed_with_an_edit_is_ingested(
    database: Database, database_url: str, letters: list[int]
) -> None:
    edits = ["--edit", "routing_decision.complexity=simple", "--edit", "routing_decision.response_time_ms=12"]
    assert "sent 2 messages" in command(database_url, "replay", "--field", "routing_decision.complexity", *edits)
    assert drain(database, batch_size=10).result == BatchResult(records=2)
    rows = execute(database_url, "SELECT complexity, response_time_ms FROM routing_records ORDER BY id OFFSET 1")
    assert rows == [("simple", 12), ("simple", 12)]
    verification = verify(database)
    assert verification.ok
    assert verification.ledger["dead_letters_replayed"] == 2
    assert verification.ledger["dead_letters_open"] == 1
    assert verification.ledger["sent"] == 6, "each replay is one more message sent"
    states = execute(database_url, "SELECT resolution, replayed_msg_id IS NOT NULL FROM dead_letters ORDER BY id")
    assert states == [("replayed", True), (None, False), ("replayed", True)]


def test_a_message_that_is_refused_again_becomes_a_new_dead_letter(
    database: Database, database_url: str, letters: list[int]
) -> None:
    command(database_url, "replay", str(letters[0]))
    assert drain(database, batch_size=10).result == BatchResult(dead_letters=1)
    open_letters = execute(database_url, "SELECT count(*) FROM dead_letters WHERE resolution IS NULL")
    assert open_letters == [(3,)]
    assert verify(database).ok


def test_concurrent_replays_send_a_dead_letter_once(database: Database, database_url: str, letters: list[int]) -> None:
    sent: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: sent.append(replay(database, Filter(field="routing_decision.complexity"), [], OPERATOR).sent)
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(sent) == 2
    assert execute(database_url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(2,)]
    assert f"dead letter {letters[0]} was not sent: already replayed" in command(
        database_url, "replay", str(letters[0]), code=1
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["99999"], "dead letter 99999 was not sent: found nothing, expected an id that `dead-letters list` shows"),
        (["{0}", "--edit", "nowhere.at.all=1"], "an --edit names a field inside something that does not exist"),
        (["{0}", "--edit", "instance_id.inside=1"], "an --edit names a field inside something that does not exist"),
    ],
)
def test_a_dead_letter_that_cannot_be_replayed_stays_open_with_a_reason(
    database_url: str, letters: list[int], arguments: list[str], reason: str
) -> None:
    assert reason in command(database_url, "replay", *[text.format(letters[0]) for text in arguments], code=1)
    assert execute(database_url, "SELECT count(*) FROM dead_letters WHERE resolution IS NULL") == [(3,)]
    assert execute(database_url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(0,)]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["replay"], "ids, a filter or --all is required"),
        (["discard", "--reason", ""], "--reason is empty: expected a text, or no --reason"),
        (["replay", "--field", ""], "--field is empty: expected a text, or no --field"),
        (["discard"], "ids, a filter or --all is required"),
        (["replay", "--all", "--field", "x"], "expected one of them"),
        (["replay", "--all", "--edit", "complexity"], "expected field=value"),
        (["list", "--since", "yesterday"], "--since: found 'yesterday'"),
        (["show", "nonsense"], "a whole number"),
        (["list", "--since", "999999d"], "--since: found '999999d'"),
        (["list", "--until", "9999-12-31T23:59:59-12:00"], "--until: found"),
        (["list", "--reason", "\udcff"], "--reason: found a byte that is not UTF-8"),
        (["replay", "--all", "--edit", 'a="\\ud800"'], "expected a finite number or a string of Unicode"),
        (["replay", "--all", "--edit", "a=1e999"], "expected a finite number"),
        (["replay", "--all", "--edit", "a=" + "[" * 3000], "nested too deeply"),
        (["replay", "--all", "--edit", "a=1", "--edit", "a=2"], "found a field twice"),
        (["replay", "--all", "--edit", "a=eval(b)"], "found the function 'eval', expected one of epoch_s, epoch_ms"),
    ],
)
def test_wrong_usage_is_one_line(database_url: str, arguments: list[str], complaint: str) -> None:
    result = run_command("centralcloud", "dead-letters", *arguments, env={"DATABASE_URL": database_url})
    assert (result.returncode, result.stdout) == (2, "")
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_replay_computes_a_value_from_the_message_and_names_what_has_no_result(
    database: Database, database_url: str
) -> None:
    texts = [
        json.dumps({**an_event(), "timestamp": "soon", "sent_ms": 1793516100123}),
        json.dumps({**an_event(), "timestamp": "soon", "sent_ms": "never"}),
        json.dumps({**an_event(), "timestamp": "soon", "sent_ms": "NUMBER"}).replace('"NUMBER"', "7" * 5000),
        None,
    ]
    send_texts(database_url, texts)
    assert drain(database, batch_size=10).result == BatchResult(dead_letters=4)
    edit = Edit(["timestamp"], function="epoch_ms", argument=("sent_ms",))
    replayed = replay(database, Filter(), [edit], OPERATOR)
    assert replayed.sent == 1
    assert [each.reason.split(",")[0] for each in replayed.refused] == [
        '--edit timestamp=epoch_ms(sent_ms): found "never" in sent_ms',
        "--edit timestamp=epoch_ms(sent_ms): sent_ms: found JSON that cannot be read (Integer value out of range)",
        "it has no message that could be sent again",
    ]
    assert drain(database, batch_size=10).result == BatchResult(records=1)
    (record,) = execute(database_url, "SELECT timestamp::text, extra FROM routing_records")
    assert record == ("2026-11-01 06:55:00.123+00", {"sent_ms": 1793516100123})
    (logged,) = execute(database_url, "SELECT after -> 'edits' FROM operator_actions")
    assert logged == ([{"path": ["timestamp"], "function": "epoch_ms", "argument": ["sent_ms"]}],)
    assert replay(database, Filter(ids=[2]), [Edit(["timestamp"], function="enqueued_at")], OPERATOR).sent == 1
    assert drain(database, batch_size=10).result == BatchResult(records=1)
    assert verify(database).ok


def test_a_message_that_python_cannot_decode_can_still_be_edited(database: Database, database_url: str) -> None:
    """PostgreSQL can edit everything that it could store: numbers of 5,000 digits, deep nesting, SQL NULL."""
    texts = [
        json.dumps(an_event(note="NOTE")).replace('"NOTE"', note) for note in ("7" * 5000, "[" * 3000 + "]" * 3000)
    ]
    send_texts(database_url, [*texts, None])
    drain(database, batch_size=10)
    replayed = replay(database, Filter(), [Edit(["routing_decision", "note"], None)], OPERATOR)
    assert replayed.sent == 2
    assert [refusal.reason for refusal in replayed.refused] == ["it has no message that could be sent again"]
    assert drain(database, batch_size=10).result == BatchResult(records=2)
    assert verify(database).ok


def test_discarded_dead_letters_are_counted_and_no_longer_open(
    database: Database, database_url: str, letters: list[int]
) -> None:
    assert command(database_url, "discard", "--reason", "urgent") == "discarded 1 dead letter\n"
    assert discard(database, Filter(ids=letters), OPERATOR) == 2
    assert list(list_dead_letters(database, Filter(), limit=10)) == []
    assert len(list(list_dead_letters(database, Filter(), limit=10, with_resolved=True))) == 3
    verification = verify(database)
    assert verification.ok
    assert verification.ledger["dead_letters_discarded"] == 3
    assert "1 id without an open dead letter" in command(database_url, "discard", "99999", code=1)


def test_a_list_of_large_dead_letters_reads_some_megabytes_at_a_time(database: Database, database_url: str) -> None:
    """The limit of a list counts rows, and a dead letter may have any size."""
    execute(
        database_url,
        """
        INSERT INTO dead_letters (queue_name, msg_id, enqueued_at, message, reason, field)
        SELECT 'q', n, now(), '"' || repeat('x', 1000000) || '"', 'r', 'f' FROM generate_series(1, 30) AS n
        """,
    )
    tracemalloc.start()
    try:
        letters = list_dead_letters(database, Filter(), limit=25)
        ids = [letter["id"] for letter in letters if len(letter["message"]) == 1_000_002]
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert ids == list(range(30, 5, -1))
    assert peak_bytes < 12_000_000
    listed = json.loads(command(database_url, "list", "--limit", "25", "--json"))
    assert [letter["id"] for letter in listed] == ids
