# SPDX-License-Identifier: Apache-2.0
"""A connection that calls far too often is told so; everybody else is served as before."""

import threading
import time

import dbus
from session import SUCCEEDED, Caller

FLOOD = 1000


def flood(session, results):
    caller = Caller(session)
    for i in range(FLOOD):
        try:
            results.append(caller.register("org.example.Flood", f"token{i}"))
        except dbus.DBusException as error:
            results.append(error.get_dbus_name())


def test_flood_of_registrations(driver, caller, session):
    session.app("org.example.Flood").start()
    session.app("org.example.App").start()
    results, latencies = [], []
    thread = threading.Thread(target=flood, args=(session, results))
    thread.start()
    while thread.is_alive():
        before = time.monotonic()
        caller.introspect()
        latencies.append(time.monotonic() - before)
    thread.join()
    assert sorted(latencies)[len(latencies) * 95 // 100] < 0.05, sorted(latencies)[-20:]
    accepted = results.count(SUCCEEDED)
    assert 64 <= accepted < FLOOD // 2
    assert results.count("org.freedesktop.DBus.Error.LimitsExceeded") == FLOOD - accepted
    assert caller.register("org.example.App", "mine") == SUCCEEDED
    assert driver.log().count("app calls too often") < 100


def test_an_app_within_the_burst_is_served(driver, caller, session):
    session.app("org.example.App").start()
    for i in range(64):
        assert caller.register("org.example.App", f"token{i}") == SUCCEEDED
    for i in range(64):
        caller.unregister(f"token{i}")


def test_many_connections_are_served(driver, session):
    for i in range(300):
        caller = Caller(session)
        assert caller.register("org.example.App", f"token{i}") == SUCCEEDED
        session.connections.pop().close()
