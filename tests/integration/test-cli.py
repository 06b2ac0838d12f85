#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line with simulated nodes: no root, no other program. TAP."""
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

from cluster import report, run, wait

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


def is_locked(path):
    try:
        with open(path, "r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def down_ends_one_that_is_starting():
    """A daemon that has its lock and does not listen yet is asked again until it does."""
    with Sim() as sim:
        daemon = subprocess.Popen([CUBE, "up", "--foreground", "--runtime", "sim", "--data-dir", sim.dir, "--listen", "127.0.0.1:0"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 20
            while not is_locked(os.path.join(sim.dir, "cube.lock")) and time.monotonic() < end:
                time.sleep(0.001)  # it listens some 40 ms later
            daemon.send_signal(signal.SIGSTOP)
            assert not os.path.exists(os.path.join(sim.dir, "cube.sock")), "it listens already: the test came too late"
            down = subprocess.Popen([CUBE, "down", "--data-dir", sim.dir, "--timeout", "30"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            wait("its waiting", lambda: int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", open(f"/proc/{down.pid}/status", encoding="utf-8").read(), re.M).group(1)) > 20, 20)
            daemon.send_signal(signal.SIGCONT)
            text = down.communicate(timeout=60)[0]
            assert (down.returncode, "is down" in text) == (0, True), (down.returncode, text)
            daemon.wait(10)
        finally:
            daemon.kill()
            daemon.wait()


def doctor(sim, *more):
    done = sim.cube("doctor", "-o", "json", *more)
    report = json.loads(done.stdout)
    assert report["ok"] == (done.returncode == 0), done
    return {check["name"]: check for check in report["checks"]}


def doctor_finds_nothing_and_leaves_nothing():
    with Sim() as sim:
        checks = doctor(sim, "--runtime", "sim", "--data-dir", os.path.join(sim.dir, "to", "come"))
        assert {c["result"] for c in checks.values()} <= {"ok", "warning"}, checks
        assert {"kernel", "clock", "fsync time", "API port", "plugins", "database"} <= set(checks), checks
        assert all("remedy" in c for c in checks.values() if c["result"] != "ok"), checks
        assert os.listdir(sim.dir) == [], os.listdir(sim.dir)
        expect(sim.up("--roles", "api"), 0)
        checks = doctor(sim)
        assert "is ready" in checks["cluster"]["found"] and checks["API port"]["result"] == "ok", checks
        sim.cube("down")
        before = sorted(os.listdir(sim.dir) + os.listdir(os.path.join(sim.dir, "store")))
        assert "read whole" in doctor(sim)["database"]["found"]
        assert sorted(os.listdir(sim.dir) + os.listdir(os.path.join(sim.dir, "store"))) == before


def doctor_names_who_holds_the_port():
    with Sim() as sim, socket.create_server(("127.0.0.1", 0)) as held:
        port = doctor(sim, "--runtime", "sim", "--listen", f"127.0.0.1:{held.getsockname()[1]}")["API port"]
        assert port["result"] == "problem" and f"(pid {os.getpid()})" in port["found"], port
        port = doctor(sim, "--runtime", "sim", "--listen", "192.0.2.77:6443")["API port"]
        assert port["result"] == "problem" and "ip -brief address" in port["remedy"], port


def doctor_sees_what_is_broken():
    with Sim() as sim:
        expect(sim.up("--roles", "api"), 0)
        sim.cube("down")
        with open(os.path.join(sim.dir, "store", "store.db"), "r+b") as file:
            file.write(b"no database at all")
        with open(os.path.join(sim.dir, "plugins", "bad.so"), "w", encoding="utf-8") as file:
            file.write("no plugin")
        config = os.path.join(sim.dir, "config.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write("runtime: [sim]\n")
        checks = doctor(sim, "--config", config)
        assert checks["configuration"]["result"] == "problem" and "runtime" in checks["configuration"]["found"], checks
        checks = doctor(sim)
        assert checks["database"]["result"] == "problem" and "store.db" in checks["database"]["found"], checks
        assert checks["plugins"]["result"] == "warning" and "bad.so" in checks["plugins"]["found"], checks
        os.chmod(sim.dir, 0o777)
        checks = doctor(sim)
        assert checks["data directory"]["result"] == "problem" and "chmod" in checks["data directory"]["remedy"], checks


def doctor_survives_a_plugin_that_crashes():
    with Sim() as sim:
        folder = os.path.join(sim.dir, "plugins")
        os.mkdir(folder)
        run("cc", "-shared", "-fPIC", "-x", "c", "-o", os.path.join(folder, "crash.so"), "-", data="__attribute__((constructor)) void f (void) { __builtin_trap (); }")
        os.chmod(os.path.join(folder, "crash.so"), 0o755)
        plugins = doctor(sim, "--runtime", "sim")["plugins"]
        assert plugins["result"] == "problem" and "signal" in plugins["found"], plugins


def doctor_names_missing_programs():
    with Sim() as sim:
        done = run(CUBE, "doctor", "--data-dir", sim.dir, "-o", "json", check=False, env=dict(os.environ, PATH="/nonexistent"))
        checks = {c["name"]: c for c in json.loads(done.stdout)["checks"]}
        assert done.returncode == 1 and checks["containerd"]["remedy"] == "apt-get install containerd", checks
        assert "kubernetes-client" in checks["kubectl"]["remedy"], checks


def doctor_asks_the_server_of_an_agent():
    with Sim() as sim, Sim() as other:
        expect(sim.up("--roles", "api"), 0)
        file = os.path.join(sim.dir, "admin.kubeconfig")
        server = doctor(other, "--runtime", "sim", "--kubeconfig", file)["server"]
        assert server["result"] == "ok" and "knows us" in server["found"], server
        expect(other.up("--roles", "api"), 0)
        with open(file, encoding="utf-8") as mine, open(os.path.join(other.dir, "admin.kubeconfig"), encoding="utf-8") as others:
            mixed = others.read().replace(other.status()["server"], sim.status()["server"])
            stranger = re.sub("client-(certificate|key)-data: .*", "", mine.read())
        for name, text, word in (("mixed", mixed, "ertificate"), ("stranger", stranger, "does not know")):
            path = os.path.join(other.dir, name)
            with open(path, "w", encoding="utf-8") as out:
                out.write(text)
            server = doctor(other, "--kubeconfig", path, "--runtime", "sim")["server"]
            assert server["result"] == "problem" and word in server["found"], server
        sim.cube("down")
        server = doctor(other, "--runtime", "sim", "--kubeconfig", file)["server"]
        assert server["result"] == "problem" and "refused" in server["found"], server


def help_of_every_command():
    overview = run(CUBE, "--help").stdout
    for command in ("up", "down", "status", "server", "agent", "token", "plugins", "kubeconfig", "doctor", "uninstall", "version"):
        assert f"\n  {command} " in overview, overview
        for args in ((command, "--help"), (command, "-h"), ("help", command)):
            text = run(CUBE, *args).stdout
            for word in (f"Usage: cube {command} ", "Options:", "Examples:", "Exit status:", "--help"):
                assert word in text, text
            assert max(len(line) for line in text.splitlines()) <= 80, text


def misspelt_words_name_the_nearest():
    expect(run(CUBE, "statsu", check=False), 2, "did you mean cube status?")
    expect(run(CUBE, "up", "--rutime=sim", check=False), 2, "did you mean --runtime?")
    expect(run(CUBE, "zzzzzz", check=False), 2, "unknown command")
    expect(run(CUBE, "version", "-o", "xml", check=False), 2, "known: json, yaml")
    version = json.loads(run(CUBE, "version", "-o", "json").stdout)
    assert version["kubernetes"].startswith("v1.") and version["pluginABI"], version


LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (error  |warning|info   |debug  ) [\w-]+: .")


def log_of(sim):
    with open(os.path.join(sim.dir, "cube.log"), encoding="utf-8") as file:
        return file.read().splitlines()


def log_has_levels_and_formats():
    with Sim() as sim:
        expect(sim.up("--roles", "api"), 0)
        lines = log_of(sim)
        assert lines and all(LINE.match(line) for line in lines), lines
        assert not any("loaded from" in line for line in lines), "a line a plugin is for debugging"
        assert any("ready after" in line for line in lines), lines
        sim.cube("down")
        os.remove(os.path.join(sim.dir, "cube.log"))
        expect(sim.up("--roles", "api", "--log-level", "debug", "--log-format", "json"), 0)
        entries = [json.loads(line) for line in log_of(sim)]
        assert any(e["level"] == "debug" and "loaded from" in e["message"] and e["from"] == "plugin" for e in entries), entries[:5]
        assert all(set(e) == {"time", "level", "from", "message"} for e in entries)
        expect(sim.cube("up", "--log-level", "loud"), 2, "known: error, warning, info, debug")


def log_is_opened_again_on_hangup():
    with Sim() as sim:
        expect(sim.up("--roles", "api"), 0)
        path = os.path.join(sim.dir, "cube.log")
        os.rename(path, path + ".1")
        os.kill(sim.status()["pid"], signal.SIGHUP)
        wait("the new log", lambda: os.path.exists(path) and log_of(sim), 20)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert sim.status()["ready"]


def reason_does_not_come_from_the_log():
    """What `up` says is the reason of this start, whatever stands in the log."""
    with Sim() as sim:
        expect(sim.up("--roles", "api"), 0)
        sim.cube("down")
        with open(os.path.join(sim.dir, "cube.log"), "a", encoding="utf-8") as file:
            file.write("cube: an old story\n")
        path = os.path.join(sim.dir, "store", "store.db")
        with open(path, "r+b") as file:
            file.write(b"no database at all")
        done = sim.up("--roles", "api", "--log-level", "error", "--log-format", "json")
        expect(done, 1, "store.db", "cube doctor")
        assert "an old story" not in done.stderr, done.stderr
        last = json.loads(log_of(sim)[-1])
        assert last["level"] == "error" and "store.db" in last["message"], last


def foreground_notifies_its_manager():
    """systemd's protocol: a datagram each to NOTIFY_SOCKET."""
    with Sim() as sim, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = os.path.join(sim.dir, "notify")
        manager.bind(address)
        manager.settimeout(60)
        daemon = subprocess.Popen([CUBE, "up", "--foreground", "--runtime", "sim", "--listen", "127.0.0.1:0", "--data-dir", sim.dir],
                                  env=dict(os.environ, NOTIFY_SOCKET=address), stderr=subprocess.PIPE, text=True)
        try:
            seen = ""
            while "READY=1" not in seen:
                seen += manager.recv(4096).decode() + "\n"
            while "STATUS=ready" not in seen:
                seen += manager.recv(4096).decode() + "\n"
            daemon.send_signal(signal.SIGTERM)
            while "STOPPING=1" not in seen:
                seen += manager.recv(4096).decode() + "\n"
            _, text = daemon.communicate(timeout=60)
            assert daemon.returncode == 0 and all(LINE.match(line) for line in text.splitlines()), text
        finally:
            daemon.kill()
            daemon.wait()


TESTS = [dead_simulation_goes_down_without_containerd, broken_state_is_refused, port_in_use_names_the_remedy, unknown_configuration_key_is_named,
         second_up_changes_nothing, down_ends_one_that_is_starting, doctor_finds_nothing_and_leaves_nothing, doctor_names_who_holds_the_port, doctor_sees_what_is_broken,
         doctor_survives_a_plugin_that_crashes, doctor_names_missing_programs, doctor_asks_the_server_of_an_agent,
         help_of_every_command, misspelt_words_name_the_nearest, log_has_levels_and_formats, log_is_opened_again_on_hangup,
         reason_does_not_come_from_the_log, foreground_notifies_its_manager]

if __name__ == "__main__":
    sys.exit(1 if report(TESTS) else 0)
