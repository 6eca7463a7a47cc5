/** Name of the virtio serial port that the agent listens on. */
export const agentPort = 'ipvtap.lab.agent';

/**
 * The first program in a lab guest, for busybox's shell. The guest is an ordinary Linux: nothing of its
 * network is set but what the kernel command line asks for, so duplicate address detection, router
 * advertisements and the rest are as the kernel has them.
 *
 *     lab.sysctl=net/ipv6/conf/eth0/autoconf=0,…   settings, written before any device is up
 *     lab.ip=eth0@192.0.2.11/24,eth0@2001:db8::b/64  addresses; the devices named are brought up
 *     lab.up=eth0,…                                devices to bring up without an address
 *     lab.via=192.0.2.1,2001:db8::1                default routers
 *
 * Then it serves commands on a virtio serial port, one at a time. Not on a virtio console: QEMU drops a
 * console's output when the reader is slow, and a port's writer waits. A command and its end are
 *
 *     to the guest:    <id> <seconds> <script in base64>\n
 *     from the guest:  <whatever it prints>\n@@<id> <exit status>\n
 */
export const guestInit = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts
mount -t devpts pts /dev/pts
echo 1 > /proc/sys/kernel/printk

# Loading them by path and in order is quicker than having modprobe look for them.
for module in $(cat /etc/modules); do
	insmod /lib/modules/$(uname -r)/$module.ko || echo "lab: cannot load $module"
done

# A driver may still be finding its device.
appear() {
	for _ in $(seq 100); do
		[ -e /sys/class/net/$1 ] && return
		usleep 20000
	done
	echo "lab: no device $1"
}

ip link set lo up
for word in $(cat /proc/cmdline); do
	values=$(echo "\${word#*=}" | tr , ' ')
	case $word in
	lab.sysctl=*)
		for value in $values; do
			case $value in net/ipv?/conf/*)
				device=\${value#net/ipv?/conf/}
				appear \${device%%/*}
			esac
			echo \${value#*=} > /proc/sys/\${value%%=*}
		done ;;
	esac
done
for word in $(cat /proc/cmdline); do
	values=$(echo "\${word#*=}" | tr , ' ')
	case $word in
	lab.ip=*)
		for value in $values; do
			appear \${value%@*}
			ip addr add \${value#*@} dev \${value%@*}
			ip link set \${value%@*} up
		done ;;
	lab.up=*)
		for value in $values; do
			appear $value
			ip link set $value up
		done ;;
	esac
done
for word in $(cat /proc/cmdline); do
	case $word in
	lab.via=*)
		for value in $(echo "\${word#*=}" | tr , ' '); do
			ip route add default via $value
		done ;;
	esac
done

echo "lab: ready after $(cut -d' ' -f1 /proc/uptime) s"
port=
while [ -z "$port" ]; do
	for path in /sys/class/virtio-ports/*; do
		[ "$(cat $path/name 2> /dev/null)" = ${agentPort} ] && port=/dev/\${path##*/}
	done
	[ -n "$port" ] || usleep 10000
done
exec <>$port >&0 2>&1
# Waits until the host has connected; before that, reading would find the end of the file.
printf '\\n@@hello 0\\n'
while read -r id seconds script; do
	echo "$script" | base64 -d > /tmp/command
	setsid timeout -s KILL $seconds sh /tmp/command < /dev/null &
	wait $!
	status=$?
	# What a script that took too long has started must not print into the next one's answer.
	[ $status = 137 ] && kill -9 -$! 2> /dev/null
	printf '\\n@@%s %d\\n' "$id" $status
done
poweroff -f
`;
