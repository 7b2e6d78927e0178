# SPDX-License-Identifier: Apache-2.0
"""A request with several faults gets the answer of the first check in the documented order."""

import pytest
from harness.relay import assert_refused, path_of
from harness.sender import Vapid

FLAGS = {"body_limit": 4096, "strict_encryption": "on"}

# What is wrong, from the first check to the last; each request has its own fault and all later ones.
FAULTS = [
    ("method", 405),
    ("token", 404),
    ("authorization", 401),
    ("ttl", 400),
    ("length", 413),
    ("coding", 415),
]


@pytest.mark.parametrize("first", range(len(FAULTS)), ids=[name for name, _ in FAULTS])
def test_first_fault_decides(relay, first):
    """Section 1, order of checks."""
    faults = {name for name, _ in FAULTS[first:]}
    sender = Vapid()
    _, _, endpoint = relay.subscribed(sender.key)
    path = "/p/" + "A" * 66 if "token" in faults else path_of(endpoint)
    headers = [] if "authorization" in faults else [sender.header(endpoint)]
    headers += [] if "ttl" in faults else [("TTL", "60")]
    headers += [("Content-Encoding", "gzip" if "coding" in faults else "aes128gcm")]
    body = bytes(5000 if "length" in faults else 10)
    assert_refused(
        relay.request("PUT" if "method" in faults else "POST", path, headers, body), FAULTS[first][1]
    )


def test_gone_comes_before_authorization_and_headers(relay):
    sender = Vapid()
    device, channel, endpoint = relay.subscribed(sender.key)
    device.unregister(channel)
    assert_refused(relay.request("POST", endpoint), 410)


@pytest.mark.parametrize("length", [1, 5000])
def test_framing_comes_before_everything(relay, length):
    with relay.connect() as connection:
        connection.send(
            f"PUT /p/{'A' * 66} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nContent-Length: 2\r\n\r\n"
        )
        assert connection.read_response().status == 400
        assert connection.is_closed()
