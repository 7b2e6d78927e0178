# SPDX-License-Identifier: Apache-2.0
"""Hooks of a real distributor without a bus: from a sender's POST to the user's command."""

import json
import os
import shutil
import tempfile
import time

import pytest
from harness.distributor import Distributor
from harness.process import wait_until
from harness.relay import assert_refused
from harness.sender import Subscriber, Vapid, unb64

QUICK = "[hook mail]\ncommand = @record\nquiet = 0\ncatch_up = off\n"


@pytest.fixture
def relay(start_relay):
    """One a test: what is queued there is this test's."""
    return start_relay()


@pytest.fixture
def distributor(relay):
    """distributor(config, **flags) starts one; it must end well."""
    made = []

    def start(config, **flags):
        directory = tempfile.mkdtemp(prefix="bellwire-hooks-")
        made.append(Distributor(relay, directory, config, **flags))
        return made[-1]

    yield start
    for one in made:
        one.finish()
        shutil.rmtree(one.directory, ignore_errors=True)


def lines_of(d):
    """What its runs were given as lines, in order."""
    return [json.loads(line)["data"] for run in d.runs(1) for line in run["input"].splitlines()]


def test_a_push_runs_the_command(distributor):
    d = distributor(QUICK)
    before = int(time.time())
    d.send("mail", "--topic", "inbox", "--urgency", "high", message="grüße")
    (run,) = d.runs(1)
    assert before <= int(run["received"]) <= time.time()
    wanted = {
        "hook": "mail",
        "reason": "push",
        "messages": "1",
        "input": "grüße",
        "topic": "inbox",
        "urgency": "high",
        "decrypted": "1",
        "bytes": "7",
    }
    assert {k: run[k] for k in wanted} == wanted
    d.wait_delivered()


def test_a_push_without_encryption(distributor, relay):
    """A sender such as curl: passed on as it came."""
    d = distributor(QUICK)
    relay.push(d.keys("mail")["endpoint"], b"door")
    (run,) = d.runs(1)
    assert run["input"] == "door" and run["decrypted"] == "0"


def test_a_push_for_somebody_else(distributor, relay):
    d = distributor(QUICK)
    body = Subscriber().encrypt(b"secret")
    relay.push(d.keys("mail")["endpoint"], body, headers=[("Content-Encoding", "aes128gcm")])
    (run,) = d.runs(1)
    assert run["decrypted"] == "0" and "secret" not in run["input"] and run["bytes"] == str(len(body))
    d.wait_delivered()


def test_a_failed_command_is_tried_again(distributor):
    d = distributor("[hook mail]\ncommand = @record 'test -e @DIR/good'\nquiet = 0\ncatch_up = off\n")
    d.send("mail")
    d.runs(1)
    d.wait_log("hook failed hook=mail")
    (d.directory / "good").touch()
    assert [r["input"] for r in d.runs(2)] == ["hi", "hi"]
    assert len({r["id"] for r in d.runs()}) == 1
    d.wait_delivered()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_run_that_was_cut_off_is_repeated(distributor, end):
    d = distributor("[hook mail]\ncommand = @record 'test -e @DIR/good || exec sleep 1000'\nquiet = 0\ncatch_up = off\n")
    d.send("mail", message="once more")
    (run,) = d.runs(1)
    if end == "stop":
        d.stop()
    else:
        d.process.kill()
        os.kill(int(run["pid"]), 9)
    (d.directory / "good").touch()
    d.start()
    assert [r["input"] for r in d.runs(2)] == ["once more"] * 2
    d.wait_delivered()


def test_what_came_while_it_was_away(distributor):
    d = distributor("[hook mail]\ncommand = @record\nquiet = 1s\ninput = lines\ncatch_up = off\n")
    keys = d.keys("mail")
    d.stop()
    for number in range(20):
        d.send("mail", message=f"m{number}")
    d.start()
    d.wait_delivered()
    wait_until(lambda: len(lines_of(d)) >= 20, 30, "every message in a run")
    assert lines_of(d) == [f"m{number}" for number in range(20)]
    assert len(d.runs()) <= 3
    assert d.keys("mail") == keys


