# SPDX-License-Identifier: Apache-2.0
"""A rough life: another device with the same mail, a relay that forgot everything, wrong clocks, no room for two
subscriptions, moves in a row, servers that stall."""

import socket
import threading
import time

import pytest

LATE = 60


def ann(person):
    return person.servers[0].logins["ann@localhost"]


def of_login(person):
    return person.servers[0].pusher.of("ann@localhost")


def test_two_devices_of_one_person(start_person):
    """Each has a subscription of its own, and leaves the other's alone; what one marks as read leaves the other's screen."""
    laptop, desk = start_person(), start_person()
    jmap = laptop.server()
    laptop.login()
    desk.login(server=jmap)
    laptop.start()
    jmap.wait_verified(1)
    desk.start(is_verified=False)
    desk.wait_way("push")
    desk.wait_looked()
    laptop.wait_way("push")
    assert len({s.device for s in jmap.verified()}) == 2
    mail = jmap.deliver(jmap.logins["ann@localhost"], "on both")
    notices = [person.wait_mail("on both") for person in (laptop, desk)]
    key = next(key for key, word in notices[0].actions.items() if "read" in word.lower())
    laptop.desktop.act(notices[0], key)
    desk.desktop.wait_withdrawn(notices[1])
    assert "$seen" in jmap.logins["ann@localhost"].own.emails[mail]["keywords"]
    before = {s.id for s in jmap.verified()}
    for person in (laptop, desk):
        person.restart()
        person.wait_way("push")
    assert {s.id for s in jmap.verified()} == before
    assert laptop.tool("jmap", "test", "work", timeout=120).returncode == 0
    laptop.wait(lambda: len(jmap.verified()) == 2, 20, "two subscriptions")
    assert len({s.id for s in jmap.verified()} & before) == 1
    jmap.deliver(jmap.logins["ann@localhost"], "still on both")
    for person in (laptop, desk):
        person.wait_mail("still on both")


def test_relay_that_forgot_everything(person):
    """Its disk died: everything gets another endpoint, and the subscription follows."""
    (jmap,) = person.servers
    person.start()
    (old,) = jmap.verified()
    person.relay.stop()
    for path in [*person.relay.directory.glob("relay.db*"), *person.relay.state_dir.iterdir()]:
        path.unlink()
    jmap.deliver(ann(person), "into the void")
    person.relay.start()
    person.wait(lambda: [s for s in jmap.verified() if s.url != old.url], LATE, "another push URL")
    person.wait(lambda: len(of_login(person)) == 1, LATE, "the old one gone")
    person.wait_mail("into the void", LATE)
    jmap.deliver(ann(person), "by the new one")
    person.wait_mail("by the new one")
    person.assert_once("into the void", "by the new one")


@pytest.mark.parametrize("days", [-20, -8, 8, 700])
def test_clock_that_is_wrong(start_person, days):
    """From a dead battery: mail comes, nothing is hammered; and when the time is set, all goes on."""
    person = start_person(has_clock=True)
    jmap = person.server()
    person.login(ca_file=None, insecure="on")  # certificates are another matter
    jmap.pusher.clock = time.time  # whose clock is right
    person.clock.wall = days * 86400
    person.start()
    jmap.deliver(ann(person), "at another time")
    person.wait_mail("at another time")
    ann(person).own.forget_history()  # so that mail is found by its time
    jmap.deliver(ann(person), "found by its time")
    person.wait_mail("found by its time")
    sets = len(jmap.asked("PushSubscription/set"))
    for _ in range(6):
        person.clock.advance(600)
        person.status()
    assert len(jmap.asked("PushSubscription/set")) - sets <= 2
    person.clock.set_wall(-person.clock.wall)
    ann(person).own.forget_history()  # so that mail is found by its time
    jmap.deliver(ann(person), "as its time tells")
    person.wait_mail("as its time tells")
    for _ in range(4):
        person.clock.advance(60)
        person.status()
    person.wait_way("push")
    jmap.deliver(ann(person), "at the right time")
    person.wait_mail("at the right time")
    person.assert_once("at another time", "at the right time", "as its time tells", "found by its time")
    assert len(of_login(person)) == 1


def test_server_that_has_room_for_one(person):
    """What replaces another cannot stand beside it."""
    (jmap,) = person.servers
    jmap.max_subscriptions = 1
    person.start()
    assert person.tool("jmap", "test", "work", timeout=120).returncode == 0
    person.wait_verified()
    other = person.new_relay()
    assert person.tool("move", f"ws://127.0.0.1:{other.port}/").returncode == 0
    person.wait(lambda: [s for s in jmap.verified() if s.url.startswith(other.base)], LATE, "a verified one there")
    person.wait_way("push")
    person.assert_once()
    jmap.rotate_vapid(is_forgetful=False)
    person.tool("jmap", "test", "work", timeout=120)
    person.wait(lambda: [s for s in jmap.verified() if s.vapid is jmap.pusher.vapid], LATE, "one with the new key")
    person.wait_way("push")
    person.assert_once(marker="the very last")


