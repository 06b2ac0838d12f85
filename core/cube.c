/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: everything is in libcube, so that one file decides what is linked in. */
#include <cli/cli.h>

extern const CubePluginDescriptor *const cube_builtin_plugins[];

int
main (int argc, char **argv)
{
  return cube_main (argc, argv, cube_builtin_plugins);
}
