#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Proves that a bare Debian with git alone builds, demonstrates and tests Bellwire: tests/fresh-debian.sh 12|13
#
# The last commit is cloned into a fresh Debian (debootstrap, chroot) where the two commands of the README run:
# deploy/quickstart.sh --once and tests/run.sh, then tests/packages.sh. On 13 the steps of the Dockerfile follow, each
# stage in a Debian of its own. Needs root, debootstrap and a Debian mirror. Every process in there ends with the script.
#
# BELLWIRE_FRESH_DIR      where the systems and downloaded packages are kept (/var/tmp/bellwire-fresh)
# BELLWIRE_DEBIAN_MIRROR  the mirror; by default the first that this machine's apt uses
# BELLWIRE_FRESH_STEPS    what to do, of: quickstart tests packages docker (all)
set -eu

case ${1:-} in
12) release=12 codename=bookworm steps="quickstart tests packages" ;;
13) release=13 codename=trixie steps="quickstart tests packages docker" ;;
*) echo "usage: tests/fresh-debian.sh 12|13" >&2 && exit 2 ;;
esac
steps=${BELLWIRE_FRESH_STEPS:-$steps}
source_dir=$(cd "$(dirname "$0")/.." && pwd)
work_dir=${BELLWIRE_FRESH_DIR:-/var/tmp/bellwire-fresh}/$release

# Mounts and processes live in namespaces of their own, which the kernel clears when this script ends.
if [ "${BELLWIRE_FRESH_INSIDE:-}" != 1 ]; then
	[ "$(id -u)" -eq 0 ] || { echo "fresh-debian.sh: must run as root" >&2 && exit 1; }
	command -v debootstrap >/dev/null || { echo "fresh-debian.sh: apt-get install debootstrap" >&2 && exit 1; }
	mkdir -p "$work_dir"
	exec 9>"$work_dir/lock"
	flock -n 9 || { echo "fresh-debian.sh: another one runs for Debian $release" >&2 && exit 1; }
	BELLWIRE_FRESH_INSIDE=1 exec unshare --mount --pid --fork --kill-child --propagation private "$0" "$release"
fi

say() {
	printf '\n=== Debian %s: %s\n' "$release" "$*"
}

mirror() {
	first=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		grep '/debian/*$' | head -n 1)
	echo "${BELLWIRE_DEBIAN_MIRROR:-${first:-http://deb.debian.org/debian}}"
}

# Made once, and complete or not there at all.
make_base() {
	[ -d "$work_dir/base" ] && return
	say "debootstrap $codename"
	rm -rf "$work_dir/base.new"
	debootstrap --variant=minbase --include=git,ca-certificates "$codename" "$work_dir/base.new" "$(mirror)"
	mv "$work_dir/base.new" "$work_dir/base"
}

# fresh_system NAME: a new copy of the base system, mounted, with this machine's way to the mirror.
fresh_system() {
	root=$work_dir/$1
	rm -rf "$root"
	cp -a "$work_dir/base" "$root"
	cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
	apt-config dump Acquire | grep -E '^Acquire::(http|https|ftp|Check|Retries|ForceIP)' \
		>"$root/etc/apt/apt.conf.d/90host" || true
	# Kept between runs, so that the packages come from the mirror once.
	mkdir -p "$work_dir/archives/partial"
	echo 'APT::Keep-Downloaded-Packages "true";' >"$root/etc/apt/apt.conf.d/91keep"
	# Its root is a mount, as that of a machine is: tests make mount namespaces in there.
	mount --bind "$root" "$root"
	mount --bind "$work_dir/archives" "$root/var/cache/apt/archives"
	mount -t proc proc "$root/proc"
	mount --rbind /dev "$root/dev"
	mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
	mount -t tmpfs -o mode=755 tmpfs "$root/run"
}

# inside ROOT COMMAND...: as a login on that machine would, with none of this one's environment.
inside() {
	inside_root=$1 && shift
	env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb \
		chroot "$inside_root" "$@"
}

clone_into() {
	git -C "$source_dir" bundle create --quiet "$1/root/bellwire.bundle" HEAD
	inside "$1" git -c advice.detachedHead=false clone --quiet /root/bellwire.bundle /root/bellwire
	rm "$1/root/bellwire.bundle"
}

readme_commands() {
	fresh_system readme
	clone_into "$work_dir/readme"
	for step in $steps; do
		case $step in
		quickstart) command="./deploy/quickstart.sh --once" ;;
		tests) command="./tests/run.sh" ;;
		packages) command="BELLWIRE_DISPOSABLE=1 ./tests/packages.sh" ;;
		*) continue ;;
		esac
		say "$command"
		inside "$work_dir/readme" sh -c "cd /root/bellwire && $command"
	done
}

# The Dockerfile's two stages; then the relay runs as the image would run it and must find itself healthy.
docker_stages() {
	say "docker/build.sh"
	fresh_system docker-build
	clone_into "$work_dir/docker-build"
	inside "$work_dir/docker-build" /root/bellwire/docker/build.sh /out

	say "docker/install-runtime.sh"
	fresh_system docker-run
	cp "$source_dir/deploy/install-packages.sh" "$source_dir/docker/install-runtime.sh" "$work_dir/docker-run/tmp/"
	inside "$work_dir/docker-run" /tmp/install-runtime.sh /tmp/install-packages.sh
	cp -a "$work_dir/docker-build/out/." "$work_dir/docker-run/"
	say "the relay, healthy as user bellwire"
	inside "$work_dir/docker-run" setpriv --reuid bellwire --regid bellwire --clear-groups sh -euc '
		port=18080
		bellwire-relay --listen 127.0.0.1:$port --public-url http://127.0.0.1:$port &
		relay=$!
		tries=0
		until bellwire-relay health --listen 127.0.0.1:$port; do
			tries=$((tries + 1))
			[ $tries -lt 50 ] && kill -0 $relay
			sleep 0.2
		done
		kill $relay
		wait $relay'
}

cd /
make_base
readme_commands
case " $steps " in
*" docker "*) docker_stages ;;
esac
say "all went well"
