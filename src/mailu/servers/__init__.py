"""The asyncio shells: they decode, ask, encode, and hold time-outs, limits, logging and shutdown.

``directory`` is the process that every mail daemon asks. Each of its listeners has a file of its own here; what a
question means is decided in ``mailu.directory`` and ``mailu.auth``, how it is written in ``mailu.wire``.
"""
