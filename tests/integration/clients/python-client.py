#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The unmodified python3-kubernetes against the cluster of $KUBECONFIG."""
import json
import threading

from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.rest import ApiException
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock
from kubernetes.stream import portforward, stream

NS = "python"
config.load_kube_config()
core, apps, batch, rbac = client.CoreV1Api(), client.AppsV1Api(), client.BatchV1Api(), client.RbacAuthorizationV1Api()


def refused(status, call, *args, **more):
    try:
        call(*args, **more)
    except ApiException as problem:
        assert problem.status == status, problem
        return problem
    raise AssertionError(f"{call} was not refused")


def objects():
    assert client.VersionApi().get_code().major == "1"
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NS)))
    made = core.create_namespaced_config_map(NS, client.V1ConfigMap(metadata=client.V1ObjectMeta(generate_name="a-"), data={"x": "y"}))
    name = made.metadata.name
    refused(409, core.create_namespaced_config_map, NS, client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name)))
    refused(404, core.read_namespaced_config_map, "none", NS)
    refused(422, core.create_namespaced_config_map, NS, client.V1ConfigMap(metadata=client.V1ObjectMeta(name="Bad_Name")))
    made.data["x"] = "z"
    assert core.replace_namespaced_config_map(name, NS, made).data["x"] == "z"
    refused(409, core.replace_namespaced_config_map, name, NS, made)  # the old resourceVersion
    page = core.list_namespaced_config_map(NS, limit=1)
    assert len(page.items) == 1 and page.metadata.resource_version
    core.create_namespaced_secret(NS, client.V1Secret(metadata=client.V1ObjectMeta(name="s"), string_data={"p": "q"}))
    assert core.read_namespaced_secret("s", NS).data["p"] == "cQ=="
    core.delete_namespaced_config_map(name, NS, body=client.V1DeleteOptions(dry_run=["All"]))
    core.read_namespaced_config_map(name, NS)
    core.delete_namespaced_config_map(name, NS)
    assert len(client.ApisApi().get_api_versions().groups) > 10
    rbac.create_namespaced_role(NS, client.V1Role(metadata=client.V1ObjectMeta(name="r"), rules=[client.V1PolicyRule(api_groups=[""], resources=["pods"], verbs=["get"])]))
    review = client.AuthorizationV1Api().create_self_subject_access_review(client.V1SelfSubjectAccessReview(
        spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=client.V1ResourceAttributes(verb="get", resource="pods"))))
    assert review.status.allowed


def patches():
    core.create_namespaced_config_map(NS, client.V1ConfigMap(metadata=client.V1ObjectMeta(name="p"), data={"a": "1"}))
    assert core.patch_namespaced_config_map("p", NS, [{"op": "replace", "path": "/data/a", "value": "2"}]).data == {"a": "2"}
    assert core.patch_namespaced_config_map("p", NS, {"data": {"b": "3"}}).data == {"a": "2", "b": "3"}


def watches():
    seen = []
    core.create_namespaced_config_map(NS, client.V1ConfigMap(metadata=client.V1ObjectMeta(name="w0")))
    start = core.list_namespaced_config_map(NS).metadata.resource_version
    for number in (1, 2):
        core.create_namespaced_config_map(NS, client.V1ConfigMap(metadata=client.V1ObjectMeta(name=f"w{number}")))
    core.delete_namespaced_config_map("w1", NS)
    w = watch.Watch()
    for event in w.stream(core.list_namespaced_config_map, NS, resource_version=start, timeout_seconds=20):
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 3:
            w.stop()
    assert seen == [("ADDED", "w1"), ("ADDED", "w2"), ("DELETED", "w1")], seen
    assert [e["type"] for e in watch.Watch().stream(core.list_namespaced_config_map, NS, resource_version=start, timeout_seconds=1)] == ["ADDED", "ADDED", "DELETED"]


