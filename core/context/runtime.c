/* SPDX-License-Identifier: Apache-2.0 */
/* What cube.runtime.Runtime returns, freed. */
#include <cube/runtime.h>

#include <string.h>

static void
unref_table (GHashTable *table)
{
  if (table != NULL)
    g_hash_table_unref (table);
}

void
cube_runtime_status_clear (CubeRuntimeStatus *status)
{
  if (status == NULL)
    return;
  g_free (status->runtime_reason);
  g_free (status->network_reason);
  g_free (status->name);
  g_free (status->version);
  g_free (status->api_version);
  memset (status, 0, sizeof *status);
}

void
cube_sandbox_free (CubeSandbox *sandbox)
{
  if (sandbox == NULL)
    return;
  g_free (sandbox->id);
  g_free (sandbox->name);
  g_free (sandbox->ns);
  g_free (sandbox->uid);
  g_strfreev (sandbox->ips);
  unref_table (sandbox->labels);
  unref_table (sandbox->annotations);
  g_free (sandbox->runtime_handler);
  g_free (sandbox);
}

void
cube_container_free (CubeContainer *container)
{
  if (container == NULL)
    return;
  g_free (container->id);
  g_free (container->sandbox_id);
  g_free (container->name);
  g_free (container->image);
  g_free (container->image_ref);
  g_free (container->reason);
  g_free (container->message);
  g_free (container->log_path);
  unref_table (container->labels);
  unref_table (container->annotations);
  g_free (container);
}

void
cube_image_free (CubeImage *image)
{
  if (image == NULL)
    return;
  g_free (image->id);
  g_strfreev (image->tags);
  g_strfreev (image->digests);
  g_free (image->username);
  g_free (image);
}

void
cube_stats_free (CubeStats *stats)
{
  if (stats == NULL)
    return;
  g_free (stats->id);
  unref_table (stats->labels);
  g_free (stats);
}
