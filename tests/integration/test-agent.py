#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server and agents of other machines: simulated nodes, and two machines made of network and mount namespaces. TAP.

The first machine is the namespaces isolate() makes; the second has a network, mounts and a host name of its own and is joined to it by a
veth pair. All of it ends with the test, however it ends.
"""
import base64
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile

from cluster import HOST_IP, Cluster, isolate, report, run, wait

CUBE = os.path.realpath(sys.argv[1])
OTHER_IP = "192.0.2.11"


class Machine:
    """The second machine: commands run in its namespaces."""

    def __init__(self, name="node-b"):
        self.name = name
        self.dir = tempfile.mkdtemp(prefix="cube-test-")
        self.holder = subprocess.Popen(["unshare", "--net", "--mount", "--uts", "sh", "-c", f"hostname {name}; echo ready; exec sleep infinity"],
                                       stdout=subprocess.PIPE, text=True)
        self.holder.stdout.readline()
        run("ip", "link", "set", "uplink-peer", "netns", str(self.holder.pid))
        for folder, mode in (("/run/containerd", "0755"), ("/var/lib/cni", "0700")):
            self.run("mount", "-t", "tmpfs", "-o", f"mode={mode}", "cube-test", folder)
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "set", "uplink-peer", "name", "eth0")
        self.run("ip", "addr", "add", OTHER_IP + "/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.run("ip", "route", "add", "default", "via", HOST_IP)

    def run(self, *args, **more):
        return run("nsenter", "-t", str(self.holder.pid), "--net", "--mount", "--uts", "--", *args, **more)

    def cube(self, command, *more, check=True, timeout=180):
        return self.run(CUBE, command, "--data-dir", self.dir, *more, check=check, timeout=timeout)

    def status(self):
        return json.loads(self.cube("status", "-o", "json", check=False).stdout or "{}")

    def kill(self, number=signal.SIGKILL):
        pid = self.status()["pid"]
        os.kill(pid, number)
        wait("the agent's end", lambda: not os.path.exists(f"/proc/{pid}") or "Z (zombie)" in open(f"/proc/{pid}/status").read(), 30)

    def log(self):
        try:
            with open(os.path.join(self.dir, "cube.log"), encoding="utf-8", errors="replace") as log:
                return log.read().splitlines()
        except OSError as problem:
            return [str(problem)]

    def close(self):
        self.cube("down", check=False)
        self.holder.kill()
        self.holder.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


CONFIG = """
plugins:
  security-csr: {duration: 150s}
