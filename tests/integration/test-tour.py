#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The README's tour with real kubectl and real containers: test-tour.py CUBE [KUBECTL]

KUBECTL: the steps that differ most by client, with this kubectl of tools/clients ("kubectl-1.20"). All of them with any kubectl: CUBE_KUBECTL=PATH.
"""
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error

from cluster import HOST_IP, TOP, Cluster, client, http, main, run, wait


class Load:
    """A steady load on an address; every answer is kept, every failure too."""

    def __init__(self, url, threads=4):
        self.url, self.answers, self.failures, self.is_over = url, {}, [], False
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.ask, daemon=True) for _ in range(threads)]

    def ask(self):
        while not self.is_over:
            try:
                text = http(self.url, timeout=10)
                with self.lock:
                    self.answers[text] = self.answers.get(text, 0) + 1
            except (OSError, urllib.error.URLError) as problem:
                with self.lock:
                    self.failures.append(f"{time.strftime('%H:%M:%S')} {problem}")
            time.sleep(0.01)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *unused):
        self.is_over = True
        for thread in self.threads:
            thread.join(15)

    def versions(self):
        with self.lock:
            return {a.split()[1] for a in self.answers}


def node_port(c, name="web"):
    return c.get("service", name)["spec"]["ports"][0]["nodePort"]


def web(c, path="/"):
    return http(f"http://{HOST_IP}:{node_port(c)}{path}")


def cube_up(c):
    answer = c.up().stdout
    assert "ready" in answer, answer
    status = c.status()
    assert status["ready"] and status["pid"] > 0 and status["server"].startswith("https://"), status
    assert os.stat(status["kubeconfig"]).st_mode & 0o777 == 0o600, "kubeconfig mode"
    assert all(p["healthy"] for p in status["plugins"]), [p for p in status["plugins"] if not p["healthy"]]
    again = c.up().stdout
    assert "ready" in again and c.status()["pid"] == status["pid"], "a second up starts nothing"
    node = c.get("nodes")["items"]
    assert len(node) == 1, node


def deployment_and_service(c):
    c.text("apply", "-f", f"{TOP}/examples/web.yaml")
    pods = c.wait_ready("app=web", 3)
    ips = {p["status"]["podIP"] for p in pods}
    assert len(ips) == 3, ips
    for ip in ips:
        assert http(f"http://{ip}:8080/").startswith("web v1 "), ip
    service = c.get("service", "web")
    cluster_ip = service["spec"]["clusterIP"]
    wait("the NodePort", lambda: web(c))
    seen_node_port = {web(c) for _ in range(60)}
    seen_cluster_ip = {http(f"http://{cluster_ip}/") for _ in range(60)}
    assert len(seen_node_port) == 3 and len(seen_cluster_ip) == 3, (seen_node_port, seen_cluster_ip)
    one = pods[0]["metadata"]["name"]
    from_pod = {c.text("exec", one, "--", "/bin/busybox", "wget", "-q", "-O", "-", f"http://{cluster_ip}/").strip() for _ in range(12)}
    assert len(from_pod) >= 2 and all(a.startswith("web v1 ") for a in from_pod), from_pod


def look_and_touch(c):
    c.text("scale", "deployment/web", "--replicas=5")
    c.wait_ready("app=web", 5)
    watch = subprocess.Popen([c.kubectl_path, "get", "pods", "-w", "-l", "app=web"], stdout=subprocess.PIPE, text=True, env=c.env)
    try:
        name = c.pods("app=web")[0]["metadata"]["name"]
        c.text("delete", "pod", name)
        pods = c.wait_ready("app=web", 5)
        assert name not in {p["metadata"]["name"] for p in pods}, "replaced by another"
    finally:
        watch.terminate()
        seen = watch.communicate(timeout=10)[0]
    assert name in seen and "Terminating" in seen, seen
    c.text("scale", "deployment/web", "--replicas=3")
    name = c.wait_ready("app=web", 3)[0]["metadata"]["name"]
    described = c.text("describe", "pod", name)
    for word in ("Successfully assigned default/" + name, "Created", "Started", "cube.local/web:v1"):
        assert word in described, (word, described[-1500:])
    events = c.text("get", "events")
    for reason in ("ScalingReplicaSet", "SuccessfulCreate", "Killing"):
        assert reason in events, (reason, events)
    assert "listening" in c.text("logs", name)
    assert c.text("exec", name, "--", "/bin/sh", "-c", "echo out; echo err >&2").strip() == "out"
    failing = c.kubectl("exec", name, "--", "/bin/sh", "-c", "exit 7", check=False)
    assert failing.returncode == 7, failing
    data = "x" * 300000 + "\nend\n"
    assert c.text("exec", "-i", name, "--", "/bin/busybox", "cat", data=data) == data, "standard input to its end"
    assert re.search(r"web\s+3/3", c.text("get", "deployment", "web"))


def container_pid(c, pod, name="web"):
    """The pid of a container's first process, by what it says of its host name."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline") as f, open(f"/proc/{entry}/environ") as e:
                if f.read().split("\0")[0].endswith(name) and f"HOSTNAME={pod}" in e.read().split("\0"):
                    return int(entry)
        except OSError:
            continue
    raise AssertionError(f"no process of pod {pod}")


