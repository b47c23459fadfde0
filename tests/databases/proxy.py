"""A proxy that loses a share of the answers: ``python -m tests.databases.proxy PORT TARGET LOST``."""

import asyncio
import random
import signal
import sys


async def serve(port: int, target: int, lost: float) -> None:
    chance = random.Random(7519)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            answers, server = await asyncio.open_connection("127.0.0.1", target)
            server.write(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            answer = await answers.read()  # all of it: the server has done its work
            server.close()
            if chance.random() >= lost:
                writer.write(answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the browser or the server closed the connection: no answer
        writer.close()

    server = await asyncio.start_server(pass_on, "127.0.0.1", port, backlog=256)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    print("ready", flush=True)
    await stopped.wait()
    server.close()


asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
