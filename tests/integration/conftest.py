# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the scenarios. BELLWIRE_RELAY names the program; ROUNDS shortens the kill -9 scenarios."""

import os
import shutil
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from harness import redis as redis_module  # noqa: E402
from harness.fake_relay import fake_relay  # noqa: E402
from harness.household import Household  # noqa: E402
from harness.laptop import Laptop  # noqa: E402
from harness.link import Link  # noqa: E402
from harness.monitor import Monitor  # noqa: E402
from harness.relay import BINARY, Relay  # noqa: E402
from harness.street import Street  # noqa: E402


def pytest_sessionstart(session):
    if not os.access(BINARY, os.X_OK):
        raise pytest.UsageError(f"{BINARY} is not there; build it, or set BELLWIRE_RELAY")


def store_url(kind, directory, redis_server):
    if kind == "redis":
        redis_server.command("FLUSHALL")
        return redis_server.url
    return f"sqlite:{directory}/relay.db" if kind == "sqlite" else "memory:"


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    server = redis_module.Redis(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


def _kind(request):
    """The store that a module or test is about: memory unless it says otherwise."""
    return getattr(request, "param", "memory")


@pytest.fixture(scope="module")
def relay(request, tmp_path_factory):
    """One relay for the module; a module's FLAGS are its flags. Parametrise with stores() below."""
    kind = _kind(request)
    directory = tmp_path_factory.mktemp("relay")
    server = request.getfixturevalue("redis_server") if kind == "redis" else None
    instance = Relay(store_url(kind, directory, server), directory, **getattr(request.module, "FLAGS", {}))
    yield instance
    instance.finish()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def start_relay(tmp_path):
    """start_relay(store="memory:", **flags): relays of one test alone, checked and ended behind it."""
    relays = []

    def start(store="memory:", **flags):
        directory = flags.pop("directory", None) or tmp_path / f"relay{len(relays)}"
        directory.mkdir(exist_ok=True)
        instance = Relay(store, directory, start=False, **flags)
        relays.append(instance)
        return instance.start()

    yield start
    for instance in relays:
        instance.finish()


@pytest.fixture
def start_redis(tmp_path):
    servers = []

    def start(**options):
        directory = tmp_path / f"redis{len(servers)}"
        directory.mkdir()
        servers.append(redis_module.Redis(directory, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(params=["sqlite", "redis"])
def durable(request, tmp_path):
    """The URL of a store that outlives its relay, on its own SQLite file or Redis (appendfsync always)."""
    if request.param == "sqlite":
        yield f"sqlite:{tmp_path}/relay.db"
        return
    directory = tmp_path / "durable-redis"
    directory.mkdir()
    server = redis_module.Redis(directory, appendfsync="always")
    yield server.url
    server.stop()


@pytest.fixture
def laptop():
    """Network namespaces: a laptop with eth0 and eth1, and the router behind them."""
    instance = Laptop()
    yield instance
    instance.close()


@pytest.fixture
def start_on_street(tmp_path):
    """start_on_street(**flags): a relay among clients of several addresses, ended behind the test."""
    street = Street()

    def start(**flags):
        directory = tmp_path / f"street{len(street.relays)}"
        directory.mkdir()
        return street.relay(directory, **flags)

    yield start
    street.close()


@pytest.fixture
def start_household(tmp_path):
    """start_household(**options): a laptop with the real distributor, a router with the real relay."""
    households = []

    def start(**options):
        households.append(Household(tmp_path, **options))
        return households[-1]

    yield start
    for one in households:
        one.close()


@pytest.fixture
def household(start_household):
    return start_household()


@pytest.fixture
def system_bus(tmp_path):
    """A private bus for mock services, to be given to the monitor as its system bus."""
    from harness.system_bus import SystemBus  # needs python3-dbus, which the other scenarios do not

    instance = SystemBus(tmp_path)
    yield instance
    instance.close()


@pytest.fixture
def start_monitor():
    """start_monitor(**options): the monitor's driver, ended behind the test."""
    monitors = []

    def start(**options):
        monitors.append(Monitor(**options))
        return monitors[-1]

    yield start
    for instance in monitors:
        instance.close()


@pytest.fixture
def start_link():
    """start_link(url, *arguments, env=None): links of one test, ended and checked behind it."""
    links = []

    def start(url, *arguments, **options):
        links.append(Link(url, *arguments, **options))
        return links[-1]

    yield start
    for one in links:
        one.quit()