def dynamic_client():
    api = dynamic.DynamicClient(client.ApiClient())
    maps = api.resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "d"}, "data": {"x": "y"}}
    text = json.dumps  # this version of the library encodes an apply's body not by itself
    applied = api.server_side_apply(maps, body=text(body), name="d", namespace=NS, field_manager="one")
    assert applied.data.x == "y"
    try:
        api.server_side_apply(maps, body=text({**body, "data": {"x": "z"}}), name="d", namespace=NS, field_manager="two")
        raise AssertionError("no conflict")
    except ConflictError as problem:
        assert "one" in str(problem)
    assert api.server_side_apply(maps, body=text({**body, "data": {"x": "z"}}), name="d", namespace=NS, field_manager="two", force_conflicts=True).data.x == "z"
    assert maps.patch(body={"data": {"m": "n"}}, name="d", namespace=NS, content_type="application/merge-patch+json").data.m == "n"
    deployments = api.resources.get(api_version="apps/v1", kind="Deployment")
    assert deployments.get(namespace=NS).kind == "DeploymentList"
    crds = api.resources.get(api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition")
    crds.create(body={"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "toys.example.org"}, "spec": {
        "group": "example.org", "scope": "Namespaced", "names": {"plural": "toys", "kind": "Toy", "singular": "toy"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}})
    for event in crds.watch(name="toys.example.org", timeout=20):
        if any(x.type == "Established" and x.status == "True" for x in event["object"].status.conditions or []):
            break
    api.resources.invalidate_cache()
    toys = api.resources.get(api_version="example.org/v1", kind="Toy")
    toys.create(body={"apiVersion": "example.org/v1", "kind": "Toy", "metadata": {"name": "bear"}, "spec": {"soft": True}}, namespace=NS)
    assert toys.get(name="bear", namespace=NS).spec.soft
    custom = client.CustomObjectsApi()
    assert len(custom.list_namespaced_custom_object("example.org", "v1", NS, "toys")["items"]) == 1
    crds.delete(name="toys.example.org")
    try:
        maps.get(name="none", namespace=NS)
        raise AssertionError("found")
    except NotFoundError:
        pass


def streams():
    utils.create_from_dict(client.ApiClient(), {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": NS}, "spec": {
        "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
            "terminationGracePeriodSeconds": 1, "containers": [{"name": "web", "image": "cube.local/web:v1"}]}}}}, namespace=NS)
    w = watch.Watch()
    for event in w.stream(core.list_namespaced_pod, NS, label_selector="app=web", timeout_seconds=60):
        if any(x.type == "Ready" and x.status == "True" for x in event["object"].status.conditions or []):
            pod = event["object"].metadata.name
            w.stop()
    assert apps.patch_namespaced_deployment_scale("web", NS, {"spec": {"replicas": 2}}).spec.replicas == 2
    assert stream(core.connect_get_namespaced_pod_exec, pod, NS, command=["/bin/sh", "-c", "echo out"], stdout=True, stderr=True, stdin=False, tty=False) == "out\n"
    shell = stream(core.connect_get_namespaced_pod_exec, pod, NS, command=["/bin/sh"], stdout=True, stderr=True, stdin=True, tty=False, _preload_content=False)
    shell.write_stdin("echo one; echo two >&2; exit 5\n")
    shell.run_forever(timeout=20)
    assert shell.read_stdout() == "one\n" and shell.read_stderr() == "two\n" and shell.returncode == 5, shell.returncode
    assert "listening" in core.read_namespaced_pod_log(pod, NS, tail_lines=5)
    for line in watch.Watch().stream(core.read_namespaced_pod_log, pod, NS, follow=True):
        assert "listening" in line
        break
    forward = portforward(core.connect_get_namespaced_pod_portforward, pod, NS, ports="8080")
    socket = forward.socket(8080)
    socket.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
    answer = b""
    while piece := socket.recv(4096):
        answer += piece
    assert b"web v1 " + pod.encode() in answer, answer
    core.create_namespaced_pod_eviction(pod, NS, client.V1Eviction(metadata=client.V1ObjectMeta(name=pod)))


def election():
    led = threading.Event()
    lock = ConfigMapLock("election", NS, "me")
    threading.Thread(target=leaderelection.LeaderElection(electionconfig.Config(
        lock, lease_duration=15, renew_deadline=10, retry_period=1, onstarted_leading=led.set, onstopped_leading=lambda: None)).run, daemon=True).start()
    assert led.wait(20)
    lease = client.CoordinationV1Api().create_namespaced_lease(NS, client.V1Lease(metadata=client.V1ObjectMeta(name="l"), spec=client.V1LeaseSpec(holder_identity="a")))
    assert lease.spec.holder_identity == "a"


def token():
    core.create_namespaced_service_account(NS, client.V1ServiceAccount(metadata=client.V1ObjectMeta(name="sa")))
    made = core.create_namespaced_service_account_token("sa", NS, client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=600))) \
        if hasattr(client, "AuthenticationV1TokenRequest") else core.create_namespaced_service_account_token("sa", NS, {"spec": {"expirationSeconds": 600}})
    mine = client.Configuration.get_default_copy()
    mine.cert_file = mine.key_file = None
    mine.api_key = {"authorization": "Bearer " + made.status.token}
    refused(403, client.CoreV1Api(client.ApiClient(mine)).list_namespaced_pod, NS)


def remove():
    core.delete_collection_namespaced_config_map(NS)
    apps.delete_namespaced_deployment("web", NS, propagation_policy="Foreground")
    core.delete_namespace(NS)


for test in (objects, patches, watches, dynamic_client, streams, election, token, remove):
    print(f"# {test.__name__}", flush=True)
    test()
