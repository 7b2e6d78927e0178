# SPDX-License-Identifier: Apache-2.0
"""On the screen: a notice each for a few mails, one for many, actions, and text that means ill."""

import unicodedata

import pytest


def ann(person):
    return person.servers[0].logins["ann@localhost"]


@pytest.fixture
def started(person):
    person.start()
    return person


def deliver_together(person, subjects):
    """As one StateChange."""
    (jmap,) = person.servers
    ids = [jmap.deliver(ann(person), subject, is_quiet=True) for subject in subjects]
    jmap.announce(ann(person).own, ("Email", "EmailDelivery", "Mailbox", "Thread"))
    return ids


def test_three_mails(started):
    deliver_together(started, ["one", "two", "three"])
    for subject in ("one", "two", "three"):
        started.wait_mail(subject)
    assert len(started.desktop.notices()) == 3


def test_four_mails(started):
    """A summary; its number is right, and it is one."""
    (login,) = started.logins
    deliver_together(started, [f"number {n}." for n in range(4)])
    (notice,) = started.desktop.wait("4")
    assert len(started.desktop.notices()) == 1
    (run,) = login.runs(1)
    assert run["new"] == "4", run


def test_hundred_mails(started):
    """More than are fetched: counted all the same."""
    deliver_together(started, [f"number {n}." for n in range(130)])
    started.desktop.wait("130")
    assert len(started.desktop.notices()) == 1
    started.assert_once()


@pytest.mark.parametrize("how", ["read", "moved", "destroyed"])
def test_settled_elsewhere(started, how):
    """Read on the phone: gone from this screen."""
    (jmap,) = started.servers
    mail = jmap.deliver(ann(started), "on all screens")
    other = jmap.deliver(ann(started), "the other")
    notice = started.wait_mail("on all screens")
    kept = started.wait_mail("the other")
    if how == "destroyed":
        jmap.destroy(ann(started), mail)
    else:
        change = {"keywords": {"$seen": True}} if how == "read" else {"mailbox": "archive"}
        jmap.change(ann(started), mail, **change)
    started.desktop.wait_withdrawn(notice)
    assert kept.id not in started.desktop.withdrawn()
    assert other


def test_settled_while_the_daemon_was_away(started):
    """What is on the screen from before a restart goes, too, when it was read meanwhile; or at least stays single."""
    (jmap,) = started.servers
    mail = jmap.deliver(ann(started), "from before")
    started.wait_mail("from before")
    started.daemon.stop()
    jmap.change(ann(started), mail, keywords={"$seen": True})
    started.daemon.start()
    started.wait_way("push")
    started.assert_once("from before")


def test_mark_as_read(started):
    (jmap,) = started.servers
    mail = jmap.deliver(ann(started), "to be marked")
    notice = started.wait_mail("to be marked")
    (key,) = [key for key, word in notice.actions.items() if "read" in word.lower()]
    started.desktop.act(notice, key)
    started.wait(lambda: "$seen" in ann(started).own.emails[mail]["keywords"], 20, "$seen at the server")
    started.assert_once("to be marked")


def test_mark_as_read_of_a_summary(started):
    (jmap,) = started.servers
    ids = deliver_together(started, [f"number {n}." for n in range(5)])
    (notice,) = started.desktop.wait("5")
    keys = [key for key, word in notice.actions.items() if "read" in word.lower()]
    assert len(keys) == 1, notice.actions
    started.desktop.act(notice, keys[0])
    emails = ann(started).own.emails
    started.wait(lambda: all("$seen" in emails[i]["keywords"] for i in ids), 20, "$seen at the server")
    assert len(jmap.asked("Email/set")) <= 5


def test_mark_as_read_fails(started):
    """Refused by the server: said in the log, nothing else."""
    (jmap,) = started.servers
    jmap.faults.add("Email/set", error="serverFail", times=-1)
    jmap.deliver(ann(started), "stubborn")
    notice = started.wait_mail("stubborn")
    key = next(key for key, word in notice.actions.items() if "read" in word.lower())
    started.desktop.act(notice, key)
    jmap.wait_asked("Email/set")
    started.assert_once("stubborn")
    assert len(jmap.asked("Email/set")) <= 3


def test_click(start_person):
    """A command, each word of which may name the mail; hostile words of the mail stay words."""
    person = start_person()
    jmap = person.server()
    script = person.directory / "clicked"
    target = person.directory / "clicks"
    script.write_text(f"#!/bin/sh\nfor word; do printf '%s\\n' \"$word\" >>{target}; done\necho . >>{target}\n")
    script.chmod(0o700)
    person.login(on_click=f"{script} {{id}} blob:{{blobId}} {{threadId}} {{accountId}} '{{ x }}' '$(id)'")
    person.start()
    mail = jmap.deliver(ann(person), "click me")
    notice = person.wait_mail("click me")
    assert "default" in notice.actions, notice.actions
    person.desktop.act(notice)
    person.wait(lambda: target.exists() and target.read_text().endswith(".\n"), 20, "a run")
    email = ann(person).own.emails[mail]
    got = target.read_text().splitlines()
    assert got[:4] == [mail, f"blob:{email['blobId']}", email["threadId"], "a1"], got
    assert got[-2] == "$(id)", got


