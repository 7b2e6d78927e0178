# SPDX-License-Identifier: Apache-2.0
"""An app that hangs has 30 s, one that must be started and never shows up has 60 s; nobody waits for them."""

import time

from session import SUCCEEDED


def test_time_limits(driver, caller, session):
    session.app("org.example.Hanging", behaviour="hang").start()
    session.app("org.example.Nameless", nameless=True).make_activatable()
    other = session.app("org.example.Other").start()
    for name in ("Hanging", "Nameless", "Other"):
        assert caller.register(f"org.example.{name}", name) == SUCCEEDED
    other.wait("NewEndpoint")
    begin = time.monotonic()
    driver.push("Nameless")
    driver.push("Hanging")
    driver.push("Other")
    assert driver.outcome(1) == "taken"
    assert driver.outcome(2, timeout=45) == "no answer"
    assert 28 < time.monotonic() - begin < 40
    assert driver.outcome(3, timeout=45) == "no answer"
    assert 58 < time.monotonic() - begin < 75
