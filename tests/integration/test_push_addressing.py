# SPDX-License-Identifier: Apache-2.0
"""What a push URL is, what is none, and which methods it takes."""

import secrets
import time

import pytest
from harness.device import body_of
from harness.relay import assert_refused, path_of
from harness.sender import b64
from harness.stores import every_store

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.mark.parametrize("length", [0, 1, 48, 49, 50, 100, 1000])
def test_unknown_tokens(relay, length):
    """Case 31: whatever the text is like."""
    assert_refused(relay.post(f"/p/{b64(secrets.token_bytes(length))}", b"x"), 404)


def test_a_token_has_one_spelling(relay):
    """Compared as text: spare bits, padding, case, percent signs and tails make it another (case 40)."""
    device, _, endpoint = relay.subscribed()
    path = path_of(endpoint)
    last = ALPHABET.index(path[-1])
    others = [path[:-1] + ALPHABET[last ^ bit] for bit in (1, 2, 4, 8)]
    others += [path + tail for tail in ("=", "==", "/", "/x", "A", "%00", ".", ";x")]
    others += [
        path[:-1],
        path.upper(),
        f"{path[:-1]}%{ord(path[-1]):02x}",
        f"/P/{path[3:]}",
        f"//p/{path[3:]}",
        f"/p//{path[3:]}",
    ]
    for other in others:
        if other != path:
            answer = relay.post(other, b"x")
            assert answer.status == 404, (other, answer)
    device.expect_nothing(0)


def test_every_flipped_character_is_refused(relay):
    """Case 31: no character of the token is without meaning."""
    _, _, endpoint = relay.subscribed()
    path = path_of(endpoint)
    with relay.connect() as connection:
        for at in range(len("/p/"), len(path)):
            other = path[:at] + ALPHABET[(ALPHABET.index(path[at]) + 1) % 64] + path[at + 1 :]
            assert_refused(connection.request("POST", other, [("TTL", "1")]), 404, 102)


def test_a_message_url_is_no_push_url(relay):
    """The two kinds of token never open as each other."""
    _, _, endpoint = relay.subscribed()
    location = path_of(relay.push(endpoint, b"x")["location"])
    assert_refused(relay.post("/p/" + location[3:], b"x"), 404, 102)
    assert_refused(relay.request("DELETE", "/m/" + path_of(endpoint)[3:]), 404)


def test_tokens_share_nothing(relay):
    """Section 1: no common prefix beyond the key number, no order, no device in sight."""
    device = relay.device()
    tokens = [path_of(device.register()[1])[3:] for _ in range(20)]
    assert len({t[2:10] for t in tokens}) == 20 and len({t[-8:] for t in tokens}) == 20
    assert device.uaid not in "".join(tokens)


@every_store
def test_removed_subscription_is_gone(relay):
    """Case 33 and device case 19a: 410, whatever else is wrong; the URL never comes back."""
    device, channel, endpoint = relay.subscribed()
    device.unregister(channel)
    assert_refused(relay.post(endpoint, b"x"), 410, cache_control="max-age=86400")
    assert_refused(relay.post(endpoint, b"x", None), 410)
    assert_refused(relay.get(endpoint), 410)
    _, fresh = device.register(channel)
    assert fresh != endpoint
    assert_refused(relay.post(endpoint, b"x"), 410)
    relay.push(fresh, b"y")
    assert device.take() == b"y"


def test_token_is_checked_before_headers(relay):
    """Case 34."""
    assert_refused(relay.post("/p/" + "A" * 66, b"x", None), 404, 102)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_discovery(relay, method):
    """Case 35: UnifiedPush discovery; sender 14: it consumes and reveals nothing."""
    device, _, endpoint = relay.subscribed()
    device.close()
    relay.push(endpoint, b"x")
    answer = relay.request(method, endpoint)
    assert answer.status == 200 and answer["content-type"].startswith("application/json")
    assert int(answer["content-length"]) == len(b'{"unifiedpush":{"version":1}}')
    assert answer.body == (b'{"unifiedpush":{"version":1}}' if method == "GET" else b"")
    unknown = relay.request(method, "/p/" + "A" * 66)
    assert unknown.status == 404
    assert relay.device(device.uaid).bodies(1) == [b"x"]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "PROPFIND", "TRACE", "post"])
