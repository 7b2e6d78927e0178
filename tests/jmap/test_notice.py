# SPDX-License-Identifier: Apache-2.0
"""Notices of mail: a few, many, settled elsewhere, clicked, marked as read; text that means ill; commands of clicks."""

import json
import os
import re
import shutil
import unicodedata

import pytest
from desktop import Desktop
from harness.process import wait_until
from manager import fake_manager, real_manager


@pytest.fixture
def desktop(session):
    instance = Desktop(session)
    yield instance
    instance.process.kill()


@pytest.fixture
def start(start_sync, session, tmp_path):
    """Beside a session bus; its first run is done."""

    def start(path=os.environ["PATH"], **keys):
        sync = start_sync(env={**session.env, "PATH": path}, **keys)
        sync.run()
        return sync

    return start


def deliver(jmap, ann, *subjects, **more):
    return [jmap.deliver(ann, subject, is_quiet=True, **more) for subject in subjects]


def titles(desktop):
    return [notice.title for notice in desktop.notices()]


def test_a_few(jmap, ann, start, desktop):
    sync = start()
    deliver(jmap, ann, "One", sender=("Bob", "bob@example.net"), preview="Dear Ann,\nhow are you?")
    deliver(jmap, ann, "Two", sender=("", "eve@example.net"), preview="")
    deliver(jmap, ann, "", sender=(None, None), preview="only this")
    sync.run()
    (one,), (two,), (three,) = desktop.wait("One"), desktop.wait("Two"), desktop.wait("only this")
    assert (one.title, one.text) == ("Bob", "One\nDear Ann, how are you?")
    assert (two.title, two.text) == ("eve@example.net", "Two")
    assert (three.title, three.text) == ("New mail", "(no subject)\nonly this")
    assert one.actions == {"read": "Mark as read"} and one.urgency == 1
    hints = desktop.mock.GetMethodCalls("Notify")[0][1][6]
    assert hints["category"] == "email.arrived" and hints["desktop-entry"] == "bellwire-distributor"


def test_many_are_one(jmap, ann, start, desktop):
    """A summary with senders; it shrinks as mails are read elsewhere, and goes with the last."""
    sync = start()
    ids = deliver(jmap, ann, "a", "b", sender=("Bob", "b@x")) + deliver(jmap, ann, "c", sender=("Eve", "e@x"))
    ids += deliver(jmap, ann, "d", sender=("", ""))
    sync.run()
    (notice,) = desktop.wait("4 new mails")
    assert (notice.title, notice.text) == ("4 new mails for work", "(no sender), Eve, Bob (2)")
    jmap.change(ann, ids[0], keywords={"$seen": True})
    jmap.destroy(ann, ids[3])
    sync.run()
    (again,) = desktop.wait("2 new mails")
    assert (again.id, again.replaces, again.text) == (notice.id, notice.id, "Eve, Bob")
    assert len(desktop.notices()) == 2, "shown anew once for both"
    deliver(jmap, ann, *"efgh", sender=("Zoe", "z@x"))
    sync.run()
    (more,) = desktop.wait("6 new mails")
    assert (more.replaces, more.text) == (notice.id, "Zoe (4), Eve, Bob")
    for mail in list(ann.own.emails):
        jmap.change(ann, mail, keywords={"$seen": True})
    sync.run()
    desktop.wait_withdrawn(notice)
    deliver(jmap, ann, *"ijkl", sender=("New", "n@x"))
    sync.run()
    (fresh,) = desktop.wait("4 new mails", 2)[1:]
    assert fresh.replaces == 0 and fresh.text == "New (4)"


def test_very_many(jmap, ann, start, desktop):
    """Of most only the number is known; when all that are known are read, it goes."""
    sync = start()
    for number in range(300):
        deliver(jmap, ann, f"m{number}", sender=(f"Sender {number}", "x@y"))
    sync.run()
    (notice,) = desktop.wait("300 new mails")
    assert notice.text == "Sender 299, Sender 298, Sender 297, Sender 296, Sender 295 and others"
    for mail in list(ann.own.emails)[250:]:
        jmap.change(ann, mail, keywords={"$seen": True})
    sync.run()
    desktop.wait_withdrawn(notice)


