#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `ninja install` puts down works from there: test-install.py SOURCE-FOLDER BUILD-FOLDER. TAP."""
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile

from cluster import Cluster, isolate, report, run, wait

SOURCE, BUILD = (os.path.realpath(path) for path in sys.argv[1:3])


class Place:
    """An installation below a folder of its own, and a cluster of it."""

    def __init__(self):
        self.top = tempfile.mkdtemp(prefix="cube-test-")
        os.chmod(self.top, 0o755)
        options = {o["name"]: o["value"] for o in json.loads(run("meson", "introspect", "--buildoptions", BUILD).stdout)}
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", os.path.join(self.top, "root"))
        self.prefix = os.path.join(self.top, "root", options["prefix"].lstrip("/"))
        self.meant_prefix = options["prefix"]
        self.libdir = os.path.join(self.prefix, options["libdir"])
        self.cube = os.path.join(self.prefix, options["bindir"], "cube")
        self.data = os.path.join(self.top, "data")

    def close(self):
        if os.path.exists(self.cube):
            run(self.cube, "down", "--data-dir", self.data, check=False)
        shutil.rmtree(self.top, ignore_errors=True)

    def plugins(self):
        return {p.get("name"): p for p in json.loads(run(self.cube, "plugins", "--data-dir", self.data, "-o", "json").stdout)}


def everything_is_in_its_place(place):
    for path in ("share/man/man1/cube.1", "share/bash-completion/completions/cube", "share/zsh/site-functions/_cube", "share/fish/vendor_completions.d/cube.fish",
                 "lib/systemd/system/cube.service", "lib/systemd/system/cube-agent.service", "include/cube/plugin.h"):
        full = os.path.join(place.prefix, path)
        assert os.path.getsize(full) > 0, full
        assert stat.S_IMODE(os.stat(full).st_mode) & 0o022 == 0, f"{full} can be written by others"
    for image in os.listdir(os.path.join(BUILD, "images")) if os.path.isdir(os.path.join(BUILD, "images")) else []:
        if image.endswith(".tar"):
            assert os.path.exists(os.path.join(place.prefix, "share/cube/images", image)), image
    for path in (place.cube, os.path.join(place.libdir, "libcube.so")):
        assert BUILD not in run("readelf", "-d", path).stdout, f"{path} is bound to the build folder"


def the_installed_one_runs(place):
    environment = {key: value for key, value in os.environ.items() if key != "LD_LIBRARY_PATH"}
    report = run(place.cube, "doctor", "--runtime", "sim", "--listen", "127.0.0.1:0", "--data-dir", place.data, "-o", "json", env=environment)
    plugins = {c["name"]: c for c in json.loads(report.stdout)["checks"]}["plugins"]
    assert place.libdir in plugins["found"] and plugins["result"] == "ok", plugins
    run(place.cube, "up", "--runtime", "sim", "--listen", "127.0.0.1:0", "--data-dir", place.data, env=environment)
    paths = {p["path"] for p in place.plugins().values()}
    folder = os.path.join(place.libdir, "cube", "plugins")
    assert len(paths) > 20 and all(path.startswith(folder) for path in paths), paths
    with open(f"/proc/{json.loads(run(place.cube, 'status', '--data-dir', place.data, '-o', 'json').stdout)['pid']}/maps", encoding="utf-8") as maps:
        assert BUILD not in maps.read(), "something of the build folder is mapped"


def a_policy_builds_against_it(place):
    moved = os.path.join(place.top, "pkgconfig")
    os.mkdir(moved)
    with open(os.path.join(place.libdir, "pkgconfig", "cube.pc"), encoding="utf-8") as file:
        text = file.read()
    assert f"prefix={place.meant_prefix}\n" in text, text
    with open(os.path.join(moved, "cube.pc"), "w", encoding="utf-8") as file:
        file.write(text.replace(f"prefix={place.meant_prefix}\n", f"prefix={place.prefix}\n"))
    environment = dict(os.environ, PKG_CONFIG_PATH=moved)
    flags = run("pkg-config", "--cflags", "--libs", "cube", env=environment).stdout.split()
    assert f"-I{place.prefix}/include" in flags and "-lcube" in flags, flags
    assert run("pkg-config", "--variable=plugindir", "cube", env=environment).stdout.strip().startswith(place.meant_prefix)
    built = os.path.join(place.top, "my-policy.so")
    run("cc", "-shared", "-fPIC", "-Wl,-z,defs", "-o", built, os.path.join(SOURCE, "examples/scheduler-policy/my-policy.c"), *flags)
    os.chmod(built, 0o755)
    os.rename(built, os.path.join(place.data, "plugins", "my-policy.so"))
    wait("the policy", lambda: place.plugins()["my-policy"]["healthy"], 20)


def it_runs_containers(place):
    """With the images that were installed; in network, mount and process namespaces of the test's own."""
    if os.geteuid() != 0:
        return
    cluster = Cluster(place.cube, "--listen", "127.0.0.1:0")
    try:
        cluster.up()
        cluster.kubectl("run", "web", "--image=cube.local/web:v1", "--labels=app=web")
        cluster.wait_ready("app=web", 1)
    finally:
        cluster.close()


def the_units_are_sound(place):
    for name, command in (("cube", "up"), ("cube-agent", "agent")):
        with open(os.path.join(place.prefix, f"lib/systemd/system/{name}.service"), encoding="utf-8") as file:
            unit = file.read()
        start = f"ExecStart={place.meant_prefix}/bin/cube {command} --foreground"
        assert "Type=notify" in unit and "KillMode=process" in unit and start in unit, unit
        if shutil.which("systemd-analyze"):
            copy = os.path.join(place.top, f"{name}.service")
            with open(copy, "w", encoding="utf-8") as file:
                file.write(unit.replace(f"{place.meant_prefix}/bin/cube", place.cube))
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, timeout=60, check=False)
            about_us = [line for line in done.stderr.splitlines() if "cube" in line]
            assert done.returncode == 0 and not about_us, done.stderr


TESTS = [everything_is_in_its_place, the_installed_one_runs, a_policy_builds_against_it, it_runs_containers, the_units_are_sound]

if __name__ == "__main__":
    if os.geteuid() == 0:
        isolate()
    installed = Place()
    try:
        n_failed = report(TESTS, installed)
    finally:
        installed.close()
    sys.exit(1 if n_failed else 0)
