#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the Debian packages, installs, uses, upgrades and purges them, and looks at what is left. As root, and only on a
# machine that may be changed: tests/fresh-debian.sh runs it in its fresh one.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${BELLWIRE_DISPOSABLE:-0}" != 1 ]; then
	echo "packages.sh installs and purges packages; set BELLWIRE_DISPOSABLE=1 where that does no harm" >&2
	exit 2
fi

fail() {
	echo "packages.sh: $*" >&2
	exit 1
}
# dpkg refuses services where there is no init; the maintainer scripts must bear that too.
install_all() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }

./deploy/package.sh
rm -rf build/packages-newer && mkdir build/packages-newer
(cd build/package && cpack -G DEB -D CPACK_PACKAGE_VERSION=0.1.1 -B "$PWD/../packages-newer" >/dev/null)

echo "== install"
install_all ./build/package/*_0.1.0_*.deb
for program in bellwire bellwire-relay bellwire-distributor; do
	"/usr/bin/$program" --version | grep -q "$program 0.1.0" || fail "$program does not run"
	man -w "$program" >/dev/null 2>&1 || ls /usr/share/man/man?/"$program".? >/dev/null || fail "$program has no manual"
done
[ -f /etc/bellwire/relay.conf ] || fail "there is no /etc/bellwire/relay.conf"
[ -L /etc/systemd/user/default.target.wants/bellwire-distributor.service ] || ! command -v systemctl >/dev/null ||
	fail "the distributor is not started at login"
bellwire-relay --config /etc/bellwire/relay.conf --public-url https://push.example --check-config >/dev/null ||
	fail "the sample configuration is not good"

echo "== upgrade keeps what the operator wrote"
echo "public_url = https://push.example" >>/etc/bellwire/relay.conf
mkdir -p /var/lib/bellwire && touch /var/lib/bellwire/relay.db
install_all -o Dpkg::Options::=--force-confold ./build/packages-newer/*_0.1.1_*.deb
grep -q "^public_url = https://push.example" /etc/bellwire/relay.conf || fail "the upgrade overwrote relay.conf"
[ -f /var/lib/bellwire/relay.db ] || fail "the upgrade removed the queue"
dpkg-query -W -f '${Version}\n' bellwire-relay | grep -qx 0.1.1 || fail "0.1.1 is not installed"

echo "== remove keeps configuration and queue, purge leaves nothing"
apt-get remove -y -qq bellwire bellwire-relay bellwire-distributor >/dev/null
[ -f /etc/bellwire/relay.conf ] || fail "remove took the configuration"
[ -f /var/lib/bellwire/relay.db ] || fail "remove took the queue"
apt-get purge -y -qq bellwire bellwire-relay bellwire-distributor >/dev/null
for left in /etc/bellwire /var/lib/bellwire /usr/bin/bellwire /usr/lib/systemd/user/bellwire-distributor.service \
	/etc/xdg/autostart/bellwire-distributor.desktop /etc/systemd/user/default.target.wants/bellwire-distributor.service; do
	[ ! -e "$left" ] && [ ! -L "$left" ] || fail "$left is left behind"
done
echo "packages install, upgrade, remove and purge cleanly"
