#!/bin/sh -e
# Builds a NIC that takes every rule of tc flower and carries out none, for TEST_NETDEVSIM (docs/testing.md): the kernel's
# own netdevsim, of the Debian kernel that tests boot, with what Linux itself has given it in 2026 (drivers/net/netdevsim/tc.c).
#
#     test/netdevsim.sh FOLDER      leaves psample.ko and netdevsim.ko there; takes gcc-12, make and 230 MB of packages
mkdir -p "$1"
folder=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
image=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-\S*\)/\1/p')
version=${image#linux-image-}
common=${version%-amd64}-common
apt-get download "$image" "linux-headers-$version" "linux-headers-$common" linux-kbuild-6.1 linux-source-6.1
for package in linux-headers-* linux-kbuild-*; do dpkg-deb -x "$package" .; done
dpkg-deb --fsys-tarfile linux-image-* | tar -xO --wildcards './lib/modules/*/psample.ko' > "$folder/psample.ko"
dpkg-deb --fsys-tarfile linux-source-* | tar -xO ./usr/src/linux-source-6.1.tar.xz |
	tar -xJ --strip-components=4 --wildcards '*/drivers/net/netdevsim/*' --one-top-level=netdevsim
sed -i 's/return \(nsim_bpf_setup_tc_block_cb(\)/return type == TC_SETUP_CLSFLOWER ? 0 : \1/' netdevsim/netdev.c
grep -q TC_SETUP_CLSFLOWER netdevsim/netdev.c
sed -i "s|/usr/src/|$work&|" "usr/src/linux-headers-$version/Makefile"
make -C "usr/src/linux-headers-$version" M="$work/netdevsim" CONFIG_NETDEVSIM=m CONFIG_PSAMPLE=m modules
strip --strip-debug -o "$folder/netdevsim.ko" netdevsim/netdevsim.ko
