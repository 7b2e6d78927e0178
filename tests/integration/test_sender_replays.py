# SPDX-License-Identifier: Apache-2.0
"""The requests of real senders, in their header shape and order, all arrive (push-endpoint senders 1 to 14)."""

import os
import urllib.parse

import pytest
from harness import http
from harness.device import body_of
from harness.relay import assert_accepted, assert_refused
from harness.sender import Subscriber, Vapid, b64

DAY = 86400


class Replay:
    """What a sender knows: the endpoint, its own key, the app's keys."""

    def __init__(self, relay, restricted):
        self.vapid, self.app = Vapid(), Subscriber()
        self.device, _, self.endpoint = relay.subscribed(self.vapid.key if restricted else None)
        parts = urllib.parse.urlsplit(self.endpoint)
        self.origin, self.portless = relay.base, f"{parts.scheme}://{parts.hostname}"
        self.host = parts.netloc

    def token(self, aud=None, ttl=12 * 3600, **kw):
        return self.vapid.token(aud or self.origin, ttl, **kw)


def npm_web_push(r):
    body = r.app.encrypt(b"npm")
    yield b"npm", body, [
        ("TTL", "2419200"),
        ("Content-Length", str(len(body))),
        ("Content-Type", "application/octet-stream"),
        ("Content-Encoding", "aes128gcm"),
        ("Authorization", f"vapid t={r.token()}, k={r.vapid.key}"),
        ("Urgency", "normal"),
        ("Topic", "news_1"),
        ("Host", r.host),
        ("Connection", "keep-alive"),
    ]
    yield b"", b"", [
        ("TTL", "2419200"),
        ("Content-Length", "0"),
        ("Authorization", f"vapid t={r.token()}, k={r.vapid.key}"),
        ("Urgency", "normal"),
        ("Host", r.host),
        ("Connection", "keep-alive"),
    ]


def npm_web_push_aesgcm(r):
    body, salt, dh = r.app.encrypt_aesgcm(b"npm legacy")
    yield b"npm legacy", body, [
        ("TTL", "2419200"),
        ("Content-Length", str(len(body))),
        ("Content-Type", "application/octet-stream"),
        ("Content-Encoding", "aesgcm"),
        ("Encryption", f"salt={salt}"),
        ("Crypto-Key", f"dh={dh};p256ecdsa={r.vapid.key}"),
        ("Authorization", f"WebPush {r.token()}"),
        ("Urgency", "normal"),
        ("Host", r.host),
        ("Connection", "close"),
    ]


def pywebpush(r):
    body = r.app.encrypt(b"py")
    common = [
        ("Host", r.host),
        ("User-Agent", "python-requests/2.28.1"),
        ("Accept-Encoding", "gzip, deflate"),
        ("Accept", "*/*"),
    ]
    yield b"py", body, common + [
        ("Connection", "keep-alive"),
        ("content-encoding", "aes128gcm"),
        ("ttl", "0"),
        ("authorization", f"vapid t={r.token(aud=r.origin.upper().replace('HTTP', 'http'))},k={r.vapid.key}"),
        ("Content-Length", str(len(body))),
    ]
    body, salt, dh = r.app.encrypt_aesgcm(b"py legacy")
    yield b"py legacy", body, common + [
        ("Connection", "keep-alive"),
        ("crypto-key", f"p256ecdsa={r.vapid.key};dh={dh}"),
        ("encryption", f"salt={salt}"),
        ("content-encoding", "aesgcm"),
        ("ttl", "60"),
        ("authorization", f"WebPush {r.token()}"),
        ("Content-Length", str(len(body))),
    ]


