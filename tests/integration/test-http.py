#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The API over HTTPS against a bare server: test-http.py CUBE ECHO_AGENT.so"""
import base64
import json
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

import http_server
from cluster import client
from http_server import ask, equal, pod

PODS = "/api/v1/namespaces/default/pods"
MERGE = "application/merge-patch+json"
CONFIG = """plugins:
  api-http: {header-timeout-seconds: 2, body-timeout-seconds: 3, max-connections: 200}
"""


def has(text, part):
    if isinstance(part, bytes) and not isinstance(text, bytes):
        text = str(text).encode()
    if part not in text:
        raise AssertionError(f"{part!r} is not in {str(text)[:500]!r}")


def set_up(server):
    c = server.connect()
    equal(ask(c, "POST", "/api/v1/namespaces/default/serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})[0], 201)
    equal(ask(c, "POST", PODS, pod("echo"))[0], 201)
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "echo"}, "target": {"kind": "Node", "name": "echo"}}
    equal(ask(c, "POST", PODS + "/echo/binding", binding)[0], 201)
    equal(ask(c, "PATCH", PODS + "/echo/status", {"status": {"phase": "Running"}}, MERGE)[0], 200)


def identity(server):
    c = server.connect(with_certificate=False)
    for path in ["/api", "/api/v1/pods", "/healthz", "/version", "/nonsense", "/api//v1"]:
        status, headers, body = ask(c, "GET", path)
        equal((status, body["kind"], body["reason"], body["code"]), (401, "Status", "Unauthorized", 401))
    equal(ask(c, "GET", "/api", Authorization="Bearer nonsense")[0], 401)
    equal(ask(c, "GET", "/api", Authorization="Basic YTpi")[0], 401)
    c = server.connect()
    status, headers, body = ask(c, "GET", "/version")
    equal((status, body["major"], body["minor"]), (200, "1", "36"))
    has(body["gitVersion"], "v1.36.")
    equal(headers["Cache-Control"], "no-cache, private")
    equal(len(headers["Audit-Id"]), 36)


def stranger_certificate(server):
    with tempfile.TemporaryDirectory() as folder:
        key, crt = folder + "/k", folder + "/c"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", crt,
                        "-subj", "/O=system:masters/CN=admin", "-days", "1"], check=True, capture_output=True)
        context = ssl.create_default_context(cadata=server.ca)
        context.load_cert_chain(crt, key)
        c = server.connect(with_certificate=False)
        c._context = context
        equal(ask(c, "GET", "/api/v1/pods")[0], 401)


def impersonation(server):
    c = server.connect()
    status, _, body = ask(c, "GET", "/api/v1/secrets", Impersonate_User="bob")
    equal((status, body["reason"]), (403, "Forbidden"))
    equal(body["message"], 'secrets is forbidden: User "bob" cannot list resource "secrets" in API group "" at the cluster scope')
    equal(ask(c, "GET", "/api/v1/secrets", Impersonate_User="bob", Impersonate_Group="system:masters")[0], 200)
    equal(ask(c, "GET", "/api/v1/secrets", Impersonate_Group="system:masters")[0], 400)
    equal(ask(c, "GET", "/api/v1/namespaces/nowhere/pods/x", Impersonate_User="bob")[0], 403)


def verbs(server):
    c = server.connect()
    status, headers, body = ask(c, "POST", PODS, pod("a", app="x"))
    equal((status, body["metadata"]["name"]), (201, "a"))
    equal(ask(c, "POST", PODS, pod("a"))[0], 409)
    version = body["metadata"]["resourceVersion"]
    status, _, body = ask(c, "PATCH", PODS + "/a", {"metadata": {"labels": {"x": "y"}}}, MERGE)
    equal((status, body["metadata"]["labels"]), (200, {"app": "x", "x": "y"}))
    body["metadata"]["resourceVersion"] = version
    equal(ask(c, "PUT", PODS + "/a", body)[0], 409)
    apply = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied}\ndata: {a: b}\n"
    path = "/api/v1/namespaces/default/configmaps/applied?fieldManager=test"
    equal(ask(c, "PATCH", path, apply, "application/apply-patch+yaml")[0], 201)
    equal(ask(c, "PATCH", path, apply, "application/apply-patch+yaml")[0], 200)
    equal(ask(c, "GET", PODS + "?labelSelector=x%3Dy")[2]["items"][0]["metadata"]["name"], "a")
    equal(ask(c, "GET", PODS + "?fieldSelector=metadata.name%3Da&limit=1")[2]["kind"], "PodList")
    equal(ask(c, "HEAD", PODS + "/a")[2], b"")
    equal(ask(c, "DELETE", PODS + "/a?gracePeriodSeconds=0")[0], 200)
    equal(ask(c, "GET", PODS + "/a")[0], 404)
    equal(ask(c, "POST", PODS + "?dryRun=All", pod("dry"))[0], 201)
    equal(ask(c, "GET", PODS + "/dry")[0], 404)


