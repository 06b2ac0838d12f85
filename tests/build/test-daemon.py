#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The program as it was built, sanitizers and built-in plugins included, comes up, works and ends: test-daemon.py CUBE [BUILT-IN-PLUGIN…]"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "integration"))
from cluster import Cluster, report, wait  # noqa: E402


def comes_up(c):
    c.up()
    assert c.status()["ready"] and c.status()["warnings"] == [], c.status()


def has_its_plugins(c):
    plugins = c.plugins()
    for name in c.builtin:
        assert plugins[name]["path"] == f"(built in: {name})", plugins[name]
    files = {name for name, plugin in plugins.items() if plugin["path"].endswith(".so")}
    assert files == set(plugins) - set(c.builtin) and (files or c.builtin), sorted(files)
    assert all(plugin["healthy"] for plugin in plugins.values()), plugins


def works(c):
    c.text("create", "deployment", "web", "--image=web", "--replicas=3")
    c.wait_ready("app=web", 3)
    c.text("expose", "deployment", "web", "--port=80")
    wait("endpoints", lambda: len(c.get("endpointslices", "-l", "kubernetes.io/service-name=web")["items"][0]["endpoints"]) == 3)
    c.text("delete", "deployment", "web")
    wait("the pods to end", lambda: not c.pods("app=web"))


def ends_without_a_word(c):
    c.down()
    with open(os.path.join(c.dir, "cube.log"), encoding="utf-8", errors="replace") as log:
        text = log.read()
    for word in ("Sanitizer", "runtime error", " error ", "CRITICAL"):
        assert word not in text, text[max(text.find(word) - 500, 0):][:5000]


if __name__ == "__main__":
    cluster = Cluster(sys.argv[1], "--listen", "127.0.0.1:0", "--runtime", "sim", "--sim-nodes", "2")
    cluster.builtin = sys.argv[2:]
    try:
        failed = report([comes_up, has_its_plugins, works, ends_without_a_word], cluster, diagnose=cluster.diagnose)
    finally:
        cluster.close()
    sys.exit(1 if failed else 0)
