# SPDX-License-Identifier: Apache-2.0
"""A bare API server in a temporary folder, and a client for it, for the tests of the HTTP front end."""
import base64
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import traceback


class Access:
    """What a kubeconfig file of an administrator says, as connections. self.kubeconfig and self.path () are the subclass's."""

    def read_kubeconfig(self):
        with open(self.kubeconfig) as f:
            text = f.read()

        def field(name):
            return re.search(rf'{name}: "?([^"\s]+)', text).group(1)

        self.host, port = re.search(r'server: "?https://([0-9.]+):(\d+)', text).groups()
        self.port = int(port)
        self.ca = base64.b64decode(field("certificate-authority-data")).decode()
        with open(self.path("client.pem"), "wb") as f:
            f.write(base64.b64decode(field("client-certificate-data")) + b"\n" + base64.b64decode(field("client-key-data")))

    def context(self, with_certificate=True):
        context = ssl.create_default_context(cadata=self.ca)
        if with_certificate:
            context.load_cert_chain(self.path("client.pem"))
        return context

    def connect(self, with_certificate=True, timeout=15):
        return http.client.HTTPSConnection(self.host, self.port, context=self.context(with_certificate), timeout=timeout)

    def raw(self, timeout=15):
        plain = socket.create_connection((self.host, self.port), timeout=timeout)
        return self.context().wrap_socket(plain, server_hostname=self.host)


class Server(Access):
    def __init__(self, cube, plugin_dir=None, config=None, listen="127.0.0.1:0"):
        self.dir = tempfile.TemporaryDirectory(prefix="cube-http-")
        args = [cube, "server", "--roles", "api", "--foreground", "--listen", listen, "--data-dir", self.path("data")]
        if plugin_dir:
            args += ["--plugin-dir", plugin_dir]
        if config:
            with open(self.path("config.yaml"), "w") as f:
                f.write(config)
            args += ["--config", self.path("config.yaml")]
        self.log = open(self.path("log"), "w+")
        self.process = subprocess.Popen(args, stdout=self.log, stderr=self.log)
        self.kubeconfig = self.path("data/admin.kubeconfig")
        self.wait()

    def path(self, name):
        return os.path.join(self.dir.name, name)

    def text_of_log(self):
        with open(self.path("log")) as f:
            return f.read()

    def wait(self):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError("server ended: " + self.text_of_log())
            if "ready after" in self.text_of_log():
                break
            time.sleep(0.02)
        self.read_kubeconfig()

    def rss_kb(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        self.dir.cleanup()


def ask(connection, method, path, body=None, content_type="application/json", **headers):
    """(status, headers, parsed JSON or bytes)"""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        fields["Content-Type"] = content_type
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
    connection.request(method, path, body=body, headers=fields)
    answer = connection.getresponse()
    data = answer.read()
    if "json" in (answer.getheader("Content-Type") or "") and data:
        data = json.loads(data)
    return answer.status, answer.headers, data


def pod(name, **labels):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": labels},
            "spec": {"containers": [{"name": "c", "image": "image"}]}}


def equal(found, wanted):
    if found != wanted:
        raise AssertionError(f"found {found!r}, wanted {wanted!r}")


def run(tests, server):
    """TAP; every test gets the server."""
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    try:
        for number, test in enumerate(tests, 1):
            began = time.monotonic()
            try:
                test(server)
                alive = server.process.poll() is None
                if not alive:
                    raise AssertionError("the server is gone")
                print(f"ok {number} - {test.__name__}", flush=True)
                print(f"# {time.monotonic() - began:.2f} s", flush=True)
            except Exception:
                failed += 1
                print(f"not ok {number} - {test.__name__}", flush=True)
                for line in traceback.format_exc().splitlines():
                    print("# " + line, flush=True)
        if failed:
            for line in server.text_of_log().splitlines()[-40:]:
                print("# log: " + line)
    finally:
        server.stop()
    sys.exit(1 if failed else 0)
