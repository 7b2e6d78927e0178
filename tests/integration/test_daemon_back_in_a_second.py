# SPDX-License-Identifier: Apache-2.0
"""The promise: within a second of the network's return the daemon is back and its queue drained. Twenty rounds."""

import statistics

from harness.household import now


class Loss:
    """How the network goes, and how it comes back."""

    def __init__(self, name, go, come):
        self.name, self.go, self.come = name, go, come


LOSSES = [
    Loss("cable pulled, and put back",
         lambda laptop: laptop.router.ip("link set gw0 down"),
         lambda laptop: laptop.router.ip("link set gw0 up")),
    Loss("lease lost, another address",
         lambda laptop: laptop.unplug(),
         lambda laptop: laptop.plug(host=laptop.host % 100 + 2)),
    Loss("default route gone, and back",
         lambda laptop: laptop.ip("route del default dev eth0"),
         lambda laptop: laptop.ip("route add default via 10.0.0.1 dev eth0 metric 100")),
    Loss("interface off, and on again",
         lambda laptop: (laptop.unplug(), laptop.ip("link set eth0 down")),
         lambda laptop: (laptop.ip("link set eth0 up"), laptop.plug(host=laptop.host))),
    Loss("another network, and the first again",
         lambda laptop: laptop.unplug(),
         lambda laptop: laptop.plug(1)),
]


def test_twenty_returns(start_household, capsys):
    household = start_household(has_clock=True)
    laptop, daemon = household.laptop, household.daemon
    took = []
    for number in range(20):
        loss = LOSSES[number % len(LOSSES)]
        household.clock.advance(61)  # once a minute is no flapping
        loss.go(laptop)
        daemon.wait(lambda: daemon.state() == "offline", 20, "an offline link")
        text = daemon.post()
        begin = now()
        loss.come(laptop)
        daemon.wait_got(text)
        daemon.wait_drained()
        took.append(now() - begin)
        with capsys.disabled():
            print(f"{took[-1]:.3f} s  {loss.name}")
        daemon.wait_up()
        if loss.name.startswith("another network"):
            laptop.unplug(1)
            laptop.plug(host=laptop.host)
            household.check()
    with capsys.disabled():
        print(f"{statistics.median(took):.3f} s  median")
    assert statistics.median(took) < 1, took
    assert daemon.got() == [f"message {n}" for n in range(1, daemon.sent + 1)]
