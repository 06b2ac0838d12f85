#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the API says, word for word as Kubernetes 1.36 says it: test-http-texts.py CUBE"""
import sys

import http_server
from http_server import ask, equal, pod

NS = "/api/v1/namespaces/default/"
JSON, JSON_PATCH, MERGE, STRATEGIC, APPLY = "application/json", "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml"
REFUSED = "the server rejected our request due to an error in our request"
NONE = {}


def config_map(**metadata):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def check(server, cases, **headers):
    c = server.connect()
    for method, path, body, kind, code, message, details in cases:
        status, _, answer = ask(c, method, path if path.startswith("/") else NS + path, body, kind, **headers)
        shown = f"{method} {path} {str(body)[:60]}"
        equal((shown, status, answer.get("message")), (shown, code, message))
        if details is not ...:
            equal((shown, answer.get("details")), (shown, details))


def invalid(kind, field, reason, body, group="meta.k8s.io", **more):
    return {**({"group": group} if group else {}), "kind": kind, "causes": [{"reason": reason, "message": body, "field": field}], **more}


def set_up(server):
    c = server.connect()
    equal(ask(c, "POST", NS + "pods", pod("p"))[0], 201)
    equal(ask(c, "POST", NS + "configmaps", {**config_map(name="m"), "data": {"a": "b"}})[0], 201)


