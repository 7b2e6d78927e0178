# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the daemon while apps come and go and senders push: what was accepted arrives, what was confirmed stays,
and what was settled does not come again. ROUNDS sets how many times (10)."""

import json
import os
import random
import time

import pytest
from crowd import Crowd
from harness.process import wait_until
from session import Caller

ROUNDS = int(os.environ.get("ROUNDS", "10"))


@pytest.fixture
def crowd(session, relay):
    apps = [
        session.app("org.example.Two", 2).start(),
        session.app("org.example.One", 1).start(),
        session.app("org.example.Started", 2, exit_after=0.5).make_activatable(),
        session.app("org.example.Sleepy", 2).start(),
    ]
    return Crowd(session, relay, apps)


def wait_settled(daemon, crowd, timeout=60):
    """Everything has arrived, the relay keeps nothing and neither does the disk."""

    def done():
        return (
            crowd.expected() <= set(crowd.arrivals())
            and daemon.relay.metrics()["bellwire_messages_queued"] == 0
            and not list((daemon.state_dir / "queue").glob("*.json"))
        )

    try:
        wait_until(done, timeout, "arrival of everything")
    except AssertionError as error:
        missing = crowd.expected() - set(crowd.arrivals())
        raise AssertionError(f"{error}: {sorted(missing)[:10]}\n{daemon.process.log()[-4000:]}") from None


def fresh_callers(session, tokens, most=50):
    """A caller for each token; a connection may call that often at once."""
    for number, token in enumerate(tokens):
        if number % most == 0:
            caller = Caller(session)
        yield caller, token


def settle(daemon, crowd, session):
    """Ends what is under way: open registrations are confirmed, everything arrives."""
    for caller, token in fresh_callers(session, [t for t in crowd.tokens if not t.is_confirmed]):
        crowd.register(caller, token)
        assert token.is_confirmed
    staying = [t for t in crowd.tokens if not t.is_leaving]
    wait_until(lambda: all(t.endpoints() for t in staying), 30, "the endpoints")
    crowd.learn()
    for token in staying:
        crowd.send(token)
    wait_settled(daemon, crowd)


def tokens_on_disk(daemon):
    state = json.loads((daemon.state_dir / "state.json").read_text())
    return {r["token"] for r in state["registrations"]["list"]}


def check(daemon, crowd):
    """What holds at any time, the moment of a kill -9 too: nobody is told what is not on the disk."""
    there = tokens_on_disk(daemon)
    for token in crowd.tokens:
        assert len(set(token.endpoints())) <= 1, (token.name, token.endpoints())
        if token.is_confirmed and not token.is_leaving:
            assert token.name in there, f"{token.name} was confirmed"
        if token.is_gone():
            assert token.name not in there, f"{token.name} was told to be gone"


def test_rounds(daemon, crowd, session):
    sleepy = crowd.apps[3]
    settled = []
    for number in range(ROUNDS):
        if number % 3 == 1:
            sleepy.stop()
        crowd.rush(lambda: time.sleep(random.uniform(0.1, 1)))
        if number % 2:
            if not sleepy.process.is_running():
                sleepy.start()
            settle(daemon, crowd, session)
            settled.append({body: len(times) for body, times in crowd.arrivals().items()})
            daemon.kill()
        else:
            crowd.rush(daemon.kill)
        check(daemon, crowd)
        daemon.start()
    if not sleepy.process.is_running():
        sleepy.start()
    settle(daemon, crowd, session)
    arrivals = {body: len(times) for body, times in crowd.arrivals().items()}
    for before in settled:
        again = [body for body, count in before.items() if arrivals[body] > count]
        assert again == [], f"settled, and came again: {again[:5]}"
    assert_registrations_stay(daemon, crowd, session)
    doubled = [body for body, count in arrivals.items() if count > 1]
    print(f"{len(crowd.tokens)} tokens, {len(arrivals)} messages, {len(doubled)} came twice")
    assert len(arrivals) > 5 * ROUNDS
    assert max(arrivals.values()) <= 2
    assert_ids_name_messages(crowd)


def assert_ids_name_messages(crowd):
    """Apps may tell by the id what they know already: one message has one, over all runs of the daemon."""
    pairs = {(e["id"], e["message"]) for app in crowd.apps for e in app.events("Message")}
    assert len({number for number, _ in pairs}) == len({message for _, message in pairs}) == len(pairs)


def assert_registrations_stay(daemon, crowd, session):
    """Each confirmed one has its endpoint, each unregistered one is gone, here and at the relay."""
    leavers = [t for t in crowd.tokens if t.is_leaving]
    stayers = [t for t in crowd.tokens if not t.is_leaving]
    for caller, token in fresh_callers(session, leavers):
        crowd.unregister(caller, token)  # a kill came before the first was done, perhaps
    for caller, token in fresh_callers(session, stayers):
        before = len(token.endpoints())
        crowd.register(caller, token)
        wait_until(lambda token=token, before=before: len(token.endpoints()) > before, 20, token.name)
        assert len(set(token.endpoints())) == 1, token.name
    for endpoint in [crowd.endpoints[t.name] for t in leavers if t.name in crowd.endpoints]:
        wait_until(lambda endpoint=endpoint: daemon.relay.post(endpoint).status in (404, 410), 20, "the end of it")
    daemon.stop()
    assert tokens_on_disk(daemon) == {token.name for token in stayers}
