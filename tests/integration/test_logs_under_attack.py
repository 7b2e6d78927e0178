# SPDX-License-Identifier: Apache-2.0
"""What a peer can provoke does not fill the log: some lines, then their number."""

from harness.process import wait_until


def test_full_queue(start_relay):
    relay = start_relay(queue_messages=1)
    device, _, endpoint = relay.subscribed()
    device.close()
    with relay.connect() as connection:
        path = "/p/" + endpoint.rsplit("/", 1)[1]
        for _ in range(300):
            assert connection.request("POST", path, [("TTL", "60")], b"x").status == 201
    lines = [line for line in relay.process.log().splitlines() if "queue full" in line]
    assert 1 <= len(lines) <= 5, lines
    wait_until(lambda: " more within " in relay.process.log(), 15, "the number of the others")
    told = [line for line in relay.process.log().splitlines() if " more within " in line]
    assert len(told) == 1 and "queue full" in told[0] and int(told[0].split(": ")[1].split()[0]) == 294, told
