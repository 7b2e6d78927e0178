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

    def lines(are_sums):
        full = [line for line in relay.process.log().splitlines() if "queue full" in line]
        return [line for line in full if (" more within " in line) == are_sums]

    def counted():
        return len(lines(False)) + sum(int(line.split(": ")[1].split()[0]) for line in lines(True))

    wait_until(lambda: counted() == 299, 30, "the number of all")
    assert lines(True) and len(lines(False)) <= 5 * (len(lines(True)) + 1), relay.process.log()
