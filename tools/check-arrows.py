#!/usr/bin/env python3
"""Check who includes whom (docs/architecture.md), who makes time and threads, and the shape of files.

  include/cube  → include/cube
  core/ROOM     → include/cube, and the headers of the rooms below it:
                  context, object ← schema ← bus ← store ← client; plugin → context; daemon, cli → all; the core's tests → all
  plugins/A/P   → include/cube, its own folder, plugins/lib
  plugins/lib/L → include/cube, plugins/lib
  tests of plugins may also use the core's headers, to build the world a plugin lives in

Output is TAP, one line a rule; the status is 1 when a rule is broken.
"""

import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*', re.DOTALL)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')
GENERATED = re.compile(r"(\.pb-c\.h|(^|/)config\.h|-dbus\.h|-resources\.h|-gen\.h|-generated\.h|schema-tables\.h|\.inc)$")

BASE = {"context", "object"}
CORE_BELOW = {
    "context": {"object"},
    "object": {"context"},
    "schema": BASE,
    "bus": BASE | {"schema"},
    "store": BASE | {"schema", "bus"},
    "client": BASE | {"schema", "store", "bus"},
    "plugin": {"context"},
}

# Rooms that a simulator must be able to run on its own clock and on one thread.
DETERMINISTIC = ("core/store/", "core/bus/", "core/client/", "plugins/controllers/", "plugins/scheduler/",
                 "plugins/node/", "plugins/runtimes/sim/")
NOT_SEAMS = re.compile(r"\b(g_get_monotonic_time|g_get_real_time|g_date_time_new_now\w*|g_timeout_add\w*|g_idle_add\w*|"
                       r"g_timeout_source_new\w*|g_thread_(?:try_)?new|g_thread_pool_new\w*|g_task_run_in_thread\w*|"
                       r"pthread_create|g_random_\w+|g_rand_new|clock_gettime|gettimeofday|nanosleep|usleep|sleep|"
                       r"g_usleep|rand|random|time)\s*\(")

# The committer, and the loader's short-lived parsers: not under simulation.
OWN_THREADS = ("core/store/committer.c", "core/store/load.c")

