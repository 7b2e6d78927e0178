# SPDX-License-Identifier: Apache-2.0
"""`bellwire move` between two real relays: apps hear of new endpoints alone, and no push is lost, whatever fails."""

import time

import pytest
from harness.certificates import make_certificate
from harness.process import free_port, wait_until
from secure import secure_relay
from session import SUCCEEDED

SERVICE = "org.example.App"


@pytest.fixture
def app(session):
    return session.app(SERVICE).start()


def url_of(relay):
    return f"ws://127.0.0.1:{relay.port}/"


def registered(caller, app, version=2):
    answer = caller.register(SERVICE, "token") if version == 2 else caller.register_v1(SERVICE, "token")
    assert answer[0] == SUCCEEDED[0]
    return app.wait("NewEndpoint")[0]["endpoint"]


def move(daemon, relay):
    daemon.manage("Move", "s", url_of(relay))


def endpoint_at(app, relay, timeout=20):
    """The newest endpoint, when it lies there."""

    def there():
        endpoint = app.events("NewEndpoint")[-1]["endpoint"]
        return endpoint if endpoint.startswith(relay.base) else None

    return wait_until(there, timeout, "an endpoint at the relay")


def bodies(app):
    return [bytes.fromhex(event["message"]) for event in app.events("Message")]


def wait_bodies(app, *wanted):
    """These came, each once, in any order."""
    app.wait("Message", len(wanted))
    assert sorted(bodies(app)) == sorted(wanted)


def wait_all_bodies(app, *wanted, lives=2):
    """As above, but what was under way when the daemon ended may come once more in its next life."""
    wait_until(lambda: set(bodies(app)) >= set(wanted), 20, f"every push\n{app.events()}")
    assert set(bodies(app)) == set(wanted)
    assert max(bodies(app).count(body) for body in wanted) <= lives


def wait_drained(daemon, *relays):
    """They have heard that all was taken."""

    def drained():
        return all(relay.metrics()["bellwire_messages_queued"] == 0 for relay in relays)

    wait_until(drained, 20, f"acknowledgements\n{daemon.process.log()[-4000:]}")


def never_dismissed(app):
    assert app.events("Unregistered") == []


@pytest.mark.parametrize("version", [1, 2])
def test_apps_are_told_and_both_endpoints_work(daemon, relay, other, caller, session, version):
    app = session.app(SERVICE, version).start()
    old = registered(caller, app, version)
    done = daemon.tool("move", url_of(other))
    assert done.returncode == 0 and "moving" in done.stdout, done
    new = endpoint_at(app, other)
    for number in range(3):
        relay.push(old, b"old %d" % number)
        other.push(new, b"new %d" % number)
    wait_bodies(app, *(b"%s %d" % (which, number) for which in (b"old", b"new") for number in range(3)))
    wait_drained(daemon, relay, other)
    status = daemon.status()
    assert status["state"] == "up" and str(other.port) in status["relay"] and status["former_relays"] == 1
    assert len(app.events("NewEndpoint")) == 2
    never_dismissed(app)


def test_running_apps_come_first(daemon, other, caller, session):
    """Those that have to be started follow one by one, so that they do not all start at once."""
    sleepers = [session.app(f"org.example.Sleeper{i}", exit_after=0.2).make_activatable() for i in range(3)]
    runners = [session.app(f"org.example.Runner{i}").start() for i in range(3)]
    for app in sleepers + runners:
        assert caller.register(app.service, app.service)[0] == SUCCEEDED[0]
        app.wait("NewEndpoint")
    for app in sleepers:
        app.wait("left")
        wait_until(lambda app=app: not caller.bus.name_has_owner(app.service), 20, "its end")
    begin = time.monotonic()
    move(daemon, other)
    times = [app.wait("NewEndpoint", 2)[1]["time"] for app in runners]
    starts = sorted(app.wait("started", 2)[1]["time"] for app in sleepers)
    assert max(times) < starts[2], (times, starts)
    # a second or more between two; a start may be late, but none is early
    assert all(start - begin > 0.95 * number for number, start in enumerate(starts)), (begin, starts)


def test_there_and_back_again(daemon, relay, other, caller, app):
    endpoints = [(relay, registered(caller, app))]
    for place in (other, relay, other):
        move(daemon, place)
        endpoints.append((place, endpoint_at(app, place)))
    assert len({endpoint for _, endpoint in endpoints}) == 4
    for number, (place, endpoint) in enumerate(endpoints):
        place.push(endpoint, b"%d" % number)
    wait_bodies(app, *(b"%d" % number for number in range(4)))
    wait_drained(daemon, relay, other)
    never_dismissed(app)


def test_moves_in_quick_succession(daemon, relay, other, caller, app):
    """The last one counts, and none of those between is left over."""
    old = registered(caller, app)
    for place in (other, relay, other, relay, other):
        move(daemon, place)
    new = endpoint_at(app, other)
    relay.push(old, b"old")
    other.push(new, b"new")
    wait_bodies(app, b"old", b"new")
    never_dismissed(app)


