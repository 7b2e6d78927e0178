# SPDX-License-Identifier: Apache-2.0
"""`bellwire jmap` with the real daemon and relay: from the address to "push verified", and back to nothing."""

import json
import re

import pytest
from harness.process import wait_until
from mail import PASSWORD

VERIFIED = re.compile(r"^push verified in \d+ ms\n$")


@pytest.fixture
def person(start_person):
    instance = start_person()
    instance.server()
    instance.start(is_verified=False)
    return instance


@pytest.fixture
def jmap(person):
    return person.servers[0]


def add(person, *words, secret=PASSWORD, name="work", config=True):
    server = person.servers[0]
    words = ("add", server.well_known, "--user", "ann@localhost", "--ca", server.ca_file, "--name", name, *words)
    files = ("--config", person.flags["config"]) if config else ()
    return person.tool("jmap", *words, *files, "--state-dir", person.daemon.state_dir, text=f"{secret}\n", timeout=150)


def tool(person, *words, **options):
    files = ("--config", person.flags["config"], "--state-dir", person.daemon.state_dir)
    return person.tool("jmap", *words, *files, timeout=150, **options)


def text_of(person):
    return person.flags["config"].read_text()


def test_push_is_verified_and_mail_comes(person, jmap):
    done = add(person, "--on-change", person.recorder("runs"))
    assert done.returncode == 0 and VERIFIED.match(done.stdout), done
    assert len(jmap.verified()) == 1
    person.wait_looked()
    jmap.deliver(jmap.logins["ann@localhost"], "Tea is ready")
    assert person.wait_mail("Tea is ready")
    assert person.records("runs", 1)[0]["login"] == "work"
    person.assert_no_secret(PASSWORD, extra=(done.stdout, done.stderr))
    person.restart()
    person.wait_way("push")  # the password is found again


def test_with_json(person, jmap):
    result = json.loads(add(person, "--json").stdout)
    assert result["login"]["way"] == "push" and result["login"]["round_trip_ms"] >= 0 and result["can_push"]


def test_with_a_keyring(person, jmap):
    keyring = person.start_keyring()
    done = add(person)
    assert done.returncode == 0 and "is kept in the keyring" in done.stderr, done
    assert keyring.find(login="work") and not (person.daemon.state_dir / "secrets").exists()
    assert tool(person, "remove", "work").returncode == 0
    assert keyring.find(login="work") == []


def test_several(person, jmap):
    assert add(person).returncode == 0
    jmap.login("bob@localhost", "other")
    words = ("add", jmap.well_known, "--user", "bob@localhost", "--ca", jmap.ca_file, "--name", "bob")
    done = tool(person, *words, text="other\n")
    assert done.returncode == 0 and VERIFIED.match(done.stdout), done
    assert set(person.statuses()) == {"work", "bob"} and len(jmap.verified()) == 2
    lines = person.tool("jmap", "list").stdout.splitlines()
    assert len(lines) == 2 and all(" push" in line and "renewed within" in line for line in lines), lines


def test_remove(person, jmap):
    assert add(person).returncode == 0
    done = tool(person, "remove", "work")
    assert done.returncode == 0 and done.stdout == "removed, also at the server\n", done
    assert jmap.pusher.subscriptions == {} and person.statuses() == {} and "[jmap" not in text_of(person)
    assert not (person.daemon.state_dir / "secrets/work").exists()
    assert "no mail logins" in person.tool("jmap", "list").stdout
    assert add(person).returncode == 0  # as new


def test_remove_when_the_server_is_away(person, jmap):
    assert add(person).returncode == 0
    jmap.stop_listening()
    done = tool(person, "remove", "work")
    assert done.returncode == 0 and done.stdout == "removed\n" and "ends by itself" in done.stderr, done
    assert person.statuses() == {} and "[jmap" not in text_of(person)


def test_remove_after_the_daemon_ended(person, jmap):
    assert add(person).returncode == 0
    person.daemon.stop()
    done = tool(person, "remove", "work")
    assert done.returncode == 0 and done.stdout == "removed, also at the server\n", done
    assert jmap.pusher.subscriptions == {}
    person.daemon.start()
    assert person.statuses() == {}


def test_a_wrong_password_leaves_the_daemon_alone(person, jmap):
    done = add(person, secret="wrong")
    assert done.returncode == 1 and "does not take the password" in done.stderr
    assert person.statuses() == {} and "[jmap" not in text_of(person)


def test_the_server_cannot_reach_us(person, jmap):
    """What it answers is the reason."""
    jmap.allow_http = False
    done = add(person)
    assert done.returncode == 3 and done.stdout == "" and "work: " in done.stderr and "https" in done.stderr, done
    assert "[jmap work]" in text_of(person)


def test_the_server_never_verifies(person, jmap):
    """The user hears what is waited for."""
    jmap.pusher.verification = "lost"
    done = add(person, "--wait", "8")
    assert done.returncode == 3 and done.stdout == "", done
    assert "so far: waits for the mail server's verification" in done.stderr, done.stderr
    assert done.stderr.splitlines()[-2].startswith("bellwire: work: waits for"), done.stderr
    assert "see: bellwire jmap list" in done.stderr


def test_the_relay_is_away(person, jmap):
    person.relay.kill()
    person.wait(lambda: person.tool("status").returncode == 3, 20, "no link")
    done = add(person)
    assert done.returncode == 3 and "relay" in done.stderr.splitlines()[-2], done


def test_a_server_without_push_streams(person, jmap):
    jmap.has_push = False
    done = add(person, "--stream", "always")
    assert done.returncode == 0 and "no PushSubscription" in done.stderr, done
    person.wait_way("stream")


def test_another_configuration(person, jmap, tmp_path):
    words = ("add", jmap.well_known, "--user", "ann@localhost", "--ca", jmap.ca_file, "--config", tmp_path / "other.conf")
    done = person.tool("jmap", *words, "--secret-store", "file", text=f"{PASSWORD}\n", timeout=150)
    assert done.returncode == 3 and "does it read another configuration?" in done.stderr, done


def test_test_and_pause(person, jmap):
    assert add(person).returncode == 0
    done = person.tool("jmap", "test", "work", timeout=150)
    assert done.returncode == 0 and VERIFIED.match(done.stdout), done
    assert json.loads(person.tool("jmap", "test", "work", "--json", timeout=150).stdout)["good"]
    done = person.tool("jmap", "test", "home")
    assert done.returncode == 1 and "no mail login" in done.stderr
    assert person.tool("jmap", "pause", "work").returncode == 0
    assert person.status()["paused"] and "paused" in person.tool("jmap", "list").stdout
    done = person.tool("jmap", "test", "work", timeout=150)
    assert done.returncode == 1 and "paused" in done.stderr
    assert person.tool("jmap", "resume", "work").returncode == 0
    person.wait_way("push")
    assert person.tool("jmap", "pause", "home").returncode == 1


def test_another_password(person, jmap):
    ann = jmap.logins["ann@localhost"]
    assert add(person).returncode == 0
    ann.password = "new"
    jmap.deliver(ann, "for the new password")
    person.wait_reason("password")
    done = tool(person, "password", "work", text="new\n")
    assert done.returncode == 0 and "push verified" in done.stderr, done
    person.wait_mail("for the new password")
    wait_until(lambda: person.status()["reason"] == "", 20, "peace")
