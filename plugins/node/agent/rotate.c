/* SPDX-License-Identifier: Apache-2.0 */
/* Logs are kept small: 10 MiB a file, five files a container, the older ones compressed. */
#include "agent.h"
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_BYTES (10 * 1024 * 1024)
#define MAX_FILES 5

static gint
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* The rotated files of a log, oldest first. */
static GPtrArray *
rotated (const char *dir_path, const char *base)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (dir_path, 0, NULL);
  g_autofree char *prefix = g_strconcat (base, ".", NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (g_str_has_prefix (name, prefix) && !g_str_has_suffix (name, ".tmp"))
      g_ptr_array_add (names, g_build_filename (dir_path, name, NULL));
  g_ptr_array_sort (names, compare_names);
  return names;
}

static gboolean
compress_file (const char *path, GError **error)
{
  g_autofree char *packed = g_strconcat (path, ".gz", NULL);
  g_autofree char *temporary = g_strconcat (packed, ".tmp", NULL);
  g_autoptr (GFile) from = g_file_new_for_path (path);
  g_autoptr (GFile) to = g_file_new_for_path (temporary);
  g_autoptr (GFileInputStream) input = g_file_read (from, NULL, error);
  g_autoptr (GFileOutputStream) raw = input != NULL ? g_file_replace (to, NULL, FALSE, G_FILE_CREATE_PRIVATE, NULL, error) : NULL;
  if (raw == NULL)
    return FALSE;
  g_autoptr (GZlibCompressor) compressor = g_zlib_compressor_new (G_ZLIB_COMPRESSOR_FORMAT_GZIP, -1);
  g_autoptr (GOutputStream) output = g_converter_output_stream_new (G_OUTPUT_STREAM (raw), G_CONVERTER (compressor));
  if (g_output_stream_splice (output, G_INPUT_STREAM (input), G_OUTPUT_STREAM_SPLICE_CLOSE_SOURCE | G_OUTPUT_STREAM_SPLICE_CLOSE_TARGET,
                              NULL, error)
      < 0)
    return FALSE;
  return g_rename (temporary, packed) == 0 && g_unlink (path) == 0;
}

static void
rotate (NodeAgent *agent, const NodeRuntime *runtime, const char *id, const char *path)
{
  g_autofree char *dir = g_path_get_dirname (path);
  g_autofree char *base = g_path_get_basename (path);
  g_autoptr (GDateTime) now = g_date_time_new_from_unix_utc (cube_context_now_us (agent->context) / G_USEC_PER_SEC);
  g_autofree char *stamp = g_date_time_format (now, "%Y%m%d-%H%M%S");
  g_autofree char *aside = g_strdup_printf ("%s.%s", path, stamp);
  g_autoptr (GPtrArray) older = rotated (dir, base);
  g_autoptr (GError) error = NULL;
  while (older->len > MAX_FILES - 2)
    {
      g_unlink (older->pdata[0]);
      g_ptr_array_remove_index (older, 0);
    }
  for (guint i = 0; i < older->len; i++)
    if (!g_str_has_suffix (older->pdata[i], ".gz") && !compress_file (older->pdata[i], &error))
      {
        g_warning ("%s: not compressed: %s", (const char *) older->pdata[i], error != NULL ? error->message : "cannot rename");
        g_clear_error (&error);
      }
  if (g_rename (path, aside) != 0)
    return;
  if (!runtime->ops->reopen_log (runtime->state, id, &error))
    {
      g_warning ("container %s: log not reopened: %s", id, error->message);
      g_rename (aside, path); /* the runtime goes on writing to it */
    }
}

void
node_rotate_logs (NodeAgent *agent, const NodeRuntime *runtime)
{
  g_autoptr (GHashTable) uids = node_observed_uids (agent->observed);
  GHashTableIter it;
  gpointer uid;
  for (g_hash_table_iter_init (&it, uids); g_hash_table_iter_next (&it, &uid, NULL);)
    {
      g_autoptr (NodeSnapshot) snapshot = node_observed_snapshot (agent->observed, uid);
      for (guint i = 0; i < snapshot->containers->len; i++)
        {
          const CubeContainer *status = ((NodeContainer *) snapshot->containers->pdata[i])->status;
          struct stat st;
          if (status->state == CUBE_CONTAINER_RUNNING && status->log_path != NULL && stat (status->log_path, &st) == 0
              && st.st_size > MAX_BYTES)
            rotate (agent, runtime, status->id, status->log_path);
        }
    }
}
