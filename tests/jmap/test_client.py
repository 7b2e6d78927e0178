# SPDX-License-Identifier: Apache-2.0
"""One login's access to its server: session and password are found, kept, and found anew when the server says so."""

import pytest
from harness.clock import Clock
from harness.process import wait_until

ECHO = [["Core/echo", {"x": 1}]]
LIMIT = b'{"type":"urn:ietf:params:jmap:error:limit","status":400,"limit":"%s"}'


@pytest.fixture
def ann(jmap):
    return jmap.login()


@pytest.fixture
def keys(jmap, tmp_path):
    """A config section; its password is what the file holds."""
    file = tmp_path / "password"
    file.write_text("secret\n")
    asked = tmp_path / "asked"
    script = tmp_path / "ask"
    script.write_text(f"#!/bin/sh\necho >>{asked}\nexec cat {file}\n")
    script.chmod(0o700)
    asked.touch()
    return {
        "name": "work", "user": "ann@localhost", "session_url": jmap.well_known, "ca_file": str(jmap.ca_file),
        "password_command": str(script), "file": file, "asked": asked,
    }  # fmt: skip


class Client:
    def __init__(self, driver, keys, **more):
        self.driver = driver
        self.keys = {k: v for k, v in {**keys, **more}.items() if isinstance(v, str)}
        self.asked = keys["asked"]
        self.id = driver.start("client", **self.keys)

    def start(self, methods=ECHO, **more):
        return self.driver.start("call", client=self.id, methods=methods, **more)

    def call(self, methods=ECHO, **more):
        return self.driver.wait(self.start(methods, **more))

    def session(self):
        return self.driver.wait(self.id, key="session")["session"]

    def count_asked(self):
        return len(self.asked.read_text())


@pytest.fixture
def client(driver, ann, keys):
    return Client(driver, keys)


@pytest.fixture
def clock():
    instance = Clock()
    yield instance
    instance.close()


@pytest.fixture
def timed(clock, start_driver, ann, keys):
    """A client whose clocks are the test's."""
    return Client(start_driver(clock=clock), keys)


def session_requests(jmap):
    return [r for r in jmap.requests if r.path == jmap.session_path]


def test_session_and_password_are_found_once(client, jmap, ann):
    answers = [client.call() for _ in range(3)]
    assert [a["outcome"] for a in answers] == ["ok"] * 3 and answers[0]["answers"] == [{"x": 1}]
    session = client.session()
    assert session["primary_mail"] == "a1" and session["api_url"].endswith("/jmap/api") and session["vapid_key"]
    assert client.count_asked() == 1 and len(session_requests(jmap)) == 1
    assert all(a["is_filled"] for a in answers)
    assert len({r.peer for r in jmap.requests}) == 1  # one connection


def test_calls_are_made_in_their_order(client, jmap):
    ids = [client.start([["Core/echo", {"n": n}]]) for n in range(20)]
    assert [client.driver.wait(i)["answers"] for i in ids] == [[{"n": n}] for n in range(20)]
    assert [r.body["methodCalls"][0][1]["n"] for r in jmap.asked()] == list(range(20))


def test_methods_fail_alone(client, jmap):
    jmap.faults.add("Mailbox/get", error="serverFail")
    answers = client.call([["Core/echo", {}], ["Mailbox/get", {"accountId": "a1"}], ["No/such", {}]])["answers"]
    assert answers == [{}, {"error": "serverFail"}, {"error": "unknownMethod"}]


def test_a_changed_password_is_asked_for(client, jmap, ann, keys):
    client.call()
    ann.password = "new"
    keys["file"].write_text("new\n")
    assert client.call()["outcome"] == "ok" and client.count_asked() == 2
    assert [r.status for r in jmap.requests if r.path == jmap.api_path] == [200, 401, 200]


def test_a_wrong_password_is_tried_once(client, jmap, ann):
    ann.password = "another"
    answer = client.call()
    assert answer["outcome"] == "unauthorized" and answer["reason"] == "the mail server does not take the password of ann@localhost"
    assert not answer["is_filled"] and client.count_asked() == 2
    tried = [r for r in jmap.requests if r.status == 401 and "Authorization" in r.headers]
    assert len(tried) == 1
    ann.password = "secret"
    assert client.call()["outcome"] == "ok"


