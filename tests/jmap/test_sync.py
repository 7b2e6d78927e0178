# SPDX-License-Identifier: Apache-2.0
"""What changed in the mail of one account: by state, in few requests, from servers of any mood."""

import datetime
import json
import time

import pytest
from harness.process import wait_until


@pytest.fixture
def sync(start_sync):
    """One that has run once."""
    instance = start_sync()
    instance.run()
    return instance


def asked_once(jmap, sync):
    """A run, and what it asked, which must be one request."""
    since = time.monotonic()
    result = sync.run()
    (request,) = jmap.asked(since=since)
    return result, request


# ---- the usual ----


def test_the_first_run_takes_the_state_only(jmap, ann, start_sync):
    for number in range(5):
        jmap.deliver(ann, f"old {number}")
    sync = start_sync()
    result, request = asked_once(jmap, sync)
    assert result == {
        "outcome": "ok", "reason": "", "retry": -1, "changed": True, "mails": [], "more": 0, "unread": 5, "mailboxes": [],
    }  # fmt: skip
    assert list(request.calls) == ["Mailbox/get", "Email/get"]
    result, request = asked_once(jmap, sync)
    assert not result["changed"] and result["mails"] == []


def test_new_mail_costs_one_request(jmap, ann, sync):
    jmap.deliver(ann, "first", sender=("Bob", "bob@example.net"), preview="how are you")
    identifier = jmap.deliver(ann, "second", sender=("", "eve@example.net"))
    result, request = asked_once(jmap, sync)
    assert list(request.calls) == ["Mailbox/changes", "Mailbox/get", "Email/changes", "Email/get"]
    first, second = result["mails"]
    email = ann.own.emails[identifier]
    received = datetime.datetime.fromisoformat(email["receivedAt"].replace("Z", "+00:00")).timestamp()
    assert (first["from"], first["subject"], first["preview"]) == ("Bob", "first", "how are you")
    assert second == {
        "id": identifier, "blob": email["blobId"], "thread": email["threadId"], "from": "eve@example.net",
        "subject": "second", "preview": email["preview"], "mailbox": "Inbox", "received": received * 1000,
    }  # fmt: skip
    assert (result["changed"], result["unread"], result["mailboxes"], result["more"]) == (True, 2, ["Inbox"], 0)
    result, request = asked_once(jmap, sync)
    assert list(request.calls) == ["Mailbox/changes", "Mailbox/get", "Email/changes", "Email/get", "Email/get"]
    assert not result["changed"] and result["mails"] == [] and result["unread"] == 2


def test_what_is_no_news(jmap, ann, sync):
    jmap.deliver(ann, "read", is_seen=True)
    jmap.deliver(ann, "elsewhere", mailbox="junk")
    draft = jmap.deliver(ann, "draft", is_quiet=True)
    ann.own.emails[draft]["keywords"]["$draft"] = True
    own = jmap.deliver(ann, "own", is_quiet=True)
    ann.own.emails[own]["mailboxIds"][ann.own.mailbox_id("sent")] = True
    both = jmap.deliver(ann, "both", is_quiet=True)
    ann.own.emails[both]["mailboxIds"][ann.own.mailbox_id("archive")] = True
    gone = jmap.deliver(ann, "gone", is_quiet=True)
    jmap.destroy(ann, gone)
    result = sync.run()
    assert [m["subject"] for m in result["mails"]] == ["both"]
    assert sorted(result["mailboxes"]) == ["Inbox", "Junk"]
    jmap.change(ann, own, keywords={"$flagged": True})
    assert sync.new() == [], "a change makes no new mail"


def test_settled(jmap, ann, sync):
    ids = [jmap.deliver(ann, word) for word in ("read", "moved", "destroyed", "kept", "flagged", "hidden")]
    assert len(sync.new()) == 6
    sync.send(f"hide {ids[5]}")
    jmap.change(ann, ids[0], keywords={"$seen": True})
    jmap.change(ann, ids[1], mailbox="archive")
    jmap.destroy(ann, ids[2])
    jmap.change(ann, ids[4], keywords={"$flagged": True})
    jmap.change(ann, ids[5], keywords={"$seen": True})
    assert sync.new() == [] and sync.settled() == sorted(ids[:3])
    assert jmap.asked()[-1].body["methodCalls"][-1][1]["ids"] == ids[:5]
    jmap.change(ann, ids[0], keywords={"$seen": None})
    jmap.change(ann, ids[1], mailbox="inbox")
    assert sync.new() == [], "unread again is no news"


