# SPDX-License-Identifier: Apache-2.0
"""A wall clock that is wrong, and one that is set: certificates, and a connection that stands."""

import pytest
from harness.certificates import make_certificate
from harness.household import RELAY

YEAR = 365 * 24 * 3600


@pytest.fixture
def start_secure(start_household, tmp_path):
    def start(**options):
        (tmp_path / "certificates").mkdir()
        certificate = make_certificate(tmp_path / "certificates", 1, names=[RELAY])
        return start_household(
            has_clock=True, has_bus=True, tls=certificate, ca_file=certificate[0], insecure="off", **options)

    return start


def test_clock_a_year_behind_at_the_start(start_secure):
    """As without a battery for it: said so, and tried at once when the clock is set."""
    household = start_secure(before=lambda h: setattr(h.clock, "wall", -2.0 * YEAR), up=False, check=False)
    daemon = household.daemon
    report = daemon.wait(lambda: (r := daemon.report())["state"] == "waiting" and r, 20, "a waiting link")
    assert "is not valid before" in report["reason"] and "clock" in report["reason"], report
    assert report["next_attempt_ms"] > 25000
    assert "login" not in report["reason"]
    household.clock.set_wall(2.0 * YEAR)
    daemon.wait_up()
    household.check()


@pytest.mark.parametrize("seconds", [-YEAR, YEAR, -300, 300])
def test_clock_set_while_connected(start_secure, seconds):
    """One question whether the relay is there, and nothing else."""
    household = start_secure()
    daemon = household.daemon
    household.clock.set_wall(seconds)
    daemon.wait(lambda: daemon.report()["round_trip_ms"] >= 0, 20, "an answer to a ping")
    household.check()
    assert daemon.sessions() == 1 and daemon.attempts() == 1
    daemon.wait_hooks()
