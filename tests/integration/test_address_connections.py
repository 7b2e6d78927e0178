# SPDX-License-Identifier: Apache-2.0
"""No address takes all HTTP connections: beyond address_connections it gets 503, and others do not feel it."""

import contextlib

import pytest
from harness.certificates import make_certificate, trusting
from harness.http import Connection
from harness.namespace import Inside
from harness.process import free_port, wait_until
from harness.relay import assert_refused, path_of
from harness.street import ANN, ANN6, ANN6_AGAIN, BOB, BOB6, PROXY


def status(connection):
    return connection.request("GET", "/health").status


def is_admitted(relay, source):
    with relay.call(source) as connection:
        return status(connection) == 200


def refused(relay):
    return relay.metrics()["bellwire_http_address_refused_total"]


def test_beyond_it_503(start_on_street):
    relay = start_on_street(address_connections=5)
    kept = [relay.call(ANN) for _ in range(5)]
    assert [status(one) for one in kept] == [200] * 5
    with relay.call(ANN) as connection:
        answer = connection.read_response()  # before anything was sent
        assert_refused(answer, 503, 201)
        assert connection.is_closed()
    assert [status(one) for one in kept] == [200] * 5, "those that were there before go on"
    assert is_admitted(relay, BOB)
    assert refused(relay) == 1 and relay.metrics()["bellwire_http_refused_total"] == 0
    kept.pop().close()
    wait_until(lambda: is_admitted(relay, ANN), 10, "the place that is free again")
    for one in kept:
        one.close()


def test_silent_ones_count(start_on_street):
    """From the accept on, whether they say something or not."""
    relay = start_on_street(address_connections=3)
    with contextlib.ExitStack() as silent:
        for _ in range(3):
            silent.enter_context(relay.call(ANN))
        with relay.call(ANN) as connection:
            assert connection.read_response().status == 503
        assert is_admitted(relay, BOB)


def test_an_ipv6_64_is_one_address(start_on_street):
    relay = start_on_street(address_connections=3)
    kept = [relay.call(ANN6), relay.call(ANN6), relay.call(ANN6_AGAIN)]
    for source in (ANN6, ANN6_AGAIN):
        with relay.call(source) as connection:
            assert connection.read_response().status == 503
    assert is_admitted(relay, BOB6) and is_admitted(relay, ANN)
    kept[0].close()
    wait_until(lambda: is_admitted(relay, ANN6_AGAIN), 10, "the place that is free again")
    assert "address=2001:db8:a::/64" in relay.said("setting=address_connections")[0]


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
def test_an_upgrade_gives_its_place_back(start_on_street, tmp_path, is_tls):
    flags, kw = {}, {}
    if is_tls:
        cert, key = make_certificate(tmp_path, 1)
        flags, kw = {"tls": (cert, key)}, {"tls": trusting(cert)}
    relay = start_on_street(address_connections=1, **flags)
    devices = []
    for _ in range(5):
        devices.append(relay.resident(ANN, **kw))
    with relay.call(ANN, **kw) as connection:
        assert status(connection) == 200
        for device in devices:
            device.ping()


def test_over_tls_the_place_is_taken_before_the_handshake(start_on_street, tmp_path):
    cert, key = make_certificate(tmp_path, 1)
    relay = start_on_street(address_connections=2, tls=(cert, key))
    silent = [relay.call(ANN) for _ in range(2)]
    with relay.call(ANN) as connection:
        assert connection.is_closed(10)
    assert is_admitted_by_tls(relay, BOB, cert)
    for one in silent:
        one.close()
    wait_until(lambda: is_admitted_by_tls(relay, ANN, cert), 10, "the places of handshakes that ended")
    # a handshake that fails leaves nothing behind either
    for _ in range(20):
        with relay.call(ANN) as connection:
            connection.send("GET / HTTP/1.1\r\n\r\n")
            assert connection.is_closed(10)
    wait_until(lambda: is_admitted_by_tls(relay, ANN, cert), 10, "the places of handshakes that failed")


def is_admitted_by_tls(relay, source, cert):
    try:
        with relay.call(source, tls=trusting(cert)) as connection:
            return status(connection) == 200
    except OSError:
        return False


