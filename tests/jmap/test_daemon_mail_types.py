# SPDX-License-Identifier: Apache-2.0
"""Calendars, contacts and other types: their commands run for what was pushed, and for what was not told."""

import pytest

CAPABILITIES = {"Calendar": "calendars", "ContactCard": "contacts", "SieveScript": "sieve"}
KEYS = {"Calendar": "on_calendar", "ContactCard": "on_contacts", "SieveScript": "on_other"}


def ann(person):
    return person.servers[0].logins["ann@localhost"]


@pytest.fixture
def start_with(start_person):
    """A person whose login wants a type, at a server that has it."""

    def start(kind, **settings):
        person = start_person()
        jmap = person.server()
        jmap.more_capabilities = [f"urn:ietf:params:jmap:{name}" for name in CAPABILITIES.values()]
        for name, value in settings.items():
            setattr(jmap, name, value)
        login = person.login(types=f"EmailDelivery {kind}")
        login.keys[KEYS[kind]] = person.recorder("other-runs")
        person.start()
        jmap.wait_asked(f"{kind}/get")  # the state from which on changes are news
        return person

    return start


def test_one_that_was_pushed(start_with):
    person = start_with("Calendar")
    (jmap,) = person.servers
    jmap.touch(ann(person), "Calendar")
    (run,) = person.records("other-runs", 1)
    assert run["reason"] == "push" and run["types"] == "Calendar" and run["accounts"] == "a1"
    jmap.deliver(ann(person), "a mail")
    person.logins[0].runs(1)
    assert len(person.records("other-runs")) == 1


@pytest.mark.parametrize("kind", KEYS)
def test_one_while_nobody_was_there(start_with, kind):
    """Found by state at the start; nothing runs when nothing has changed."""
    person = start_with(kind)
    (jmap,) = person.servers
    person.wait(lambda: f'"{kind}"' in (person.daemon.state_dir / "jmap-work.json").read_text(), 10, "its state on the disk")
    asked = len(jmap.asked(f"{kind}/get"))
    person.restart()
    jmap.wait_asked(f"{kind}/get", asked + 1)
    person.daemon.stop()
    jmap.touch(ann(person), kind)
    assert not person.records("other-runs")
    person.daemon.start()
    (run,) = person.records("other-runs", 1)
    assert run["reason"] in ("start", "push") and run["types"] == kind


def test_a_server_that_takes_one_call_at_a_time(start_with):
    """Subscription, mail and states, each in requests of its own."""
    person = start_with("Calendar", max_calls=1)
    (jmap,) = person.servers
    jmap.touch(ann(person), "Calendar")
    person.records("other-runs", 1)
    jmap.deliver(ann(person), "one by one")
    person.wait_mail("one by one")
    is_good, sentence = person.call("JmapTest", "s", "work", timeout=110)
    assert is_good, sentence
    person.wait(lambda: len(jmap.pusher.subscriptions) == 1, 20, "the former one destroyed")
    assert max(len(request.calls) for request in jmap.asked()) == 1


def test_the_server_lost_a_capability(start_with):
    """Then nothing is known of the type; mail goes on."""
    person = start_with("SieveScript")
    (jmap,) = person.servers
    jmap.more_capabilities = []
    jmap.change_session()
    person.restart()
    person.wait_way("push")
    assert person.status()["reason"] == ""
    person.assert_once()


def refuse_types(jmap):
    """As a server that knows mail alone: the error names the types, wherever others were asked for."""

    def refuse(arguments, answer):
        for key, wish in (arguments.get("create") or {}).items():
            if set(wish["types"]) - known:
                jmap.pusher.subscriptions.pop((answer["created"] or {}).get(key, {}).get("id"), None)
                answer = {**answer, "created": None, "notCreated": {key: error}}
        for identifier, patch in (arguments.get("update") or {}).items():
            if set(patch.get("types", ())) - known:
                jmap.pusher.subscriptions[identifier].types = ["EmailDelivery"]
                answer = {**answer, "updated": None, "notUpdated": {identifier: error}}
        return answer

    known = {"EmailDelivery", "Mailbox"}
    error = {"type": "invalidProperties", "properties": ["types/1"], "description": "an unknown type"}
    jmap.twists["PushSubscription/set"] = refuse


def types_asked(jmap):
    """Of each creation, and of each update of types."""
    sets = [r.arguments("PushSubscription/set") for r in jmap.asked("PushSubscription/set")]
    wishes = [wish for each in sets for name in ("create", "update") for wish in (each.get(name) or {}).values()]
    return [wish["types"] for wish in wishes if "types" in wish]


def test_a_server_that_refuses_a_type(person):
    """Mail is pushed all the same, also after a restart, and the type is not asked for again and again."""
    (jmap,), (login,) = person.servers, person.logins
    login.keys.update(types="EmailDelivery Calendar", on_calendar=person.recorder("other-runs"))
    refuse_types(jmap)
    person.start()
    (first,) = jmap.verified()
    assert first.types == ["EmailDelivery"] and types_asked(jmap) == [["EmailDelivery", "Calendar"], ["EmailDelivery"]]
    person.wait_log("pushes for mail only")
    person.assert_once()
    looks = len(jmap.asked("PushSubscription/get"))
    person.relay.restart()
    jmap.wait_asked("PushSubscription/get", looks + 1)
    person.wait_way("push")
    person.assert_once(marker="still there")
    assert len(types_asked(jmap)) == 2
    person.restart()
    person.wait_log("pushes for mail only")
    person.wait_way("push")
    person.assert_once(marker="after a restart")
    assert jmap.verified() == [first] and types_asked(jmap)[2:] == [["EmailDelivery", "Calendar"]]
    jmap.twists.clear()
    jmap.change_session()
    person.relay.restart()
    person.wait(lambda: jmap.verified()[0].types == ["EmailDelivery", "Calendar"], 20, "another session, another try")


def test_an_alert_of_the_calendar(person):
    """It has no state that could be asked for; what was pushed is all there is."""
    (jmap,), (login,) = person.servers, person.logins
    login.keys.update(types="EmailDelivery CalendarAlert", on_calendar=person.recorder("other-runs"))
    person.start()
    (subscription,) = jmap.verified()
    alert = {"@type": "CalendarAlert", "accountId": "a1", "calendarEventId": "e", "uid": "u", "recurrenceId": None, "alertId": "l"}
    jmap.pusher.with_plain_bodies = True  # by anybody who knows the URL
    jmap.pusher.post(subscription.id, {**alert, "accountId": "a1"})
    jmap.pusher.with_plain_bodies = False
    jmap.pusher.post_later(subscription.id, {**alert, "accountId": "a of somebody"})
    jmap.pusher.post_later(subscription.id, alert)
    (run,) = person.records("other-runs", 1)
    assert run["reason"] == "push" and run["types"] == "CalendarAlert" and run["accounts"] == "a1", run
    jmap.deliver(ann(person), "a mail")
    login.runs(1)
    jmap.pusher.post_later(subscription.id, alert)  # the next one is as good as the first
    assert len(person.records("other-runs", 2)) == 2
