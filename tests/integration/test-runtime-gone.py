#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""containerd dies, is away, or hangs: pods stay, the node says why, and it recovers by itself: test-runtime-gone.py CUBE"""
import json
import os
import shutil
import signal

from cluster import Cluster, TOP, http, main, run, wait

WEB = json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
    "replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
        "terminationGracePeriodSeconds": 1, "containers": [{"name": "web", "image": "cube.local/web:v1", "ports": [{"containerPort": 8080}]}]}}}})
ENV = os.path.join(TOP, "tests", "integration", "containerd-env.sh")


class Outside:
    """A containerd that Cube did not start."""

    def __init__(self, folder):
        self.dir = folder
        self.socket = os.path.join(folder, "containerd.sock")
        os.makedirs(folder)

    def sh(self, text):
        return run("bash", "-c", f'source "{ENV}"; {text}', timeout=60)

    def start(self):
        self.sh(f'cenv_start "{self.dir}" 1')

    def import_images(self, build):
        run("env", f"CENV_IMAGES={build}/images", "bash", "-c", f'source "{ENV}"; cenv_import "{self.dir}"', timeout=60)

    def pid(self):
        with open(os.path.join(self.dir, "pid"), encoding="utf-8") as f:
            return int(f.read())


def child_pid(c):
    with open(os.path.join(c.dir, "containerd", "containerd.pid"), encoding="utf-8") as f:
        return int(f.read())


def processes(c):
    """The web servers of the pods: HOSTNAME → pid."""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/cmdline") as f, open(f"/proc/{entry}/environ") as e:
                if f.read().split("\0")[0].endswith("web"):
                    found[next(v for v in e.read().split("\0") if v.startswith("HOSTNAME="))] = int(entry)
        except (OSError, StopIteration):
            continue
    return found


def life(c):
    """What must not change while the runtime is away: pod → its identity, and the processes."""
    return ({p["metadata"]["name"]: (p["metadata"]["uid"], p["status"]["podIP"], p["status"]["containerStatuses"][0]["containerID"],
                                     p["status"]["containerStatuses"][0]["restartCount"]) for p in c.pods("app=web") if p["status"].get("podIP")}, processes(c))


def node_condition(c):
    node = c.get("nodes")["items"][0]
    return next(s for s in node["status"]["conditions"] if s["type"] == "Ready")


def is_not_ready(c, *words):
    ready = node_condition(c)
    assert (ready["status"], ready["reason"]) == ("False", "KubeletNotReady"), ready
    for word in words:
        assert word in ready["message"], ready
    return True


def containers(c, socket):
    return len(run("ctr", "-a", socket, "-n", "k8s.io", "containers", "ls", "-q").stdout.split())


def answers(c):
    return [http(f"http://{p['status']['podIP']}:8080/") for p in c.pods("app=web") if p["status"].get("podIP")]


def outage(c, socket, begin, end, message):
    """From begin() to end() there is no runtime."""
    before = life(c)
    assert len(before[0]) == 2 and len(before[1]) == 2, before
    begin()
    wait("the node to say why", lambda: is_not_ready(c, *message), 90)
    assert life(c) == before, (before, life(c))
    assert len(answers(c)) == 2, "what runs goes on answering"
    assert not c.status()["ready"] and any(message[0] in w for w in c.status()["waitingFor"]), c.status()["waitingFor"]
    wait("the event", lambda: any(e["reason"] == "NodeNotReady" for e in c.get("events", "-A")["items"]), 10)
    c.text("scale", "deployment", "web", "--replicas=3")  # the API and the controllers go on
    wait("a third pod, that waits", lambda: len(c.pods("app=web")) == 3, 10)
    assert len(processes(c)) == 2
    end()
    wait("the node to recover by itself", lambda: node_condition(c)["status"] == "True", 60)
    c.wait_ready("app=web", 3)
    after = life(c)
    for name, was in before[0].items():
        assert after[0][name] == was, f"{name} is the same: {was}, now {after[0][name]}"
    assert all(after[1][name] == pid for name, pid in before[1].items()) and len(after[1]) == 3, (before[1], after[1])
    assert containers(c, socket) == 6, "a sandbox and a container for each pod, none twice"
    assert c.status()["ready"]
    # Its events are heard again: a container that dies is started anew, once.
    victim = next(iter(before[0]))
    os.kill(before[1]["HOSTNAME=" + victim], signal.SIGKILL)
    wait("a restart", lambda: c.get("pod", victim)["status"]["containerStatuses"][0]["restartCount"] == before[0][victim][3] + 1)
    c.wait_ready("app=web", 3)
    assert c.text("exec", victim, "--", "/bin/sh", "-c", "echo in").strip() == "in"
    c.text("scale", "deployment", "web", "--replicas=2")
    c.wait_ready("app=web", 2)
    wait("the third one's end", lambda: len(processes(c)) == 2 and containers(c, socket) <= 5, 30)


