#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Custom resources with real kubectl on simulated nodes: test-custom.py CUBE"""
import signal

from cluster import Cluster, main, wait

CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab, shortNames: [ct]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns: [{name: Spec, type: string, jsonPath: .spec.cronSpec}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              cronSpec: {type: string}
              replicas: {type: integer, minimum: 1, default: 1}
"""
OBJECT = """
apiVersion: stable.example.com/v1
kind: CronTab
metadata: {name: mine}
spec: {cronSpec: "* * * * */5", unknown: 1}
"""


def define(c):
    c.up()
    c.apply(CRD)
    c.text("wait", "--for=condition=Established", "crd/crontabs.stable.example.com", "--timeout=20s")
    assert "crontabs" in c.text("api-resources", "--api-group=stable.example.com")


def use(c):
    c.kubectl("apply", "--validate=ignore", "-f", "-", data=OBJECT)
    mine = c.get("crontab", "mine")
    assert mine["spec"] == {"cronSpec": "* * * * */5", "replicas": 1}, mine["spec"]
    assert "* * * * */5" in c.text("get", "ct")
    bad = c.kubectl("patch", "ct", "mine", "--type=merge", "-p", '{"spec":{"replicas":0}}', check=False)
    assert bad.returncode != 0 and "spec.replicas" in bad.stderr, bad


def survive(c):
    c.kill(signal.SIGKILL)
    c.up()
    assert c.get("ct", "mine")["spec"]["replicas"] == 1


def remove(c):
    c.text("delete", "crd", "crontabs.stable.example.com")
    wait("the resource to be gone", lambda: c.kubectl("get", "--raw", "/apis/stable.example.com/v1/namespaces/default/crontabs", check=False).returncode != 0, 10)
    c.apply(CRD)
    c.text("wait", "--for=condition=Established", "crd/crontabs.stable.example.com", "--timeout=20s")
    wait("no object of before", lambda: c.get("crontabs", "-A")["items"] == [], 10)


if __name__ == "__main__":
    main(lambda cube: Cluster(cube, "--runtime", "sim", "--listen", "127.0.0.1:0"), [define, use, survive, remove])
