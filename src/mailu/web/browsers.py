"""What a browser calls itself, in two words that people recognise."""

from __future__ import annotations

_PROGRAMS = (("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"),
            ("Mac OS", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux"))  # fmt: skip


def shown_browser(user_agent: str) -> str:
    """``Firefox · Linux``; the first words of what it says where it is none that we know."""
    agent = user_agent.replace("HeadlessChrome/", "Chrome/")
    program = next((name for mark, name in _PROGRAMS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return " · ".join(word for word in (program, system) if word) or user_agent[:40]
