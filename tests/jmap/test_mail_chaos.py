# SPDX-License-Identifier: Apache-2.0
"""Everything at once, at random: in the end each mail was shown, and all is as if nothing had been. SEEDS names others."""

import os
import random

import pytest

STEPS = 60
SEEDS = [int(seed) for seed in os.environ.get("SEEDS", "1 2 3").split()]
LATE = 120


class Chaos:
    def __init__(self, person, seed):
        self.person, self.random = person, random.Random(seed)
        self.jmap = person.servers[0]
        self.ann = self.jmap.logins["ann@localhost"]
        self.delivered = {}  # subject: how many notices there were before it
        self.story = []

    # ---- what can happen ----

    def mail(self):
        subject = f"mail {len(self.delivered)}."
        self.delivered[subject] = len(self.person.desktop.notices())
        self.jmap.deliver(self.ann, subject, is_quiet=self.random.random() < 0.2)

    def mails(self):
        for _ in range(self.random.randint(2, 6)):
            self.mail()

    def wait_shown(self):
        """A moment of peace for the last mail, when all is up."""
        if self.delivered and self.random.random() < 0.5:
            self.settle()

    def api_fault(self):
        faults = [{"status": 500}, {"status": 503}, {"status": 429, "retry_after": "1"}, {"cut": True}, {"body": b"{]"},
                  {"delay": 1.0}, {"status": 404}, {"status": 401}, {"status": 403}]  # fmt: skip
        self.jmap.faults.add(self.random.choice(["api", "api", "session"]), **self.random.choice(faults[:7]))

    def method_fault(self):
        methods = ["Email/changes", "Email/get", "Mailbox/get", "PushSubscription/set", "PushSubscription/get"]
        errors = ["serverFail", "serverUnavailable", "cannotCalculateChanges"]
        self.jmap.faults.add(self.random.choice(methods), error=self.random.choice(errors))

    def session(self):
        self.jmap.change_session()

    def api_moves(self):
        self.jmap.move_api(f"/api{self.random.randint(0, 1000000)}")

    def key_rotates(self):
        self.jmap.rotate_vapid(is_forgetful=self.random.random() < 0.5)

    def forget_subscriptions(self):
        self.jmap.forget_subscriptions()

    def forget_history(self):
        self.ann.own.forget_history()

    def relay_restarts(self):
        self.random.choice([self.person.relay.kill, self.person.relay.stop])()
        if self.random.random() < 0.5:
            self.mail()
        self.person.relay.start()

    def relay_dies(self):
        self.person.relay.stop()
        for path in [*self.person.relay.directory.glob("relay.db*"), *self.person.relay.state_dir.iterdir()]:
            path.unlink()
        self.person.relay.start()

    def daemon_restarts(self):
        self.random.choice([self.person.daemon.kill, self.person.daemon.stop])()
        if self.random.random() < 0.5:
            self.mail()
        self.person.daemon.start()
        self.person.status()  # no time may pass before it has logged in at the bus

    def mail_server_away(self):
        self.jmap.stop_listening()
        self.mail()
        self.jmap.listen_again()

    def connections_end(self):
        self.jmap.close_connections()

    def pushes_shuffled(self):
        self.jmap.pusher.hold()
        self.mails()
        self.jmap.pusher.release(copies=2, is_shuffled=True)

    def verifications(self):
        self.jmap.pusher.verification = self.random.choice(["normal", "normal", "twice", "lost", "wrong"])

    def unreadable(self):
        self.jmap.pusher.with_other_keys = not self.jmap.pusher.with_other_keys

    def time_passes(self):
        self.person.rest()
        self.person.clock.advance(self.random.choice([1, 5, 30, 70, 400, 1000, 7 * 3600]))

    def sleep(self):
        self.person.clock.sleep(self.random.choice([10, 100, 4000]))

    def reconnect(self):
        self.person.call("Reconnect")

    def pause(self):
        self.person.call("Pause")
        if self.random.random() < 0.5:
            self.mail()
        self.person.call("Resume")

    def pause_login(self):
        self.person.call("JmapPause", "sb", "work", True)
        self.mail()
        self.person.call("JmapPause", "sb", "work", False)

    def reload(self):
        self.person.call("JmapReload")

    # ---- its end ----

    def heal(self):
        pusher = self.jmap.pusher
        self.jmap.faults.clear()
        pusher.verification, pusher.with_other_keys = "normal", False
        if not self.person.relay.process.is_running():
            self.person.relay.start()

    def is_shown(self, subject):
        notices = self.person.desktop.notices()
        later = notices[self.delivered[subject] :]
        return any(subject in n for n in notices) or any("new mails" in n.title for n in later)

    def settle(self):
        """As a person would: look until it comes right."""
        self.heal()
        self.person.tool("jmap", "test", "work", timeout=150)
        self.person.wait(lambda: self.is_peace(), LATE, "peace")
        for subject in self.delivered:
            self.person.wait(lambda: self.is_shown(subject), LATE, f"{subject} shown")

    def is_peace(self):
        status = self.person.status()
        return status["way"] == "push" and status["reason"] == "" and len(self.jmap.pusher.of("ann@localhost")) == 1


def names():
    return [name for name in vars(Chaos) if not name.startswith("_") and name not in ("heal", "is_shown", "settle", "is_peace")]


@pytest.mark.parametrize("seed", SEEDS)
def test_chaos(start_person, seed):
    person = start_person(has_clock=True)
    person.server()
    person.login()
    person.start()
    chaos = Chaos(person, seed)
    try:
        for _ in range(STEPS):
            name = chaos.random.choice(names() + ["mail"] * 6)
            chaos.story.append(name)
            getattr(chaos, name)()
        chaos.settle()
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {' '.join(chaos.story)}\n{error}") from None
    person.assert_once(marker="the very last")
    (subscription,) = chaos.jmap.verified()
    assert subscription.vapid is chaos.jmap.pusher.vapid
    for subject in chaos.delivered:
        assert len(person.desktop.about(subject)) <= 1 + chaos.story.count("daemon_restarts"), subject
    unread = sum("$seen" not in email["keywords"] for email in chaos.ann.own.emails.values())
    person.wait(lambda: person.status()["unread"] == unread, 20, f"{unread} unread")
