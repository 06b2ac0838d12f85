#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a cluster says and does when its configuration, its database or its disk is bad: test-bad-input.py CUBE"""
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import threading
import time

from cluster import Cluster, main, run, wait
from http_server import Access, ask

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
DISK = 32 * 1024 * 1024


def refused(c, *words, code=1, config=None):
    """`up` ends at once with these words, and nothing runs after it."""
    more = []
    if config is not None:
        path = os.path.join(c.dir, "config.yaml")
        os.makedirs(c.dir, exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(config)
        more = ["--config", path]
    begin = time.monotonic()
    done = run(c.cube, "up", "--data-dir", c.dir, *c.options, *more, check=False)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    for word in words:
        assert word in done.stderr, f"\"{word}\" is not in: {done.stderr}"
    assert time.monotonic() - begin < 20, "a refusal takes no time"
    assert c.status() == {}, c.status()


def renew(c):
    """An empty data directory."""
    run(c.cube, "down", "--data-dir", c.dir, check=False)
    shutil.rmtree(c.dir, ignore_errors=True)
    os.mkdir(c.dir, 0o700)


# ---- configuration ----

def configuration(c):
    for config, code, words in [
            ("listne: 1.2.3.4:5\n", 2, ["config.yaml: unknown key \"listne\" (known: dataDir, listen"]),
            ("listen: 5\n", 2, ["config.yaml: key \"listen\": found integer, expected string"]),
            ("storage: {plugn: sqlite}\n", 2, ["config.yaml: storage: unknown key \"plugn\" (known: plugin, location, volatile, history)"]),
            ("plugins: [\n", 2, ["config.yaml: invalid YAML at line 2, column 1"]),
            ("a: &x 1\nb: *x\n", 2, ["aliases are not supported (*x)"]),
            ("a: 1\n---\nb: 1\n", 2, ["found 2 YAML documents, expected one"]),
            ("roles: [api, cook]\n", 2, ["role \"cook\" is unknown (known: api, controllers, scheduler, node)"]),
            ("serviceCIDR: 10.96.0.0\n", 2, ["serviceCIDR \"10.96.0.0\": expected an IPv4 range from /8 to /30 such as 10.96.0.0/16"]),
            ("nodePortRange: 5-4\n", 2, ["nodePortRange \"5-4\": expected two ports such as 30000-32767"]),
            ("clusterDNS: here\n", 2, ["clusterDNS \"here\": expected an IP address"]),
            ("nodeName: My_Node\n", 2, ["nodeName \"My_Node\": expected a DNS name in lower case"]),
            ("plugins: {api-http: {portt: 1}}\n", 1, ["configuration plugins.api-http: unknown key \"portt\" (known: workers, ", "correct the file"]),
            ("plugins: {storage-sqlite: {compress: maybe}}\n", 1, ["configuration plugins.storage-sqlite: key \"compress\": found string, expected bool"]),
            ("plugins: {scheduler-driver: 5}\n", 1, ["configuration plugins.scheduler-driver: found integer, expected an object"]),
            ("storage: {plugin: papyrus}\n", 1, ["no storage plugin \"papyrus\" was loaded"]),
            ("requiredPlugins: [oracle]\n", 1, ["plugin oracle is required by the configuration and did not start: there is no such plugin"])]:
        refused(c, *words, code=code, config=config)


def names_of_plugins_to_come(c):
    """What the configuration says of plugins that are not here is no mistake, they can come later; but it is said."""
    path = os.path.join(c.dir, "config.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write("plugins: {oracle: {depth: 3}}\ndisabledPlugins: [sphinx, controllers-pod-gc]\n")
    said = c.up("--config", path).stdout
    wanted = ["configuration plugins.oracle: there is no plugin of this name yet", "configuration disabledPlugins: there is no plugin \"sphinx\" yet"]
    assert c.status()["warnings"] == wanted, c.status()["warnings"]
    assert all("warning: " + w in said for w in wanted) and "pod-gc" not in said, said
    assert "controllers-pod-gc" not in c.plugins()


# ---- the database ----

def store_files(c):
    """Every file of the store that holds data: name → digest."""
    folder = os.path.join(c.dir, "store")
    found = {}
    for name in sorted(os.listdir(folder)):
        if name not in ("store.lock", "store.db-shm"):
            with open(os.path.join(folder, name), "rb") as f:
                found[name] = hashlib.sha256(f.read()).hexdigest()
    return found


def database(c):
    return os.path.join(c.dir, "store", "store.db")


def patch(c, offset, data):
    with open(database(c), "r+b") as f:
        f.seek(offset)
        f.write(data)


def made_database(c, n, seed):
    """A cluster that has been, with @n objects of 4 KB that do not compress."""
    renew(c)
    c.up()
    dice = random.Random(seed)
    api = Api(c)
    connection = api.connect()
    for i in range(n):
        equal_status(ask(connection, "POST", CONFIGMAPS, configmap(f"c{i:05}", dice, 4000)), 201)
    c.down()


def configmap(name, dice, size):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "".join(dice.choices("0123456789abcdef", k=size))}}


