"""What Dovecot's log says of messages that were filed into Junk on arrival: one line in, at most one count out."""

from __future__ import annotations

_FILED = "stored mail into mailbox 'Junk'"


class DovecotTally:
    """Reads one line after another."""

    def read(self, line: str) -> tuple[str, str] | None:
        """What *line* counts as, and the domain of the mailbox.

        ``Jan 31 09:18:12 lmtp(ann@example.com)<12><abc>: Info: sieve: msgid=<1@example.org>, from=<x@example.org>,
        size=724: stored mail into mailbox 'Junk'``: the message's name and sender are a stranger's, what stands before
        and behind them is not.
        """
        if not line.endswith(_FILED):
            return None
        before, _, after = line.partition("lmtp(")
        if "(" in before or ": sieve: msgid=" not in after:
            return None
        return "junk", after.partition(")")[0].rpartition("@")[2].lower()