def web_push_php(r):
    """Nextcloud uses it: aud without port, padded to 2820."""
    body = r.app.encrypt(b"php", pad=2820 - 3)
    assert 2900 < len(body) < 2930
    yield b"php", body, [
        ("Host", r.host),
        ("User-Agent", "GuzzleHttp/7"),
        ("Content-Type", "application/octet-stream"),
        ("Content-Encoding", "aes128gcm"),
        ("Content-Length", str(len(body))),
        ("TTL", "2419200"),
        ("Authorization", f"vapid t={r.token(aud=r.portless)}, k={r.vapid.key}"),
    ]
    body = r.app.encrypt(b"x" * 4078)
    assert len(body) == 4181
    yield b"x" * 4078, body, [
        ("Host", r.host),
        ("Content-Type", "application/octet-stream"),
        ("Content-Encoding", "aes128gcm"),
        ("Content-Length", str(len(body))),
        ("TTL", "2419200"),
        ("Urgency", "high"),
        ("Authorization", f"vapid t={r.token(aud=r.portless)}, k={r.vapid.key}"),
    ]
    yield b"", b"", [
        ("Host", r.host),
        ("Content-Length", "0"),
        ("TTL", "2419200"),
        ("Authorization", f"vapid t={r.token(aud=r.portless)}, k={r.vapid.key}"),
    ]


def mastodon(r):
    body = r.app.encrypt(b"toot")
    common = [
        ("Connection", "Keep-Alive"),
        ("User-Agent", "Mastodon/4.4.0 (http.rb/5.2.0; +https://mastodon.example/)"),
        ("Host", r.host),
    ]
    yield b"toot", body, [
        ("Content-Type", "application/octet-stream"),
        ("Ttl", "172800"),
        ("Urgency", "normal"),
        ("Content-Encoding", "aes128gcm"),
        ("Authorization", f"vapid t={r.token(ttl=DAY)},k={r.vapid.key}"),
        ("Unsubscribe-URL", "https://mastodon.example/api/web/push_subscriptions/1"),
        *common,
        ("Content-Length", str(len(body))),
    ]
    body, salt, dh = r.app.encrypt_aesgcm(b"old toot")
    yield b"old toot", body, [
        ("Content-Type", "application/octet-stream"),
        ("Ttl", "172800"),
        ("Urgency", "normal"),
        ("Content-Encoding", "aesgcm"),
        ("Encryption", f"salt={salt}"),
        ("Crypto-Key", f"dh={dh};p256ecdsa={r.vapid.key}"),
        ("Authorization", f"WebPush {r.token(ttl=DAY)}"),
        ("Unsubscribe-URL", "https://mastodon.example/api/web/push_subscriptions/1"),
        *common,
        ("Content-Length", str(len(body))),
    ]


def ruby_gems(r):
    body = r.app.encrypt(b"ruby")
    for ttl in (DAY, 12 * 3600):
        token = r.token(aud=r.portless, ttl=ttl, sub="sender@example.com")
        yield b"ruby", body, [
            ("Content-Type", "application/octet-stream"),
            ("Ttl", "2419200"),
            ("Urgency", "normal"),
            ("Content-Encoding", "aes128gcm"),
            ("Authorization", f"vapid t={token},k={r.vapid.key}"),
            ("Accept-Encoding", "gzip;q=1.0,deflate;q=0.6,identity;q=0.3"),
            ("Accept", "*/*"),
            ("User-Agent", "Ruby"),
            ("Host", r.host),
            ("Content-Length", str(len(body))),
        ]


def gotosocial(r):
    """webpush-go pads to exactly 4096, GoToSocial to exactly 2048."""
    for size in (4096, 2048):
        body = r.app.encrypt(b"go", pad=size - 86 - 16 - 1 - 2)
        assert len(body) == size
        yield b"go", body, [
            ("Host", r.host),
            ("User-Agent", "gotosocial/0.19.1"),
            ("Content-Length", str(size)),
            ("Authorization", f"vapid t={r.token()}, k={r.vapid.key}"),
            ("Content-Encoding", "aes128gcm"),
            ("Content-Type", "application/octet-stream"),
            ("Ttl", "172800"),
            ("Accept-Encoding", "gzip"),
        ]
    body = r.app.encrypt(b"go legacy")
    yield b"go legacy", body, [
        ("Host", r.host),
        ("User-Agent", "Go-http-client/1.1"),
        ("Content-Length", str(len(body))),
        ("Authorization", f"WebPush {r.token()}"),
        ("Crypto-Key", f"p256ecdsa={r.vapid.key}"),
        ("Content-Encoding", "aes128gcm"),
        ("Content-Type", "application/octet-stream"),
        ("Ttl", "0"),
        ("Accept-Encoding", "gzip"),
    ]


