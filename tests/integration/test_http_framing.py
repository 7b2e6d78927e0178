# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 as senders speak it, and refusal of what two parsers could read differently (RFC 9112)."""

import pytest
from harness import http
from harness.relay import assert_accepted, assert_refused, path_of

HEAD = "POST {path} HTTP/1.1\r\nHost: a\r\nTTL: 60\r\n"

AMBIGUOUS = {
    "length and chunked": HEAD + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "chunked and length": HEAD + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "two lengths": HEAD + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "two equal lengths": HEAD + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "list of lengths": HEAD + "Content-Length: 1, 1\r\n\r\nx",
    "negative length": HEAD + "Content-Length: -1\r\n\r\n",
    "plus": HEAD + "Content-Length: +1\r\n\r\nx",
    "hex": HEAD + "Content-Length: 0x1\r\n\r\nx",
    "letters": HEAD + "Content-Length: one\r\n\r\nx",
    "empty length": HEAD + "Content-Length: \r\n\r\n",
    "length overflow": HEAD + "Content-Length: 18446744073709551617\r\n\r\nx",
    "blank before colon": HEAD + "Content-Length : 1\r\n\r\nx",
    "folded line": HEAD + "X-A: 1\r\n  2\r\nContent-Length: 1\r\n\r\nx",
    "NUL in a value": HEAD + "X-A: a\0b\r\nContent-Length: 1\r\n\r\nx",
    "bare CR in a value": HEAD + "X-A: a\rb\r\nContent-Length: 1\r\n\r\nx",
    "no colon": HEAD + "garbage\r\nContent-Length: 1\r\n\r\nx",
    "empty name": HEAD + ": x\r\nContent-Length: 1\r\n\r\nx",
    "no Host": "POST {path} HTTP/1.1\r\nTTL: 60\r\nContent-Length: 1\r\n\r\nx",
    "two Hosts": HEAD + "Host: b\r\nContent-Length: 1\r\n\r\nx",
    "blank in the target": "POST {path} x HTTP/1.1\r\nHost: a\r\n\r\n",
    "no version": "POST {path}\r\nHost: a\r\n\r\n",
    "bad chunk size": HEAD + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "chunk without its end": HEAD + "Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
    "huge chunk size": HEAD + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\nx",
    "negative chunk": HEAD + "Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n",
}


@pytest.mark.parametrize("text", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_refused_and_closed(relay, text):
    """Case 61 and its relatives: 400, the connection ends, nothing is stored, what follows is not read."""
    device, _, endpoint = relay.subscribed()
    with relay.connect() as connection:
        smuggled = (
            f"POST {path_of(endpoint)} HTTP/1.1\r\nHost: a\r\nTTL: 60\r\nContent-Length: 8\r\n\r\nsmuggled"
        )
        connection.send(text.replace("{path}", path_of(endpoint)) + smuggled)
        assert connection.read_response().status == 400
        assert connection.is_closed()
    device.expect_nothing(0)


OTHER = {
    "other coding": (HEAD + "Transfer-Encoding: gzip, chunked\r\n\r\n", (400, 501)),
    "identity": (HEAD + "Transfer-Encoding: identity\r\n\r\n", (400, 501)),
    "chunked twice": (
        HEAD + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        (400, 501),
    ),
    "HTTP/2 preface": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505)),
    "HTTP/3.0": ("GET {path} HTTP/3.0\r\nHost: a\r\n\r\n", (400, 505)),
    "not HTTP at all": ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", (400,)),
}


@pytest.mark.parametrize("text, statuses", OTHER.values(), ids=OTHER.keys())
def test_not_our_language(relay, text, statuses):
    _, _, endpoint = relay.subscribed()
    with relay.connect() as connection:
        connection.send(text.replace("{path}", path_of(endpoint)))
        assert connection.read_response().status in statuses
        assert connection.is_closed()


def test_expect_continue(relay):
    """Case 62: 100 before the body, then the answer; the body may also come without waiting."""
    device, _, endpoint = relay.subscribed()
    with relay.connect() as connection:
        headers = [("TTL", "60"), ("Expect", "100-continue"), ("Content-Length", "4")]
        for wait in (True, False):
            connection.send_request("POST", path_of(endpoint), headers)
            if wait:
                assert connection.read_head().status == 100
            connection.send(b"body")
            answer = connection.read_head()
            if answer.status == 100:
                answer = connection.read_head()
            assert answer.status == 201
    assert device.bodies(2) == [b"body", b"body"]


@pytest.mark.parametrize(
    "change, status",
    [
        ({"Content-Length": "20000"}, 413),
        ({"TTL": "x"}, 400),
        ({"path": "/p/" + "A" * 66}, 404),
        ({"Topic": "a.b"}, 400),
    ],
)
def test_expect_continue_of_an_invalid_request(relay, change, status):
    """Case 62: the final status at once, without 100."""
    _, _, endpoint = relay.subscribed()
    with relay.connect() as connection:
        headers = {"TTL": "60", "Expect": "100-continue", "Content-Length": "4", **change}
        path = headers.pop("path", path_of(endpoint))
        connection.send_request("POST", path, list(headers.items()))
        assert_refused(connection.read_response(), status)


def test_other_expectation(relay):
    """Case 62."""
    _, _, endpoint = relay.subscribed()
    assert relay.post(endpoint, b"x", headers=[("Expect", "the-unexpected")]).status == 417


