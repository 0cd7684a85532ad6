"""Speak for oletools in the protocol of olefy, which Rspamd knows: ``server.py ADDRESS PORT FOLDER``.

A request is a head of lines (``OLEFY/1.0``, ``Method: oletools``, ...), an empty line and the document, until the
client closes its half. The answer is olevba's JSON and the word that ends it.

Source: rspamd, lua_scanners/oletools.lua.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
import tempfile

LARGEST_BYTES = 16 * 1024 * 1024
SMALLEST_BYTES = 500
MOST_AT_ONCE = 2
READ_SECONDS = 20.0
SCAN_SECONDS = 25
MEMORY_BYTES = 768 * 1024 * 1024
END = b"\t\n\n\t"
OLEVBA = (sys.executable, "-m", "oletools.olevba", "-a", "-j", "-l", "error")

_turns = asyncio.Semaphore(MOST_AT_ONCE)


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (SCAN_SECONDS, SCAN_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_BYTES, LARGEST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def error(text: str) -> bytes:
    """An answer that says what is wrong."""
    return json.dumps([{"error": text}]).encode()


def one_line(output: bytes) -> bytes:
    """olevba's JSON without what would end the answer before its end. Raises ValueError when it is no JSON."""
    return json.dumps(json.loads(output)).encode()


async def scan(document: bytes) -> bytes:
    """Return olevba's findings, or an error, as JSON."""
    if len(document) < SMALLEST_BYTES:
        return error("File too small")
    async with _turns:
        with tempfile.NamedTemporaryFile(prefix="document.") as file:
            file.write(document)
            file.flush()
            return await _olevba(file.name)


async def _olevba(path: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *OLEVBA,
        path,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_limit,
    )
    try:
        async with asyncio.timeout(SCAN_SECONDS):
            output, _ = await process.communicate()
        return one_line(output)
    except TimeoutError:
        return error("it took too long")
    except ValueError:
        return error("it cannot be taken apart")
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection."""
    try:
        async with asyncio.timeout(READ_SECONDS):
            request = await _read(reader)
        head, blank, document = request.partition(b"\n\n")
        known = blank and head.startswith(b"OLEFY/1.0") and b"Method: oletools" in head
        writer.write((await scan(document) if known else error("Protocol error")) + END)
        await writer.drain()
    except (OSError, TimeoutError):
        pass
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    request = b""
    while more := await reader.read(65536):
        request += more
        if len(request) > LARGEST_BYTES:
            raise OSError("too large")
    return request


async def serve(address: str, port: int) -> None:
    """Answer until told to end."""
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    async with await asyncio.start_server(answer, address, port, limit=1024 * 1024):
        await end.wait()


if __name__ == "__main__":
    tempfile.tempdir = sys.argv[3]
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
