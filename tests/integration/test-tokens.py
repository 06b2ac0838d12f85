#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Secrets of service-account tokens, with real kubectl: test-tokens.py CUBE"""
import base64
import json

from cluster import Cluster, main, wait

SECRET = """apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata: {name: robot, annotations: {kubernetes.io/service-account.name: robot}}
"""


def start(c):
    c.up()


def filled(c):
    """kubectl create serviceaccount, a Secret that names it: CA, namespace and a token that opens the door as that account."""
    c.kubectl("create", "serviceaccount", "robot")
    c.apply(SECRET)
    secret = wait("the token", lambda: (s := c.get("secret", "robot"))["data"].get("token") and s, 20)
    c.token = base64.b64decode(secret["data"]["token"]).decode()
    assert base64.b64decode(secret["data"]["namespace"]) == b"default"
    assert base64.b64decode(secret["data"]["ca.crt"]).decode() == c.get("configmap", "kube-root-ca.crt")["data"]["ca.crt"]
    assert secret["metadata"]["annotations"]["kubernetes.io/service-account.uid"] == c.get("serviceaccount", "robot")["metadata"]["uid"]


def review(c):
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": c.token}}
    return json.loads(c.text("create", "--validate=false", "-f", "-", "-o", "json", data=json.dumps(body)))["status"]


def accepted(c):
    status = review(c)
    assert status["user"]["username"] == "system:serviceaccount:default:robot", status
    assert "authenticated" in status and status["authenticated"], status


def gone_with_the_secret(c):
    c.kubectl("delete", "secret", "robot")
    status = wait("the end of the token", lambda: not (s := review(c)).get("authenticated") and s, 20)
    assert status["error"] == "[invalid bearer token, service account token has been invalidated]", status


def gone_with_the_account(c):
    c.apply(SECRET)
    wait("the token", lambda: c.get("secret", "robot")["data"].get("token"), 20)
    c.kubectl("delete", "serviceaccount", "robot")
    wait("the Secret's end", lambda: not c.text("get", "secret", "robot", "--ignore-not-found"), 20)


if __name__ == "__main__":
    main(lambda cube: Cluster(cube, "--runtime", "sim", "--listen", "127.0.0.1:0"), [start, filled, accepted, gone_with_the_secret, gone_with_the_account])
