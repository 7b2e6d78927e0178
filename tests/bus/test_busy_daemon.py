# SPDX-License-Identifier: Apache-2.0
"""Apps are answered at once, whatever the daemon waits for: KDE's block their windows on it."""

import json
import time

import pytest
from harness.namespace import require_namespaces
from harness.process import wait_until
from harness.tcp_server import TcpServer
from harness.tool import run_tool
from session import SUCCEEDED, failed

SERVICE = "org.example.App"


def check_fast(caller, seconds=2):
    """Introspect takes milliseconds, over and over for so long."""
    end, times = time.monotonic() + seconds, []
    while time.monotonic() < end:
        before = time.monotonic()
        assert "org.unifiedpush.Distributor2" in caller.introspect()
        times.append(time.monotonic() - before)
    times.sort()
    assert len(times) > 20 and times[len(times) * 95 // 100] < 0.05, times[-20:]


@pytest.fixture
def silent_server():
    """Takes connections, and never says a word."""
    came = []
    server = TcpServer(lambda connection: came.append(connection) or connection.recv(1 << 20) and connection.recv(1))
    server.came = came
    yield server
    server.stop()


def test_while_a_tls_handshake_hangs(start_daemon, silent_server, caller):
    start_daemon(relay=f"wss://localhost:{silent_server.port}/", pool=0)
    wait_until(lambda: silent_server.came, 20, "a connection")
    check_fast(caller)


def test_while_a_hook_runs(start_daemon, session, caller):
    """One that writes more than anybody reads, and does not end."""
    config = session.directory / "hooks.conf"
    config.write_text(f"[hook door]\ncommand = sh -c 'touch {session.directory}/runs; yes'\nquiet = 0\ncatch_up = off\n")
    daemon = start_daemon(config=config)
    daemon.push(daemon.keys("door")["endpoint"], b"ring")
    wait_until(lambda: (session.directory / "runs").exists(), 20, "the hook")
    check_fast(caller)


def test_while_apps_and_registrations_hang(start_daemon, relay, session, caller):
    daemon = start_daemon(pool=1)
    hanging = session.app("org.example.Hanging", behaviour="hang").start()
    session.app("org.example.Nameless", nameless=True).make_activatable()
    for service in ("org.example.Hanging", "org.example.Nameless"):
        assert caller.register(service, service) == SUCCEEDED
    daemon.push(hanging.wait("NewEndpoint")[0]["endpoint"])
    hanging.wait("Message")
    check_fast(caller)


@pytest.mark.parametrize("version", [1, 2])
def test_no_route_and_nothing_made_ahead(start_daemon, caller, version):
    """There is nothing to wait for, so the app hears of it within a second."""
    require_namespaces()
    daemon = start_daemon(relay="ws://192.0.2.1:9/", wrapper=["unshare", "-n"], insecure="on", pool=0)
    wait_until(lambda: daemon.status()["state"] == "offline", 20, "the link")
    before = time.monotonic()
    if version == 2:
        assert caller.register(SERVICE, "token") == failed("NETWORK")
    else:
        assert caller.register_v1(SERVICE, "token") == ("REGISTRATION_FAILED", "NETWORK")
    assert time.monotonic() - before < 1
