#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The proxy subresources against a bare server and a web server that stands for a pod: test-http-proxy.py CUBE"""
import http.server
import json
import socket
import socketserver
import sys
import threading

import cluster
import http_server
from http_server import ask, equal, pod

NS = "/api/v1/namespaces/default/"
MERGE = "application/merge-patch+json"


class Listener(http.server.ThreadingHTTPServer):
    server_name, server_port = "backend", 0

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)  # without asking for a name

    def handle_error(self, request, client_address):
        pass  # connections end as they do


class Backend(http.server.BaseHTTPRequestHandler):
    """Says what it was asked; /large, /stream, /empty, /moved, /broken besides."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.split("?")[0]
        if path == "/stream":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for i in range(200):
                self.wfile.write(b"3e8\r\n" + b"%1000d" % i + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
            return
        text = b"x" * 3000000 if path == "/large" else b"" if path == "/empty" else json.dumps(
            {"method": self.command, "path": self.path, "body": body.decode(), "headers": {k.lower(): v for k, v in self.headers.items()}}).encode()
        self.send_response({"/empty": 204, "/moved": 302, "/teapot": 418}.get(path, 200))
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "keep-alive")
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("X-Mine", "yes")
        if path == "/moved":
            self.send_header("Location", "/elsewhere?a=b")
        if path != "/empty":
            self.send_header("Content-Length", str(len(text) + (10 if path == "/broken" else 0)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)
        self.close_connection = path == "/broken"

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer


def set_up(server):
    """Pods whose address is this machine's, and ones whose address is no pod's; services before them."""
    backend = Listener((cluster.HOST_IP, 0), Backend)
    server.port_of_pod = backend.server_address[1]
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    c = server.connect()
    for name, ip in (("web", cluster.HOST_IP), ("self", "127.0.0.1"), ("link", "169.254.169.254"), ("mapped", "::ffff:127.0.0.1"), ("none", None)):
        body = pod(name)
        body["spec"]["containers"][0]["ports"] = [{"containerPort": server.port_of_pod}]
        equal(ask(c, "POST", NS + "pods", body)[0], 201)
        if ip:
            equal(ask(c, "PATCH", NS + f"pods/{name}/status", {"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}}, MERGE)[0], 200)
    for name in ("front", "astray", "void"):
        equal(ask(c, "POST", NS + "services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [
            {"name": "http", "port": 80}, {"name": "other", "port": 81}]}})[0], 201)
    for name, target in (("front", {"kind": "Pod", "name": "web", "namespace": "default"}), ("astray", None)):
        equal(ask(c, "POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}}, "ports": [{"name": "http", "port": server.port_of_pod}],
            "endpoints": [{"addresses": [cluster.HOST_IP], "conditions": {"ready": True}, **({"targetRef": target} if target else {})}]})[0], 201)


def pods(server):
    c = server.connect()
    for name in ("web", f"web:{server.port_of_pod}", f"http:web:{server.port_of_pod}", "http:web:"):
        status, headers, body = ask(c, "GET", NS + f"pods/{name}/proxy/some/p%C3%A4th/?q=1&r=a%20b")
        equal((status, body["path"], headers["X-Mine"], headers["Access-Control-Allow-Origin"]), (200, "/some/p%C3%A4th/?q=1&r=a%20b", "yes", None))
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        status, _, body = ask(c, method, NS + "pods/web/proxy/x", "a body" if method != "DELETE" else None, "text/x-mine", X_Own="1", Authorization="", X_Remote_User="root")
        equal((status, body["method"], body["body"]), (200, method, "a body" if method != "DELETE" else ""))
        sent = body["headers"]
        equal((sent.get("x-own"), "authorization" in sent, "x-remote-user" in sent, sent["x-forwarded-for"], sent["host"]),
              ("1", False, False, cluster.HOST_IP, f"{cluster.HOST_IP}:{server.port_of_pod}"))
        if method != "DELETE":
            equal(sent["content-type"], "text/x-mine")
    status, headers, body = ask(c, "HEAD", NS + "pods/web/proxy/x")
    equal((status, body), (200, b""))
    equal(ask(c, "GET", NS + "pods/web/proxy/teapot")[0], 418)
    status, headers, body = ask(c, "GET", NS + "pods/web/proxy/empty")
    equal((status, body), (204, b""))
    equal(ask(c, "GET", NS + "pods/web/proxy/stream")[2], b"".join(b"%1000d" % i for i in range(200)))
    status, headers, _ = ask(c, "GET", NS + "pods/web/proxy/moved")
    equal((status, headers["Location"]), (302, NS + "pods/web/proxy/elsewhere?a=b"))
    status, headers, _ = ask(c, "GET", NS + "pods/web/proxy?a=b")
    equal((status, headers["Location"]), (301, NS + "pods/web/proxy/?a=b"))
    equal(ask(c, "GET", NS + "pods/web/proxy/")[2]["path"], "/")


def large(server):
    """A large answer to a client that reads late costs no memory, and one that goes in between costs nothing."""
    c = server.connect()
    c.request("GET", NS + "pods/web/proxy/large")
    equal(len(c.getresponse().read()), 3000000)
    before = server.rss_kb()
    late = [server.raw() for _ in range(8)]
    for s in late:
        s.sendall(f"GET {NS}pods/web/proxy/large HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        s.recv(1000)
    equal(ask(c, "GET", "/version")[0], 200)
    if server.rss_kb() - before > 16 * 1024:
        raise AssertionError(f"{server.rss_kb() - before} KiB for 8 late readers")
    for s in late:
        s.close()
    equal(ask(c, "GET", NS + "pods/web/proxy/x")[0], 200)


def broken(server):
    """An answer that ends too early is not passed on as a whole one."""
    s = server.raw()
    s.sendall(f"GET {NS}pods/web/proxy/broken HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    data = b""
    try:
        while more := s.recv(65536):
            data += more
    except OSError:
        pass
    head, _, body = data.partition(b"\r\n\r\n")
    length = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    equal(bool(length) and len(body) < length[0], True)


def services(server):
    c = server.connect()
    for name in ("front:80", "front:http", "http:front:http"):
        equal(ask(c, "GET", NS + f"services/{name}/proxy/a")[2]["path"], "/a")
    for name, message in (("front:82", 'no service port 82 found for service "front"'), ("front:81", 'no endpoints available for service "front"'), ("front", 'no endpoints available for service "front"'),
                          ("astray:80", 'no endpoints available for service "astray"'), ("void:80", 'no endpoints available for service "void"')):
        status, _, body = ask(c, "GET", NS + f"services/{name}/proxy/")
        equal((status, body["message"]), (503, message))


def nodes(server):
    c = server.connect()
    equal(ask(c, "POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})[0], 201)
    equal(ask(c, "PATCH", "/api/v1/nodes/n/status", {"status": {"addresses": [{"type": "InternalIP", "address": cluster.HOST_IP}]}}, MERGE)[0], 200)
    equal(ask(c, "GET", f"/api/v1/nodes/n:{server.port_of_pod}/proxy/a")[2]["path"], "/a")
    equal(ask(c, "GET", "/api/v1/nodes/n/proxy/stats/summary")[0], 503)  # no agent here
    equal(ask(c, "GET", "/api/v1/nodes/n/proxy/run/default/web/c")[0], 404)


def refusals(server):
    c = server.connect()
    closed = socket.socket()
    closed.bind((cluster.HOST_IP, 0))
    port = closed.getsockname()[1]
    for path, status, message in ((f"pods/web:{port}/proxy/", 503, f"error trying to reach service: dial tcp {cluster.HOST_IP}:{port}: connect: connection refused"),
                                  ("pods/self/proxy/", 400, "address not allowed"), ("pods/link/proxy/", 400, "address not allowed"), ("pods/mapped/proxy/", 400, "address not allowed"),
                                  ("pods/none/proxy/", 400, "address not allowed"), ("pods/nobody/proxy/", 404, 'pods "nobody" not found'),
                                  ("pods/ftp:web:80/proxy/", 400, 'invalid pod request "ftp:web:80"'), ("pods/web:http/proxy/", 400, 'invalid pod request "web:http"'),
                                  ("pods/a:b:c:d/proxy/", 400, 'invalid pod request "a:b:c:d"'), ("pods/web/proxy/?dryRun=All", 400, "dryRun is not supported")):
        found, _, body = ask(c, "GET", NS + path)
        equal((path, found, body["message"]), (path, status, message))
    closed.close()
    equal(ask(c, "GET", NS + "pods/web/proxy/", Upgrade="websocket", Connection="Upgrade")[0], 400)
    status, _, body = ask(c, "GET", NS + "pods/web/proxy/x", Impersonate_User="bob")
    equal((status, body["message"]), (403, 'pods "web" is forbidden: User "bob" cannot get resource "pods/proxy" in API group "" in the namespace "default"'))
    equal(ask(c, "POST", NS + "pods/http:web:80/proxy/x", "", Impersonate_User="bob")[2]["message"],
          'pods "http:web:80" is forbidden: User "bob" cannot create resource "pods/proxy" in API group "" in the namespace "default"')


if __name__ == "__main__":
    cluster.isolate()
    http_server.run([set_up, pods, large, broken, services, nodes, refusals], http_server.Server(sys.argv[1], listen=cluster.HOST_IP + ":0"))
