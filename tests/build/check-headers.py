#!/usr/bin/env python3
"""Check that each header of include/cube stands alone, in C and in C++: check-headers.py TOP.

The flags are what pkg-config gives a plugin's author. Output is TAP.
"""

import glob
import os
import subprocess
import sys

LANGUAGES = [("C", ["gcc", "-x", "c", "-std=c11"]), ("C++", ["g++", "-x", "c++", "-std=c++17"])]
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wno-missing-field-initializers"]


def main():
    top = sys.argv[1]
    headers = sorted(glob.glob(os.path.join(top, "include", "cube", "*.h")))
    flags = subprocess.run(["pkg-config", "--cflags", "glib-2.0", "gio-2.0", "json-glib-1.0"], stdout=subprocess.PIPE,
                           check=True).stdout.decode().split()
    bad = number = 0
    print(f"1..{len(headers) * len(LANGUAGES)}")
    for header in headers:
        source = f"#include <cube/{os.path.basename(header)}>\nint nothing;\n"
        for language, compiler in LANGUAGES:
            number += 1
            done = subprocess.run([*compiler, *WARNINGS, "-fsyntax-only", f"-I{top}/include", *flags, "-"],
                                  input=source.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            print(f"{'not ok' if done.returncode else 'ok'} {number} - {os.path.basename(header)} alone in {language}")
            for line in done.stdout.decode(errors="replace").splitlines()[:12]:
                print(f"#   {line}")
            bad |= done.returncode != 0
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
