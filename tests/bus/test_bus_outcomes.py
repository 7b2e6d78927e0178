# SPDX-License-Identifier: Apache-2.0
"""What each answer of an app to Message means for the message."""

import pytest
from session import SUCCEEDED

SERVICE = "org.example.App"


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    "behaviour,outcome",
    [
        ("id", "taken"),
        ("wrong-id", "taken"),
        ("empty", "taken"),
        ("no-body", "taken"),
        ("error", "refused"),
        ("exit", "no answer"),
    ],
)
def test_answer_of_a_running_app(driver, caller, session, version, behaviour, outcome):
    app = session.app(SERVICE, version, behaviour=behaviour).start()
    register(caller, version)
    app.wait("NewEndpoint")
    driver.push("token", "hello")
    assert driver.outcome() == outcome
    (message,) = app.wait("Message")
    assert message["message"] == b"hello".hex()
    assert message["token"] == "token"
    assert len(message["id"]) == 16
    assert message["no_reply"] is False


def register(caller, version):
    if version == 2:
        assert caller.register(SERVICE, "token") == SUCCEEDED
    else:
        assert caller.register_v1(SERVICE, "token") == ("REGISTRATION_SUCCEEDED", "")


def test_app_that_is_nowhere(driver, caller):
    assert caller.register(SERVICE, "token") == SUCCEEDED
    driver.push("token")
    assert driver.outcome() == "absent"
    assert driver.wait("announced")[0]["outcome"] == "absent"


@pytest.mark.parametrize(
    "command", ["/does/not/exist", "/bin/false", "/bin/sh -c 'kill -9 $$'", "/etc/hostname", "'"]
)
def test_app_that_cannot_be_started(driver, caller, session, command):
    session.activatable(SERVICE, command)
    assert caller.register(SERVICE, "token") == SUCCEEDED
    driver.push("token")
    assert driver.outcome() == "absent"


def test_app_that_exports_nothing(driver, caller, session):
    session.app(SERVICE, unexported=True).start()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    driver.push("token")
    assert driver.outcome() == "not ready"


def test_app_that_exits_when_it_is_started(driver, caller, session):
    session.app(SERVICE, exit_at_once=True).make_activatable()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    driver.push("token")
    assert driver.outcome() == "absent"


def test_two_hundred_messages_start_an_app_once(driver, caller, session):
    app = session.app(SERVICE).make_activatable()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    for i in range(200):
        driver.push("token", f"message{i}")
    assert [m["outcome"] for m in driver.wait("delivered", 200)] == ["taken"] * 200
    assert [bytes.fromhex(m["message"]).decode() for m in app.events("Message")] == [
        f"message{i}" for i in range(200)
    ]
    assert len(app.events("started")) == 1
    assert app.events()[2]["event"] == "NewEndpoint"


def test_hanging_app_does_not_delay_another(driver, caller, session):
    hanging = session.app("org.example.Hanging", behaviour="hang").start()
    other = session.app("org.example.Other").start()
    assert caller.register("org.example.Hanging", "hanging") == SUCCEEDED
    assert caller.register("org.example.Other", "other") == SUCCEEDED
    driver.push("hanging")
    hanging.wait("Message")
    driver.push("other")
    other.wait("Message")
    assert driver.outcome() == "taken"
