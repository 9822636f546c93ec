"""A wire that can be cut or made slow: TCP on loopback, forwarded by a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading

from tests.services.ports import HOST, free_ports

CHUNK_BYTES = 65_536


class Proxy:
    """Forwards to `target`, once it is known. While cut, nothing passes and nobody is told, as in a real partition."""

    def __init__(self) -> None:
        (self._port,) = free_ports(1)
        self.address = f"{HOST}:{self._port}"
        self.target = ""
        self._delay_s = 0.0
        self._loop = asyncio.new_event_loop()
        self._whole = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        listening = threading.Event()
        self._loop.call_soon(lambda: self._tasks.add(self._loop.create_task(self._listen(listening))))
        self._thread.start()
        listening.wait(10)

    def cut(self) -> None:
        """From now on nothing passes."""
        self._loop.call_soon_threadsafe(self._whole.clear)

    def heal(self) -> None:
        """What waits goes on, at full speed."""
        self._delay_s = 0.0
        self._loop.call_soon_threadsafe(self._whole.set)

    def slow(self, delay_s: float) -> None:
        """Every piece takes this much longer."""
        self._delay_s = delay_s

    def close(self) -> None:
        """Hang up on everybody."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.1))
        self._loop.close()

    async def _listen(self, listening: threading.Event) -> None:
        self._whole.set()
        server = await asyncio.start_server(self._connected, HOST, self._port)
        listening.set()
        async with server:
            await server.serve_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._whole.wait()
        try:
            host, _, port = self.target.rpartition(":")
            there, to_there = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._forward(reader, to_there), self._forward(there, writer))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(CHUNK_BYTES):
                await self._whole.wait()
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                writer.write(piece)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()
