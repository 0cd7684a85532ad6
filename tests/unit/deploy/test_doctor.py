"""Each check of the doctor, failing and passing, and the bundle for those who help."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest
from tests.room_harness import make_settings

from mailu.deploy import doctor, support
from mailu.deploy.doctor import Finding, exit_code
from mailu.deploy.ground import Verdict
from mailu.deploy.ports import Listener
from mailu.deploy.smart_hosts import Answer
from mailu.identity.dns_check import Comparison
from mailu.places import Places


def states(found: Finding | Sequence[Finding]) -> list[str]:
    """Of one or several; each that is not ok has to say why it matters and what to do."""
    every = [found] if isinstance(found, Finding) else list(found)
    assert all(one.why and one.advice for one in every if one.state != "ok"), every
    return [one.state for one in every]


def record(verdict: str, *, needed: bool = True) -> Comparison:
    return Comparison("example.org", "MX", "mx", verdict, ("10 a.",), (), "because", needed=needed)  # type: ignore[arg-type]


def listener(pid: int, name: str = "exim4") -> Listener:
    return Listener("0.0.0.0", 25, pid, name)


def smart_host(level: str, answer: Answer | None) -> Sequence[Finding]:
    found = doctor.smart_host("[smart.test]:587", level, answer)
    return doctor.all_smart_hosts(1, [] if found is None else [found])


UP = {"name": "smtp", "ready": True, "reason": "", "state": "ready", "problems": []}
DOWN = {"name": "antispam", "ready": False, "reason": "no answer", "state": "failed", "problems": ["bad override"]}
NOBODY = Verdict(0, resolves=False)
NO_DNSSEC = Verdict(0, resolves=True)
FINE = Verdict(21_002, own_validates=True, resolves=True)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (doctor.dns([record("ok")]), ["ok"]),
        (doctor.dns([record("missing")]), ["failure"]),
        (doctor.dns([record("wrong", needed=False)]), ["warning"]),
        (doctor.dns([record("unknown")]), ["warning"]),
        (doctor.open_ports({25: None, 993: None}), ["ok"]),
        (doctor.open_ports({25: None, 993: "Connection refused"}), ["failure"]),
        (doctor.foreign_listeners([listener(7)], {7}), ["ok"]),
        (doctor.foreign_listeners([listener(8)], {7}), ["failure"]),
        (doctor.relays([]), ["ok"]),
        (doctor.all_smart_hosts(0, []), ["ok"]),
        (doctor.all_smart_hosts(2, []), ["ok"]),
        (smart_host("", Answer()), ["ok"]),
        (smart_host("secure", Answer(untrusted="self-signed")), ["failure"]),
        (smart_host("", Answer(away="it does not answer")), ["failure"]),
        (smart_host("encrypt", None), ["warning"]),
        (smart_host("dane-only", None), ["ok"]),
        (doctor.tls_exceptions({}), ["ok"]),
        (doctor.tls_exceptions({"there.test": ("may", date(2030, 1, 31))}), ["warning"]),
        (doctor.relays(["b.test", "a.test"]), ["warning", "warning"]),
        (doctor.userland_proxy([listener(8)]), ["ok"]),
        (doctor.userland_proxy([listener(8, "docker-proxy")]), ["warning"]),
        (doctor.foreign_listeners([listener(8, "docker-proxy")], {7}), ["ok"]),
        (doctor.egress("192.0.2.25", ["mail.example.org"], "mail.example.org", True), ["ok"]),
        (doctor.egress("192.0.2.25", [], "mail.example.org", False), ["failure", "failure"]),
        (doctor.egress("192.0.2.25", ["x.test"], "mail.example.org", None), ["warning"]),
        (doctor.egress(None, [], "mail.example.org", None), ["warning"]),
        (doctor.relayed("[smart.test]:587"), ["ok"]),
        (doctor.settings([], None), ["ok"]),
        (doctor.settings(["line 3: what is X?"], Path("mailu.env")), ["failure"]),
        (doctor.database([], 3), ["ok"]),
        (doctor.database(["it does not answer"], 0), ["failure"]),
        (doctor.resolver(FINE), ["ok"]),
        (doctor.resolver(NO_DNSSEC), ["warning"]),
        (doctor.resolver(NOBODY), ["failure"]),
        (doctor.resolver(FINE, from_memory=True), ["failure"]),
        (doctor.dnsbl("zen.spamhaus.org", ["127.0.0.2"]), ["ok"]),
        (doctor.dnsbl("zen.spamhaus.org", ["127.255.255.254"]), ["failure"]),
        (doctor.dnsbl("zen.spamhaus.org", []), ["warning"]),
        (doctor.dnsbl("zen.spamhaus.org", None), ["warning"]),
        (doctor.clock(0.2), ["ok"]),
        (doctor.clock(-90.0), ["failure"]),
        (doctor.clock(None), ["warning"]),
        (doctor.space(Path("/mailu"), 0.5, 0.5), ["ok"]),
        (doctor.space(Path("/mailu"), 0.1, 0.5), ["warning"]),
        (doctor.space(Path("/mailu"), 0.5, 0.01), ["failure"]),
        (doctor.services(True, [UP]), ["ok"]),
        (doctor.services(True, [UP, DOWN]), ["failure", "warning"]),
        (doctor.services(False, []), ["failure"]),
        (doctor.queue(3, HOUR), ["ok"]),
        (doctor.queue(3, 9 * HOUR), ["warning"]),
        (doctor.queue(300, HOUR), ["warning"]),
        (doctor.queue(9000, HOUR), ["failure"]),
        (doctor.queue(0, None), ["ok"]),
        (doctor.unknown_queue("postqueue is not installed"), ["warning"]),
        (doctor.inotify(8192), ["ok"]),
        (doctor.inotify(128), ["warning"]),
    ],
)
def test_each_check_tells_health_from_trouble(found: Finding | Sequence[Finding], expected: list[str]) -> None:
    assert states(found) == expected


def test_a_listed_address_is_a_failure_and_a_refusal_to_answer_is_no_listing() -> None:
    found = doctor.listed("zen.spamhaus.org", "192.0.2.25", ["127.0.0.3"])
    assert found is not None
    assert states(found) == ["failure"]
    assert doctor.listed("zen.spamhaus.org", "192.0.2.25", ["127.255.255.254"]) is None
    assert doctor.listed("zen.spamhaus.org", "192.0.2.25", []) is None


@pytest.mark.parametrize(
    ("state", "days", "expected"),
    [("ok", 60, None), ("ok", 9, "warning"), ("warning", 60, "warning"), ("problem", None, "failure")],
)
def test_certificates_that_end_or_fail_are_told(state: str, days: int | None, expected: str | None) -> None:
    found = doctor.certificate("mail.example.org", state, "", "Do something", days)
    assert (found.state if found else None) == expected


def test_a_secret_that_everybody_reads_is_a_failure(tmp_path: Path) -> None:
    file = tmp_path / "mailu.env"
    file.write_text("SECRET_KEY=x")
    file.chmod(0o640)
    assert states(doctor.secrets([file, tmp_path / "absent"])) == ["ok"]
    file.chmod(0o644)
    assert states(doctor.secrets([file])) == ["failure"]


def test_the_documentation_names_every_check_and_no_other() -> None:
    text = (Path(__file__).parents[3] / "docs/doctor.md").read_text()
    named = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    assert named[1:] == list(doctor.CHECKS)


def test_the_exit_code_is_that_of_the_worst_finding() -> None:
    ok, warning, failure = (Finding("disk", state, "y") for state in ("ok", "warning", "failure"))
    assert [exit_code(found) for found in ([ok], [ok, warning], [warning, failure, ok])] == [0, 1, 2]


def test_a_finding_is_one_line_with_what_why_and_what_to_do() -> None:
    line = doctor.clock(90.0).line()
    assert line == (
        "FAILURE  clock: the clock is 90 s behind. TLS, DNSSEC and one-time codes fail. "
        "Install chrony or systemd-timesyncd."
    )


class TestBundle:
    KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIHk3c2VjcmV0a2V5c2VjcmV0a2V5\n-----END PRIVATE KEY-----\n"

    @pytest.fixture
    def bundle(self, tmp_path: Path) -> tuple[str, str]:
        """With addresses, and without."""
        settings = make_settings(
            tmp_path, RELAYHOST="[smarthost.test]:587", RELAYUSER="us", RELAYPASSWORD="relay-secret",
            DB_FLAVOR="postgresql", DB_USER="mailu", DB_PW="database-secret", DB_HOST="db.test", DB_NAME="mailu",
            API="true", API_TOKEN="token-of-the-api",
        )  # fmt: skip
        places = Places(tmp_path)
        for folder in (places.logs, places.dkim, places.service("directory")):
            folder.mkdir(parents=True)
        (places.dkim / "example.org.dkim.key").write_text(self.KEY)
        (places.service("directory") / "secret").write_text("secret-of-the-directory\n")
        places.certs.mkdir()
        (places.certs / "dns.ini").write_text("dns_cloudflare_api_token = token-of-the-dns\n")
        (places.logs / "smtp.log").write_text(
            "log-in of ann@example.org from 203.0.113.77 and 2001:db8:1:2::3 with relay-secret\n"
            f"postgresql://mailu:database-secret@db.test/mailu {settings.secret_key} secret-of-the-directory\n"
            f"{self.KEY}"
            "certbot: the provider refused token-of-the-dns\n"
        )
        texts = []
        for addresses in (True, False):
            stream = io.StringIO()
            support.write_bundle(stream, settings, places, lambda: [doctor.clock(0.0)], lines=100, addresses=addresses)
            texts.append(stream.getvalue())
        return texts[0], texts[1]

    def test_no_secret_of_the_root_is_in_it(self, bundle: tuple[str, str]) -> None:
        secrets = ["relay-secret", "database-secret", "SECRETKEYOFTESTS", "token-of-the-api", "secret-of-the-directory",
                   "token-of-the-dns",
                   "MC4CAQAwBQYDK2VwBCIEIHk3c2VjcmV0a2V5c2VjcmV0a2V5"]  # fmt: skip
        for text in bundle:
            assert [secret for secret in secrets if secret in text] == []

    def test_what_helpers_ask_for_is_in_it(self, bundle: tuple[str, str]) -> None:
        for part in (
            "== versions",
            "== settings",
            "HOSTNAMES=mail.example.org",
            "== findings",
            "OK       clock",
            "log of smtp",
        ):
            assert part in bundle[0]

    def test_people_are_in_it_only_when_asked_for(self, bundle: tuple[str, str]) -> None:
        for text in ("ann@example.org", "203.0.113.77", "2001:db8:1:2::3"):
            assert text in bundle[0]
            assert text not in bundle[1]
        assert "203.0.x.x" in bundle[1]
