# SPDX-License-Identifier: Apache-2.0
"""What the scenarios share: a real relay, raw sockets, a device, a sender, a private Redis."""
