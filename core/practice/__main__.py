"""`python -m core.practice`: the traffic of the practice network, as a process of its own.

Reads one line of JSON on stdin, `{"seed"}`, prints `READY {"url"}` once it answers, then sends along the
lanes of a second line, `{"lanes": […]}`, and ends when stdin ends.
"""

from __future__ import annotations

import asyncio
import json
import sys

from aiohttp import web

from core.clock import WallClock
from core.practice.traffic import Lane, Traffic


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    first = json.loads(await reader.readline())
    lanes: list[Lane] = []
    traffic = Traffic(lanes, WallClock(), seed=int(first["seed"]))
    runner = web.AppRunner(traffic.app(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    sys.stdout.write("READY " + json.dumps({"url": f"http://{host}:{port}"}) + "\n")
    sys.stdout.flush()

    line = await reader.readline()
    if line:
        lanes.extend(Lane(**lane) for lane in json.loads(line)["lanes"])
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(traffic.run())
            await reader.read()
            sending.cancel()
    await runner.cleanup()


def main() -> None:
    """Run until stdin ends."""
    try:
        asyncio.run(_serve())
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
