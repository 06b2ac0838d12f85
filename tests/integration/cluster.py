# SPDX-License-Identifier: Apache-2.0
"""A cluster of one's own for an integration test, with real kubectl; TAP output.

isolate() starts the script again in network, mount and process namespaces of its own: links, rules, mounts and processes made there end
with it, however it ends.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
HOST_IP = "192.0.2.10"
CLIENTS = os.environ.get("CUBE_CLIENTS") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "cube-clients")


def client(name):
    """A client that tools/clients fetched: "kubectl-1.20/kubectl"."""
    path = os.path.join(CLIENTS, name)
    if not os.path.exists(path):
        raise AssertionError(f"{path} is not there: tools/setup --tests fetches it")
    return path


def run(*args, check=True, data=None, timeout=120, env=None):
    done = subprocess.run(args, input=data, capture_output=True, text=True, timeout=timeout, env=env)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(args)} ended with {done.returncode}: {done.stdout[-1500:]}{done.stderr[-1500:]}")
    return done


def isolate(has_network=True):
    if os.environ.get("CUBE_TEST_ISOLATED") != "1":
        os.environ["CUBE_TEST_ISOLATED"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--", sys.executable] + sys.argv)
    for folder, mode in (("/run/containerd", "0755"), ("/var/lib/cni", "0700")):
        os.makedirs(folder, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", f"mode={mode}", "cube-test", folder)
    run("ip", "link", "set", "lo", "up")
    if not has_network:
        return
    run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "uplink-peer")
    run("ip", "link", "set", "uplink-peer", "up")
    run("ip", "addr", "add", HOST_IP + "/24", "dev", "uplink")
    run("ip", "link", "set", "uplink", "up")
    run("ip", "route", "add", "default", "via", "192.0.2.1")


def http(url, timeout=5):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read().decode()


def wait(what, check, seconds=60):
    """Tries until check() gives something true; its exceptions count as not yet."""
    end = time.monotonic() + seconds
    last = None
    while True:
        try:
            result = check()
            if result:
                return result
            last = result
        except (AssertionError, OSError, KeyError, IndexError, ValueError, subprocess.SubprocessError) as problem:
            last = problem
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s; last: {str(last)[:800]}")
        time.sleep(0.05)


class Cluster:
    def __init__(self, cube, *options):
        self.cube = os.path.realpath(cube)
        self.dir = tempfile.mkdtemp(prefix="cube-test-")
        self.options = list(options)
        self.kubectl_path = os.environ.get("CUBE_KUBECTL") or "kubectl"
        self.env = dict(os.environ, KUBECONFIG=os.path.join(self.dir, "admin.kubeconfig"))
        self.env.pop("HTTPS_PROXY", None)

    def up(self, *more):
        return run(self.cube, "up", "--data-dir", self.dir, *self.options, *more, timeout=180)

    def down(self):
        return run(self.cube, "down", "--data-dir", self.dir, timeout=120)

    def status(self):
        return json.loads(run(self.cube, "status", "--data-dir", self.dir, "-o", "json", check=False).stdout or "{}")

    def plugins(self):
        return {p.get("name") or p["path"]: p for p in json.loads(run(self.cube, "plugins", "--data-dir", self.dir, "-o", "json").stdout)}

    def pid(self):
        return self.status()["pid"]

    def kill(self, number):
        pid = self.pid()
        os.kill(pid, number)
        wait("the daemon's end", lambda: not os.path.exists(f"/proc/{pid}") or "Z (zombie)" in open(f"/proc/{pid}/status").read(), 30)

    def kubectl(self, *args, check=True, data=None, timeout=120):
        return run(self.kubectl_path, *args, check=check, data=data, timeout=timeout, env=self.env)

    def text(self, *args, **more):
        return self.kubectl(*args, **more).stdout

    def get(self, *args):
        return json.loads(self.text("get", *args, "-o", "json"))

    def apply(self, manifest):
        return self.text("apply", "-f", "-", data=manifest)

    def pods(self, selector, ns="default"):
        return [p for p in self.get("pods", "-n", ns, "-l", selector)["items"]]

    def ready_pods(self, selector):
        def ready(p):
            conditions = {c["type"]: c["status"] for c in p.get("status", {}).get("conditions", [])}
            return conditions.get("Ready") == "True" and "deletionTimestamp" not in p["metadata"]
        return [p for p in self.pods(selector) if ready(p)]

    def wait_ready(self, selector, n, seconds=90):
        return wait(f"{n} ready pods of {selector}", lambda: (p := self.ready_pods(selector)) and len(p) == n and len(self.pods(selector)) == n and p, seconds)

    def diagnose(self):
        for args in (["get", "all", "-A", "-o", "wide"], ["get", "events", "-A"], ["get", "endpointslices", "-A"]):
            yield from self.kubectl(*args, check=False).stdout.splitlines()[-40:]
        try:
            with open(os.path.join(self.dir, "cube.log"), encoding="utf-8", errors="replace") as log:
                yield from log.read().splitlines()[-30:]
        except OSError as problem:
            yield str(problem)

    def close(self):
        run(self.cube, "down", "--data-dir", self.dir, check=False, timeout=120)
        shutil.rmtree(self.dir, ignore_errors=True)


def report(tests, *arguments, diagnose=lambda: ()):
    """Runs the tests in order and prints TAP; the first failure of one does not end the others. The number that failed."""
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for number, test in enumerate(tests, 1):
        begin = time.monotonic()
        try:
            test(*arguments)
            print(f"ok {number} {test.__name__} - {time.monotonic() - begin:.1f} s", flush=True)
        except Exception as problem:  # a test's report, not control flow
            failed += 1
            print(f"not ok {number} {test.__name__}", flush=True)
            for line in f"{type(problem).__name__}: {problem}".splitlines():
                print(f"# {line}")
            for line in diagnose():
                print(f"#   {line}")
            sys.stdout.flush()
    return failed


def main(cluster_of, steps, has_network=True):
    isolate(has_network)
    cluster = cluster_of(sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        failed = report(steps, cluster, diagnose=cluster.diagnose)
    finally:
        if os.environ.get("CUBE_TEST_KEEP") != "1":
            cluster.close()
    sys.exit(1 if failed else 0)
