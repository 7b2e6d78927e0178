#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mail of a real server through the real relay and the real daemon to a desktop: run by tests/mail-interop.sh."""

import argparse
import base64
import json
import pathlib
import statistics
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
for folder in (HERE, HERE.parent / "bus", HERE.parent / "integration"):
    sys.path.insert(0, str(folder))

from harness.process import wait_until  # noqa: E402
from james import James, fetch_jars  # noqa: E402
from mail import Person  # noqa: E402
from stalwart import Stalwart  # noqa: E402

CORE, MAIL = "urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"
SYSTEM_CA = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
ROUNDS, APART = 5, 4.0  # mails that are timed, and the seconds between them, in which servers send what they held back


class Mailbox:
    """The user's own look at the server."""

    def __init__(self, server):
        token = base64.b64encode(f"{server.user}:{server.password}".encode()).decode()
        self.headers = {
            "Authorization": f"Basic {token}", "Content-Type": "application/json",
            "Accept": "application/json; jmapVersion=rfc-8621",
        }  # fmt: skip
        session = self.ask(server.well_known)
        self.api, self.account = session["apiUrl"], session["primaryAccounts"][MAIL]

    def ask(self, url, body=None):
        with urllib.request.urlopen(urllib.request.Request(url, body, self.headers)) as answer:
            return json.load(answer)

    def call(self, method, **arguments):
        body = {"using": [CORE, MAIL], "methodCalls": [[method, arguments, "0"]]}
        return self.ask(self.api, json.dumps(body).encode())["methodResponses"][0][1]

    def find(self, subject):
        ids = self.call("Email/query", accountId=self.account, filter={})["ids"]
        mails = self.call("Email/get", accountId=self.account, ids=ids, properties=["subject", "keywords"])["list"]
        return next((mail for mail in mails if mail["subject"] == subject), None)

    def is_seen(self, subject):
        return self.find(subject)["keywords"].get("$seen", False)

    def see(self, subject):
        update = {self.find(subject)["id"]: {"keywords/$seen": True}}
        assert "notUpdated" not in self.call("Email/set", accountId=self.account, update=update)

    def subscriptions(self):
        return self.call("PushSubscription/get", ids=None)["list"]


def step(words):
    print(f"  {words}", flush=True)


def add(person, server):
    """`bellwire jmap add`, as a user types it; a function for its sisters."""

    def jmap(word, *words, text=None):
        where = ("--config", person.flags["config"], "--state-dir", person.daemon.state_dir) if word != "test" else ()
        done = person.tool("jmap", word, *words, *where, text=text, timeout=150)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout.strip()

    words = ("--name", "work", "--user", server.user, "--secret-store", "file", "--on-change", person.recorder("runs"))
    step(jmap("add", server.well_known, *words, "--no-start", text=server.password + "\n"))
    person.wait_way("push")
    return jmap


def check(person, server):
    mailbox = Mailbox(server)
    server.deliver("before we came")
    person.wait(lambda: mailbox.find("before we came"), 20, "the first mail")
    person.start(is_verified=False)
    jmap = add(person, server)
    took = []
    for number in range(ROUNDS):
        began = time.monotonic()
        server.deliver(f"mail {number}")
        person.wait_mail(f"mail {number}")
        took.append((time.monotonic() - began) * 1000)
        time.sleep(APART)
    step(f"mail given to the server -> notice: {', '.join(f'{ms:.0f}' for ms in took)} ms, median {statistics.median(took):.0f}")
    assert not person.desktop.about("before we came")
    runs = person.records("runs", 1)
    assert any("inbox" in run["mailboxes"].lower() for run in runs), runs
    step("the command ran, told of the inbox")
    person.desktop.act(person.desktop.about("mail 0")[0], "read")
    person.wait(lambda: mailbox.is_seen("mail 0"), 20, "mail 0 marked as read")
    step("marked as read from its notice")
    mailbox.see("mail 1")
    person.desktop.wait_withdrawn(person.desktop.about("mail 1")[0])
    step("read elsewhere: its notice went")
    person.daemon.stop()
    server.deliver("while we were away")
    person.daemon.start()
    person.wait_mail("while we were away")
    step("shown after a restart")
    person.relay.stop()
    server.deliver("without a relay")
    person.wait_mail("without a relay", 60)
    step("found by looking while the relay was down")
    person.relay.start()
    person.wait_way("push", timeout=60)
    server.deliver("with the relay again")
    person.wait_mail("with the relay again", 90)  # Stalwart tries again after a minute
    step("pushed again")
    step(jmap("test", "work"))
    ours = mailbox.subscriptions()
    jmap("remove", "work")
    wait_until(lambda: not mailbox.subscriptions(), 20, f"the end of {ours}")
    step("removed: the server has no push subscription left")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("james", "stalwart"))
    parser.add_argument("--program", help="of Stalwart")
    parser.add_argument("--cache", type=pathlib.Path, help="where James's jars are kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bellwire-mail-") as directory:
        directory = pathlib.Path(directory)
        (directory / "person").mkdir()
        person = Person(directory / "person", is_secure=options.kind == "stalwart")
        server = None
        try:
            if options.kind == "james":
                server = James(directory / "james", fetch_jars(options.cache))
            else:
                bundle = directory / "bundle.pem"
                bundle.write_text(pathlib.Path(person.flags["ca_file"]).read_text() + SYSTEM_CA.read_text())
                server = Stalwart(directory / "stalwart", options.program, bundle)
            print(f"mail-interop: {options.kind}", flush=True)
            check(person, server)
        finally:
            person.finish()
            if server:
                server.finish()
    print(f"mail-interop: {options.kind}: all steps passed")


if __name__ == "__main__":
    main()
