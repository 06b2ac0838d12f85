/* SPDX-License-Identifier: Apache-2.0 */
/* The volumes every node has: emptyDir, hostPath, configMap, secret, downwardAPI, projected. */
#include "volumes.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_MODE 0644

static guint
default_mode (CubeView source)
{
  return (guint) cube_view_get_int (source, DEFAULT_MODE, "defaultMode") & 07777;
}

/* ---- emptyDir ---- */

/* The smallest of the node's memory, the pod's limit and the volume's own. */
static gint64
memory_limit (const CubeVolumeRequest *request)
{
  CubeQuantity limit;
  gint64 bytes = (gint64) sysconf (_SC_PHYS_PAGES) * sysconf (_SC_PAGESIZE),
         pod = cube_pod_limit (cube_view_member (request->pod_view, "spec"), "memory");
  if (pod > 0)
    bytes = MIN (bytes, pod);
  if (cube_quantity_from_view (cube_view_member (request->source, "sizeLimit"), &limit) && cube_quantity_value (&limit) > 0)
    bytes = MIN (bytes, cube_quantity_value (&limit));
  return bytes;
}

static gboolean
empty_dir_set_up (gpointer state, const CubeVolumeRequest *request, char **ret_host_path, GError **error)
{
  gboolean is_memory = g_strcmp0 (cube_view_get_string (request->source, "medium"), "Memory") == 0;
  gboolean is_new = !g_file_test (request->dir, G_FILE_TEST_IS_DIR) || (is_memory && !volumes_is_mount (request->dir));
  if (!volumes_make_dir (request->dir, 0777, error)
      || (is_memory && !volumes_mount_tmpfs (request->dir, 0777, memory_limit (request), error)))
    return FALSE;
  if (is_new && g_chmod (request->dir, 0777) != 0)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "%s: %s", request->dir, g_strerror (errno));
      return FALSE;
    }
  if (is_new && !volumes_set_group (request->dir, request->fs_group, FALSE, error))
    return FALSE;
  *ret_host_path = g_strdup (request->dir);
  return TRUE;
}

static gboolean
dir_tear_down (gpointer state, const CubeVolumeRequest *request, GError **error)
{
  return volumes_unmount (request->dir, error) && volumes_remove_tree (request->dir, error);
}

/* ---- hostPath ---- */

static gboolean
check_type (const char *path, const char *type, GError **error)
{
  static const struct {
    const char *type;
    mode_t mode;
    const char *words;
  } kinds[] = {
    { "DirectoryOrCreate", S_IFDIR, "a directory" }, { "Directory", S_IFDIR, "a directory" },
    { "FileOrCreate", S_IFREG, "a file" },           { "File", S_IFREG, "a file" },
    { "Socket", S_IFSOCK, "a socket file" },         { "CharDevice", S_IFCHR, "a character device" },
    { "BlockDevice", S_IFBLK, "a block device" },
  };
  struct stat st;
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      if (!g_str_equal (kinds[i].type, type))
        continue;
      if (stat (path, &st) == 0 && (st.st_mode & S_IFMT) == kinds[i].mode)
        return TRUE;
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "hostPath type check failed: %s is not %s", path, kinds[i].words);
      return FALSE;
    }
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "hostPath type check failed: %s is no type", type);
  return FALSE;
}

static gboolean
host_path_set_up (gpointer state, const CubeVolumeRequest *request, char **ret_host_path, GError **error)
{
  const char *path = cube_view_string_or (cube_view_member (request->source, "path"), ""),
             *type = cube_view_string_or (cube_view_member (request->source, "type"), "");
  g_auto (GStrv) parts = g_strsplit (path, "/", -1);
  if (*path != '/' || g_strv_contains ((const char *const *) parts, ".."))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "hostPath \"%s\" must be absolute and without \"..\"", path);
      return FALSE;
    }
  if (g_str_equal (type, "DirectoryOrCreate") && !g_file_test (path, G_FILE_TEST_EXISTS))
    g_mkdir_with_parents (path, 0755);
  else if (g_str_equal (type, "FileOrCreate") && !g_file_test (path, G_FILE_TEST_EXISTS))
    {
      int fd = open (path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
      if (fd >= 0)
        close (fd);
    }
  else if (*type == '\0' && !g_file_test (path, G_FILE_TEST_EXISTS))
    g_mkdir_with_parents (path, 0755); /* the runtime would, with whatever mode */
  if (*type != '\0' && !check_type (path, type, error))
    return FALSE;
  *ret_host_path = g_strdup (path);
  return TRUE;
}

static gboolean
host_path_tear_down (gpointer state, const CubeVolumeRequest *request, GError **error)
{
  return TRUE; /* it is not ours */
}

/* ---- files ---- */

static gboolean
write_files (Volumes *volumes, const CubeVolumeRequest *request, GPtrArray *files, gboolean in_memory, char **ret_host_path, GError **error)
{
  if (!volumes_make_dir (request->dir, 0755, error) || (in_memory && !volumes_mount_tmpfs (request->dir, 0755, 0, error))
      || !volumes_write (volumes->context, request->dir, files, request->fs_group, error))
    return FALSE;
  *ret_host_path = g_strdup (request->dir);
  return TRUE;
}

