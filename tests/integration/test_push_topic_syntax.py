# SPDX-License-Identifier: Apache-2.0
"""Which topics are taken: the base64url alphabet, 1 to 32 characters, with the padding that two senders add."""

import pytest
from harness.relay import assert_refused


@pytest.mark.parametrize(
    "topic",
    [
        "a",
        "a" * 32,
        "Az09-_",
        "-",
        "A" * 22 + "==",
        "b" * 30 + "==",
        "b" * 31 + "=",
        "a=",
        " padded-by-blanks ",
        "a" * 10 + "=",
    ],
)
def test_accepted(relay, topic):
    """Cases 14 and 16 (James sends 24 characters, Sygnal 32, padding included)."""
    device, _, endpoint = relay.subscribed()
    relay.push(endpoint, b"x", topic=topic)
    assert device.take() == b"x"


@pytest.mark.parametrize(
    "topic",
    [
        "a" * 33,
        "a" * 31 + "==",
        "a.b",
        "a b",
        "a/b",
        "a+b",
        "",
        "\u00e4",
        "==",
        "=",
        "a=b",
        "a,b",
        '"a"',
        "a\tb",
    ],
)
def test_refused(relay, topic):
    """Cases 14, 15 and 16."""
    device, _, endpoint = relay.subscribed()
    assert_refused(relay.post(endpoint, b"x", topic=topic), 400, 113)
    device.expect_nothing(0)


def test_two_lines_are_refused(relay):
    """Case 21."""
    _, _, endpoint = relay.subscribed()
    assert_refused(relay.post(endpoint, b"x", headers=[("Topic", "a"), ("Topic", "a")]), 400, 113)
