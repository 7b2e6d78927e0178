# SPDX-License-Identifier: Apache-2.0
"""An app that hangs has 30 s, one that must be started and never shows up has 60 s; nobody waits for them, and an
answer that comes later still counts for nothing."""

import time

from session import SUCCEEDED


def test_time_limits(driver, caller, session):
    session.app("org.example.Hanging", behaviour="hang").start()
    session.app("org.example.Nameless", nameless=True).make_activatable()
    late = session.app("org.example.Late", slow=32).start()
    other = session.app("org.example.Other").start()
    for name in ("Hanging", "Late", "Nameless", "Other"):
        assert caller.register(f"org.example.{name}", name) == SUCCEEDED
    other.wait("NewEndpoint")
    begin = time.monotonic()
    driver.push("Nameless")
    driver.push("Hanging")
    driver.push("Late")
    driver.push("Other")
    assert driver.outcome(1) == "taken"
    assert driver.outcome(2, timeout=45) == "no answer"
    assert driver.outcome(3, timeout=45) == "no answer"
    assert 28 < time.monotonic() - begin < 40
    late.wait("Answered", timeout=20)
    assert driver.outcome(4, timeout=45) == "no answer"
    assert len(driver.events("delivered")) == 4
    assert 58 < time.monotonic() - begin < 75
