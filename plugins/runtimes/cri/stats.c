/* SPDX-License-Identifier: Apache-2.0 */
#include "cri.h"

GPtrArray *
cri_list_stats (gpointer state, GError **error)
{
  Cri__ListContainerStatsRequest request = CRI__LIST_CONTAINER_STATS_REQUEST__INIT;
  g_autoptr (CubeGrpcMessage) answer = NULL;
  const Cri__ListContainerStatsResponse *response;
  GPtrArray *stats;

  answer = cri_call (state, CRI_LIST_CONTAINER_STATS, &request.base, CRI_TIMEOUT_MS, NULL, error);
  if (answer == NULL)
    return NULL;
  response = (const Cri__ListContainerStatsResponse *) answer;
  stats = g_ptr_array_new_full ((guint) response->n_stats, (GDestroyNotify) cube_stats_free);
  for (size_t i = 0; i < response->n_stats; i++)
    g_ptr_array_add (stats, cri_stats_from_container (response->stats[i]));
  return stats;
}

GPtrArray *
cri_list_sandbox_stats (gpointer state, GError **error)
{
  Cri__ListPodSandboxStatsRequest request = CRI__LIST_POD_SANDBOX_STATS_REQUEST__INIT;
  g_autoptr (CubeGrpcMessage) answer = NULL;
  const Cri__ListPodSandboxStatsResponse *response;
  GPtrArray *stats;

  answer = cri_call (state, CRI_LIST_POD_SANDBOX_STATS, &request.base, CRI_TIMEOUT_MS, NULL, error);
  if (answer == NULL)
    return NULL;
  response = (const Cri__ListPodSandboxStatsResponse *) answer;
  stats = g_ptr_array_new_full ((guint) response->n_stats, (GDestroyNotify) cube_stats_free);
  for (size_t i = 0; i < response->n_stats; i++)
    g_ptr_array_add (stats, cri_stats_from_sandbox (response->stats[i]));
  return stats;
}
