# SPDX-License-Identifier: Apache-2.0
"""tls: listeners: senders and devices over TLS, certificates read again on SIGHUP without losing anyone."""

import os
import signal
import socket
import ssl
import time

import pytest
from harness import http
from harness.certificates import make_certificate, serial_of, trusting
from harness.device import Device, body_of
from harness.process import free_port, wait_until
from harness.relay import assert_accepted, path_of


@pytest.fixture
def relay(start_relay, tmp_path):
    cert, key = make_certificate(tmp_path, 1)
    port = free_port()
    plain = free_port()
    instance = start_relay(
        port=plain,
        listen=[f"127.0.0.1:{plain}", f"tls:127.0.0.1:{port}"],
        public_url=f"https://localhost:{port}",
        tls_cert=cert,
        tls_key=key,
    )
    instance.tls_port, instance.cert, instance.key = port, cert, key
    return instance


def secure(relay, **kw):
    return http.Connection(relay.tls_port, tls=trusting(relay.cert, **kw))


def test_push_and_device_over_tls(relay):
    """The upgrade is pumped; large messages and pipelined requests survive records and pieces."""
    device = Device(relay.tls_port, tls=trusting(relay.cert))
    device.hello()
    _, endpoint = device.register()
    assert endpoint.startswith(relay.base + "/p/")
    with secure(relay) as connection:
        assert connection.sock.selected_alpn_protocol() == "http/1.1"
        for i in range(50):
            connection.send_request("POST", path_of(endpoint), [("TTL", "60")], bytes([i]) * 16384)
        for _ in range(50):
            assert_accepted(connection.read_response())
    for i in range(50):
        assert device.take() == bytes([i]) * 16384
    device.ping(b"over TLS")
    device.expect_nothing()


@pytest.mark.parametrize("protocols", [(), ("h2", "http/1.1")])
def test_alpn(relay, protocols):
    """http/1.1 is chosen from what is offered; none offered works too."""
    with secure(relay, protocols=protocols) as connection:
        assert connection.sock.selected_alpn_protocol() == ("http/1.1" if protocols else None)
        assert connection.request("GET", "/health").status == 200


def test_reload(relay, tmp_path):
    """New connections see the new certificate, old ones go on."""
    old = secure(relay)
    device = Device(relay.tls_port, tls=trusting(relay.cert))
    device.hello()
    _, endpoint = device.register()
    assert serial_of(old.sock) == 1
    make_certificate(tmp_path, 2)
    relay.process.signal(signal.SIGHUP)

    def serial():
        try:
            with secure(relay) as connection:
                return serial_of(connection.sock)
        except ssl.SSLError:
            return 0

    wait_until(lambda: serial() == 2, 10, "the new certificate")
    assert_accepted(old.request("POST", path_of(endpoint), [("TTL", "60")], b"x"))
    assert body_of(device.notification()) == b"x"


def test_broken_certificate_keeps_the_old(relay):
    """The reason is logged, and everything goes on."""
    good = relay.cert.read_bytes()
    relay.cert.write_text("nonsense")
    relay.process.signal(signal.SIGHUP)
    wait_until(lambda: "certificate not read again" in relay.process.log(), 10, "the log line")
    relay.cert.write_bytes(good)
    with secure(relay) as connection:
        assert serial_of(connection.sock) == 1
        assert connection.request("GET", "/health").status == 200


def test_sessions_resume_over_a_restart(relay):
    """Ticket keys are kept: ten thousand devices that come back do not cost ten thousand signatures."""
    context = trusting(relay.cert)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    first = http.Connection(relay.tls_port, tls=context)
    first.request("GET", "/health")
    session = first.sock.session
    first.close()
    relay.restart()
    with socket.create_connection(("127.0.0.1", relay.tls_port), 10) as raw:
        with context.wrap_socket(raw, server_hostname="localhost", session=session) as again:
            assert again.session_reused


def test_plain_text_at_the_tls_port(relay):
    """It costs that peer its connection; TLS at the plain port likewise."""
    with http.Connection(relay.tls_port) as connection:
        connection.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n" + os.urandom(100))
        try:
            while connection.sock.recv(4096):
                pass
        except ConnectionError:
            pass
    with pytest.raises((ssl.SSLError, ConnectionError)):
        http.Connection(relay.port, tls=trusting(relay.cert))
    with secure(relay) as connection:
        assert connection.request("GET", "/health").status == 200


def test_hang_ups_during_the_handshake(relay):
    for size in (0, 1, 5, 100):
        for end in ("close", "reset"):
            connection = http.Connection(relay.tls_port)
            connection.send((b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(600))[:size])
            getattr(connection, end)()
    with secure(relay) as connection:
        assert connection.request("GET", "/health").status == 200


def test_certificate_age_is_a_metric(relay):
    left = relay.metrics()["bellwire_tls_certificate_expires_seconds"] - time.time()
    assert 28 * 86400 < left < 31 * 86400
