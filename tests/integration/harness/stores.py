# SPDX-License-Identifier: Apache-2.0
"""Marks for scenarios whose behaviour lies in the store: they run on every backend."""

import pytest

every_store = pytest.mark.parametrize("relay", ["memory", "sqlite", "redis"], indirect=True)
