#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line with simulated nodes: no root, no other program. TAP."""
import json
import os
import shutil
import signal
import stat
import sys
import tempfile

from cluster import run, wait

CUBE = os.path.realpath(sys.argv[1])


class Sim:
    """A data directory of its own; whatever runs there ends with it."""

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="cube-test-")
        return self

    def __exit__(self, *_):
        run(CUBE, "down", "--data-dir", self.dir, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def cube(self, command, *more):
        return run(CUBE, command, "--data-dir", self.dir, *more, check=False, timeout=60)

    def up(self, *more, listen="127.0.0.1:0"):
        return self.cube("up", "--runtime", "sim", "--listen", listen, *more)

    def status(self):
        return json.loads(self.cube("status", "-o", "json").stdout)

    def kill(self):
        pid = self.status()["pid"]
        os.kill(pid, signal.SIGKILL)
        wait("the daemon's end", lambda: not os.path.exists(f"/proc/{pid}") or "Z (zombie)" in open(f"/proc/{pid}/status").read(), 20)


def expect(done, code, *words):
    text = done.stdout + done.stderr
    assert done.returncode == code, f"exit status {done.returncode}, expected {code}: {text}"
    for word in words:
        assert word in text, f"expected \"{word}\" in: {text}"


def dead_simulation_goes_down_without_containerd():
    with Sim() as sim:
        expect(sim.up("--sim-nodes", "2"), 0, "The cluster is ready")
        path = os.path.join(sim.dir, "cube.state")
        with open(path, encoding="utf-8") as file:
            state = json.load(file)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600, oct(os.stat(path).st_mode)
        assert (state["runtime"], state["simNodes"], state["roles"]) == ("sim", 2, "api,controllers,scheduler,node"), state
        sim.kill()
        expect(sim.cube("down"), 0, "is down")
        assert not os.path.exists(os.path.join(sim.dir, "containerd")), os.listdir(sim.dir)
        expect(sim.up(), 0, "The cluster is ready")


def broken_state_is_refused():
    with Sim() as sim:
        expect(sim.up("--roles", "api"), 0, "The cluster is ready")
        sim.kill()
        path = os.path.join(sim.dir, "cube.state")
        with open(path, "r+", encoding="utf-8") as file:
            good = file.read()
        for bad in ("{", "[]", '{"roles":1}'):
            with open(path, "w", encoding="utf-8") as file:
                file.write(bad)
            expect(sim.cube("down"), 1, "cube.state", "remove it")
        with open(path, "w", encoding="utf-8") as file:
            file.write(good)
        os.chmod(path, 0o666)
        expect(sim.cube("down"), 1, "only its owner writes")
        os.chmod(path, 0o600)
        expect(sim.cube("down"), 0, "is down")


def port_in_use_names_the_remedy():
    with Sim() as first, Sim() as second:
        expect(first.up("--roles", "api"), 0)
        listen = first.status()["server"].split("//")[1]
        expect(second.up("--roles", "api", listen=listen), 1, "in use", "--listen")


def unknown_configuration_key_is_named():
    with Sim() as sim:
        path = os.path.join(sim.dir, "config.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("listne: 127.0.0.1:0\n")
        expect(sim.up("--config", path), 2, "config.yaml", "listne")


def second_up_changes_nothing():
    with Sim() as sim:
        expect(sim.up(), 0)
        pid = sim.status()["pid"]
        expect(sim.up(), 0, "The cluster is ready")
        assert sim.status()["pid"] == pid


TESTS = [dead_simulation_goes_down_without_containerd, broken_state_is_refused, port_in_use_names_the_remedy, unknown_configuration_key_is_named,
         second_up_changes_nothing]

if __name__ == "__main__":
    print(f"1..{len(TESTS)}", flush=True)
    n_failed = 0
    for number, test in enumerate(TESTS, 1):
        try:
            test()
            print(f"ok {number} {test.__name__}", flush=True)
        except Exception as problem:  # a test's report, not control flow
            n_failed += 1
            print(f"not ok {number} {test.__name__}", flush=True)
            for line in f"{type(problem).__name__}: {problem}".splitlines():
                print(f"# {line}", flush=True)
    sys.exit(1 if n_failed else 0)
