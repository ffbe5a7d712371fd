"""The yardstick of benchmarks/dashboard.py: a bare server of aiohttp that sends texts to every WebSocket. Prints its port.

python benchmarks/_broadcast.py FILE     # of a JSON list: each a text, and the seconds until the next one
"""

import asyncio
import json
import sys
from pathlib import Path

from aiohttp import web


async def main(messages: list[tuple[str, float]]) -> None:
    """Serve, and send the texts in turns until the end."""
    sockets: set[web.WebSocketResponse] = set()

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        sockets.add(socket)
        try:
            async for _ in socket:
                pass
        finally:
            sockets.discard(socket)
        return socket

    app = web.Application()
    app.router.add_get("/live", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1000).start()
    print(runner.addresses[0][1], flush=True)
    while True:
        for text, seconds in messages:
            await asyncio.gather(*(each.send_str(text) for each in list(sockets)), return_exceptions=True)
            await asyncio.sleep(seconds)


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
