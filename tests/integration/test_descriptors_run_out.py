# SPDX-License-Identifier: Apache-2.0
"""Descriptors run out: new peers get 503, those inside go on, the log names the cure, and it passes."""

import pytest
from harness.certificates import make_certificate, trusting
from harness.process import free_port, wait_until
from harness.relay import Relay, path_of
from harness.websocket import WebSocket

FILES = 160


class ShortRelay(Relay):
    def arguments(self):
        return ["prlimit", f"--nofile={FILES}:{FILES}", *super().arguments()]


@pytest.fixture
def relay(tmp_path):
    cert, key = make_certificate(tmp_path, 1)
    port, tls_port = free_port(), free_port()
    instance = ShortRelay(
        f"sqlite:{tmp_path}/relay.db",
        tmp_path,
        port=port,
        listen=[f"127.0.0.1:{port}", f"tls:127.0.0.1:{tls_port}"],
        tls_cert=cert,
        tls_key=key,
    )
    instance.tls_port, instance.tls = tls_port, trusting(cert)
    yield instance
    instance.finish()


def warnings(relay):
    return [line for line in relay.process.log().splitlines() if "too few files" in line]


def check_it_passed(relay, sender, device, endpoint, peers):
    """The device and the sender that came before go on; when the others have gone, new ones are served."""
    answer = sender.request("POST", path_of(endpoint), [("TTL", "60")], b"meanwhile")
    assert answer.status == 201 and device.take() == b"meanwhile"
    assert relay.metrics()["bellwire_http_refused_total"] > 0, "the admin listener answers"
    assert len(warnings(relay)) == 1 and "LimitNOFILE" in warnings(relay)[0], warnings(relay)
    for peer in peers:
        peer.close()
    wait_until(lambda: relay.post(endpoint, b"after").status == 201, 10, "201")
    assert device.take() == b"after"


def test_plain_connections(relay):
    assert f"limit={FILES}" in relay.process.log() and "ulimit -n" in relay.process.log()
    device, _, endpoint = relay.subscribed()
    sender = relay.connect()
    peers, statuses = [], []
    while 503 not in statuses:
        assert len(peers) < FILES
        peers.append(relay.connect())
        statuses.append(peers[-1].request("GET", "/health").status)
    assert statuses.count(200) > FILES // 2
    check_it_passed(relay, sender, device, endpoint, peers)
    sender.close()


def test_devices_over_tls(relay):
    """Each takes three; the one for which one or two are left is told so, not cut off."""
    device, _, endpoint = relay.subscribed()
    sender = relay.connect()
    spare = relay.connect()
    assert spare.request("GET", "/health").status == 200
    peers, statuses = [], []

    def connect():
        try:
            return WebSocket(relay.tls_port, tls=relay.tls)
        except OSError:
            spare.close()  # none was left at all; now there is one
            return None

    while 503 not in statuses:
        assert len(peers) < FILES // 3
        peers.append(wait_until(connect, what="a connection"))
        statuses.append(peers[-1].response.status)
    assert statuses.count(101) > FILES // 6 and int(peers[-1].response["retry-after"]) > 0
    check_it_passed(relay, sender, device, endpoint, peers)
    sender.close()
