# SPDX-License-Identifier: Apache-2.0
"""What the user does about an app: blocks it, looks at it, removes it. The app itself must not notice a block."""

from harness.process import wait_until
from session import SUCCEEDED

SERVICE = "org.example.App"


def test_a_blocked_app(daemon, relay, caller, session):
    app = session.app(SERVICE).start()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    endpoint = app.wait("NewEndpoint")[0]["endpoint"]
    assert daemon.tool("block", SERVICE).returncode == 0
    daemon.push(endpoint, b"unwanted")
    daemon.wait_acknowledged(1)
    daemon.restart()
    daemon.push(endpoint, b"unwanted, too")
    daemon.wait_acknowledged(2)
    # it registers as ever, and is told nothing
    assert caller.register(SERVICE, "token") == SUCCEEDED
    assert app.wait("NewEndpoint", 2)[1]["endpoint"] == endpoint
    assert relay.post(endpoint, b"unwanted as well").status == 201
    daemon.wait_acknowledged(3)
    (listed,) = daemon.apps()
    assert listed["blocked"] and listed["service"] == SERVICE
    assert "blocked" in daemon.tool("apps").stdout
    assert daemon.tool("log").stdout.count("blocked") >= 2
    assert daemon.tool("unblock", SERVICE).returncode == 0
    daemon.push(endpoint, b"wanted")
    app.wait("Message")
    assert [event["message"] for event in app.events("Message")] == [b"wanted".hex()]
    assert not app.events("Unregistered")


def test_descriptions(daemon, caller, session):
    """Cut, without what a terminal would obey, shown as they are; another one replaces the last."""
    session.app(SERVICE).start()
    for given, shown in [
        ("x" * 5000, "x" * 100),
        ("ä" * 60, "ä" * 50),
        ("<b>bold</b> & more", "<b>bold</b> & more"),
        ("two\nlines\t\x1b[31mred\x07", "twolines[31mred"),
        ("turned \u202e round", "turned  round"),
        ("", "turned  round"),  # not given: the last one stays
    ]:
        assert caller.register(SERVICE, "token", description=given) == SUCCEEDED
        (listed,) = daemon.apps()
        assert listed["description"] == shown
        assert shown in daemon.tool("apps").stdout


def test_removed_by_the_user(daemon, relay, caller, session):
    app = session.app(SERVICE).start()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    endpoint = app.wait("NewEndpoint")[0]["endpoint"]
    assert daemon.tool("unregister", SERVICE).returncode == 0
    assert app.wait("Unregistered")[0]["token"] == "token"
    wait_until(lambda: relay.post(endpoint).status in (404, 410), 20, "the endpoint's end")
    # it may come back with the same token, as somebody new
    assert caller.register(SERVICE, "token") == SUCCEEDED
    assert app.wait("NewEndpoint", 2)[1]["endpoint"] != endpoint


def test_several_registrations_of_an_app(daemon, caller, session):
    app = session.app(SERVICE).start()
    for token in ("one", "two"):
        assert caller.register(SERVICE, token) == SUCCEEDED
    app.wait("NewEndpoint", 2)
    done = daemon.tool("unregister", SERVICE)
    assert done.returncode == 1 and "several registrations" in done.stderr and "bellwire apps" in done.stderr
    number = daemon.apps()[1]["number"]
    assert daemon.tool("unregister", str(number)).returncode == 0
    assert app.wait("Unregistered")[0]["token"] == "two"