def self_healing(c):
    pod = c.wait_ready("app=web", 3)[0]["metadata"]["name"]
    os.kill(container_pid(c, pod), signal.SIGKILL)
    restarted = wait("the container to be restarted", lambda: (p := c.get("pod", pod))["status"]["containerStatuses"][0]["restartCount"] == 1 and p)
    last = restarted["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert last["exitCode"] == 137, last
    c.wait_ready("app=web", 3)
    # the whole sandbox
    sandbox = f"{c.dir}/containerd/containerd.sock"
    tasks = run("ctr", "-a", sandbox, "-n", "k8s.io", "containers", "ls").stdout
    pods_before = c.get("pod", pod)["status"]["podIP"]
    for line in tasks.splitlines()[1:]:
        cid = line.split()[0]
        labels = run("ctr", "-a", sandbox, "-n", "k8s.io", "containers", "info", cid).stdout
        if f'"io.kubernetes.pod.name": "{pod}"' in labels and '"io.cri-containerd.kind": "sandbox"' in labels:
            run("ctr", "-a", sandbox, "-n", "k8s.io", "tasks", "kill", "-s", "SIGKILL", cid)
            break
    else:
        raise AssertionError(f"no sandbox of {pod} in {tasks}")
    wait("a new sandbox", lambda: c.get("pod", pod)["status"]["containerStatuses"][0]["restartCount"] == 2 and len(c.ready_pods("app=web")) == 3)
    assert pods_before
    c.apply(json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "crash"}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [
        {"name": "c", "image": "cube.local/busybox:1", "command": ["/bin/sh", "-c", "exit 3"]}]}}))
    crash = wait("CrashLoopBackOff", lambda: (s := c.get("pod", "crash")["status"]["containerStatuses"][0])["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff" and s)
    assert crash["restartCount"] >= 1 and crash["lastState"]["terminated"]["exitCode"] == 3, crash
    c.text("delete", "pod", "crash")


def readiness_leaves_service(c):
    pod = c.wait_ready("app=web", 3)[0]
    name = pod["metadata"]["name"]
    pid = container_pid(c, name)
    os.kill(pid, signal.SIGSTOP)
    try:
        wait("the pod to be not ready", lambda: len(c.ready_pods("app=web")) == 2, 30)
        def left():
            ready = [e["addresses"][0] for s in c.get("endpointslices", "-l", "kubernetes.io/service-name=web")["items"] for e in s["endpoints"] if e["conditions"]["ready"]]
            return pod["status"]["podIP"] not in ready and len(ready) == 2
        wait("the pod to leave the Service", left, 10)
        wait("two pods answering", lambda: len({web(c) for _ in range(30)}) == 2, 10)
    finally:
        os.kill(pid, signal.SIGCONT)
    c.wait_ready("app=web", 3)


def rolling_update(c):
    with Load(f"http://{HOST_IP}:{node_port(c)}/") as load:
        wait("load", lambda: sum(load.answers.values()) > 100, 20)
        c.text("set", "image", "deployment/web", "web=cube.local/web:v2")
        too_many = 0
        def through():
            nonlocal too_many
            active = [p for p in c.pods("app=web") if "deletionTimestamp" not in p["metadata"]]
            too_many = max(too_many, len(active))
            return re.search("successfully rolled out", c.kubectl("rollout", "status", "deployment/web", "--watch=false").stdout)
        wait("the rollout", through, 120)
        wait("v2 answers", lambda: web(c).startswith("web v2"), 10)
        time.sleep(1)
    assert not load.failures, load.failures[:5]
    assert load.versions() == {"v1", "v2"}, load.versions()
    assert too_many <= 4, f"{too_many} pods at once with maxSurge 1"
    assert len(c.get("rs", "-l", "app=web")["items"]) == 2
    history = c.text("rollout", "history", "deployment/web")
    assert re.search(r"^1\s", history, re.M) and re.search(r"^2\s", history, re.M), history


def rollback(c):
    c.text("rollout", "pause", "deployment/web")
    c.text("set", "env", "deployment/web", "PAUSED=1")
    generation = c.get("deployment", "web")["metadata"]["generation"]
    wait("the paused change to be seen", lambda: c.get("deployment", "web")["status"]["observedGeneration"] >= generation)
    assert len(c.get("rs", "-l", "app=web")["items"]) == 2, "paused: nothing new"
    c.text("set", "env", "deployment/web", "PAUSED-")
    c.text("rollout", "resume", "deployment/web")
    with Load(f"http://{HOST_IP}:{node_port(c)}/") as load:
        c.text("rollout", "undo", "deployment/web")
        c.text("rollout", "status", "deployment/web", "--timeout=120s")
        wait("v1 answers again", lambda: web(c).startswith("web v1"), 10)
        time.sleep(1)
    assert not load.failures, load.failures[:5]
    c.wait_ready("app=web", 3)


def bad_image(c):
    c.text("set", "image", "deployment/web", "web=cube.local/none:v9")
    def stuck():
        states = [s["state"].get("waiting", {}).get("reason") for p in c.pods("app=web") for s in p["status"].get("containerStatuses", [])]
        return any(s in ("ErrImagePull", "ImagePullBackOff") for s in states)
    wait("the image error", stuck, 60)
    assert len(c.ready_pods("app=web")) == 3, "the old pods serve on"
    assert web(c).startswith("web v1")
    c.text("rollout", "undo", "deployment/web")
    c.text("rollout", "status", "deployment/web", "--timeout=60s")
    c.wait_ready("app=web", 3)


RC = """
apiVersion: v1
kind: ReplicationController
metadata: {name: rc}
spec:
  replicas: 2
  selector: {run: rc}
  template:
    metadata: {labels: {run: rc}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: web, image: "cube.local/web:v1"}]}
"""
RS = RC.replace("apiVersion: v1", "apiVersion: apps/v1").replace("ReplicationController", "ReplicaSet").replace("{name: rc}", "{name: rs}") \
       .replace("selector: {run: rc}", "selector: {matchLabels: {run: rs}}").replace("{run: rc}", "{run: rs}")


def owners(c):
    orphan = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "orphan", "labels": {"run": "rc"}},
              "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "web", "image": "cube.local/web:v1"}]}}
    c.apply(json.dumps(orphan))
    wait("the orphan to run", lambda: c.get("pod", "orphan")["status"]["phase"] == "Running")
    c.apply(RC)
    c.apply(RS)
    pods = c.wait_ready("run=rc", 2)
    assert "orphan" in {p["metadata"]["name"] for p in pods}, "adopted"
    owner = c.get("pod", "orphan")["metadata"]["ownerReferences"][0]
    assert owner["kind"] == "ReplicationController" and owner["controller"], owner
    c.text("label", "pod", "orphan", "run=free", "--overwrite")
    c.wait_ready("run=rc", 2)
    wait("release", lambda: not c.get("pod", "orphan")["metadata"].get("ownerReferences"))
    c.text("delete", "pod", "orphan")
    c.wait_ready("run=rs", 2)
    c.text("delete", "rs", "rs", "--cascade=orphan")
    left = c.pods("run=rs")
    assert len(left) == 2
    wait("orphans without owner", lambda: all(not p["metadata"].get("ownerReferences") for p in c.pods("run=rs")))
    c.apply(RS)
    wait("adoption of both", lambda: all(p["metadata"].get("ownerReferences") for p in c.pods("run=rs")))
    assert {p["metadata"]["name"] for p in c.pods("run=rs")} == {p["metadata"]["name"] for p in left}
    c.text("delete", "rs", "rs", "--cascade=foreground")
    assert not c.pods("run=rs"), "foreground: pods first"
    c.text("delete", "rc", "rc")
    wait("background deletion", lambda: not c.pods("run=rc"))


