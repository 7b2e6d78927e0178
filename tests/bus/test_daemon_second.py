# SPDX-License-Identifier: Apache-2.0
"""A second daemon, on the same bus or in the same state directory: it says why and ends; the first one goes on."""

import json

import pytest
from daemon import BINARY
from session import SUCCEEDED, Session, run_program

SERVICE = "org.example.App"
ANOTHER_RUNS = 4  # EXIT STATUS in bellwire-distributor(8): the service manager does not start it again


@pytest.fixture
def served(daemon, caller, session):
    """An app that has its endpoint, and a look whether all is as before."""
    app = session.app(SERVICE).start()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    endpoint = app.wait("NewEndpoint")[0]["endpoint"]
    pid, before = daemon.process.pid, identity(daemon.state_dir)

    def check():
        assert daemon.process.is_running() and daemon.process.pid == pid
        assert identity(daemon.state_dir) == before
        assert daemon.status()["reconnects"] == 0
        daemon.push(endpoint, b"after")
        app.wait("Message")
        daemon.wait_acknowledged(1)

    return check


def identity(directory):
    """Who we are at the relay, and what is registered."""
    state = json.loads((directory / "state.json").read_text())
    return state["accounts"][0]["uaid"], [(r["token"], r["channel"]) for r in state["registrations"]["list"]]


def second(session, relay, state_dir, *flags):
    words = [BINARY, "--relay", f"ws://127.0.0.1:{relay.port}/", "--state-dir", str(state_dir), *flags]
    return run_program(["env", "-u", "BELLWIRE_RELAY", *words], session.env)


def test_on_one_bus(served, session, relay, tmp_path):
    ended = second(session, relay, tmp_path / "other")
    assert ended.returncode == ANOTHER_RUNS, ended.stderr
    assert "another distributor already runs on this session bus" in ended.stderr
    assert "management" not in ended.stderr  # one reason is enough
    served()


@pytest.mark.parametrize("flags", [[], ["--no-bus"]])
def test_in_one_state_directory(served, daemon, session, relay, flags):
    ended = second(session, relay, daemon.state_dir, *flags)
    assert ended.returncode == ANOTHER_RUNS, ended.stderr
    assert f"another distributor uses {daemon.state_dir}" in ended.stderr
    served()


def test_in_one_state_directory_from_another_session(served, daemon, relay, tmp_path):
    (tmp_path / "another").mkdir()
    session = Session(tmp_path / "another")
    try:
        ended = second(session, relay, daemon.state_dir)
    finally:
        session.finish()
    assert ended.returncode == ANOTHER_RUNS, ended.stderr
    served()


def test_the_name_is_free_again_when_the_first_has_ended(daemon, start_daemon):
    """Also when it had no time to give it back."""
    daemon.kill()
    start_daemon()