@pytest.mark.parametrize("how", ["read", "moved", "destroyed"])
def test_settled_elsewhere(jmap, ann, start, desktop, how):
    sync = start()
    mail, _ = deliver(jmap, ann, "settled", "kept")
    sync.run()
    (notice,), (kept,) = desktop.wait("settled"), desktop.wait("kept")
    if how == "destroyed":
        jmap.destroy(ann, mail)
    else:
        jmap.change(ann, mail, **({"mailbox": "archive"} if how == "moved" else {"keywords": {"$seen": True}}))
    sync.run()
    desktop.wait_withdrawn(notice)
    assert desktop.withdrawn() == [notice.id] and kept.id != notice.id


def test_mark_as_read(jmap, ann, start, desktop):
    sync = start()
    one, two = deliver(jmap, ann, "one", "two")
    sync.run()
    (notice,) = desktop.wait("one")
    desktop.act(notice, "nothing that we offered")
    desktop.act(notice, "default")
    desktop.act(notice, "read")
    wait_until(lambda: "$seen" in ann.own.emails[one]["keywords"], 20, "the mark")
    desktop.wait_withdrawn(notice)
    assert "$seen" not in ann.own.emails[two]["keywords"]
    sync.run()
    assert sync.settled() == [], "it is not on the screen any more"


def test_mark_a_summary_as_read(jmap, ann, start, desktop):
    sync = start()
    ids = deliver(jmap, ann, *(f"m{n}" for n in range(40)))
    sync.run()
    (notice,) = desktop.wait("40 new mails")
    desktop.act(notice, "read")
    wait_until(lambda: all("$seen" in ann.own.emails[i]["keywords"] for i in ids), 20, "the marks")
    assert len(jmap.asked("Email/set")) <= 3
    desktop.wait_withdrawn(notice)


def test_dismissed_by_the_user(jmap, ann, start, desktop):
    """What was closed is not asked for again, nor withdrawn."""
    sync = start()
    mail, _ = deliver(jmap, ann, "dismissed", "kept")
    sync.run()
    (notice,) = desktop.wait("dismissed")
    desktop.close_one(notice.id)
    jmap.change(ann, mail, keywords={"$seen": True})
    wait_until(lambda: sync.run() and mail not in json.dumps(jmap.asked()[-1].body), 20, "it is forgotten")
    assert desktop.withdrawn() == []


def test_another_one_takes_its_place(jmap, ann, start, desktop):
    """After a reload: what is shown stays, does nothing any more, and is not replaced by chance."""
    sync = start()
    (mail,) = deliver(jmap, ann, "from before")
    sync.run()
    (notice,) = desktop.wait("from before")
    sync.send("again")
    deliver(jmap, ann, "afterwards")
    sync.run()
    (after,) = desktop.wait("afterwards")
    assert after.replaces == 0
    desktop.act(notice, "read")
    desktop.act(after, "read")
    desktop.wait_withdrawn(after)
    assert "$seen" not in ann.own.emails[mail]["keywords"]


def test_more_notices_than_are_known(jmap, ann, start, desktop):
    """The oldest stay on the screen, and nothing grows."""
    sync = start()
    ids = []
    for number in range(40):
        ids += deliver(jmap, ann, f"mail {number}.")
        sync.run()
    desktop.wait("mail 39.")
    for mail in ids:
        jmap.change(ann, mail, keywords={"$seen": True})
    sync.run()
    desktop.wait_withdrawn(desktop.about("mail 39.")[0])
    wait_until(lambda: len(desktop.withdrawn()) == 32, 20, "those that are known")


def test_trouble(start, desktop):
    sync = start()
    sync.send("trouble The password is wrong <b>\u202e")
    (notice,) = desktop.wait("password")
    assert (notice.title, notice.text, notice.actions) == ("No mail for work", "The password is wrong &lt;b&gt;", {})
    sync.send("trouble The account is locked")
    (locked,) = desktop.wait("locked")
    assert locked.replaces == notice.id
    sync.send("trouble")
    desktop.wait_withdrawn(notice)


def test_desktop_that_comes_late(jmap, ann, start, session):
    """As at a login: what came before there was a screen is shown on it, unless it was read meanwhile."""
    sync = start()
    _, second, _ = deliver(jmap, ann, "one.", "two.", "three.")
    sync.run()
    sync.wait_log("notifications wait for a program that shows them")
    jmap.change(ann, second, keywords={"$seen": True})
    sync.run()
    desktop = Desktop(session)
    desktop.wait("one.")
    desktop.wait("three.")
    assert not desktop.about("two.")
    desktop.stop()


