/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <context/context.h>
#include <string.h>

extern const CubePluginDescriptor cube_plugin_descriptor;

void
harness_start (Harness *self, const char *socket)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *endpoint = socket != NULL ? g_strconcat ("unix://", socket, NULL) : NULL;

  memset (self, 0, sizeof *self);
  self->process = cube_process_new ();
  self->context = cube_process_new_context (self->process, "runtimes-cri", cube_view_none ());
  if (endpoint != NULL)
    cube_context_set_fact (self->context, "runtime-endpoint", endpoint);
  self->plugin = &cube_plugin_descriptor;
  g_assert_cmpstr (self->plugin->impls[0].interface, ==, CUBE_RUNTIME);
  self->ops = self->plugin->impls[0].ops;
  g_assert_true (self->plugin->load (self->context, &self->state, &error));
  g_assert_no_error (error);
}

void
harness_stop (Harness *self)
{
  self->plugin->stop (self->state);
  self->plugin->unload (self->state);
  cube_process_free (self->process);
}