def test_a_move_that_is_taken_back_leaves_nothing(daemon, relay, other, caller, app):
    old = registered(caller, app)
    other.stop()
    move(daemon, other)
    move(daemon, relay)
    other.start()
    daemon.reconnect()
    wait_until(lambda: other.metrics()["bellwire_device_hellos_total"] > 0, 20, "the other relay")
    relay.push(old, b"as ever")
    wait_bodies(app, b"as ever")
    wait_drained(daemon, relay)  # else it would come once more
    daemon.restart()
    relay.push(old, b"also later")
    wait_bodies(app, b"as ever", b"also later")
    assert {event["endpoint"] for event in app.events("NewEndpoint")} == {old}
    never_dismissed(app)


def test_the_old_relay_is_down(daemon, relay, other, caller, app):
    old = registered(caller, app)
    relay.stop()
    move(daemon, other)
    new = endpoint_at(app, other)
    other.push(new, b"new")
    wait_bodies(app, b"new")
    relay.start()
    relay.push(old, b"old")
    daemon.reconnect()
    wait_bodies(app, b"new", b"old")
    wait_drained(daemon, relay, other)
    never_dismissed(app)


@pytest.mark.parametrize("between", ["", "stop", "kill"])
def test_the_new_relay_comes_later(daemon, relay, other, caller, app, between):
    old = registered(caller, app)
    other.stop()
    move(daemon, other)
    relay.push(old, b"meanwhile")
    wait_bodies(app, b"meanwhile")
    if between:
        getattr(daemon, between)()
    relay.push(old, b"unheard")
    if between:
        daemon.start()
    wait_all_bodies(app, b"meanwhile", b"unheard")
    assert daemon.status()["state"] != "up"
    other.start()
    daemon.reconnect()
    new = endpoint_at(app, other)
    other.push(new, b"new")
    relay.push(old, b"old")
    wait_all_bodies(app, b"meanwhile", b"unheard", b"new", b"old")
    wait_drained(daemon, relay, other)
    assert len({event["endpoint"] for event in app.events("NewEndpoint")}) == 2
    never_dismissed(app)


def test_while_paused(daemon, relay, other, caller, app):
    old = registered(caller, app)
    daemon.manage("Pause")
    move(daemon, other)
    relay.push(old, b"old")
    daemon.restart()
    assert daemon.status()["state"] == "stopped" and bodies(app) == []
    daemon.manage("Resume")
    new = endpoint_at(app, other)
    other.push(new, b"new")
    wait_bodies(app, b"old", b"new")
    never_dismissed(app)


@pytest.mark.parametrize(
    "url, words", [("nonsense", "URL"), ("ftp://push.example/", "URL"), ("ws://push.example/", "encrypted"), ("", "URL")]
)
def test_urls_that_will_not_do(daemon, relay, caller, app, url, words):
    old = registered(caller, app)
    done = daemon.tool("move", url)
    assert done.returncode != 0 and words in done.stderr, done
    status = daemon.status()
    assert str(relay.port) in status["relay"] and status["former_relays"] == 0
    relay.push(old, b"as ever")
    wait_bodies(app, b"as ever")


def test_a_relay_that_is_none(daemon, relay, caller, app):
    """Nobody answers there, and why is said; the old endpoint serves on, and so does the way back."""
    old = registered(caller, app)
    daemon.manage("Move", "s", f"ws://127.0.0.1:{free_port()}/")
    wait_until(lambda: "refused" in daemon.status().get("reason", ""), 20, "the reason")
    relay.push(old, b"old")
    wait_bodies(app, b"old")
    move(daemon, relay)
    relay.push(old, b"back")
    wait_bodies(app, b"old", b"back")
    wait_until(lambda: daemon.status()["state"] == "up", 20, "the link")
    assert [event["endpoint"] for event in app.events("NewEndpoint")] == [old]


@pytest.fixture
def secure(tmp_path):
    """Two relays with TLS and one certificate."""
    certificate = make_certificate(tmp_path, 1)
    relays = [secure_relay(tmp_path / name, certificate) for name in ("one", "two")]
    yield relays
    for instance in relays:
        instance.finish()


def test_between_relays_with_certificates(secure, start_daemon, caller, app):
    """Both links live at the end, and the sanitizer finds nothing left over."""
    one, two = secure
    daemon = start_daemon(relay=one.wss, ca_file=one.cert)
    old = registered(caller, app)
    daemon.manage("Move", "s", two.wss)
    new = endpoint_at(app, two)
    one.push(old, b"old")
    two.push(new, b"new")
    wait_bodies(app, b"old", b"new")
    wait_drained(daemon, one, two)
    daemon.stop()


def test_killed_again_and_again(daemon, relay, other, caller, app):
    """At every turn each endpoint that the app was told brings its pushes."""
    known = [(relay, registered(caller, app))]
    for turn, place in enumerate((other, relay, other)):
        for number, (where, endpoint) in enumerate(known):
            where.push(endpoint, b"%d of %d" % (number, turn))
        move(daemon, place)
        daemon.kill()
        daemon.start()
        daemon.reconnect()
        known.append((place, endpoint_at(app, place)))
    wanted = (b"%d of %d" % (number, turn) for turn in range(3) for number in range(turn + 1))
    wait_all_bodies(app, *wanted, lives=4)
    wait_drained(daemon, relay, other)
    never_dismissed(app)