static gboolean
config_map_set_up (gpointer state, const CubeVolumeRequest *request, char **ret_host_path, GError **error)
{
  g_autoptr (GPtrArray) files = volumes_files_new ();
  return volumes_add_config_map (request, request->source, cube_view_get_string (request->source, "name"), default_mode (request->source),
                                 files, error)
         && write_files (state, request, files, FALSE, ret_host_path, error);
}

static gboolean
secret_set_up (gpointer state, const CubeVolumeRequest *request, char **ret_host_path, GError **error)
{
  g_autoptr (GPtrArray) files = volumes_files_new ();
  return volumes_add_secret (request, request->source, cube_view_get_string (request->source, "secretName"), default_mode (request->source),
                             files, error)
         && write_files (state, request, files, TRUE, ret_host_path, error);
}

static gboolean
downward_set_up (gpointer state, const CubeVolumeRequest *request, char **ret_host_path, GError **error)
{
  g_autoptr (GPtrArray) files = volumes_files_new ();
  return volumes_add_downward (state, request, request->source, default_mode (request->source), files, error)
         && write_files (state, request, files, TRUE, ret_host_path, error);
}

static gboolean
add_source (Volumes *volumes, const CubeVolumeRequest *request, CubeView source, guint mode, GPtrArray *files, GError **error)
{
  CubeIter it;
  const char *key;
  CubeView part;
  for (cube_iter_init (&it, source); cube_iter_next (&it, &key, &part);)
    {
      gboolean ok;
      if (g_str_equal (key, "configMap"))
        ok = volumes_add_config_map (request, part, cube_view_get_string (part, "name"), mode, files, error);
      else if (g_str_equal (key, "secret"))
        ok = volumes_add_secret (request, part, cube_view_get_string (part, "name"), mode, files, error);
      else if (g_str_equal (key, "downwardAPI"))
        ok = volumes_add_downward (volumes, request, part, mode, files, error);
      else if (g_str_equal (key, "serviceAccountToken"))
        ok = volumes_add_token (volumes, request, part, mode, files, error);
      else
        {
          g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "projected source %s is not supported by this node", key);
          ok = FALSE;
        }
      if (!ok)
        return FALSE;
    }
  return TRUE;
}

static gboolean
projected_set_up (gpointer state, const CubeVolumeRequest *request, char **ret_host_path, GError **error)
{
  g_autoptr (GPtrArray) files = volumes_files_new ();
  CubeIter it;
  CubeView source;
  for (cube_iter_init (&it, cube_view_member (request->source, "sources")); cube_iter_next (&it, NULL, &source);)
    if (!add_source (state, request, source, default_mode (request->source), files, error))
      return FALSE;
  return write_files (state, request, files, TRUE, ret_host_path, error);
}

static gboolean
projected_tear_down (gpointer state, const CubeVolumeRequest *request, GError **error)
{
  if (request->pod != NULL)
    volumes_forget_tokens (state, cube_object_uid (request->pod));
  return dir_tear_down (state, request, error);
}

/* ---- the plugin ---- */

static const CubeVolumeOps empty_dir_ops = { sizeof empty_dir_ops, empty_dir_set_up, dir_tear_down, FALSE };
static const CubeVolumeOps host_path_ops = { sizeof host_path_ops, host_path_set_up, host_path_tear_down, FALSE };
static const CubeVolumeOps config_map_ops = { sizeof config_map_ops, config_map_set_up, dir_tear_down, TRUE };
static const CubeVolumeOps secret_ops = { sizeof secret_ops, secret_set_up, dir_tear_down, TRUE };
static const CubeVolumeOps downward_ops = { sizeof downward_ops, downward_set_up, dir_tear_down, TRUE };
static const CubeVolumeOps projected_ops = { sizeof projected_ops, projected_set_up, projected_tear_down, TRUE };

static const CubeInterfaceImpl impls[] = {
  CUBE_IMPL (CUBE_VOLUME, CUBE_VOLUME_VERSION, "emptyDir", empty_dir_ops),
  CUBE_IMPL (CUBE_VOLUME, CUBE_VOLUME_VERSION, "hostPath", host_path_ops),
  CUBE_IMPL (CUBE_VOLUME, CUBE_VOLUME_VERSION, "configMap", config_map_ops),
  CUBE_IMPL (CUBE_VOLUME, CUBE_VOLUME_VERSION, "secret", secret_ops),
  CUBE_IMPL (CUBE_VOLUME, CUBE_VOLUME_VERSION, "downwardAPI", downward_ops),
  CUBE_IMPL (CUBE_VOLUME, CUBE_VOLUME_VERSION, "projected", projected_ops),
  { NULL },
};

static gboolean
volumes_load (CubeContext *context, gpointer *ret_state, GError **error)
{
  Volumes *volumes = g_new0 (Volumes, 1);
  volumes->context = context;
  g_mutex_init (&volumes->lock);
  volumes->tokens = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, volumes_token_free);
  *ret_state = volumes;
  return TRUE;
}

static void
volumes_unload (gpointer state)
{
  Volumes *volumes = state;
  g_hash_table_unref (volumes->tokens);
  g_mutex_clear (&volumes->lock);
  g_free (volumes);
}

CUBE_PLUGIN_DEFINE (.name = "node-volumes", .version = "0.1.0",
                    .description = "emptyDir, hostPath, configMap, secret, downwardAPI and projected volumes", .license = "Apache-2.0",
                    .impls = impls, .load = volumes_load, .unload = volumes_unload);