# ---- clicks ----


def clicker(tmp_path):
    """A command that writes its words and its token down, and goes on."""
    script, target = tmp_path / "clicked", tmp_path / "clicks"
    script.write_text(
        f"#!/bin/sh\nfor word; do printf '%s\\n' \"$word\"; done >{target}.new\n"
        f'echo "token=$XDG_ACTIVATION_TOKEN login=$BELLWIRE_LOGIN" >>{target}.new; mv {target}.new {target}\n'
        f"while [ -e {tmp_path}/held ]; do sleep 0.02; done; touch {tmp_path}/finished\n"
    )
    script.chmod(0o700)
    return script, target


def read_clicks(target):
    wait_until(target.exists, 20, "a click's run")
    return target.read_text().splitlines()


def test_click_runs_a_command(jmap, ann, start, desktop, tmp_path):
    script, target = clicker(tmp_path)
    sync = start(on_click=f"{script} {{id}} x{{blobId}}y {{threadId}}{{accountId}} '{{ }} {{x}}' '$HOME;`id`'".replace("{x}", "{-"))
    (mail,) = deliver(jmap, ann, "click me")
    sync.run()
    (notice,) = desktop.wait("click me")
    assert notice.actions == {"default": "Open", "read": "Mark as read"}
    desktop.act(notice, token="token-1")
    email = ann.own.emails[mail]
    assert read_clicks(target) == [
        mail, f"x{email['blobId']}y", f"{email['threadId']}a1", "{ } {-", "$HOME;`id`", "token=token-1 login=work",
    ]  # fmt: skip
    assert "$seen" not in email["keywords"]


def test_click_on_a_summary_is_the_newest(jmap, ann, start, desktop, tmp_path):
    script, target = clicker(tmp_path)
    sync = start(on_click=f"{script} {{id}}")
    ids = deliver(jmap, ann, *"abcdef")
    sync.run()
    desktop.act(desktop.wait("6 new mails")[0])
    assert read_clicks(target) == [ids[-1], "token= login=work"]


def test_what_a_click_started_outlives_us(jmap, ann, start, desktop, tmp_path):
    script, target = clicker(tmp_path)
    (tmp_path / "held").touch()
    sync = start(on_click=f"{script} {{id}}")
    deliver(jmap, ann, "click me")
    sync.run()
    desktop.act(desktop.wait("click me")[0])
    read_clicks(target)
    sync.finish()
    (tmp_path / "held").unlink()
    wait_until((tmp_path / "finished").exists, 20, "its own end")


@pytest.mark.parametrize("kind", ["real", "fake"])
def test_a_click_as_a_unit(jmap, ann, start_sync, session, tmp_path, kind):
    """What it leaves behind lives on, too; a unit of its own, among the user's apps."""
    manager = real_manager(session) if kind == "real" else fake_manager(session)
    desktop = Desktop(session)
    try:
        script, left = tmp_path / "clicked", tmp_path / "left"
        (tmp_path / "held").touch()
        script.write_text(f"#!/bin/sh\n(while [ -e {tmp_path}/held ]; do sleep 0.02; done; touch {left}) &\necho $PPID >{tmp_path}/parent\n")
        script.chmod(0o700)
        sync = start_sync(env={**session.env, "HOME": str(tmp_path)}, on_click=str(script))
        sync.wait_log("systemd's user manager is here")
        sync.run()
        deliver(jmap, ann, "click me")
        sync.run()
        desktop.act(desktop.wait("click me")[0])
        parent = tmp_path / "parent"
        wait_until(lambda: parent.exists() and parent.read_text(), 20, "the run")
        assert int(parent.read_text()) != sync.child.pid
        sync.finish()
        assert "command work-click" not in sync.log() and "it runs as a child" not in sync.log()
        if kind == "fake":
            (request,) = manager.requests("start")
            assert request["name"].startswith("bellwire-command-work-click-")
            wanted = {"Slice": "app.slice", "ExitType": "cgroup"}
            assert wanted.items() <= request["properties"].items() and "RuntimeMaxUSec" not in request["properties"]
        (tmp_path / "held").unlink()
        wait_until(left.exists, 20, "what it left behind")
    finally:
        desktop.process.kill()
        manager.finish()


