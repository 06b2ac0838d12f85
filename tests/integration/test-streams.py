#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""attach, exec, port-forward and the pods' proxy with real kubectl and real containers: test-streams.py CUBE"""
import os
import pty
import select
import socket
import subprocess
import time
import urllib.request

from cluster import Cluster, main, wait

PODS = """apiVersion: v1
kind: Pod
metadata: {name: echo}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: cube.local/busybox:1
    stdin: true
    command: [sh, -c, 'echo ready; while read line; do echo "heard $line"; [ "$line" = end ] && exit 3; done; echo "no more"; sleep 1000']
---
apiVersion: v1
kind: Pod
metadata: {name: once}
spec:
  terminationGracePeriodSeconds: 0
  restartPolicy: Never
  containers: [{name: c, image: "cube.local/busybox:1", stdin: true, stdinOnce: true, command: [cat]}]
---
apiVersion: v1
kind: Pod
metadata: {name: shell}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "cube.local/busybox:1", stdin: true, tty: true, command: [sh]}]
---
apiVersion: v1
kind: Pod
metadata: {name: talker}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "cube.local/busybox:1", command: [sh, -c, 'while :; do echo tick; echo tock >&2; sleep 0.2; done']}]
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "cube.local/busybox:1", command: [sh, -c, 'mkdir /www; echo found > /www/page; httpd -f -p 8080 -h /www'], ports: [{containerPort: 8080}]}]
"""


def start(c):
    c.up()
    c.apply(PODS)
    c.text("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")


def kubectl(c, *args, **more):
    return subprocess.Popen(["kubectl", *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=c.env, **more)


def read_until(fd, text, seconds=20):
    data, end = b"", time.monotonic() + seconds
    while text not in data:
        if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
            raise AssertionError(f"{text!r} not within {seconds} s: {data!r}")
        more = os.read(fd, 4096)
        if not more:
            raise AssertionError(f"ended before {text!r}: {data!r}")
        data += more
    return data


def attach_output(c):
    """Without standard input: what comes out from now on, each on its own stream; the client's end is not the container's."""
    p = kubectl(c, "attach", "talker")
    read_until(p.stdout.fileno(), b"tick\n")
    read_until(p.stderr.fileno(), b"tock\n")
    p.kill()
    p.wait()
    assert c.get("pod", "talker")["status"]["containerStatuses"][0]["restartCount"] == 0


def attach_input(c):
    """Input reaches the running process, also of a second client after the first has gone."""
    for word in (b"one", b"two"):
        p = kubectl(c, "attach", "-i", "echo")
        p.stdin.write(word + b"\n")
        p.stdin.flush()
        read_until(p.stdout.fileno(), b"heard " + word + b"\n")
        p.kill()
        p.wait()
    log = c.text("logs", "echo")
    assert log == "ready\nheard one\nheard two\n", log


def attach_end(c):
    """stdinOnce: the first client's end of input is the process's, which ends, and the client with it."""
    p = kubectl(c, "attach", "-i", "once")
    out, err = p.communicate(b"to the end", timeout=30)
    assert (p.returncode, out) == (0, b"to the end"), (p.returncode, out, err)
    wait("the pod's end", lambda: c.get("pod", "once")["status"]["phase"] == "Succeeded", 20)


def attach_terminal(c):
    """A terminal: sizes arrive, what is typed comes back."""
    master, slave = pty.openpty()
    import fcntl, struct, termios
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    p = subprocess.Popen(["kubectl", "attach", "-it", "shell"], stdin=slave, stdout=slave, stderr=slave, env=c.env, start_new_session=True)
    os.close(slave)
    try:
        read_until(master, b"command prompt")
        # kubectl first sends a size too large by one, so that the screen is drawn anew; a script that loops sees the right one come
        os.write(master, b"\nuntil [ \"$(stty size)\" = '33 77' ]; do usleep 50000; done; echo $((40+2)) $(stty size)\n")
        read_until(master, b"42 33 77")
    finally:
        p.kill()
        p.wait()
        os.close(master)


def attach_refused(c):
    for args, text in ((["attach", "nobody"], 'pods "nobody" not found'), (["attach", "echo", "-c", "none"], "container none not found in pod echo"),
                       (["attach", "once"], "current phase is Succeeded")):
        done = c.kubectl(*args, check=False)
        assert done.returncode != 0 and text in done.stderr, (args, done.stderr)


def run_interactive(c):
    done = subprocess.run(["kubectl", "run", "-i", "--rm", "--restart=Never", "--image=cube.local/busybox:1", "adder", "--", "sh", "-c", "read a; read b; echo sum $((a+b))"],
                          input=b"40\n2\n", capture_output=True, env=c.env, timeout=60)
    assert b"sum 42" in done.stdout, done
    wait("the pod's end", lambda: not c.text("get", "pod", "adder", "--ignore-not-found"), 20)


def exec_large(c):
    """Both ways at once, megabytes."""
    data = os.urandom(2 << 20)
    done = subprocess.run(["kubectl", "exec", "-i", "talker", "--", "cat"], input=data, capture_output=True, env=c.env, timeout=60)
    assert done.stdout == data, (len(done.stdout), done.stderr)
    done = c.kubectl("exec", "talker", "--", "sh", "-c", "exit 7", check=False)
    assert done.returncode == 7, done


def forward(c):
    """Through the WebSocket tunnel: several connections, a closed port, and on after that."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    p = kubectl(c, "port-forward", "pod/web", f"{port}:8080", f"{port + 1}:9")
    try:
        read_until(p.stdout.fileno(), b"Forwarding from 127.0.0.1:%d -> 9" % (port + 1))
        for _ in range(5):
            assert urllib.request.urlopen(f"http://127.0.0.1:{port}/page", timeout=10).read() == b"found\n"
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port + 1}/", timeout=10)
            raise AssertionError("somebody answers on port 9")
        except OSError:
            pass
    finally:
        p.kill()
        p.wait()


def proxy(c):
    assert c.text("get", "--raw", "/api/v1/namespaces/default/pods/web/proxy/page") == "found\n"
    assert c.text("get", "--raw", "/api/v1/namespaces/default/pods/web:8080/proxy/page") == "found\n"
    c.text("expose", "pod", "web", "--port=80", "--target-port=8080", "--selector=run=web", check=False)
    c.text("label", "pod", "web", "run=web")
    wait("the service's endpoint", lambda: c.text("get", "--raw", "/api/v1/namespaces/default/services/web:80/proxy/page") == "found\n", 20)
    node = c.get("nodes")["items"][0]["metadata"]["name"]
    summary = c.text("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary")
    assert '"podRef"' in summary, summary[:300]


if __name__ == "__main__":
    main(lambda cube: Cluster(cube, "--listen", "127.0.0.1:0"), [start, attach_output, attach_input, attach_end, attach_terminal, attach_refused, run_interactive, exec_large,
                                                                   forward, proxy])