def test_moved_between_chosen_mailboxes(jmap, ann, start_sync):
    sync = start_sync(mailboxes="inbox archive")
    sync.run()
    identifier = jmap.deliver(ann, "moving")
    assert sync.new() == ["moving"]
    jmap.change(ann, identifier, mailbox="archive")
    assert sync.new() == [] and sync.take_all() == []
    jmap.twists["Email/changes"] = lambda arguments, answer: {**answer, "created": [identifier]}
    assert sync.new() == [], "even when the server says that it is new"


def test_kept_over_restarts(jmap, ann, start_sync):
    sync = start_sync()
    sync.run()
    jmap.deliver(ann, "before")
    assert sync.new() == ["before"]
    saved = sync.saved()
    sync.finish()
    jmap.deliver(ann, "between")
    sync = start_sync(saved=saved)
    result, request = asked_once(jmap, sync)
    assert [m["subject"] for m in result["mails"]] == ["between"]
    assert list(request.calls) == ["Mailbox/get", "Email/changes", "Email/get"]
    for odd in ({}, [], {"email": 5, "recent": "x", "since": "y"}, {"email": "x" * 2000, "recent": [1, None, "a b"] * 900}):
        sync = start_sync(saved=odd)
        assert sync.new() == []
        jmap.deliver(ann, "after")
        assert sync.new() == ["after"]


def test_without_notices_no_text_is_asked_for(jmap, ann, start_sync):
    sync = start_sync(notify="off")
    sync.run()
    jmap.deliver(ann, "secret")
    result, request = asked_once(jmap, sync)
    assert len(result["mails"]) == 1 and result["mails"][0]["subject"] == ""
    assert "subject" not in json.dumps(request.body)


def test_is_at(jmap, ann, sync):
    jmap.deliver(ann, "x")
    sync.run()
    states = ann.own.states(("Email", "Mailbox"))
    for line, wanted in (
        (f"at Email {states['Email']}", "1"), (f"at Mailbox {states['Mailbox']}", "1"), ("at Email x", "0"),
        (f"at EmailDelivery {states['Email']}", "0"),
    ):  # fmt: skip
        sync.send(line)
        assert sync.word("at") == wanted, line


def test_asked_again_meanwhile(jmap, ann, sync):
    jmap.faults.add("api", delay=0.5)
    sync.send("run", "run", "run")
    jmap.deliver(ann, "late")
    subjects = [m["subject"] for _ in range(2) for m in sync.done()["mails"]]
    assert subjects == ["late"]
    assert sync.new() == [] and sync.take_all() == []


# ---- mailboxes ----


def test_mailboxes_by_role_name_and_path(jmap, ann, start_sync):
    lists = ann.own.add_mailbox("Lists")
    dev = ann.own.add_mailbox("dev")
    ann.own.mailboxes[dev]["parentId"] = lists
    users = ann.own.add_mailbox("users")
    ann.own.mailboxes[users]["parentId"] = lists
    team = ann.own.add_mailbox("Team \u2603")
    sync = start_sync(mailboxes='Lists/dev INBOX users "Team \u2603" archive')
    sync.run()
    for where in (dev, "inbox", users, team, "archive", lists, "junk"):
        jmap.deliver(ann, f"in {where}", mailbox=where)
    result = sync.run()
    assert [m["mailbox"] for m in result["mails"]] == ["Lists/dev", "Inbox", "Lists/users", "Team \u2603", "Archive"]
    assert "Lists" in result["mailboxes"] and "Junk" in result["mailboxes"]


