# SPDX-License-Identifier: Apache-2.0
"""What Introspect tells equals distributor/bus/interfaces, and comes within milliseconds."""

import pathlib
import time
import xml.etree.ElementTree

import pytest

INTERFACES = pathlib.Path(__file__).resolve().parents[2] / "distributor/bus/interfaces"


def members(interface):
    """Methods with their arguments and annotations, in order."""
    result = []
    for method in interface.findall("method"):
        arguments = [(a.get("name"), a.get("type"), a.get("direction")) for a in method.findall("arg")]
        notes = [(n.get("name"), n.get("value")) for n in method.findall("annotation")]
        result.append((method.get("name"), arguments, notes))
    return result


@pytest.mark.parametrize("name", ["org.unifiedpush.Distributor1", "org.unifiedpush.Distributor2"])
def test_introspection_equals_the_interface_file(driver, caller, name):
    told = xml.etree.ElementTree.fromstring(caller.introspect())
    written = xml.etree.ElementTree.parse(INTERFACES / f"{name}.xml").getroot()
    find = f"interface[@name='{name}']"
    assert members(told.find(find)) == members(written.find(find)) != []


def test_introspection_is_fast(driver, caller):
    times = []
    for _ in range(200):
        before = time.monotonic()
        caller.introspect()
        times.append(time.monotonic() - before)
    assert sorted(times)[100] < 0.01, sorted(times)
