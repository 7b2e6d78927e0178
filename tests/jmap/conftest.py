# SPDX-License-Identifier: Apache-2.0
"""Fixtures: JMAP servers, and persons whose mail is there."""

import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
for folder in (HERE, *(HERE.parent / name for name in ("bus", "integration", "unit/action"))):
    sys.path.insert(0, str(folder))

from jmap_server import JmapServer  # noqa: E402
from mail import Person  # noqa: E402


@pytest.fixture
def start_jmap(tmp_path):
    """start_jmap(**settings): a JMAP server of its own."""
    servers = []

    def start(**settings):
        servers.append(JmapServer(tmp_path / f"jmap{len(servers)}", **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.finish()


@pytest.fixture
def jmap(start_jmap):
    return start_jmap()


@pytest.fixture
def start_driver(tmp_path):
    """start_driver(session=None): the program that drives the parts alone."""
    from driver import Driver

    drivers = []

    def start(session=None, prefix=(), clock=None, **env):
        directory = tmp_path / f"driver{len(drivers)}"
        directory.mkdir()
        drivers.append(Driver(directory, session, prefix, clock, **env))
        return drivers[-1]

    yield start
    for each in drivers:
        each.finish()


@pytest.fixture
def driver(start_driver):
    return start_driver()


@pytest.fixture
def session(tmp_path):
    """A session bus with nothing on it."""
    from session import Session

    instance = Session(tmp_path / "session")
    yield instance
    instance.finish()


@pytest.fixture
def ann(jmap):
    return jmap.login()


@pytest.fixture
def start_sync(tmp_path, jmap, ann):
    """start_sync(**keys): the program mail_driver with a [jmap work] section of these keys."""
    from sync_driver import Sync

    made = []

    def start(**keys):
        directory = tmp_path / f"sync{len(made)}"
        directory.mkdir()
        made.append(Sync(directory, jmap, **keys))
        return made[-1]

    yield start
    for one in made:
        one.finish()


@pytest.fixture
def start_person(tmp_path):
    """start_person(**options): a desktop with relay and bus, everything ended and checked behind the test."""
    persons = []

    def start(**options):
        directory = tmp_path / f"person{len(persons)}"
        directory.mkdir()
        persons.append(Person(directory, **options))
        return persons[-1]

    yield start
    for person in persons:
        person.finish()


@pytest.fixture
def person(start_person):
    """One whose JMAP server and login are there; the daemon is not started yet."""
    instance = start_person()
    instance.server()
    instance.login()
    return instance


@pytest.fixture
def system_bus(tmp_path):
    """A private bus for mocks of UPower and logind."""
    from harness.system_bus import SystemBus

    directory = tmp_path / "system-bus"
    directory.mkdir()
    instance = SystemBus(directory)
    yield instance
    instance.close()
