#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that Bellwire needs, as root or through sudo; silent when all are there.
#
#   deploy/install-packages.sh build|demo|package|test|runtime|docker-build...
#
# build         compiler, CMake and the libraries' headers
# demo          a session bus, for deploy/quickstart.sh
# package       what deploy/package.sh needs beside that
# test          what tests/run.sh needs beside that: cmocka, clang, a redis-server, Python modules
# runtime       the shared libraries alone, for a machine that gets the programs from elsewhere
# docker-build  what docker/build.sh needs
#
# Written for Debian 12 and 13. BELLWIRE_SKIP_PACKAGES=1 makes it do nothing, for those who install by other means.
set -eu

build_packages() {
	echo gcc libc6-dev cmake ninja-build pkg-config \
		libwebsockets-dev libwebsockets-evlib-ev libev-dev libhiredis-dev libjansson-dev libinih-dev \
		libqrencode-dev libsqlite3-dev libssl-dev libsystemd-dev libcurl4-openssl-dev
}

test_packages() {
	echo git libcmocka-dev redis-server openssl curl iproute2 procps util-linux mount \
		clang clang-format llvm libclang-rt-dev \
		dbus dbus-daemon xdg-dbus-proxy python3-dbus python3-dbusmock python3-gi \
		python3 python3-pytest python3-websockets python3-cryptography python3-requests
}

# Libraries carry their ABI in the package name, so these differ between releases.
runtime_packages() {
	common="ca-certificates libwebsockets-evlib-ev libjansson4 libinih1 libqrencode4 libsqlite3-0 libsystemd0"
	case $(debian_release) in
	12) echo "$common" libwebsockets17 libev4 libhiredis0.14 libssl3 libcurl4 ;;
	*) echo "$common" libwebsockets19t64 libev4t64 libhiredis1.1.0 libssl3t64 libcurl4t64 ;;
	esac
}

debian_release() {
	# shellcheck disable=SC1091
	(VERSION_ID=none && . /etc/os-release && echo "$VERSION_ID")
}

packages_of() {
	for group in "$@"; do
		case $group in
		build | docker-build) build_packages ;;
		demo) echo dbus-daemon ;;
		package) echo dpkg-dev file ;;
		test) build_packages && test_packages ;;
		runtime) runtime_packages ;;
		*) echo "usage: install-packages.sh build|demo|package|test|runtime|docker-build..." >&2 && exit 2 ;;
		esac
	done
}

# Prints those of the named packages that are not installed.
missing_of() {
	for package in "$@"; do
		case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true) in
		"install ok installed") ;;
		*) printf '%s ' "$package" ;;
		esac
	done
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

can_be_root() {
	[ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null 2>&1
}

# apt starts the services that it installs. The tests run a redis-server of their own, so a policy forbids it
# meanwhile; a policy that the machine already has stays in force.
forbid_services() {
	policy=/usr/sbin/policy-rc.d
	[ -e $policy ] && return
	as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy"
	trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
	trap 'exit 130' INT TERM
}

# What was installed for the tests alone must not start at the next boot either.
disable_redis() {
	case " $* " in
	*" redis-server "*)
		if command -v systemctl >/dev/null 2>&1; then
			as_root systemctl disable redis-server >/dev/null 2>&1 || true
		fi
		;;
	esac
}

install_missing() {
	echo "installing: $*" >&2
	forbid_services
	as_root apt-get update -qq >/dev/null
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		-o Dpkg::Use-Pty=0 "$@" >/dev/null
	disable_redis "$@"
}

[ $# -gt 0 ] || packages_of ""
[ "${BELLWIRE_SKIP_PACKAGES:-0}" = 1 ] && exit 0
if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-query >/dev/null 2>&1; then
	echo "install-packages.sh: this is no Debian system; install the likes of these, then set BELLWIRE_SKIP_PACKAGES=1:" >&2
	packages_of "$@" >&2
	exit 1
fi
wanted=$(packages_of "$@")
# shellcheck disable=SC2086
missing=$(missing_of $wanted)
[ -n "$missing" ] || exit 0
if ! can_be_root; then
	echo "install-packages.sh: root is needed for: apt-get install $missing" >&2
	echo "install-packages.sh: run it as root, or install sudo" >&2
	exit 1
fi
# shellcheck disable=SC2086
install_missing $missing
