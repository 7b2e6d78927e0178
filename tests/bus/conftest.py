# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a private session bus, and on it either the real daemon or the bus side alone."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import daemon as daemon_module  # noqa: E402
from driver import Driver  # noqa: E402
from harness.clock import Clock  # noqa: E402
from harness.fake_relay import fake_relay  # noqa: E402, F401
from harness.relay import Relay  # noqa: E402
from session import SUCCEEDED, Caller, Session  # noqa: E402


@pytest.fixture
def session(tmp_path):
    instance = Session(tmp_path)
    yield instance
    instance.finish()


@pytest.fixture
def driver(request, session):
    """FLAGS of the module are its flags."""
    instance = Driver(session, *getattr(request.module, "FLAGS", ()))
    yield instance
    instance.finish()


@pytest.fixture
def caller(session):
    return Caller(session)


def relay_in(directory):
    directory.mkdir()
    instance = Relay(f"sqlite:{directory}/relay.db", directory)
    yield instance
    instance.finish()


@pytest.fixture
def relay(tmp_path):
    yield from relay_in(tmp_path / "relay")


@pytest.fixture
def other(tmp_path):
    """Another relay, to move to."""
    yield from relay_in(tmp_path / "other-relay")


@pytest.fixture
def start_daemon(session, relay):
    """start_daemon(**flags): the real daemon, ended and checked behind the test; clock: its own."""
    daemons = []

    def start(clock=None, **flags):
        daemons.append(daemon_module.Daemon(session, relay, flags, clock))
        return daemons[-1].start()

    yield start
    for instance in daemons:
        instance.finish()


@pytest.fixture
def daemon(start_daemon):
    return start_daemon()


@pytest.fixture
def clock():
    """Of the daemon under timed_daemon: hours pass in a moment."""
    instance = Clock()
    yield instance
    instance.close()


@pytest.fixture
def desktop(session):
    """What it shows of notifications."""
    from desktop import Server  # needs python3-dbusmock, which few do

    server = Server(session)
    yield server
    server.process.kill()


@pytest.fixture
def timed_daemon(start_daemon, clock):
    return start_daemon(clock=clock)


@pytest.fixture
def absent(timed_daemon, caller, session):
    """A daemon with an app, org.example.App, that knows its .endpoint and neither runs nor can be started."""
    app = session.app("org.example.App").start()
    assert caller.register(app.service, "token") == SUCCEEDED
    timed_daemon.endpoint = app.wait("NewEndpoint")[0]["endpoint"]
    app.stop()
    return timed_daemon
