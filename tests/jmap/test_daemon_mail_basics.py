# SPDX-License-Identifier: Apache-2.0
"""The real daemon between a real relay and a JMAP server: from a login in the configuration to a command that ran."""

import json

import pytest
from harness.distributor import Distributor
from harness.process import wait_until


def logins(person):
    return {str(each["name"]): each for each in person.call("JmapList")}


def wait_login(person, name="work", timeout=20, **wish):
    """Its JmapList entry, when it has these values."""

    def found():
        login = logins(person).get(name)
        return login if login and all(login[key] == value for key, value in wish.items()) else None

    return person.wait(found, timeout, f"{name} with {wish}, not {logins(person)}")


def start(person):
    """Started, and pushed to."""
    person.start()
    wait_login(person, way="push", reason="")


def test_a_mail_leads_to_a_command(person):
    start(person)
    server, work = person.servers[0], person.logins[0]
    (subscription,) = server.verified()
    assert subscription.types == ["EmailDelivery", "Mailbox"] and len(subscription.keys["p256dh"]) == 88
    status = wait_login(person, user="ann@localhost")
    assert 0 <= status["round_trip_ms"] < 20000 and status["verified_ms"] > 0
    assert status["expires_ms"] / 1000 == pytest.approx(subscription.expires, abs=1)
    server.deliver(server.logins["ann@localhost"], "Hello")
    (run,) = work.runs(1)
    assert run["login"] == "work" and run["reason"] == "push"
    person.wait(lambda: wait_login(person)["pushed_ms"] > 0, 20, "the push")


def test_status_shows_the_logins(person):
    person.login("other", user="ben@localhost", password="x")
    person.start(is_verified=False)
    wait_login(person, way="push", reason="")
    wait_login(person, "other", way="none")
    person.wait_reason("does not take the password", name="other")
    text = person.tool("status").stdout
    assert "mail login work (ann@localhost): push\n  last push " in text, text
    assert "mail login other (ben@localhost): hears nothing: " in text and "next attempt in " in text, text
    mail = json.loads(person.tool("status", "--json").stdout)["mail"]
    assert [(each["name"], each["way"]) for each in mail] == [("work", "push"), ("other", "none")]


def test_a_restart_keeps_the_subscription(person):
    start(person)
    server, work = person.servers[0], person.logins[0]
    (before,) = server.verified()
    person.daemon.stop()
    server.deliver(server.logins["ann@localhost"], "while nobody was there")
    person.daemon.start()
    wait_login(person, way="push", reason="")
    assert [s.id for s in server.verified()] == [before.id]
    assert work.runs(1)[0]["reason"] in ("start", "push")


def test_a_login_that_is_removed_leaves_nothing(person):
    start(person)
    server = person.servers[0]
    is_good, sentence = person.call("JmapRemove", "s", "work")
    assert is_good and "forgotten" in sentence
    assert not server.pusher.subscriptions
    wait_until(lambda: not logins(person), 10, "no login")
    wait_until(lambda: not list(person.daemon.state_dir.glob("jmap-*")), 10, "no file of it")
    assert not [each for each in person.call("List") if each["kind"] == "mail"]


def test_a_test_makes_the_server_push(person):
    start(person)
    server = person.servers[0]
    (before,) = server.verified()
    is_good, sentence = person.call("JmapTest", "s", "work", timeout=110)
    assert is_good and "push verified in" in sentence, sentence
    wait_until(lambda: len(server.pusher.subscriptions) == 1, 10, "the former one destroyed")
    assert server.verified()[0].id != before.id


def test_a_pause_lasts(person):
    start(person)
    server, work = person.servers[0], person.logins[0]
    person.call("JmapPause", "sb", "work", True)
    wait_login(person, way="none", paused=True)
    person.daemon.stop()
    person.daemon.start()
    wait_login(person, way="none", paused=True)
    asked = len(server.asked())
    server.deliver(server.logins["ann@localhost"], "unheard")
    server.wait_pushes(1)
    assert len(server.asked()) == asked and not work.runs()
    person.call("JmapPause", "sb", "work", False)
    wait_login(person, way="push", paused=False)
    assert work.runs(1)


def test_a_configuration_is_read_anew(person):
    start(person)
    server = person.servers[0]
    server.login("ben@localhost", "other")
    second = person.login("second", user="ben@localhost", password="other")
    person.configure()
    person.call("JmapReload")
    wait_login(person, "second", way="push")
    person.wait_looked("second")
    server.deliver(server.logins["ben@localhost"], "for Ben")
    assert second.runs(1)
    person.logins.pop(0)
    person.configure()
    person.daemon.process.signal(1)
    wait_until(lambda: list(logins(person)) == ["second"], 20, "work gone")
    wait_until(lambda: [s.login for s in server.pusher.subscriptions.values()] == ["ben@localhost"], 10, "told to the server")
    person.configure("[jmap x]\nuser = nobody\n")
    with pytest.raises(Exception, match="session_url|user"):
        person.call("JmapReload")
    assert list(logins(person)) == ["second"]


def test_a_server_without_push_is_streamed_from(person):
    server, work = person.servers[0], person.logins[0]
    server.has_push = False
    work.keys["stream"] = "always"
    person.start(is_verified=False)
    status = wait_login(person, way="stream")
    person.wait_looked()
    assert "no PushSubscription" in status["reason"]
    server.deliver(server.logins["ann@localhost"], "Hello")
    assert work.runs(1)[0]["reason"] == "stream"


def test_without_a_bus_commands_run(tmp_path, start_jmap, start_person):
    person = start_person()
    server = person.server()
    work = person.login()
    directory = tmp_path / "headless"
    directory.mkdir()
    daemon = Distributor(person.relay, directory, config=work.section(), log_level="debug")
    try:
        server.wait_verified()
        daemon.wait_log("looked login=work ")  # mail from before the first look is old
        server.deliver(server.logins["ann@localhost"], "Hello")
        assert work.runs(1)[0]["login"] == "work"
        file = daemon.state_dir / "jmap-work.json"
        known = lambda: file.exists() and json.loads(file.read_text())["push"].get("current", {}).get("id")  # noqa: E731
        wait_until(lambda: known() == server.verified()[0].id, 10, "its file")
    finally:
        daemon.finish()
