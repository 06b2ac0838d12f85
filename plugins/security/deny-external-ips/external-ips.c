/* SPDX-License-Identifier: Apache-2.0 */
#include "external-ips.h"

static gboolean
holds (CubeView array, const char *text)
{
  CubeIter it;
  CubeView element;

  for (cube_iter_init (&it, array); cube_iter_next (&it, NULL, &element);)
    if (g_strcmp0 (cube_view_string (element), text) == 0)
      return TRUE;
  return FALSE;
}

gboolean
external_ips_check (const CubeAdmissionRequest *request, CubeView service, GError **error)
{
  CubeView before = cube_view_get (request->old, "spec", "externalIPs"), element;
  CubeIter it;

  for (cube_iter_init (&it, cube_view_get (service, "spec", "externalIPs")); cube_iter_next (&it, NULL, &element);)
    if (!holds (before, cube_view_string (element)))
      return admission_forbid (request, error, "Use of external IPs is denied by admission control.");
  return TRUE;
}
