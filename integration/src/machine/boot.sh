#!/bin/sh
# Boots the systemd of this machine as process 1 of a machine of its own, until standard input ends.
# usage: boot.sh DIRECTORY
#
# Its root is in memory: /usr, /etc and the list of packages of this machine with a layer above them,
# the rest empty. Process, mount, network, IPC, name and cgroup namespaces are its own. Says
# `booting PID` when systemd is about to start; ends with status 77 where the kernel does not allow it.
set -eu

cannot() {
    echo "cannot $1" >&2
    exit 77
}

# In its own mount namespace, so that a cgroup hierarchy can be mounted wherever that of the machine is.
outside() {
    mkdir -p "$here/cgroup" "$here/root"
    mount -t cgroup2 cgroup2 "$here/cgroup" || cannot "mount cgroup2"
    own=$here/cgroup/vane-test-$$
    mkdir "$own" || cannot "make a control group"
    unshare --mount --pid --fork --net --ipc --uts --cgroup true || cannot "make namespaces"
    trap clean EXIT
    (
        echo 0 >"$own/cgroup.procs"
        exec unshare --mount --propagation private --pid --fork --kill-child \
            --net --ipc --uts --cgroup sh "$0" inside "$here" </dev/null
    ) &
    machine=$!
    # The end of whoever started this is the end of the machine, however it came.
    (
        cat >/dev/null
        kill -KILL "$machine"
    ) <&3 3<&- 2>/dev/null &
    life=$!
    status=0
    wait "$machine" || status=$?
    kill "$life" 2>/dev/null || true
}

clean() {
    # Processes of a namespace that has ended are gone soon, but not at once.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        find "$own" -depth -type d -exec rmdir {} + 2>/dev/null || true
        if [ ! -d "$own" ]; then break; fi
        sleep 0.1
    done
    exit "${status:-77}"
}

inside() {
    # Read while /proc is that of the machine outside.
    read -r pid _ </proc/self/stat
    mount -t tmpfs -o mode=755 tmpfs "$here/root" || cannot "mount tmpfs"
    cd "$here/root"
    mkdir -p usr etc var/lib/dpkg var/log var/tmp proc sys dev run tmp root home .layers
    chmod 1777 tmp var/tmp
    layer usr
    layer etc
    if [ -d /var/lib/dpkg ]; then layer var/lib/dpkg; fi
    for directory in bin sbin lib lib64; do ln -s "usr/$directory" "$directory"; done
    kernel
    furnish
    mkdir .outside
    pivot_root . .outside || cannot "change the root"
    umount -l /.outside
    rmdir /.outside
    cd /
    echo "booting $pid"
    exec env -i container=vane-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd --log-target=journal --show-status=false
}

layer() {
    mkdir -p ".layers/$1/upper" ".layers/$1/work"
    mount -t overlay overlay \
        -o "lowerdir=/$1,upperdir=$PWD/.layers/$1/upper,workdir=$PWD/.layers/$1/work" "$1" ||
        cannot "mount an overlay"
}

# Settings of the kernel that no namespace holds stay as they are.
kernel() {
    mount -t proc proc proc || cannot "mount proc"
    mount --bind proc/sys proc/sys
    mount -o remount,bind,ro proc/sys
    mount -t sysfs -o ro sysfs sys || cannot "mount sysfs"
    mount -t cgroup2 cgroup2 sys/fs/cgroup || cannot "mount cgroup2 inside"
    mount -t tmpfs -o mode=755 tmpfs dev
    for node in null zero full random urandom tty; do
        : >"dev/$node"
        mount --bind "/dev/$node" "dev/$node"
    done
    mkdir dev/pts dev/shm
    mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
    ln -s pts/ptmx dev/ptmx
    mount -t tmpfs -o mode=1777 tmpfs dev/shm
    mount -t tmpfs -o mode=755 tmpfs run
}

# Of what the machine outside starts, only the journal and what makes its directories.
furnish() {
    rm -rf etc/systemd/system etc/vaned etc/default/vaned usr/sbin/policy-rc.d
    mkdir -p etc/systemd/system var/lib/systemd
    : >etc/fstab
    : >etc/machine-id
    ln -sf /lib/systemd/system/multi-user.target etc/systemd/system/default.target
    units=usr/lib/systemd/system
    for target in sysinit local-fs multi-user timers sockets; do
        rm -rf "$units/$target.target.wants"
        mkdir "$units/$target.target.wants"
    done
    for unit in systemd-journald systemd-tmpfiles-setup; do
        ln -s "../$unit.service" "$units/sysinit.target.wants/"
    done
    for unit in systemd-journald systemd-journald-dev-log; do
        ln -s "../$unit.socket" "$units/sockets.target.wants/"
    done
    ln -s /dev/null etc/systemd/system/systemd-journald-audit.socket
}

if [ "$1" = inside ]; then
    here=$2
    inside
elif [ "$1" = outside ]; then
    here=$2
    exec 3<&0
    outside
else
    unshare --mount --propagation private true || cannot "make a mount namespace"
    exec unshare --mount --propagation private sh "$0" outside "$1"
fi
