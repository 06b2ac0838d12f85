#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The machine is the same before `cube up` and after `cube uninstall`: test-uninstall.py CUBE"""
import glob
import os
import signal

from cluster import Cluster, main, run

POD = """{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "left", "labels": {"app": "left"}},
 "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": "cube.local/web:v1",
 "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}], "volumes": [{"name": "scratch", "emptyDir": {"medium": "Memory"}}]}}"""
before = {}


def processes():
    found = set()
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                line = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if line and int(path.split("/")[2]) != os.getpid():
            found.add(line)
    return found


def cgroups(words):
    return {folder for folder, _, _ in os.walk("/sys/fs/cgroup") if any(word in folder for word in words)}


def machine(c):
    """What a cluster could leave behind, as sets that compare."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        mounts = {line.split()[4] for line in file}
    files = set()
    for folder in ("/run", "/var/lib/cni", "/etc/cni"):
        for top, folders, names in os.walk(folder):
            files |= {os.path.join(top, name) for name in folders + names}
    return {
        "processes": processes(),
        "mounts": mounts,
        "links": {line.split(":")[1].split("@")[0].strip() for line in run("ip", "-o", "link").stdout.splitlines()},
        # The test's own link gets its IPv6 routes from the kernel a moment later.
        "routes": {line.strip() for version in ("-4", "-6") for line in run("ip", version, "route", "show", "table", "all").stdout.splitlines()
                   if " dev uplink" not in line},
        "nft tables": set(run("nft", "list", "tables").stdout.splitlines()),
        "files": {f for f in files if c.dir in f or "cube" in f or f.startswith("/var/lib/cni")},
        "data": {c.dir} if os.path.lexists(c.dir) else set(),
    }


def prepare(c):
    c.up()
    c.apply(POD)
    pod = c.wait_ready("app=left", 1)[0]
    now = machine(c)
    uid, container = pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["containerID"].split("://")[1]
    c.words = (uid, uid.replace("-", "_"), container)
    assert cgroups(c.words), "the pod has a cgroup"
    for kind in ("processes", "mounts", "links", "routes", "nft tables"):
        assert now[kind] - before[kind], f"a running pod shows in {kind}, or the comparison proves nothing"


def nothing_left(c):
    after = machine(c)
    for kind, found in after.items():
        left = found - before[kind]
        assert not left, f"{kind} left: {sorted(left)[:20]}"
    assert not cgroups(c.words), f"cgroups left: {sorted(cgroups(c.words))}"


def uninstall(c, *more, check=True):
    return run(c.cube, "uninstall", "--data-dir", c.dir, *more, check=check, timeout=180)


def running_cluster(c):
    os.rmdir(c.dir)
    before.update(machine(c))
    prepare(c)
    asked = uninstall(c, check=False)
    assert asked.returncode == 2 and "--yes" in asked.stderr, asked
    assert c.ready_pods("app=left"), "without --yes nothing happens"
    uninstall(c, "--yes")
    nothing_left(c)


def killed_cluster(c):
    prepare(c)
    c.kill(signal.SIGKILL)
    uninstall(c, "--yes")
    nothing_left(c)


def links_and_mounts_are_not_entered(c):
    kept = c.dir + "-kept"
    os.makedirs(kept)
    try:
        with open(os.path.join(kept, "file"), "w", encoding="utf-8") as file:
            file.write("stays")
        c.up()
        c.down()
        os.symlink(kept, os.path.join(c.dir, "link"))
        os.mkdir(os.path.join(c.dir, "bound"))
        run("mount", "--bind", kept, os.path.join(c.dir, "bound"))
        uninstall(c, "--yes")
        nothing_left(c)
        assert os.listdir(kept) == ["file"], os.listdir(kept)
    finally:
        run("rm", "-r", "--one-file-system", kept)


def other_folders_are_refused(c):
    os.makedirs(c.dir)
    with open(os.path.join(c.dir, "precious"), "w", encoding="utf-8") as file:
        file.write("stays")
    refused = uninstall(c, "--yes", check=False)
    assert refused.returncode == 1 and "cube.lock" in refused.stderr, refused
    assert os.listdir(c.dir) == ["precious"], os.listdir(c.dir)


if __name__ == "__main__":
    main(lambda cube: Cluster(cube, "--listen", "127.0.0.1:0"),
         [running_cluster, killed_cluster, links_and_mounts_are_not_entered, other_folders_are_refused])
