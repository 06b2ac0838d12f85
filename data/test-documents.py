#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What --help says stands in the manual page and in every shell's completion: test-documents.py CUBE FOLDER OPERATOR-GUIDE. TAP."""
import os
import re
import shutil
import subprocess
import sys

CUBE, FOLDER, GUIDE = sys.argv[1:4]


def run(*args, **more):
    return subprocess.run(args, check=True, capture_output=True, text=True, timeout=60, **more)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


MAN, BASH, ZSH, FISH = (read(os.path.join(FOLDER, name)) for name in ("cube.1", "cube", "_cube", "cube.fish"))
COMMANDS = re.findall(r"^  ([a-z]+) ", run(CUBE, "--help").stdout.split("First steps:")[0], re.MULTILINE)


def options(command):
    """(letter or None, name, value or None) of each."""
    text = run(CUBE, command, "--help").stdout
    return [(letter or None, name, value or None) for letter, name, value in re.findall(r"^  (?:-(\w), )?--([\w-]+)(?: (\S+))?$", text, re.MULTILINE)]


def every_option_is_in_the_manual():
    assert len(COMMANDS) >= 10, COMMANDS
    sections = dict(re.findall(r"^\.SS cube (\w+) [^\n]*\n(.*?)(?=^\.S[SH])", MAN, re.MULTILINE | re.DOTALL))
    for command in COMMANDS:
        assert command in sections, f"no section of cube {command}"
        for letter, name, value in options(command):
            line = (f"\\fB\\-{letter}\\fR, " if letter else "") + "\\fB\\-\\-" + name.replace("-", "\\-") + "\\fR" + (f" \\fI{value}\\fR" if value else "")
            assert f".TP\n{line}\n" in sections[command], f"cube {command}: {line}"


def every_option_is_completed():
    words = dict(re.findall(r"^    (\w+)\) words='([^']*)' ;;$", BASH, re.MULTILINE))
    zsh = dict(re.findall(r"^    (\w+)\)\n      _arguments(.*?) ;;$", ZSH, re.MULTILINE | re.DOTALL))
    for command in COMMANDS:
        assert [f"--{name}" for _, name, _ in options(command)] == words[command].split(), command
        for letter, name, value in options(command):
            assert f"--{name}{'=' if value else ''}" in zsh[command], f"zsh: cube {command} --{name}"
            short = f" -s {letter}" if letter else ""
            assert f"'__fish_seen_subcommand_from {command}'{short} -l {name} " in FISH, f"fish: cube {command} --{name}"
        assert f"__fish_use_subcommand -a {command} " in FISH and f"'{command}:" in ZSH, command


def complete(*words, current):
    """What bash offers for the last word."""
    line = " ".join(f"'{word}'" for word in ("cube",) + words + (current,))
    script = f'. "$1"; COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); compopt () {{ :; }}; _cube; printf "%s\\n" "${{COMPREPLY[@]}}"'
    return run("bash", "-c", script, "bash", os.path.join(FOLDER, "cube")).stdout.split()


def bash_completes():
    assert complete(current="do") == ["down", "doctor"], complete(current="do")
    assert complete("up", current="--ru") == ["--runtime"]
    assert complete("up", "--runtime", current="") == ["cri", "sim"]
    assert complete("up", "--runtime", "=", current="s") == ["sim"]
    assert complete("status", "-o", current="j") == ["json"]
    assert complete("up", "--data-dir", current="/us") == ["/usr"]
    assert complete("up", "--listen", current="1") == []
    assert "--raw" in complete("kubeconfig", current="--")
    assert "agent" in complete("help", current="")


def the_manual_is_well_formed():
    if shutil.which("groff"):
        done = run("groff", "-ww", "-man", "-Tutf8", os.path.join(FOLDER, "cube.1"))
        assert done.stderr == "", done.stderr[:500]
        assert "~/.local/share/cube" in done.stdout, "a tilde stays one"
    for shell, name in (("bash", "cube"), ("zsh", "_cube"), ("fish", "cube.fish")):
        if shutil.which(shell):
            run(shell, "-n", os.path.join(FOLDER, name))


def configuration_keys_are_in_manual_and_guide():
    section = MAN.split(".SH CONFIGURATION")[1].split(".SH ")[0]
    manual = set(re.findall(r"^\.TP\n\\fB(\w+)\\fR \(", section, re.MULTILINE))
    table = read(GUIDE).split("## Configuration")[1].split("Keys of plugins")[0]
    guide = {key.split(".")[0] for cells in re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE) for key in re.findall(r"`([\w.]+)`", cells)}
    assert manual == guide, f"only in the manual: {manual - guide}, only in the guide: {guide - manual}"


TESTS = [every_option_is_in_the_manual, every_option_is_completed, bash_completes, the_manual_is_well_formed, configuration_keys_are_in_manual_and_guide]

if __name__ == "__main__":
    print(f"1..{len(TESTS)}")
    n_failed = 0
    for number, test in enumerate(TESTS, 1):
        try:
            test()
            print(f"ok {number} {test.__name__}")
        except Exception as problem:  # a test's report, not control flow
            n_failed += 1
            print(f"not ok {number} {test.__name__}")
            for line in f"{type(problem).__name__}: {problem}".splitlines():
                print(f"# {line}")
    sys.exit(1 if n_failed else 0)
