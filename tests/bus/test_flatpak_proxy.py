# SPDX-License-Identifier: Apache-2.0
"""Apps behind Flatpak's own bus proxy, as it runs for them: with the marks of the sandbox at its root."""

import copy
import os
import shutil
import subprocess

import dbus
import pytest
from harness.process import Process, wait_until
from session import NAME, SUCCEEDED, Caller, failed

SERVICE = "org.example.Boxed"
TALK = "--talk=org.unifiedpush.Distributor.*"  # what an app's manifest has
ROOT = """\
mount --make-rprivate / && mount --bind /usr "$0/usr" && mount --bind "$1" "$0$1" && shift &&
exec chroot "$0" /usr/bin/xdg-dbus-proxy "$@"
"""

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root"),
    pytest.mark.skipif(not shutil.which("xdg-dbus-proxy"), reason="needs xdg-dbus-proxy"),
]


@pytest.fixture
def boxed(session, tmp_path):
    """boxed(*rules): the session as it is seen from inside of a sandbox."""
    if subprocess.run(["unshare", "-m", "mount", "--make-rprivate", "/"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace can be made here")
    proxies = []

    def start(*rules):
        root, path = tmp_path / f"root{len(proxies)}", session.directory / f"proxy{len(proxies)}"
        (root / str(session.directory)[1:]).mkdir(parents=True)
        (root / "usr").mkdir()
        for name in ("bin", "lib", "lib64"):
            (root / name).symlink_to(f"usr/{name}")
        (root / ".flatpak-info").write_text(f"[Application]\nname={SERVICE}\n")
        words = ["unshare", "-m", "sh", "-c", ROOT, root, session.directory, session.address, path, "--filter", *rules]
        proxies.append(Process(words, tmp_path / f"proxy{len(proxies)}.log"))
        inside = copy.copy(session)
        inside.address = f"unix:path={path}"
        wait_until(inside.answers, 20, "the proxy")
        inside.env = {**session.env, "DBUS_SESSION_BUS_ADDRESS": inside.address}
        return inside

    yield start
    for proxy in proxies:
        proxy.terminate()


@pytest.mark.parametrize("version", [1, 2])
def test_an_app_gets_its_pushes(daemon, boxed, version):
    inside = boxed(TALK, f"--own={SERVICE}")
    app = inside.app(SERVICE, version, register="token").start()
    endpoint = app.wait("NewEndpoint")[0]["endpoint"]
    daemon.push(endpoint, b"through the wall")
    assert bytes.fromhex(app.wait("Message")[0]["message"]) == b"through the wall"
    daemon.wait_acknowledged(1)
    caller = Caller(inside)
    (caller.unregister if version == 2 else caller.unregister_v1)("token")
    assert app.wait("Unregistered")[0]["token"] == ("token" if version == 2 else "")


def test_an_app_may_register_its_own_names_only(daemon, boxed):
    caller = Caller(boxed(TALK))
    assert "org.unifiedpush.Distributor2" in caller.introspect()
    assert caller.register("org.example.Other", "token") == failed("UNAUTHORIZED")
    assert caller.register_v1("org.example.Other", "token") == ("REGISTRATION_FAILED", "UNAUTHORIZED")
    assert caller.register(f"{SERVICE}.push", "token") == SUCCEEDED


def test_management_is_not_for_apps(daemon, boxed):
    """Not seen by one that may talk to distributors, and refused to one that may talk to everybody."""
    for rules, error in (([TALK], "ServiceUnknown"), (["--talk=org.bellwire.Distributor"], "AccessDenied")):
        inside = boxed(*rules)
        with pytest.raises(dbus.DBusException) as refused:
            inside.connect().call_blocking(
                "org.bellwire.Distributor", "/org/bellwire/Distributor", "org.bellwire.Distributor", "Pause", "", ())
        assert refused.value.get_dbus_name() == f"org.freedesktop.DBus.Error.{error}"
    assert daemon.status()["paused"] is False


def test_an_app_without_the_permission(daemon, boxed):
    """It does not even see that there is a distributor."""
    bus = boxed().connect()
    assert NAME not in bus.list_names()
