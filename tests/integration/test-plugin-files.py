#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every plugin file is written anew again and again under a running cluster with load, as a linker, an installer and an editor write: test-plugin-files.py CUBE"""
import glob
import http.client
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from cluster import Cluster, report, run, wait
from http_server import Access

PODS = "/api/v1/namespaces/default/pods"
ROUNDS = int(os.environ.get("CUBE_TEST_ROUNDS") or 6)
LIVING = 100  # pods of each client; three nodes have room for 330
NOTE = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0"  # in front of a build id


class Program(Cluster, Access):
    """A copy of the program: its files may be spoilt, other tests use the original."""

    def __init__(self, cube):
        self.home = tempfile.mkdtemp(prefix="cube-files-")
        built = os.path.dirname(os.path.realpath(cube))
        os.mkdir(self.home + "/core")
        shutil.copy(cube, self.home + "/cube")
        shutil.copy(built + "/core/libcube.so.1", self.home + "/core/libcube.so.1")
        shutil.copytree(built + "/plugins", self.home + "/plugins", ignore=lambda _, names: [n for n in names if not n.endswith(".so")])
        super().__init__(self.home + "/cube", "--runtime", "sim", "--sim-nodes", "3", "--listen", "127.0.0.1:0")
        self.files = sorted(glob.glob(self.home + "/plugins/*.so"))

    def path(self, name):
        return os.path.join(self.dir, name)

    def log(self):
        with open(self.path("cube.log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def close(self):
        super().close()
        shutil.rmtree(self.home, ignore_errors=True)


class Load(threading.Thread):
    """Creates pods and deletes the oldest; what was acknowledged must be true in the end."""

    def __init__(self, c, name):
        super().__init__()
        self.c, self.prefix = c, name
        self.ended = threading.Event()
        self.made, self.gone, self.refused = set(), set(), []
        self.n = 0

    def ask(self, verb, path, body=None):
        for _ in range(3):  # a connection may end; a request that was not answered is not acknowledged
            try:
                self.connection.request(verb, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
                answer = self.connection.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException) as problem:
                self.refused.append(repr(problem))
                self.connection = self.c.connect()
        raise AssertionError(f"no answer to {verb} {path}: {self.refused[-3:]}")

    def one(self):
        name = f"{self.prefix}-{self.n}"
        self.n += 1
        status, text = self.ask("POST", PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"load": "yes"}}, "spec": {
            "containers": [{"name": "c", "image": "x", "resources": {"requests": {"cpu": "1m"}}}], "terminationGracePeriodSeconds": 0}})
        if status not in (201, 409):  # 409: acknowledged, but the answer was lost
            self.refused.append(f"{status} {text[:300]}")
            return
        pod = json.loads(text)
        if status == 201:
            # What admission adds is never left out.
            assert pod["spec"].get("serviceAccountName") == "default" and len(pod["spec"].get("tolerations", [])) == 2, pod["spec"]
        self.made.add(name)
        if self.n > LIVING:
            old = f"{self.prefix}-{self.n - LIVING}"
            status, text = self.ask("DELETE", f"{PODS}/{old}")
            assert status in (200, 202), (status, text)
            self.gone.add(old)

    def run(self):
        self.connection = self.c.connect()
        self.problem = None
        try:
            while not self.ended.wait(0.02):
                self.one()
        except Exception as problem:  # told by finish ()
            self.problem = problem

    def finish(self):
        self.ended.set()
        self.join()
        if self.problem:
            raise AssertionError(f"{self.prefix}: {type(self.problem).__name__}: {self.problem}")


# ---- ways to write a file ----

def fresh(content):
    """The same code with another build id."""
    at = content.find(NOTE)
    assert at > 0, "no build id"
    return content[:at + len(NOTE)] + random.randbytes(20) + content[at + len(NOTE) + 20:]


def install(path, content):
    with open(path + ".new", "wb") as f:
        f.write(content)
    os.chmod(path + ".new", 0o755)
    os.rename(path + ".new", path)


def link(path, content):
    """As ld: the old name goes, the new file grows."""
    os.unlink(path)
    with open(path, "wb") as f:
        for at in range(0, len(content), 65536):
            f.write(content[at:at + 65536])
            f.flush()
            time.sleep(0.002)
    os.chmod(path, 0o755)


