# SPDX-License-Identifier: Apache-2.0
"""An app that a policy of the bus forbids to call: it waits by the slow schedule, the user is told, others go on."""

import pytest
from harness.process import wait_until
from session import SUCCEEDED, Caller, Session

SERVICE, OTHER = "org.example.Denied", "org.example.Other"
RULES = "".join(f'<deny send_destination="{SERVICE}" send_interface="org.unifiedpush.Connector{v}"/>' for v in (1, 2))


@pytest.fixture
def session(tmp_path):
    (tmp_path / "session").mkdir()
    instance = Session(tmp_path / "session", RULES)
    yield instance
    instance.finish()


def test_an_app_that_may_not_be_called(daemon, session):
    caller = Caller(session)
    app, other = session.app(SERVICE).start(), session.app(OTHER).start()
    assert caller.register(SERVICE, "denied") == SUCCEEDED
    assert caller.register(OTHER, "other") == SUCCEEDED
    daemon.push(other.wait("NewEndpoint")[0]["endpoint"])
    other.wait("Message")
    log = daemon.process.log
    wait_until(lambda: f"a policy of the bus forbids it service={SERVICE}" in log(), 20, "a line in the log")
    assert "next_s=60" in log() and "next_s=2 " not in log()
    assert caller.register(SERVICE, "denied") == SUCCEEDED
    assert app.events("NewEndpoint") == []
    assert "a policy of the bus forbids to call it" in daemon.tool("apps").stdout
    assert log().count("a policy of the bus forbids it service=") == 1