def equal_status(answer, wanted):
    assert answer[0] == wanted, (answer[0], answer[2])


def is_refused_and_kept(c, *words):
    before = store_files(c)
    refused(c, database(c), *words)
    refused(c, database(c), *words)  # a second attempt says the same
    assert store_files(c) == before, "a database that is refused is not written to"


WAY_OUT = "move it (and its -wal and -shm files) away and restore a backup, or start without it for an empty cluster"


def damaged_database(c):
    made_database(c, 20, 1)
    good = open(database(c), "rb").read()
    assert len(good) < 1024 * 1024
    last = len(good) // 4096 - 1
    for what, offset, data in [("the header", 0, os.urandom(100)), ("one letter of the header", 0, b"X"),
                               ("a page in the middle", (last // 2) * 4096, os.urandom(4096)), ("the last page", last * 4096, os.urandom(4096))]:
        print(f"# {what}", flush=True)
        with open(database(c), "wb") as f:
            f.write(good)
        patch(c, offset, data)
        is_refused_and_kept(c, WAY_OUT)
    for length in (len(good) - 4096, len(good) // 2, 4096, 700, 50):
        print(f"# the first {length} bytes", flush=True)
        with open(database(c), "wb") as f:
            f.write(good[:length])
        is_refused_and_kept(c, WAY_OUT)
    with open(database(c), "wb") as f:
        f.write(good)
    c.up()  # whole again, it is the cluster it was
    assert len(c.get("configmaps")["items"]) == 21, "twenty and the certificates"
    c.down()


def damaged_large_database(c):
    """Too large to be looked at whole when it is opened: what is read finds it."""
    made_database(c, 600, 2)
    good = open(database(c), "rb").read()
    assert len(good) > 1024 * 1024
    for part in (3, 5, 8):
        with open(database(c), "wb") as f:
            f.write(good)
        patch(c, (len(good) * part // 10) // 4096 * 4096 + 2000, b"\xff" * 500)
        is_refused_and_kept(c, "is damaged", WAY_OUT)


def foreign_database(c):
    renew(c)
    os.mkdir(os.path.join(c.dir, "store"), 0o700)
    with sqlite3.connect(database(c)) as other:
        other.execute("CREATE TABLE songs (title TEXT)")
        other.execute("INSERT INTO songs VALUES ('x')")
    other.close()
    is_refused_and_kept(c, "is a database of another program", WAY_OUT)
    with open(database(c), "w", encoding="utf-8") as f:
        f.write("my diary\n" * 1000)
    is_refused_and_kept(c, "file is not a database", WAY_OUT)
    os.unlink(database(c))
    os.mkdir(database(c))
    refused(c, database(c), "is no regular file")


def newer_database(c):
    made_database(c, 1, 3)
    with sqlite3.connect(database(c)) as future:
        version = future.execute("PRAGMA user_version").fetchone()[0]
        future.execute(f"PRAGMA user_version={version + 1}")
    future.close()
    is_refused_and_kept(c, f"was written by a newer cube (format {version + 1}, this one knows {version})", "use that version, or restore a backup")


def moved_away(c):
    """The way out is one."""
    made_database(c, 3, 4)
    patch(c, 0, b"garbage")
    refused(c, WAY_OUT)
    away = os.path.join(c.dir, "away")
    os.rename(os.path.join(c.dir, "store"), away)
    c.up()
    assert [m["metadata"]["name"] for m in c.get("configmaps")["items"] if m["metadata"]["name"] != "kube-root-ca.crt"] == []
    c.down()


# ---- the disk ----

class Api(Access):
    def __init__(self, c):
        self.c = c
        self.kubeconfig = c.env["KUBECONFIG"]
        self.read_kubeconfig()

    def path(self, name):
        return os.path.join("/dev/shm", f"{os.path.basename(self.c.dir)}-{name}")  # never on the disk that is full


class Filler:
    def __init__(self, c):
        self.path = os.path.join(c.dir, "filler")

    def fill(self):
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            while True:
                os.write(fd, b"x" * 4096)
        except OSError:
            os.close(fd)

    def free(self):
        os.unlink(self.path)


class Writer(threading.Thread):
    """Creates objects until for some seconds it was told each time that it cannot."""

    def __init__(self, api, number):
        super().__init__(daemon=True)
        self.api, self.number = api, number
        self.acknowledged, self.refusals, self.problem = [], [], None

    def run(self):
        try:
            dice = random.Random(self.number)
            connection = self.api.connect()
            i, refused_since = 0, None
            while refused_since is None or time.monotonic() - refused_since < 2.5:
                name = f"w{self.number}-{i:06}"
                i += 1
                status, _, body = ask(connection, "POST", CONFIGMAPS, configmap(name, dice, 2000))
                if status == 201:
                    self.acknowledged.append(name)
                    refused_since = None
                else:
                    self.refusals.append((status, body))
                    refused_since = refused_since or time.monotonic()
                    time.sleep(0.05)
        except Exception as problem:  # told by the test
            self.problem = problem


class Watcher(threading.Thread):
    def __init__(self, api):
        super().__init__(daemon=True)
        self.seen, self.problem = [], None
        self.connection = api.connect(timeout=600)
        self.connection.request("GET", CONFIGMAPS + "?watch=1")
        self.answer = self.connection.getresponse()

    def run(self):
        try:
            while (line := self.answer.readline()):
                event = json.loads(line)
                self.seen.append((event["type"], event["object"]["metadata"].get("name")))
        except Exception as problem:  # told by the test
            self.problem = problem


def lease_time(c):
    return c.get("lease", "-n", "kube-node-lease", "sim-node-0")["spec"]["renewTime"]


def is_full_for(c, seconds):
    """Small writes may still find a place in the files that are there, until none is left."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status = c.status()
        if not status["ready"] or len(status["warnings"]) != 1:
            return False
        assert "read-only" in status["warnings"][0] and "disk is full" in status["warnings"][0], status["warnings"]
    return True


def names(c):
    return {m["metadata"]["name"] for m in c.get("configmaps")["items"]}


def full_disk(c):
    renew(c)
    run("mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "cube-test", c.dir)
    try:
        c.up()
        c.text("create", "deployment", "web", "--image=web", "--replicas=2")
        c.wait_ready("app=web", 2)
        fill_while_writing(c)
        restart_full(c)
    finally:
        run(c.cube, "down", "--data-dir", c.dir, check=False)
        run("umount", c.dir)


def fill_while_writing(c):
    api, filler, pid = Api(c), Filler(c), c.pid()
    watcher = Watcher(api)
    watcher.start()
    writers = [Writer(api, number) for number in range(4)]
    for writer in writers:
        writer.start()
    wait("some writes", lambda: all(len(w.acknowledged) > 20 for w in writers), 30)
    filler.fill()
    for writer in writers:
        writer.join(60)
        assert not writer.is_alive() and writer.problem is None, (writer.problem, len(writer.refusals))
    for status, body in [r for w in writers for r in w.refusals]:
        assert (status, body["kind"], body["reason"], body["code"]) == (507, "Status", "InternalError", 507), body
        assert "disk is full" in body["message"] and "store.db" in body["message"], body
    c.acknowledged = {name for w in writers for name in w.acknowledged}
    # Reads, watches, leases and the process go on.
    lease = lease_time(c)
    assert c.acknowledged <= names(c), "an acknowledged object can be read"
    wait("the watch to show them", lambda: c.acknowledged <= {name for _, name in watcher.seen}, 10)
    assert names(c) == {name for _, name in watcher.seen}, "nothing else is shown"
    wait("the trouble to last", lambda: is_full_for(c, 2.5), 40)
    assert c.kubectl("delete", "configmap", min(c.acknowledged), check=False).returncode != 0, "deleting is a write too"
    assert c.kubectl("get", "configmap", min(c.acknowledged)).returncode == 0
    wait("the lease to be renewed", lambda: lease_time(c) != lease, 30)
    assert {n["metadata"]["name"] for n in c.get("nodes")["items"] for s in n["status"]["conditions"] if s["type"] == "Ready" and s["status"] == "True"}
    # With room again it recovers by itself.
    filler.free()
    wait("a write", lambda: ask(api.connect(), "POST", CONFIGMAPS, configmap("afterwards", random.Random(0), 10))[0] == 201, 10)
    wait("no trouble any more", lambda: c.status()["warnings"] == [], 10)
    wait("the watch to go on", lambda: ("ADDED", "afterwards") in watcher.seen, 10)
    assert watcher.problem is None, watcher.problem
    c.text("scale", "deployment", "web", "--replicas=4")
    c.wait_ready("app=web", 4)
    assert c.pid() == pid, "the same process all the time"
    c.acknowledged.add("afterwards")


def restart_full(c):
    filler = Filler(c)
    filler.fill()
    c.kill(signal.SIGKILL)
    refused(c, "o space left on device", "make room on the disk of " + c.dir)
    filler.free()
    c.up()
    assert c.acknowledged <= names(c), f"lost: {sorted(c.acknowledged - names(c))[:5]}"
    c.wait_ready("app=web", 4)


if __name__ == "__main__":
    main(lambda cube: Cluster(cube, "--listen", "127.0.0.1:0", "--runtime", "sim"),
         [configuration, names_of_plugins_to_come, damaged_database, damaged_large_database, foreign_database, newer_database, moved_away, full_disk])