def test_it_catches_up_at_start(distributor):
    d = distributor("[hook mail]\ncommand = @record\n")
    (run,) = d.runs(1)
    assert run["reason"] == "start" and run["messages"] == "0" and "id" not in run


def test_it_catches_up_when_messages_were_missed(distributor, relay):
    d = distributor("[hook mail]\ncommand = @record\n[hook other]\ncommand = @record\ncatch_up = off\n")
    d.runs(1)
    endpoint = d.keys("mail")["endpoint"]
    d.stop()
    relay.push(endpoint, b"x", ttl=1)
    wait_until(lambda: relay.metrics()["bellwire_messages_expired_total"] == 1, 10, "the message's end")
    d.start()
    reasons = [r["reason"] for r in d.runs(2)]
    wait_until(lambda: "missed" in [r["reason"] for r in d.runs()], 15, f"a catch-up, not {reasons}")
    assert {r["hook"] for r in d.runs()} == {"mail"}


def test_a_hook_that_leaves_the_config(distributor, relay):
    d = distributor(QUICK + "[hook gone]\ncommand = @record\ncatch_up = off\n")
    gone, mail = d.keys("gone")["endpoint"], d.keys("mail")
    d.stop()
    d.configure(QUICK)
    d.start()
    wait_until(lambda: relay.post(gone, b"x").status == 410, 20, "the end of its URL")
    assert d.keys("mail") == mail


def test_only_the_holder_of_a_key_may_send(distributor, relay):
    sender = Vapid()
    d = distributor(f"[hook mail]\ncommand = @record\nquiet = 0\ncatch_up = off\nvapid_key = {sender.key}\n")
    keys = d.keys("mail")
    assert_refused(relay.post(keys["endpoint"], b"x"), 401)
    subscriber = Subscriber()
    subscriber.public, subscriber.auth = unb64(keys["p256dh"]), unb64(keys["auth"])
    relay.push(
        keys["endpoint"],
        subscriber.encrypt(b"signed"),
        headers=[sender.header(keys["endpoint"]), ("Content-Encoding", "aes128gcm")],
    )
    assert d.runs(1)[0]["input"] == "signed"
    # Without the key in the config it is another URL, for anybody.
    d.stop()
    d.configure(QUICK)
    d.start()
    wait_until(lambda: d.keys("mail")["endpoint"] != keys["endpoint"], 20, "another URL")
    relay.push(d.keys("mail")["endpoint"], b"open")
    assert d.runs(2)[1]["input"] == "open"


def test_a_flood_is_few_runs_and_nothing_lost(distributor, relay):
    d = distributor("[hook mail]\ncommand = @record\nquiet = 1s\nmax_delay = 2s\ninput = lines\ncatch_up = off\n")
    endpoint = d.keys("mail")["endpoint"]
    began = time.monotonic()
    for number in range(300):
        relay.push(endpoint, b"%d" % number)
    d.wait_delivered(60)
    # What waits here is kept on the disk and acknowledged, so the last run may follow the relay's count.
    wait_until(lambda: len(lines_of(d)) >= 300, 30, "every message in a run")
    took = time.monotonic() - began
    runs = d.runs(1)
    assert lines_of(d) == [str(number) for number in range(300)]
    assert len(runs) <= took + 1, (len(runs), took)


def test_a_bad_config_is_refused(distributor, relay):
    d = distributor(QUICK)
    d.stop()
    d.configure("[hook mail]\ncomand = x\n[link]\n")
    with pytest.raises(AssertionError):
        d.start()
    assert "distributor.conf:2: comand: hooks have no such key; did you mean command?" in d.process.log()
    assert d.process.wait() == 2
