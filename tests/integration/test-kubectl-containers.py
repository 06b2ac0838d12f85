#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kubectl's commands that reach into containers, with an old and a new kubectl: test-kubectl-containers.py CUBE"""
import os
import re
import subprocess

from cluster import Cluster, client, http, main, run, wait

OLD, NEW = "kubectl-1.20/kubectl", "kubectl-1.35/kubectl"
PODS = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: web, image: "cube.local/web:v1", ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: two, labels: {app: two}}
spec:
  terminationGracePeriodSeconds: 0
  initContainers: [{name: first, image: "cube.local/busybox:1", command: [/bin/sh, -c, "echo from the init container"]}]
  containers:
  - {name: talker, image: "cube.local/busybox:1", command: [/bin/sh, -c, "for i in 1 2 3 4 5; do echo line $i; done; sleep 1000"]}
  - {name: cat, image: "cube.local/busybox:1", stdin: true, command: [/bin/sh, -c, "while read x; do echo got $x; done; sleep 1000"]}
---
apiVersion: v1
kind: Pod
metadata: {name: again}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "cube.local/busybox:1", command: [/bin/sh, -c, "echo a life; sleep 1; exit 1"]}]
"""


def start(c):
    c.up()
    c.apply(PODS)
    c.text("wait", "--for=condition=Ready", "pod/web", "pod/two", "--timeout=60s")


def each(c):
    for name in (OLD, NEW):
        c.kubectl_path = client(name)
        yield name


def logs(c):
    for name in each(c):
        assert c.text("logs", "two", "-c", "talker") == "".join(f"line {i}\n" for i in range(1, 6)), name
        assert c.text("logs", "two", "-c", "first") == "from the init container\n"
        assert c.text("logs", "two", "-c", "talker", "--tail=2") == "line 4\nline 5\n"
        assert c.text("logs", "two", "-c", "talker", "--limit-bytes=6") == "line 1"
        assert c.text("logs", "two", "-c", "talker", "--since=1h", "--tail=1") == "line 5\n"
        assert c.text("logs", "two", "-c", "talker", "--since-time=2100-01-01T00:00:00Z") == ""
        assert re.match(r"^20\d\d-\d\d-\d\dT[^ ]+ line 5$", c.text("logs", "two", "-c", "talker", "--timestamps", "--tail=1").strip())
        assert "line 5" in c.text("logs", "-l", "app=two", "--all-containers", "--prefix")
        assert "listening" in c.text("logs", "-l", "app=web", "--tail=-1")
        assert "is not valid for pod two" in c.kubectl("logs", "two", "-c", "none", check=False).stderr
        assert "not found" in c.kubectl("logs", "none", check=False).stderr
        follow = subprocess.Popen([c.kubectl_path, "logs", "-f", "two", "-c", "cat"], stdout=subprocess.PIPE, text=True, env=c.env)
        try:
            c.text("attach", "-i", "two", "-c", "cat", data=f"from {name}\n")
            assert follow.stdout.readline().startswith("got from"), name
        finally:
            follow.kill()
            follow.communicate()
        c.text("delete", "pod", "two")
        c.apply(PODS)
        c.text("wait", "--for=condition=Ready", "pod/two", "--timeout=60s")
    wait("a second life", lambda: c.get("pod", "again")["status"]["containerStatuses"][0]["restartCount"] >= 1)
    assert c.text("logs", "again", "--previous") == "a life\n"
    assert "previous terminated container" in c.kubectl("logs", "web", "--previous", check=False).stderr


def execute(c):
    for name in each(c):
        assert c.text("exec", "deploy/none", "--", "ls", check=False) == ""
        assert c.text("exec", "web", "--", "/bin/sh", "-c", "echo out; echo err >&2") == "out\n", name
        assert c.text("exec", "-i", "two", "-c", "talker", "--", "/bin/busybox", "cat", data="to the end") == "to the end"
        assert c.kubectl("exec", "web", "--", "/bin/sh", "-c", "exit 9", check=False).returncode == 9
        missing = c.kubectl("exec", "web", "--", "/no/such", check=False)
        assert missing.returncode != 0 and "no such file" in missing.stderr, missing
        # a terminal of kubectl's own
        done = run("script", "-qec", f"{c.kubectl_path} exec -it web -- /bin/sh -c '/bin/busybox tty; /bin/busybox stty size'", "/dev/null", env=c.env, data="")
        assert "/dev/pts/" in done.stdout, (name, done)


def copy(c):
    data = os.urandom(300000)
    source, back = os.path.join(c.dir, "source"), os.path.join(c.dir, "back")
    with open(source, "wb") as f:
        f.write(data)
    c.text("exec", "web", "--", "/bin/busybox", "ln", "-sf", "/bin/busybox", "/bin/tar")
    for name in each(c):
        c.text("cp", source, "web:/tmp/copied")
        c.text("cp", "web:/tmp/copied", back)
        with open(back, "rb") as f:
            assert f.read() == data, name
        os.remove(back)


def forward(c):
    for name in each(c):
        for what, port in (("pod/web", 8080), ("service/web", 80)):
            tool = subprocess.Popen([c.kubectl_path, "port-forward", what, f":{port}"], stdout=subprocess.PIPE, text=True, env=c.env)
            try:
                local = re.search(r"127.0.0.1:(\d+)", tool.stdout.readline()).group(1)
                for _ in range(5):
                    assert http(f"http://127.0.0.1:{local}/") == "web v1 web\n", name
            finally:
                tool.kill()
                tool.communicate()


def proxy(c):
    tool = subprocess.Popen([c.kubectl_path, "proxy", "--port=0"], stdout=subprocess.PIPE, text=True, env=c.env)
    try:
        address = re.search(r"127.0.0.1:\d+", tool.stdout.readline()).group(0)
        assert "gitVersion" in http(f"http://{address}/version")
        assert '"kind":"PodList"' in http(f"http://{address}/api/v1/namespaces/default/pods").replace(" ", "")[:200]
    finally:
        tool.kill()
        tool.communicate()


def run_and_debug(c):
    for name in each(c):
        out = c.text("run", "once", "--image=cube.local/busybox:1", "--restart=Never", "--rm", "-i", "--quiet", "--", "/bin/sh", "-c", "read x; echo said $x", data="hello\n")
        assert "said hello" in out, (name, out)
        assert "NotFound" in c.kubectl("get", "pod", "once", check=False).stderr
    c.text("debug", "web", "--image=cube.local/busybox:1", "--container=probe", "--target=web", "--profile=general", "--", "/bin/sh", "-c", "echo looking; sleep 1000")
    wait("the debug container", lambda: "looking" in c.text("logs", "web", "-c", "probe"), 30)
    assert c.get("pod", "web")["spec"]["ephemeralContainers"][0]["name"] == "probe"
    c.text("debug", "web", "--copy-to=copy", "--container=web", "--profile=general", "--share-processes", "--", "/bin/sh", "-c", "echo a copy; sleep 1000")
    wait("the copy", lambda: "a copy" in c.text("logs", "copy", "-c", "web"), 30)
    node = c.get("nodes")["items"][0]["metadata"]["name"]
    c.text("debug", f"node/{node}", "--image=cube.local/busybox:1", "--profile=general", "--", "/bin/sh", "-c", "ls /host/etc/passwd; sleep 1000")
    debugger = next(pod for pod in c.text("get", "pods", "-o", "name").split() if "node-debugger" in pod)
    wait("the node's debug pod", lambda: "/host/etc/passwd" in c.text("logs", debugger), 30)
    c.text("delete", "pods", "--all", "--grace-period=0", "--force")


if __name__ == "__main__":
    main(lambda cube: Cluster(cube, "--listen", "127.0.0.1:0"), [start, logs, execute, copy, forward, proxy, run_and_debug])
