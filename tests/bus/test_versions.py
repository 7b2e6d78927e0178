# SPDX-License-Identifier: Apache-2.0
"""Apps of both versions: called back by the one they registered with, told of the end as it asks for."""

from session import SUCCEEDED

SERVICE = "org.example.App"


def test_version_1_confirms_with_the_empty_token(driver, caller, session):
    app = session.app(SERVICE, 1).start()
    caller.register_v1(SERVICE, "token")
    app.wait("NewEndpoint")
    caller.unregister_v1("token")
    (event,) = app.wait("Unregistered")
    assert event["token"] == ""


def test_version_1_learns_what_was_dropped(driver, caller, session):
    app = session.app(SERVICE, 1).start()
    caller.register_v1(SERVICE, "token")
    app.wait("NewEndpoint")
    driver.tell("drop", "token")
    (event,) = app.wait("Unregistered")
    assert event["token"] == "token"


def test_version_2_always_gets_the_token(driver, caller, session):
    app = session.app(SERVICE).start()
    for i, end in enumerate([lambda: caller.unregister("token"), lambda: driver.tell("drop", "token")], 1):
        assert caller.register(SERVICE, "token") == SUCCEEDED
        app.wait("NewEndpoint", i)
        end()
        assert app.wait("Unregistered", i)[i - 1]["token"] == "token"


def test_unregister_twice_and_unknown(driver, caller, session):
    app = session.app(SERVICE).start()
    caller.register(SERVICE, "token")
    caller.unregister("unknown")
    caller.unregister("token")
    caller.unregister("token")
    caller.register(SERVICE, "another")
    assert app.wait("NewEndpoint", 2)[1]["token"] == "another"
    assert [event["token"] for event in app.events("Unregistered")] == ["token"]


def test_version_2_registration_of_a_version_1_app(driver, caller, session):
    """The mismatch is found by the first call, remembered, and forgotten when the app registers again."""
    app = session.app(SERVICE, 1).start()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    app.wait("NewEndpoint")
    driver.push("token", "one")
    assert driver.outcome(1) == "taken"
    driver.push("token", "two")
    assert driver.outcome(2) == "taken"
    assert [bytes.fromhex(m["message"]) for m in app.events("Message")] == [b"one", b"two"]
    app.stop()
    new = session.app(SERVICE, 2).start()
    driver.wait("appeared", 3)
    driver.push("token", "three")
    assert driver.outcome(3) == "not ready"  # what was remembered did not hold
    driver.push("token", "four")
    assert driver.outcome(4) == "taken"
    assert [bytes.fromhex(m["message"]) for m in new.events("Message")] == [b"four"]


def test_version_switches_with_a_registration(driver, caller, session):
    old = session.app(SERVICE, 1).start()
    caller.register_v1(SERVICE, "token")
    (before,) = old.wait("NewEndpoint")
    old.stop()
    new = session.app(SERVICE, 2).start()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    (after,) = new.wait("NewEndpoint")
    assert before["endpoint"] == after["endpoint"]
    driver.push("token")
    assert driver.outcome() == "taken"
