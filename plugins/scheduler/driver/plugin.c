/* SPDX-License-Identifier: Apache-2.0 */
/* The driver as a plugin: one component of the role "scheduler". */
#include "driver.h"
#include "loopcall.h"

typedef struct {
  CubeContext *context;
  Driver *driver;
  GError *error;
} State;

static void
start_on_loop (gpointer data)
{
  State *state = data;

  driver_start (state->driver, FALSE, &state->error);
}

static void
stop_on_loop (gpointer data)
{
  driver_stop (((State *) data)->driver);
}

static gboolean
component_start (gpointer data, GError **error)
{
  State *state = data;

  state->driver = driver_new (state->context, error);
  if (state->driver == NULL)
    return FALSE;
  loopcall_sync (cube_context_get_loop (state->context, "scheduler"), start_on_loop, state);
  if (state->error == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&state->error));
  return FALSE;
}

static void
component_stop (gpointer data)
{
  State *state = data;

  if (state->driver == NULL)
    return;
  loopcall_sync (cube_context_get_loop (state->context, "scheduler"), stop_on_loop, state);
  for (guint i = 0; i < state->driver->profiles->len; i++)
    g_clear_pointer (&((Profile *) state->driver->profiles->pdata[i])->recorder, cube_recorder_free);
  g_clear_pointer (&state->driver, driver_unref);
}

static gboolean
component_is_ready (gpointer data, char **ret_why)
{
  State *state = data;

  if (state->driver != NULL && cube_informer_has_synced (state->driver->pods_informer)
      && cube_informer_has_synced (state->driver->nodes_informer))
    return TRUE;
  *ret_why = g_strdup ("pods and nodes are being read");
  return FALSE;
}

/* A wrong profile is refused before anything starts. */
static gboolean
driver_load (CubeContext *context, gpointer *ret_state, GError **error)
{
  g_autoptr (GPtrArray) profiles = profiles_new (cube_context_config (context), error);
  State *state;

  if (profiles == NULL)
    return FALSE;
  state = g_new0 (State, 1);
  state->context = context;
  *ret_state = state;
  return TRUE;
}

static void
driver_unload (gpointer data)
{
  g_free (data);
}

static const CubeComponentOps component_ops = {
  .ops_size = sizeof component_ops,
  .role = "scheduler",
  .order = 30,
  .start = component_start,
  .stop = component_stop,
  .is_ready = component_is_ready,
};

static const CubeInterfaceImpl impls[] = {
  CUBE_IMPL (CUBE_COMPONENT, CUBE_COMPONENT_VERSION, "scheduler", component_ops),
  { NULL },
};

CUBE_PLUGIN_DEFINE (.name = "scheduler-driver", .version = "1", .description = "gives pods their nodes by the policies that are loaded",
                    .license = "Apache-2.0", .impls = impls, .load = driver_load, .unload = driver_unload,
                    .config_schema =
                        "percentageOfNodesToScore int 0 share of the nodes a pod is scored on, in percent; 0 = by their number\n"
                        "podInitialBackoffSeconds int 1 wait after the first refusal\n"
                        "podMaxBackoffSeconds int 10 longest wait\n"
                        "leaderElect bool true only one of several schedulers works\n"
                        "profiles any none as in KubeSchedulerConfiguration");
