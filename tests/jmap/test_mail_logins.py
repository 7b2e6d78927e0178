# SPDX-License-Identifier: Apache-2.0
"""Several logins, the accounts and mailboxes of one, and which of their mail is shown."""

import time

import methods
import pytest
from mail import words_of


def test_two_logins(start_person):
    """Two servers, keys and endpoints of their own; trouble of one is not the other's."""
    person = start_person()
    first, second = person.server(), person.server(style="stalwart-old")
    second.login("zoe@localhost", "other secret")
    work = person.login("work", first)
    home = person.login("home", second, user="zoe@localhost", password="other secret")
    person.start()
    (one,), (two,) = first.verified(), second.verified()
    assert one.url != two.url and one.keys != two.keys and one.device != two.device
    first.deliver(first.logins["ann@localhost"], "to work")
    second.deliver(second.logins["zoe@localhost"], "to home")
    person.wait_mail("to work")
    person.wait_mail("to home")
    assert {run["login"] for run in work.runs(1)} == {"work"} and {run["login"] for run in home.runs(1)} == {"home"}
    first.stop_listening()
    first.pusher.post_later(one.id, {"@type": "StateChange", "changed": {"a1": {"EmailDelivery": "x"}}})
    person.wait(lambda: person.status("work")["reason"], 20, "a reason")
    second.deliver(second.logins["zoe@localhost"], "unmoved")
    person.wait_mail("unmoved")
    assert person.status("home")["reason"] == ""
    first.listen_again()


def test_two_logins_at_one_server(start_person):
    """Two people on one desktop; subscriptions are told apart by device names."""
    person = start_person()
    jmap = person.server()
    jmap.login("zoe@localhost", "zoes")
    person.login("ann")
    person.login("zoe", user="zoe@localhost", password="zoes")
    person.start()
    assert len({s.device for s in jmap.verified()}) == 2
    jmap.deliver(jmap.logins["zoe@localhost"], "for zoe")
    person.wait_mail("for zoe")
    person.assert_once("for zoe")
    assert [run["login"] for run in person.logins[1].runs(1)] == ["zoe"]


def test_shared_accounts(person):
    """All that the login can read, also what it may only read; each account has states of its own."""
    (jmap,), (login,) = person.servers, person.logins
    ann = jmap.logins["ann@localhost"]
    team = jmap.share(ann, "team1", "Team")
    archive = jmap.share(ann, "old1", "Archive of the club", is_read_only=True)
    person.start()
    jmap.deliver(ann, "to me")
    jmap.deliver(ann, "to the team", account=team)
    jmap.deliver(ann, "to the archive", account=archive)
    for subject in ("to me", "to the team", "to the archive"):
        person.wait_mail(subject)
    person.assert_once("to me", "to the team", "to the archive")
    person.wait(lambda: {a for r in login.runs() for a in words_of(r["accounts"])} >= {"a1", "team1", "old1"}, 20, "runs")
    actions = person.desktop.about("to the archive")[0].actions
    assert not [word for key, word in actions.items() if "read" in word.lower()], "it may not be marked there"


def test_chosen_accounts(start_person):
    person = start_person()
    jmap = person.server()
    ann = jmap.logins["ann@localhost"]
    team, other = jmap.share(ann, "team1", "Team"), jmap.share(ann, "x9", "Other")
    person.login(accounts="Team")
    person.start()
    jmap.deliver(ann, "not wanted", account=other)
    jmap.deliver(ann, "to the team", account=team)
    person.wait_mail("to the team")
    jmap.deliver(ann, "the last one", account=team)
    person.wait_mail("the last one")
    assert not person.desktop.about("not wanted")


def test_account_that_comes_later(person):
    """Somebody shares an account with us while we run."""
    (jmap,) = person.servers
    ann = jmap.logins["ann@localhost"]
    person.start()
    team = jmap.share(ann, "team1", "Team")
    jmap.deliver(ann, "a look that sees it")
    person.wait_mail("a look that sees it")
    jmap.deliver(ann, "news of the team", account=team)
    person.wait_mail("news of the team")
    del ann.accounts["team1"]
    jmap.change_session()
    person.assert_once("a look that sees it", "news of the team")
    assert person.status()["reason"] == ""


def refusing(account, error):
    """The server's methods, which fail for one account."""
    def guard(method):
        def guarded(server, login, arguments):
            if arguments.get("accountId") == account:
                raise methods.MethodError(error)
            return method(server, login, arguments)

        return guarded

    return {name: guard(method) for name, method in methods.METHODS.items() if "PushSubscription" not in name}


def asked_boxes(jmap, account, since=0.0):
    return [r for r in jmap.asked("Mailbox/get", since) if r.arguments("Mailbox/get")["accountId"] == account]


@pytest.mark.parametrize("error", ["forbidden", "accountNotFound", "accountNotSupportedByMethod"])
def test_shared_account_that_is_refused(person, monkeypatch, error):
    """The others are as if it were not there; it is asked again with the next session."""
    (jmap,), (login,) = person.servers, person.logins
    ann = jmap.logins["ann@localhost"]
    team = jmap.share(ann, "team1", "Team")
    with monkeypatch.context() as patch:
        patch.setattr(methods, "METHODS", {**methods.METHODS, **refusing("team1", error)})
        person.start()
        person.wait_log("an account cannot be looked at")
        for number in range(3):
            jmap.deliver(ann, f"mine {number}.")
            person.wait_mail(f"mine {number}.")
        status = person.status()
        assert status["reason"] == "" and status["way"] == "push" and status["again_ms"] > 3600000, status
        assert person.daemon.process.log().count("an account cannot be looked at") == 1
        assert len(asked_boxes(jmap, "team1")) <= 3, "asked again and again"
    since = time.monotonic()
    jmap.change_session()
    jmap.deliver(ann, "a look that sees it")
    person.wait_mail("a look that sees it")
    person.wait(lambda: asked_boxes(jmap, "team1", since), 20, "a look at the team's")
    jmap.deliver(ann, "news of the team", account=team)
    person.wait_mail("news of the team")
    assert person.status()["reason"] == "" and person.trouble() == []


