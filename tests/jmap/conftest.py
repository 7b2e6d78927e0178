# SPDX-License-Identifier: Apache-2.0
"""Fixtures: JMAP servers."""

import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
for folder in (HERE, HERE.parent / "bus", HERE.parent / "integration"):
    sys.path.insert(0, str(folder))

from jmap_server import JmapServer  # noqa: E402


@pytest.fixture
def start_jmap(tmp_path):
    """start_jmap(**settings): a JMAP server of its own."""
    servers = []

    def start(**settings):
        servers.append(JmapServer(tmp_path / f"jmap{len(servers)}", **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.finish()


@pytest.fixture
def jmap(start_jmap):
    return start_jmap()
