/* SPDX-License-Identifier: Apache-2.0 */
/* Which endpoints of a port traffic goes to: ready ones first, terminating ones that still serve when nothing else is there. */
#include <cube/service.h>

static GArray *
pick (const GArray *all, gboolean is_local_only, gboolean is_terminating)
{
  GArray *chosen = g_array_new (FALSE, FALSE, sizeof (CubeEndpoint));

  for (guint i = 0; i < all->len; i++)
    {
      const CubeEndpoint *endpoint = &g_array_index (all, CubeEndpoint, i);
      gboolean is_wanted = is_terminating ? endpoint->is_serving && endpoint->is_terminating : endpoint->is_ready;

      if (is_wanted && (endpoint->is_local || !is_local_only))
        g_array_append_val (chosen, *endpoint);
    }
  return chosen;
}

/* Ready ones, else those on their way out that still answer. */
static GArray *
pick_usable (const GArray *all, gboolean is_local_only)
{
  GArray *chosen = pick (all, is_local_only, FALSE);

  if (chosen->len > 0)
    return chosen;
  g_array_unref (chosen);
  return pick (all, is_local_only, TRUE);
}

GArray *
cube_endpoints_choose (const GArray *all, const char *policy, gboolean *ret_is_drop)
{
  gboolean is_local_only = g_strcmp0 (policy, "Local") == 0;
  GArray *chosen;

  if (ret_is_drop != NULL)
    *ret_is_drop = FALSE;
  if (all == NULL)
    return g_array_new (FALSE, FALSE, sizeof (CubeEndpoint));
  chosen = pick_usable (all, is_local_only);
  if (chosen->len == 0 && is_local_only && ret_is_drop != NULL)
    {
      GArray *elsewhere = pick_usable (all, FALSE);

      *ret_is_drop = elsewhere->len > 0;
      g_array_unref (elsewhere);
    }
  return chosen;
}
