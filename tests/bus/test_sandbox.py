# SPDX-License-Identifier: Apache-2.0
"""A caller whose root carries .flatpak-info may register its own names only."""

import os

import pytest

REFUSED = [{"success": "REGISTRATION_FAILED", "reason": "UNAUTHORIZED"}]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")


@pytest.fixture
def sandbox(tmp_path):
    root = tmp_path / "root"
    root.mkdir()

    def make(text):
        (root / ".flatpak-info").write_text(text)
        return root

    return make


def answer_of(session, root, service, **options):
    app = session.app(service, register="token", root=root, **options).start()
    (answer,) = app.wait("answer")[0]["arguments"]
    answer.pop("detail", None)
    return [answer]


@pytest.mark.parametrize(
    "service,served",
    [
        ("org.example.Boxed", True),
        ("org.example.Boxed.push", True),
        ("org.example.Boxedpush", False),
        ("org.example.Other", False),
        ("unique", True),
    ],
)
def test_flatpak(driver, session, sandbox, service, served):
    root = sandbox("[Application]\nname=org.example.Boxed\nruntime=runtime/x/y/z\n")
    answer = answer_of(session, root, service)
    assert answer == ([{"success": "REGISTRATION_SUCCEEDED"}] if served else REFUSED)
    assert len(driver.events("registered")) == served


@pytest.mark.parametrize("text", ["", "[Runtime]\nname=x\n", "[Application]\nname=\n", "\0" * 1000])
def test_unreadable_sandbox_may_nothing(driver, session, sandbox, text):
    assert answer_of(session, sandbox(text), "org.example.Boxed") == REFUSED


def test_huge_and_odd_files(driver, session, tmp_path):
    root = tmp_path / "odd"
    root.mkdir()
    os.mkfifo(root / ".flatpak-info")
    assert answer_of(session, root, "org.example.Boxed") == REFUSED