def test_a_flood_of_refused_ones_is_cheap(start_on_street):
    """They do not pile up, nobody else waits for them, and the log tells of them in one line."""
    relay = start_on_street(address_connections=4)
    neighbour = relay.resident(BOB)
    _, endpoint = neighbour.register()
    with contextlib.ExitStack() as flood:
        for _ in range(600):
            flood.enter_context(relay.call(ANN))
        with relay.call(BOB) as connection:
            answer = connection.request("POST", path_of(endpoint), [("TTL", "60")], b"through")
            assert answer.status == 201
        assert neighbour.take() == b"through"
        seen = relay.metrics()
        assert seen["bellwire_http_address_refused_total"] == 596
        assert seen["bellwire_http_connections"] <= 4 + 64 + 2, "a bounded number is told and lingers"
    lines = relay.said("setting=address_connections")
    assert len(lines) == 1 and f"address={ANN}" in lines[0] and "trusted_proxies" in lines[0]
    wait_until(lambda: is_admitted(relay, ANN), 10, "room after the flood")


def test_refused_ones_take_no_room_from_others(start_on_street):
    """max_connections counts those inside only, and a full relay goes on accepting what it can refuse."""
    relay = start_on_street(address_connections=4, max_connections=8)
    with contextlib.ExitStack() as flood:
        for _ in range(100):
            flood.enter_context(relay.call(ANN))
        for _ in range(4):
            connection = flood.enter_context(relay.call(BOB))
            assert status(connection) == 200
        with relay.call(BOB6) as connection:
            assert connection.read_response().status == 503
        assert relay.metrics()["bellwire_http_refused_total"] == 1


def test_nothing_is_left_after_1000_connects(start_on_street):
    relay = start_on_street(address_connections=3)
    for number in range(1000):
        source = (ANN, ANN6, BOB, ANN6_AGAIN)[number % 4]
        connection = relay.call(source)
        if number % 3 == 0:
            connection.send("GET /hea")
        connection.reset() if number % 2 else connection.close()
        if number % 50 == 0:
            wait_until(lambda: relay.metrics()["bellwire_http_connections"] == 0, 10, "the ends to be seen")
    wait_until(lambda: relay.metrics()["bellwire_http_connections"] == 0, 10, "the ends to be seen")
    for source in (ANN, BOB, ANN6):
        with contextlib.ExitStack() as kept:
            for _ in range(3):
                assert status(kept.enter_context(relay.call(source))) == 200
            with relay.call(source) as connection:
                assert connection.read_response().status == 503, "exactly the limit is there again"


def test_proxies_and_loopback_are_exempt(start_on_street):
    relay = start_on_street(address_connections=2, trusted_proxies=PROXY)
    with contextlib.ExitStack() as kept:
        for _ in range(20):
            connection = kept.enter_context(relay.call(PROXY))
            answer = connection.request("GET", "/health", [("X-Forwarded-For", ANN)])
            assert answer.status == 200, "what it forwards is not counted either"
        with Inside(relay.router):
            for _ in range(20):
                assert status(kept.enter_context(relay.connect())) == 200
        for _ in range(2):
            assert status(kept.enter_context(relay.call(ANN))) == 200
        assert refused(relay) == 0


@pytest.mark.parametrize("flags", [{"address_connections": 0}, {"address_connections": 2, "rate_limits": "off"}],
                         ids=["0", "rate_limits off"])
def test_no_limit(start_on_street, flags):
    relay = start_on_street(**flags)
    with contextlib.ExitStack() as kept:
        for _ in range(30):
            assert status(kept.enter_context(relay.call(ANN))) == 200


def test_unix_peers_are_exempt(start_relay, tmp_path):
    port, path = free_port(), f"{tmp_path}/front"
    relay = start_relay(port=port, listen=[f"127.0.0.1:{port}", f"unix:{path}"], rate_limits="on",
                        address_connections=2)
    with contextlib.ExitStack() as kept:
        for _ in range(10):
            assert status(kept.enter_context(Connection(path))) == 200
        assert refused(relay) == 0