"""


class Pair(Cluster):
    """A server with its own node, and the second machine. Certificates are good for 150 s, so that some are renewed meanwhile."""

    def __init__(self):
        super().__init__(CUBE, "--node-name", "node-a")
        path = os.path.join(self.dir, "config.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(CONFIG)
        self.options += ["--config", path]
        self.machine = Machine()

    def diagnose(self):
        yield from super().diagnose()
        yield "the second machine:"
        yield from self.machine.log()[-40:]

    def close(self):
        self.machine.close()
        super().close()

    def node(self, name):
        return self.get("node", name)

    def is_ready(self, name):
        return {c["type"]: c["status"] for c in self.node(name)["status"]["conditions"]}.get("Ready") == "True"


# ---- simulated nodes: no containers ----

def simulated_agent_joins_by_kubeconfig(_):
    with tempfile.TemporaryDirectory(prefix="cube-test-") as server, tempfile.TemporaryDirectory(prefix="cube-test-") as agent:
        config = os.path.join(server, "admin.kubeconfig")
        kubectl = ["kubectl", "--kubeconfig", config]
        try:
            run(CUBE, "server", "--runtime", "sim", "--listen", "127.0.0.1:0", "--data-dir", server)
            assert not run(*kubectl, "get", "nodes", "-o", "name").stdout
            done = run(CUBE, "agent", "--kubeconfig", config, "--runtime", "sim", "--sim-nodes", "2", "--data-dir", agent)
            assert "is ready" in done.stdout, done.stdout
            assert len(run(*kubectl, "get", "nodes", "-o", "name").stdout.split()) == 2
            run(*kubectl, "create", "deployment", "web", "--image", "x", "--replicas", "4")
            run(*kubectl, "rollout", "status", "deployment", "web", "--timeout", "30s")
            again = run(CUBE, "up", "--runtime", "sim", "--listen", "127.0.0.1:0", "--data-dir", agent, check=False)
            assert again.returncode == 1 and "runs an agent already" in again.stderr, again.stderr
        finally:
            run(CUBE, "down", "--data-dir", agent, check=False)
            run(CUBE, "down", "--data-dir", server, check=False)


def agent_without_a_server_is_refused(_):
    with tempfile.TemporaryDirectory(prefix="cube-test-") as agent:
        done = run(CUBE, "agent", "--runtime", "sim", "--data-dir", agent, check=False)
        assert done.returncode != 0 and "server" in done.stderr, done.stderr
        done = run(CUBE, "agent", "--runtime", "sim", "--data-dir", agent, "--kubeconfig", "/nonexistent", check=False)
        assert done.returncode != 0 and "/nonexistent" in done.stderr, done.stderr


# ---- two machines ----

def server_comes_up(pair):
    pair.up()


def token_of(pair, *more):
    """The options a machine joins with, as `cube token create` prints them."""
    line = run(CUBE, "token", "create", "--data-dir", pair.dir, *more).stdout.split()
    assert line[:3] == ["cube", "agent", "--server"] and len(line) == 8, line
    return line[2:]


def changed(options, name, value):
    return [value if before == name else option for before, option in zip([""] + options, options)]


def join(pair, options, check=True):
    return pair.machine.cube("agent", "--node-name", "node-b", *options, check=check)


def refused(pair, options, *words):
    done = join(pair, options, check=False)
    assert done.returncode == 1, f"{done.returncode}: {done.stdout}{done.stderr}"
    for word in words:
        assert word in done.stderr, f'expected "{word}" in: {done.stderr}'
    assert not os.path.exists(os.path.join(pair.machine.dir, "agent.kubeconfig"))


def wrong_hash_is_refused(pair):
    refused(pair, changed(token_of(pair), "--ca-hash", "sha256:" + 64 * "0"), "expected sha256:0000", "--ca-hash")


def wrong_token_is_refused(pair):
    refused(pair, changed(token_of(pair), "--token", "abcdef.0123456789abcdef"), "does not accept the token", "cube token create")
    refused(pair, changed(token_of(pair), "--token", "nonsense"), "does not accept the token")


def expired_token_is_refused(pair):
    options = token_of(pair, "--ttl", "1s")
    name = options[3].split(".")[0]
    wait("the token's end", lambda: name not in run(CUBE, "token", "list", "--data-dir", pair.dir).stdout, 20)
    refused(pair, options, "does not accept the token")


def deleted_token_is_refused(pair):
    options = token_of(pair)
    run(CUBE, "token", "delete", options[3].split(".")[0], "--data-dir", pair.dir)
    refused(pair, options, "does not accept the token")


def name_at_work_is_refused(pair):
    done = pair.machine.cube("agent", "--node-name", "node-a", *token_of(pair), check=False)
    assert done.returncode == 1 and "at work" in done.stderr, done.stderr


def missing_option_is_named(pair):
    refused(pair, token_of(pair)[:4], "--ca-hash", "cube token create")


def agent_joins_by_token(pair):
    done = join(pair, token_of(pair))
    assert "Node node-b is ready" in done.stdout, done.stdout
    assert pair.is_ready("node-b")
    assert pair.node("node-b")["status"]["addresses"][0]["address"] == OTHER_IP
    path = os.path.join(pair.machine.dir, "agent.kubeconfig")
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert not os.path.exists(path + ".join")


def agent_is_confined(pair):
    """The node's certificate opens what a node may see and nothing else."""
    config = os.path.join(pair.machine.dir, "agent.kubeconfig")

    def may(*what):
        return run("kubectl", "--kubeconfig", config, *what, check=False).returncode == 0
    assert may("get", "node", "node-b")
    assert not may("get", "secrets", "-A")
    assert not may("get", "pods", "-A")
    assert may("get", "pods", "-A", "--field-selector", "spec.nodeName=node-b")
    assert not may("get", "secret", "-n", "kube-system", "anything")
    assert not may("label", "node", "node-a", "a=b")
    assert not may("delete", "node", "node-b")
    assert not may("create", "deployment", "x", "--image", "x")


WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}]
      containers: [{name: web, image: "cube.local/web:v1", readinessProbe: {httpGet: {path: /, port: 8080}}}]
"""


def deployment_spreads_over_both(pair):
    pair.apply(WEB)
    pods = pair.wait_ready("app=web", 4)
    nodes = [p["spec"]["nodeName"] for p in pods]
    assert set(nodes) == {"node-a", "node-b"}, nodes


def fetch(machine, url):
    """From the host of @machine, None = the first."""
    args = [sys.executable, "-c", "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())", url]
    return (machine.run if machine else run)(*args, timeout=20).stdout


def pods_reach_each_other(pair):
    """From a pod of each node to every pod of the other; addresses are not translated."""
    pods = pair.ready_pods("app=web")
    addresses = {n: [p["status"]["podIP"] for p in pods if p["spec"]["nodeName"] == n] for n in ("node-a", "node-b")}
    for machine, other in ((None, "node-b"), (pair.machine, "node-a")):
        for address in addresses[other]:
            wait(f"{address} from the other node", lambda: fetch(machine, f"http://{address}:8080/"), 20)


def services_answer_on_both(pair):
    pair.text("expose", "deployment", "web", "--port", "80", "--target-port", "8080", "--type", "NodePort")
    service = pair.get("service", "web")["spec"]
    names = {p["metadata"]["name"] for p in pair.ready_pods("app=web")}
    for machine in (None, pair.machine):
        for url in (f"http://{service['clusterIP']}/", f"http://{HOST_IP}:{service['ports'][0]['nodePort']}/",
                    f"http://{OTHER_IP}:{service['ports'][0]['nodePort']}/"):
            seen = set()

            def all_seen():
                text = fetch(machine, url)
                seen.update(name for name in names if name in text)
                return names <= seen
            wait(f"{url} from {machine.name if machine else 'node-a'}: all of {names}, seen {seen}", all_seen, 40)


def config_map_changes_on_the_agent(pair):
    pair.apply("""
apiVersion: v1
kind: ConfigMap
metadata: {name: page}
data: {text: first}
---
apiVersion: v1
kind: Pod
metadata: {name: page, labels: {app: page}}
spec:
  nodeName: node-b
  terminationGracePeriodSeconds: 1
  containers: [{name: web, image: "cube.local/web:v1", volumeMounts: [{name: page, mountPath: /page}]}]
  volumes: [{name: page, configMap: {name: page}}]