def overwrite(path, content):
    """As cp: the file that is in use becomes empty, then grows, with a pause in which half a file lies there."""
    with open(path, "wb") as f:
        f.write(content[:len(content) // 2])
        f.flush()
        time.sleep(0.25)
        f.write(content[len(content) // 2:])


def touch(path, content):
    os.utime(path)


def cut(path, content):
    """Half a file, then the whole."""
    with open(path, "wb") as f:
        f.write(content[:len(content) // 2])
    time.sleep(0.3)
    install(path, content)


WAYS = [install, link, overwrite, touch, cut]


# ---- the steps ----

def begins(c):
    c.up()
    c.kubeconfig = c.path("admin.kubeconfig")
    c.read_kubeconfig()
    c.first_pid = c.pid()
    c.originals = {path: open(path, "rb").read() for path in c.files}
    assert len(c.files) > 40, c.files
    c.text("create", "deployment", "web", "--image=x", "--replicas=3")
    c.wait_ready("app=web", 3)
    c.loads = [Load(c, f"load-{n}") for n in range(2)]
    for load in c.loads:
        load.start()


def writes_files(c):
    """Rounds over all files; the daemon answers all the time and is never another."""
    slowest = 0
    for n in range(ROUNDS):
        way = WAYS[n % len(WAYS)]
        for at in range(0, len(c.files), 4):
            for path in c.files[at:at + 4]:
                way(path, fresh(c.originals[path]))
            begin = time.monotonic()
            assert c.status().get("pid") == c.first_pid, f"{way.__name__} {c.files[at:at + 4]}: the daemon is gone\n{c.log()[-3000:]}"
            slowest = max(slowest, time.monotonic() - begin)
        c.text("scale", "deployment", "web", f"--replicas={3 + n % 3}")
        c.wait_ready("app=web", 3 + n % 3, 30)
    assert slowest < 4, f"an answer of the control socket took {slowest:.1f} s"


def settles(c):
    """The last of each file is taken, or the plugin says why not."""
    for path in c.files:
        install(path, fresh(c.originals[path]))
    time.sleep(0.5)

    def all_said():
        plugins = c.plugins()
        assert len(plugins) == len(c.files), sorted(plugins)
        ill = [p for p in plugins.values() if not p["healthy"] or p["state"] != "running"]
        assert not ill, ill
        return plugins
    plugins = wait("healthy plugins", all_said, 30)
    stays = {name for name, p in plugins.items() if "until cube is restarted" in (p.get("message") or "")}
    assert {"scheduler-driver", "api-http", "storage-sqlite", "security-rbac", "services-allocator", "runtimes-sim"} <= stays, sorted(stays)
    assert not stays & {"scheduler-node-name", "controllers-deployment", "security-namespace-lifecycle", "security-x509"}, sorted(stays)
    others = {name: p["message"] for name, p in plugins.items() if p.get("message") and name not in stays}
    assert not others, others
    assert "plugin scheduler-driver: " in c.log()


def loses_nothing(c):
    for load in c.loads:
        load.finish()
    made, gone = set().union(*(load.made for load in c.loads)), set().union(*(load.gone for load in c.loads))
    refused = [why for load in c.loads for why in load.refused]
    assert len(made) > 100, (len(made), refused[:5])
    assert not refused, (len(refused), refused[:5])
    kept = made - gone

    def right():
        pods = {p["metadata"]["name"]: p for p in c.pods("load=yes")}
        assert set(pods) == kept, (sorted(set(pods) - kept)[:5], sorted(kept - set(pods))[:5], len(pods), len(kept))
        late = [n for n, p in pods.items() if p["status"]["phase"] != "Running"]
        assert not late, late[:5]
        return True
    wait("every acknowledged pod runs", right, 40)
    assert c.pid() == c.first_pid
    bad = [line for line in c.log().splitlines() if "CRITICAL" in line or "still in use" in line or "ends: " in line]
    assert not bad, bad[:5]


def goes_on(c):
    c.text("scale", "deployment", "web", "--replicas=6")
    c.wait_ready("app=web", 6)
    c.text("create", "deployment", "later", "--image=x", "--replicas=2")
    c.wait_ready("app=later", 2)
    done = c.down()
    assert done.returncode == 0, done.stderr
    c.up()  # the files as they are now are whole
    assert len(c.pods("app=web")) == 6
    assert not [p for p in c.plugins().values() if p.get("message")]


def main():
    cluster = Program(sys.argv[1])
    try:
        failed = report([begins, writes_files, settles, loses_nothing, goes_on], cluster, diagnose=lambda: [line for line in cluster.log().splitlines() if " replaced from " not in line][-25:])
    finally:
        for load in getattr(cluster, "loads", []):
            load.ended.set()
        if os.environ.get("CUBE_TEST_KEEP") != "1":
            cluster.close()
    sys.exit(1 if failed else 0)


main()