def test_a_mailbox_that_is_not_there(jmap, ann, start_sync):
    """Said once; looked for in each run, and found when it comes."""
    sync = start_sync(mailboxes="inbox Lists/dev")
    sync.run()
    jmap.deliver(ann, "one")
    result, _ = asked_once(jmap, sync)
    assert [m["subject"] for m in result["mails"]] == ["one"]
    assert sync.log().count('there is no such mailbox login=work account=a1 mailbox="Lists/dev"') == 1
    made = ann.own.add_mailbox("Lists/dev")
    jmap.deliver(ann, "two", mailbox=made)
    assert sync.new() == ["two"]
    del ann.own.mailboxes[made]
    ann.own.clock += 1
    ann.own.note("Mailbox", "destroyed", made)
    sync.run()
    sync.run()
    assert sync.log().count("there is no such mailbox") == 2


def test_a_mailbox_gets_another_name(jmap, ann, start_sync):
    """The new one of that name counts, and the old one does not any more."""
    old = ann.own.add_mailbox("Work")
    sync = start_sync(mailboxes="Work")
    sync.run()
    ann.own.clock += 1
    ann.own.mailboxes[old]["name"] = "Old work"
    ann.own.note("Mailbox", "updated", old)
    new = ann.own.add_mailbox("Work")
    jmap.deliver(ann, "to the old one", mailbox=old)
    jmap.deliver(ann, "to the new one", mailbox=new)
    assert sync.new() == ["to the new one"]


def test_counts_alone_do_not_make_it_look_at_all_mailboxes(jmap, ann, sync):
    counts = ["totalEmails", "unreadEmails", "totalThreads", "unreadThreads"]
    jmap.twists["Mailbox/changes"] = lambda arguments, answer: {**answer, "updatedProperties": counts}
    jmap.deliver(ann, "one", mailbox="junk")
    jmap.deliver(ann, "two")
    result, _ = asked_once(jmap, sync)
    assert [m["subject"] for m in result["mails"]] == ["two"]
    jmap.twists.clear()
    jmap.deliver(ann, "three", mailbox="junk")
    since = time.monotonic()
    assert sync.new() == []
    assert len(jmap.asked(since=since)) == 2, "when the server does not say that it is counts alone"


def test_more_mailboxes_than_an_answer_holds(jmap, ann, start_sync):
    for number in range(70):
        ann.own.add_mailbox(f"box {number}")
    jmap.max_objects = 20
    sync = start_sync(mailboxes='inbox "box 63"')
    sync.run()
    jmap.deliver(ann, "far away", mailbox=ann.own.mailbox_id("box 63"))
    assert sync.new() == ["far away"]


# ---- much ----


def test_many_changes(jmap, ann, sync):
    """In pages; the newest mails are told, the others counted."""
    for number in range(330):
        jmap.deliver(ann, f"m{number}", is_quiet=True)
    jmap.destroy(ann, list(ann.own.emails)[329])
    jmap.change(ann, list(ann.own.emails)[5], keywords={"$seen": True})
    jmap.change(ann, list(ann.own.emails)[328], keywords={"$seen": True})
    since = time.monotonic()
    result = sync.run()
    assert [m["subject"] for m in result["mails"]] == [f"m{n}" for n in range(278, 328)]
    assert result["more"] == 327 - 50 and result["unread"] == 327
    assert len(jmap.asked(since=since)) <= 6
    assert sync.new() == []


@pytest.mark.parametrize("calls, objects", [(1, 500), (2, 10), (3, 500), (4, 3), (5, 1), (16, 7)])
def test_limits_of_the_server_are_kept(jmap, ann, start_sync, calls, objects):
    jmap.max_calls, jmap.max_objects = calls, objects
    sync = start_sync()
    sync.run()
    jmap.deliver(ann, "one")
    jmap.deliver(ann, "two", mailbox="junk")
    jmap.deliver(ann, "three")
    assert sync.new() == ["one", "three"]
    jmap.change(ann, list(ann.own.emails)[0], keywords={"$seen": True})
    for number in range(20):
        jmap.deliver(ann, f"m{number}")
    assert sync.new() == [f"m{n}" for n in range(20)]
    assert sync.settled() == [next(iter(ann.own.emails))]
    jmap.faults.add("Email/changes", error="cannotCalculateChanges")
    jmap.deliver(ann, "after all")
    assert sync.new() == ["after all"]
    for request in jmap.asked():
        assert len(request.calls) <= calls, request.calls
        for name, arguments, _ in request.body["methodCalls"]:
            assert len(arguments.get("ids") or []) <= objects, (name, arguments)
            assert arguments.get("maxChanges", 1) <= objects