""")
    pod = pair.wait_ready("app=page", 1)[0]
    path = os.path.join(pair.machine.dir, "pods", pod["metadata"]["uid"], "volumes", "kubernetes.io~configmap", "page", "text")
    assert open(path, encoding="utf-8").read() == "first"
    pair.text("patch", "configmap", "page", "-p", '{"data":{"text":"second"}}')
    wait("the file's change", lambda: open(path, encoding="utf-8").read() == "second", 20)
    pair.text("delete", "pod", "page")


def remote_pod(pair):
    return next(p["metadata"]["name"] for p in pair.ready_pods("app=web") if p["spec"]["nodeName"] == "node-b")


def logs_come_from_the_other_machine(pair):
    name = remote_pod(pair)
    text = wait("a log", lambda: pair.text("logs", name), 20)
    assert text.strip(), text
    assert len(pair.text("logs", name, "--tail", "1").splitlines()) == 1
    done = pair.kubectl("logs", name, "--previous", check=False)
    assert done.returncode != 0 and "previous terminated container" in done.stderr, done.stderr


def exec_goes_to_the_other_machine(pair):
    name = remote_pod(pair)
    done = pair.kubectl("exec", name, "--", "/bin/sh", "-c", "exit 7", check=False)
    assert done.returncode == 7, f"{done.returncode} {done.stderr}"
    text = "".join(f"line {i}\n" for i in range(20000))
    done = pair.kubectl("exec", "-i", name, "--", "/bin/busybox", "cat", data=text)
    assert done.stdout == text, f"{len(done.stdout)} bytes of {len(text)}"
    done = pair.kubectl("exec", name, "--", "/nonexistent", check=False)
    assert done.returncode != 0, done.stdout


def port_forward_goes_to_the_other_machine(pair):
    name = remote_pod(pair)
    process = subprocess.Popen(["kubectl", "port-forward", f"pod/{name}", ":8080"], stdout=subprocess.PIPE, text=True, env=pair.env)
    try:
        port = process.stdout.readline().split("127.0.0.1:")[1].split()[0]
        for _ in range(3):
            assert name in fetch(None, f"http://127.0.0.1:{port}/")
    finally:
        process.kill()
        process.wait()


def strangers_find_the_gateway_closed(pair):
    port = pair.node("node-b")["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    assert port == 10250
    with open(pair.env["KUBECONFIG"], encoding="utf-8") as file:
        lines = dict(line.strip().split(": ", 1) for line in file if "-data: " in line)
    with tempfile.NamedTemporaryFile() as certificate:
        certificate.write(base64.b64decode(lines["client-certificate-data"]) + b"\n" + base64.b64decode(lines["client-key-data"]))
        certificate.flush()
        for chain in (None, certificate.name):
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            if chain:
                context.load_cert_chain(chain)
            try:
                with socket.create_connection((OTHER_IP, port), 5) as plain, context.wrap_socket(plain) as tls:
                    tls.sendall(b"\x01\x00\x00\x00\x00\x02{}")
                    assert tls.recv(1) == b"", "a stranger got an answer"
            except (ssl.SSLError, ConnectionError):
                pass


def running(pair):
    """What must not change when only Cube itself comes and goes."""
    pods = pair.ready_pods("app=web")
    ids = sorted(s["containerID"] + str(s["restartCount"]) for p in pods for s in p["status"]["containerStatuses"])
    processes = sorted(run("pgrep", "-x", "web", check=False).stdout.split())
    assert len(ids) == 4 and len(processes) == 4, (ids, processes)
    return ids, processes


def heartbeat(pair, node):
    """Leases are kept in memory: after a restart of the server there is none until the next."""
    done = pair.kubectl("get", "lease", "-n", "kube-node-lease", node, "-o", "jsonpath={.spec.renewTime}", check=False)
    return done.stdout


def wait_heartbeat(pair, node, seconds=60):
    before = heartbeat(pair, node)
    wait(f"a heartbeat of {node}", lambda: heartbeat(pair, node) not in ("", before), seconds)


def killed_agent_takes_its_pods_over(pair):
    before = running(pair)
    pair.machine.kill()
    done = pair.machine.cube("agent", "--node-name", "node-b")  # no token: it has a certificate
    assert "is ready" in done.stdout, done.stdout
    wait_heartbeat(pair, "node-b")
    assert running(pair) == before, f"{before} became {running(pair)}"
    assert remote_pod(pair) in pair.text("exec", remote_pod(pair), "--", "/bin/busybox", "hostname")


def pods_go_on_without_the_server(pair):
    before = running(pair)
    service = pair.get("service", "web")["spec"]
    pair.kill(signal.SIGKILL)
    status = pair.machine.cube("status", check=False)
    assert "pid" in status.stdout, status.stdout
    for _ in range(10):
        fetch(pair.machine, f"http://{service['clusterIP']}/")
    pair.machine.kill()  # and its agent comes back before the server does
    pair.machine.cube("agent", "--node-name", "node-b", "--timeout", "3", check=False)
    for _ in range(10):
        fetch(pair.machine, f"http://{service['clusterIP']}/")
    pair.up()
    wait_heartbeat(pair, "node-b")
    wait("the agent's readiness", lambda: pair.machine.status().get("ready"), 30)
    assert running(pair) == before, f"{before} became {running(pair)}"


def agent_works_on_after_the_server_came_back(pair):
    pair.text("scale", "deployment", "web", "--replicas", "8")
    pods = pair.wait_ready("app=web", 8)
    assert sum(p["spec"]["nodeName"] == "node-b" for p in pods) >= 2, [p["spec"]["nodeName"] for p in pods]
    pair.text("scale", "deployment", "web", "--replicas", "4")
    pair.wait_ready("app=web", 4)
    wait("four processes", lambda: len(run("pgrep", "-x", "web", check=False).stdout.split()) == 4, 30)


def certificate_is_renewed(pair):
    path = os.path.join(pair.machine.dir, "agent.kubeconfig")

    def certificate():
        with open(path, encoding="utf-8") as file:
            return json.load(file)["users"][0]["user"]["client-certificate-data"]
    before = certificate()
    wait("another certificate", lambda: certificate() != before, 90)
    assert os.stat(path).st_mode & 0o777 == 0o600
    wait_heartbeat(pair, "node-b")
    pair.text("run", "later", "--image", "cube.local/web:v1", "--overrides", '{"spec":{"nodeName":"node-b","terminationGracePeriodSeconds":1}}')
    pair.wait_ready("run=later", 1)
    assert "later" in pair.text("exec", "later", "--", "/bin/busybox", "hostname")
    pair.text("delete", "pod", "later")


def stopped_agent_loses_its_pods(pair):
    """Not heard of: NotReady, tainted, evicted; the others' Services go on without it."""
    patch = [{"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 2} for taint in ("unreachable", "not-ready")]
    pair.text("patch", "deployment", "web", "-p", json.dumps({"spec": {"template": {"spec": {"tolerations": patch, "topologySpreadConstraints": None}}}}))
    pair.text("rollout", "status", "deployment", "web", "--timeout", "60s")
    pair.wait_ready("app=web", 4)
    pair.machine.kill()
    wait("NotReady", lambda: not pair.is_ready("node-b"), 90)
    wait("the taint", lambda: any(t["key"] == "node.kubernetes.io/unreachable" for t in pair.node("node-b")["spec"].get("taints", [])), 20)

    def moved():
        ready = [p for p in pair.ready_pods("app=web") if p["spec"]["nodeName"] == "node-a"]
        return len(ready) == 4
    wait("four pods on the other node", moved, 60)


def agent_comes_back(pair):
    done = pair.machine.cube("agent", "--node-name", "node-b", *token_of(pair))
    assert "is ready" in done.stdout, done.stdout
    wait("Ready", lambda: pair.is_ready("node-b"), 30)
    wait("no taint", lambda: not pair.node("node-b")["spec"].get("taints"), 30)
    wait("evicted pods are gone", lambda: all(p["spec"]["nodeName"] == "node-a" for p in pair.pods("app=web")), 60)


def other_name_in_the_same_place_is_refused(pair):
    pair.machine.cube("down")
    done = pair.machine.cube("agent", "--node-name", "node-c", check=False)
    assert done.returncode == 1 and "node-b" in done.stderr, done.stderr


def nothing_is_left_of_the_agent(pair):
    left = [line for line in pair.machine.run("ip", "-o", "route").stdout.splitlines() if "10.244" in line]
    assert not left, left
    links = pair.machine.run("ip", "-o", "link").stdout
    assert "cube" not in links and "veth" not in links.replace("uplink", ""), links
    assert "cube-" not in pair.machine.run("nft", "list", "tables").stdout
    mounts = pair.machine.run("cat", "/proc/self/mountinfo").stdout
    assert pair.machine.dir not in mounts, [line for line in mounts.splitlines() if pair.machine.dir in line]
    assert not run("pgrep", "-f", pair.machine.dir, check=False).stdout


STEPS = [simulated_agent_joins_by_kubeconfig, agent_without_a_server_is_refused, server_comes_up,
         wrong_hash_is_refused, wrong_token_is_refused, expired_token_is_refused, deleted_token_is_refused, name_at_work_is_refused,
         missing_option_is_named, agent_joins_by_token, agent_is_confined, deployment_spreads_over_both,
         pods_reach_each_other, services_answer_on_both, config_map_changes_on_the_agent,
         logs_come_from_the_other_machine, exec_goes_to_the_other_machine, port_forward_goes_to_the_other_machine,
         strangers_find_the_gateway_closed, killed_agent_takes_its_pods_over, pods_go_on_without_the_server,
         agent_works_on_after_the_server_came_back, certificate_is_renewed, stopped_agent_loses_its_pods, agent_comes_back,
         other_name_in_the_same_place_is_refused, nothing_is_left_of_the_agent]


def main():
    isolate()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    pair = Pair()
    try:
        failed = report(STEPS, pair, diagnose=pair.diagnose)
    finally:
        if os.environ.get("CUBE_TEST_KEEP") != "1":
            pair.close()
    sys.exit(1 if failed else 0)


main()
