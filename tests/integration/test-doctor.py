#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cube doctor on a machine that lacks things, as root, in namespaces of its own: test-doctor.py CUBE. TAP."""
import json
import os
import socket
import sys
import tempfile

from cluster import isolate, report, run

CUBE = os.path.realpath(sys.argv[1]) if len(sys.argv) > 1 else ""


def doctor(*options, before=(), data_dir=None, runtime="cri"):
    done = run(*before, CUBE, "doctor", "-o", "json", "--runtime", runtime, "--data-dir", data_dir or "/var/lib/cube-test-doctor", *options, check=False)
    report = json.loads(done.stdout)
    assert report["ok"] == (done.returncode == 0), done
    for check in report["checks"]:
        assert check["result"] == "ok" or (check["found"] and check["wanted"] and check["remedy"]), check
    return {check["name"]: check for check in report["checks"]}


def expect(check, result, *words):
    assert check["result"] == result, check
    for word in words:
        assert word in check["found"] + check["remedy"], f"{word} in {check}"


def hidden(folder):
    """Runs what follows without the content of a folder."""
    return ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {folder} && exec "$@"', "sh")


def a_fit_machine_has_no_problem():
    checks = doctor()
    assert [c for c in checks.values() if c["result"] == "problem"] == [], checks
    for name in ("namespaces", "overlayfs", "links", "nftables", "cgroups", "containerd", "runc", "CNI plugins"):
        expect(checks[name], "ok")


def nothing_stays():
    links, tables, mounts = run("ip", "-o", "link").stdout, run("nft", "list", "tables").stdout, run("findmnt", "-rno", "TARGET").stdout
    folders = [set(os.listdir(folder)) for folder in ("/var/lib", "/tmp", "/sys/fs/cgroup/pids" if os.path.isdir("/sys/fs/cgroup/pids") else "/sys/fs/cgroup")]
    doctor()
    assert run("ip", "-o", "link").stdout == links
    assert run("nft", "list", "tables").stdout == tables
    assert run("findmnt", "-rno", "TARGET").stdout == mounts
    assert "cube-test-doctor" not in os.listdir("/var/lib")
    new = set(os.listdir("/var/lib")) - folders[0]
    assert not any("doctor" in name for name in new), new


def missing_cni_plugins():
    expect(doctor(before=hidden("/usr/lib/cni"))["CNI plugins"], "problem", "portmap", "apt-get install containernetworking-plugins")


def without_rights():
    checks = doctor(before=("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"))
    expect(checks["rights"], "problem", "CAP_NET_ADMIN", "privileged")
    checks = doctor(before=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"), data_dir="/tmp/cube-test-nobody")
    expect(checks["rights"], "problem", "--runtime sim")
    expect(checks["namespaces"], "warning", "as root")
    checks = doctor(before=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"), data_dir="/tmp/cube-test-nobody", runtime="sim")
    assert "rights" not in checks and checks["data directory"]["result"] == "ok", checks


def kernel_settings_that_cannot_be_changed():
    script = 'echo 0 > /proc/sys/net/ipv4/ip_forward; mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$@"'
    expect(doctor(before=("unshare", "--mount", "--net", "sh", "-c", script, "sh"))["forwarding"], "problem", "sysctl -w net.ipv4.ip_forward=1")
    checks = doctor(before=("unshare", "--mount", "sh", "-c", 'for m in $(findmnt -rno TARGET | grep ^/sys/fs/cgroup | sort -r); do umount -l $m; done; exec "$@"', "sh"))
    expect(checks["cgroups"], "problem", "not mounted", "mount -t cgroup2")


def ports_and_ranges_of_others():
    script = 'ip link set lo up; ip link add v0 type veth peer name v1; ip addr add 10.96.3.1/24 dev v0; ip link set v0 up; ip link set v1 up; exec "$@"'
    expect(doctor(before=("unshare", "--net", "sh", "-c", script, "sh"))["address ranges"], "warning", "10.96.3.0/24 by v0", "serviceCIDR")
    with socket.create_server(("127.0.0.1", 30077)):
        expect(doctor()["node ports"], "warning", "30077", f"(pid {os.getpid()})")
    script = 'echo "29000 31000" > /proc/sys/net/ipv4/ip_local_port_range; exec "$@"'
    expect(doctor(before=("unshare", "--net", "sh", "-c", script, "sh"))["node ports"], "warning", "30000 to 31000", "ip_local_port_range")


def disks_that_do_not_fit():
    with tempfile.TemporaryDirectory(prefix="cube-test-") as folder:
        script = f'mount -t tmpfs -o size=8m none {folder} && exec "$@"'
        checks = doctor(before=("unshare", "--mount", "sh", "-c", script, "sh"), data_dir=os.path.join(folder, "cluster"))
        expect(checks["data directory"], "warning", "tmpfs")
        expect(checks["disk space"], "problem", "--data-dir")
        lower, upper, work, merged = (os.path.join(folder, name) for name in ("lower", "upper", "work", "merged"))
        for path in (lower, upper, work, merged):
            os.mkdir(path)
        script = f'mount -t overlay -o lowerdir={lower},upperdir={upper},workdir={work} none {merged} && exec "$@"'
        expect(doctor(before=("unshare", "--mount", "sh", "-c", script, "sh"), data_dir=merged)["overlayfs"], "problem", "on ext4 or xfs")


def a_chroot_that_is_no_mount():
    with tempfile.TemporaryDirectory(prefix="cube-test-") as folder:
        binds = " ".join(f"mkdir -p {folder}{path}; mount --rbind {path} {folder}{path};" for path in ("/usr", "/etc", "/proc", "/sys", "/dev", os.path.dirname(CUBE)))
        links = " ".join(f"ln -s usr/{name} {folder}/{name};" for name in ("bin", "sbin", "lib", "lib64"))
        script = f'{binds} {links} mkdir -p {folder}/run {folder}/tmp {folder}/var/lib; exec chroot {folder} "$@"'
        before = ("unshare", "--mount", "sh", "-c", script, "sh")
        checks = doctor(before=before)
        expect(checks["root folder"], "problem", "chroot", "mount --bind")
        expect(checks["overlayfs"], "ok")
        done = run(*before, CUBE, "up", "--data-dir", "/var/lib/cube", "--listen", "127.0.0.1:0", check=False)
        assert done.returncode == 1 and "mount --bind DIR DIR" in done.stderr, done


def configured_runtime():
    with tempfile.TemporaryDirectory(prefix="cube-test-") as folder:
        path = os.path.join(folder, "config.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"runtimeEndpoint: unix://{folder}/none.sock\n")
        expect(doctor("--config", path)["containerd"], "problem", "none.sock", "runtimeEndpoint")
        with socket.socket(socket.AF_UNIX) as runtime:
            runtime.bind(os.path.join(folder, "none.sock"))
            runtime.listen()
            expect(doctor("--config", path)["containerd"], "ok")


TESTS = [a_fit_machine_has_no_problem, nothing_stays, missing_cni_plugins, without_rights, kernel_settings_that_cannot_be_changed, ports_and_ranges_of_others,
         disks_that_do_not_fit, a_chroot_that_is_no_mount, configured_runtime]

if __name__ == "__main__":
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        sys.exit(0)
    isolate()
    sys.exit(1 if report(TESTS) else 0)
