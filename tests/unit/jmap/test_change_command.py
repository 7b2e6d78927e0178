# SPDX-License-Identifier: Apache-2.0
"""Commands after changes: what they are told, one at a time, and how they can go wrong."""

import json
import os
import time

import pytest
from harness.distributor import RECORD
from harness.process import wait_until
from harness.scripted import Scripted
from manager import fake_manager

BINARY = os.environ["CHANGE_DRIVER"]
# holds a run until the test lets it go
HELD = "while [ ! -e go ]; do sleep 0.02; done"


class Command(Scripted):
    """A command that writes down its run, then goes on with a shell script, in the directory of the test."""

    def __init__(self, directory, script, env, timeout_ms=60000, words=None):
        self.directory = directory
        self.records = directory / "runs"
        (directory / "record.py").write_text(RECORD)
        words = words or ["/usr/bin/python3", "-S", directory / "record.py", self.records, *([script] if script else [])]
        super().__init__([BINARY, timeout_ms, *words], directory / "driver.log", {**env, "HOME": str(directory)})

    def note(self, reason="push", account="-", kind="-", mailbox="-", new=0):
        self.send(f"note {reason} {account} {kind} {mailbox} {new}")

    def go(self):
        """Ends a run that is HELD, after the driver has done all that it was sent."""
        self.send("say told")
        self.expect("told")
        (self.directory / "go").touch()

    def runs(self, count=None, timeout=20):
        def found():
            lines = self.records.read_text().splitlines(keepends=True) if self.records.exists() else []
            return [json.loads(line) for line in lines if line.endswith("\n")]

        if count:
            wait_until(lambda: len(found()) >= count, timeout, f"{count} runs")
        return found()

    def wait_ended(self, count=1, words="command ran command=work-mail"):
        wait_until(lambda: self.log().count(words) >= count, 20, f"{count} ends in {self.log()}")


@pytest.fixture
def command(tmp_path):
    made = []

    def start(script="", env=None, **options):
        made.append(Command(tmp_path, script, env or {}, **options))
        return made[-1]

    yield start
    for one in made:
        one.finish()


def test_what_a_run_is_told(command):
    c = command("echo hello; pwd; cat; echo error >&2")
    c.note("start", "a1", "Email", "Inbox", 2)
    c.note("push", "a1", "Mailbox", "Lists/dev%0aX=1%1b[1m%e2%80%aeb", 1)
    c.note("-", "a2", "Email", "%ff" + "m" * 400)
    c.send("run")
    (run,) = c.runs(1)
    mailboxes = run.pop("mailboxes").split("\n")
    assert mailboxes == ["Inbox", "Lists/dev X=1[1mb", "\ufffd" + "m" * 252 + "\u2026"]
    del run["pid"]
    assert run == {
        "login": "work", "reason": "push", "accounts": "a1 a2", "types": "Email Mailbox", "new": "3", "input": "",
    }  # fmt: skip
    c.wait_ended()
    for said in ("hello", str(c.directory), "error"):
        assert f'command says command=work-mail text="{said}"' in c.log()
    assert 'command ran command=work-mail reason="push" new=3 ' in c.log()


def test_nothing_noted_is_nothing_to_do(command):
    c = command()
    c.send("run", "note poll - - - 0", "run", "run")
    c.wait_ended()
    c.send("run", "note stream - - - 0", "run")
    c.wait_ended(2)
    assert [r["reason"] for r in c.runs()] == ["poll", "stream"]


def test_one_at_a_time(command):
    """What comes meanwhile is one more run with everything; what was only noted waits for its run."""
    c = command(HELD)
    c.note(kind="Email", new=1)
    c.send("run")
    c.runs(1)
    for i in range(100):
        c.note(kind="Email", mailbox=f"m{i % 80}", new=1)
        c.send("run")
    c.note(kind="Mailbox")
    c.go()
    c.wait_ended(2)
    first, second = c.runs()
    assert (first["new"], second["new"], second["types"]) == ("1", "100", "Email Mailbox")
    assert second["mailboxes"].split("\n") == [f"m{i}" for i in range(64)]
    c.note(kind="Thread")
    c.send("run")
    c.wait_ended(3)
    assert [r["types"] for r in c.runs()][2:] == ["Thread"]


