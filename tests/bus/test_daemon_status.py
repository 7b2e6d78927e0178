# SPDX-License-Identifier: Apache-2.0
"""Why it is not connected, in the words of `bellwire status`, for people and for programs."""

import ssl

import pytest
from harness.certificates import make_certificate
from harness.namespace import require_namespaces
from harness.process import free_port, wait_until

NOT_CONNECTED = 3  # EXIT STATUS in bellwire(1)


def check(daemon, state, *words):
    """Both forms say the same, and end with the status for it."""

    def agreed():
        """Between two attempts, so that both tell of the same moment."""
        told, shown = daemon.status(), daemon.tool("status")
        is_so = told["state"] == state and all(word in told["reason"] for word in words)
        return shown if is_so and told["reason"] in shown.stdout and "under way" not in shown.stdout else None

    try:
        for_people = wait_until(agreed, 30, f"{state} with {words}")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{daemon.status()}\n{daemon.tool('status').stdout}") from None
    assert for_people.stdout.startswith("not connected"), for_people.stdout
    assert for_people.returncode == daemon.tool("status", "--json").returncode == NOT_CONNECTED
    return for_people.stdout


def test_connected(daemon):
    wait_until(lambda: daemon.status()["state"] == "up", 20, "the link")
    done = daemon.tool("status")
    assert done.returncode == daemon.tool("status", "--json").returncode == 0
    assert done.stdout.startswith(f"connected to ws://127.0.0.1:{daemon.relay.port} (127.0.0.1 port")
    assert daemon.status()["reason"] == ""


def test_no_relay(start_daemon):
    check(start_daemon(relay=None), "stopped", "no relay is set", "bellwire login URL")


def test_a_url_that_was_no_good(start_daemon, session):
    daemon = start_daemon(relay=None)
    refused = daemon.tool("move", "nonsense")
    assert refused.returncode == 1 and "nonsense" in refused.stderr, refused
    check(daemon, "stopped", "no relay is set")


@pytest.mark.parametrize(
    "names,begin,end,words",
    [
        (["localhost"], -9, -2, "the certificate of localhost expired at 20"),
        (["localhost"], 2, 9, "the certificate of localhost is not valid before 20"),
        (["other.example"], -2, 9, "the certificate is not for localhost, but for other.example"),
    ],
)
def test_a_certificate_is_refused(start_daemon, fake_relay, tmp_path, names, begin, end, words):
    certificate, key = make_certificate(tmp_path, 1, end, names, begin)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    relay = fake_relay(ssl=context)
    daemon = start_daemon(relay=f"wss://localhost:{relay.port}/", ca_file=certificate)
    assert "next attempt in" in check(daemon, "waiting", words)
    assert relay.peers.empty()


def test_nobody_vouches_for_the_certificate(start_daemon, fake_relay, tmp_path):
    certificate, key = make_certificate(tmp_path, 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    daemon = start_daemon(relay=f"wss://localhost:{fake_relay(ssl=context).port}/")
    check(daemon, "waiting", "the certificate of localhost is self-signed")


def test_no_such_name(start_daemon):
    check(start_daemon(relay="wss://relay.invalid/"), "waiting", "the address of relay.invalid is not to be had")


def test_nobody_listens(start_daemon):
    daemon = start_daemon(relay=f"ws://127.0.0.1:{free_port()}/")
    assert "next attempt in" in check(daemon, "waiting", "127.0.0.1", "refused")


@pytest.mark.parametrize(
    "status,headers,state,words",
    [
        (403, (), "refused", ["status 403", "invite"]),
        (302, [("Location", "http://portal.example/")], "waiting", ["status 302", "login in a browser"]),
        (503, [("Retry-After", "600")], "waiting", ["status 503"]),
    ],
)
def test_the_relay_refuses(start_daemon, fake_relay, status, headers, state, words):
    relay = fake_relay(refuses=status, headers=headers)
    assert "next attempt in" in check(start_daemon(relay=relay.url), state, *words)


def test_paused(daemon):
    assert daemon.tool("pause").returncode == 0
    text = check(daemon, "stopped", "paused by the user", "bellwire resume")
    assert "next attempt" not in text
    daemon.restart()  # it stays so
    check(daemon, "stopped", "paused by the user")
    assert daemon.tool("resume").returncode == 0
    wait_until(lambda: daemon.status()["state"] == "up", 20, "the link")


def test_offline(start_daemon):
    require_namespaces()
    daemon = start_daemon(relay="ws://192.0.2.1:9/", wrapper=["unshare", "-n"], insecure="on")
    text = check(daemon, "offline", "there is no network with a route to 192.0.2.1")
    assert "next attempt when there is a route" in text


def test_it_says_the_way_back_too(daemon):
    """From a reason to a connection, without a trace of the reason."""
    wait_until(lambda: daemon.status()["state"] == "up", 20, "the link")
    daemon.relay.stop()
    check(daemon, "waiting")
    assert daemon.status()["reason"] != ""
    daemon.relay.start()
    daemon.reconnect()
    wait_until(lambda: daemon.status()["state"] == "up", 20, "the link")
    assert daemon.status()["reason"] == ""
    events = daemon.tool("log").stdout
    assert "waiting" in events and "up" in events, events
