# SPDX-License-Identifier: Apache-2.0
"""Several listeners, unix sockets, a public URL with a path, the admin listener."""

import socket

from harness import http
from harness.device import Device
from harness.process import free_port
from harness.relay import assert_accepted, path_of


def test_several_and_unix(start_relay, tmp_path):
    """All of them serve senders and devices; a stale socket file is replaced."""
    stale = tmp_path / "relay.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(stale))
    ports = [free_port(), free_port()]
    relay = start_relay(
        port=ports[0], listen=[f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}", f"unix:{stale}"]
    )
    for target in (*ports, str(stale)):
        device = Device(target)
        device.hello()
        _, endpoint = device.register()
        for other in (*ports, str(stale)):
            assert_accepted(http.request(other, "POST", path_of(endpoint), [("TTL", "60")], b"x"))
            assert device.take() == b"x"
    relay.stop()


def test_ipv6(start_relay):
    port = free_port()
    relay = start_relay(port=port, listen=[f"127.0.0.1:{port}", f"[::1]:{port}"])
    with socket.create_connection(("::1", port), 5) as sock:
        sock.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        assert b" 200 " in sock.recv(100)
    relay.stop()


def test_public_url_with_a_path(start_relay):
    """A proxy may leave the prefix in or take it away: both work; URLs given out carry it."""
    port = free_port()
    relay = start_relay(port=port, public_url=f"http://127.0.0.1:{port}/push/")
    relay.base = f"http://127.0.0.1:{port}/push"
    for path in ("/", "/push/", "/push"):
        device = Device(port, path)
        device.hello()
        _, endpoint = device.register()
        assert endpoint.startswith(relay.base + "/p/")
        for target in (path_of(endpoint), path_of(endpoint)[len("/push") :]):
            answer = relay.push(target, b"x")
            assert device.take() == b"x"
            assert answer["location"].startswith(relay.base + "/m/")
        location = relay.push(endpoint, b"x")["location"]
        assert relay.request("DELETE", location).status == 204


def test_admin_listener(start_relay):
    """Health and metrics there; public: only a tiny health answer."""
    relay = start_relay()
    answer = http.request(relay.admin_port, "GET", "/metrics")
    assert answer.status == 200 and answer["content-type"].startswith("text/plain")
    text = answer.body.decode()
    for name in ("bellwire_push_accepted_total", "bellwire_device_sockets", "bellwire_messages_queued"):
        assert f"# HELP {name} " in text and f"# TYPE {name} " in text
    assert http.request(relay.admin_port, "GET", "/health").status == 200
    assert http.request(relay.admin_port, "POST", "/metrics").status == 405
    assert len(relay.get("/health").body) < 100
    assert relay.get("/metrics").status == 404
    _, _, endpoint = relay.subscribed()
    assert http.request(relay.admin_port, "POST", path_of(endpoint), [("TTL", "1")]).status == 404