def test_a_password_that_became_wrong_is_tried_once(client, jmap, ann):
    client.call()
    ann.password = "another"
    before = len(jmap.requests)
    assert client.call()["outcome"] == "unauthorized" and client.count_asked() == 2
    assert [r.status for r in jmap.requests[before:]] == [401]


def test_an_expired_token_is_renewed(driver, jmap, ann, keys):
    ann.bearer, ann.password = "token-1", None
    keys["file"].write_text("token-1\n")
    client = Client(driver, keys, auth="bearer")
    assert client.call()["outcome"] == "ok"
    ann.bearer = "token-2"
    keys["file"].write_text("token-2\n")
    assert client.call()["outcome"] == "ok" and client.count_asked() == 2
    ann.bearer = "token-3"
    answer = client.call()
    assert answer["outcome"] == "unauthorized" and "token" in answer["reason"]
    assert jmap.asked()[0].headers["Authorization"] == "Bearer token-1"


def test_all_that_wait_hear_why(client, jmap, ann):
    ann.is_locked = True
    answers = [client.driver.wait(i) for i in [client.start() for _ in range(3)]]
    assert [a["outcome"] for a in answers] == ["locked"] * 3 and "403" in answers[0]["reason"]
    assert len([r for r in jmap.requests if r.status == 403]) == 1


def test_without_a_password_nothing_is_asked(driver, jmap, ann, keys):
    keys["password_command"] = "/bin/false"
    answer = Client(driver, keys).call()
    assert answer["outcome"] == "try-later" and answer["reason"] == "password_command ended with status 1"
    del keys["password_command"]
    answer = Client(driver, keys).call()
    assert answer["outcome"] == "unauthorized" and "no password is kept for work" in answer["reason"]
    assert jmap.requests == []


@pytest.mark.parametrize(
    "fault, outcome, words",
    [
        ({"status": 401}, "unauthorized", "does not take the password"),
        ({"status": 403}, "locked", "403"),
        ({"status": 429, "retry_after": "7"}, "try-later", "429"),
        ({"status": 500}, "try-later", "500"),
        ({"status": 503, "retry_after": "11"}, "try-later", "503"),
        ({"body": b"{}"}, "try-later", "no JMAP"),
        ({"body": b'{"methodResponses":'}, "try-later", "no JMAP"),
        ({"body": b"\xff\xfe"}, "try-later", "no JMAP"),
        ({"body": b"[" * 100000}, "try-later", "no JMAP"),
        ({"status": 400, "body": LIMIT % b"maxConcurrentRequests"}, "try-later", "error:limit"),
        ({"status": 400, "body": LIMIT % b"rateLimit"}, "try-later", "error:limit"),
        ({"status": 400, "body": LIMIT % b"maxSizeRequest"}, "refused", "error:limit"),
        ({"status": 400, "body": LIMIT % b"rat"}, "refused", "error:limit"),
        ({"status": 400, "body": b'{"type":"about:blank","limit":"maxConcurrentRequests"}'}, "refused", "400"),
        ({"status": 400, "body": b"[]"}, "refused", "400"),
        ({"status": 413}, "refused", "413"),
        ({"cut": True}, "try-later", " bytes "),
        ({"huge": 9 << 20}, "try-later", "too large"),
    ],
)
def test_faults_of_a_call(client, jmap, fault, outcome, words):
    client.call()
    jmap.faults.add("api", **fault)
    answer = client.call()
    assert answer["outcome"] == outcome and words in answer["reason"], answer
    assert answer["retry_after"] == int(fault.get("retry_after", -1))
    assert client.call()["outcome"] == "ok"


@pytest.mark.parametrize(
    "fault, outcome",
    [
        ({"status": 404}, "try-later"),
        ({"status": 429, "retry_after": "7"}, "try-later"),
        ({"status": 503}, "try-later"),
        ({"body": b"<html>"}, "try-later"),
        ({"body": b'{"capabilities":{}}'}, "try-later"),
        ({"huge": 2 << 20}, "try-later"),
        ({"cut": True}, "try-later"),
    ],
)
def test_faults_of_the_session(client, jmap, fault, outcome):
    jmap.faults.add("session", **fault)
    answer = client.call()
    assert answer["outcome"] == outcome and answer["reason"], answer
    assert answer["retry_after"] == int(fault.get("retry_after", -1))
    assert client.call()["outcome"] == "ok"


def test_a_request_that_is_none(client, jmap):
    answer = client.call([["Core/echo", {}]] * 17)
    assert answer["outcome"] == "refused" and "maxCallsInRequest" not in answer["reason"] and "limit" in answer["reason"]


