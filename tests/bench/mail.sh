#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the release programs and prints how long new mail takes to the screen and to the user's command, and what a
# flood of changes costs.
#
#   tests/bench/mail.sh [MAILS [CHANGES]]     how many mails, one at a time (200), and changes in a minute (1000)
set -eu
cd "$(dirname "$0")/../.."
deploy/install-packages.sh build test
cmake --preset bench >/dev/null
cmake --build --preset bench -- --quiet
exec /usr/bin/python3 -B tests/bench/mail/run.py "$@"
