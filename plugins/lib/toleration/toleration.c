/* SPDX-License-Identifier: Apache-2.0 */
#include "toleration.h"
#include <string.h>

gboolean
toleration_covers (CubeView toleration, const char *key, const char *value, const char *effect)
{
  const char *of_effect = cube_view_string_or (cube_view_member (toleration, "effect"), "");
  const char *of_key = cube_view_string_or (cube_view_member (toleration, "key"), "");
  const char *word = cube_view_string_or (cube_view_member (toleration, "operator"), "");

  if (*of_effect != '\0' && strcmp (of_effect, effect) != 0)
    return FALSE;
  if (*of_key != '\0' && strcmp (of_key, key) != 0)
    return FALSE;
  if (strcmp (word, "Exists") == 0)
    return TRUE;
  if (*word != '\0' && strcmp (word, "Equal") != 0)
    return FALSE;
  return *of_key != '\0' && strcmp (cube_view_string_or (cube_view_member (toleration, "value"), ""), value != NULL ? value : "") == 0;
}

gboolean
toleration_any (CubeView tolerations, const char *key, const char *value, const char *effect)
{
  CubeIter it;
  CubeView one;

  for (cube_iter_init (&it, tolerations); cube_iter_next (&it, NULL, &one);)
    if (toleration_covers (one, key, value, effect))
      return TRUE;
  return FALSE;
}

guint
toleration_count_untolerated (CubeView taints, CubeView tolerations, const char *const *effects, guint most)
{
  guint count = 0;
  CubeIter it;
  CubeView taint;

  for (cube_iter_init (&it, taints); count < most && cube_iter_next (&it, NULL, &taint);)
    {
      const char *effect = cube_view_string_or (cube_view_member (taint, "effect"), "");
      gboolean counts = FALSE;

      for (guint i = 0; effects[i] != NULL && !counts; i++)
        counts = strcmp (effects[i], effect) == 0;
      if (counts
          && !toleration_any (tolerations, cube_view_string_or (cube_view_member (taint, "key"), ""),
                              cube_view_string (cube_view_member (taint, "value")), effect))
        count++;
    }
  return count;
}