def rust_web_push(r):
    body = r.app.encrypt(b"rust")
    yield b"rust", body, [
        ("ttl", "2419200"),
        ("urgency", "normal"),
        ("content-encoding", "aes128gcm"),
        ("content-length", str(len(body))),
        ("content-type", "application/octet-stream"),
        ("authorization", f"vapid t={r.token()}, k={r.vapid.key}"),
        ("host", r.host),
    ]
    yield b"", b"", [
        ("ttl", "2419200"),
        ("authorization", f"vapid t={r.token()}, k={r.vapid.key}"),
        ("host", r.host),
    ]


def sygnal(r):
    body = r.app.encrypt(b"matrix")
    for urgency in ("low", "normal"):
        yield b"matrix", body, [
            ("Host", r.host),
            ("User-Agent", "sygnal"),
            ("content-encoding", "aes128gcm"),
            ("ttl", "900"),
            ("authorization", f"vapid t={r.token()},k={r.vapid.key}"),
            ("urgency", urgency),
            ("topic", b64(os.urandom(22)) + "=="),
            ("content-length", str(len(body))),
        ]


def stalwart(r):
    """reqwest: lower case, no User-Agent; a verification has 230 bytes, a large StateChange several records."""
    plain = b'{"@type":"PushVerification","pushSubscriptionId":"b","verificationCode":"' + b"c" * 32 + b'"}'
    body = r.app.encrypt(plain, pad=127 - len(plain) % 128)
    for content_type, coding in (("application/octet-stream", True), ("application/json", True)):
        yield plain, body, [
            ("ttl", "86400"),
            ("urgency", "normal"),
            ("content-type", content_type),
            ("content-encoding", "aes128gcm"),
            ("authorization", f"vapid t={r.token()}, k={r.vapid.key}"),
            ("accept", "*/*"),
            ("host", r.host),
            ("content-length", str(len(body))),
        ]


def stalwart_without_keys(r):
    plain = b'{"@type":"StateChange","changed":{"a":{"Email":"s1"}}}'
    yield plain, plain, [
        ("ttl", "86400"),
        ("content-type", "application/json"),
        ("accept", "*/*"),
        ("host", r.host),
        ("content-length", str(len(plain))),
    ]


def stalwart_old(r):
    """Up to 0.16.13: the base64url text of the ciphertext."""
    body = b64(r.app.encrypt(b"text", pad=123)).encode()
    yield None, body + b"=" * (-len(body) % 4), [
        ("ttl", "86400"),
        ("content-type", "application/json"),
        ("content-encoding", "aes128gcm"),
        ("accept", "*/*"),
        ("host", r.host),
        ("content-length", str(len(body) + -len(body) % 4)),
    ]


def james(r):
    """reactor-netty: chunked, a content type without semicolon, the largest 32-bit TTL, a padded topic."""
    body = r.app.encrypt(b'{"@type":"StateChange"}')
    for urgency, topic in (("high", True), ("low", True), ("normal", False)):
        yield b'{"@type":"StateChange"}', http.chunked(body[:50], body[50:]), [
            ("user-agent", "ReactorNetty/1.1.19"),
            ("host", r.host),
            ("accept", "*/*"),
            ("TTL", "2147483647"),
            ("Content-Type", "application/json charset=utf-8"),
            ("Urgency", urgency),
            *([("Topic", b64(os.urandom(16)) + "==")] if topic else []),
            ("Content-Encoding", "aes128gcm"),
            ("transfer-encoding", "chunked"),
        ]


