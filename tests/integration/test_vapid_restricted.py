# SPDX-License-Identifier: Apache-2.0
"""A subscription bound to a VAPID key takes messages signed by that key alone (RFC 8292)."""

import base64
import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import utils
from harness.relay import Relay, assert_accepted, assert_refused
from harness.sender import Vapid, b64, origin_of, unb64

NAMES = ["https://Push.Example", "https://other.example:8443/prefix/"]
TTL_SEC = 3600  # nothing expires before the last test counts what is queued


@pytest.fixture(scope="module")
def relay(tmp_path_factory):
    """It has two more names: one on the default port, one not."""
    directory = tmp_path_factory.mktemp("relay")
    instance = Relay("memory:", directory, start=False)
    instance.flags["public_url"] = [instance.base, *NAMES]
    instance.start()
    yield instance
    instance.finish()


@pytest.fixture(scope="module")
def restricted(relay):
    """(sender, endpoint, device)"""
    sender = Vapid()
    device, _, endpoint = relay.subscribed(sender.key)
    return sender, endpoint, device


def post(relay, endpoint, *headers):
    return relay.post(endpoint, b"x", TTL_SEC, headers=headers)


def test_absent_authorization(relay, restricted):
    """Case 41."""
    _, endpoint, _ = restricted
    assert_refused(post(relay, endpoint), 401, 109, www_authenticate="vapid")


@pytest.mark.parametrize(
    "value",
    [
        "Basic YTpi",
        'Digest username="a"',
        "key=AAAA",
        "Negotiate abc",
        "",
        "vapid2 t=a, k=b",
        "GoogleLogin auth=x",
    ],
)
def test_other_schemes(relay, restricted, value):
    """Case 42."""
    _, endpoint, _ = restricted
    assert_refused(post(relay, endpoint, ("Authorization", value)), 401, 109, www_authenticate="vapid")


OFF_CURVE = b64(b"\4" + b"\1" * 64)
MALFORMED = {
    "no k": "vapid t={t}",
    "no t": "vapid k={k}",
    "neither": "vapid realm=x",
    "nothing": "vapid",
    "two t": "vapid t={t}, t={t}, k={k}",
    "two k": "vapid t={t}, k={k}, k={k}",
    "empty k": "vapid t={t}, k=",
    "empty t": "vapid t=, k={k}",
    "k undecodable": "vapid t={t}, k=!!!!",
    "k short": "vapid t={t}, k=" + b64(b"\4" * 64),
    "k long": "vapid t={t}, k=" + b64(b"\4" * 66),
    "k compressed": "vapid t={t}, k=" + b64(b"\2" + b"\1" * 32),
    "k not on the curve": "vapid t={t}, k=" + OFF_CURVE,
    "t of one part": "vapid t=abc, k={k}",
    "t of four parts": "vapid t={t}.abc, k={k}",
    "t undecodable": "vapid t=!.!.!, k={k}",
}