def test_only_noted_while_it_runs(command):
    c = command(HELD)
    c.note(kind="Email")
    c.send("run")
    c.runs(1)
    c.note(kind="Mailbox")
    c.go()
    c.wait_ended(1)
    c.send("run")
    c.wait_ended(2)
    assert [r["types"] for r in c.runs()] == ["Email", "Mailbox"]


def test_time_limit(command, desktop, session):
    c = command("sleep 1000", session.env, timeout_ms=300)
    c.note()
    c.send("run")
    c.wait_ended(1, "command ran too long and was ended command=work-mail")
    (notice,) = desktop.wait("longer")
    assert notice.title == "python3 for work failed"


def test_a_failure_is_shown_once_until_it_goes_well(command, desktop, session):
    c = command("test -e good || exit 7", session.env)
    for i in range(3):
        c.note(new=1)
        c.send("run")
        c.wait_ended(i + 1, "command failed command=work-mail")
    (notice,) = desktop.wait("status 7")
    assert (notice.title, notice.actions) == ("python3 for work failed", {})
    (c.directory / "good").touch()
    c.note(new=1)
    c.send("run")
    c.wait_ended(1)
    desktop.wait_withdrawn(notice)
    assert [r["new"] for r in c.runs()] == ["1", "2", "3", "4"], "a failed run's changes come with the next"
    (c.directory / "good").unlink()
    c.note(new=1)
    c.send("run")
    desktop.wait("status 7", 2)
    assert len(desktop.notices()) == 2 and c.runs()[4]["new"] == "1"


def test_tried_again_by_itself(command):
    """After 10 s, with the changes of the run that failed and those that were noted meanwhile."""
    c = command("test -e good || exit 75")
    c.note("push", "a1", "Email", new=1)
    began = time.monotonic()
    c.send("run")
    c.wait_ended(1, "command asks to be tried again command=work-mail")
    (c.directory / "good").touch()
    c.note("poll", "a2", "Mailbox", new=2)
    c.wait_ended(1)
    assert 8 < time.monotonic() - began < 30
    again = c.runs()[1]
    assert (again["reason"], again["new"], again["accounts"]) == ("poll", "3", "a1 a2")


def test_what_cannot_be_started(command, desktop, session):
    c = command(env=session.env, words=["/nonexistent/mbsync", "work"])
    c.note()
    c.send("run")
    (notice,) = desktop.wait("could not be started")
    assert notice.title == "mbsync for work failed" and "No such file" in notice.text
    c.wait_ended(1, 'command did not start command=work-mail reason="push"')


def test_ended_with_the_daemon(command):
    """SIGTERM, and nobody waits for it."""
    c = command("trap 'touch ended; exit' TERM; touch started; while :; do sleep 0.02; done")
    c.note()
    c.send("run")
    wait_until(lambda: (c.directory / "started").exists(), 20, "the run")
    c.finish()
    wait_until(lambda: (c.directory / "ended").exists(), 20, "its end")


@pytest.mark.parametrize("words", [[], ["refuse"]])
def test_as_a_unit(command, session, words):
    manager = fake_manager(session, *words)
    try:
        c = command("exit 3", session.env)
        c.wait_log("systemd's user manager is here")
        c.note(kind="Email")
        c.send("run")
        c.wait_ended(1, "command failed command=work-mail")
        assert "status=3" in c.log() and c.runs()[0]["types"] == "Email"
        (request,) = manager.requests("start")
        assert request["name"].startswith("bellwire-command-work-mail-")
        assert ("it runs as a child command=work-mail" in c.log()) == bool(words)
    finally:
        manager.finish()
