# SPDX-License-Identifier: Apache-2.0
"""Nothing gets missed: relay away, queue expired, daemon killed or stopped, asleep, its state damaged, the disk full."""

import dataclasses
import subprocess

import pytest
from harness.household import Inside
from harness.laptop import Laptop

LATE = 60


def ann(person):
    return person.servers[0].logins["ann@localhost"]


@pytest.fixture
def started(person):
    person.start()
    return person


# ---- the relay ----


def test_relay_down_and_up(started):
    """A look at once when the relay is seen down; status tells; then pushes again, from the queue, too."""
    (jmap,), (login,) = started.servers, started.logins
    started.relay.kill()
    jmap.deliver(ann(started), "with the relay down")  # its post fails, as the mail server's attempts will
    status = started.wait_way("poll", timeout=LATE)
    assert "relay" in status["reason"].lower(), status
    assert 0 < status["again_ms"] <= 16 * 60 * 1000
    started.wait_mail("with the relay down", LATE)
    asked = len(jmap.asked())
    jmap.deliver(ann(started), "still down")
    started.relay.start()
    started.wait_mail("still down", LATE)
    status = started.wait_way("push", timeout=LATE)
    assert status["reason"] == "", status
    jmap.deliver(ann(started), "pushed again")
    started.wait_mail("pushed again")
    started.assert_once("with the relay down", "still down", "pushed again")
    assert len(jmap.asked()) - asked <= 8
    assert len(jmap.verified()) == 1


def test_relay_down_from_the_start(person):
    """Mail comes without a relay; with it the subscription is made."""
    (jmap,) = person.servers
    person.relay.stop()
    person.start(is_verified=False)
    person.wait_way("poll", timeout=LATE)
    person.wait_looked()
    jmap.deliver(ann(person), "no relay yet")
    person.tool("jmap", "test", "work")
    person.wait_mail("no relay yet", LATE)
    person.relay.start()
    person.wait_verified(LATE)
    person.assert_once("no relay yet")


def test_queue_of_the_relay_expired(started):
    """What was missed there is asked for at the mail server."""
    (jmap,) = started.servers
    style = jmap.pusher.style
    jmap.pusher.style = dataclasses.replace(style, headers={**style.headers, "TTL": "1"})
    started.call("Pause")
    started.wait(lambda: started.tool("status").returncode == 3, 20, "no link")
    for number in range(3):
        jmap.deliver(ann(started), f"missed {number}.")
    jmap.wait_pushes(1)
    expired = lambda: started.relay.metrics().get("bellwire_messages_expired_total", 0) >= 1  # noqa: E731
    started.wait(expired, 90, "an expired message")
    started.call("Resume")
    for number in range(3):
        started.wait_mail(f"missed {number}.", LATE)
    started.assert_once(*[f"missed {number}." for number in range(3)])


def test_link_that_was_away_for_long(started):
    """The mail server's posts failed meanwhile, so that no queue and no count tells of them."""
    (jmap,) = started.servers
    started.call("Pause")
    jmap.deliver(ann(started), "never posted", is_quiet=True)
    started.call("Resume")
    started.wait_mail("never posted", LATE)
    started.assert_once("never posted")


# ---- the daemon ----


def test_killed_between_push_and_sync(started):
    """The push is at the daemon, the mail server has not answered yet."""
    (jmap,) = started.servers
    fault = jmap.faults.add("api", delay=5)
    jmap.deliver(ann(started), "almost lost")
    started.wait(lambda: fault.times == 0, 20, "a request")
    started.daemon.kill()
    started.daemon.start()
    started.wait_mail("almost lost", LATE)
    started.assert_once("almost lost")


def test_killed_again_and_again(started):
    """Wherever it is hit: each mail is shown, by itself or in a sum, and by itself at most twice."""
    (jmap,) = started.servers
    shown = {}

    def is_shown(number):
        later = started.desktop.notices()[shown[number] :]
        return any(f"round {number}." in n or "new mails" in n for n in later)

    for number in range(8):
        shown[number] = len(started.desktop.notices())
        jmap.deliver(ann(started), f"round {number}.")
        if number % 2:
            started.wait(lambda: is_shown(number), 20, f"round {number} shown")
        started.daemon.kill()
        started.daemon.start()
    for number in range(8):
        started.wait(lambda: is_shown(number), LATE, f"round {number} shown")
        assert len(started.desktop.about(f"round {number}.")) <= 2
    assert len(jmap.verified()) == 1


@pytest.mark.parametrize("count", [2, 7])
def test_stopped_while_mail_comes(started, count):
    """Shown at the start: each of a few, of more the number."""
    (jmap,), (login,) = started.servers, started.logins
    started.daemon.stop()
    for number in range(count):
        jmap.deliver(ann(started), f"meanwhile {number}.")
    shown = len(started.desktop.notices())
    runs = len(login.runs())
    started.daemon.start()
    if count <= 3:
        for number in range(count):
            started.wait_mail(f"meanwhile {number}.")
    else:
        started.desktop.wait(str(count))
    login.runs(runs + 1)
    started.assert_once()
    assert len(started.desktop.notices()) - shown <= min(count, 4) + 1