@pytest.mark.parametrize("form", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_vapid(relay, restricted, form):
    """Case 43."""
    sender, endpoint, _ = restricted
    value = form.format(t=sender.token(origin_of(endpoint)), k=sender.key)
    answer = post(relay, endpoint, ("Authorization", value))
    assert_refused(answer, 403, 109)
    assert "www-authenticate" not in answer


def test_two_authorization_headers(relay, restricted):
    """Section 4.1."""
    sender, endpoint, _ = restricted
    assert_refused(post(relay, endpoint, sender.header(endpoint), sender.header(endpoint)), 403, 109)


def der(signature):
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    return utils.encode_dss_signature(r, s)


SIGNATURES = {
    "flipped": {"signature": lambda s: s[:-1] + bytes([s[-1] ^ 1])},
    "63 bytes": {"signature": lambda s: s[:-1]},
    "65 bytes": {"signature": lambda s: s + b"\0"},
    "empty": {"signature": lambda s: b""},
    "zeros": {"signature": lambda s: bytes(64)},
    "DER": {"signature": der},
    "alg none": {"alg": "none"},
    "alg none, no signature": {"alg": "none", "signature": lambda s: b""},
    "alg HS256": {"alg": "HS256"},
    "alg ES384": {"alg": "ES384"},
    "alg in lower case": {"alg": "es256"},
    "alg null": {"alg": None},
}


@pytest.mark.parametrize("change", SIGNATURES.values(), ids=SIGNATURES.keys())
def test_bad_signature(relay, restricted, change):
    """Case 44."""
    sender, endpoint, _ = restricted
    assert_refused(post(relay, endpoint, sender.header(endpoint, **change)), 403, 109)


@pytest.mark.parametrize(
    "header", [{"typ": "JWT"}, {"alg": "ES256", "crit": ["exp"]}, b"[]", b"not json", b"{", b'"ES256"']
)
def test_bad_jose_header(relay, restricted, header):
    """Section 4.2."""
    sender, endpoint, _ = restricted
    token = sender.sign(header, {"aud": origin_of(endpoint), "exp": int(time.time()) + 600})
    assert_refused(post(relay, endpoint, ("Authorization", f"vapid t={token}, k={sender.key}")), 403, 109)


def test_changed_claims(relay, restricted):
    """Case 44: the signature of other claims."""
    sender, endpoint, _ = restricted
    head, _, signature = sender.token(origin_of(endpoint)).split(".")
    claims = b64(json.dumps({"aud": origin_of(endpoint), "exp": int(time.time()) + 60}).encode())
    assert_refused(
        post(relay, endpoint, ("Authorization", f"vapid t={head}.{claims}.{signature}, k={sender.key}")), 403
    )


EXPIRY = {
    "2 min ago": (-120, 403),
    "30 s ago": (-30, 201),
    "in a moment": (5, 201),
    "24 h": (86400, 201),
    "24 h and a little": (86400 + 240, 201),
    "24 h 10 min": (86400 + 600, 403),
    "a year": (365 * 86400, 403),
}


@pytest.mark.parametrize("ahead, status", EXPIRY.values(), ids=EXPIRY.keys())
def test_expiry(relay, restricted, ahead, status):
    """Case 45."""
    sender, endpoint, _ = restricted
    answer = post(relay, endpoint, sender.header(endpoint, ttl=ahead))
    assert answer.status == status, answer


@pytest.mark.parametrize(
    "exp", ["1", str(int(time.time()) + 600), None, [], {}, True, -1, 1e300, 0], ids=repr
)
def test_bad_expiry(relay, restricted, exp):
    """Case 45."""
    sender, endpoint, _ = restricted
    assert_refused(post(relay, endpoint, sender.header(endpoint, exp=exp)), 403, 109)


def test_missing_claims(relay, restricted):
    """Cases 45 and 46."""
    sender, endpoint, _ = restricted
    for name in ("exp", "aud"):
        assert_refused(post(relay, endpoint, sender.header(endpoint, drop=[name])), 403, 109)


def test_fraction_in_expiry_and_odd_sub(relay, restricted):
    """Sections 4.2 and 4.5."""
    sender, endpoint, _ = restricted
    for change in (
        {"exp": time.time() + 600.5},
        {"sub": "sender@example.com"},
        {"sub": 7},
        {"drop": ["sub"]},
        {"more": [1]},
    ):
        assert_accepted(post(relay, endpoint, sender.header(endpoint, **change)))


AUDIENCES = {
    "our origin": ("{own}", 201),
    "without our port": ("http://127.0.0.1", 201),
    "upper-case": ("HTTP://127.0.0.1:{port}", 201),
    "with a slash": ("{own}/", 201),
    "list": (["https://foreign.example", "{own}"], 201),
    "second name": ("https://push.example", 201),
    "second name with :443": ("https://push.example:443", 201),
    "second name in capitals": ("HTTPS://PUSH.EXAMPLE", 201),
    "third name": ("https://other.example:8443", 201),
    "third name without port": ("https://other.example", 201),
    "foreign": ("https://foreign.example", 403),
    "other port": ("http://127.0.0.1:1", 403),
    "other scheme": ("https://127.0.0.1:{port}", 403),
    "with path": ("{own}/p/x", 403),
    "longer host": ("https://push.example.evil", 403),
    "userinfo": ("https://push.example@evil.example", 403),
    "empty": ("", 403),
    "number": (7, 403),
    "null": (None, 403),
    "empty list": ([], 403),
    "list of foreigners": (["https://foreign.example"], 403),
}


@pytest.mark.parametrize("aud, status", AUDIENCES.values(), ids=AUDIENCES.keys())
def test_audience(relay, restricted, aud, status):
    """Case 46: compared with every public URL, never with the Host header."""
    sender, endpoint, _ = restricted

    def fill(text):
        return text.format(own=relay.base, port=relay.port) if isinstance(text, str) else text

    value = [fill(a) for a in aud] if isinstance(aud, list) else fill(aud)
    answer = post(relay, endpoint, sender.header(endpoint, aud=value))
    assert answer.status == status, answer


def test_host_header_is_no_audience(relay, restricted):
    """Section 4.5."""
    sender, endpoint, _ = restricted
    token = sender.header(endpoint, aud="https://evil.example")
    assert_refused(relay.post(endpoint, b"x", TTL_SEC, headers=[token], host="evil.example"), 403)
    assert_accepted(relay.post(endpoint, b"x", TTL_SEC, headers=[sender.header(endpoint)], host="evil.example"))


def test_another_key(relay, restricted):
    """Case 47: a good token of another key, and our key with another's token."""
    sender, endpoint, _ = restricted
    other = Vapid()
    assert_refused(post(relay, endpoint, other.header(endpoint)), 403, 109)
    mixed = f"vapid t={other.token(origin_of(endpoint))}, k={sender.key}"
    assert_refused(post(relay, endpoint, ("Authorization", mixed)), 403, 109)


LEGACY = {
    "semicolon": "dh={dh};p256ecdsa={k}",
    "comma": "dh={dh},p256ecdsa={k}",
    "comma and blank": "dh={dh}, p256ecdsa={k}",
    "reversed": "p256ecdsa={k};dh={dh}",
    "quoted": 'dh="{dh}";p256ecdsa="{k}"',
    "alone": "p256ecdsa={k}",
    "padded": "p256ecdsa={k}=",
}
DH = "BNoRDbb84JGm8g5Z5CFxurSqsXWJ11ItfXEWYVLE85Y7CYkDjXsIEc4aqxYaQ1G8BqkXCJ6DPpDrWtdWj_mugHU"


@pytest.mark.parametrize("scheme", ["WebPush", "Bearer", "webpush"])
@pytest.mark.parametrize("form", LEGACY.values(), ids=LEGACY.keys())
def test_legacy_scheme(relay, restricted, scheme, form):
    """Case 48."""
    sender, endpoint, _ = restricted
    answer = post(
        relay,
        endpoint,
        ("Authorization", f"{scheme} {sender.token(origin_of(endpoint))}"),
        ("Crypto-Key", form.format(dh=DH, k=sender.key)),
    )
    assert_accepted(answer)


@pytest.mark.parametrize("crypto_key", [None, f"dh={DH}", "p256ecdsa=", "p256ecdsa=AAAA"])
def test_legacy_without_key(relay, restricted, crypto_key):
    """Case 48: Bearer without a key is no scheme of ours at all or malformed: never accepted."""
    sender, endpoint, _ = restricted
    headers = [("Authorization", f"WebPush {sender.token(origin_of(endpoint))}")]
    assert_refused(
        post(relay, endpoint, *headers, *([("Crypto-Key", crypto_key)] if crypto_key else [])), 403
    )


FORMS = {
    "t, k": "vapid t={t}, k={k}",
    "no blank": "vapid t={t},k={k}",
    "k first": "vapid k={k}, t={t}",
    "capitals": "VAPID t={t}, k={k}",
    "capital": "Vapid T={t}, K={k}",
    "unknown parameter": 'vapid realm="x, y", t={t}, foo=bar, k={k}',
    "blanks": "vapid  t={t} ,\tk={k}",
    "quoted": 'vapid t="{t}", k="{k}"',
    "padded": "vapid t={t}, k={k}=",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_spellings(relay, restricted, form):
    """Case 51, and the key with padding."""
    sender, endpoint, _ = restricted
    value = form.format(t=sender.token(origin_of(endpoint)), k=sender.key)
    assert_accepted(post(relay, endpoint, ("Authorization", value)))


def test_key_in_standard_base64(relay, restricted):
    """Section 4.5."""
    sender, endpoint, _ = restricted
    key = base64.b64encode(unb64(sender.key)).decode()
    assert_accepted(
        post(relay, endpoint, ("Authorization", f"vapid t={sender.token(origin_of(endpoint))}, k={key}"))
    )


def test_oversized_header(relay, restricted):
    """Case 52."""
    sender, endpoint, _ = restricted
    value = sender.authorization(endpoint) + ", x=" + "a" * 8192
    assert post(relay, endpoint, ("Authorization", value)).status == 431


def test_token_is_remembered_and_still_judged(relay, restricted):
    """Section 4.5: the second use of a token costs no signature check, and is bound to key and claims as the first."""
    sender, endpoint, _ = restricted
    header = sender.header(endpoint)
    before = relay.metrics()
    for _ in range(5):
        assert_accepted(post(relay, endpoint, header))
    after = relay.metrics()
    assert after["bellwire_vapid_verified_total"] - before["bellwire_vapid_verified_total"] == 1
    assert after["bellwire_vapid_cached_total"] - before["bellwire_vapid_cached_total"] == 4
    other = header[1].rsplit("k=", 1)[0] + "k=" + Vapid().key
    assert_refused(post(relay, endpoint, ("Authorization", other)), 403)
    flipped = header[1].replace(", k=", "A, k=")
    assert_refused(post(relay, endpoint, ("Authorization", flipped)), 403)


def test_refusals_leave_nothing(relay, restricted):
    """Whatever was refused above was not queued: only accepted messages arrive."""
    _, _, device = restricted
    metrics = relay.metrics()
    device.settle()
    assert metrics["bellwire_push_accepted_total"] == metrics["bellwire_messages_queued"]