def test_other_methods(relay, method):
    """Case 36; the method is looked at before the token."""
    _, _, endpoint = relay.subscribed()
    for path in (path_of(endpoint), "/p/" + "A" * 66):
        assert_refused(relay.request(method, path, [("TTL", "1")]), 405, allow="GET, HEAD, POST, OPTIONS")


def test_options(relay):
    """Case 37, without CORS."""
    _, _, endpoint = relay.subscribed()
    answer = relay.request("OPTIONS", endpoint)
    assert answer.status == 204 and "POST" in answer["allow"] and "OPTIONS" in answer["allow"]
    assert not any(name.lower().startswith("access-control") for name, _ in answer.headers)


def test_options_with_cors(start_relay):
    """Case 37, with CORS: also errors and successes carry the header, or a page could not read them."""
    relay = start_relay(cors="on")
    _, _, endpoint = relay.subscribed()
    preflight = [("Origin", "https://page.example"), ("Access-Control-Request-Method", "POST")]
    answer = relay.request("OPTIONS", endpoint, preflight)
    assert answer.status == 204 and answer["access-control-allow-origin"] == "*"
    assert "POST" in answer["access-control-allow-methods"]
    allowed = answer["access-control-allow-headers"].lower()
    for name in (
        "*",
        "ttl",
        "urgency",
        "topic",
        "content-encoding",
        "encryption",
        "crypto-key",
        "authorization",
        "content-type",
    ):
        assert name in allowed
    assert relay.push(endpoint, b"x")["access-control-allow-origin"] == "*"
    assert relay.post(endpoint, b"x", None)["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("query", ["?", "?a=b", "?/../x", "?" + "q" * 4000])
def test_query_is_ignored(relay, query):
    """Case 40."""
    device, _, endpoint = relay.subscribed()
    relay.push(endpoint + query, b"x")
    assert body_of(device.notification()) == b"x"


def test_absolute_form_and_foreign_host(relay):
    """Section 10: the request target may be absolute; Host is never compared."""
    device, _, endpoint = relay.subscribed()
    with relay.connect() as connection:
        for target, host in [
            (endpoint, "elsewhere.example"),
            (path_of(endpoint), "elsewhere.example:1"),
            (path_of(endpoint), ""),
        ]:
            answer = connection.request("POST", target, [("TTL", "60")], b"x", host=host)
            assert answer.status == 201, answer
            assert answer["location"].startswith(relay.base)
    assert device.bodies(3) == [b"x"] * 3


@pytest.mark.parametrize(
    "path", ["/favicon.ico", "/p", "/m", "/p/../p/x", "/index.html", "/.env", "/metrics", "/admin"]
)
def test_other_paths(relay, path):
    """Nothing else is here; the metrics are not public."""
    assert relay.get(path).status == 404
    assert relay.post(path, b"x").status in (404, 405)


def fast_ms(times):
    """What an answer takes when nothing else runs, on a busy machine too: the fastest tenth."""
    return sorted(times)[len(times) // 10] * 1000


@every_store
def test_known_and_unknown_take_the_same_time(relay):
    """Case 31: how long a refusal takes does not tell what it is about."""
    device, channel, endpoint = relay.subscribed()
    _, gone = device.register()
    device.unregister(channel)
    known, removed = path_of(gone), path_of(endpoint)
    kinds = {
        "known": known,
        "removed": removed,
        "one character off": known[:-2] + ("A" if known[-2] != "A" else "B") + known[-1],
        "random": "/p/" + b64(secrets.token_bytes(49)),
        "short": "/p/abc",
        "long": "/p/" + "A" * 300,
    }
    times = {kind: [] for kind in kinds}
    with relay.connect() as connection:
        for _ in range(200):
            for kind, path in kinds.items():
                begin = time.perf_counter()
                connection.request("POST", path, [("TTL", "bad")])
                times[kind].append(time.perf_counter() - begin)
    fast = {kind: fast_ms(values) for kind, values in times.items()}
    assert max(fast.values()) - min(fast.values()) < 3, fast
