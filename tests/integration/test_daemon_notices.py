# SPDX-License-Identifier: Apache-2.0
"""What the user is told on the desktop about the link: when pushes have not come for long, and no sooner."""

import pytest
from harness.portal import Portal, answer
from harness.process import wait_until

NOTIFICATIONS = ("org.freedesktop.Notifications", "/org/freedesktop/Notifications")
MINUTE, DAY = 60, 24 * 3600


class Desktop:
    def __init__(self, household):
        self.bus, self.daemon, self.clock = household.bus, household.daemon, household.clock
        self.laptop, self.relay = household.laptop, household.relay

    def calls(self, method):
        return [list(arguments) for _, arguments in self.bus.object(*NOTIFICATIONS).GetMethodCalls(method)]

    def shown(self):
        """(title, text) of each."""
        return [(str(call[3]), str(call[4])) for call in self.calls("Notify")]

    def pass_time(self, seconds):
        """Minute by minute, so that attempts fail as they would."""
        for _ in range(round(seconds / MINUTE)):
            self.clock.advance(MINUTE)
            self.daemon.report()
            self.daemon.wait(lambda: self.daemon.report()["state"] in ("waiting", "offline"), 20, "a link at rest")

    def pass_time_until_shown(self, seconds):
        """A minute may not pass before the notification service has answered, or the call to it ends."""
        for _ in range(round(seconds / MINUTE)):
            self.pass_time(MINUTE)
            try:
                shown = wait_until(self.shown, 5, "a notice")
                self.daemon.report()  # behind that answer on the bus
                return shown
            except AssertionError:
                pass  # in a later minute
        return wait_until(self.shown, 20, "a notice")


@pytest.fixture
def desktop(start_household):
    def before(household):
        household.bus.start("notification_daemon", NOTIFICATIONS[0])

    return Desktop(start_household(has_clock=True, has_bus=True, before=before))


def test_relay_that_is_away_for_a_quarter_of_an_hour(desktop):
    """One notice, however long it lasts; it goes when the relay is back."""
    daemon = desktop.daemon
    desktop.relay.stop()
    daemon.wait(lambda: daemon.state() == "waiting", 20, "a waiting link")
    desktop.pass_time(14 * MINUTE)
    assert desktop.shown() == []
    desktop.pass_time_until_shown(3 * MINUTE)
    desktop.pass_time(60 * MINUTE)
    ((title, text),) = desktop.shown()
    assert title == "Pushes do not arrive" and "the connection was refused" in text
    assert desktop.calls("CloseNotification") == []
    desktop.relay.start()
    assert daemon.tool("reconnect").returncode == 0
    daemon.wait_up()
    daemon.wait(lambda: desktop.calls("CloseNotification"), 20, "a notice taken away")


def test_no_network_is_no_news_to_the_user(desktop):
    """Twelve hours of a train, or of the airplane mode."""
    daemon = desktop.daemon
    desktop.relay.stop()
    daemon.wait(lambda: daemon.state() == "waiting", 20, "a waiting link")
    desktop.laptop.unplug()
    daemon.wait(lambda: daemon.state() == "offline", 20, "an offline link")
    desktop.pass_time(12 * 60 * MINUTE)
    assert desktop.shown() == []


def test_login_page_is_borne_for_a_day(desktop):
    """It is no fault of the relay's, and the user has most likely seen it; but not for ever."""
    daemon, laptop = desktop.daemon, desktop.laptop
    laptop.unplug()
    daemon.wait(lambda: daemon.state() == "offline", 20, "an offline link")
    desktop.relay.stop()
    portal = Portal(laptop.router, desktop.relay.device_port, answer("511 Network Authentication Required"))
    try:
        laptop.plug(1)
        daemon.wait(lambda: daemon.state() == "waiting", 20, "a waiting link")
        for _ in range(23):
            attempts = daemon.attempts()
            desktop.clock.advance(60 * MINUTE)
            daemon.wait(lambda: daemon.attempts() > attempts and daemon.report()["state"] == "waiting", 20,
                        "another attempt")
        assert desktop.shown() == []
        desktop.clock.advance(240 * MINUTE)  # the day began with the first notice that was not shown
        daemon.wait(desktop.shown, 20, "a notice")
        assert "login in a browser" in desktop.shown()[0][1]
    finally:
        portal.close()
    desktop.relay.start()
