# SPDX-License-Identifier: Apache-2.0
"""`bellwire jmap add` without a daemon: it finds, checks, and keeps; and keeps nothing when the login is not good."""

import json
import os
import signal
import stat
import termios

import pytest
from harness.process import free_port, wait_until
from mail import Keyring
from pusher import Subscription
from tool import Desk, Terminal

ADDED = 3  # kept, but nobody pushes yet
BEFORE = "; mine\n[distributor]\nrelay = wss://push.example/\n\n[hook door]\ncommand = /bin/true\n"


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


@pytest.fixture
def ann(jmap):
    return jmap.login()


# ---- it works ----


def test_a_url_and_a_password(desk, jmap, ann):
    done = desk.add(jmap, "--on-change", "mbsync 'my mail'", "--mailbox", "inbox", "--mailbox", "Sent Items")
    assert done.returncode == ADDED and done.stdout == "", done
    assert desk.text == (
        f"[jmap work]\nuser = ann@localhost\nsession_url = {jmap.well_known}\nmailboxes = inbox 'Sent Items'\n"
        f"on_change = mbsync 'my mail'\nca_file = {jmap.ca_file}\n"
    )
    assert desk.secret() == "secret\n"
    assert stat.S_IMODE(desk.config.stat().st_mode) == 0o600
    assert stat.S_IMODE((desk.state / "secrets/work").stat().st_mode) == 0o600
    for words in ("is a JMAP server (", "the login works, and the server can push (", "bellwire jmap test work"):
        assert words in done.stderr, done.stderr
    assert "secret\n" not in done.stderr and desk.jmap("list").returncode == 1


def test_the_rest_stays(desk, jmap, ann):
    desk.write(BEFORE)
    assert desk.add(jmap).returncode == ADDED
    assert desk.text.startswith(BEFORE + "\n[jmap work]\n")
    assert desk.add(jmap, "--name", "two", "--notify=off", "--on-change", "x").returncode == ADDED
    assert desk.text.count("[jmap ") == 2 and "notify = off" in desk.text


def test_a_link_stays_one(desk, jmap, ann, tmp_path):
    (tmp_path / "dotfiles").mkdir()
    real = tmp_path / "dotfiles/distributor.conf"
    real.write_text(BEFORE)
    desk.config.parent.mkdir(parents=True)
    desk.config.symlink_to(real)
    assert desk.add(jmap).returncode == ADDED
    assert desk.config.is_symlink() and "[jmap work]" in real.read_text()


def test_names_are_made(desk, jmap, ann):
    done = desk.jmap("add", jmap.well_known, "--ca", jmap.ca_file, "--user", "ann@localhost", "--no-start")
    assert done.returncode == ADDED and "[jmap localhost]" in desk.text
    words = ("--session-url", jmap.well_known, "--ca", jmap.ca_file, "--no-start")
    done = desk.jmap("add", "ann@localhost", *words)
    assert done.returncode == ADDED and "[jmap ann-localhost]" in desk.text, done
    assert desk.secret("ann-localhost") == "secret\n"


def test_a_token(desk, jmap):
    jmap.login(password=None, bearer="token 1")
    done = desk.add(jmap, "--bearer", secret="token 1")
    assert done.returncode == ADDED and "auth = bearer" in desk.text and desk.secret() == "token 1\n", done


def test_a_password_command(desk, jmap, ann, tmp_path):
    script = tmp_path / "ask me"
    script.write_text("#!/bin/sh\necho secret\n")
    script.chmod(0o700)
    done = desk.add(jmap, "--password-command", f"'{script}'", secret=None)
    assert done.returncode == ADDED and desk.secret() is None, done
    assert f"password_command = '{script}'" in desk.text and "password_command gives one (" in done.stderr


def test_json(desk, jmap, ann):
    done = desk.add(jmap, "--json")
    result = json.loads(done.stdout)
    assert done.returncode == ADDED and result["name"] == "work" and result["config"] == str(desk.config)
    assert result["server"] == jmap.session_url and result["can_push"] and "secrets/work" in result["secret"]


def test_a_relative_certificate(desk, jmap, ann):
    done = desk.add(jmap, "--ca", os.path.relpath(jmap.ca_file))
    assert done.returncode == ADDED and f"ca_file = {jmap.ca_file}\n" in desk.text


