# SPDX-License-Identifier: Apache-2.0
"""embed.py INPUT OUTPUT: a text file as a C string, comments and empty lines left out."""
import sys

with open(sys.argv[1], encoding='utf-8') as source, open(sys.argv[2], 'w', encoding='utf-8') as out:
    out.write('/* Generated from policy.txt. */\n#include "policy.h"\nconst char policy_text[] =\n')
    for line in source:
        line = line.rstrip('\n')
        if line and not line.startswith('#'):
            out.write('  "%s\\n"\n' % line.replace('\\', '\\\\').replace('"', '\\"'))
    out.write('  "";\n')
