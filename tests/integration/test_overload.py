# SPDX-License-Identifier: Apache-2.0
"""Case 59: more at a time than the store can take is answered with 503 at once, before anything is looked up."""

from harness.process import wait_until
from harness.relay import assert_refused, path_of


def test_pushes_that_wait_are_limited(start_relay):
    relay = start_relay("fault:memory:?put=delay-10000:3", max_pushes=3)
    device, _, endpoint = relay.subscribed()
    waiting = [relay.connect(timeout=30) for _ in range(3)]
    for number, connection in enumerate(waiting):
        connection.send_request("POST", path_of(endpoint), [("TTL", "60")], b"%d" % number)
    wait_until(lambda: relay.get("/p/unknown").status == 503, 8, "overload")
    for target in (endpoint, "/p/unknown", "/p/" + "A" * 66):
        answer = relay.post(target, b"x")
        assert_refused(answer, 503, 201)
        assert int(answer["retry-after"]) <= 60
    assert relay.get("/health").status == 200
    device.ping()
    assert all(connection.is_quiet(0) for connection in waiting), "nothing of it waited for the store"
    for connection in waiting:
        assert connection.read_response().status == 201
        connection.close()
    assert sorted(device.take() for _ in range(3)) == [b"0", b"1", b"2"]
    relay.push(endpoint, b"3")
    assert device.take() == b"3"
    assert relay.metrics()["bellwire_push_unavailable_total"] >= 3
