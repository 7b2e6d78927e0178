# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a driver of hooks without a bus, and one on a private session bus."""

import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[2]
for folder in ("integration", "bus"):
    sys.path.insert(0, str(TESTS / folder))

from scripted_hooks import Hooks  # noqa: E402
from session import Session  # noqa: E402


@pytest.fixture
def hooks(tmp_path):
    """hooks(config, **env) starts one; it must end well."""
    made = []

    def start(config, **env):
        made.append(Hooks(tmp_path, config, env))
        return made[-1]

    yield start
    for one in made:
        one.finish()


@pytest.fixture
def session(tmp_path):
    instance = Session(tmp_path / "session")
    yield instance
    instance.finish()
