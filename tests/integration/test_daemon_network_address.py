# SPDX-License-Identifier: Apache-2.0
"""The daemon and its addresses: another one is a new session at once, the same one is the old session."""

from harness.household import now


def test_another_address_on_the_same_link(household):
    laptop, daemon = household.laptop, household.daemon
    sessions = daemon.sessions()
    laptop.ip("addr flush dev eth0")
    text = daemon.post()
    laptop.ip("addr add 10.0.0.77/24 dev eth0", "route add default via 10.0.0.1 dev eth0 metric 100")
    since = now()
    household.back_at_once(text, since, 1.0)
    assert daemon.sessions() == sessions + 1
    household.check()


def test_the_same_address_taken_away_and_given_back(household):
    """As a DHCP client does that starts anew: nothing to do but to ask once."""
    laptop, daemon = household.laptop, household.daemon
    sessions, attempts = daemon.sessions(), daemon.attempts()
    laptop.ip("addr flush dev eth0")
    daemon.wait_log("link offline")
    laptop.plug()
    since = now()
    text = daemon.post()
    household.back_at_once(text, since, 1.0)
    daemon.wait_up()
    # another beside it is only tried when the answer takes more than 300 ms
    made, missed = daemon.attempts() - attempts, daemon.count("link is not answered")
    assert made <= missed <= 1, daemon.process.log()[-3000:]
    assert daemon.sessions() - sessions <= made


def test_renewed_lease_is_no_news(household):
    laptop, daemon = household.laptop, household.daemon
    sessions, attempts = daemon.sessions(), daemon.attempts()
    for lifetime in range(600, 620):
        laptop.ip(f"addr change 10.0.0.2/24 dev eth0 valid_lft {lifetime} preferred_lft {lifetime}")
    household.check()
    assert (daemon.sessions(), daemon.attempts()) == (sessions, attempts)