def test_http_1_0(relay):
    """Case 63: handled, and the connection ends."""
    device, _, endpoint = relay.subscribed()
    for host in (None, "a"):
        with relay.connect() as connection:
            answer = connection.request(
                "POST", path_of(endpoint), [("TTL", "60")], b"x", host=host, version="1.0"
            )
            assert_accepted(answer)
            assert answer["connection"] == "close"
            assert connection.is_closed()
    assert device.bodies(2) == [b"x", b"x"]


def test_head_and_target_limits(relay):
    """Case 63: also when the head comes in pieces or never ends."""
    _, _, endpoint = relay.subscribed()
    path = path_of(endpoint)
    for headers, target, status in [
        ([("X-%d" % i, "v" * 4000) for i in range(5)], path, 431),
        ([("X-%d" % i, "v") for i in range(200)], path, 431),
        ([("X", "v" * 20000)], path, 431),
        ([], path + "?" + "q" * 8192, 414),
        ([], "/" + "q" * 8192, 414),
    ]:
        with relay.connect() as connection:
            connection.send_request("POST", target, [("TTL", "60"), *headers])
            assert connection.read_response().status == status
    with relay.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nX: " + b"y" * 17000)
        assert connection.read_response().status == 431
        assert connection.is_closed()


def test_largest_good_head(relay):
    """Under the limits everything passes."""
    _, _, endpoint = relay.subscribed()
    headers = [("X-%d" % i, "v" * 100) for i in range(60)]
    assert_accepted(relay.post(endpoint, b"x", headers=headers))
    assert_accepted(relay.post(endpoint + "?" + "q" * 7000, b"x", headers=[("X", "v" * 8000)]))


def test_pipelined_requests(relay):
    """Answers come in the order of the requests, refusals and GETs between them included."""
    device, _, endpoint = relay.subscribed()
    path = path_of(endpoint)
    with relay.connect() as connection:
        data, expected = b"", []
        for i in range(30):
            method, status, ttl = [("POST", 201, "60"), ("POST", 400, "x"), ("GET", 200, "0")][i % 3]
            body = b"%d" % i if method == "POST" else b""
            data += (
                f"{method} {path} HTTP/1.1\r\nHost: a\r\nTTL: {ttl}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            expected.append((method, status))
        connection.send(data)
        for method, status in expected:
            assert connection.read_response(method).status == status
        assert connection.is_quiet(0.05)
    assert device.bodies(10) == [b"%d" % i for i in range(0, 30, 3)]


@pytest.mark.parametrize("size", [4000, 12000, 16384])
def test_pipelined_large_bodies(relay, size):
    """Far more than the relay holds at once: it stops reading and goes on; the client reads the answers last."""
    device, _, endpoint = relay.subscribed()
    with relay.connect() as connection:
        for i in range(50):
            connection.send_request("POST", path_of(endpoint), [("TTL", "60")], bytes([i]) * size)
        for _ in range(50):
            assert_accepted(connection.read_response())
    for i in range(50):
        assert device.take() == bytes([i]) * size


def test_byte_by_byte(relay):
    """However the network cuts it."""
    device, _, endpoint = relay.subscribed()
    text = f"POST {path_of(endpoint)} HTTP/1.1\r\nHost: a\r\nTTL: 60\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    text += http.chunked(b"abc", b"defgh")
    with relay.connect() as connection:
        for _ in range(2):
            for i in range(len(text)):
                connection.send(text[i : i + 1])
            assert_accepted(connection.read_response())
    assert device.bodies(2) == [b"abcdefgh"] * 2


def test_keep_alive_and_close(relay):
    """Many requests on one connection, in both spellings; `Connection: close` ends it behind the answer."""
    device, _, endpoint = relay.subscribed()
    with relay.connect() as connection:
        for i in range(20):
            assert_accepted(
                connection.request(
                    "POST", path_of(endpoint), [("ttl", "60"), ("connection", "keep-alive")], b"x"
                )
            )
        answer = connection.request("POST", path_of(endpoint), [("TTL", "60"), ("Connection", "close")], b"x")
        assert_accepted(answer)
        assert answer["connection"] == "close" and connection.is_closed()
    assert device.bodies(21) == [b"x"] * 21


def test_prefer_and_link_are_ignored(relay):
    """Case 60 (the form of success is checked by push())."""
    _, _, endpoint = relay.subscribed()
    receipt = '<https://push.example/r/1>; rel="urn:ietf:params:push:receipt"'
    relay.push(
        endpoint,
        b"x",
        headers=[("Prefer", "respond-async"), ("Link", receipt), ("Content-Type", "text/plain")],
    )


def test_plain_http_is_served_as_such(relay):
    """Case 64: never a redirect."""
    _, _, endpoint = relay.subscribed()
    assert_accepted(
        relay.post(
            endpoint, b"x", headers=[("Upgrade-Insecure-Requests", "1"), ("X-Forwarded-Proto", "http")]
        )
    )
    assert relay.get("/health").status == 200


def test_leading_empty_lines(relay):
    """RFC 9112 section 2.2: an empty line before a request line is skipped."""
    _, _, endpoint = relay.subscribed()
    with relay.connect() as connection:
        connection.send(f"\r\nPOST {path_of(endpoint)} HTTP/1.1\r\nHost: a\r\nTTL: 1\r\n\r\n")
        assert_accepted(connection.read_response())


def test_half_closed_client_gets_its_answer(relay):
    """A client may end its side after the request."""
    import socket

    device, _, endpoint = relay.subscribed()
    with relay.connect() as connection:
        connection.send_request("POST", path_of(endpoint), [("TTL", "60")], b"x")
        connection.sock.shutdown(socket.SHUT_WR)
        assert_accepted(connection.read_response())
    assert device.take() == b"x"