def shapes(server):
    c = server.connect()
    table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    _, _, body = ask(c, "GET", PODS, Accept=table)
    equal((body["kind"], body["columnDefinitions"][0]["name"]), ("Table", "Name"))
    equal(body["rows"][0]["object"]["kind"], "PartialObjectMetadata")
    equal(len(body["rows"][0]["cells"]), len(body["columnDefinitions"]))
    equal("object" in ask(c, "GET", PODS + "?includeObject=None", Accept=table)[2]["rows"][0], False)
    _, _, body = ask(c, "GET", PODS + "/echo", Accept=table)
    equal((body["kind"], len(body["rows"])), ("Table", 1))
    _, _, body = ask(c, "GET", PODS, Accept="application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")
    equal(body["kind"], "PartialObjectMetadataList")
    equal(sorted(body["items"][0]), ["apiVersion", "kind", "metadata"])
    _, headers, body = ask(c, "GET", PODS + "/echo", Accept="application/yaml")
    equal(headers["Content-Type"], "application/yaml")
    has(body, b"kind: Pod")
    equal(ask(c, "GET", PODS, Accept="application/vnd.kubernetes.protobuf,application/json")[0], 200)
    equal(ask(c, "GET", PODS, Accept="application/vnd.kubernetes.protobuf")[0], 406)
    equal(ask(c, "GET", PODS, Accept="text/html")[2]["reason"], "NotAcceptable")


def documents(server):
    c = server.connect()
    has(ask(c, "GET", "/")[2]["paths"], "/apis/apps/v1")
    equal(ask(c, "GET", "/api")[2]["versions"], ["v1"])
    equal(ask(c, "GET", "/apis/")[2]["kind"], "APIGroupList")
    equal(ask(c, "GET", "/apis/apps/v1/")[2]["kind"], "APIResourceList")
    equal(ask(c, "GET", "/apis/nothing")[0], 404)
    wanted = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    _, headers, body = ask(c, "GET", "/apis", Accept=wanted)
    equal(body["kind"], "APIGroupDiscoveryList")
    equal(ask(c, "GET", "/apis", Accept=wanted, If_None_Match=headers["ETag"])[0], 304)
    has(ask(c, "GET", "/openapi/v3")[2]["paths"], "apis/apps/v1")
    equal(ask(c, "GET", "/openapi/v3/apis/apps/v1")[2]["openapi"][:2], "3.")
    for path in ["/healthz", "/livez", "/readyz", "/livez/ping"]:
        equal(ask(c, "GET", path)[2], b"ok")
    has(ask(c, "GET", "/readyz?verbose")[2], b"readyz check passed")
    equal(ask(c, "GET", "/readyz/nothing")[0], 404)
    has(ask(c, "GET", "/metrics")[2], b"apiserver_request_total")
    equal(ask(c, "POST", "/version", {})[0], 405)


