# SPDX-License-Identifier: Apache-2.0
"""Register with what breaks the data rules: refused, answered at once, and nothing is kept."""

import dbus
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from session import SUCCEEDED, failed

import base64

SERVICE = "org.example.App"
V2 = "org.unifiedpush.Distributor2"
REFUSED = failed("INTERNAL_ERROR")


def point():
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize("token", ["x" * 100, "{2a9c7f0e-6a0b-4f6e-9a53-1e6d8a3b5c70}", "two words", "a/../b\n\x01", "ä" * 50])
def test_token_is_accepted(driver, caller, token):
    assert caller.register(SERVICE, token) == SUCCEEDED


@pytest.mark.parametrize("token", ["", "x" * 101, "ä" * 51, "x" * 100000])
def test_token_is_refused(driver, caller, token):
    assert caller.register(SERVICE, token) == REFUSED
    assert caller.register_v1(SERVICE, token) == ("REGISTRATION_FAILED", "INTERNAL_ERROR")
    assert driver.events("registered") == []


@pytest.mark.parametrize(
    "service", ["", "org", ".a.b", "a..b", "a.b.", "a.2b", "a b.c", "a.b'c", "org.freedesktop.DBus", "x." * 200 + "x"]
)
def test_service_is_refused(driver, caller, service):
    assert caller.register(service, "token") == REFUSED
    assert caller.register_v1(service, "token") == ("REGISTRATION_FAILED", "INTERNAL_ERROR")
    assert driver.events("registered") == []


def test_our_own_name_is_no_app(driver, caller):
    assert caller.register("org.unifiedpush.Distributor.bellwire", "token") == REFUSED


def test_key_is_normalised(driver, caller):
    data = point()
    for i, text in enumerate([base64url(data), base64.b64encode(data).decode(), base64url(data) + "="]):
        assert caller.register(SERVICE, f"token{i}", vapid=text) == SUCCEEDED
    assert [e["vapid"] for e in driver.wait("registered", 3)] == [base64url(data)] * 3


def test_key_is_refused(driver, caller):
    data = bytearray(point())
    off_curve = bytes(data[:64]) + bytes([data[64] ^ 1])
    for text in [base64url(data)[:86], "A" * 87, base64url(off_curve), base64url(b"\2" + data[1:]), "é", "x" * 5000]:
        assert caller.register(SERVICE, "token", vapid=text) == REFUSED
    assert driver.events("registered") == []


@pytest.mark.parametrize("key", ["service", "token", "description", "vapid"])
@pytest.mark.parametrize("value", [dbus.Int32(1), dbus.ByteArray(b"x"), dbus.Array([], "s"), dbus.String("x", variant_level=2)])
def test_wrong_type_is_an_error(driver, caller, key, value):
    wish = {"service": SERVICE, "token": "token", key: value}
    with pytest.raises(dbus.DBusException) as error:
        caller.call(V2, "Register", "a{sv}", wish)
    assert error.value.get_dbus_name() == "org.freedesktop.DBus.Error.InvalidArgs"
    assert driver.events("registered") == []


def test_missing_keys_are_refused(driver, caller):
    for wish in [{}, {"token": "token"}, {"service": SERVICE}]:
        (answer,) = caller.call(V2, "Register", "a{sv}", dbus.Dictionary(wish, "sv"))
        assert answer["success"] == "REGISTRATION_FAILED" and answer["reason"] == "INTERNAL_ERROR"
    with pytest.raises(dbus.DBusException):
        caller.call(V2, "Unregister", "a{sv}", dbus.Dictionary({}, "sv"))


def test_unknown_keys_count_as_absent(driver, caller):
    extra = {
        "future": dbus.Dictionary({"a": dbus.Array([1, 2], "i")}, "sv"),
        "nested": dbus.Struct((1, "x"), variant_level=3),
        "Token": "other",
        "": dbus.Boolean(True),
    }
    assert caller.register(SERVICE, "token", description="d", **extra) == SUCCEEDED


@pytest.mark.parametrize("interface,signature,arguments", [
    (V2, "sss", ("a.b", "token", "d")),
    (V2, None, ()),
    ("org.unifiedpush.Distributor1", "a{sv}", ({"token": "x"},)),
    ("org.unifiedpush.Distributor1", "ssss", ("a.b", "token", "d", "key")),
])
def test_wrong_signature_is_an_error(driver, caller, interface, signature, arguments):
    with pytest.raises(dbus.DBusException) as error:
        caller.call(interface, "Register", signature, *arguments)
    assert error.value.get_dbus_name() == "org.freedesktop.DBus.Error.InvalidArgs"
