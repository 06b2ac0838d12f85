#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A machine with nothing but loopback: test-no-network.py CUBE"""
import json

from cluster import Cluster, http, main, run, wait

WEB = """{"apiVersion": "v1", "kind": "List", "items": [
 {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
  "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"terminationGracePeriodSeconds": 1,
   "containers": [{"name": "web", "image": "cube.local/web:v1", "ports": [{"containerPort": 8080}]}]}}}},
 {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"type": "NodePort", "selector": {"app": "web"},
  "ports": [{"port": 80, "targetPort": 8080, "nodePort": 30080}]}}]}"""


def links():
    return {item["ifname"] for item in json.loads(run("ip", "-j", "link").stdout)}


def node_address(c):
    return next(a["address"] for a in c.get("nodes")["items"][0]["status"]["addresses"] if a["type"] == "InternalIP")


def simulated_nodes_need_none(c):
    """No link is made, and the API has no endpoint that could not be reached."""
    before = links()
    other = Cluster(c.cube, "--runtime", "sim", "--sim-nodes", "2")
    try:
        other.up()
        assert len(other.get("nodes")["items"]) == 2
        assert other.get("endpoints", "kubernetes").get("subsets", []) == []
        assert links() == before, links()
    finally:
        other.close()


def up_gives_the_node_an_address(c):
    c.up()
    assert node_address(c) == "192.0.0.8", node_address(c)
    assert c.get("endpoints", "kubernetes")["subsets"][0]["addresses"][0]["ip"] == "192.0.0.8"


def node_port_answers(c):
    c.apply(WEB)
    c.wait_ready("app=web", 2)
    assert wait("the node port", lambda: http("http://192.0.0.8:30080/")).startswith("web v1 web-")


def pods_reach_the_api(c):
    pod = c.ready_pods("app=web")[0]["metadata"]["name"]
    c.text("exec", pod, "--", "/bin/sh", "-c", "/bin/busybox nc -w 3 10.96.0.1 443 </dev/null")  # fails unless connected


def a_restart_keeps_it(c):
    uids = {p["metadata"]["uid"] for p in c.pods("app=web")}
    c.kill(9)
    c.up()
    assert node_address(c) == "192.0.0.8"
    c.wait_ready("app=web", 2)
    assert {p["metadata"]["uid"] for p in c.pods("app=web")} == uids
    assert http("http://192.0.0.8:30080/").startswith("web v1 web-")


def a_network_takes_its_place(c):
    c.kill(15)
    run("ip", "link", "add", "uplink", "type", "bridge")
    run("ip", "addr", "add", "198.51.100.9/24", "dev", "uplink")
    run("ip", "link", "set", "uplink", "up")
    c.up()
    wait("the new address", lambda: node_address(c) == "198.51.100.9")
    assert not [name for name in links() if name.startswith("cubeh")], links()
    wait("the node port", lambda: http("http://198.51.100.9:30080/").startswith("web v1 web-"))


def down_leaves_no_link(c):
    c.kill(15)
    run("ip", "link", "del", "uplink")
    c.up()
    assert [name for name in links() if name.startswith("cubeh")], links()
    c.down()
    assert links() == {"lo"}, links()


main(Cluster, [simulated_nodes_need_none, up_gives_the_node_an_address, node_port_answers, pods_reach_the_api, a_restart_keeps_it, a_network_takes_its_place,
               down_leaves_no_link], has_network=False)
