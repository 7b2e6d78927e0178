# SPDX-License-Identifier: Apache-2.0
"""Bus names: ours, and those of apps that come, go, are renamed or live only as long as a connection."""

import os
import threading

import dbus
import pytest
from driver import BINARY
from session import NAME, SUCCEEDED, Caller, failed, run_program

SERVICE = "org.example.App"


def test_second_distributor_ends(driver, session):
    """EEXIST is 17; the first one goes on."""
    second = run_program([BINARY], {**session.env})
    assert second.returncode == 17, second.stderr
    assert Caller(session).register(SERVICE, "token") == SUCCEEDED


def test_name_is_given_back(driver, session):
    driver.finish()
    bus = session.connect()
    assert not bus.name_has_owner(NAME)
    assert "bus lost" not in [event["event"] for event in driver.events()]


def test_bus_that_ends(driver, session):
    session.daemon.terminate()
    driver.wait("bus lost")
    driver.child.wait(20)


def test_app_that_appears_later(driver, caller, session):
    caller.register(SERVICE, "token")
    driver.wait("announced")
    assert len(driver.events("appeared")) == 1  # by its registration
    app = session.app(SERVICE).start()
    assert driver.wait("appeared", 2)[1]["service"] == SERVICE
    driver.push("token")
    assert driver.outcome() == "taken"
    app.stop()
    session.app(SERVICE).start()
    driver.wait("appeared", 3)


def test_apps_nobody_registered_are_not_heard_of(driver, caller, session):
    session.app("org.example.Stranger").start()
    caller.register(SERVICE, "token")
    driver.wait("announced")
    assert [event["service"] for event in driver.events("appeared")] == [SERVICE]


def test_unique_name_dies_with_its_owner(driver, session):
    app = session.app("unique", register="token").start()
    app.wait("NewEndpoint")
    unique = app.events("started")[0]["unique"]
    assert driver.events("registered")[0]["service"] == unique
    driver.push("token")
    assert driver.outcome() == "taken"
    app.stop()
    assert driver.wait("left")[0]["service"] == unique


def test_unique_name_that_left_is_refused(driver, caller, session):
    other = session.connect()
    unique = str(other.get_unique_name())
    other.close()
    assert caller.register(unique, "token") == failed("INTERNAL_ERROR")
    assert caller.register(caller.unique, "token") == SUCCEEDED
    assert [event["service"] for event in driver.events("registered")] == [caller.unique]


def test_token_of_another_app_is_refused(driver, caller, session):
    session.app("org.example.Running").start()
    session.app("org.example.Sleeping").make_activatable()
    for service in ("org.example.Running", "org.example.Sleeping"):
        token = f"token of {service}"
        assert caller.register(service, token) == SUCCEEDED
        assert caller.register("org.example.Thief", token) == failed("INTERNAL_ERROR")
        assert caller.register(service, token) == SUCCEEDED


def test_renamed_app_keeps_its_token(driver, caller, session):
    app = session.app("org.example.New").start()
    assert caller.register("org.example.Old", "token") == SUCCEEDED
    assert caller.register("org.example.New", "token") == SUCCEEDED
    driver.push("token")
    assert driver.outcome() == "taken"
    assert len(app.events("Message")) == 1


@pytest.mark.parametrize("rounds", [20])
def test_object_is_there_when_the_name_is(session, rounds):
    """A watcher that introspects the moment the name appears always finds both interfaces."""
    from driver import Driver

    for _ in range(rounds):
        found = []
        bus = Caller(session)

        def watch(bus=bus, found=found):
            while not bus.bus.name_has_owner(NAME):
                pass
            found.append(bus.introspect())

        thread = threading.Thread(target=watch)
        thread.start()
        driver = Driver(session)
        thread.join(20)
        driver.finish()
        os.unlink(driver.out)
        assert "org.unifiedpush.Distributor2" in found[0] and "org.unifiedpush.Distributor1" in found[0]


def test_no_other_name_is_owned(driver, caller):
    names = [str(n) for n in caller.bus.list_names() if not n.startswith(":")]
    assert sorted(n for n in names if n.startswith("org.unifiedpush")) == [NAME]


def test_unknown_method_is_an_error(driver, caller):
    with pytest.raises(dbus.DBusException) as error:
        caller.call("org.unifiedpush.Distributor3", "Register", None)
    assert "Unknown" in error.value.get_dbus_name()