def test_an_id_is_no_option(jmap, ann, start, desktop, tmp_path):
    """A server that names a mail like an option of the command."""
    script, target = clicker(tmp_path)
    sync = start(on_click=f"{script} {{blobId}}")
    deliver(jmap, ann, "evil", blobId="--exec")
    deliver(jmap, ann, "odd", blobId="$(touch x); \u202e")
    sync.run()
    (notice,) = desktop.wait("evil")
    desktop.act(notice)
    sync.wait_log("on_click is not run")
    assert not target.exists()
    desktop.act(desktop.wait("odd")[0])
    assert read_clicks(target)[0] == "", "no Id: as if it had none"


@pytest.mark.parametrize("openers", [("xdg-open",), ("gio",), ("xdg-open", "gio")])
def test_click_opens_a_url(jmap, ann, start, desktop, tmp_path, openers):
    """By xdg-open, and by gio where that is not there or finds nothing."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("cat", "sh", "mv"):
        (programs / name).symlink_to(shutil.which(name))
    for name in openers:
        status = 3 if len(openers) == 2 and name == "xdg-open" else 0
        (programs / name).write_text(f'#!/bin/sh\necho {name} "$@" "$XDG_ACTIVATION_TOKEN" >>{tmp_path}/opened\nexit {status}\n')
        (programs / name).chmod(0o700)
    sync = start(path=str(programs), open_url="https://webmail.example/{accountId}/{id}?t={threadId}", password_command="/bin/echo secret")
    (mail,) = deliver(jmap, ann, "open me")
    sync.run()
    desktop.act(desktop.wait("open me")[0], token="token-2")
    url = f"https://webmail.example/a1/{mail}?t={ann.own.emails[mail]['threadId']} token-2"
    wanted = [f"{name} open {url}" if name == "gio" else f"{name} {url}" for name in openers]
    opened = tmp_path / "opened"
    wait_until(lambda: opened.exists() and opened.read_text().splitlines() == wanted, 20, f"{wanted}")


def test_nothing_opens_a_url(jmap, ann, start, desktop, tmp_path):
    sync = start(path=str(tmp_path), open_url="https://webmail.example/{id}", password_command="/bin/echo secret")
    deliver(jmap, ann, "open me")
    sync.run()
    desktop.act(desktop.wait("open me")[0])
    wait_until(lambda: sync.log().count("command did not start command=work-click") == 2, 20, "both failures")


# ---- hostile text ----

HOSTILE = {
    "controls": "one\x07two\x1b[31mred\x1b]0;title\x07\x08\x7f\x9b1m",
    "lines": 'one\r\nlevel=error msg="forged"\nthree\u2028four\u2029five\x0bsix\x85seven',
    "markup": '<b>one</b><a href="http://evil.example">two</a><img src=x>&amp;&#x202e;',
    "direction": "one \u202egnp.exe\u202c \u2066two\u2069 \u200f\u061c\u200b\u2060\ufeff",
    "invisible": "\u200b\u2060\ufeff\u202e",
    "long": "one " + "x" * (1 << 20),
    "wide": "one " + "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 2000,
    "formats": "one %s%n%x {id} {{}} $(id) `id` ${HOME}",
}
HIDDEN = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u2028\u2029\u200b\u2060\ufeff")


def assert_safe(text, lines):
    assert len(text.splitlines()) <= lines, text[:200]
    for c in text:
        assert c == "\n" or unicodedata.category(c) != "Cc", (repr(c), text[:200])
        assert c not in HIDDEN, (repr(c), text[:200])


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text(jmap, ann, start, desktop, name, count):
    text = HOSTILE[name]
    sync = start()
    deliver(jmap, ann, *[text] * count, sender=(text, "bob@example.net"), preview=text)
    sync.run()
    (notice,) = wait_until(desktop.notices, 20, "a notice")
    assert_safe(notice.title, 1)
    assert_safe(notice.text, 2)
    assert 0 < len(notice.title) <= 210 and 0 < len(notice.text) <= 1100 * 6
    assert not re.search("<[a-z]", notice.text)
    log = sync.log()
    assert len(log) < 1 << 16
    assert "forged" not in log and "gnp.exe" not in log, "no text of mails stands in the log"