def test_a_changed_session_is_fetched_once(client, jmap):
    client.call()
    key = client.session()["vapid_key"]
    jmap.rotate_vapid()
    assert client.call()["outcome"] == "ok"
    assert client.session()["vapid_key"] != key  # without another call
    assert [client.call()["outcome"] for _ in range(3)] == ["ok"] * 3
    assert len(session_requests(jmap)) == 2


def test_a_session_that_cannot_be_fetched_anew_goes_on(timed, clock, jmap):
    client = timed
    client.call()
    client.session()
    jmap.change_session()
    jmap.faults.add("session", status=503)
    assert [client.call()["outcome"] for _ in range(3)] == ["ok"] * 3
    assert len(session_requests(jmap)) == 2
    clock.advance(61)
    jmap.change_session()
    client.call()
    assert client.session()["state"] == "session3"


def test_a_server_whose_states_never_agree(client, jmap):
    """Else each call would lead to a request for the session."""
    client.call()
    session = jmap.session_object
    jmap.session_object = lambda login: {**session(login), "state": "other"}
    jmap.change_session()
    for _ in range(4):
        assert client.call()["outcome"] == "ok"
    assert len(session_requests(jmap)) == 2


def test_a_server_whose_state_never_settles(timed, clock, jmap):
    """Two machines behind one name, or a state made from the clock: a look a minute."""
    jmap.is_settled = False
    for looks in range(1, 4):
        for _ in range(5):
            assert timed.call()["outcome"] == "ok"
        assert len(session_requests(jmap)) == 1 + looks
        clock.advance(61)


def test_a_moved_api_is_found(client, jmap):
    client.call()
    jmap.move_api("/jmap/elsewhere")
    assert client.call()["outcome"] == "ok" and jmap.asked()[-1].path == "/jmap/elsewhere"
    jmap.faults.add("api", status=404, times=2)
    assert client.call()["outcome"] == "refused"
    assert client.call()["outcome"] == "ok"


def test_an_api_on_another_host_gets_the_password(client, jmap, start_jmap):
    """The session says so, over TLS, with the password already known there."""
    other = start_jmap()
    other.login()
    session = jmap.session_object
    jmap.session_object = lambda login: {**session(login), "apiUrl": f"{other.origin}/jmap/api"}
    assert client.call()["outcome"] == "try-later"  # but its certificate is not ours
    assert other.requests == []


def test_nothing_is_sent_where_nobody_listens(client, jmap):
    client.call()
    jmap.stop_listening()
    answer = client.call()
    assert answer["outcome"] == "try-later" and "onnect" in answer["reason"] and answer["is_filled"]
    jmap.listen_again()
    assert client.call()["outcome"] == "ok" and client.count_asked() == 1


def test_forgotten_is_found_anew(client, jmap, ann, keys):
    client.call(then="forget")
    assert client.call()["outcome"] == "ok"
    assert client.count_asked() == 2 and len(session_requests(jmap)) == 2
    client.driver.start("forget_session", client=client.id)
    ann.is_locked = True
    assert client.call()["outcome"] == "locked"


def test_cancelled_calls_say_nothing(client, jmap):
    client.call()
    jmap.faults.add("api", delay=30)
    first, second, third = (client.start([["Core/echo", {"n": n}]]) for n in range(3))
    wait_until(lambda: jmap.faults.taken == 1, 10, "the first on its way")
    client.driver.run("cancel", of=second)
    client.driver.run("cancel", of=first)
    assert client.driver.wait(third)["answers"] == [{"n": 2}]
    assert not [n for n in client.driver.news if n["id"] in (first, second)]


@pytest.mark.parametrize("when", ["at once", "session", "api", "callback", "password"])
def test_destroyed_in_the_middle(driver, jmap, ann, keys, when):
    if when == "password":
        keys["password_command"] = "/bin/sleep 30"
    client = Client(driver, keys)
    if when in ("session", "api"):
        jmap.faults.add(when, delay=30)
    one = client.start(then="destroy" if when == "callback" else "")
    more = [client.start() for _ in range(3)]
    if when in ("session", "api"):
        wait_until(lambda: jmap.faults.taken, 10, "the request")
    if when == "callback":
        driver.wait(one)
    else:
        driver.start("destroy", client=client.id)
    driver.run("cancel", of="nothing")
    assert not [n for n in driver.news if n["id"] in more]
