# SPDX-License-Identifier: Apache-2.0
"""Strain: a desktop that hangs, commands that hang or never worked, many accounts, many mails, odd connections, battery."""

import os
import signal
import time

import pytest
from harness.power import start_upower

LATE = 60


def ann(person):
    return person.servers[0].logins["ann@localhost"]


@pytest.fixture
def started(person):
    person.start()
    return person


def test_desktop_that_hangs(started):
    """The notification daemon answers nothing: commands run, nothing piles up, and what is new is shown in the end."""
    (jmap,), (login,) = started.servers, started.logins
    started.desktop.process.signal(signal.SIGSTOP)
    try:
        for number in range(150):
            jmap.deliver(ann(started), f"number {number}.", is_quiet=number % 10 != 0)
        begin = time.monotonic()
        login.runs(1)
        started.call("Status")
        assert time.monotonic() - begin < 20
        started.wait(lambda: started.status()["unread"] == 150, 30, "a look at all of it")
    finally:
        started.desktop.process.signal(signal.SIGCONT)
    started.wait(started.desktop.notices, 30, "a notice")
    assert len(started.desktop.notices()) < 140
    started.assert_once(marker="the very last")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_run_that_the_daemon_did_not_see_end(start_person, end):
    """Mail is fetched by the command: one that was cut short, or never went well, runs again at the next start."""
    person = start_person()
    jmap = person.server()
    gate = person.directory / "gate"
    login = person.login()
    login.keys["on_change"] = person.recorder("runs-work") + f" 'test -e {gate} && echo >>{gate}'"
    person.start()
    jmap.deliver(ann(person), "to be fetched")
    person.wait_mail("to be fetched")
    login.runs(1)
    path = person.daemon.state_dir / "jmap-work.json"
    email = ann(person).own.state("Email")
    person.wait(lambda: f'"{email}"' in path.read_text(), 20, "the state on the disk")
    getattr(person.daemon, end)()
    gate.touch()
    person.daemon.start()
    person.wait(lambda: gate.read_text(), 20, "a run that went well")
    run = login.runs(2)[-1]
    assert run["reason"] == "start" and run["new"] == "1" and run["mailboxes"] == "Inbox", run
    assert run["accounts"] == "a1" and "EmailDelivery" in run["types"], run
    person.assert_once("to be fetched")
    person.wait_log("command ran command=work-mail", 2)  # the second one for that mail
    count = len(login.runs())
    person.restart()
    person.wait_way("push")
    person.assert_once(marker="nothing was left")
    assert len(login.runs(count + 1)) == count + 1


def test_many_shared_accounts(person):
    """A hundred and fifty: seen at the start and when one of them changes; not all are asked then."""
    (jmap,), (login,) = person.servers, person.logins
    teams = [jmap.share(ann(person), f"team{number}", f"Team {number}") for number in range(150)]
    person.start()
    person.wait_log("looked login=work ", 302, LATE)  # each account twice: at the start, and when pushes are verified
    assert len(jmap.asked("Mailbox/get")) >= 151
    person.wait(lambda: time.monotonic() - jmap.requests[-1].at > 2, LATE, "two seconds without a request")
    assert len(jmap.asked()) < 400 and not person.status()["reason"]
    since = time.monotonic()
    jmap.deliver(ann(person), "to one of many", account=teams[99])
    person.wait_mail("to one of many", LATE)
    assert login.runs(1)[-1]["accounts"] == "team99"
    assert len(jmap.asked(since=since)) <= 3
    assert person.memory_kib("VmRSS") < 500 * 1024


def test_many_mails_one_after_the_other(started):
    """Hundreds, each shown: memory and files do not grow with them."""
    (jmap,) = started.servers

    def some(first, count):
        for number in range(first, first + count):
            jmap.deliver(ann(started), f"one of many {number}.")
            started.wait_mail(f"one of many {number}.")

    some(0, 60)
    state = started.daemon.state_dir / "jmap-work.json"
    before = started.memory_kib("VmRSS")
    some(60, 60)
    assert started.memory_kib("VmRSS") - before < 12 * 1024
    assert state.stat().st_size < 64 << 10
    assert len(os.listdir(f"/proc/{started.daemon.process.pid}/fd")) < 60


@pytest.mark.parametrize("settings", [{"is_chunked": True}, {"closes_connections": True}], ids=lambda s: next(iter(s)))
def test_connections_of_other_servers(person, settings):
    (jmap,) = person.servers
    for name, value in settings.items():
        setattr(jmap, name, value)
    person.start()
    for number in range(5):
        jmap.deliver(ann(person), f"number {number}.")
        person.wait_mail(f"number {number}.")
    person.assert_once(*[f"number {number}." for number in range(5)])


def test_http_1_0(person):
    from front import Handler

    old = Handler.protocol_version
    Handler.protocol_version = "HTTP/1.0"
    try:
        person.start()
        person.assert_once()
    finally:
        Handler.protocol_version = old


def test_battery_gathers(start_person, system_bus):
    """Off the mains the first mail comes at once, those that follow within some seconds together."""
    start_upower(system_bus, on_battery=True)
    person = start_person(system_bus=system_bus, has_clock=True)
    jmap = person.server()
    person.login()
    person.start()
    person.clock.advance(30)
    since = time.monotonic()
    jmap.deliver(ann(person), "the first")
    person.wait_mail("the first")
    for number in range(3):
        jmap.deliver(ann(person), f"following {number}.")
    jmap.wait_pushes(4)
    person.wait(lambda: person.relay.metrics()["bellwire_messages_queued"] == 0, 20, "all taken")
    assert not person.desktop.about("following")
    person.clock.advance(16)
    for number in range(3):
        person.wait_mail(f"following {number}.")
    assert len(jmap.asked("Email/changes", since)) <= 3


@pytest.mark.parametrize("seed", range(12))
def test_ends_at_any_moment(person, seed):
    """Between a start and being up, and in the middle of everything: a clean end, and nothing lost."""
    (jmap,) = person.servers
    person.start(is_verified=seed % 2 == 1)
    jmap.deliver(ann(person), "in the middle", is_quiet=seed % 3 == 0)
    if seed % 4 == 0:
        jmap.faults.add("api", delay=0.5)
    if seed % 4 == 1:
        person.daemon.process.signal(signal.SIGHUP)
    if seed % 4 == 2:
        jmap.rotate_vapid(is_forgetful=False)
    time.sleep(seed * 0.02)  # any moment will do
    person.daemon.stop()
    person.daemon.start()
    person.wait(lambda: len(jmap.verified()) == 1, LATE, "one subscription")
    person.wait_way("push", timeout=LATE)
    person.wait_looked(timeout=LATE)
    jmap.deliver(ann(person), "afterwards")
    person.wait_mail("afterwards")
    person.assert_once("afterwards")
    assert len(person.desktop.about("in the middle")) <= 2
