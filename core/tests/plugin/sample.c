/* SPDX-License-Identifier: Apache-2.0 */
/* One source, several plugins: what is wrong with each is decided by its -D. */
#include <cube/scheduler.h>

#ifndef SAMPLE_NAME
#define SAMPLE_NAME "sample"
#endif
#ifndef SAMPLE_KEPT
#define SAMPLE_KEPT FALSE
#endif
#ifndef SAMPLE_VERSION
#define SAMPLE_VERSION "1"
#endif

static gint64
score (gpointer state, const CubeCycle *cycle, gpointer cycle_data, const CubePodInfo *pod, const CubeNodeInfo *node)
{
  return *(const int *) state;
}

static int answer = 7;

static void
unload (gpointer state)
{
  answer = -7; /* whoever still asks is wrong */
}

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
#ifdef SAMPLE_LOAD_FAILS
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "no such device");
  return FALSE;
#else
  answer = 7;
  *ret_state = &answer;
  return TRUE;
#endif
}

static const CubeScoreOps ops = {
#ifndef SAMPLE_SMALL_OPS
  .ops_size = sizeof (CubeScoreOps),
#else
  .ops_size = 8,
#endif
  .score = score,
};
static const CubeInterfaceImpl impls[] = {
#ifdef SAMPLE_UNKNOWN_INTERFACE
  CUBE_IMPL ("cube.oracle.Oracle", 1, "sample", ops),
#elif defined(SAMPLE_SMALL_OPS)
  { CUBE_SCORE_PLUGIN, CUBE_SCORE_VERSION, 8, "sample", &ops },
#else
  CUBE_IMPL (CUBE_SCORE_PLUGIN, CUBE_SCORE_VERSION, "sample", ops),
#endif
  { NULL, 0, 0, NULL, NULL },
};

#ifdef SAMPLE_NO_SYMBOL
CUBE_EXPORT extern const CubeInterfaceImpl *sample_something;
const CubeInterfaceImpl *sample_something = impls;
gboolean (*sample_load) (CubeContext *, gpointer *, GError **) = load;
void (*sample_unload) (gpointer) = unload;
#elif defined(SAMPLE_MAJOR)
CUBE_EXPORT extern const CubePluginDescriptor cube_plugin_descriptor;
const CubePluginDescriptor cube_plugin_descriptor = {
  .struct_size = sizeof (CubePluginDescriptor),
  .abi_major = SAMPLE_MAJOR,
  .abi_minor = 0,
  .name = "sample",
  .version = "1",
  .impls = impls,
  .load = load,
  .unload = unload,
};
#elif defined(SAMPLE_OLD_MINOR)
/* As a plugin of an earlier minor: its descriptor ends before config_schema. */
CUBE_EXPORT extern const CubePluginDescriptor cube_plugin_descriptor;
const CubePluginDescriptor cube_plugin_descriptor = {
  .struct_size = G_STRUCT_OFFSET (CubePluginDescriptor, config_schema),
  .abi_major = CUBE_ABI_MAJOR,
  .abi_minor = 0,
  .name = "sample",
  .version = "1",
  .impls = impls,
  .load = load,
  .unload = unload,
};
#else
CUBE_PLUGIN_DEFINE (.name = SAMPLE_NAME, .version = SAMPLE_VERSION, .description = "a test", .license = "Apache-2.0", .impls = impls,
                    .load = load, .unload = unload, .is_kept = SAMPLE_KEPT, .config_schema = "colour string red\nsize int 1");
#endif