# ---- the server cannot tell ----


def test_changes_cannot_be_calculated(jmap, ann, start_sync):
    """A query for what is unread and came since, and nothing twice; one request more."""
    sync = start_sync(mailboxes="inbox archive")
    jmap.deliver(ann, "old", receivedAt="2020-01-01T00:00:00Z")
    sync.run()
    settled = jmap.deliver(ann, "known")
    assert sync.new() == ["known"]
    ann.own.forget_history()
    jmap.change(ann, settled, keywords={"$seen": True})
    jmap.deliver(ann, "meanwhile 1")
    jmap.deliver(ann, "meanwhile 2", mailbox="archive")
    jmap.deliver(ann, "elsewhere", mailbox="junk")
    jmap.deliver(ann, "read", is_seen=True)
    since = time.monotonic()
    assert sorted(sync.new()) == ["meanwhile 1", "meanwhile 2"]
    assert len(jmap.asked(since=since)) <= 3
    assert sync.settled() == [settled]
    jmap.deliver(ann, "afterwards")
    assert sync.new() == ["afterwards"]


def test_what_comes_between_state_and_query(jmap, ann, sync):
    """It is a change from that state; told once."""
    jmap.faults.add("Email/changes", error="cannotCalculateChanges")
    taken = []

    def meanwhile(arguments, answer):
        if arguments.get("ids") == [] and not taken:
            taken.append(jmap.deliver(ann, "just then", is_quiet=True))
        return answer

    jmap.twists["Email/get"] = meanwhile
    assert sync.new() == ["just then"] and taken
    assert sync.new() == []


def test_servers_without_such_queries(jmap, ann, sync):
    jmap.faults.add("Email/changes", error="cannotCalculateChanges")
    jmap.faults.add("Email/query", error="unsupportedFilter")
    jmap.deliver(ann, "lost")
    assert sync.new() == []
    assert "mails that came meanwhile are not known" in sync.log()
    jmap.deliver(ann, "found")
    assert sync.new() == ["found"]


def test_a_query_that_ignores_what_it_was_asked(jmap, ann, start_sync):
    for number in range(80):
        jmap.deliver(ann, f"old {number}", receivedAt="2020-01-01T00:00:00Z", is_quiet=True)
    sync = start_sync()
    sync.run()
    jmap.faults.add("Email/changes", error="cannotCalculateChanges")
    jmap.twists["Email/query"] = lambda arguments, answer: {**answer, "ids": list(ann.own.emails)}
    assert sync.new() == []
    assert sync.run()["more"] == 0


# ---- trouble ----


@pytest.mark.parametrize(
    "fault, outcome, retry",
    [
        ({"status": 429, "retry_after": "7"}, "later", 7),
        ({"status": 500}, "later", -1),
        ({"status": 403}, "locked", -1),
        ({"status": 400}, "refused", -1),
        ({"body": b"<html>"}, "later", -1),
        ({"body": b'{"methodResponses":{}}'}, "later", -1),
        ({"cut": True}, "later", -1),
        ({"huge": 20 << 20, "times": 2}, "later", -1),
    ],
)
def test_failures_lose_nothing(jmap, ann, sync, fault, outcome, retry):
    jmap.deliver(ann, "kept for later")
    jmap.faults.add("api", **fault)
    result = sync.run()
    assert (result["outcome"], result["retry"]) == (outcome, retry) and result["reason"], result
    assert sync.new() == ["kept for later"]


@pytest.mark.parametrize("method", ["Email/changes", "Email/get", "Mailbox/get", "Mailbox/changes"])
@pytest.mark.parametrize("error", ["serverFail", "serverUnavailable", "accountNotFound", "requestTooLarge", "x" * 100000, "\u00e4\u202e\n" * 99])
def test_methods_that_fail(jmap, ann, sync, method, error):
    jmap.deliver(ann, "kept for later")
    jmap.faults.add(method, error=error, times=3)
    results = []
    for _ in range(6):
        results.append(sync.run())
        assert len(results[-1]["reason"]) < 300 and "\u202e" not in results[-1]["reason"]
    subjects = [m["subject"] for r in results for m in r["mails"]]
    assert subjects == ["kept for later"], results
    assert len(sync.log()) < 100000


