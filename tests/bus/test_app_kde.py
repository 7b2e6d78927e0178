# SPDX-License-Identifier: Apache-2.0
"""What KDE's client library does at the start of an app, step by step."""

import threading

from session import NAME, SUCCEEDED, Caller

SERVICE = "org.example.Kde"


def test_burst_when_the_name_appears(start_daemon, session):
    """Ten apps wait for the name, introspect, and register blocking within milliseconds of it."""
    from harness.process import wait_until

    apps = [session.app(f"{SERVICE}{i}").start() for i in range(10)]
    answers = []

    def run(i):
        caller = Caller(session)
        wait_until(lambda: caller.bus.name_has_owner(NAME), 20, "the name")
        assert "org.unifiedpush.Distributor2" in caller.introspect()
        answers.append(caller.register(f"{SERVICE}{i}", "{2a9c7f0e-6a0b-4f6e-9a53-1e6d8a3b5c7%d}" % i))

    threads = [threading.Thread(target=run, args=(i,)) for i in range(10)]
    for thread in threads:
        thread.start()
    daemon = start_daemon()
    for thread in threads:
        thread.join(30)
    assert answers == [SUCCEEDED] * 10
    for app in apps:
        daemon.push(app.wait("NewEndpoint")[0]["endpoint"], b"ring")
    for app in apps:
        app.wait("Message")


def test_new_key_is_unregister_and_register_under_another_token(daemon, caller, session):
    app = session.app(SERVICE).start()
    caller.register(SERVICE, "old")
    caller.unregister("old")
    assert caller.register(SERVICE, "new") == SUCCEEDED
    assert app.wait("NewEndpoint", 2)[1]["token"] == "new"
    assert app.wait("Unregistered")[0]["token"] == "old"
