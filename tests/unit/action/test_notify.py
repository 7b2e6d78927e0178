# SPDX-License-Identifier: Apache-2.0
"""Desktop notifications, seen by a mock of the desktop's server."""

import pytest
from desktop import Desktop, Server
from harness.process import wait_until

@pytest.fixture
def server(session):
    instance = Server(session)
    yield instance
    instance.process.kill()


@pytest.fixture
def desk(hooks, session):
    return lambda config="": hooks(config, **session.env)


def test_safe_text(desk, server):
    h = desk()
    h.send("show a 0 <b>Title</b>\033[1m\u202e|<a href='x'>t</a>\u200b & more")
    assert server.shown(1) == [(0, "mail-unread", "<b>Title</b>[1m", "&lt;a href=&#39;x&#39;&gt;t&lt;/a&gt; &amp; more", 1)]
    h.send("show - 1 |" + "x" * 3000)
    _, _, title, text, urgency = server.shown(2)[1]
    assert title == "Bellwire" and urgency == 2 and text == "x" * 1000 + "\u2026"
    assert len(server.calls("GetCapabilities")) == 1


def test_without_markup(session, desk):
    server = Server(session, "body")
    h = desk()
    h.send("show a 0 t|<b>&")
    assert server.shown(1)[0][3] == "<b>&"
    server.process.kill()


def test_replaced_and_withdrawn(desk, server):
    h = desk()
    h.send("show a 0 one|1")
    server.shown(1)
    h.send("show a 0 two|2", "show b 0 other|3")
    assert [s[0] for s in server.shown(3)] == [0, 1, 0]
    h.send("withdraw a", "withdraw a", "withdraw never")
    server.calls("CloseNotification", 1)
    h.send("show a 0 three|4")
    assert server.shown(4)[3][:3] == (0, "mail-unread", "three")
    assert server.calls("CloseNotification") == ["1"]


def test_closed_by_the_user(desk, server):
    h = desk()
    h.send("show a 0 one|1")
    server.shown(1)
    server.close_one(1)
    # the signal comes before the answer to anything that is asked later
    h.send("show b 0 other|2")
    server.shown(2)
    h.send("show a 0 two|3")
    assert server.shown(3)[2][0] == 0


def test_a_flood_for_one_key(desk, server):
    """Only the newest waits while a call is under way."""
    h = desk()
    h.send(*[f"show a 0 t{i}|x" for i in range(500)])
    wait_until(lambda: server.shown() and server.shown()[-1][2] == "t499", 10, "the last")
    shown = server.shown()
    assert len(shown) < 100 and {s[0] for s in shown[1:]} <= {1}


def test_withdrawn_before_it_is_shown(desk, server):
    h = desk()
    h.send("show a 0 one|1")
    server.shown(1)
    h.send("show b 0 t|x", "withdraw b")
    h.send("show a 0 last|x")
    server.shown(3)
    wait_until(lambda: server.calls("CloseNotification") == ["2"], 10, "the withdrawal")


def test_no_server_and_one_that_comes_back(desk, session):
    h = desk()
    h.send("show a 0 one|1")
    h.wait_log("notifications wait for a program that shows them")
    server = Server(session)
    assert server.shown(1)[0][:3] == (0, "mail-unread", "one")
    server.stop()
    server = Server(session, "body")
    h.send("show a 0 two|<")
    assert server.shown(1)[0][:4] == (0, "mail-unread", "two", "<")
    server.process.kill()


def test_what_waits_for_a_server(desk, session):
    """The newest sixteen, less what was withdrawn; nobody is told that they are closed."""
    h = desk()
    h.send("offer k0 title0.")
    h.wait_log("notifications wait for a program that shows them")
    h.send(*[f"offer k{i} title{i}." for i in range(1, 30)], "withdraw k20", "offer k21 newer.")
    for i in range(30 - 16):
        h.expect(f"closed k{i}")
    server = Server(session)
    wait_until(lambda: len(server.shown()) == 15, 20, "all of them")
    assert sorted(s[2] for s in server.shown()) == sorted(
        ["newer.", *(f"title{i}." for i in range(14, 30) if i not in (20, 21))]
    )
    assert not [line for line in h.said if line.startswith("closed")]
    assert h.log().count("notifications wait for") == 1
    server.process.kill()


