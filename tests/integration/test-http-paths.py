#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is served is what was allowed, however a path is written; answers compressed for other machines: test-http-paths.py CUBE"""
import gzip
import json
import socket
import sys

import cluster
import http_server
from http_server import ask, equal, pod

RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/green/"


def create(c, path, kind, name, version="v1", **rest):
    equal(ask(c, "POST", path, {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **rest})[0], 201)


def set_up(server):
    """bob may read the ConfigMaps of the namespace green and nothing else."""
    c = server.connect()
    for ns in ("green", "red"):
        create(c, "/api/v1/namespaces", "Namespace", ns)
        create(c, f"/api/v1/namespaces/{ns}/configmaps", "ConfigMap", "map", data={"of": ns})
        create(c, f"/api/v1/namespaces/{ns}/secrets", "Secret", "secret", stringData={"of": ns})
    create(c, RBAC + "roles", "Role", "reader", "rbac.authorization.k8s.io/v1", rules=[{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}])
    create(c, RBAC + "rolebindings", "RoleBinding", "bob", "rbac.authorization.k8s.io/v1", roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
           subjects=[{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"}])
    cluster.wait("bob's permission", lambda: ask(c, "GET", "/api/v1/namespaces/green/configmaps", Impersonate_User="bob")[0] == 200)


def raw(server, target, method="GET"):
    """The request line as it is given: no client may put it in order. (status, parsed body or None)"""
    s = server.raw()
    s.sendall(f"{method} {target} HTTP/1.1\r\nHost: x\r\nImpersonate-User: bob\r\nConnection: close\r\n\r\n".encode("latin-1"))
    data = b""
    while True:
        try:
            more = s.recv(65536)
        except (ConnectionResetError, socket.timeout):
            break
        if not more:
            break
        data += more
    s.close()
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, body


def dots(server):
    """Ways from what bob may read to what he may not: every one ends in a refusal, or in what he may read."""
    ups = ["..", "%2e%2e", "%2E.", ".%2e", "..;", "%252e%252e", "..%2f", "..%5c", "\\..", "..%00"]
    base = "/api/v1/namespaces/green/configmaps"
    targets = []
    for up in ups:
        targets += [f"{base}/{up}/{up}/red/configmaps", f"{base}/{up}/{up}/red/configmaps/map", f"{base}/{up}/secrets", f"{base}/{up}/secrets/secret",
                    f"{base}/map/{up}/{up}/secrets/secret", f"/api/v1/namespaces/green/{up}/red/configmaps/map", f"{base}{up}/secrets", f"{base}/x/{up}/{up}/{up}/{up}/secrets",
                    f"https://x{base}/{up}/secrets", f"/version/{up}{base}/{up}/secrets", f"/openapi/{up}/api/v1/secrets", f"{base}/./{up}/./secrets",
                    f"/api/{up}/metrics", f"/healthz/{up}/metrics", f"{base}?watch=1&x=/{up}/secrets"]
    targets += ["/api/v1/namespaces/green//../red/configmaps", "//api/v1/secrets", "/api/v1/namespaces/green/configmaps//map", "/api//v1/secrets", "/API/v1/secrets",
                "/api/v1/namespaces/green/Secrets", "/api/v1/namespaces/GREEN/secrets", "/api/v1/namespaces/green/secrets/", "/api/v1/namespaces/green/secrets%20", "/api/v1/namespaces/green/secrets%00",
                "/api/v1/namespaces/green%2fconfigmaps/../../red/secrets", "/api/v1/namespaces/green/secrets#/configmaps", "/api/v1/namespaces/green/secrets;/configmaps", "*", "/..", "/../../..", "/.", "/%2e"]
    for target in targets:
        for method in ("GET", "DELETE"):
            status, body = raw(server, target, method)
            if method == "DELETE" and status in (200, 202):
                raise AssertionError(f"{method} {target}: {status}")
            if status not in (200, 400, 403, 404, 405):
                raise AssertionError(f"{method} {target}: {status} {body[:200]}")
            if status != 200:
                continue
            for hidden in (b'"of":"red"', b'"kind":"Secret', b'"name":"secret"', b"apiserver_request_total"):
                if hidden in body:
                    raise AssertionError(f"{method} {target}: {body[:300]}")


def same_path(server):
    """What a refusal names is what would have been served."""
    status, body = raw(server, "/api/v1/namespaces/green/configmaps/../secrets/secret")
    if status == 403:
        equal('secrets "secret" is forbidden: User "bob" cannot get resource "secrets" in API group "" in the namespace "green"' in json.loads(body)["message"], True)
    status, body = raw(server, "/api/v1/namespaces/red/../green/configmaps/map")
    if status == 200:
        equal(json.loads(body)["data"], {"of": "green"})
    elif status not in (400, 403, 404):
        raise AssertionError(f"{status}")


def compressed(server):
    """Answers above 128 KB, when the client takes gzip; the same bytes."""
    c = server.connect()
    for i in range(40):
        create(c, "/api/v1/namespaces/red/configmaps", "ConfigMap", f"filler-{i}", data={"text": f"{i} is a number " * 300})
    create(c, "/api/v1/namespaces/red/configmaps", "ConfigMap", "large", data={"text": "a long text " * 20000})
    cases = [("/api/v1/namespaces/red/configmaps", True), ("/api/v1/namespaces/red/configmaps/large", True), ("/api/v1/namespaces/red/configmaps?pretty=1", True),
             ("/openapi/v2", True), ("/api/v1/namespaces/red/configmaps?limit=12", False), ("/api/v1/namespaces/red/configmaps/map", False), ("/version", False)]
    for path, is_packed in cases:
        plain_status, plain_headers, plain = ask(c, "GET", path, Accept_Encoding="identity")
        equal((plain_status, plain_headers["Content-Encoding"]), (200, None))
        for encoding in ("gzip", "deflate, gzip;q=0.5"):
            c.request("GET", path, headers={"Accept-Encoding": encoding})
            answer = c.getresponse()
            data = answer.read()
            equal((path, answer.status, answer.headers["Content-Encoding"]), (path, 200, "gzip" if is_packed else None))
            if is_packed:
                equal(answer.headers["Vary"], "Accept-Encoding")
                data = gzip.decompress(data)
            equal(json.loads(data) == plain, True)
        status, headers, _ = ask(c, "GET", path, Accept_Encoding="gzip;q=0")
        equal((status, headers["Content-Encoding"]), (200, None))


if __name__ == "__main__":
    cluster.isolate()
    http_server.run([set_up, dots, same_path, compressed], http_server.Server(sys.argv[1], listen=cluster.HOST_IP + ":0"))
