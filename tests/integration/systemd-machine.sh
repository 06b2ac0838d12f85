#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A machine with systemd as its first process, made of this one's programs: systemd-machine.sh FOLDER NAME, in a network namespace of its own.
#
# FOLDER holds `layer` (a mount: what the machine writes), `installed` (copied over its root), `state` (its /var/lib/cube) and an empty `root`. It sees
# this machine's files through an overlay and has namespaces and cgroups of its own; its first process is this one's only child and ends with it.
set -euo pipefail
top=$1 name=$2 root=$1/root

# Below the root of each hierarchy, where a machine would have all of it.
enter_cgroups () {
  local mount type options folder
  while read -r _ mount type options _; do
    case $type in cgroup|cgroup2) ;; *) continue ;; esac
    folder=$mount/$name
    if [ "$type" = cgroup2 ] && [ -e "$mount/cgroup.subtree_control" ]; then
      for controller in cpu cpuset memory pids; do
        echo +$controller 2>/dev/null >"$mount/cgroup.subtree_control" || true # not there, or there already
      done
    fi
    mkdir -p "$folder"
    case ,$options, in *,cpuset,*)
      cat "$mount/cpuset.cpus" >"$folder/cpuset.cpus"
      cat "$mount/cpuset.mems" >"$folder/cpuset.mems" ;;
    esac
    echo $$ >"$folder/cgroup.procs"
  done </proc/mounts
}

mount_cgroups () {
  local controllers folder
  if ! grep -qv '^0:' /proc/self/cgroup; then
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    return
  fi
  mount -t tmpfs -o mode=755 cgroups "$root/sys/fs/cgroup"
  while IFS=: read -r _ controllers _; do
    folder=$root/sys/fs/cgroup/${controllers#name=}
    mkdir -p "${folder%/}"
    case $controllers in
      '') mkdir -p "$root/sys/fs/cgroup/unified" && mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified" ;;
      name=*) mount -t cgroup -o "none,$controllers" cgroup "$folder" ;;
      *) mount -t cgroup -o "$controllers" cgroup "$folder" ;;
    esac
  done </proc/self/cgroup
}

mount_devices () {
  local device
  mount -t tmpfs -o mode=755 dev "$root/dev"
  for device in null zero full random urandom tty fuse; do
    if [ -e /dev/$device ]; then
      touch "$root/dev/$device"
      mount --bind /dev/$device "$root/dev/$device"
    fi
  done
  mkdir "$root/dev/pts" "$root/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
  mount -t tmpfs shm "$root/dev/shm"
  ln -s pts/ptmx "$root/dev/ptmx"
  ln -s /proc/self/fd "$root/dev/fd"
}

# Once: none of this machine's services and settings, Cube installed.
prepare () {
  local units=$root/etc/systemd/system unit
  rm -rf "$units"/*.wants "$root"/etc/rc?.d/* "$root"/var/lib/cni "$root"/etc/default/cube*
  for unit in systemd-sysctl systemd-modules-load systemd-binfmt systemd-udevd systemd-udev-trigger systemd-udev-settle systemd-networkd systemd-resolved; do
    ln -sf /dev/null "$units/$unit.service"
  done
  ln -sf /dev/null "$units/systemd-udevd-control.socket"
  ln -sf /dev/null "$units/systemd-udevd-kernel.socket"
  echo "$name" >"$root/etc/hostname"
  cp -a "$top/installed/." "$root/"
  touch "$top/prepared"
}

boot () {
  mount --make-rprivate /
  mount -t overlay -o "lowerdir=/,upperdir=$top/layer/upper,workdir=$top/layer/work" overlay "$root"
  [ -e "$top/prepared" ] || prepare
  mkdir -p "$root/var/lib/cube"
  mount --bind "$top/state" "$root/var/lib/cube"
  mount -t proc proc "$root/proc"
  mount -t sysfs sysfs "$root/sys"
  mount_cgroups
  mount -t tmpfs -o mode=755 run "$root/run"
  mount -t tmpfs tmp "$root/tmp"
  mount_devices
  cd "$root"
  mkdir -p before
  pivot_root . before
  umount -l /before
  exec env -i container=cube-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --log-target=journal-or-kmsg --show-status=no --unit=multi-user.target
}

if [ "${3:-}" = boot ]; then
  boot
else
  mkdir -p "$top/layer/upper" "$top/layer/work"
  enter_cgroups
  exec unshare --mount --pid --uts --ipc --cgroup --fork --kill-child -- "$0" "$top" "$name" boot
fi
