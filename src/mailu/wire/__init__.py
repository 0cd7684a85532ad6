"""The protocols the daemons speak to us: bytes to values and back. No input or output, no database, nothing of ours.

A decoder is handed what one read gave, in whatever pieces, and yields the requests that are complete. What cannot
be a request raises BadRequest; the server then closes that connection, since it no longer knows where the next
request begins. Every length is bounded before it is believed.
"""


class BadRequest(ValueError):
    """What came cannot be a request of this protocol; the text says why, for the log, without quoting secrets."""
