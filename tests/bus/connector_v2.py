# SPDX-License-Identifier: Apache-2.0
"""A version 2 app, as KDE's library behaves: dictionaries both ways, the id comes back as acknowledgement."""

import connector
import dbus
import dbus.lowlevel


class ConnectorV2(connector.Connector):
    interface = "org.unifiedpush.Connector2"

    def read(self, member, arguments):
        (facts,) = arguments
        if "message" in facts:
            assert facts["message"].__class__ is dbus.ByteArray, "message must be ay"
        return connector.plain(facts)

    def empty_return(self):
        return ("a{sv}", {})

    def message_return(self, behaviour, facts):
        if behaviour == "empty" or "id" not in facts:
            return ("a{sv}", {})
        return ("a{sv}", {"id": facts["id"] if behaviour == "id" else "another"})

    def register_message(self, token):
        message = dbus.lowlevel.MethodCallMessage(
            connector.DISTRIBUTOR, connector.DISTRIBUTOR_PATH, "org.unifiedpush.Distributor2", "Register"
        )
        wish = {"service": self.service, "token": token, "description": "connector 2"}
        if self.options.vapid:
            wish["vapid"] = self.options.vapid
        message.append(wish, signature="a{sv}")
        return message


if __name__ == "__main__":
    connector.main(ConnectorV2, 2)