def refusals(server):
    c = server.connect()
    deep = "[" * 10000 + "]" * 10000
    stale = ask(c, "GET", PODS + "/echo")[2]
    equal(ask(c, "PATCH", PODS + "/echo", {"metadata": {"labels": {"newer": "yes"}}}, MERGE)[0], 200)
    before = server.rss_kb()

    def with_spec(**fields):
        body = pod("f")
        body["spec"].update(fields)
        return body

    for method, path, body, kind, status, part in [
            ("GET", "/api/v1//pods", None, "", 400, "empty segment"),
            ("GET", "/api/v1/namespaces/default%2Fpods", None, "", 400, "encoded slash"),
            ("GET", "/api/v1/namespaces/x/nodes", None, "", 404, "could not find"),
            ("GET", "/api/v1/widgets", None, "", 404, "could not find"),
            ("GET", PODS + "?limit=many", None, "", 400, "strconv.ParseInt"),
            ("GET", PODS + "?labelSelector=a%3D%3D%3Db", None, "", 400, "unable to parse requirement: found '=', expected: identifier"),
            ("GET", PODS + "?labelSelector=" + "a%2C" * 3000, None, "", 400, "unable to parse requirement: more than 1024 requirements"),
            ("GET", PODS + "?labelSelector=" + "x" * 300, None, "", 400, "unable to parse requirement: <nil>: Invalid value: "),
            ("GET", PODS + "?fieldSelector=spec.nonsense%3D1", None, "", 400, "field label not supported: spec.nonsense"),
            ("GET", PODS + "?a=%ff", None, "", 400, 'invalid URL escape in query "%FF"'),
            ("GET", "/" + "a" * 20000, None, "", 400, "too long"),
            ("GET", PODS + "?resourceVersion=nonsense", None, "", 400, 'invalid resource version: strconv.ParseUint: parsing "nonsense"'),
            ("GET", PODS + "?continue=nonsense", None, "", 400, "continue key is not valid"),
            ("POST", PODS, "{", "application/json", 400, "json parse error: invalid JSON at byte 1 (line 1, column 2): unexpected end, wanted a member name ({)"),
            ("POST", PODS, "a: b: c", "application/yaml", 400, "json parse error: invalid YAML at line 1, column 5: mapping values are not allowed"),
            ("POST", PODS, "", "application/json", 400, "<empty>"),
            ("POST", PODS, "[]", "application/json", 400, "must be of type Pod): found array, wanted an object"),
            ("POST", PODS, deep, "application/json", 400, "invalid JSON at byte 128 (line 1, column 129): nested too deeply"),
            ("POST", PODS, "a: " + deep, "application/yaml", 400, "nested too deeply, at most 128 levels are allowed"),
            ("POST", PODS, "a: &x 1\nb: *x\n", "application/yaml", 400, "alias"),
            ("POST", PODS, b"k8s\0\xff\xff\xff", "application/vnd.kubernetes.protobuf", 400, "protobuf"),
            ("POST", PODS, "x", "text/plain", 415, "accepted media types include"),
            ("POST", PODS, dict(pod("f"), kind="Widget"), "application/json", 400, 'no kind "Widget" is served at this path'),
            ("POST", PODS, dict(pod("f"), kind=5), "application/json", 400, "json: cannot unmarshal number into Go struct field .kind of type string"),
            ("POST", PODS, dict(pod("f"), apiVersion="v9"), "application/json", 400,
             "the API version in the data (v9) does not match the expected API version (v1)"),
            ("POST", PODS, dict(pod("f"), spec=5), "application/json", 400, "cannot unmarshal number into Go struct field Pod.spec of type v1.PodSpec"),
            ("POST", PODS, with_spec(hostNetwork="yes"), "application/json", 400, "cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool"),
            ("POST", PODS, with_spec(terminationGracePeriodSeconds=1.5), "application/json", 400, "cannot unmarshal number 1.5 into Go struct field"),
            ("POST", PODS, pod("Bad_Name"), "application/json", 422, 'metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must consist of'),
            ("POST", PODS, pod(".."), "application/json", 422, 'metadata.name: Invalid value: ".."'),
            ("POST", PODS, pod("x" * 300), "application/json", 422, "253 characters"),
            ("POST", PODS, pod("f", **{"a b": "c"}), "application/json", 422, 'metadata.labels: Invalid value: "a b": name part must consist of'),
            ("PUT", PODS + "/echo", stale, "application/json", 409, 'Operation cannot be fulfilled on pods "echo": the object has been modified'),
            ("PATCH", PODS + "/echo", {"metadata": {"resourceVersion": stale["metadata"]["resourceVersion"]}}, MERGE, 409, "the object has been modified"),
            ("PATCH", PODS + "/echo", "{}", "application/json", 415, "application/strategic-merge-patch+json"),
            ("PATCH", PODS + "/echo", "{}", "application/nonsense-patch+json", 415, "application/json-patch+json, application/merge-patch+json"),
            ("PATCH", PODS + "/echo", "{", MERGE, 400, "error decoding patch: invalid JSON at byte 1"),
            ("PATCH", PODS + "/echo", '[{"op":"remove","path":"/nope"}]', "application/json-patch+json", 422, "the server rejected our request due to an error"),
            ("PATCH", PODS + "/echo", [{"op": "test", "path": "/kind", "value": "Pod"}] * 10001, "application/json-patch+json", 413, "is 10000, got 10001"),
            ("PATCH", PODS + "/echo", '{"apiVersion":"v1","kind":"Pod"}', "application/apply-patch+yaml", 422, "fieldManager: Required value: is required for apply patch"),
            ("PATCH", PODS + "/echo?fieldManager=x", "kind: Pod", "application/apply-patch+yaml", 400, "Incorrect version specified in apply patch"),
            ("PATCH", PODS + "/echo?fieldManager=x", "apiVersion: v1", "application/apply-patch+yaml", 400, "Object 'Kind' is missing"),
            ("PUT", "/api/v1/pods", "{}", "application/json", 405, "does not allow"),
            ("POST", PODS + "/echo", "{}", "application/json", 405, "does not allow"),
            ("BREW", PODS, None, "", 405, "the server does not allow this method on the requested resource"),
            ("POST", PODS + "?fieldValidation=Strict", json.dumps(dict(pod("f"), nonsense=1)), "application/json", 400, "unknown field"),
            ("POST", PODS + "?fieldValidation=Loud", "{}", "application/json", 422, "Unsupported value")]:
        found, headers, answer = ask(c, method, path, body, kind)
        if found != status:
            raise AssertionError(f"{method} {path[:80]}: {found}, wanted {status}: {answer}")
        if not isinstance(answer, dict):
            raise AssertionError(f"{method} {path[:80]}: {answer[:200]!r} is no Status")
        equal(answer["kind"], "Status")
        has(answer["message"], part)
    for _ in range(300):
        equal(ask(c, "POST", PODS, deep)[0], 400)
        equal(ask(c, "GET", PODS + "?labelSelector=" + "a%2C" * 3000)[0], 400)
    if server.rss_kb() - before > 16 * 1024:
        raise AssertionError(f"memory grew from {before} to {server.rss_kb()} kB")
    _, headers, _ = ask(c, "POST", PODS + "?dryRun=All", dict(pod("g"), nonsense=1))
    has(headers["Warning"], 'unknown field \\"nonsense\\"')


