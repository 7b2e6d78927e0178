# SPDX-License-Identifier: Apache-2.0
"""Moves of the relay, removal, other settings while it runs, pauses: the subscription follows, the old one ends."""

import signal

import pytest

LATE = 60


def ann(person):
    return person.servers[0].logins["ann@localhost"]


def of_login(person):
    return person.servers[0].pusher.of("ann@localhost")


@pytest.fixture
def started(person):
    person.start()
    return person


def reload(person):
    person.configure()
    person.daemon.process.signal(signal.SIGHUP)


def test_move_of_the_relay(started):
    """The subscription moves along; the old one is destroyed, and what comes by it until then is not lost."""
    (jmap,) = started.servers
    (old,) = jmap.verified()
    other = started.new_relay()
    done = started.tool("move", f"ws://127.0.0.1:{other.port}/")
    assert done.returncode == 0, done
    jmap.deliver(ann(started), "in the middle of it")
    started.wait(lambda: [s for s in jmap.verified() if s.url.startswith(other.base)], LATE, "a verified one there")
    started.wait(lambda: len(of_login(started)) == 1, LATE, "the old one gone")
    (new,) = of_login(started)
    assert new.id != old.id and new.device == old.device
    started.wait_mail("in the middle of it")
    started.relay.kill()  # nobody needs it any more
    jmap.deliver(ann(started), "by the new relay")
    started.wait_mail("by the new relay")
    started.wait_way("push")
    started.assert_once("in the middle of it", "by the new relay")
    started.restart()
    started.wait_way("push")
    assert of_login(started) == [new]


def test_move_while_the_mail_server_is_away(started):
    (jmap,) = started.servers
    other = started.new_relay()
    jmap.stop_listening()
    assert started.tool("move", f"ws://127.0.0.1:{other.port}/").returncode == 0
    jmap.listen_again()
    started.wait(lambda: [s for s in jmap.verified() if s.url.startswith(other.base)], LATE, "a verified one there")
    started.wait(lambda: len(of_login(started)) == 1, LATE, "the old one gone")
    started.assert_once()


def test_removed_from_the_config(started):
    """Subscription, registration and state go; other logins stay."""
    (jmap,), (login,) = started.servers, started.logins
    zoe = jmap.login("zoe@localhost", "zoes")
    started.login("zoe", user="zoe@localhost", password="zoes")
    reload(started)
    started.wait_verified(LATE)
    started.logins.remove(login)
    reload(started)
    started.wait(lambda: not of_login(started), LATE, "no subscription")
    started.wait(lambda: set(started.statuses()) == {"zoe"}, 20, "one login")
    started.wait(lambda: not (started.daemon.state_dir / "jmap-work.json").exists(), 20, "no state of it")
    jmap.deliver(zoe, "still here")
    started.wait_mail("still here")
    jmap.deliver(ann(started), "nobody looks")
    started.assert_once("still here")
    assert not started.desktop.about("nobody looks")


def test_removed_while_the_daemon_was_away(started):
    """What the config does not name any more has no registration at the relay either."""
    (jmap,), (login,) = started.servers, started.logins
    started.daemon.stop()
    started.logins.clear()
    started.configure()
    started.daemon.start()
    started.wait(lambda: "mail" not in started.tool("apps", "--json").stdout, 20, "no registration")
    (subscription,) = jmap.verified()
    answer = lambda: started.relay.post(subscription.url, b"", headers=[subscription.vapid.header(subscription.url)])  # noqa: E731
    started.wait(lambda: answer().status in (404, 410), 20, "an endpoint that is gone")
    assert started.statuses() == {}


def test_changed_settings(started):
    """Other commands and mailboxes at once, without another subscription; another user with one."""
    (jmap,), (login,) = started.servers, started.logins
    (old,) = jmap.verified()
    login.keys["on_change"] = started.recorder("other-runs")
    login.keys["mailboxes"] = "Archive"
    reload(started)
    started.wait_way("push")
    jmap.deliver(ann(started), "into the archive", mailbox="Archive")
    started.wait_mail("into the archive")
    started.records("other-runs", 1)
    jmap.deliver(ann(started), "into the inbox")
    started.records("other-runs", 2)
    assert not started.desktop.about("into the inbox") and not login.runs()
    assert jmap.verified() == [old]
    zoe = jmap.login("zoe@localhost", "zoes")
    login.user = login.keys["user"] = "zoe@localhost"
    login.set_password("zoes")
    login.keys["mailboxes"] = None
    reload(started)
    started.wait(lambda: jmap.verified("zoe@localhost"), LATE, "zoe's subscription")
    jmap.deliver(zoe, "for zoe")
    started.wait_mail("for zoe")


def test_other_types_while_it_runs(started):
    (jmap,), (login,) = started.servers, started.logins
    login.keys["types"] = "EmailDelivery Mailbox Calendar"
    login.keys["on_calendar"] = started.recorder("calendar-runs")
    reload(started)
    started.wait(lambda: [s for s in jmap.verified() if "Calendar" in s.types], LATE, "another subscription")
    started.wait(lambda: len(of_login(started)) == 1, LATE, "one subscription")
    jmap.touch(ann(started), "Calendar")
    started.records("calendar-runs", 1)


def test_a_config_with_a_mistake_changes_nothing(started):
    (jmap,), (login,) = started.servers, started.logins
    login.keys["stream"] = "sometimes"
    reload(started)
    started.wait_log("stream")
    started.assert_once()
    assert len(jmap.verified()) == 1
    login.keys["stream"] = "never"
    reload(started)
    started.assert_once(marker="mended")


def test_pause_and_resume_of_the_login(started):
    """Nothing is asked meanwhile, also over a restart; then all of it is shown."""
    (jmap,), (login,) = started.servers, started.logins
    assert started.tool("jmap", "pause", "work").returncode == 0
    started.wait(lambda: started.status()["paused"], 20, "a pause")
    asked = len(jmap.requests)
    jmap.deliver(ann(started), "in the pause")
    jmap.wait_pushes(1)
    started.wait(lambda: started.relay.metrics()["bellwire_messages_queued"] == 0, 20, "the push taken")
    started.restart()
    assert started.status()["paused"]
    jmap.deliver(ann(started), "and after a restart")
    jmap.wait_pushes(2)
    assert not started.desktop.notices() and len(jmap.requests) == asked
    assert started.tool("jmap", "resume", "work").returncode == 0
    started.wait_mail("in the pause")
    started.wait_mail("and after a restart")
    started.assert_once("in the pause", "and after a restart")
    started.wait_way("push")
    assert login.runs(1)


def test_pause_of_the_whole(started):
    """`bellwire pause` is about pushes: no connection to the relay, and mail by looking now and then."""
    (jmap,) = started.servers
    assert started.tool("pause").returncode == 0
    started.wait(lambda: started.status()["way"] != "push", 20, "another way")
    assert started.tool("resume").returncode == 0
    started.wait_way("push")
    started.assert_once()
    assert len(jmap.verified()) == 1