def test_first_start_is_quiet(person):
    """A mailbox full of old unread mail is nobody's news."""
    (jmap,) = person.servers
    for number in range(30):
        jmap.deliver(ann(person), f"old {number}.", is_quiet=True)
    person.start()
    person.assert_once()
    assert len(person.desktop.notices()) == 1, person.desktop.notices()


# ---- asleep ----


@pytest.fixture
def timed(start_person):
    """A person whose daemon's clocks are the test's."""
    person = start_person(has_clock=True)
    person.server()
    person.login()
    person.start()
    return person


def test_resume(timed):
    """After a long sleep a look, whatever pushes say: the mail server may have given up posting."""
    (jmap,) = timed.servers
    jmap.deliver(ann(timed), "while it slept", is_quiet=True)
    timed.clock.sleep(3600)
    timed.wait(lambda: timed.tool("status").returncode == 0, 20, "the link")
    timed.pass_time(lambda: timed.desktop.about("while it slept"), 5, "the mail")
    timed.assert_once("while it slept")


def test_pushes_that_stop_coming(timed):
    """The server lost us without a word, and nothing else happens: found within some hours."""
    (jmap,) = timed.servers
    jmap.forget_subscriptions()
    jmap.deliver(ann(timed), "found by care", is_quiet=True)
    timed.clock.advance(7 * 3600)
    timed.wait_mail("found by care", LATE)
    timed.wait_verified(LATE)
    timed.assert_once("found by care")


def test_relay_down_for_long(timed):
    """A look every fifteen minutes; the way back is pushed again."""
    (jmap,) = timed.servers
    timed.relay.kill()
    timed.wait_way("poll", timeout=LATE)
    for number in range(3):
        jmap.deliver(ann(timed), f"quarter {number}.", is_quiet=True)
        asked = len(jmap.asked("Email/changes"))
        timed.clock.advance(17 * 60)
        timed.wait_mail(f"quarter {number}.", LATE)
        assert len(jmap.asked("Email/changes")) - asked <= 2
    timed.relay.start()
    timed.call("Reconnect")
    timed.wait_way("push", timeout=LATE)
    timed.assert_once(*[f"quarter {number}." for number in range(3)])


# ---- the state ----


@pytest.mark.parametrize("damage", ["empty", "garbage", "truncated", "other types", "deleted", "all deleted"])
def test_state_is_damaged(started, damage):
    """Old mail is not shown again, new mail is, and there is one subscription at the server in the end."""
    (jmap,) = started.servers
    jmap.deliver(ann(started), "before")
    started.wait_mail("before")
    started.daemon.stop()
    path = started.daemon.state_dir / "jmap-work.json"
    text = path.read_bytes()
    if damage == "all deleted":
        for each in started.daemon.state_dir.glob("*.json"):
            each.unlink()
    elif damage == "deleted":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "garbage": b"\xff\0\xfe" * 100, "truncated": text[: len(text) // 2],
                          "other types": text.replace(b'"', b"0").replace(b"{", b"[")}[damage])  # fmt: skip
    started.daemon.start()
    started.wait_way("push", timeout=LATE)
    started.wait(lambda: len(jmap.verified()) == 1, LATE, "one subscription")
    jmap.deliver(ann(started), "after")
    started.wait_mail("after")
    started.assert_once("before", "after")


@pytest.fixture
def small_disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs", path]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"needs the right to mount a tmpfs: {done.stderr.strip()}")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def test_full_disk(start_person, small_disk):
    """Mail is shown all the same, once, and what was shown is known after a restart with room."""
    person = start_person()
    (jmap,) = [person.server()]
    person.login()
    person.flags["state_dir"] = small_disk
    person.start(state_dir=small_disk)
    person.daemon.state_dir = small_disk
    ballast = small_disk / "ballast"
    try:
        ballast.write_bytes(bytes(300 << 10))
    except OSError:
        pass
    for number in range(3):
        jmap.deliver(ann(person), f"no room {number}.")
        person.wait_mail(f"no room {number}.")
    ballast.unlink()
    jmap.deliver(ann(person), "room again")
    person.wait_mail("room again")
    person.restart()
    person.wait_way("push")
    person.assert_once("no room 0.", "no room 1.", "no room 2.", "room again")


# ---- the network ----


@pytest.fixture
def laptop():
    instance = Laptop()
    yield instance
    instance.close()


def test_network_changes_while_the_relay_is_down(laptop, start_person):
    """Each other network is a reason to look."""
    with Inside(laptop):
        person = start_person()
        (jmap,) = [person.server()]
        person.login()
        laptop.plug()
        person.start()
        person.relay.kill()
        person.wait_way("poll", timeout=LATE)
        asked = len(jmap.asked("Email/changes"))
        jmap.deliver(ann(person), "before the cable")
        laptop.plug(1, metric=50)
        person.wait_mail("before the cable", LATE)
        assert len(jmap.asked("Email/changes")) - asked <= 4


def test_no_network_but_a_server_on_this_machine(laptop, start_person):
    """Offline: nothing is asked of far servers, but localhost is there."""
    with Inside(laptop):
        person = start_person()
        person.server()
        person.login()
        person.start()
        person.assert_once()

