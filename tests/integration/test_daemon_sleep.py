# SPDX-License-Identifier: Apache-2.0
"""Suspend and resume, with a mock logind and with nobody to tell: what goes out before, what is done after."""

import json
import signal

import pytest
from harness.household import now
from harness.line import Nat

LOGIND = ("org.freedesktop.login1", "/org/freedesktop/login1")
MANAGER = "org.freedesktop.login1.Manager"
HOUR = 3600


class Machine:
    """A laptop that can be suspended: the line is dead meanwhile, and the daemon's boot clock goes on."""

    def __init__(self, start_household, has_logind=True, **options):
        def before(household):
            if has_logind:
                household.bus.start("logind", LOGIND[0])

        self.household = start_household(
            has_line=True, has_clock=True, has_bus=True, before=before, catch_up="on", **options)
        self.daemon, self.clock, self.line = self.household.daemon, self.household.clock, self.household.line
        self.bus, self.laptop = self.household.bus, self.household.laptop
        self.has_logind = has_logind
        if has_logind:
            self.daemon.wait(self.inhibitors, 20, "an inhibitor")
        self.wait_catch_up("start")
        self.household.settle()

    def inhibitors(self):
        return [
            tuple(map(str, (what, who, mode)))
            for what, who, _, mode, _, _ in self.bus.object(*LOGIND, MANAGER).ListInhibitors()
        ]

    def prepare(self, is_before):
        self.bus.object(*LOGIND).EmitSignal(MANAGER, "PrepareForSleep", "b", [is_before])

    def suspend(self):
        """logind says so and waits for the inhibitor; then the machine stands still."""
        if self.has_logind:
            self.prepare(True)
            self.daemon.wait(lambda: not self.inhibitors(), 20, "sleep that may come")
        self.line.is_silent = True

    def resume(self, seconds):
        self.line.is_silent = False
        self.clock.sleep(seconds)
        if self.has_logind:
            self.prepare(False)

    def catch_ups(self, why):
        return self.daemon.count(f'hook ran hook=mail messages=0 reason="{why}"')

    def wait_catch_up(self, why, count=1):
        self.daemon.wait_up()
        self.clock.advance(0.6)  # the daemon waits for the network to calm down,
        self.clock.advance(2.1)  # and the hook a random time, so that not all devices ask at once
        self.daemon.wait(lambda: self.catch_ups(why) == count, 20, f"{count} catch-ups for {why}")

    def check(self):
        self.household.check()
        assert self.daemon.got() == [f"message {n}" for n in range(1, self.daemon.sent + 1)]


@pytest.fixture
def machine(start_household):
    return Machine(start_household)


def test_sleep_waits_for_what_is_to_be_sent(machine):
    """The inhibitor goes within a second, and not before the acknowledgements have left."""
    daemon = machine.daemon
    assert machine.inhibitors() == [("sleep", "Bellwire", "delay")]
    for _ in range(3):
        text = daemon.post()
        daemon.wait_got(text)
        daemon.wait_hooks()
        begin = now()
        machine.suspend()
        assert now() - begin < 1.0
        daemon.wait_drained(5)  # nothing passes any more: it had passed before
        machine.resume(2)
        daemon.wait(lambda: machine.inhibitors() == [("sleep", "Bellwire", "delay")], 20, "the inhibitor")
    machine.check()


@pytest.mark.parametrize("has_logind", [True, False])
def test_short_sleep_keeps_the_session(start_household, has_logind):
    """Of a lid that was closed for a moment: one question whether the relay is there."""
    machine = Machine(start_household, has_logind)
    daemon = machine.daemon
    sessions, attempts = daemon.sessions(), daemon.attempts()
    assert daemon.report()["round_trip_ms"] == -1
    machine.suspend()
    machine.resume(5)
    daemon.wait(lambda: daemon.report()["round_trip_ms"] >= 0, 20, "an answer to a ping")
    assert (daemon.sessions(), daemon.attempts()) == (sessions, attempts)
    machine.check()
    assert machine.catch_ups("resume") == 0


def test_sleep_that_is_called_off(machine):
    daemon = machine.daemon
    sessions = daemon.sessions()
    machine.prepare(True)
    machine.prepare(False)
    daemon.wait(lambda: daemon.report()["round_trip_ms"] >= 0, 20, "an answer to a ping")
    machine.check()
    assert daemon.sessions() == sessions
    daemon.wait(lambda: len(machine.inhibitors()) == 1, 20, "the inhibitor")


@pytest.mark.parametrize("has_logind", [True, False])
def test_long_sleep_is_a_new_session_at_once(start_household, has_logind):
    """The router has forgotten the connection meanwhile. The hook catches up, once for each sleep."""
    machine = Machine(start_household, has_logind)
    daemon = machine.daemon
    machine.line.nat = Nat(60, machine.clock.now)
    for number in (1, 2):
        machine.suspend()
        text = daemon.post()
        begin = now()
        machine.resume(9 * HOUR)
        machine.household.back_at_once(text, begin)
        assert daemon.count("link reconnects .* reason=the machine slept") == number
        machine.wait_catch_up("resume", number)
    machine.check()
    assert machine.catch_ups("resume") == 2