def restarts(c):
    def containers():
        return {p["metadata"]["name"]: p["status"]["containerStatuses"][0]["containerID"] for p in c.wait_ready("app=web", 3)}
    before, revision = containers(), c.get("deployment", "web")["metadata"]["resourceVersion"]
    for number in (signal.SIGTERM, signal.SIGKILL):
        c.kill(number)
        c.up()
        assert containers() == before, "the same containers run on"
        assert c.get("deployment", "web")["metadata"]["resourceVersion"] == revision
        assert web(c).startswith("web v1")
    c.text("scale", "deployment/web", "--replicas=4")
    c.wait_ready("app=web", 4)
    c.text("scale", "deployment/web", "--replicas=3")
    c.wait_ready("app=web", 3)


CONFIG_POD = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: green, file.txt: "hello file\\n"}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {password: s3cret}
---
apiVersion: v1
kind: Pod
metadata: {name: config}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: cube.local/busybox:1
    command: ["/bin/sh", "-c", "sleep 1000"]
    env:
    - {name: COLOUR, valueFrom: {configMapKeyRef: {name: settings, key: colour}}}
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: keys, key: password}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    volumeMounts:
    - {name: settings, mountPath: /settings}
    - {name: keys, mountPath: /keys, readOnly: true}
  volumes:
  - {name: settings, configMap: {name: settings}}
  - {name: keys, secret: {secretName: keys}}
