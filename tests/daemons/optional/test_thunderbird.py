"""Thunderbird is given an address and a password, and finds out everything else from the server's own answers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemons.island import MAIL, Island, IslandServer, can_be_made
from tests.daemons.optional.marionette import Thunderbird, thunderbird
from tests.daemons.server import DOMAIN, OTHER, PASSWORD, USER
from tests.pki import TestAuthority

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("thunderbird") is None, reason="no Thunderbird: ./mailu install --tests"),
]

SET_UP = """
const [domain, email, name, password] = given;
const load = file => ChromeUtils.importESModule(`resource:///modules/accountcreation/${file}.sys.mjs`);
const { FetchConfig } = load("FetchConfig");
const { AccountConfig } = load("AccountConfig");
const { ConfigVerifier } = load("ConfigVerifier");
const { CreateInBackend } = load("CreateInBackend");
const { signal } = new AbortController();
const config = await FetchConfig.fromISP(domain, email, signal);
AccountConfig.replaceVariables(config, name, email, password);
config.rememberPassword = true;
const checked = await new ConfigVerifier({}, signal).verifyConfig(config, false);
const account = await CreateInBackend.createAccountInBackend(checked);
const of = server => ({
    type: server.type, host: server.hostname, port: server.port, security: server.socketType,
    user: server.username, auth: server.auth,
});
return { source: config.source, incoming: of(checked.incoming), outgoing: of(checked.outgoing), key: account.key };
"""

READ = """
const [key, subject] = given;
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const { MsgHdrToMimeMessage } = ChromeUtils.importESModule("resource:///modules/gloda/MimeMessage.sys.mjs");
const account = MailServices.accounts.getAccount(key);
const pause = milliseconds => new Promise(resolve => {
    const timer = Cc["@mozilla.org/timer;1"].createInstance(Ci.nsITimer);
    timer.initWithCallback(resolve, milliseconds, Ci.nsITimer.TYPE_ONE_SHOT);
});
for (let turn = 0; turn < 200; turn++) {
    account.incomingServer.getNewMessages(account.incomingServer.rootFolder, null, null);
    const inbox = account.incomingServer.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
    const found = inbox && [...inbox.messages].find(message => message.mime2DecodedSubject == subject);
    if (found) {
        const mime = await new Promise(resolve => MsgHdrToMimeMessage(found, null, (_, whole) => resolve(whole), true));
        return { from: found.mime2DecodedAuthor, text: mime.coerceBodyToPlaintext(inbox) };
    }
    await pause(300);
}
throw new Error("the message was not seen");
"""

SEND = """
const [key, to, subject, text] = given;
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const account = MailServices.accounts.getAccount(key);
const identity = account.defaultIdentity;
const make = (what, kind) => Cc[`@mozilla.org/messengercompose/${what};1`].createInstance(Ci[kind]);
const fields = make("composefields", "nsIMsgCompFields");
fields.from = identity.email;
fields.to = to;
fields.subject = subject;
fields.body = text;
const parameters = make("composeparams", "nsIMsgComposeParams");
parameters.composeFields = fields;
parameters.identity = identity;
parameters.type = Ci.nsIMsgCompType.New;
parameters.format = Ci.nsIMsgCompFormat.PlainText;
const compose = make("compose", "nsIMsgCompose");
compose.initialize(parameters);
await compose.sendMsg(Ci.nsIMsgSend.nsMsgDeliverNow, identity, account.key, null, null);
"""


@pytest.fixture(scope="module")
def island() -> Iterator[Island]:
    """A machine where the server's names are in DNS."""
    if not can_be_made():
        pytest.skip("no right to make network namespaces here, or no knot: ./mailu install --tests")
    made = Island()
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def authority() -> TestAuthority:
    return TestAuthority.make()


@pytest.fixture(scope="module")
def server(island: Island, authority: TestAuthority) -> Iterator[IslandServer]:
    """A server as people have it: the certificate is for the main host alone."""
    made = IslandServer(island, {"WEBMAIL": "none"})
    authority.issue(made.root / "certs" / "given", MAIL)
    try:
        made.up()
        made.populate()
        island.publish(made.records())
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def client(
    island: Island, server: IslandServer, authority: TestAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Thunderbird]:
    """Thunderbird as it comes out of the box."""
    folder = tmp_path_factory.mktemp("thunderbird")
    (folder / "ca.pem").write_bytes(authority.pem())
    with thunderbird(island, folder, folder / "ca.pem") as made:
        yield made


@pytest.fixture(scope="module")
def account(client: Thunderbird) -> dict[str, Any]:
    """The account that it set up by itself."""
    found: dict[str, Any] = client.run(SET_UP, DOMAIN, USER, "A user", PASSWORD)
    return found


def test_the_account_is_set_up_from_the_answer_of_autoconfig_alone(account: dict[str, Any]) -> None:
    assert account["source"] == "xml", "neither guessed nor from elsewhere"
    over_tls = 3  # Ci.nsMsgSocketType.SSL
    password = 3  # Ci.nsMsgAuthMethod.passwordCleartext
    for direction, kind, port in (("incoming", "imap", 993), ("outgoing", "smtp", 465)):
        found = account[direction]
        assert (found["type"], found["host"], found["port"]) == (kind, MAIL, port)
        assert (found["security"], found["auth"], found["user"]) == (over_tls, password, USER)


def test_it_reads_mail(server: IslandServer, client: Thunderbird, account: dict[str, Any]) -> None:
    server.send(USER, sender=OTHER, subject="for Thunderbird", text="Can you read this?\n")
    found = client.run(READ, account["key"], "for Thunderbird")
    assert OTHER in found["from"]
    assert "Can you read this?" in found["text"]


def test_it_sends_mail(server: IslandServer, client: Thunderbird, account: dict[str, Any]) -> None:
    client.run(SEND, account["key"], OTHER, "from Thunderbird", "I can write, too.\n")
    message = server.wait_for_message(OTHER, subject="from Thunderbird")
    assert message["From"].addresses[0].addr_spec == USER
    assert "I can write, too." in message.get_content()
    assert "Thunderbird" not in str(message["User-Agent"]), "what a message was written with is nobody's business"
