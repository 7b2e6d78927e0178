# SPDX-License-Identifier: Apache-2.0
"""The real daemon and the bus itself: a taken name, a bus that ends, a flood, and a stop in the middle of it."""

import threading
import time

import dbus
from daemon import BINARY
from session import SUCCEEDED, Caller, run_program

SERVICE = "org.example.App"


def test_second_daemon_ends_with_a_status_of_its_own(daemon, session, tmp_path):
    words = [BINARY, "--relay", "ws://127.0.0.1:9/", "--state-dir", str(tmp_path / "other")]
    second = run_program(words, session.env)
    assert second.returncode == 4, second.stderr
    assert Caller(session).introspect()


def test_bus_that_ends(daemon, session):
    """A failure, so that the service manager starts it again."""
    session.daemon.terminate()
    assert daemon.process.wait(20) not in (0, 4)
    daemon.process.assert_no_sanitizer_report()


def test_no_bus_at_all(daemon, session):
    daemon.stop()
    session.daemon.terminate()
    words = [BINARY, "--relay", "ws://127.0.0.1:9/", "--state-dir", str(daemon.state_dir)]
    ended = run_program(words, session.env)
    assert ended.returncode not in (0, 4)
    assert "--no-bus" in ended.stderr


def flood(session, number, results):
    caller = Caller(session)
    for i in range(100):
        try:
            results.append(caller.register(SERVICE, f"token{number}-{i}"))
        except dbus.DBusException as error:
            results.append(error.get_dbus_name())


def test_flood_of_registrations(daemon, caller, session):
    session.app(SERVICE).start()
    results, latencies = [], []
    threads = [threading.Thread(target=flood, args=(session, i, results)) for i in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        before = time.monotonic()
        caller.introspect()
        latencies.append(time.monotonic() - before)
    assert sorted(latencies)[len(latencies) * 95 // 100] < 0.05, sorted(latencies)[-20:]
    assert results.count(SUCCEEDED) >= 3 * 64
    assert set(results) <= {SUCCEEDED, "org.freedesktop.DBus.Error.LimitsExceeded"}


def test_stop_in_the_middle_of_registrations(daemon, session):
    for number in range(5):
        results = []
        thread = threading.Thread(target=flood, args=(session, f"round{number}", results))
        thread.start()
        while not results:
            time.sleep(0.001)
        daemon.stop()
        thread.join()
        daemon.start()
