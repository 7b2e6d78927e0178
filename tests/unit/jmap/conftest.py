# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a private session bus with a desktop or a user manager on it."""

import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[2]
for folder in ("integration", "bus", "unit/action"):
    sys.path.insert(0, str(TESTS / folder))

from desktop import Desktop  # noqa: E402
from session import Session  # noqa: E402


@pytest.fixture
def session(tmp_path):
    instance = Session(tmp_path / "session")
    yield instance
    instance.finish()


@pytest.fixture
def desktop(session):
    instance = Desktop(session)
    yield instance
    instance.process.kill()