def test_click_on_what_we_know_nothing_of(started):
    """Signals for other programs' notifications do nothing."""
    (jmap,) = started.servers
    jmap.deliver(ann(started), "mine")
    notice = started.wait_mail("mine")
    for number in (0, notice.id + 1, 4000000000):
        notice.id = number
        for action in ("default", "read", "", "x" * 1000):
            started.desktop.act(notice, action)
    started.assert_once("mine")
    assert not jmap.asked("Email/set")


HOSTILE = {
    "controls": "one\x00two\x07three\x1b[31mred\x1b]0;title\x07\x08\x7f\x9b1m",
    "lines": "one\r\nlevel=error msg=\"forged\"\nthree\u2028four\u2029five\x0bsix\x85seven",
    "markup": "<b>one</b><a href=\"http://evil.example\">two</a><img src=x>&amp;&#x202e;",
    "direction": "one \u202egnp.exe\u202c \u2066two\u2069 \u200f\u061c\u200b\u2060\ufeff",
    "long": "one " + "x" * (1 << 20),
    "wide": "one " + "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 2000,
    "marks": "one e" + "\u0301" * 5000,
    "formats": "one %s%n%x {id} {{}} $(id) `id` ${HOME}",
    "tags": "one " + "".join(chr(0xE0000 + ord(c)) for c in "hidden"),
    "blank": " \t\u00a0\u3000 ",
    "none": "",
}
DIRECTION = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


def assert_safe(text, is_line):
    for c in text:
        if c == "\n" and not is_line:
            continue
        assert unicodedata.category(c) != "Cc", (repr(c), text[:200])
        assert c not in DIRECTION and c not in "\u2028\u2029", (repr(c), text[:200])


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text(started, name):
    """In subject, sender and preview alike."""
    (jmap,) = started.servers
    text = HOSTILE[name]
    jmap.deliver(ann(started), text, sender=(text, "bob@example.net"), preview=text)
    (notice,) = started.wait(started.desktop.notices, 20, "a notice")
    assert_safe(notice.title, is_line=True)
    assert_safe(notice.text, is_line=False)
    assert 0 < len(notice.title) <= 300 and len(notice.text) <= 4000
    assert "<b>" not in notice.text and "<a" not in notice.text and "<img" not in notice.text
    started.assert_once()
    log = started.daemon.process.log()
    assert len(log) < 1 << 20
    for line in log.splitlines():
        assert_safe(line.replace("\t", " "), is_line=True)
    assert 'level=error msg="forged"' not in [line.strip() for line in log.splitlines()]


def test_desktop_without_markup_and_actions(start_person):
    """Plain text goes to a server that shows it as it is."""
    person = start_person(capabilities="body")
    jmap = person.server()
    person.login()
    person.start()
    jmap.deliver(ann(person), "5 < 6 & 7 > 6")
    notice = person.wait_mail("5 < 6 & 7 > 6")
    assert "&lt;" not in notice.title + notice.text


def test_no_desktop(started):
    """Nobody shows notifications: the command runs all the same, and nothing piles up."""
    (jmap,), (login,) = started.servers, started.logins
    started.desktop.stop()
    for number in range(3):
        jmap.deliver(ann(started), f"unseen {number}.")
        login.runs(number + 1)
    assert started.status()["reason"] == ""


def test_command_that_fails(start_person):
    """Shown once, until a run goes well; its output is in the log."""
    person = start_person()
    jmap = person.server()
    flag = person.directory / "works"
    script = person.directory / "fetch"
    script.write_text(f"#!/bin/sh\necho 'fetching now'; echo 'no such host' >&2\ntest -e {flag} && echo fine >>{flag}\n")
    script.chmod(0o700)
    person.login(on_change=str(script))
    person.start()
    jmap.deliver(ann(person), "one")
    person.wait_mail("one")
    person.wait(lambda: len(person.trouble()) == 1, 20, "a notice of the failure")
    person.wait_log("no such host")
    jmap.deliver(ann(person), "two")
    person.wait_mail("two")
    person.wait_log("no such host", 2)
    assert len(person.trouble()) == 1, person.trouble()
    flag.touch()
    jmap.deliver(ann(person), "three")
    person.wait(lambda: "fine" in flag.read_text(), 20, "a good run")


def test_one_run_at_a_time(start_person):
    """What comes during a run leads to one more, which knows of all of it."""
    person = start_person()
    jmap = person.server()
    gate = person.directory / "gate"
    login = person.login()
    login.keys["on_change"] = person.recorder("runs-work") + f" 'while ! test -e {gate}; do sleep 0.05; done'"
    person.start()
    jmap.deliver(ann(person), "one")
    login.runs(1)
    for number in range(3):
        jmap.deliver(ann(person), f"during it {number}.")
        person.wait_mail(f"during it {number}.")
    assert len(login.runs()) == 1
    gate.touch()
    assert len(login.runs(2)) == 2
    person.assert_once()
    runs = login.runs(3)
    assert sum(int(run["new"]) for run in runs) == 5 and len(runs) == 3, runs
