# SPDX-License-Identifier: Apache-2.0
"""Apps that cannot register because the user has to do something: the desktop says so, once."""

import pytest
from harness.process import wait_until
from session import SUCCEEDED, failed

SERVICE = "org.example.App"


def test_no_relay_is_set(desktop, start_daemon, relay, caller, session):
    app = session.app(SERVICE).start()
    daemon = start_daemon(relay=None)
    for token in ("one", "two"):
        assert caller.register(SERVICE, token) == failed("ACTION_REQUIRED")
        assert caller.register_v1(SERVICE, token) == ("REGISTRATION_FAILED", "ACTION_REQUIRED")
    ((_, _, title, text, _),) = desktop.shown(1)
    assert title == "Push messages are not set up" and "bellwire login URL" in text
    daemon.manage("Move", "s", f"ws://127.0.0.1:{relay.port}/")
    desktop.calls("CloseNotification", 1)
    assert caller.register(SERVICE, "one") == SUCCEEDED
    app.wait("NewEndpoint")
    assert len(desktop.shown()) == 1


def test_the_relay_refuses_the_device(desktop, start_daemon, fake_relay, caller):
    """For want of an invite; a known way out is named."""
    daemon = start_daemon(relay=fake_relay(refuses=403).url)
    wait_until(lambda: daemon.status()["state"] == "refused", 20, "the refusal")
    assert caller.register(SERVICE, "token") == failed("ACTION_REQUIRED")
    assert caller.register(SERVICE, "token") == failed("ACTION_REQUIRED")
    ((_, _, title, text, _),) = desktop.shown(1)
    assert title == "Pushes do not arrive" and "invite" in text
    daemon.reconnect()
    wait_until(lambda: daemon.status()["attempts"] >= 2, 20, "another attempt")
    wait_until(lambda: daemon.status()["state"] == "refused", 20, "the refusal")
    assert len(desktop.shown()) == 1
