#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Client libraries of other languages on a cluster with real containers: test-clients.py CUBE

Each is a program in tests/integration/clients that ends with status 0 when all it did went as it must.
"""
import os

from cluster import CLIENTS, TOP, Cluster, client, main, run

PROGRAMS = f"{TOP}/tests/integration/clients"


def start(c):
    c.up()


def program(c, *command):
    print(run(*command, env=dict(c.env, CUBE_CLIENTS=CLIENTS), timeout=120).stdout, end="", flush=True)  # lines of "# test"


def node(c):
    client("node/node_modules/@kubernetes/client-node")
    program(c, "node", f"{PROGRAMS}/node-client.mjs")


def python(c):
    program(c, "/usr/bin/python3", f"{PROGRAMS}/python-client.py")


def go(c):
    program(c, client("go/client"))


if __name__ == "__main__":
    main(lambda cube: Cluster(cube, "--listen", "127.0.0.1:0"), [start, node, python, go])
