# SPDX-License-Identifier: Apache-2.0
"""Where passwords come from: a command, the keyring of the session, a file that nobody else may read."""

import json
import os
import pathlib
import stat
import sys

import pytest
from harness.process import Process, wait_until
from mail import Keyring

PASSWORD = "correct horse ünd staple"
WORK = {"name": "work", "user": "ann@example.org"}


def script(tmp_path, text):
    path = tmp_path / "ask"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


def ask(driver, **more):
    return driver.run("credentials", **{**WORK, **more})


def processes_with(word):
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in path.read_bytes():
                found.append(path)
        except OSError:
            pass
    return found


@pytest.fixture
def start_keyring(session):
    keyrings = []

    def start(**options):
        keyrings.append(Keyring(session, **options))
        return keyrings[-1]

    yield start
    for each in keyrings:
        each.process.kill()


# ---- a command ----


@pytest.mark.parametrize(
    "text",
    [
        f"echo '{PASSWORD}'; echo second line",
        f"printf '{PASSWORD}\\r\\n'",
        f"printf '{PASSWORD}'",  # no line end
        f"echo '{PASSWORD}'; head -c 300000 /dev/zero | tr '\\0' x",  # more than a pipe holds
        f"echo complaint >&2; echo '{PASSWORD}'; (sleep 60 &)",  # what stays behind keeps the pipes
        f"sleep 0.3; echo '{PASSWORD}'",
        f'test -z "$(cat)" && test -z "$BELLWIRE_RELAY" && echo \'{PASSWORD}\'',
    ],
)
def test_a_command_prints_it(driver, tmp_path, text):
    answer = ask(driver, password_command=script(tmp_path, text))
    assert (answer["outcome"], answer["secret"]) == ("found", PASSWORD), answer


@pytest.mark.parametrize(
    "text, words",
    [
        ("echo out; echo 'gpg: no key' >&2; echo more >&2; exit 2", "ended with status 2: gpg: no key"),
        ("printf 'a\\033[31mred\\033[0m\\n' >&2; exit 1", "status 1: a[31mred[0m"),
        ("head -c 5000 /dev/zero | tr '\\0' e >&2; exit 1", "eee…"),
        ("exit 3", "ended with status 3"),
        ("kill -TERM $$", "ended with signal 15"),
        ("true", "is no password"),
        ("echo", "is no password"),
        ("printf 'a\\tb\\n'", "is no password"),
        ("head -c 17000 /dev/zero | tr '\\0' x", "is no password"),
    ],
)
def test_a_command_fails(driver, tmp_path, text, words):
    answer = ask(driver, password_command=script(tmp_path, text))
    assert answer["outcome"] == "failed" and answer["secret"] is None
    assert words in answer["reason"] and len(answer["reason"]) < 300, answer


def test_there_is_no_such_command(driver):
    answer = ask(driver, password_command="/nonexistent/ask --now")
    assert answer["reason"] == "password_command cannot run /nonexistent/ask: No such file or directory"


def test_a_command_that_does_not_end_is_killed(driver, tmp_path):
    mark = f"900{os.getpid()}"
    answer = ask(driver, password_command=script(tmp_path, f"echo x; sleep {mark}"), command_ms=1500)
    assert answer["reason"] == "password_command did not end within 2 s" and answer["outcome"] == "failed"
    wait_until(lambda: not processes_with(mark), 10, "its end")


def test_a_cancelled_command_is_killed(driver, tmp_path):
    mark = f"901{os.getpid()}"
    one = driver.start("credentials", **WORK, password_command=script(tmp_path, f"sleep {mark}"))
    wait_until(lambda: processes_with(mark), 10, "its start")
    driver.run("cancel", of=one)
    wait_until(lambda: not processes_with(mark), 10, "its end")
    assert ask(driver)["outcome"] == "missing" and not [n for n in driver.news if n["id"] == one]


# ---- a file ----


