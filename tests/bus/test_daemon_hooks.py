# SPDX-License-Identifier: Apache-2.0
"""Hooks of the real daemon on a session bus: a push becomes a notification, and a command runs."""

import json

import pytest
from desktop import Server
from harness.process import wait_until
from harness.tool import run_tool

CONFIG = """\
[hook door]
notify_title = {{title}}
notify_text = {{text}}
command = sh -c 'cat >{directory}/input'
quiet = 0
catch_up = off
"""


@pytest.fixture
def desktop(session):
    server = Server(session)
    yield server
    server.process.kill()


def test_a_push_is_shown_and_runs_the_command(session, desktop, start_daemon):
    config = session.directory / "hooks.conf"
    config.write_text(CONFIG.format(directory=session.directory))
    daemon = start_daemon(config=config)

    def keys():
        done = run_tool("keys", "door", "--state-dir", daemon.state_dir, env=session.env)
        return json.loads(done.stdout) if done.returncode == 0 else None

    to = wait_until(keys, 20, "the hook's push URL")
    message = '{"title":"Ding","message":"at the <door>"}'
    done = run_tool("send", "-", "--message", message, "--urgency", "high", text=json.dumps(to))
    assert done.returncode == 0, done.stderr
    assert desktop.shown(1) == [(0, "mail-unread", "Ding", "at the &lt;door&gt;", 2)]
    daemon.wait_acknowledged(1)
    assert (session.directory / "input").read_text() == message