def test_the_keyring_is_preferred(session, jmap, ann):
    desk = Desk(session.directory, session)
    keyring = Keyring(session)
    try:
        done = desk.add(jmap)
        assert done.returncode == ADDED and "is kept in the keyring" in done.stderr, done
        (item,) = keyring.find(application="bellwire", login="work")
        assert keyring.secret(item) == b"secret" and desk.secret() is None
        assert desk.add(jmap, "--name", "two", "--secret-store", "file").returncode == ADDED
        assert desk.secret("two") == "secret\n" and keyring.find(login="two") == []
    finally:
        keyring.process.kill()


def test_a_locked_keyring_keeps_nothing(session, jmap, ann):
    desk = Desk(session.directory, session)
    keyring = Keyring(session, locked=True, dismissed=True)
    try:
        done = desk.add(jmap)
        assert done.returncode == 1 and "locked" in done.stderr and "--secret-store file" in done.stderr, done
        desk.assert_untouched()
    finally:
        keyring.process.kill()


def test_no_keyring_when_one_is_wanted(desk, jmap, ann):
    done = desk.add(jmap, "--secret-store", "service")
    assert done.returncode == 1 and "no keyring" in done.stderr
    desk.assert_untouched()


# ---- on a terminal ----


def test_the_password_is_not_shown(desk, jmap, ann):
    words = ("add", jmap.well_known, "--ca", jmap.ca_file, "--name", "work", "--user", "ann@localhost", "--no-start")
    terminal = Terminal(desk.env, "jmap", *words)
    terminal.wait_text("Password of ann@localhost: ")
    wait_until(lambda: not termios.tcgetattr(terminal.leader)[3] & termios.ECHO, 10, "no echo")
    terminal.type("secret\n")
    assert terminal.finish() == ADDED and "secret\n" not in terminal.text.replace("\r", "")
    assert desk.secret() == "secret\n"


@pytest.mark.parametrize("how", ["\x03", "signal", "\n", "\x04"])
def test_no_password_on_a_terminal(desk, jmap, ann, how):
    words = ("add", jmap.well_known, "--ca", jmap.ca_file, "--name", "work", "--user", "ann@localhost", "--no-start")
    terminal = Terminal(desk.env, "jmap", *words)
    terminal.wait_text("Password")
    wait_until(lambda: not termios.tcgetattr(terminal.leader)[3] & termios.ECHO, 10, "no echo")
    if how == "signal":
        terminal.child.send_signal(signal.SIGTERM)
    else:
        terminal.type(how)
    status = terminal.child.wait(30)
    assert termios.tcgetattr(terminal.leader)[3] & termios.ECHO  # it is on again
    terminal.finish()
    assert status == {"\x03": -signal.SIGINT, "signal": -signal.SIGTERM}.get(how, 1)
    desk.assert_untouched()


# ---- nothing is kept ----


def refused(desk, done, *words, status=1, text=""):
    assert done.returncode == status and done.stdout == "", done
    for each in words:
        assert each in done.stderr, done.stderr
    desk.assert_untouched(text)


@pytest.mark.parametrize("secret", ["wrong", "Secret", "secret "])
def test_a_wrong_password(desk, jmap, ann, secret):
    desk.write(BEFORE)
    refused(desk, desk.add(jmap, secret=secret), "does not take the password of ann@localhost", "password made for apps", text=BEFORE)
    assert len([r for r in jmap.requests if r.status == 401]) == 1


def test_no_password_at_all(desk, jmap, ann):
    refused(desk, desk.add(jmap, secret=None), "no password was given")
    refused(desk, desk.add(jmap, secret=""), "no password was given")
    refused(desk, desk.add(jmap, secret="a\tb"), "cannot be a password")
    refused(desk, desk.add(jmap, "--password-command", "/bin/false"), "password_command ended with status 1")
    assert jmap.requests == []


def test_a_wrong_token(desk, jmap, ann):
    refused(desk, desk.add(jmap, "--bearer", secret="old"), "does not take", "Is the token right")


def test_a_locked_account(desk, jmap, ann):
    ann.is_locked = True
    refused(desk, desk.add(jmap), "403", "Its admin must allow JMAP")


def test_a_wrong_host(desk, jmap):
    refused(desk, desk.add(jmap, where=f"https://localhost:{free_port()}/", secret="secret"), "onnect")
    done = desk.jmap("add", "ann@nonexistent.invalid", "--no-start")
    refused(desk, done, "DNS has no _jmap._tcp.nonexistent.invalid", "Where is the server? Give its session URL")


@pytest.mark.parametrize(
    "kind, words",
    [("self-signed", "self-signed; trust it with --ca FILE"), ("expired", "expired at"), ("wrong-name", "not for localhost, but for elsewhere.example")],
)
def test_bad_certificates(desk, start_jmap, kind, words):
    jmap = start_jmap(certificate=kind)
    jmap.login()
    done = desk.add(jmap)
    refused(desk, done, words)
    assert done.stderr.count(words) == 1
    assert desk.add(jmap, "--insecure").returncode == ADDED and "insecure = on" in desk.text