def child(c):
    c.up()
    c.apply(WEB)
    c.wait_ready("app=web", 2)
    c.socket = os.path.join(c.dir, "containerd", "containerd.sock")


def child_killed(c):
    """It is back in a moment; pods do not notice."""
    before = life(c)
    for _ in range(3):
        pid = child_pid(c)
        os.kill(pid, signal.SIGKILL)
        wait("another containerd", lambda: child_pid(c) != pid and containers(c, c.socket) == 4, 30)
        wait("the cluster", lambda: c.status()["ready"], 30)
    assert life(c) == before, (before, life(c))
    c.wait_ready("app=web", 2)


def child_away(c):
    """It dies, and cannot be started for a while."""
    program = shutil.which("containerd")

    def begin():
        run("mount", "--bind", "/bin/false", program)
        os.kill(child_pid(c), signal.SIGKILL)

    outage(c, c.socket, begin, lambda: run("umount", program), ["container runtime is down"])


def child_hangs(c):
    outage(c, c.socket, lambda: os.kill(child_pid(c), signal.SIGSTOP), lambda: os.kill(child_pid(c), signal.SIGCONT), ["container runtime is down"])
    c.down()
    shutil.rmtree(c.dir)
    os.mkdir(c.dir, 0o700)


def outside(c):
    c.outside = Outside(os.path.join(c.dir, "outside"))
    c.outside.start()
    c.outside.import_images(os.path.dirname(c.cube))
    config = os.path.join(c.dir, "config.yaml")
    with open(config, "w", encoding="utf-8") as f:
        f.write(f"runtimeEndpoint: unix://{c.outside.socket}\n")
    c.up("--config", config)
    c.apply(WEB)
    c.wait_ready("app=web", 2)


def outside_killed(c):
    outage(c, c.outside.socket, lambda: os.kill(c.outside.pid(), signal.SIGKILL), c.outside.start, ["container runtime is down"])


def restart_without_it(c):
    """A daemon that starts while the runtime is away keeps the pods, and takes them up when it is back."""
    before = life(c)
    os.kill(c.outside.pid(), signal.SIGKILL)
    c.kill(signal.SIGKILL)
    run(c.cube, "up", "--data-dir", c.dir, *c.options, "--config", os.path.join(c.dir, "config.yaml"), "--timeout", "5", check=False)
    wait("the node to say why", lambda: is_not_ready(c, "container runtime is down"), 30)
    assert life(c) == before, (before, life(c))
    c.outside.start()
    wait("the cluster", lambda: c.status()["ready"], 60)
    c.wait_ready("app=web", 2)
    assert life(c) == before, (before, life(c))


def down(c):
    c.down()
    assert not processes(c), processes(c)
    c.outside.sh(f'cenv_stop "{c.outside.dir}"')


if __name__ == "__main__":
    main(lambda cube: Cluster(cube, "--listen", "0.0.0.0:0"),
         [child, child_killed, child_away, child_hangs, outside, outside_killed, restart_without_it, down])