@pytest.fixture
def acting(session):
    instance = Desktop(session)
    yield instance
    instance.process.kill()


def test_actions(desk, acting):
    h = desk()
    h.send("offer one First", "show two 0 Second|x")
    (first,), (second,) = acting.wait("First"), acting.wait("Second")
    assert first.actions == {"default": "Open", "read": 'Mark as "read"', "a": "A", "b": "B"}
    assert second.actions == {}
    hints = acting.mock.GetMethodCalls("Notify")[0][1][6]
    assert hints == {"urgency": 1, "category": "email.arrived", "desktop-entry": "bellwire-distributor"}
    acting.act(second)
    acting.act(first)
    h.expect("acted one default")
    acting.act(first, "read", token="wayland-token")
    h.expect("acted one read wayland-token")
    acting.act(first, "read")
    h.expect("acted one read")
    assert not [line for line in h.said if "two" in line]


def test_actions_are_for_servers_that_have_them(desk, server):
    h = desk()
    h.send("offer one First")
    assert server.shown(1)[0][2] == "First"
    assert '"First" "" [] {' in server.calls("Notify")[0]


def test_closed_is_told(desk, acting):
    """Once, by whoever it was; not after a withdrawal, and not while another text is about to be shown."""
    h = desk()
    h.send("offer a A", "offer b B", "offer c C", "offer d D", "offer e E")
    for title in "ABCDE":
        acting.wait(title)
    acting.close_one(1)
    h.expect("closed a")
    h.send("withdraw b", "offer c C again")
    acting.wait("C again")
    h.send("forget d")
    acting.wait_withdrawn(acting.about("B")[0])
    acting.close_one(4)
    acting.close_one(3)
    h.expect("closed c")
    acting.stop()
    h.expect("closed e")
    assert not [line for line in h.said if line.startswith("closed")]


def test_closed_is_told_where_there_is_no_bus(hooks):
    h = hooks("")
    h.send("offer a A", "offer b B")
    h.expect("closed a")
    h.expect("closed b")


def test_a_flood_of_notices_is_bounded(desk, acting):
    """The oldest are forgotten, and whoever asked is told; the screen keeps them."""
    h = desk()
    for i in range(200):
        h.send(f"offer k{i} title{i}.")
        acting.wait(f"title{i}.")
    for i in range(200 - 128):
        h.expect(f"closed k{i}")
    assert not [line for line in h.said if line.startswith("closed")] and acting.withdrawn() == []


def test_hook_shows_its_message(desk, server):
    h = desk(
        "[hook mail]\nnotify_title = {json.from}\nnotify_text = {text} ({count})\nnotify_icon = mail-new\n"
        "[hook plain]\nnotify_title = {title}\ncommand = true\nquiet = 0\n"
    )
    assert h.outcome(h.push("mail", '{"from":"A <a@b>","text":"hi <b>"}', urgency="high")) == "taken"
    assert h.outcome(h.push("mail", '{"from":"B","text":"x"}', topic="t")) == "taken"
    server.shown(2)
    assert h.outcome(h.push("mail", '{"from":"C","text":"y"}', topic="t")) == "taken"
    server.shown(3)
    assert h.outcome(h.push("plain", "garbage", how="broken")) == "taken"
    shown = server.shown(4)
    assert shown[0] == (0, "mail-new", "A <a@b>", "hi &lt;b&gt; (1)", 2)
    assert shown[1] == (0, "mail-new", "B", "x (1)", 1)
    assert shown[2] == (2, "mail-new", "C", "y (1)", 1)
    assert shown[3][2:4] == ("plain", "(a message that could not be decrypted)")


def test_without_a_bus(hooks):
    h = hooks("[hook a]\nnotify_title = x\n[hook b]\nnotify_title = x\ncommand = @record\nquiet = 0\n")
    assert h.outcome(h.push("a", "x")) == "taken"
    assert h.outcome(h.push("b", "x")) == "taken"
    assert "hook cannot show notifications without a session bus hook=a" in h.log()
    assert len(h.runs(1)) == 1
