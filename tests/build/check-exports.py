#!/usr/bin/env python3
"""Check which symbols leave the binaries: check-exports.py TOP LIBCUBE PLUGIN...

A plugin exports cube_plugin_descriptor and nothing else. The library exports exactly the
functions and variables that a header in include/cube declares with CUBE_EXPORT. Output is TAP.
"""

import glob
import os
import re
import subprocess
import sys

DECLARATION = re.compile(r"\bCUBE_EXPORT\b([^;{]*)[;{]")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
NAME = re.compile(r"(\w+)\s*(?:\(|\[|=|$)")
# What a sanitizer or the linker adds.
FOREIGN = re.compile(r"^(_init|_fini|_edata|_end|__bss_start|__asan_\w+|__ubsan_\w+|__odr_asan\w*|__start_\w+|__stop_\w+|__gcov_\w+)")


def exported(binary):
    done = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", binary], stdout=subprocess.PIPE, check=True)
    names = {line.split()[0].split("@")[0] for line in done.stdout.decode().splitlines() if line}
    return {name for name in names if not FOREIGN.match(name)}


def declared(top):
    names = set()
    for header in glob.glob(os.path.join(top, "include", "cube", "*.h")):
        with open(header, encoding="utf-8") as f:
            text = COMMENT.sub(" ", f.read())
        text = text.replace("\\\n", " ")
        text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
        for match in DECLARATION.finditer(text):
            # __attribute__ and G_GNUC_ arguments are not the name
            plain = re.sub(r"\b(?:G_GNUC_\w+|__attribute__)\s*(?:\(\([^()]*(?:\([^()]*\))?[^()]*\)\)|\([^()]*\))?", " ", match.group(1))
            found = NAME.search(plain)
            if found:
                names.add(found.group(1))
    return names


def show(kind, names):
    for name in sorted(names):
        print(f"# {kind}: {name}")


def main():
    top, library, *plugins = sys.argv[1:]
    bad = False
    print(f"1..{1 + len(plugins)}")

    there, wanted = exported(library) - {"cube_main"}, declared(top)  # cube_main: what the binary `cube` calls
    fine = there == wanted
    print(f"{'ok' if fine else 'not ok'} 1 - {os.path.basename(library)} exports what include/cube declares")
    show("exported, not declared in include/cube", there - wanted)
    show("declared in include/cube, not there", wanted - there)
    bad |= not fine

    for number, plugin in enumerate(plugins, 2):
        there = exported(plugin)
        fine = there == {"cube_plugin_descriptor"}
        print(f"{'ok' if fine else 'not ok'} {number} - {os.path.basename(plugin)} exports its descriptor only")
        if not fine:
            show("exported", there)
        bad |= not fine
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
