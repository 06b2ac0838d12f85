/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * The plugin as the daemon would hold it, for tests: a process with its
 * workers and loops, the plugin loaded through its descriptor.
 */
#pragma once

#include <cube/plugin.h>
#include <cube/runtime.h>

typedef struct {
  struct _CubeProcess *process;
  CubeContext *context;
  const CubePluginDescriptor *plugin;
  const CubeRuntimeOps *ops;
  gpointer state;
} Harness;

/* @socket: the runtime's; NULL: not known yet */
void harness_start (Harness *harness, const char *socket);
void harness_stop (Harness *harness);
