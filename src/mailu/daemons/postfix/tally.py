"""What Postfix's log says of messages that came, went or were refused: one line in, at most one count out.

Received is what a mailbox took (``lmtp``), each recipient for itself; sent is what another server took (``smtp``);
refused is what was told so for good (5xx) while it was offered, by us or by the filter. Texts in a line may come from
strangers: they can make a line count for another domain, and no more than once.
"""

from __future__ import annotations

from collections import OrderedDict

MESSAGES_KNOWN = 20_000
"""Messages in the queue whose sender is remembered; a few hundred bytes each."""
_FORWARDED = ("srs0", "srs1")


class PostfixTally:
    """Reads one line after another. Remembers who sent what is in the queue: only the queue manager says so."""

    def __init__(self) -> None:
        self._sender_domains: OrderedDict[str, str] = OrderedDict()

    def read(self, line: str) -> tuple[str, str] | None:
        """What *line* counts as, and the domain that it concerns (empty: none of a person here, or not known)."""
        program, text = _program(line)
        queue_id, _, said = text.partition(": ")
        match program:
            case "lmtp" if _is_sent(said):
                return "received", _domain_after(said, "to=<")
            case "smtp" if _is_sent(said):
                return "sent", self._sender_domains.get(queue_id, "")
            case "qmgr":
                self._remember(queue_id, said)
            case "smtpd" | "cleanup" if said.startswith(("reject: ", "milter-reject: ")) and _is_final(said):
                return "refused", _domain_after(said[said.rfind(" to=<") + 1 :], "to=<")
        return None

    def _remember(self, queue_id: str, said: str) -> None:
        if said.startswith("removed"):
            self._sender_domains.pop(queue_id, None)
        elif domain := _domain_after(said, "from=<"):
            # A stranger's message that leaves again has a sender of ours that was made for it: nobody here sent it.
            forwarded = said[len("from=<") :].lower().startswith(_FORWARDED)
            self._sender_domains[queue_id] = "" if forwarded else domain
            if len(self._sender_domains) > MESSAGES_KNOWN:
                self._sender_domains.popitem(last=False)


def _program(line: str) -> tuple[str, str]:
    """``smtpd`` and what follows, of ``Jan 31 09:18:12 mail postfix/submission/smtpd[123]: what follows``."""
    head, _, text = line.partition("]: ")
    path = head.rpartition("[")[0].rpartition(" ")[2]
    return (path.rpartition("/")[2] if path.startswith("postfix/") else ""), text


def _is_sent(said: str) -> bool:
    return said.startswith("to=<") and ", status=sent (" in said


def _is_final(said: str) -> bool:
    """Whether the reply in ``reject: RCPT from host[192.0.2.1]:25: 550 5.1.1 ...`` says never rather than later."""
    return said.partition(": ")[2].partition(": ")[2].startswith("5")


def _domain_after(text: str, mark: str) -> str:
    """The domain of the address that stands in angle brackets behind *mark* at the beginning of *text*."""
    if not text.startswith(mark):
        return ""
    _, at, domain = text[len(mark) :].partition(">")[0].rpartition("@")
    return domain.lower() if at else ""
