# SPDX-License-Identifier: Apache-2.0
"""The session bus ends and is started anew: the daemon ends for it, and comes back as who it was."""

from session import SUCCEEDED, Caller

SERVICE = "org.example.App"


def test_nothing_is_registered_anew(daemon, relay, session):
    app = session.app(SERVICE).start()
    assert Caller(session).register(SERVICE, "token") == SUCCEEDED
    endpoint = app.wait("NewEndpoint")[0]["endpoint"]
    daemon.wait_pool()
    daemon.push(endpoint, b"before")
    daemon.wait_acknowledged(1)
    app.stop()
    before = relay.metrics()
    session.daemon.terminate()
    assert daemon.process.wait(20) not in (0, 4)  # a failure, so that the service manager starts it again
    daemon.process.assert_no_sanitizer_report()
    relay.push(endpoint, b"meanwhile")
    session.start()
    daemon.watcher = session.connect()
    daemon.start()
    late = session.app(SERVICE).start()
    assert bytes.fromhex(late.wait("Message")[0]["message"]) == b"meanwhile"
    daemon.wait_acknowledged(2)
    after = relay.metrics()
    assert after["bellwire_device_hellos_total"] == before["bellwire_device_hellos_total"] + 1
    for name in ("bellwire_device_registers_total", "bellwire_store_subscriptions", "bellwire_store_devices"):
        assert after[name] == before[name], name
    assert late.events("NewEndpoint") == []  # it has not changed
    assert Caller(session).register(SERVICE, "token") == SUCCEEDED
    assert late.wait("NewEndpoint")[0]["endpoint"] == endpoint
