"""Clients that close a real connection to a server which executes their requests, as the gateway does."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web
from support.executions import Bench, a_bench, a_request, run, until
from support.upstream.process import FakeUpstream


async def serve(bench: Bench, protocol: str, behaviour: str) -> web.AppRunner:
    """Start a server whose only route executes a request and streams where it is asked to."""
    plan = bench.plan(f"{protocol}:m!{behaviour}", f"{protocol}:b")

    async def handle(request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        execution = a_request(protocol, "some words that are sent one by one", stream=body["stream"])
        if not body["stream"]:
            return web.Response(body=(await bench.executor.execute(plan, execution)).body)
        async with await bench.executor.stream(plan, execution) as stream:
            response = web.StreamResponse()
            await response.prepare(request)
            while piece := await stream.read():
                await response.write(piece)
        return response

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("stream", "behaviour", "reads"),
    [(False, "hang", 0), (True, "hang", 0), (True, "slow-first-token=30", 0), (True, "hang-in-stream=6", 1)],
)
def test_the_upstream_sees_the_close_within_a_second(
    fake_upstream: FakeUpstream, protocol: str, stream: bool, behaviour: str, reads: int
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            runner = await serve(bench, protocol, behaviour)
            try:
                host, port = runner.addresses[0][:2]
                async with aiohttp.ClientSession() as session:
                    asking = asyncio.create_task(session.post(f"http://{host}:{port}/", json={"stream": stream}))
                    await until(lambda: bool(fake_upstream.requests()))
                    if reads:
                        response = await asking
                        assert await response.content.readany()
                        response.close()
                    else:
                        asking.cancel()
                        await asyncio.wait({asking})
                    assert await until(lambda: bool(fake_upstream.requests()[0]["ended"])) < 1.0
                await until(lambda: len(bench.records) == 1)
                (record,) = bench.records
                assert (record.outcome, record.error_kind, record.response_time_ms) == ("failure", "caller", None)
                assert [each["ended"] for each in fake_upstream.requests()] == ["client gone"]
            finally:
                await runner.cleanup()

    run(scenario())