"""


def selectors_and_configuration(c):
    pods = [p["metadata"]["name"] for p in c.wait_ready("app=web", 3)]
    c.text("label", "pod", pods[0], "tier=gold", "weight=5")
    c.text("label", "pod", pods[1], "tier=silver")
    names = lambda *args: sorted(n.split("/")[1] for n in c.text("get", "pods", "-o", "name", *args).split())
    assert names("-l", "tier=gold") == [pods[0]]
    assert names("-l", "tier!=gold,app=web") == sorted(pods[1:])
    assert names("-l", "tier in (gold,silver)") == sorted(pods[:2])
    assert names("-l", "tier notin (gold),app") == sorted(pods[1:])
    assert names("-l", "tier") == sorted(pods[:2])
    assert names("-l", "!tier,app=web") == [pods[2]]
    assert names("-l", "weight>4") == [pods[0]]
    assert names("--field-selector", f"metadata.name={pods[1]}") == [pods[1]]
    assert set(pods) <= set(names("--field-selector", "status.phase=Running,spec.nodeName=" + c.get("nodes")["items"][0]["metadata"]["name"]))
    c.apply(CONFIG_POD)
    wait("the pod", lambda: c.get("pod", "config")["status"]["phase"] == "Running")
    sh = lambda text: c.text("exec", "config", "--", "/bin/sh", "-c", text).strip()
    assert sh("echo $COLOUR $PASSWORD").split() == ["green", "s3cret"]
    assert sh("echo $NODE") == c.get("nodes")["items"][0]["metadata"]["name"]
    assert sh("cat /settings/file.txt /keys/password") == "hello file\ns3cret"
    assert "tmpfs" in sh("grep ' /keys ' /proc/mounts"), "secrets on tmpfs"
    c.text("patch", "configmap", "settings", "-p", '{"data":{"colour":"blue"}}')
    wait("the volume to follow", lambda: sh("cat /settings/colour") == "blue", 90)
    c.text("delete", "pod", "config")


def namespaces(c):
    c.text("create", "namespace", "room")
    for kind in ("configmap", "secret generic"):
        c.text("create", *kind.split(), "x", "--from-literal=a=b", "-n", "room")
    c.text("create", "deployment", "d", "--image=cube.local/web:v1", "-n", "room")
    wait("a pod", lambda: c.pods("app=d", "room")[0]["status"]["phase"] == "Running")
    c.text("delete", "namespace", "room")
    gone = c.kubectl("get", "namespace", "room", check=False)
    assert "NotFound" in gone.stderr, gone
    assert "No resources found" in c.kubectl("get", "all,cm,secrets", "-n", "room").stderr


def down_leaves_nothing(c):
    c.down()
    assert c.status() == {}
    left = run("ps", "-eo", "args").stdout
    assert c.dir not in left, [line for line in left.splitlines() if c.dir in line]
    assert c.dir not in open("/proc/self/mountinfo").read()
    links = [line for line in run("ip", "-o", "link").stdout.splitlines() if "uplink" not in line and ": lo:" not in line]
    assert not links, links
    tables = run("nft", "list", "tables").stdout
    assert "cube" not in tables, tables
    c.up()
    c.wait_ready("app=web", 3)
    wait("the Service again", lambda: web(c).startswith("web v1"))


STEPS = [cube_up, deployment_and_service, look_and_touch, self_healing, readiness_leaves_service, rolling_update, rollback, bad_image, owners, restarts,
         selectors_and_configuration, namespaces, down_leaves_nothing]

OTHER_CLIENT = [cube_up, deployment_and_service, look_and_touch, rolling_update, selectors_and_configuration, namespaces]


def new_cluster(cube):
    cluster = Cluster(cube, "--listen", "0.0.0.0:0")
    if len(sys.argv) > 2:
        cluster.kubectl_path = client(sys.argv[2] + "/kubectl")
    return cluster


if __name__ == "__main__":
    main(new_cluster, OTHER_CLIENT if len(sys.argv) > 2 else STEPS)
