#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A daemon built with failpoints (-Dfailpoints=true) fails and dies at each of them: test-failpoints.py CUBE"""
import http.client
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "integration"))
from cluster import Cluster, main, run, wait  # noqa: E402
from http_server import Access, ask  # noqa: E402

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
DEATHS = ["sqlite/begin", "sqlite/insert", "sqlite/commit", "sqlite/committed"]


class Api(Access):
    def __init__(self, c):
        self.c, self.kubeconfig = c, c.env["KUBECONFIG"]
        self.read_kubeconfig()

    def path(self, name):
        return os.path.join(self.c.dir, name)


def up(c, failpoints="", *more, check=True):
    """Failpoints are the daemon's alone: kubectl knows none."""
    done = run("env", f"CUBE_FAILPOINTS={failpoints}", c.cube, "up", "--data-dir", c.dir, *c.options, *more, check=False, timeout=120)
    assert done.returncode == 0 or not check, done
    return done.returncode == 0


class Writer(threading.Thread):
    """Creates objects of its own until @is_over (self) or the server is gone; what became of the last one then, nobody knows."""

    def __init__(self, c, name, is_over):
        super().__init__(daemon=True)
        self.api, self.prefix, self.is_over = Api(c), name, is_over
        self.acknowledged, self.refused = set(), {}

    def run(self):
        connection = self.api.connect()
        i = 0
        while not self.is_over(self):
            name = f"{self.prefix}-{i:05}"
            i += 1
            try:
                status, _, body = ask(connection, "POST", CONFIGMAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "x" * 500}})
            except (OSError, http.client.HTTPException):
                return
            if status == 201:
                self.acknowledged.add(name)
            else:
                self.refused[name] = (status, body)


def written(c):
    return {m["metadata"]["name"] for m in c.get("configmaps")["items"]} - {"kube-root-ca.crt"}


def mistakes_are_told(c):
    for bad in ("sqlite/commit", "sqlite/commit=explode", "sqlite/commit=fail:2", "sqlite/commit=fail:x"):
        assert not up(c, bad, check=False), bad
        assert c.status() == {}


def storage_fails(c):
    """Each failing write is told, none that was acknowledged is lost, and between the failures it works."""
    up(c, "")
    c.down()
    failpoints = "sqlite/begin=fail:0.02 sqlite/insert=fail:0.02 sqlite/commit=fail:0.02 sqlite/compact=fail sqlite/checkpoint=fail:0.5"
    wait("a start without a failure", lambda: up(c, failpoints, check=False), 60)  # a start that fails says so, and is tried again
    writer = Writer(c, "fails", lambda w: len(w.acknowledged) >= 200 and len(w.refused) >= 3)
    writer.start()
    writer.join(100)
    assert not writer.is_alive(), (len(writer.acknowledged), len(writer.refused))
    assert {(status, body["reason"]) for status, body in writer.refused.values()} == {(500, "InternalError")}, list(writer.refused.values())[:3]
    assert all("failpoint sqlite/" in body["message"] for _, body in writer.refused.values())
    assert written(c) == writer.acknowledged, written(c) ^ writer.acknowledged
    c.down()
    up(c)
    assert written(c) == writer.acknowledged, written(c) ^ writer.acknowledged
    c.down()
    c.acknowledged |= writer.acknowledged


def dies_at_each_point(c):
    for number, point in enumerate(DEATHS * 2):
        if up(c, f"{point}=kill:0.02", check=False):
            writers = [Writer(c, f"dies{number}-{i}", lambda w: False) for i in range(4)]
            for writer in writers:
                writer.start()
            for writer in writers:
                writer.join(60)
                assert not writer.is_alive(), point
                c.acknowledged |= writer.acknowledged
        wait("its end", lambda: c.status() == {}, 20)
        up(c)
        assert c.acknowledged <= written(c), f"{point}: lost {sorted(c.acknowledged - written(c))[:5]}"
        c.down()


def runtime_fails(c):
    """Calls that are not made, and calls whose answers are lost: pods come to run all the same, and nothing runs twice or is left."""
    real = Cluster(c.cube, "--listen", "0.0.0.0:0")
    try:
        up(real, "cri/RunPodSandbox=fail:0.2 cri/RunPodSandbox/after=fail:0.2 cri/CreateContainer=fail:0.2 cri/CreateContainer/after=fail:0.2 "
                 "cri/StartContainer=fail:0.2 cri/StartContainer/after=fail:0.2 cri/StopContainer/after=fail:0.2 cri/StopPodSandbox/after=fail:0.2 "
                 "cri/RemoveContainer=fail:0.2 cri/RemovePodSandbox=fail:0.2 cri/ContainerStatus=fail:0.1 cri/PodSandboxStatus=fail:0.1")
        real.text("create", "deployment", "web", "--image=cube.local/web:v1", "--replicas=4")
        real.wait_ready("app=web", 4, 120)
        socket = os.path.join(real.dir, "containerd", "containerd.sock")

        def ctr(*args):
            return run("ctr", "-a", socket, "-n", "k8s.io", *args).stdout.split("\n")

        def running():
            return sum("RUNNING" in line for line in ctr("tasks", "ls"))

        wait("a sandbox and a container for each, and nothing else that runs", lambda: running() == 8, 60)
        real.text("delete", "deployment", "web")
        wait("nothing of them", lambda: not real.pods("app=web") and running() == 0, 120)
    except AssertionError:
        for line in real.diagnose():
            print(f"#   {line}")
        raise
    finally:
        real.close()


def simulated(cube):
    c = Cluster(cube, "--listen", "127.0.0.1:0", "--runtime", "sim")
    c.acknowledged = set()
    return c


if __name__ == "__main__":
    main(simulated, [mistakes_are_told, storage_fails, dies_at_each_point, runtime_fails])
