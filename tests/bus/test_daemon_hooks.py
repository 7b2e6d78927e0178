# SPDX-License-Identifier: Apache-2.0
"""Hooks of the real daemon on a session bus: a push becomes a notification, and a command runs."""

import json
import pathlib
import sys

import pytest
from harness.process import wait_until
from harness.tool import run_tool

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "unit/action"))
from manager import real_manager  # noqa: E402

CONFIG = """\
[hook door]
notify_title = {{title}}
notify_text = {{text}}
command = sh -c 'cat >{directory}/input'
quiet = 0
catch_up = off
"""


def test_a_push_is_shown_and_runs_the_command(session, desktop, start_daemon):
    config = session.directory / "hooks.conf"
    config.write_text(CONFIG.format(directory=session.directory))
    daemon = start_daemon(config=config)
    to = daemon.keys("door")
    message = '{"title":"Ding","message":"at the <door>"}'
    done = run_tool("send", "-", "--message", message, "--urgency", "high", text=json.dumps(to))
    assert done.returncode == 0, done.stderr
    assert desktop.shown(1) == [(0, "mail-unread", "Ding", "at the &lt;door&gt;", 2)]
    daemon.wait_acknowledged(1)
    assert (session.directory / "input").read_text() == message


UNITS = """\
[hook unit]
command = sh -c 'grep NoNewPrivs /proc/self/status >{directory}/unit; env >{directory}/env; mv {directory}/env {directory}/environment'
quiet = 0
catch_up = off
[hook child]
command = sh -c 'grep NoNewPrivs /proc/self/status >{directory}/child'
quiet = 0
catch_up = off
as_unit = off
"""


@pytest.fixture
def manager(session):
    instance = real_manager(session)
    yield instance
    instance.finish()


def test_a_unit_has_none_of_our_restrictions(session, manager, start_daemon):
    config = session.directory / "hooks.conf"
    config.write_text(UNITS.format(directory=session.directory))
    daemon = start_daemon(config=config, wrapper=["env", "BELLWIRE_POOL=3", "setpriv", "--no-new-privs"])
    for hook in ("unit", "child"):
        daemon.push(daemon.keys(hook)["endpoint"], b"x")
    wait_until((session.directory / "environment").exists, 20, "the unit")
    daemon.wait_acknowledged(2)
    assert (session.directory / "unit").read_text().split() == ["NoNewPrivs:", "0"]
    assert (session.directory / "child").read_text().split() == ["NoNewPrivs:", "1"]
    environment = (session.directory / "environment").read_text()
    assert "BELLWIRE_HOOK=unit\n" in environment and "BELLWIRE_POOL" not in environment
