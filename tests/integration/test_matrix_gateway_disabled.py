# SPDX-License-Identifier: Apache-2.0
"""The Matrix gateway path answers so that apps fall back to the public gateway."""

import pytest


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_unrecognized(relay, method):
    """Case 64a."""
    answer = relay.request(
        method, "/_matrix/push/v1/notify", body=b"{}" if method in ("POST", "PUT") else b""
    )
    assert answer.status == 404 and answer["content-type"].startswith("application/json")
    if method != "HEAD":
        assert answer.json()["errcode"] == "M_UNRECOGNIZED"
