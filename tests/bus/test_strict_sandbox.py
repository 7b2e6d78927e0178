# SPDX-License-Identifier: Apache-2.0
"""With only_sandboxed, callers outside of a sandbox are refused."""

import os

import pytest
from session import failed

FLAGS = ["--only-sandboxed"]


def test_unsandboxed_caller_is_refused(driver, caller):
    assert caller.register("org.example.App", "token") == failed("UNAUTHORIZED")
    assert caller.register_v1("org.example.App", "token") == ("REGISTRATION_FAILED", "UNAUTHORIZED")


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
def test_sandboxed_caller_is_served(driver, session, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / ".flatpak-info").write_text("[Application]\nname=org.example.Boxed\n")
    app = session.app("org.example.Boxed", register="token", root=root).start()
    assert app.wait("answer")[0]["arguments"] == [{"success": "REGISTRATION_SUCCEEDED"}]
