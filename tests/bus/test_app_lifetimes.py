# SPDX-License-Identifier: Apache-2.0
"""Apps that were removed: their registrations stay for 30 days, then senders are told that nobody is there."""

import pytest
from harness.process import wait_until
from session import SUCCEEDED

SERVICE = "org.example.App"
DAY = 86400


def absent_since(daemon):
    """In milliseconds; 0: it is there."""
    (app,) = daemon.apps()
    return app["absent_ms"]


def pass_days(daemon, clock, count):
    """Day by day, for apps are looked after once a day."""
    for _ in range(count):
        clock.advance(DAY + 61)
        daemon.settle()


def test_thirty_days(absent, relay, clock):
    pass_days(absent, clock, 1)
    wait_until(lambda: absent_since(absent) > 0, 20, "the absence to be noticed")
    pass_days(absent, clock, 28)
    assert len(absent.apps()) == 1
    assert relay.post(absent.endpoint).status == 201
    absent.restart()
    pass_days(absent, clock, 3)
    wait_until(lambda: absent.apps() == [], 20, "the registration's end")
    wait_until(lambda: relay.post(absent.endpoint).status in (404, 410), 20, "the endpoint's end")


@pytest.mark.parametrize("way", ["starts", "can be started", "registers"])
def test_an_app_that_comes_back(absent, clock, caller, session, way):
    pass_days(absent, clock, 2)
    wait_until(lambda: absent_since(absent) > 0, 20, "the absence to be noticed")
    app = session.app(SERVICE)
    if way == "starts":
        app.start()
    elif way == "can be started":
        app.make_activatable()
        wait_until(lambda: SERVICE in caller.bus.list_activatable_names(), 20, "the bus to find the file")
        pass_days(absent, clock, 1)
    else:
        assert caller.register(SERVICE, "token") == SUCCEEDED
    wait_until(lambda: absent_since(absent) == 0, 20, "the return to be noticed")
    if way == "starts":
        app.stop()
    pass_days(absent, clock, 25)
    assert len(absent.apps()) == 1  # a new absence is counted anew


def test_an_app_that_is_never_started_by_the_bus(timed_daemon, clock, caller, session):
    """Some only answer while they run; that is no reason to drop them."""
    app = session.app(SERVICE).start()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    app.wait("NewEndpoint")
    for _ in range(3):
        pass_days(timed_daemon, clock, 20)
        assert absent_since(timed_daemon) == 0
        app.stop()
        pass_days(timed_daemon, clock, 10)
        app.start()
        wait_until(lambda: absent_since(timed_daemon) == 0, 20, "the return")
    assert not app.events("Unregistered")