@pytest.mark.parametrize(
    "fault", [{"status": 413}, {"status": 400, "body": b'{"type":"urn:ietf:params:jmap:error:limit","limit":"maxSizeRequest"}'}]
)
def test_requests_that_are_too_large(jmap, ann, sync, fault):
    """Less is asked for at a time."""
    jmap.deliver(ann, "in small pieces")
    jmap.faults.add("api", **fault)
    assert sync.new() == ["in small pieces"] and jmap.faults.list == []


def test_mails_that_are_too_large(jmap, ann, sync):
    """One of 9 MB, and many of 1 MB: the small ones with their text, the big one without; nothing is blocked."""
    jmap.deliver(ann, "h" * (9 << 20))
    for number in range(20):
        jmap.deliver(ann, f"{number}", preview="p" * (1 << 20))
    jmap.deliver(ann, "small")
    result = sync.run()
    assert sorted(m["subject"] for m in result["mails"]) == sorted(["", *(str(n) for n in range(20)), "small"])
    assert sorted(len(m["preview"]) for m in result["mails"])[2:] == [1000] * 20
    jmap.deliver(ann, "h" * (9 << 20))
    jmap.faults.add("Email/changes", error="cannotCalculateChanges")
    assert sync.new() == [""]
    jmap.deliver(ann, "later")
    assert sync.new() == ["later"]


def test_changes_without_end(jmap, ann, sync):
    for is_same in (False, True):
        states = []

        def endless(arguments, answer):
            states.append(arguments["sinceState"] if is_same else f"x{len(states)}")
            created = [f"e{len(states)}"]
            return {"hasMoreChanges": True, "newState": states[-1], "created": created, "updated": [], "destroyed": []}

        # the server does not know the states that it makes up
        jmap.twists["Email/changes"] = endless
        account = ann.own
        changes, account.changes = account.changes, lambda *_: ([], [], [], "x", False)
        jmap.deliver(ann, f"in spite of it {is_same}")
        since = time.monotonic()
        result = sync.run()
        assert [m["subject"] for m in result["mails"]] == [f"in spite of it {is_same}"], result
        assert len(jmap.asked(since=since)) <= 70
        account.changes = changes
        jmap.twists.clear()
        jmap.deliver(ann, f"afterwards {is_same}")
        assert sync.new() == [f"afterwards {is_same}"]


def lying(**more):
    return lambda arguments, answer: {**answer, **more}