def test_an_unknown_authority(desk, jmap, ann):
    done = desk.jmap("add", jmap.well_known, "--user", "ann@localhost", "--no-start")
    refused(desk, done, "an authority that is not trusted here", "--ca FILE")


@pytest.mark.parametrize(
    "fault, words",
    [
        ({"status": 404}, "404"),
        ({"body": b"<html>webmail"}, "no JMAP session"),
        ({"status": 503}, "503"),
        ({"huge": 2_000_000}, "too large"),
        ({"cut": True}, " bytes "),
    ],
)
def test_a_server_without_jmap(desk, jmap, ann, fault, words):
    jmap.faults.add("session", **fault)
    refused(desk, desk.add(jmap), words)


@pytest.mark.parametrize("fault, words", [({"status": 500}, "500"), ({"body": b"{"}, "no JMAP")])
def test_a_server_whose_api_fails(desk, jmap, ann, fault, words):
    jmap.faults.add("api", **fault)
    refused(desk, desk.add(jmap), words)


def test_what_a_server_says_is_harmless(desk, jmap, ann):
    evil = "\x1b]0;owned\x07\x1b[31mred\u202e\n"
    body = json.dumps({"type": evil, "detail": evil * 50}).encode()
    jmap.faults.add("api", status=400, body=body)
    done = desk.add(jmap)
    refused(desk, done, "status 400", "red")
    assert not set("\x1b\x07\u202e") & set(done.stderr) and len(done.stderr) < 1500
    jmap.faults.add("PushSubscription/get", error=evil)
    done = desk.add(jmap)
    refused(desk, done, "does not tell its push subscriptions")
    assert not set("\x1b\x07\u202e") & set(done.stderr)


def test_a_mailbox_that_is_not_there(desk, jmap, ann):
    done = desk.add(jmap, "--mailbox", "inbox", "--mailbox", "Lists/none")
    assert done.returncode == ADDED and 'there is no mailbox "Lists/none"' in done.stderr and '"inbox"' not in done.stderr


def test_edits_meanwhile_are_kept(desk, jmap, ann):
    """Whoever is asked for a password may take a while."""
    desk.write(BEFORE)
    words = ("add", jmap.well_known, "--ca", jmap.ca_file, "--name", "work", "--user", "ann@localhost", "--no-start")
    terminal = Terminal(desk.env, "jmap", *words)
    terminal.wait_text("Password")
    desk.write(BEFORE + "\n[log]\nlog_level = debug\n")
    wait_until(lambda: not termios.tcgetattr(terminal.leader)[3] & termios.ECHO, 10, "no echo")
    terminal.type("secret\n")
    assert terminal.finish() == ADDED
    assert desk.text.startswith(BEFORE + "\n[log]\nlog_level = debug\n\n[jmap work]\n")


def test_a_method_that_fails(desk, jmap, ann):
    jmap.faults.add("PushSubscription/get", error="serverFail")
    refused(desk, desk.add(jmap), "does not tell its push subscriptions: serverFail")


def test_a_server_without_push(desk, jmap, ann):
    jmap.has_push = False
    refused(desk, desk.add(jmap), "it cannot push", "--stream mains")
    done = desk.add(jmap, "--stream", "mains")
    assert done.returncode == ADDED and "the server cannot push" in done.stderr and "[jmap work]" in desk.text


def test_a_server_without_mail(desk, jmap, ann):
    session = jmap.session_object

    def without_mail(login):
        found = session(login)
        del found["capabilities"]["urn:ietf:params:jmap:mail"]
        for account in found["accounts"].values():
            account["accountCapabilities"] = {}
        return found

    jmap.session_object = without_mail
    refused(desk, desk.add(jmap), "no mail for this login")


def test_a_server_without_calendars(desk, jmap, ann):
    done = desk.add(jmap, "--on-calendar", "vdirsyncer sync")
    assert done.returncode == ADDED and "speaks of no calendars" in done.stderr


def test_a_name_that_is_taken(desk, jmap, ann):
    assert desk.add(jmap).returncode == ADDED
    text = desk.text
    done = desk.add(jmap, secret="wrong")
    assert done.returncode == 1 and 'a mail login "work" already' in done.stderr and desk.text == text
    assert desk.secret() == "secret\n"