def large_bodies(server):
    before = server.rss_kb()
    c = server.connect()
    status, _, body = ask(c, "POST", PODS, b"x" * (100 * 1024 * 1024))
    equal((status, body["message"]), (413, "Request entity too large: limit is 3145728"))
    c = server.connect()  # without a length
    c.putrequest("POST", PODS)
    c.putheader("Content-Type", "application/json")
    c.putheader("Transfer-Encoding", "chunked")
    c.endheaders()
    for _ in range(80):
        c.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
    c.send(b"0\r\n\r\n")
    equal(c.getresponse().status, 413)
    if server.rss_kb() - before > 32 * 1024:
        raise AssertionError(f"memory grew from {before} to {server.rss_kb()} kB")


def continue_expected(server):
    s = server.raw()
    body = json.dumps(pod("expected")).encode()
    s.sendall(f"POST {PODS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode())
    has(s.recv(4096), b"HTTP/1.1 100")
    s.sendall(body)
    has(s.recv(4096), b"HTTP/1.1 201")
    s.close()
    s = server.raw()
    s.sendall(f"POST {PODS}?dryRun=no HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\nExpect: 100-continue\r\n\r\n".encode())
    has(s.recv(4096), b"HTTP/1.1 422")
    s.close()


def slow_clients(server):
    """A head and a body that never end are cut off in time; others are served meanwhile."""
    silent = socket.create_connection((server.host, server.port), timeout=30)
    head, body = server.raw(30), server.raw(30)
    head.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    body.sendall(f"POST {PODS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
    equal(ask(server.connect(), "GET", "/version")[0], 200)
    for s in (silent, head, body):
        start = time.monotonic()
        try:
            while s.recv(4096):
                pass
        except (ConnectionError, ssl.SSLError):
            pass
        if time.monotonic() - start > 25:
            raise AssertionError("a client that says nothing was not cut off")
        s.close()


def connection_limit(server):
    crowd = [socket.create_connection((server.host, server.port), timeout=15) for _ in range(260)]
    time.sleep(0)
    refused = 0
    for s in crowd:
        s.settimeout(0.01)
        try:
            refused += s.recv(1) == b""
        except socket.timeout:
            pass
        except ConnectionError:
            refused += 1
    for s in crowd:
        s.close()
    if refused < 40:
        raise AssertionError(f"{refused} of 260 connections refused, the limit is 200")
    end = time.monotonic() + 10
    while True:
        try:
            equal(ask(server.connect(), "GET", "/version")[0], 200)
            break
        except (ConnectionError, OSError):
            if time.monotonic() > end:
                raise


class Watch:
    def __init__(self, server, path, **headers):
        self.connection = server.connect(timeout=30)
        self.connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        self.answer = self.connection.getresponse()
        equal(self.answer.status, 200)

    def next(self):
        line = self.answer.readline()
        return json.loads(line) if line else None

    def close(self):
        self.connection.close()


def watches(server):
    c = server.connect()
    version = ask(c, "GET", PODS)[2]["metadata"]["resourceVersion"]
    w = Watch(server, f"{PODS}?watch=1&resourceVersion={version}&labelSelector=w%3D1")
    old = Watch(server, f"/api/v1/watch/namespaces/default/pods?resourceVersion={version}&labelSelector=w%3D1")
    table = Watch(server, f"{PODS}?watch=1&resourceVersion={version}&labelSelector=w%3D1", Accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    ask(c, "POST", PODS, pod("w1", w="1"))
    ask(c, "POST", PODS, pod("w2", w="2"))
    ask(c, "PATCH", PODS + "/w1", {"metadata": {"labels": {"z": "z"}}}, MERGE)
    ask(c, "PATCH", PODS + "/w1", {"metadata": {"labels": {"w": "2"}}}, MERGE)
    for watch in (w, old):
        events = [watch.next() for _ in range(3)]
        equal([e["type"] for e in events], ["ADDED", "MODIFIED", "DELETED"])
        equal({e["object"]["metadata"]["name"] for e in events}, {"w1"})
        revisions = [int(e["object"]["metadata"]["resourceVersion"]) for e in events]
        equal(revisions, sorted(revisions))
        watch.close()
    first, second = table.next(), table.next()
    equal((first["object"]["kind"], first["object"]["rows"][0]["cells"][0]), ("Table", "w1"))
    equal((bool(first["object"]["columnDefinitions"]), bool(second["object"]["columnDefinitions"])), (True, False))
    table.close()
    timed = Watch(server, PODS + "?watch=1&resourceVersion=0&timeoutSeconds=1&allowWatchBookmarks=true")
    seen = []
    while (event := timed.next()) is not None:
        seen.append(event["type"])
    equal(set(seen) <= {"ADDED", "BOOKMARK"}, True)
    initial = Watch(server, PODS + "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true")
    while (event := initial.next())["type"] != "BOOKMARK":
        equal(event["type"], "ADDED")
    equal(event["object"]["metadata"]["annotations"], {"k8s.io/initial-events-end": "true"})
    initial.close()
    named = Watch(server, "/api/v1/watch/namespaces/default/pods/echo")
    equal(named.next()["object"]["metadata"]["name"], "echo")
    named.close()


def slow_watcher(server):
    """One that reads nothing neither grows the server without bound nor holds others up; it is told that it missed something or gets all of it."""
    c = server.connect()
    slow = Watch(server, "/api/v1/namespaces/default/configmaps?watch=1")
    before = server.rss_kb()
    for i in range(300):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"}, "data": {"a": str(i % 10) * 200000}}
        ask(c, "POST" if i == 0 else "PUT", "/api/v1/namespaces/default/configmaps" + ("" if i == 0 else "/big"), body)
    grown = server.rss_kb() - before
    if grown > 160 * 1024:
        raise AssertionError(f"memory grew by {grown} kB")
    last, ended = 0, False
    while not ended:
        event = slow.next()
        if event is None or event["type"] == "ERROR":
            equal(event is not None and event["object"]["code"], 410)
            ended = True
        else:
            revision = int(event["object"]["metadata"]["resourceVersion"])
            equal(revision > last, True)
            last = revision
            ended = event["object"]["metadata"]["name"] == "big" and revision >= int(ask(c, "GET", "/api/v1/namespaces/default/configmaps/big")[2]["metadata"]["resourceVersion"])
    slow.close()


def large_lists(server):
    c = server.connect()
    data = {"a": "x" * 2000}
    for i in range(400):
        equal(ask(c, "POST", "/api/v1/namespaces/default/configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"l{i:04}", "labels": {"l": "l"}}, "data": data})[0], 201)
    path = "/api/v1/namespaces/default/configmaps?labelSelector=l%3Dl"
    _, headers, body = ask(c, "GET", path)
    equal(headers["Transfer-Encoding"], "chunked")
    equal([i["metadata"]["name"] for i in body["items"]], [f"l{i:04}" for i in range(400)])
    names, token = [], ""
    while True:
        _, _, body = ask(c, "GET", path + f"&limit=150&continue={token}")
        names += [i["metadata"]["name"] for i in body["items"]]
        token = body["metadata"].get("continue")
        if not token:
            break
    equal(names, [f"l{i:04}" for i in range(400)])
    _, _, body = ask(c, "GET", path, Accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    equal(len(body["rows"]), 400)
    has(ask(c, "GET", path, Accept="application/yaml")[2], b"l0399")
    s = server.raw()  # gone in the middle
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    s.recv(10)
    s.close()
    equal(ask(c, "DELETE", path)[0], 200)
    equal(ask(c, "GET", path)[2]["items"], [])


def logs(server):
    c = server.connect()
    status, headers, body = ask(c, "GET", PODS + "/echo/log")
    equal((status, headers["Content-Type"], body), (200, "text/plain", b"line 0\nline 1\nline 2\n"))
    equal(ask(server.connect(), "GET", PODS + "/echo/log?tailLines=1")[2], b"line 0\n")
    c = server.connect()
    equal(ask(c, "GET", PODS + "/echo/log?tailLines=-1")[0], 422)
    equal(ask(c, "GET", PODS + "/echo/log?previous=true")[2]["message"], 'previous terminated container "c" in pod "echo" not found')
    equal(ask(c, "GET", PODS + "/echo/log?container=none")[2]["message"], "container none is not valid for pod echo")
    equal(ask(c, "GET", PODS + "/nobody/log")[0], 404)
    equal(ask(c, "GET", PODS + "/echo/log", Impersonate_User="bob")[0], 403)
    follow = server.connect()
    follow.request("GET", PODS + "/echo/log?follow=true")
    answer = follow.getresponse()
    equal(answer.readline(), b"line 0\n")
    follow.close()


class WebSocket:
    def __init__(self, server, path, protocol, expect=101):
        self.s = server.raw()
        self.data = b""
        key = base64.b64encode(os.urandom(16)).decode()
        self.s.sendall((f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.data:
            more = self.s.recv(65536)
            if not more:
                raise AssertionError(f"no answer: {self.data!r}")
            self.data += more
        self.head, self.data = self.data.split(b"\r\n\r\n", 1)
        equal(int(self.head.split()[1]), expect)

    def send(self, payload, opcode=2, final=True):
        mask = os.urandom(4)
        size = len(payload)
        head = bytes([(0x80 if final else 0) | opcode])
        head += bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + struct.pack(">H", size) if size < 65536 else bytes([0xff]) + struct.pack(">Q", size)
        self.s.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload)))

    def take(self, n):
        while len(self.data) < n:
            more = self.s.recv(65536)
            if not more:
                raise EOFError
            self.data += more
        out, self.data = self.data[:n], self.data[n:]
        return out

    def receive(self):
        first, size = self.take(2)
        if size == 126:
            size, = struct.unpack(">H", self.take(2))
        elif size == 127:
            size, = struct.unpack(">Q", self.take(8))
        return first & 15, self.take(size)

    def collect(self):
        """Channel → bytes, until the close frame."""
        out = {}
        while True:
            opcode, payload = self.receive()
            if opcode == 8:
                self.s.close()
                return out
            if opcode in (1, 2):
                out.setdefault(payload[0], bytearray()).extend(payload[1:])


def watch_websocket(server):
    """Java's fabric8 client watches so: each event is a message of its own."""
    c = server.connect()
    version = ask(c, "GET", PODS)[2]["metadata"]["resourceVersion"]
    w = WebSocket(server, f"{PODS}?watch=1&resourceVersion={version}&labelSelector=ws%3D1", "none")
    for name in ("ws1", "ws2"):
        ask(c, "POST", PODS, pod(name, ws="1"))
    for name in ("ws1", "ws2"):
        opcode, payload = w.receive()
        event = json.loads(payload)
        equal((opcode, event["type"], event["object"]["metadata"]["name"]), (1, "ADDED", name))
    w.send(b"still there?", opcode=9)
    equal(w.receive(), (10, b"still there?"))
    w.send(struct.pack(">H", 1000), opcode=8)
    equal(w.receive(), (8, struct.pack(">H", 1000)))
    w.s.close()
    w = WebSocket(server, f"{PODS}?watch=1&resourceVersion={version}&timeoutSeconds=1&labelSelector=none", "none")
    equal(w.receive()[0], 8)
    w.s.close()
    for name in ("ws1", "ws2"):
        ask(c, "DELETE", f"{PODS}/{name}?gracePeriodSeconds=0")


def exec_streams(server):
    path = PODS + "/echo/exec?stdin=true&stdout=true&stderr=true&command="
    w = WebSocket(server, path + "cat", "v5.channel.k8s.io")
    has(w.head, b"v5.channel.k8s.io")
    w.send(b"\0hello ")
    w.send(b"\0wor", final=False)
    w.send(b"ld", opcode=0)
    w.send(b"ping!", opcode=9)
    w.send(b"\xff\0")
    out = w.collect()
    equal(out[1], b"hello world")
    equal(json.loads(out[3])["status"], "Success")
    w = WebSocket(server, path + "exit&command=7", "v4.channel.k8s.io")
    equal(json.loads(w.collect()[3])["details"]["causes"], [{"reason": "ExitCode", "message": "7"}])
    w = WebSocket(server, path + "cat", "v4.base64.channel.k8s.io")
    w.send(b"0" + base64.b64encode(b"text"), opcode=1)
    opcode, payload = w.receive()
    equal((opcode, payload[:1], base64.b64decode(payload[1:])), (1, b"1", b"text"))
    w.s.close()
    w = WebSocket(server, path + "size&tty=true", "v4.channel.k8s.io")
    w.send(b'\4{"Width":80,"Height":24}')
    equal(w.receive()[1], b"\x0180x24\n")
    w.s.close()
    w = WebSocket(server, path + "big&command=20000", "v4.channel.k8s.io")
    equal(len(w.collect()[1]), 20000 * 1024)


def exec_without_reader(server):
    """A client that goes while its input waits for a program that reads none: the stream is closed, not left for ever."""
    def closed():
        found = re.search(rb"^test_echo_deaf_closed_total (\d+)", ask(server.connect(), "GET", "/metrics")[2], re.M)
        return int(found.group(1)) if found else 0
    # more of them at once than there are threads for what may block: the cluster's own work goes on
    crowd = [WebSocket(server, PODS + "/echo/exec?stdin=true&stdout=true&command=deaf", "v4.channel.k8s.io") for _ in range(90)]
    for w in crowd:
        w.send(b"\0are you there?")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "echo"}, "deleteOptions": {"dryRun": ["All"]}}
    equal(ask(server.connect(timeout=10), "POST", PODS + "/echo/eviction?dryRun=All", eviction)[0], 201)
    for w in crowd:
        w.s.close()
    end = time.monotonic() + 30
    while closed() < len(crowd):
        if time.monotonic() > end:
            raise AssertionError(f"{closed()} streams closed, {len(crowd)} clients gone")
    for n in range(len(crowd) + 1, len(crowd) + 4):
        w = WebSocket(server, PODS + "/echo/exec?stdin=true&stdout=true&command=deaf", "v4.channel.k8s.io")
        w.send(b"\0who hears this?")
        w.send(b"\0and this?")
        w.s.close()
        end = time.monotonic() + 20
        while closed() < n:
            if time.monotonic() > end:
                raise AssertionError(f"{closed()} streams closed, {n} clients gone")


def exec_refusals(server):
    path = PODS + "/echo/exec?stdout=true&command=cat"
    c = server.connect()
    equal(ask(c, "GET", path)[0], 400)
    equal(ask(c, "POST", path)[0], 400)
    WebSocket(server, path, "v9.channel.k8s.io", 403)
    WebSocket(server, PODS + "/echo/exec?command=cat", "v4.channel.k8s.io", 400)
    WebSocket(server, PODS + "/nobody/exec?stdout=true&command=cat", "v4.channel.k8s.io", 404)
    for frame in [b"\xf0\x80\0\0\0\0", b"\x82\x01x", b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", b"\x80\x80\0\0\0\0", b"\x8b\x80\0\0\0\0"]:
        w = WebSocket(server, path + "&stdin=true", "v4.channel.k8s.io")
        w.s.sendall(frame)
        opcode, payload = w.receive()
        equal((opcode, struct.unpack(">H", payload[:2])[0]), (8, 1002))
        w.s.close()
    before = server.rss_kb()  # nobody reads: the producer waits
    stuck = [WebSocket(server, PODS + "/echo/exec?stdout=true&command=big&command=100000", "v4.channel.k8s.io") for _ in range(3)]
    equal(ask(c, "GET", "/version")[0], 200)
    if server.rss_kb() - before > 32 * 1024:
        raise AssertionError("memory grows with an output that nobody reads")
    for w in stuck:
        w.s.close()


def forward_legacy(server):
    w = WebSocket(server, PODS + "/echo/portforward?ports=80", "v4.channel.k8s.io")
    equal((w.receive()[1], w.receive()[1]), (b"\0\x50\0", b"\1\x50\0"))
    w.send(b"\0hello")
    equal(w.receive()[1], b"\0HELLO")
    w.s.close()
    WebSocket(server, PODS + "/echo/portforward?ports=0", "v4.channel.k8s.io", 400)


def with_kubectl(server):
    """The real client: protobuf bodies, discovery, tables, WebSocket exec, tunnelled port-forward."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise AssertionError("kubectl is not installed")
    use_kubectl(server, kubectl)


def with_old_kubectl(server):
    """The same with Debian's: SPDY for exec and port-forward, OpenAPI as protobuf."""
    use_kubectl(server, client("kubectl-1.20/kubectl"))


def use_kubectl(server, kubectl):
    def k(*args, code=0, **more):
        done = subprocess.run([kubectl, "--kubeconfig", server.kubeconfig, *args], capture_output=True, timeout=60, **more)
        if done.returncode != code:
            raise AssertionError(f"kubectl {args}: {done.returncode}: {done.stderr.decode()}")
        return done.stdout

    k("apply", "-f", "-", input=b'{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"made"}}')
    k("create", "configmap", "a", "--from-literal=x=y", "-n", "made")
    k("create", "secret", "generic", "s", "--from-literal=x=y", "-n", "made")
    k("create", "deployment", "web", "--image=web:v1", "--replicas=2", "-n", "made")
    equal(k("get", "deployment", "web", "-n", "made", "-o", "jsonpath={.spec.replicas} {.spec.template.spec.containers[0].image}"), b"2 web:v1")
    equal(k("get", "secret", "s", "-n", "made", "-o", "jsonpath={.data.x}"), b"eQ==")
    k("scale", "deployment", "web", "--replicas=3", "-n", "made")
    k("label", "deployment", "web", "a=b", "-n", "made")
    has(k("get", "deploy,cm,secret", "-n", "made"), b"deployment.apps/web")
    k("delete", "deployment", "web", "-n", "made")
    has(k("explain", "pod.spec.containers.image"), b"image")
    equal(k("logs", "echo", "--tail=2"), b"line 0\nline 1\n")
    k("apply", "-f", "-", "-n", "made", input=b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"},"data":{"x":"y"}}')
    k("delete", "configmap", "a", "b", "-n", "made")
    k("delete", "secret", "s", "-n", "made")
    streams(server, kubectl, k)


def streams(server, kubectl, k):
    equal(k("exec", "-i", "echo", "--", "cat", input=b"to the end"), b"to the end")
    k("exec", "echo", "--", "exit", "3", code=3)
    equal(len(k("exec", "echo", "--", "big", "3000")), 3000 * 1024)
    port = free_port()
    forward = subprocess.Popen([kubectl, "--kubeconfig", server.kubeconfig, "port-forward", "pod/echo", f"{port}:80"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        has(forward.stdout.readline(), b"Forwarding")
        for text in (b"one", b"two" * 100000):
            with socket.create_connection(("127.0.0.1", port), timeout=15) as s:
                sender = threading.Thread(target=s.sendall, args=(text,))
                sender.start()
                got = b""
                while len(got) < len(text):
                    got += s.recv(65536)
                sender.join()
                equal(got == text.upper(), True)
    finally:
        forward.kill()
        forward.communicate()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


if __name__ == "__main__":
    folder = tempfile.mkdtemp(prefix="cube-http-plugins-")
    try:
        shutil.copy(sys.argv[2], folder)
        os.chmod(folder, 0o755)
        http_server.run([set_up, identity, stranger_certificate, impersonation, verbs, shapes, documents, refusals, large_bodies, continue_expected,
                         slow_clients, connection_limit, watches, slow_watcher, large_lists, logs, watch_websocket, exec_streams, exec_without_reader, exec_refusals, forward_legacy,
                         with_kubectl, with_old_kubectl], http_server.Server(sys.argv[1], folder, CONFIG))
    finally:
        shutil.rmtree(folder)
