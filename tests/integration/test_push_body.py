# SPDX-License-Identifier: Apache-2.0
"""The body: any bytes, any framing, up to the limit and not one more."""

import pytest
from harness import http
from harness.device import body_of
from harness.relay import assert_accepted, assert_refused
from harness.stores import every_store

FLAGS = {"body_limit": 5000}


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4095, 4096, 4097, 4999, 5000])
@every_store
def test_sizes_up_to_the_limit(relay, size):
    """Cases 22, 23 and 24."""
    device, _, endpoint = relay.subscribed()
    body = bytes(i * 7 & 0xFF for i in range(size))
    relay.push(endpoint, body)
    assert device.take() == body


def test_beyond_the_limit_is_refused_before_reading(relay):
    """Case 24: by the declared length alone; the connection lives on when little is to be skipped."""
    device, _, endpoint = relay.subscribed()
    path = http_path(endpoint)
    with relay.connect() as connection:
        connection.send_request("POST", path, [("TTL", "60"), ("Content-Length", "5001")])
        assert_refused(connection.read_response(), 413, 104)
        connection.send(bytes(5001))
        assert_accepted(connection.request("POST", path, [("TTL", "60")], b"next"))
    assert device.take() == b"next"
    with relay.connect() as connection:
        connection.send_request("POST", path, [("TTL", "60"), ("Content-Length", "100000000")])
        answer = connection.read_response()
        assert_refused(answer, 413, 104)
        assert answer["connection"] == "close"
        assert connection.is_closed()


def test_chunked_overflow_is_refused(relay):
    """Case 24: 413, and the connection ends."""
    device, _, endpoint = relay.subscribed()
    with relay.connect() as connection:
        connection.send_request(
            "POST", http_path(endpoint), [("TTL", "60"), ("Transfer-Encoding", "chunked")]
        )
        connection.send(b"1389\r\n" + bytes(0x1389))
        answer = connection.read_response()
        assert_refused(answer, 413, 104, connection="close")
    device.expect_nothing()


@pytest.mark.parametrize(
    "encoded, plain",
    [
        (http.chunked(b"hello"), b"hello"),
        (http.chunked(b"a", b"bc", b"def"), b"abcdef"),
        (http.chunked(), b""),
        (http.chunked(bytes(5000)), bytes(5000)),
        (b"A;name=value\r\n0123456789\r\n00\r\n\r\n", b"0123456789"),
        (http.chunked(b"x", trailers="Checksum: 1\r\n"), b"x"),
    ],
)
def test_chunked_bodies(relay, encoded, plain):
    """Section 10: James sends chunked."""
    device, _, endpoint = relay.subscribed()
    with relay.connect() as connection:
        headers = [("TTL", "60"), ("Transfer-Encoding", "chunked")]
        connection.send_request("POST", http_path(endpoint), headers)
        connection.send(encoded)
        assert_accepted(connection.read_response())
        assert_accepted(connection.request("POST", http_path(endpoint), headers, encoded))
    assert device.bodies(2) == [plain, plain]


def test_a_body_that_never_comes_whole_stores_nothing(relay):
    """Case 25: the peer dies in the middle, by FIN or by RST, with and without chunks."""
    device, _, endpoint = relay.subscribed()
    for end in ("close", "reset"):
        for headers, part in [
            ([("Content-Length", "100")], b"x" * 99),
            ([("Transfer-Encoding", "chunked")], b"64\r\nxx"),
        ]:
            connection = relay.connect()
            connection.send_request("POST", http_path(endpoint), [("TTL", "60"), *headers], part)
            getattr(connection, end)()
    relay.push(endpoint, b"whole")
    assert device.take() == b"whole"
    device.expect_nothing()


def test_no_length_is_an_empty_body(relay):
    """Section 10: neither length nor chunks."""
    device, _, endpoint = relay.subscribed()
    with relay.connect() as connection:
        assert_accepted(connection.request("POST", http_path(endpoint), [("TTL", "60")], length=False))
    assert device.take() == b""


@every_store
def test_every_byte_value_is_kept(relay):
    """Case 30."""
    device, _, endpoint = relay.subscribed()
    body = bytes(range(256)) * 4
    relay.push(endpoint, body)
    assert body_of(device.notification()) == body
    device.close()
    assert body_of(relay.device(device.uaid).notification()) == body


def http_path(endpoint):
    return "/p/" + endpoint.rsplit("/", 1)[1]