ODD = {
    "changes: no lists": ("Email/changes", lambda a, r: {"newState": "x", "hasMoreChanges": False}),
    "changes: lists of anything": ("Email/changes", lying(created=[1, None, {}, [], "a b", "", "\u202e", "e" * 300000])),
    "changes: many": ("Email/changes", lying(created=[f"x{i}" for i in range(20000)])),
    "changes: many updated": ("Email/changes", lying(updated=[f"x{i}" for i in range(20000)])),
    "changes: no state": ("Email/changes", lambda a, r: {k: v for k, v in r.items() if k != "newState"}),
    "changes: huge state": ("Email/changes", lying(newState="s" * 300000)),
    "changes: of another account": ("Email/changes", lying(accountId="somebody")),
    "changes: more is a number": ("Email/changes", lying(hasMoreChanges=1)),
    "changes: all of it everywhere": ("Email/changes", lambda a, r: {**r, "updated": r["created"], "destroyed": r["created"]}),
    "changes: each three times": ("Email/changes", lambda a, r: {**r, "created": r["created"] * 3}),
    "changes: a string": ("Email/changes", lambda a, r: "x"),
    "get: null": ("Email/get", lambda a, r: None),
    "get: list of anything": ("Email/get", lying(list=[None, 3, [], "x", {}, {"id": None}])),
    "get: no list": ("Email/get", lying(list=None)),
    "get: not asked for": ("Email/get", lambda a, r: {**r, "list": [{**e, "id": "evil"} for e in r["list"]]}),
    "get: all null": ("Email/get", lambda a, r: {**r, "list": [dict.fromkeys(e) | {"id": e["id"]} for e in r["list"]]}),
    "get: all lists": ("Email/get", lambda a, r: {**r, "list": [{k: [] for k in e} | {"id": e["id"]} for e in r["list"]]}),
    "get: everything thrice": ("Email/get", lambda a, r: {**r, "list": r["list"] * 3, "notFound": a["ids"]}),
    "get: huge": ("Email/get", lambda a, r: {**r, "list": [{**e, "subject": "s" * 1000000} for e in r["list"]]}),
    "boxes: null": ("Mailbox/get", lambda a, r: None),
    "boxes: anything": ("Mailbox/get", lying(list=[{"id": 3, "name": None, "role": []}, None, {"id": "x" * 300}])),
    "boxes: circles": ("Mailbox/get", lying(list=[{"id": "a", "parentId": "b", "name": "x" * 255}, {"id": "b", "parentId": "a", "name": "y" * 255}])),
    "boxes: many": ("Mailbox/get", lying(list=[{"id": f"a{i}", "parentId": f"a{i + 1}", "name": "n" * 200} for i in range(9000)])),
    "box changes: anything": ("Mailbox/changes", lying(updated=[1, None, {}], updatedProperties=[1, None], newState=7)),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_answers(jmap, ann, sync, name):
    """Twice an odd answer; what comes later is told, nothing twice, and requests are few."""
    method, twist = ODD[name]
    jmap.deliver(ann, "known")
    sync.run()
    jmap.twists[method] = twist
    jmap.deliver(ann, "the odd one")
    since = time.monotonic()
    results = [sync.run(), sync.run()]
    assert len(jmap.asked(since=since)) <= 20
    jmap.twists.clear()
    jmap.deliver(ann, "a straight one")
    results += [sync.run(), sync.run()]
    subjects = [m["subject"] for r in results for m in r["mails"]]
    assert subjects.count("a straight one") == 1, results
    assert subjects.count("the odd one") <= 1 and "known" not in subjects
    assert all(len(m["subject"]) <= 1000 and len(m["mailbox"]) <= 1300 for r in results for m in r["mails"])
    assert results[-1]["outcome"] == "ok" and results[-1]["more"] == 0


# ---- marking ----


def test_mark_read(jmap, ann, sync):
    ids = [jmap.deliver(ann, f"m{n}") for n in range(60)]
    sync.run()
    since = time.monotonic()
    sync.send(*(f"mark {i}" for i in ids))
    wait_until(lambda: all("$seen" in e["keywords"] for e in ann.own.emails.values()), 20, "all marked")
    assert len(jmap.asked("Email/set", since)) <= 3
    assert sync.new() == []
    assert len(sync.settled()) == 50


def test_marking_fails(jmap, ann, sync):
    identifier = jmap.deliver(ann, "m")
    sync.run()
    jmap.faults.add("Email/set", error="forbidden\u202e\n")
    sync.send(f"mark {identifier}")
    sync.wait_log('mail was not marked as read login=work account=a1 error="forbidden\\u202e\\x0a"')
    jmap.faults.add("api", status=500)
    sync.send(f"mark {identifier}")
    sync.wait_log("status 500")
    sync.send("mark nonexistent", f"mark {identifier}")
    wait_until(lambda: "$seen" in ann.own.emails[identifier]["keywords"], 20, "the mark")
    assert sync.new() == [] and sync.settled() == [identifier]
    assert sync.log().count("was not marked") == 2


def test_shared_account(jmap, ann, start_sync):
    account = jmap.share(ann, "shared", "team@localhost", is_read_only=True)
    sync = start_sync(account="shared")
    sync.run()
    identifier = jmap.deliver(ann, "to the team", account=account)
    jmap.deliver(ann, "to ann")
    assert sync.new() == ["to the team"]
    sync.send(f"mark {identifier}")
    sync.wait_log("accountReadOnly")
