"""Records of one turn of the event loop are handed over together, and before any of their answers leaves."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from instance_agent.gateway.turn_records import TurnRecords


class Sink:
    def __init__(self, *, fails: bool = False) -> None:
        self.taken: list[list[str]] = []
        self.fails = fails

    def record_all(self, records: Sequence[tuple[Any, Any]]) -> None:
        self.taken.append([attempt.name for attempt, _ in records])
        if self.fails:
            raise OSError


def an_attempt(name: str, *, streamed: bool = False) -> Any:
    return SimpleNamespace(name=name, streamed=streamed)


async def answered(records: TurnRecords, sink: Sink, name: str) -> list[list[str]]:
    """Return what the sink has when the answer may leave."""
    records.record(an_attempt(name), None)  # type: ignore[arg-type]
    await records.handed_over()
    return list(sink.taken)


def test_the_records_of_a_turn_are_handed_over_together_before_their_answers_leave() -> None:
    async def run() -> None:
        sink = Sink()
        records = TurnRecords(sink, lambda: True)
        found = await asyncio.gather(*(answered(records, sink, name) for name in "abc"))
        assert found == [[["a", "b", "c"]]] * 3
        assert await answered(records, sink, "d") == [["a", "b", "c"], ["d"]]

    asyncio.run(run())


def test_a_record_is_handed_over_at_once_for_a_stream_and_where_nothing_else_is_under_way() -> None:
    async def run() -> None:
        sink = Sink()
        TurnRecords(sink, lambda: True).record(an_attempt("stream", streamed=True), None)  # type: ignore[arg-type]
        TurnRecords(sink, lambda: False).record(an_attempt("alone"), None)  # type: ignore[arg-type]
        assert sink.taken == [["stream"], ["alone"]]

    asyncio.run(run())


def test_a_client_that_goes_takes_no_answer_and_no_record_from_the_others() -> None:
    async def run() -> None:
        sink = Sink()
        records = TurnRecords(sink, lambda: True)
        gone, stays = (asyncio.create_task(answered(records, sink, name)) for name in ("gone", "stays"))
        asyncio.get_running_loop().call_soon(
            gone.cancel
        )  # after both have recorded, before the records are handed over
        assert await stays == [["gone", "stays"]]
        with pytest.raises(asyncio.CancelledError):
            await gone

    asyncio.run(run())


def test_answers_leave_although_the_sink_fails() -> None:
    async def run() -> None:
        sink = Sink(fails=True)
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        assert await asyncio.wait_for(answered(TurnRecords(sink, lambda: True), sink, "a"), 5) == [["a"]]

    asyncio.run(run())