def test_a_file_has_it(driver):
    path = driver.state_dir / "secrets/work"
    answer = driver.run("store", name="work", secret=PASSWORD, place="anywhere")
    assert answer["result"] == 0 and str(path) in answer["words"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert ask(driver)["secret"] == PASSWORD
    path.write_text(f"{PASSWORD}\nsecond line\n")  # by an editor
    assert ask(driver)["secret"] == PASSWORD
    assert driver.run("forget", name="work")["result"] == 0
    assert not path.exists() and driver.run("forget", name="work")["result"] == 0
    answer = ask(driver)
    assert answer["outcome"] == "missing" and "bellwire jmap password work" in answer["reason"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_may_use_is_refused(driver, mode):
    driver.run("store", name="work", secret=PASSWORD, place="file")
    path = driver.state_dir / "secrets/work"
    path.chmod(mode)
    answer = ask(driver)
    assert answer["outcome"] == "failed" and f"chmod 600 " in answer["reason"] and answer["secret"] is None


def test_a_file_with_nonsense_is_refused(driver):
    driver.run("store", name="work", secret=PASSWORD, place="file")
    (driver.state_dir / "secrets/work").write_bytes(b"\0\1\2")
    assert "is no password" in ask(driver)["reason"]
    (driver.state_dir / "secrets/work").write_bytes(b"x" * 100000)
    assert "cannot be read: File too large" in ask(driver)["reason"]


# ---- the keyring ----


def test_a_keyring_has_it(session, start_driver, start_keyring):
    keyring = start_keyring()
    driver = start_driver(session)
    for secret in ("another one", PASSWORD):
        answer = driver.run("store", name="work", secret=secret, place="anywhere")
        assert answer["result"] == 0 and answer["words"] == "the keyring"
    assert not (driver.state_dir / "secrets").exists()
    (item,) = keyring.find(application="bellwire", login="work")
    assert keyring.secret(item).decode() == PASSWORD
    assert ask(driver)["secret"] == PASSWORD
    assert ask(driver, name="home")["outcome"] == "missing"
    assert len(keyring.calls("OpenSession")) == 4  # and each is closed
    assert driver.run("forget", name="work")["result"] == 0
    assert keyring.find(application="bellwire") == [] and ask(driver)["outcome"] == "missing"


def test_it_lies_in_one_place(session, start_driver, start_keyring):
    keyring = start_keyring()
    driver = start_driver(session)
    path = driver.state_dir / "secrets/work"
    assert driver.run("store", name="work", secret="in a file", place="file")["result"] == 0
    assert driver.run("store", name="work", secret="in the keyring", place="service")["result"] == 0
    assert not path.exists() and ask(driver)["secret"] == "in the keyring"
    assert driver.run("store", name="work", secret="in a file", place="file")["result"] == 0
    assert keyring.find(application="bellwire") == [] and ask(driver)["secret"] == "in a file"
    assert driver.run("forget", name="work")["result"] == 0 and not path.exists()


def test_without_a_keyring_it_is_a_file(session, start_driver):
    driver = start_driver(session)
    answer = driver.run("store", name="work", secret=PASSWORD, place="service")
    assert answer["result"] < 0 and "no keyring" in answer["words"]
    assert driver.run("store", name="work", secret=PASSWORD, place="anywhere")["result"] == 0
    assert (driver.state_dir / "secrets/work").exists() and ask(driver)["secret"] == PASSWORD


def test_a_locked_keyring_asks_the_user(session, start_driver, start_keyring):
    keyring = start_keyring(locked=True)
    driver = start_driver(session)
    assert driver.run("store", name="work", secret=PASSWORD, place="service")["result"] == 0
    assert ask(driver)["secret"] == PASSWORD
    keyring.lock()
    asked = len(keyring.calls("Unlock"))
    assert ask(driver)["secret"] == PASSWORD and len(keyring.calls("Unlock")) == asked + 1
    keyring.lock()
    assert driver.run("forget", name="work")["result"] == 0
    assert keyring.find(application="bellwire") == []


@pytest.mark.parametrize("how, words", [("dismissed", "its prompt was dismissed"), ("absent", "not unlocked in time")])
def test_a_keyring_that_stays_locked(session, start_driver, start_keyring, how, words):
    keyring = start_keyring()
    driver = start_driver(session)
    driver.run("store", name="work", secret=PASSWORD, place="service")
    keyring.lock(**{how: True})
    asked = len(keyring.calls("Unlock"))
    answer = ask(driver, prompt_ms={"absent": 500, "dismissed": 20000}[how])
    assert answer["outcome"] == "failed" and words in answer["reason"]
    answer = ask(driver, prompt_ms=500)  # nobody is asked again and again
    assert answer["outcome"] == "failed" and "unlock it" in answer["reason"]
    assert len(keyring.calls("Unlock")) == asked + 1
    path = driver.state_dir / "secrets/work"
    path.parent.mkdir(parents=True)
    path.touch(0o600)
    path.write_text("from the file")
    assert ask(driver)["secret"] == "from the file"
    keyring.lock(False)  # by somebody else
    assert ask(driver)["secret"] == PASSWORD


def test_what_other_tools_stored_is_found(session, start_driver, start_keyring):
    keyring = start_keyring()
    driver = start_driver(session)
    attributes = {"xdg:schema": "org.freedesktop.Secret.Generic", "application": "bellwire", "login": "work"}
    keyring.put(attributes, b"theirs\n")
    assert ask(driver)["secret"] == "theirs"
    for nonsense in (b"", b"a\0b", b"\n", b"x" * 20000):
        keyring.put(attributes, nonsense)
        assert "is no password" in ask(driver)["reason"]


def test_a_keyring_that_goes_away(session, start_driver, start_keyring):
    keyring = start_keyring()
    driver = start_driver(session)
    driver.run("store", name="work", secret=PASSWORD, place="service")
    keyring.lock(absent=True)
    asked = len(keyring.calls("Unlock"))
    one = driver.start("credentials", **WORK, prompt_ms=2000)
    wait_until(lambda: len(keyring.calls("Unlock")) > asked, 10, "the prompt")
    keyring.process.kill()
    assert driver.wait(one)["outcome"] == "failed"
    assert ask(driver)["outcome"] == "missing"


def test_a_cancelled_prompt_says_nothing(session, start_driver, start_keyring):
    keyring = start_keyring()
    driver = start_driver(session)
    driver.run("store", name="work", secret=PASSWORD, place="service")
    keyring.lock(absent=True)
    asked = len(keyring.calls("Unlock"))
    one = driver.start("credentials", **WORK)
    wait_until(lambda: len(keyring.calls("Unlock")) > asked, 10, "the prompt")
    driver.run("cancel", of=one)
    keyring.lock(False)
    assert ask(driver)["secret"] == PASSWORD and not [n for n in driver.news if n["id"] == one]


# ---- a command as a unit of systemd ----


@pytest.fixture
def start_systemd(session, tmp_path):
    managers = []

    def start(*words):
        script = pathlib.Path(__file__).resolve().parents[1] / "unit/action/fake_systemd.py"
        path = tmp_path / "systemd"
        path.touch()
        managers.append(Process([sys.executable, script, path, *words], tmp_path / "systemd.log", session.env))
        bus = session.connect()
        wait_until(lambda: bus.name_has_owner("org.freedesktop.systemd1"), 10, "systemd")
        return lambda what: [line for line in map(json.loads, path.read_text().splitlines()) if line["what"] == what]

    yield start
    for each in managers:
        each.kill()


def test_a_command_is_a_unit(session, start_driver, start_systemd, tmp_path):
    asked = start_systemd()
    driver = start_driver(session)
    driver.wait_log("systemd's user manager is here")
    answer = ask(driver, password_command=script(tmp_path, f"echo '{PASSWORD}'; echo complaint >&2"))
    assert (answer["outcome"], answer["secret"]) == ("found", PASSWORD), answer
    (started,) = asked("start")
    properties = started["properties"]
    assert started["name"].startswith("bellwire-password-work-") and PASSWORD not in str(started)
    assert properties["KillMode"] == "process" and "StandardOutput" not in properties and "StandardError" not in properties
    answer = ask(driver, password_command=script(tmp_path, "echo 'no key' >&2; exit 2"))
    assert answer["reason"] == "password_command ended with status 2: no key"
    answer = ask(driver, password_command=script(tmp_path, "sleep 60"), command_ms=800)
    assert answer["reason"] == "password_command did not end within 1 s"
    answer = ask(driver, password_command="/nonexistent/ask")
    assert answer["reason"].startswith("password_command cannot run /nonexistent/ask: ")
    assert len(asked("start")) == 4
    assert ask(driver, password_command=script(tmp_path, "echo x"), as_unit="off")["secret"] == "x"
    assert len(asked("start")) == 4


def test_systemd_that_refuses(session, start_driver, start_systemd, tmp_path):
    asked = start_systemd("refuse")
    driver = start_driver(session)
    driver.wait_log("systemd's user manager is here")
    assert ask(driver, password_command=script(tmp_path, f"echo '{PASSWORD}'"))["secret"] == PASSWORD
    assert len(asked("start")) == 1


def test_a_cancelled_unit_is_stopped(session, start_driver, start_systemd, tmp_path):
    asked = start_systemd()
    driver = start_driver(session)
    driver.wait_log("systemd's user manager is here")
    one = driver.start("credentials", **WORK, password_command=script(tmp_path, "sleep 60"))
    wait_until(lambda: asked("start"), 10, "its start")
    driver.run("cancel", of=one)
    wait_until(lambda: asked("stop"), 10, "its end")
