# SPDX-License-Identifier: Apache-2.0
"""Where no key is bound, identification is voluntary (RFC 8292 section 2), unless the operator wants it right."""

import pytest
from harness.relay import assert_accepted, assert_refused
from harness.sender import Vapid

HEADERS = {
    "bad signature": lambda v, e: v.authorization(e, signature=lambda s: bytes(64)),
    "expired": lambda v, e: v.authorization(e, ttl=-1000),
    "foreign": lambda v, e: v.authorization(e, aud="https://foreign.example"),
    "malformed": lambda v, e: "vapid t=a.b.c, k=d",
}


@pytest.mark.parametrize("make", HEADERS.values(), ids=HEADERS.keys())
def test_ignored(relay, make):
    """Case 49."""
    _, _, endpoint = relay.subscribed()
    assert_accepted(relay.post(endpoint, b"x", headers=[("Authorization", make(Vapid(), endpoint))]))


def test_verified_on_demand(start_relay):
    """Case 49 with verify_vapid: invalid gets 403; valid, absent and foreign schemes pass."""
    relay = start_relay(verify_vapid="on")
    _, _, endpoint = relay.subscribed()
    sender = Vapid()
    for make in HEADERS.values():
        assert_refused(
            relay.post(endpoint, b"x", headers=[("Authorization", make(sender, endpoint))]), 403, 109
        )
    for headers in ([], [sender.header(endpoint)], [("Authorization", "Basic YTpi")]):
        assert_accepted(relay.post(endpoint, b"x", headers=headers))