def lists(server):
    def forbidden(field, text):
        return f'ListOptions.meta.k8s.io "" is invalid: {field}: Forbidden: {text}', invalid("ListOptions", field, "FieldValueForbidden", "Forbidden: " + text)
    match = "resourceVersionMatch"
    check(server, [("GET", "configmaps?" + query, None, JSON, 422, *forbidden(*text)) for query, text in [
        ("resourceVersion=0&resourceVersionMatch=Exact", (match, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')),
        ("resourceVersionMatch=Exact", (match, "resourceVersionMatch is forbidden unless resourceVersion is provided")),
        ("sendInitialEvents=true", ("sendInitialEvents", "sendInitialEvents is forbidden for list")),
        ("watch=1&sendInitialEvents=true", (match, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")),
        ("watch=1&resourceVersionMatch=NotOlderThan", (match, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"))]])
    check(server, [("GET", path, None, JSON, 400, message, None) for path, message in [
        ("configmaps?continue=abc&resourceVersion=5", "specifying resource version is not allowed when using continue"),
        ("configmaps?continue=eyJ2IjoieCJ9", 'invalid continue token: continue key is not valid: server does not recognize this encoded version "x"'),
        ("configmaps?fieldSelector=foo%3Dbar", '"foo" is not a known field selector: only "metadata.name", "metadata.namespace"'),
        ("pods?fieldSelector=foo%3Dbar", "field label not supported: foo"),
        ("/apis/batch/v1/namespaces/default/jobs?fieldSelector=foo%3Dbar", 'field label "foo" not supported for Job'),
        ("/api/v1/watch/namespaces/default/configmaps/m?fieldSelector=metadata.name%3Dother", "fieldSelector metadata.name doesn't match requested name")]])
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    check(server, [("GET", "configmaps?includeObject=Foo", None, JSON, 400, 'unrecognized includeObject value: "Foo"', None)], Accept=table)
    check(server, [("GET", "configmaps", None, JSON, 406, "you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)", None),
                   ("GET", "/apis/apps/v1/deployments", None, JSON, 406, "you requested PartialObjectMetadata, but the requested object is a list (*apps.DeploymentList)", None)], Accept=table.replace("Table", "PartialObjectMetadata"))
    check(server, [("GET", "configmaps/m", None, JSON, 406, "you requested PartialObjectMetadataList, but the requested object is not a list (*core.ConfigMap)", None)], Accept=table.replace("Table", "PartialObjectMetadataList"))


def patches(server):
    decode = "error decoding patch: json: cannot unmarshal "
    check(server, [("PATCH", "configmaps/m", body, JSON_PATCH, *answer) for body, answer in [
        ('[{"op":"test","path":"/data/a","value":"z"}]', (422, REFUSED, NONE)),
        ('[{"op":"remove","path":"/data/zz"}]', (422, REFUSED, NONE)),
        ('[{"op":"frob","path":"/data/a"}]', (422, REFUSED, NONE)),
        ('[{"path":"/data/a"}]', (422, REFUSED, NONE)),
        ('[{"op":"add","path":"data","value":1}]', (422, REFUSED, NONE)),
        ('{"a":1}', (400, decode + "object into Go value of type jsonpatch.Patch", None)),
        ('[1]', (400, decode + "number into Go value of type jsonpatch.Operation", None)),
        ("[" + ",".join(['{"op":"add","path":"/data/x","value":"1"}'] * 10001) + "]", (413, "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001", None))]])
    check(server, [
        ("PATCH", "configmaps/m", "[1]", MERGE, 400, decode + "array into Go value of type map[string]interface {}", None),
        ("PATCH", "pods/p", '{"spec":{"containers":[{"image":"x"}]}}', STRATEGIC, 400, 'map: {"image":"x"} does not contain declared merge key: name', None),
        ("PATCH", "configmaps/m?force=true", "{}", MERGE, 422, 'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch', ...),
        ("PATCH", "configmaps/m", "{}", APPLY, 422, 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch', ...),
        ("PATCH", "configmaps/none?fieldManager=f", {**config_map(name="none", uid="abc")}, APPLY, 409,
         'Operation cannot be fulfilled on configmaps "none": uid mismatch: the provided object specified uid abc, and no existing object was found', {"name": "none", "kind": "configmaps"})])


def objects(server):
    owner = {"apiVersion": "v1", "kind": "A", "name": "n", "uid": "u"}
    c = server.connect()
    status, headers, body = ask(c, "POST", NS + "configmaps?dryRun=All", config_map(name="x", ownerReferences=[owner, dict(owner, uid="u2"), owner, dict(owner, uid="u2")]))
    equal((status, [o["uid"] for o in body["metadata"]["ownerReferences"]]), (201, ["u", "u2"]))
    equal(headers["Warning"], '299 - ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; '
                              'please fix your requests; duplicate UID(s) observed: u, u2"')
    check(server, [
        ("POST", "configmaps", config_map(name="x", ownerReferences=[dict(owner, apiVersion="a/b/c")]), JSON, 422,
         'ConfigMap "x" is invalid: metadata.ownerReferences.apiVersion: Invalid value: "a/b/c": version must not be empty', ...),
        ("POST", "configmaps", {**config_map(name="x"), "data": {"a": "c" * 1048577}}, JSON, 422, 'ConfigMap "x" is invalid: []: Too long: may not be more than 1048576 bytes',
         invalid("ConfigMap", "[]", "FieldValueTooLong", "Too long: may not be more than 1048576 bytes", None, name="x")),
        ("POST", "configmaps", config_map(name="x", resourceVersion="5"), JSON, 500, "resourceVersion should not be set on objects to be created", None),
        ("POST", "pods/p/binding", {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Foo", "name": "n"}}, JSON, 422,
         'Binding "p" is invalid: target.kind: Unsupported value: "Foo": supported values: "Node", "<empty>"',
         invalid("Binding", "target.kind", "FieldValueNotSupported", 'Unsupported value: "Foo": supported values: "Node", "<empty>"', None, name="p")),
        ("GET", "/api/v1/foos", None, JSON, 404, "the server could not find the requested resource", NONE),
        ("PUT", "configmaps", {}, JSON, 405, "the server does not allow this method on the requested resource", NONE)])


def deletes(server):
    """A delete that is not understood deletes nothing."""
    c = server.connect()
    uid = ask(c, "GET", NS + "configmaps/m")[2]["metadata"]["uid"]
    ns_uid = ask(c, "GET", "/api/v1/namespaces/default")[2]["metadata"]["uid"]

    def options(**more):
        return {"apiVersion": "v1", "kind": "DeleteOptions", **more}
    unsupported = 'Unsupported value: "Foo": supported values: "Foreground", "Background", "Orphan", "nil"'
    check(server, [
        ("DELETE", "configmaps/m", options(dryRun=["Some"]), JSON, 422, 'DeleteOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported values: "All"',
         invalid("DeleteOptions", "dryRun", "FieldValueNotSupported", 'Unsupported value: ["Some"]: supported values: "All"')),
        ("DELETE", "configmaps/m", {"apiVersion": "v1", "kind": "Foo"}, JSON, 400, 'Foo in version "v1" cannot be handled as a DeleteOptions: no kind "Foo" is served at this path', None),
        ("DELETE", "configmaps/m", options(propagationPolicy="Foo"), JSON, 422, f'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: {unsupported}',
         invalid("DeleteOptions", "propagationPolicy", "FieldValueNotSupported", unsupported)),
        ("DELETE", "configmaps/m", options(preconditions={"uid": "x"}), JSON, 409,
         f'Operation cannot be fulfilled on ConfigMap "m": the UID in the precondition (x) does not match the UID in record ({uid}). The object might have been deleted and then recreated', ...),
        ("DELETE", "/api/v1/namespaces/default", options(preconditions={"uid": "x"}), JSON, 409,
         f'Operation cannot be fulfilled on namespaces "default": Precondition failed: UID in precondition: x, UID in object meta: {ns_uid}', ...)])
    equal(ask(c, "GET", NS + "configmaps/m")[0], 200)


def identities(server):
    check(server, [("GET", "/metrics", None, JSON, 403, 'forbidden: User "bob" cannot get path "/metrics"', NONE)], Impersonate_User="bob")
    check(server, [("GET", "configmaps", None, JSON, 400, "requested [{Group  admins    }] without impersonating a user", None)], Impersonate_Group="admins")
    check(server, [("GET", "configmaps", None, JSON, 400, "requested [{UserExtra  1  authentication.k8s.io/v1  x}] without impersonating a user", None)], Impersonate_Extra_X="1")
    check(server, [("GET", "pods/p/exec?dryRun=All&command=x", None, JSON, 400, "dryRun is not supported", None)])


def ages(server):
    c = server.connect()
    text = '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"'
    for method, path, body in (("GET", "endpoints", None), ("POST", "endpoints?dryRun=All", {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "e"}}), ("GET", "endpoints/none", None)):
        equal((path, ask(c, method, NS + path, body)[1]["Warning"]), (path, text))
    equal(ask(c, "GET", NS + "services")[1]["Warning"], None)


def managers(server):
    """Who is to blame for a field: the fieldManager, else the client by its name."""
    c = server.connect()
    for agent, query, manager in (("my-operator/v1.2 (linux/amd64)", "", "my-operator"), ("Go-http-client", "", "Go-http-client"), ("x/y", "fieldManager=mine", "mine"), ("", "", "unknown"), ("a" * 200, "", "a" * 128)):
        status, _, body = ask(c, "POST", NS + "configmaps?dryRun=All&" + query, {**config_map(name="x"), "data": {"a": "b"}}, User_Agent=agent)
        equal((status, [m["manager"] for m in body["metadata"]["managedFields"]]), (201, [manager]))
    status, _, body = ask(c, "PATCH", NS + "configmaps/m", {"data": {"a": "c"}}, MERGE, User_Agent="someone/1")
    status, _, body = ask(c, "PATCH", NS + "configmaps/m?fieldManager=f", {**config_map(name="m"), "data": {"a": "d"}}, APPLY)
    equal((status, body["message"][:62]), (409, 'Apply failed with 1 conflict: conflict with "someone" using v1'))


if __name__ == "__main__":
    http_server.run([set_up, lists, patches, objects, deletes, identities, ages, managers], http_server.Server(sys.argv[1]))
