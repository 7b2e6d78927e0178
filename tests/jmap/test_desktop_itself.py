# SPDX-License-Identifier: Apache-2.0
"""The mocks on the session bus of a person: what is shown and closed is told truly, and the keyring keeps secrets."""

import dbus
import pytest
from desktop import NOTIFICATIONS, OBJECT
from mail import SECRETS_OBJECT

ATTRIBUTES = dbus.Dictionary({"application": "test", "login": "work"}, "ss")
ITEM = "org.freedesktop.Secret.Item"
LABEL = dbus.Dictionary({f"{ITEM}.Label": "a label", f"{ITEM}.Attributes": ATTRIBUTES}, "sv")


def test_notices_are_told_truly(start_person):
    person = start_person()
    connection = person.session.connect()
    server = dbus.Interface(connection.get_object(NOTIFICATIONS, OBJECT), NOTIFICATIONS)
    assert "actions" in server.GetCapabilities()

    def notify(replaces, title, *actions):
        return server.Notify("Bellwire", replaces, "icon", title, "text", actions, {"urgency": dbus.Byte(1)}, -1)

    first, second = notify(0, "one", "default", "Open", "read", "Mark as read"), notify(0, 'tw"o\n\u202e')
    assert notify(first, "one again") == first
    notices = person.desktop.notices()
    assert [(n.id, n.title) for n in notices] == [(first, "one"), (second, 'tw"o\n\u202e'), (first, "one again")]
    assert notices[0].actions == {"default": "Open", "read": "Mark as read"}
    assert person.desktop.wait("again") == notices[2:] and person.desktop.withdrawn() == []
    server.CloseNotification(second)
    assert person.desktop.withdrawn() == [second]


@pytest.mark.parametrize("is_locked", [False, True])
def test_keyring_keeps_secrets(start_person, is_locked):
    keyring = start_person().start_keyring(locked=is_locked)
    service = keyring.object(SECRETS_OBJECT, "Service")
    _, session = service.OpenSession("plain", dbus.String("", variant_level=1))
    collection = service.ReadAlias("default")
    if is_locked:
        _, prompt = service.Unlock([collection])
        keyring.object(prompt, "Prompt").Prompt("")
    assert service.Unlock([collection])[1] == "/"
    secret = dbus.Struct((session, dbus.ByteArray(b""), dbus.ByteArray(b"pass word"), "text/plain"), signature="oayays")
    item, _ = keyring.object(collection, "Collection").CreateItem(LABEL, secret, True)
    again, _ = keyring.object(collection, "Collection").CreateItem(LABEL, secret, True)
    assert again == item and keyring.find(login="work") == [item] and keyring.find(login="home") == []
    assert keyring.secret(item) == b"pass word"
    keyring.object(item, "Item").Delete()
    assert keyring.find(login="work") == []