def test_own_account_that_is_refused(person, monkeypatch):
    """It counts, whatever else there is: the reason is shown, and it is tried again."""
    (jmap,) = person.servers
    ann = jmap.logins["ann@localhost"]
    team = jmap.share(ann, "team1", "Team")
    with monkeypatch.context() as patch:
        patch.setattr(methods, "METHODS", {**methods.METHODS, **refusing("a1", "forbidden")})
        person.start(is_verified=False)
        person.wait_reason("forbidden")
        jmap.deliver(ann, "to the team", account=team)
        person.wait_mail("to the team")
        assert "forbidden" in person.status()["reason"]
    assert person.tool("jmap", "test", "work", timeout=90).returncode == 0
    person.wait_verified()
    person.wait(lambda: person.status()["reason"] == "", 20, "no reason")


def test_mailboxes(start_person):
    """By name or role; what lands elsewhere is not shown, but the command runs, for it fetches all."""
    person = start_person()
    jmap = person.server()
    ann = jmap.logins["ann@localhost"]
    ann.own.add_mailbox("Mailing lists")
    ann.own.add_mailbox("Grüße")
    login = person.login(mailboxes='inbox "Mailing lists" Grüße')
    person.start()
    jmap.deliver(ann, "rubbish", mailbox="Junk")
    login.runs(1)
    for mailbox, subject in (("Mailing lists", "of the list"), ("Grüße", "of the greetings"), ("Inbox", "of the inbox")):
        jmap.deliver(ann, subject, mailbox=mailbox)
        person.wait_mail(subject)
    person.assert_once("of the list", "of the greetings", "of the inbox")
    assert not person.desktop.about("rubbish")


def test_mailbox_renamed_and_made_later(start_person):
    person = start_person()
    jmap = person.server()
    ann = jmap.logins["ann@localhost"]
    person.login(mailboxes="inbox Later")
    person.start()
    later = ann.own.add_mailbox("Later")
    jmap.announce(ann.own, ("Mailbox",))
    jmap.deliver(ann, "into the new one", mailbox="Later")
    person.wait_mail("into the new one")
    ann.own.mailboxes[later]["name"] = "Other"
    ann.own.clock += 1
    ann.own.note("Mailbox", "updated", later)
    jmap.announce(ann.own, ("Mailbox",))
    jmap.deliver(ann, "not chosen any more", mailbox="Other")
    person.assert_once("into the new one")
    assert not person.desktop.about("not chosen any more")


def test_read_mail_is_no_news(person):
    """Delivered by a filter as read, or read on another device before we look."""
    (jmap,) = person.servers
    ann = jmap.logins["ann@localhost"]
    person.start()
    jmap.deliver(ann, "read already", is_seen=True)
    jmap.pusher.hold()
    with jmap.lock:  # so that no look sees them in between
        quick = jmap.deliver(ann, "read at once")
        jmap.change(ann, quick, keywords={"$seen": True})
        gone = jmap.deliver(ann, "gone at once")
        jmap.destroy(ann, gone)
    jmap.pusher.release()
    person.assert_once()
    assert [n.title for n in person.desktop.notices()] and len(person.desktop.notices()) == 1, person.desktop.notices()


def test_moved_into_the_inbox(person):
    """A filter of another program moves mail from Junk to the inbox: no delivery, but new there."""
    (jmap,) = person.servers
    ann = jmap.logins["ann@localhost"]
    person.start()
    mail = jmap.deliver(ann, "rescued", mailbox="Junk")
    person.assert_once()
    assert not person.desktop.about("rescued")
    jmap.change(ann, mail, mailbox="inbox")
    person.assert_once(marker="the very last")
    assert len(person.desktop.about("rescued")) <= 1


def test_notify_off(start_person):
    """The command alone."""
    person = start_person()
    jmap = person.server()
    login = person.login(notify="off")
    person.start()
    jmap.deliver(jmap.logins["ann@localhost"], "silent")
    login.runs(1)
    assert person.desktop.notices() == []


@pytest.mark.parametrize("types, key", [("Calendar", "on_calendar"), ("ContactCard", "on_contacts"), ("SieveScript", "on_other")])
def test_other_types(start_person, types, key):
    """Their own commands, which a change of mail does not start."""
    person = start_person()
    jmap = person.server()
    login = person.login(types=f"EmailDelivery {types}")
    login.keys[key] = person.recorder("other-runs")
    person.start()
    (subscription,) = jmap.verified()
    assert set(subscription.types) == {"EmailDelivery", types}
    jmap.touch(jmap.logins["ann@localhost"], types)
    (run,) = person.records("other-runs", 1)
    assert run["types"] == types and run["login"] == "work", run
    jmap.deliver(jmap.logins["ann@localhost"], "a mail")
    login.runs(1)
    assert len(person.records("other-runs")) == 1
