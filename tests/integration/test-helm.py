#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Helm 3 and 4 with charts on real containers: test-helm.py CUBE"""
import json
import os

from cluster import Cluster, client, main, run, wait

HOOK = """
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}-%(when)s
  annotations: {helm.sh/hook: %(when)s, helm.sh/hook-weight: "-5", helm.sh/hook-delete-policy: before-hook-creation}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "cube.local/busybox:1", command: [/bin/sh, -c, "echo %(when)s"]}]
"""
CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}}]
"""
WIDGET = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: '{{ .Release.Name }}'}\nspec: {size: {{ .Values.replicaCount }}}\n"


class Helm(Cluster):
    helm_path = None

    def helm(self, *args, check=True):
        env = dict(self.env, HOME=self.dir, HELM_CACHE_HOME=f"{self.dir}/helm", HELM_CONFIG_HOME=f"{self.dir}/helm", HELM_DATA_HOME=f"{self.dir}/helm")
        return run(self.helm_path, *args, env=env, check=check)

    def releases(self):
        return {r["name"]: r for r in json.loads(self.helm("list", "-o", "json").stdout)}


def write(c, path, text):
    path = f"{c.dir}/charts/demo/{path}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def start(c):
    c.up()


def make_chart(c):
    """What `helm create` makes, with images of ours, hooks and a kind of its own."""
    os.makedirs(f"{c.dir}/charts", exist_ok=True)
    run("rm", "-rf", f"{c.dir}/charts/demo")
    c.helm("create", f"{c.dir}/charts/demo")
    for path, old, new in (("values.yaml", "repository: nginx", "repository: cube.local/web"), ("values.yaml", 'tag: ""', "tag: v1"),
                           ("values.yaml", "port: 80\n", "port: 8080\n"), ("values.yaml", "path: /\n", "path: /healthz\n"),
                           ("templates/tests/test-connection.yaml", "image: busybox", "image: cube.local/busybox:1"),
                           ("templates/tests/test-connection.yaml", "command: ['wget']", "command: [/bin/busybox, wget, '-O', '-']"),
                           ("templates/tests/test-connection.yaml", "'{{ include", "'$(D_DEMO_SERVICE_HOST):8080'] #")):
        with open(f"{c.dir}/charts/demo/{path}", encoding="utf-8") as f:
            text = f.read()
        assert old in text, (path, old)
        write(c, path, text.replace(old, new))
    for when in ("pre-install", "post-upgrade", "pre-delete"):
        write(c, f"templates/{when}.yaml", HOOK % {"when": when})
    write(c, "crds/widgets.yaml", CRD)
    write(c, "templates/widget.yaml", WIDGET)
    c.helm("lint", f"{c.dir}/charts/demo")


def life(c):
    chart = f"{c.dir}/charts/demo"
    assert "kind: Deployment" in c.helm("template", "d", chart).stdout
    c.helm("install", "d", chart, "--wait", "--timeout", "60s")
    c.helm("install", "dry", chart, "--dry-run=server")
    assert [r["status"] for r in c.releases().values()] == ["deployed"], c.releases()
    assert c.get("deployment", "d-demo")["status"]["readyReplicas"] == 1
    assert c.get("widget", "d")["spec"]["size"] == 1
    assert c.get("pod", "d-pre-install")["status"]["phase"] == "Succeeded"
    assert "d-demo" in c.helm("status", "d").stdout + c.helm("get", "manifest", "d").stdout
    assert "pre-install" in c.helm("get", "hooks", "d").stdout
    assert "CHART" in c.helm("get", "metadata", "d").stdout or "demo" in c.helm("get", "metadata", "d").stdout
    assert "Succeeded" in c.helm("test", "d", "--timeout", "60s", "--logs").stdout
    c.helm("upgrade", "d", chart, "--set", "replicaCount=2", "--set", "image.tag=v2", "--wait", "--timeout", "60s")
    deployment = c.get("deployment", "d-demo")
    assert deployment["status"]["readyReplicas"] == 2 and deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "cube.local/web:v2"
    assert c.get("widget", "d")["spec"]["size"] == 2
    assert c.get("pod", "d-post-upgrade")["status"]["phase"] == "Succeeded"
    assert "replicaCount: 2" in c.helm("get", "values", "d").stdout
    c.helm("rollback", "d", "1", "--wait", "--timeout", "60s")
    assert c.get("deployment", "d-demo")["spec"]["replicas"] == 1 and c.get("widget", "d")["spec"]["size"] == 1
    history = json.loads(c.helm("history", "d", "-o", "json").stdout)
    assert [h["status"] for h in history] == ["superseded", "superseded", "deployed"], history


def failure(c):
    chart = f"{c.dir}/charts/demo"
    flag = "--rollback-on-failure" if "helm-4" in c.helm_path else "--atomic"
    bad = c.helm("upgrade", "d", chart, "--set", "image.tag=none", flag, "--timeout", "2s", check=False)
    assert bad.returncode != 0, bad
    assert c.get("deployment", "d-demo")["spec"]["template"]["spec"]["containers"][0]["image"] == "cube.local/web:v1", "rolled back"
    bad = c.helm("install", "e", chart, "--set", "image.tag=none", flag, "--timeout", "2s", check=False)
    assert bad.returncode != 0 and "e" not in c.releases(), bad
    bad = c.helm("install", "f", chart, "--set", "replicaCount=-1", check=False)
    assert bad.returncode != 0 and "Invalid value" in bad.stderr, bad
    c.helm("uninstall", "f", check=False)


def remove(c):
    c.helm("uninstall", "d", "--wait", "--timeout", "60s")
    assert not c.releases()
    assert c.get("pod", "d-pre-delete")["status"]["phase"] == "Succeeded"
    left = wait("nothing but hooks to be left", lambda: not [p for p in c.get("pods")["items"] if "demo" in p["metadata"]["name"] and "test" not in p["metadata"]["name"]], 30)
    assert left and not c.get("widgets")["items"]
    c.text("delete", "pods", "--all", "--now")


def with_helm(version, step):
    def run_step(c):
        c.helm_path = client(f"helm-{version}/helm")
        step(c)
    run_step.__name__ = f"helm_{version}_{step.__name__}"
    return run_step


if __name__ == "__main__":
    main(lambda cube: Helm(cube, "--listen", "127.0.0.1:0"),
         [start] + [with_helm(version, step) for version in (3, 4) for step in (make_chart, life, failure, remove)])