MAX_LINES = 1000
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def files(*folders, endings=(".c", ".h", ".cc", ".cpp", ".hpp")):
    for folder in folders:
        for path, subfolders, names in os.walk(os.path.join(TOP, folder)):
            subfolders[:] = sorted(s for s in subfolders if not s.startswith((".", "build")))
            for name in sorted(names):
                if name.endswith(endings):
                    yield os.path.relpath(os.path.join(path, name), TOP)


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def without_comments(text):
    """The code alone, with the lines where they were."""
    text = COMMENT.sub(lambda m: "\n" * m.group().count("\n"), text)
    return STRING.sub('""', text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def exists(path):
    return os.path.isfile(os.path.join(TOP, path))


def lib_folders():
    root = os.path.join(TOP, "plugins", "lib")
    if not os.path.isdir(root):
        return []
    return ["plugins/lib"] + [f"plugins/lib/{name}" for name in sorted(os.listdir(root))]


def unit_of(path):
    """What a file belongs to: include/cube, core/ROOM, plugins/lib/L, or a plugin's folder."""
    parts = path.split("/")
    if parts[0] == "core":
        if len(parts) > 3 and parts[1] == "tests":
            return f"core/{parts[2]}"
        return f"core/{parts[1]}" if len(parts) > 2 else "core"
    if parts[:2] == ["plugins", "lib"]:
        return "/".join(parts[:3])
    if parts[0] == "plugins":
        folder = os.path.dirname(path)
        while folder.count("/") > 1:
            meson = os.path.join(folder, "meson.build")
            if exists(meson) and "plugins +=" in read(meson):
                return folder
            folder = os.path.dirname(folder)
        return folder
    return "/".join(parts[:2])


def resolve(path, kind, name, libs):
    """The file in the tree that an include means; None for one of the system's or a generated one."""
    roots = ["include", "core"] + libs + ([""] if path.startswith("core/tests/") else [])
    if kind == '"':
        roots.insert(0, os.path.dirname(path))
        unit = unit_of(path)
        roots.append(unit)
        if path.startswith("core/tests/"):
            roots.append(f"core/{path.split('/')[2]}")
    for root in roots:
        candidate = os.path.normpath(os.path.join(root, name))
        if exists(candidate):
            return candidate
    return None


def refusal(path, target):
    """Why path may not include target; None when it may."""
    source, destination = unit_of(path), unit_of(target)
    if source == destination or destination == "include/cube":
        return None
    if source == "include/cube":
        return "a public header may include public headers only"
    if source.startswith("core"):
        if path.startswith("core/tests/") and destination.startswith(("core/", "tests/")):
            return None
        if not destination.startswith("core/"):
            return "the core may include include/cube and the core only"
        room = source[5:]
        if room in ("", "daemon", "cli") or destination[5:] in CORE_BELOW.get(room, ()):
            return None
        return f"{source} may use {', '.join(sorted(CORE_BELOW.get(room, ()))) or 'nothing'} of the core"
    if source.startswith("plugins"):
        if "/tests/" in path and destination.startswith("core/"):
            return None
        if destination.startswith("plugins/lib/"):
            return None
        return "a plugin may include include/cube, its own folder and plugins/lib only"
    return None


def broken_arrows():
    libs = lib_folders()
    for path in files("include", "core", "plugins"):
        text = read(path)
        code = COMMENT.sub(lambda m: "\n" * m.group().count("\n"), text)
        for match in INCLUDE.finditer(code):
            kind, name = match.groups()
            where = f"{path}:{line_of(code, match.start())}"
            target = resolve(path, kind, name, libs)
            if target is None:
                if name.startswith("cube/") or (kind == '"' and not GENERATED.search(name)):
                    yield f"{where}: {name} is not in the tree"
                continue
            why = refusal(path, target)
            if why:
                yield f"{where}: includes {target}: {why}"


def broken_seams():
    for path in files("core", "plugins", endings=(".c",)):
        if not path.startswith(DETERMINISTIC) or "/tests/" in path:
            continue
        code = without_comments(read(path))
        for match in NOT_SEAMS.finditer(code):
            before = code[max(0, match.start() - 2):match.start()]
            if before.endswith((".", "->")):
                continue
            if path in OWN_THREADS and match.group(1) == "g_thread_new":
                continue
            yield f"{path}:{line_of(code, match.start())}: {match.group(1)}: clock, randomness and threads come from the context"


def broken_shape():
    for path in files("include", "core", "plugins", "examples", "tests"):
        text = read(path)
        lines = text.count("\n")
        if lines > MAX_LINES:
            yield f"{path}: {lines} lines, at most {MAX_LINES}: give the file's second concern a file of its own"
        for number, line in enumerate(text.splitlines(), 1):
            if UNFINISHED.search(line):
                yield f"{path}:{number}: unfinished: {line.strip()[:80]}"
        for number, line in enumerate(without_comments(text).splitlines(), 1):
            if re.match(r"\s*goto\s+\w+\s*;", line):
                yield f"{path}:{number}: goto"
    for path in files("core", "plugins", endings=(".c",)):
        first = INCLUDE.search(read(path))
        own = os.path.basename(path)[:-2] + ".h"
        if first and exists(os.path.join(os.path.dirname(path), own)) and os.path.basename(first.group(2)) not in (own, own[:-2] + "-private.h"):
            yield f"{path}: {own} is to be its first include"


RULES = [("include arrows", broken_arrows), ("clock, randomness and threads", broken_seams), ("shape of files", broken_shape)]


def main():
    wanted = sys.argv[1:]
    rules = [rule for rule in RULES if not wanted or any(word in rule[0] for word in wanted)]
    bad = False
    print(f"1..{len(rules)}")
    for number, (title, rule) in enumerate(rules, 1):
        found = list(rule())
        print(f"{'not ok' if found else 'ok'} {number} - {title}")
        for text in found:
            print(f"# {text}")
        bad |= bool(found)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