def test_a_damaged_configuration(desk, jmap, ann):
    desk.write("[jmap other]\nuser = x\n")
    done = desk.add(jmap)
    assert done.returncode == 1 and "distributor.conf:2: user:" in done.stderr and "nothing is changed" in done.stderr
    desk.assert_untouched("[jmap other]\nuser = x\n")
    assert jmap.requests == []


def test_a_configuration_that_cannot_be_written(desk, jmap, ann, tmp_path):
    (tmp_path / "config").write_text("a file where a folder should be")
    done = desk.add(jmap)
    assert done.returncode == 1 and "cannot be written" in done.stderr and desk.secret() is None, done


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "ADDRESS|SESSION-URL is missing"),
        (["--name", "a b"], "--name a b: may hold letters"),
        (["--name", "x" * 41], "longer than 40"),
        (["--colour", "red"], "there is no option --colour"),
        (["--stream", "on"], "must be one of mains, always, never"),
        (["--secret-store", "cloud"], "must be file or service"),
        (["--types", "email"], "--types: email is written Email"),
        (["--on-change", "a | b"], "--on-change: is run without a shell"),
        (["--notify=off"], "the login does nothing"),
        (["--on-click", "x {uid}"], "--on-click: there is no {uid}"),
        (["--user", "a:b"], "--user: must be without a colon"),
        (["--on-change"], "--on-change takes a value, and none follows"),
        (["extra"], '"extra" is too much behind ADDRESS|SESSION-URL'),
    ],
)
def test_wrong_words(desk, jmap, words, said):
    where = [] if not words else [jmap.well_known, "--user", "ann@localhost"]
    done = desk.jmap("add", *where, *words)
    assert done.returncode == 2 and said in done.stderr and jmap.requests == [], done
    desk.assert_untouched()


@pytest.mark.parametrize("where, said", [("ann", "is no mail address"), ("http://mail.example/", "not encrypted"), ("https://u:p@mail.example/", "without a password")])
def test_wrong_places(desk, where, said):
    done = desk.jmap("add", where, "--user", "ann@example.org") if "://" in where else desk.jmap("add", where)
    assert done.returncode == 2 and said in done.stderr, done
    desk.assert_untouched()


def test_a_url_needs_a_user(desk, jmap):
    done = desk.jmap("add", jmap.well_known)
    assert done.returncode == 2 and "needs a user" in done.stderr


# ---- and goes again ----


def test_remove_without_a_daemon(desk, jmap, ann):
    desk.write(BEFORE)
    desk.add(jmap)
    done = desk.jmap("remove", "work")
    assert done.returncode == 0 and done.stdout == "removed\n", done
    assert desk.text == BEFORE + "\n" and desk.secret() is None
    done = desk.jmap("remove", "work")
    assert done.returncode == 1 and 'no mail login "work"' in done.stderr


def test_remove_ends_what_the_server_has(desk, jmap, ann):
    """As the daemon left it when it ended."""
    desk.add(jmap)
    for identifier in ("p1", "p2", "p3"):
        jmap.pusher.subscriptions[identifier] = Subscription(identifier, ann.user, "d", "https://x/", None, None, 1e12, "c", is_verified=True)
    path = desk.state / "jmap-work.json"
    push = {"current": {"id": "p1"}, "old": ["p2"]}
    path.write_text(json.dumps({"format": 1, "push": push}))
    done = desk.jmap("remove", "work")
    assert done.returncode == 0 and done.stdout == "removed, also at the server\n", done
    assert set(jmap.pusher.subscriptions) == {"p3"} and not path.exists()


def test_remove_when_the_server_is_away(desk, jmap, ann):
    desk.add(jmap)
    (desk.state / "jmap-work.json").write_text(json.dumps({"format": 1, "push": {"current": {"id": "p1"}}}))
    jmap.stop_listening()
    done = desk.jmap("remove", "work")
    assert done.returncode == 0 and "ends by itself" in done.stderr and done.stdout == "removed\n"
    assert "[jmap work]" not in desk.text and desk.secret() is None


def test_another_password(desk, jmap, ann):
    desk.add(jmap)
    ann.password = "new"
    done = desk.jmap("password", "work", secret="wrong")
    assert done.returncode == 1 and "does not take" in done.stderr and desk.secret() == "secret\n"
    done = desk.jmap("password", "work", secret="new")
    assert done.returncode == 0 and desk.secret() == "new\n", done
    assert desk.jmap("password", "home").returncode == 1
    desk.write(desk.text.replace("user =", "password_command = /bin/true\nuser ="))
    done = desk.jmap("password", "work", secret="new")
    assert done.returncode == 1 and "password_command" in done.stderr
