#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The installed units under a living systemd: test-systemd.py BUILD-FOLDER. TAP.

Two machines with systemd as their first process (systemd-machine.sh), on one link: a server (cube.service) and a node of it
(cube-agent.service). All of it ends with the test's own namespaces, however it ends.
"""
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile

from cluster import isolate, report, run, wait

BUILD = os.path.realpath(sys.argv[1])
HERE = os.path.dirname(os.path.realpath(__file__))

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: test}}}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 1
  securityContext: {{runAsUser: 1000, runAsGroup: 1000}}
  containers:
  - name: main
    image: cube.local/busybox:1
    command: [sh, -c, "echo there > /own/file && cat /own/file && exec sleep 3600"]
    readinessProbe: {{exec: {{command: [cat, /own/file]}}, periodSeconds: 1}}
    volumeMounts: [{{name: own, mountPath: /own}}]
  volumes: [{{name: own, emptyDir: {{}}}}]
"""


class Machine:
    """Files below a folder of its own; boot() and power_off() as often as one likes."""

    def __init__(self, name, address):
        self.name, self.address = f"{name}-{secrets.token_hex(3)}", address
        self.dir = tempfile.mkdtemp(prefix="cube-test-")
        self.process = self.init = None
        for folder in ("layer", "installed", "state", "root"):
            os.mkdir(os.path.join(self.dir, folder), 0o700 if folder == "state" else 0o755)
        run("mount", "-t", "tmpfs", "-o", "mode=755", "cube-test", os.path.join(self.dir, "layer"))
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", os.path.join(self.dir, "installed"))

    def boot(self):
        """With a network from the first moment on."""
        with subprocess.Popen(["unshare", "--net", "--", "sh", "-c", "echo ready; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            holder.stdout.readline()
            inside = ["nsenter", "-t", str(holder.pid), "--net", "--"]
            port = f"to-{self.address.rsplit('.', 1)[1]}"
            run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
            run("ip", "link", "set", port, "master", "lan", "up")
            run(*inside, "ip", "link", "set", "lo", "up")
            run(*inside, "ip", "addr", "add", self.address + "/24", "dev", "eth0")
            run(*inside, "ip", "link", "set", "eth0", "up")
            run(*inside, "ip", "route", "add", "default", "via", "192.0.2.1")
            with open(os.path.join(self.dir, "console"), "ab") as console:
                self.process = subprocess.Popen([*inside, os.path.join(HERE, "systemd-machine.sh"), self.dir, self.name], stdin=subprocess.DEVNULL,
                                                stdout=console, stderr=console)
            self.init = wait("the first process", self.first_process, 30)
            holder.stdin.close()
        wait("the end of the boot", lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"), 120)

    def first_process(self):
        """unshare's only child, once it is systemd."""
        if self.process.poll() is not None:
            raise AssertionError(f"it ended with {self.process.returncode}")
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as file:
            child = file.read().split()[0]
        with open(f"/proc/{child}/comm", encoding="ascii") as file:
            return file.read() == "systemd\n" and int(child)

    def run(self, *args, **more):
        return run("nsenter", "-t", str(self.init), "-m", "-n", "-p", "-u", "-i", "-C", "--", *args, **more)

    def write(self, path, text, mode):
        self.run("install", "-m", mode, "/dev/stdin", path, data=text)

    def show(self, unit, name):
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def kubectl(self, *args, **more):
        return self.run("kubectl", "--kubeconfig", "/var/lib/cube/admin.kubeconfig", *args, **more)

    def get(self, *args):
        return json.loads(self.kubectl("get", *args, "-o", "json").stdout)

    def journal(self, unit):
        """(priority, message) of each line that the unit wrote."""
        lines = [json.loads(line) for line in self.run("journalctl", "--no-pager", "-o", "json", "-u", unit).stdout.splitlines()]
        return [(line.get("PRIORITY"), line["MESSAGE"]) for line in lines if line.get("SYSLOG_IDENTIFIER") == "cube" or line.get("_COMM") == "cube"]

    def processes(self):
        return self.run("ps", "-eo", "args").stdout

    def power_off(self):
        self.run("systemctl", "poweroff", check=False)
        self.process.wait(120)
        self.process = self.init = None

    def diagnose(self):
        if self.process is None:
            return
        with open(os.path.join(self.dir, "console"), encoding="utf-8", errors="replace") as console:
            yield from console.read().splitlines()[-20:]
        if self.process.poll() is None:
            for args in (["systemctl", "--no-pager", "--failed"], ["journalctl", "--no-pager", "-n", "60", "-u", "cube*", "-t", "systemd"], ["ps", "axf"]):
                yield from self.run(*args, check=False).stdout.splitlines()

    def remove_cgroups(self):
        with open("/proc/mounts", encoding="utf-8") as mounts:
            places = [line.split()[1] for line in mounts if line.split()[2] in ("cgroup", "cgroup2")]
        for place in places:
            for folder, _, _ in os.walk(os.path.join(place, self.name), topdown=False):
                try:
                    os.rmdir(folder)
                except OSError as problem:
                    print(f"# {folder}: {problem}", flush=True)

    def close(self):
        if self.process is not None:
            if self.process.poll() is None:
                os.kill(self.init or self.process.pid, signal.SIGKILL)
            self.process.wait(30)
        self.remove_cgroups()
        run("umount", "-l", os.path.join(self.dir, "layer"), check=False)
        shutil.rmtree(self.dir, ignore_errors=True)


class Pair:
    def __init__(self):
        run("ip", "link", "add", "lan", "type", "bridge")
        run("ip", "link", "set", "lan", "up")
        self.server, self.node = Machine("cube-test-server", "192.0.2.10"), Machine("cube-test-node", "192.0.2.11")

    def diagnose(self):
        for machine in (self.server, self.node):
            yield f"{machine.name}:"
            yield from machine.diagnose()

    def close(self):
        self.server.close()
        self.node.close()

    def is_ready(self, machine):
        return {c["type"]: c["status"] for c in self.server.get("node", machine.name)["status"]["conditions"]}.get("Ready") == "True"

    def pod(self, name):
        """(is it ready, id of its container, restarts)"""
        status = self.server.get("pod", name)["status"]
        container = status["containerStatuses"][0]
        return container["ready"], container["containerID"], container["restartCount"]

    def wait_pod(self, name):
        return wait(f"pod {name}", lambda: (p := self.pod(name))[0] and p, 90)


def a_started_unit_answers(pair):
    server = pair.server
    server.boot()
    server.run("systemctl", "start", "cube")
    assert "namespace/default" in server.kubectl("get", "namespaces", "-o", "name").stdout
    assert server.show("cube", "ActiveState") == "active" and server.show("cube", "NRestarts") == "0"
    wait("the unit's status", lambda: server.show("cube", "StatusText") == "ready")
    assert pair.is_ready(server) and server.kubectl("get", "--raw", "/readyz").stdout == "ok"
    assert [line for line in server.journal("cube") if line[0] in ("0", "1", "2", "3")] == []
    refused = server.run("systemctl", "reload", "cube", check=False)
    assert refused.returncode != 0 and server.show("cube", "ActiveState") == "active", refused.stderr


def containers_of_any_user_run(pair):
    pair.server.kubectl("apply", "-f", "-", data=POD.format(name="first", node=pair.server.name))
    assert pair.wait_pod("first")[2] == 0
    assert pair.server.kubectl("logs", "first").stdout == "there\n"
    assert pair.server.kubectl("exec", "first", "--", "stat", "-c", "%a", "/").stdout == "755\n"


def a_killed_one_comes_again(pair):
    """More often than systemd's own limit would have it."""
    server, before = pair.server, pair.pod("first")
    for n in range(1, 8):
        wait("a process to kill", lambda: server.show("cube", "ActiveState") == "active")
        server.run("systemctl", "kill", "--kill-who=main", "--signal=KILL", "cube")
        wait("the next one", lambda: server.show("cube", "NRestarts") == str(n))
    wait("the node", lambda: server.show("cube", "StatusText") == "ready" and pair.is_ready(server))
    assert pair.wait_pod("first") == before, (pair.pod("first"), before)


def stop_leaves_pods_and_nothing_else(pair):
    server, before = pair.server, pair.pod("first")
    server.run("systemctl", "stop", "cube")
    assert server.show("cube", "ActiveState") == "inactive" and server.show("cube", "Result") == "success"
    left = server.processes()
    assert "sleep 3600" in left and "containerd --config /var/lib/cube/" in left and "cube up" not in left, left
    server.run("systemctl", "start", "cube")
    wait("the node", lambda: pair.is_ready(server))
    assert pair.wait_pod("first") == before, (pair.pod("first"), before)
    assert server.processes().count("containerd --config /var/lib/cube/") == 1


def the_journal_has_priorities(pair):
    server = pair.server
    lines = server.journal("cube")
    assert any(priority == "6" and "cube: ready after" in text for priority, text in lines), lines
    assert not any(text.startswith("<") for _, text in lines), lines
    server.run("systemctl", "stop", "cube")
    server.write("/etc/default/cube", "CUBE_OPTIONS=--config /etc/cube.yaml\n", "0644")
    server.write("/etc/cube.yaml", "listen: 192.0.2.99:6443\n", "0644")
    server.run("systemctl", "start", "--no-block", "cube")
    wait("the refusal", lambda: any(priority == "3" and "192.0.2.99" in text for priority, text in server.journal("cube")))
    wait("another try", lambda: int(server.show("cube", "NRestarts")) >= 2)
    server.write("/etc/cube.yaml", "listen: 0.0.0.0:6443\n", "0644")
    wait("the next try", lambda: server.show("cube", "ActiveState") == "active")


def a_wrong_option_is_not_tried_again(pair):
    server = pair.server
    server.run("systemctl", "stop", "cube")
    server.write("/etc/default/cube", "CUBE_OPTIONS=--no-such-option\n", "0644")
    assert server.run("systemctl", "start", "cube", check=False).returncode == 1
    assert server.show("cube", "ActiveState") == "failed" and server.show("cube", "ExecMainStatus") == "2"
    server.run("rm", "/etc/default/cube")


def a_node_joins_when_its_server_comes(pair):
    """The node is first: it goes on trying."""
    server, node = pair.server, pair.node
    server.run("systemctl", "start", "cube")
    made = server.run("cube", "token", "create").stdout.split()
    values = dict(zip(made[2::2], made[3::2]))
    server.run("systemctl", "stop", "cube")
    node.boot()
    node.write("/etc/default/cube-agent", f"CUBE_SERVER={values['--server']}\nCUBE_TOKEN={values['--token']}\nCUBE_CA_HASH={values['--ca-hash']}\n", "0600")
    node.run("systemctl", "enable", "cube-agent")
    node.run("systemctl", "start", "--no-block", "cube-agent")
    wait("its first try", lambda: node.journal("cube-agent"))
    assert node.show("cube-agent", "ActiveState") == "activating"
    server.run("systemctl", "enable", "--now", "cube")
    wait("the node", lambda: pair.is_ready(node), 90)
    assert node.show("cube-agent", "ActiveState") == "active"
    secret = values["--token"].split(".")[1]
    assert secret not in node.processes()
    environment = node.run("sh", "-c", "cat /proc/$(pgrep -o -x containerd)/environ").stdout
    assert "PATH=" in environment and "CUBE_" not in environment, environment
    assert not any(secret in text for _, text in node.journal("cube-agent"))
    node.run("rm", "/etc/default/cube-agent")  # not needed any more
    node.run("systemctl", "restart", "cube-agent")
    wait("the node again", lambda: node.show("cube-agent", "StatusText") == "ready" and pair.is_ready(node))


def a_killed_agent_comes_again(pair):
    pair.server.kubectl("apply", "-f", "-", data=POD.format(name="second", node=pair.node.name))
    before = pair.wait_pod("second")
    pair.node.run("systemctl", "kill", "--kill-who=main", "--signal=KILL", "cube-agent")
    wait("another one", lambda: int(pair.node.show("cube-agent", "NRestarts")) >= 1 and pair.node.show("cube-agent", "StatusText") == "ready")
    assert pair.wait_pod("second") == before, (pair.pod("second"), before)
    pair.node.run("systemctl", "stop", "cube-agent")
    left = pair.node.processes()
    assert "sleep 3600" in left and "cube agent" not in left, left
    pair.node.run("systemctl", "start", "cube-agent")
    wait("the node", lambda: pair.is_ready(pair.node))
    assert pair.wait_pod("second") == before, (pair.pod("second"), before)


def machines_come_back_after_the_night(pair):
    """Off with pods running, on again; the node first, as after a power cut."""
    before = {name: pair.pod(name)[1] for name in ("first", "second")}
    pair.node.power_off()
    pair.server.power_off()
    pair.node.boot()
    wait("the agent without its server", lambda: pair.node.show("cube-agent", "ActiveState") == "active")
    pair.server.boot()
    for machine in (pair.server, pair.node):
        wait("the node", lambda: pair.is_ready(machine), 90)
    for name, container in before.items():
        _, now, restarts = wait(f"pod {name} again", lambda: (p := pair.wait_pod(name))[1] != container and p, 90)
        assert restarts >= 1, (name, now)
        assert pair.server.kubectl("logs", name).stdout == "there\n"


def down_ends_the_unit_too(pair):
    for machine, unit in ((pair.node, "cube-agent"), (pair.server, "cube")):
        machine.run("cube", "down")
        wait("the unit's end", lambda: machine.show(unit, "ActiveState") == "inactive")
        assert machine.show(unit, "Result") == "success" and machine.show(unit, "NRestarts") == "0"
        left = machine.processes()
        assert "sleep 3600" not in left and "containerd" not in left and "/cube" not in left, left
        assert machine.run("ip", "-br", "link").stdout.count("\n") == 2, machine.run("ip", "-br", "link").stdout
        assert "cube" not in machine.run("nft", "list", "tables").stdout


TESTS = [a_started_unit_answers, containers_of_any_user_run, a_killed_one_comes_again, stop_leaves_pods_and_nothing_else, the_journal_has_priorities,
         a_wrong_option_is_not_tried_again, a_node_joins_when_its_server_comes, a_killed_agent_comes_again, machines_come_back_after_the_night,
         down_ends_the_unit_too]

if __name__ == "__main__":
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        sys.exit(0)
    isolate(has_network=False)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    machines = Pair()
    try:
        n_failed = report(TESTS, machines, diagnose=machines.diagnose)
    finally:
        machines.close()
    sys.exit(1 if n_failed else 0)
