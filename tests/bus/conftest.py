# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a private session bus, and on it either the real daemon or the bus side alone."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from driver import Driver  # noqa: E402
from session import Caller, Session  # noqa: E402


@pytest.fixture
def session(tmp_path):
    instance = Session(tmp_path)
    yield instance
    instance.finish()


@pytest.fixture
def driver(request, session):
    """FLAGS of the module are its flags."""
    instance = Driver(session, *getattr(request.module, "FLAGS", ()))
    yield instance
    instance.finish()


@pytest.fixture
def caller(session):
    return Caller(session)
