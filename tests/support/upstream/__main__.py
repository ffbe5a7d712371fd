"""Run the fake upstream: `python -m support.upstream [--port 8010]`, with the folder tests in PYTHONPATH.

Prints one line of JSON with the port once it listens; ends with its standard input, so that it cannot outlive a test.
"""

import argparse
import asyncio
import json
import sys

from aiohttp import web

from support.upstream.server import application


async def _serve(port: int, *, with_stdin: bool) -> None:
    # The handler of a client that goes away is cancelled, so that the record can say so.
    runner = web.AppRunner(application(), handler_cancellation=True, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, shutdown_timeout=1.0)
    await site.start()
    sys.stdout.write(json.dumps({"port": runner.addresses[0][1]}) + "\n")
    sys.stdout.flush()
    if with_stdin:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    else:
        await asyncio.Event().wait()
    await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(prog="support.upstream")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--until-stdin-closes", action="store_true")
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.port, with_stdin=arguments.until_stdin_closes))


if __name__ == "__main__":
    main()