def common_proxies(r):
    """Plain JSON with the label of encryption."""
    plain = b'{"notification":{"event_id":"$1","counts":{"unread":1}}}'
    yield None, plain, [
        ("Host", r.host),
        ("User-Agent", "UnifiedPush-Common-Proxies/v2.2.0"),
        ("Content-Length", str(len(plain))),
        ("Content-Encoding", "aes128gcm"),
        ("Content-Type", "application/json"),
        ("Ttl", "86400"),
        ("Urgency", "normal"),
        ("Accept-Encoding", "gzip"),
    ]


def webdav_push(r):
    plain = b'<?xml version="1.0"?><push-message xmlns="https://bitfire.at/webdav-push"/>'
    body = r.app.encrypt(plain)
    yield plain, body, [
        ("Host", r.host),
        ("Content-Type", 'application/xml; charset="UTF-8"'),
        ("Content-Encoding", "aes128gcm"),
        ("TTL", "86400"),
        ("Topic", "calendar-1"),
        ("Urgency", "low"),
        ("Authorization", f"vapid t={r.token()}, k={r.vapid.key}"),
        ("Content-Length", str(len(body))),
    ]


SIGNING = [
    npm_web_push,
    npm_web_push_aesgcm,
    pywebpush,
    web_push_php,
    mastodon,
    ruby_gems,
    gotosocial,
    rust_web_push,
    sygnal,
    stalwart,
    webdav_push,
]
PLAIN = [stalwart_without_keys, stalwart_old, james, common_proxies]


@pytest.mark.parametrize("restricted", [False, True])
@pytest.mark.parametrize("sender", SIGNING, ids=lambda s: s.__name__)
def test_signing_senders(relay, sender, restricted):
    replay(relay, sender, restricted)


@pytest.mark.parametrize("sender", PLAIN, ids=lambda s: s.__name__)
def test_senders_without_key(relay, sender):
    replay(relay, sender, False)


def replay(relay, sender, restricted):
    r = Replay(relay, restricted)
    path = urllib.parse.urlsplit(r.endpoint).path
    for plain, body, headers in sender(r):
        with relay.connect() as connection:
            connection.send_request("POST", path, headers, body, host=None, length=False)
            assert_accepted(connection.read_response(), relay.base)
        message = r.device.notification()
        r.device.ack(message)
        got = body_of(message)
        coding = dict((n.lower(), v) for n, v in headers).get("content-encoding")
        assert (message["headers"] or {}).get("encoding") == coding
        if plain is None:
            assert got == body
        elif coding == "aes128gcm":
            assert r.app.decrypt(got) == plain
        elif coding == "aesgcm":
            assert r.app.decrypt_aesgcm(got, message["headers"]) == plain
        else:
            assert got == plain


def test_curl(relay):
    """Sender 13: forgets the TTL first, then sends it; a form's content type."""
    device, _, endpoint = relay.subscribed()
    path = urllib.parse.urlsplit(endpoint).path
    headers = [("User-Agent", "curl/7.88.1"), ("Accept", "*/*")]
    tail = [("Content-Length", "2"), ("Content-Type", "application/x-www-form-urlencoded")]
    with relay.connect() as connection:
        assert_refused(connection.request("POST", path, headers + tail, b"hi"), 400, 111)
        assert_accepted(connection.request("POST", path, headers + [("TTL", "60")] + tail, b"hi"))
    assert device.take() == b"hi"


def test_old_unifiedpush_app_server(start_relay):
    """Sender 11: probes with GET, then posts plain text without TTL."""
    relay = start_relay(missing_ttl=3600)
    device, _, endpoint = relay.subscribed()
    assert relay.get(endpoint).json() == {"unifiedpush": {"version": 1}}
    relay.push(endpoint, "z\u00e4hl".encode(), None)
    assert device.take().decode() == "z\u00e4hl"
