# SPDX-License-Identifier: Apache-2.0
"""The management interface of the running daemon: as its file says, told of changes, closed to sandboxes."""

import json
import os
import signal
import xml.etree.ElementTree

import pytest
from harness.power import CHARGING, DISCHARGING, LOW, set_upower, start_upower
from harness.process import wait_until
from harness.system_bus import SystemBus
from session import HERE, NAME, OBJECT, PYTHON, SUCCEEDED, run_program
from test_introspection import INTERFACES, members
from watcher import NAME as MANAGEMENT
from watcher import PATH, Watcher

PLACES = {
    "org.bellwire.Distributor": (MANAGEMENT, PATH),
    "org.unifiedpush.Distributor1": (NAME, OBJECT),
    "org.unifiedpush.Distributor2": (NAME, OBJECT),
}


@pytest.fixture
def watcher(session):
    instance = Watcher(session)
    yield instance
    instance.close()


def introspected(session, interface):
    name, path = PLACES[interface]
    introspectable = "org.freedesktop.DBus.Introspectable"
    text = session.connect().call_blocking(name, path, introspectable, "Introspect", "", ())
    return xml.etree.ElementTree.fromstring(text).find(f"interface[@name='{interface}']")


def properties(interface):
    return {
        p.get("name"): (p.get("type"), p.get("access"), [(n.get("name"), n.get("value")) for n in p.findall("annotation")])
        for p in interface.findall("property")
    }


@pytest.mark.parametrize("interface", PLACES)
def test_introspection_equals_the_interface_file(daemon, session, interface):
    told = introspected(session, interface)
    written = xml.etree.ElementTree.parse(INTERFACES / f"{interface}.xml").getroot().find("interface")
    assert sorted(members(told)) == sorted(members(written)) != []
    assert properties(told) == properties(written)


def test_every_interface_has_a_file():
    assert {path.stem for path in INTERFACES.glob("*.xml")} == set(PLACES)


def test_the_link_is_told(daemon, relay, watcher):
    wait_until(lambda: watcher.get_all()["State"] == "up", 20, "the link")
    before = watcher.get_all()
    relay.kill()
    watcher.wait("State", "waiting")
    assert watcher.values("LastError")[-1] != ""
    relay.start()
    daemon.reconnect()
    watcher.wait("State", "up")
    assert watcher.values("LastError")[-1] == ""
    assert watcher.values("Reconnects")[-1] == before["Reconnects"] + 1
    assert watcher.values("StateSince")[-1] > before["StateSince"]
    told = dict(watcher.changes)
    assert told == {name: value for name, value in watcher.get_all().items() if name in told}


def test_every_state_is_told(daemon, relay, watcher):
    """What a property's cache holds is what the property is, also while it connects."""
    wait_until(lambda: watcher.get_all()["State"] == "up", 20, "the link")
    daemon.manage("Pause")
    watcher.wait("State", "stopped")
    relay.process.signal(signal.SIGSTOP)  # its port takes connections, and nobody answers
    daemon.manage("Resume")
    watcher.wait("State", "opening")
    assert watcher.get_all()["State"] == "opening"
    relay.process.signal(signal.SIGCONT)
    watcher.wait("State", "up")


def test_pausing_is_told(daemon, watcher):
    daemon.manage("Pause")
    watcher.wait("Paused", True)
    watcher.wait("State", "stopped")
    assert "paused" in watcher.values("LastError")[-1]
    daemon.manage("Resume")
    watcher.wait("Paused", False)
    watcher.wait("State", "up")


def test_a_login_is_told(start_daemon, relay, watcher):
    daemon = start_daemon(relay=None)
    assert watcher.get_all()["RelayUrl"] == ""
    daemon.manage("Move", "s", f"ws://127.0.0.1:{relay.port}/")
    watcher.wait("RelayUrl", f"ws://127.0.0.1:{relay.port}")
    watcher.wait("State", "up")


def test_the_urgency_is_told(start_daemon, session, watcher, tmp_path):
    (tmp_path / "system").mkdir()
    bus = SystemBus(tmp_path / "system")
    try:
        start_upower(bus, True, state=DISCHARGING, warning=LOW)
        session.env["DBUS_SYSTEM_BUS_ADDRESS"] = bus.address
        start_daemon()
        wait_until(lambda: watcher.get_all()["MinimumUrgency"] == "high", 20, "the low battery")
        set_upower(bus, False, state=CHARGING)
        watcher.wait("MinimumUrgency", "very-low")
    finally:
        bus.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
def test_a_sandbox_cannot_manage(daemon, caller, session, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    app = session.app("org.example.App").start()
    assert caller.register("org.example.App", "token") == SUCCEEDED
    app.wait("NewEndpoint")

    def answers():
        done = run_program([PYTHON, str(HERE / "boxed_caller.py"), str(root)], session.env)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    (root / ".flatpak-info").write_text("[Application]\nname=org.example.App\n")
    refused = answers()
    assert set(refused.values()) == {"org.freedesktop.DBus.Error.AccessDenied"}, refused
    assert daemon.status()["paused"] is False
    assert daemon.status()["registrations"] == 1
    (root / ".flatpak-info").unlink()
    allowed = answers()  # the same calls from the same place, without the sandbox's mark
    assert "org.freedesktop.DBus.Error.AccessDenied" not in allowed.values(), allowed
    methods = {m.get("name") for m in introspected(session, MANAGEMENT).findall("method")}
    assert methods == {call.split()[1] for call in refused if call.startswith(MANAGEMENT)}


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
def test_a_sandbox_cannot_hide_by_leaving(daemon, session, tmp_path):
    """The daemon stands still until the caller is gone, so that nobody is there to be looked at."""
    root = tmp_path / "root"
    root.mkdir()
    (root / ".flatpak-info").write_text("[Application]\nname=org.example.App\n")
    daemon.process.signal(signal.SIGSTOP)
    done = run_program([PYTHON, str(HERE / "boxed_caller.py"), str(root), "Pause"], session.env)
    assert done.returncode == 0, done.stderr
    daemon.process.signal(signal.SIGCONT)
    assert daemon.status()["paused"] is False
