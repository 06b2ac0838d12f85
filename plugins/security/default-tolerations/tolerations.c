/* SPDX-License-Identifier: Apache-2.0 */
#include "tolerations.h"

#define NOT_READY "node.kubernetes.io/not-ready"
#define UNREACHABLE "node.kubernetes.io/unreachable"

static gboolean
is_or_empty (CubeMut *object, const char *key, const char *wanted)
{
  const char *text = cube_mut_string (cube_mut_member (object, key));

  return text == NULL || *text == '\0' || g_str_equal (text, wanted);
}

static gboolean
tolerates (CubeMut *tolerations, const char *key)
{
  for (guint i = 0; i < cube_mut_length (tolerations); i++)
    {
      CubeMut *toleration = cube_mut_element (tolerations, i);

      if (is_or_empty (toleration, "key", key) && is_or_empty (toleration, "effect", "NoExecute"))
        return TRUE;
    }
  return FALSE;
}

static void
add (CubeMut *spec, const char *key, gint64 seconds)
{
  CubeMut *tolerations = cube_mut_ensure_array (spec, "tolerations"), *toleration;

  if (tolerates (tolerations, key))
    return;
  toleration = cube_mut_append_object (tolerations);
  cube_mut_set_string (toleration, "key", key);
  cube_mut_set_string (toleration, "operator", "Exists");
  cube_mut_set_string (toleration, "effect", "NoExecute");
  cube_mut_set_int (toleration, "tolerationSeconds", seconds);
}

void
tolerations_add (CubeMut *pod, gint64 not_ready_seconds, gint64 unreachable_seconds)
{
  CubeMut *spec = cube_mut_member (pod, "spec");

  if (cube_mut_type (spec) != CUBE_VALUE_OBJECT)
    return;
  add (spec, NOT_READY, not_ready_seconds);
  add (spec, UNREACHABLE, unreachable_seconds);
}
