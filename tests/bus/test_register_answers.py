# SPDX-License-Identifier: Apache-2.0
"""How Register is answered: the words of both versions, later, and always before NewEndpoint."""

import threading
import time

import pytest
from session import SUCCEEDED, Caller, failed

SERVICE = "org.example.App"
REASONS = ["INTERNAL_ERROR", "NETWORK", "ACTION_REQUIRED", "VAPID_REQUIRED", "UNAUTHORIZED"]


@pytest.mark.parametrize("number,reason", list(enumerate(REASONS, 1)))
def test_reason_in_both_versions(driver, caller, number, reason):
    driver.tell("outcome", str(number))
    assert caller.register(SERVICE, "token") == failed(reason)
    assert caller.register_v1(SERVICE, "token") == ("REGISTRATION_FAILED", reason)


@pytest.mark.parametrize("version", [1, 2])
def test_blocking_register_is_answered_before_new_endpoint(driver, session, version):
    app = session.app(SERVICE, version, register="token").start()
    (endpoint,) = app.wait("NewEndpoint")
    (answer,) = app.events("answer")
    assert answer["time"] < endpoint["time"]
    expected = [{"success": "REGISTRATION_SUCCEEDED"}] if version == 2 else ["REGISTRATION_SUCCEEDED", ""]
    assert answer["arguments"] == expected
    assert endpoint["endpoint"].startswith("https://push.example/")
    assert driver.wait("announced")[0]["outcome"] == "taken"


def test_pending_register_holds_up_nobody(driver, caller, session):
    driver.tell("hold")
    answers = []
    other = Caller(session)
    thread = threading.Thread(target=lambda: answers.append(other.register(SERVICE, "slow")))
    thread.start()
    for _ in range(50):
        before = time.monotonic()
        caller.introspect()
        assert time.monotonic() - before < 10
    assert answers == []
    driver.tell("release")
    thread.join(20)
    assert answers == [SUCCEEDED]


def test_caller_that_leaves_is_called_when_it_is_done(driver, session):
    """It registers, exits without waiting, and is started for NewEndpoint."""
    driver.tell("hold")
    app = session.app(SERVICE).make_activatable()
    leaving = session.app(SERVICE, register="token", leave=True).start()
    driver.wait("asked")
    leaving.process.wait()
    driver.tell("release")
    (endpoint,) = app.wait("NewEndpoint")
    assert endpoint["token"] == "token"


def test_shutdown_answers_what_is_pending(driver, session):
    driver.tell("hold")
    answers = []
    other = Caller(session)
    thread = threading.Thread(target=lambda: answers.append(other.register(SERVICE, "slow")))
    thread.start()
    driver.wait("asked")
    driver.terminate()
    thread.join(20)
    assert answers == [failed("INTERNAL_ERROR")]


@pytest.mark.parametrize("version", [1, 2])
def test_unregister_while_register_is_pending(driver, session, caller, version):
    app = session.app(SERVICE, version).start()
    driver.tell("hold")
    answers = []
    others = [Caller(session) for _ in range(2)]
    register = [lambda c: c.register_v1(SERVICE, "token"), lambda c: c.register(SERVICE, "token")][version - 1]
    threads = [threading.Thread(target=lambda c=c: answers.append(register(c))) for c in others]
    for thread in threads:
        thread.start()
    driver.wait("asked", 2)
    caller.unregister("token")
    for thread in threads:
        thread.join(20)
    assert answers == [failed("INTERNAL_ERROR")] * 2
    (event,) = app.wait("Unregistered")
    assert event["token"] == ("token" if version == 2 else "")
    driver.tell("release")
    assert register(caller)[0] == "REGISTRATION_SUCCEEDED"
    app.wait("NewEndpoint")
    assert len(app.events("Unregistered")) == 1