def test_moves_in_a_row(person):
    """There and back again before anything is done."""
    (jmap,) = person.servers
    person.start()
    other = person.new_relay()
    for relay in (other, person.relay, other, person.relay, other):
        assert person.tool("move", f"ws://127.0.0.1:{relay.port}/").returncode == 0
        jmap.deliver(ann(person), f"towards {relay.port} {len(ann(person).own.emails)}.")
    person.wait(lambda: [s for s in jmap.verified() if s.url.startswith(other.base)], LATE, "a verified one there")
    person.wait(lambda: len(of_login(person)) == 1, LATE, "the others gone")
    person.wait_way("push")
    person.wait(lambda: person.status()["unread"] == 5, 20, "a look at all of it")
    person.assert_once()
    (last,) = of_login(person)
    assert last.url.startswith(other.base)


def test_server_that_stalls(start_person):
    """It accepts and says nothing: the reason says so, and another login does not wait for it."""
    person = start_person(has_clock=True)
    jmap = person.server()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        person.login("good")
        person.login("stalled", session_url=f"https://localhost:{silent.getsockname()[1]}/.well-known/jmap")
        held = []
        threading.Thread(target=lambda: [held.append(silent.accept()) for _ in range(3)], daemon=True).start()
        person.start(is_verified=False)
        person.wait_way("push", "good")
        person.wait(lambda: held, 20, "a connection")
        person.wait_looked("good")
        jmap.deliver(ann(person), "unmoved")
        person.wait_mail("unmoved")
        person.clock.advance(21)
        person.wait_reason("time", "answer", name="stalled")
        person.wait(lambda: 0 < person.status("stalled")["again_ms"] <= 300000, 60, "another attempt")
        for connection, _ in held:
            connection.close()


def test_redirects_without_end(person):
    (jmap,) = person.servers
    jmap.redirects = 100
    person.start(is_verified=False)
    person.wait_reason("redirect")
    assert len(jmap.requests) <= 20


def test_no_relay_at_all(start_person):
    """Mail comes by looking; what to do for more is said."""
    person = start_person()
    jmap = person.server()
    person.login()
    person.start(is_verified=False, relay=None)
    person.wait_way("poll")
    person.wait_reason("relay")
    person.wait_looked()
    jmap.deliver(ann(person), "by looking")
    person.tool("jmap", "test", "work")
    person.wait_mail("by looking")
    assert not jmap.pusher.subscriptions


def test_restored_from_a_backup(person):
    """Other states, fewer mails, some of them anew: what was shown is not shown again."""
    (jmap,) = person.servers
    person.start()
    jmap.deliver(ann(person), "before the disaster")
    person.wait_mail("before the disaster")
    own = ann(person).own
    own.prefix = "restored-"
    own.forget_history()
    jmap.change_session()
    jmap.deliver(ann(person), "after the disaster")
    person.wait_mail("after the disaster")
    person.assert_once("before the disaster", "after the disaster")


def test_server_that_tells_the_same_news_again(person):
    """An old mail as created, again and again."""
    (jmap,) = person.servers
    person.start()
    old = jmap.deliver(ann(person), "told once")
    person.wait_mail("told once")
    jmap.twists["Email/changes"] = lambda a, r: {**r, "created": [old, *r["created"]]}
    for number in range(4):
        jmap.deliver(ann(person), f"other {number}.")
        person.wait_mail(f"other {number}.")
    assert len(person.desktop.about("told once")) == 1
    person.restart()
    person.wait_way("push")
    person.assert_once("told once", *[f"other {number}." for number in range(4)])


TEXTS = ["שלום עולם", "مرحبا بالعالم", "می‌خواهم", "👨‍👩‍👧 family", "naïve café — “quoted” …", "日本語の件名", "a & b < c", "100 % {id}"]


@pytest.mark.parametrize("text", TEXTS)
def test_honest_text_is_kept(person, text):
    """All the world's subjects, as they were written."""
    (jmap,) = person.servers
    person.start()
    jmap.deliver(ann(person), text, sender=("Zoë Ångström", "zoe@example.net"))
    (notice,) = person.wait(person.desktop.notices, 20, "a notice")
    shown = (notice.title + "\n" + notice.text).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert text in shown and "Zoë Ångström" in shown, notice
