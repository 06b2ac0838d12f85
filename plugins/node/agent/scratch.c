/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"
#include <string.h>

struct _NodeScratch {
  GPtrArray *blocks;
};

NodeScratch *
node_scratch_new (void)
{
  NodeScratch *scratch = g_new0 (NodeScratch, 1);
  scratch->blocks = g_ptr_array_new_with_free_func (g_free);
  return scratch;
}

void
node_scratch_free (NodeScratch *scratch)
{
  if (scratch == NULL)
    return;
  g_ptr_array_unref (scratch->blocks);
  g_free (scratch);
}

gpointer
node_scratch_alloc (NodeScratch *scratch, gsize size)
{
  gpointer block = g_malloc0 (MAX (size, 1));
  g_ptr_array_add (scratch->blocks, block);
  return block;
}

char *
node_scratch_take (NodeScratch *scratch, char *text)
{
  if (text != NULL)
    g_ptr_array_add (scratch->blocks, text);
  return text;
}

char *
node_scratch_strdup (NodeScratch *scratch, const char *text)
{
  return node_scratch_take (scratch, g_strdup (text));
}

char *
node_scratch_printf (NodeScratch *scratch, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  char *text = g_strdup_vprintf (format, args);
  va_end (args);
  return node_scratch_take (scratch, text);
}

const char *const *
node_scratch_texts (NodeScratch *scratch, CubeView list)
{
  guint n = cube_view_length (list);
  if (n == 0)
    return NULL;
  const char **texts = node_scratch_alloc (scratch, (n + 1) * sizeof (char *));
  for (guint i = 0; i < n; i++)
    texts[i] = node_scratch_strdup (scratch, cube_view_string_or (cube_view_element (list, i), ""));
  return texts;
}

/* ---- the runtime for the length of a call ---- */

gboolean
node_runtime_open (NodeAgent *agent, NodeRuntime *ret_runtime, GError **error)
{
  memset (ret_runtime, 0, sizeof *ret_runtime);
  ret_runtime->impl = cube_registry_lookup (agent->registry, CUBE_RUNTIME, "cri");
  if (ret_runtime->impl == NULL)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "container runtime is down");
      return FALSE;
    }
  ret_runtime->ops = ret_runtime->impl->ops;
  ret_runtime->state = ret_runtime->impl->state;
  return TRUE;
}

void
node_runtime_close (NodeRuntime *runtime)
{
  if (runtime->impl != NULL)
    cube_impl_unref (runtime->impl);
  memset (runtime, 0, sizeof *runtime);
}