def test_network_that_comes_seconds_after_resume(machine):
    """As Wi-Fi does: no attempt before, and none of its hints is gathered."""
    daemon, laptop = machine.daemon, machine.laptop
    machine.suspend()
    laptop.unplug()
    text = daemon.post()
    machine.resume(HOUR)
    daemon.wait(lambda: daemon.state() == "offline", 20, "an offline link")
    attempts = daemon.attempts()
    machine.household.settle()
    assert daemon.attempts() == attempts
    assert machine.catch_ups("resume") == 0  # without a network it would be in vain
    begin = now()
    laptop.plug(host=33)
    machine.household.back_at_once(text, begin)
    machine.wait_catch_up("resume")
    machine.check()


def test_resume_without_a_network_for_an_hour(machine):
    """Not one attempt; the kernel is asked now and then."""
    daemon, laptop = machine.daemon, machine.laptop
    machine.suspend()
    laptop.unplug()
    machine.resume(HOUR)
    daemon.wait(lambda: daemon.state() == "offline", 20, "an offline link")
    attempts = daemon.attempts()
    for _ in range(6):
        machine.clock.advance(HOUR / 6)
        assert daemon.report()["state"] == "offline"
    assert daemon.attempts() == attempts
    laptop.plug()
    daemon.wait_up()
    machine.wait_catch_up("resume")
    machine.check()


def remembered(daemon):
    """How many messages it would know after a crash to be taken."""
    path = daemon.state_dir / "delivered.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    return sum(len(hashes) // 16 for hashes in kept.values() if isinstance(hashes, str))


def test_battery_that_dies_in_sleep(machine):
    """What was taken before, though the relay could not hear of it any more, is not taken again."""
    daemon = machine.daemon
    machine.clock.advance(6)

    def is_written():
        return remembered(daemon) == daemon.sent

    daemon.wait(is_written, 20, "the first message on the disk, as every 5 s")
    machine.line.is_silent_outward = True
    begin = now()
    for _ in range(3):
        daemon.wait_got(daemon.post())
    daemon.wait_hooks()
    prepared = now() - begin
    machine.suspend()
    daemon.wait(is_written, 20, "what was taken on the disk")
    assert now() - begin < 5 or prepared > 1  # not as every 5 s
    daemon.kill()
    machine.line.is_silent = machine.line.is_silent_outward = False
    daemon.start()
    daemon.wait_up()
    daemon.wait_drained()
    assert daemon.count("hook ran hook=mail messages=1") == 0
    machine.check()


def test_logind_that_is_started_anew(machine):
    """Its inhibitors went with it; ours is taken again, and sleep is told as before."""
    machine.bus.kill(LOGIND[0])
    machine.bus.start("logind", LOGIND[0])
    machine.daemon.wait(lambda: machine.inhibitors() == [("sleep", "Bellwire", "delay")], 20, "the inhibitor")
    machine.suspend()
    text = machine.daemon.post()
    machine.resume(HOUR)
    machine.household.back_at_once(text, now())
    machine.check()


def test_inhibitor_that_is_refused(start_household):
    """Policy may forbid it; sleep and resume are told all the same."""

    def before(household):
        household.bus.start(None, *LOGIND, MANAGER)
        household.bus.object(*LOGIND).AddMethod(
            MANAGER, "Inhibit", "ssss", "h",
            "raise dbus.exceptions.DBusException('no', name='org.freedesktop.DBus.Error.AccessDenied')")

    household = start_household(has_clock=True, has_bus=True, before=before)
    daemon, logind = household.daemon, household.bus.object(*LOGIND)
    daemon.wait_log("sleep will not wait for us")
    logind.EmitSignal(MANAGER, "PrepareForSleep", "b", [True])
    daemon.wait_log("going to sleep")
    household.clock.sleep(HOUR)
    logind.EmitSignal(MANAGER, "PrepareForSleep", "b", [False])
    daemon.wait(lambda: daemon.sessions() == 2, 20, "another session")
    household.check()


def test_stopped_and_continued(household):
    """A process that was stopped has missed what the network did; it looks when it goes on."""
    laptop, daemon = household.laptop, household.daemon
    daemon.process.signal(signal.SIGSTOP)
    laptop.unplug()
    laptop.plug(host=44)
    text = daemon.post()
    begin = now()
    daemon.process.signal(signal.SIGCONT)
    household.back_at_once(text, begin)
    household.check()
    assert daemon.got() == [f"message {n}" for n in range(1, daemon.sent + 1)]
