/* SPDX-License-Identifier: Apache-2.0 */
/* A pod's volumes, by the plugins of cube.node.Volume. */
#include "agent.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* kubernetes.io~empty-dir … as Kubernetes names the folders. */
static char *
kind_dir (const char *id)
{
  if (g_str_equal (id, "configMap"))
    return g_strdup ("kubernetes.io~configmap");
  if (g_str_equal (id, "downwardAPI"))
    return g_strdup ("kubernetes.io~downward-api");
  GString *name = g_string_new ("kubernetes.io~");
  for (const char *at = id; *at != '\0'; at++)
    {
      if (g_ascii_isupper (*at))
        g_string_append_c (name, '-');
      g_string_append_c (name, g_ascii_tolower (*at));
    }
  return g_string_free (name, FALSE);
}

static const char *
source_of (CubeView volume, CubeView *ret_source)
{
  CubeIter it;
  const char *key;
  CubeView value;
  for (cube_iter_init (&it, volume); cube_iter_next (&it, &key, &value);)
    if (!g_str_equal (key, "name") && cube_view_type (value) == CUBE_VALUE_OBJECT)
      {
        *ret_source = value;
        return key;
      }
  return NULL;
}

static gboolean
set_up_one (NodeJob *job, CubeView volume, char **ret_path, GError **error)
{
  CubeView source = cube_view_none ();
  const char *name = cube_view_string_or (cube_view_member (volume, "name"), ""), *id = source_of (volume, &source);
  CubeView fs_group = cube_view_get (job->spec, "securityContext", "fsGroup");
  if (id == NULL || cube_name_check_dns1123_label (name) != NULL)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "volume \"%s\" has no source", name);
      return FALSE;
    }
  const CubeImpl *impl = cube_registry_lookup (job->agent->registry, CUBE_VOLUME, id);
  if (impl == NULL)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "no volume plugin matched: %s", id);
      return FALSE;
    }
  const CubeVolumeOps *ops = impl->ops;
  g_autofree char *pod_dir = node_files_pod_dir (job->agent, job->pod->uid);
  g_autofree char *kind = kind_dir (id);
  g_autofree char *dir = g_build_filename (pod_dir, "volumes", kind, name, NULL);
  CubeVolumeRequest request = { .context = impl->context,
                                .client = job->agent->client,
                                .pod = job->object,
                                .pod_view = cube_value_root (job->value),
                                .volume_name = name,
                                .source = source,
                                .dir = dir,
                                .fs_group = cube_view_int (fs_group, -1) };
  gboolean ok = ops->set_up (impl->state, &request, ret_path, error);
  cube_impl_unref (impl);
  return ok;
}

/* One event for one failure, not one for each try. */
static void
tell_failure (NodeJob *job, const char *name, const char *message)
{
  NodePod *pod = job->pod;
  g_mutex_lock (&pod->lock);
  gboolean is_known = g_strcmp0 (g_hash_table_lookup (pod->failed_mounts, name), message) == 0;
  g_hash_table_replace (pod->failed_mounts, g_strdup (name), g_strdup (message));
  g_mutex_unlock (&pod->lock);
  if (!is_known)
    node_pod_event (pod, NULL, "Warning", "FailedMount", "MountVolume.SetUp failed for volume \"%s\" : %s", name, message);
}

gboolean
node_volumes_set_up (NodeJob *job, GError **error)
{
  CubeIter it;
  CubeView volume;
  job->volumes = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  for (cube_iter_init (&it, cube_view_member (job->spec, "volumes")); cube_iter_next (&it, NULL, &volume);)
    {
      const char *name = cube_view_string_or (cube_view_member (volume, "name"), "");
      char *path = NULL;
      GError *problem = NULL;
      if (!set_up_one (job, volume, &path, &problem))
        {
          tell_failure (job, name, problem->message);
          g_propagate_error (error, problem);
          return FALSE;
        }
      g_hash_table_insert (job->volumes, g_strdup (name), path);
      g_mutex_lock (&job->pod->lock);
      g_hash_table_remove (job->pod->failed_mounts, name);
      g_mutex_unlock (&job->pod->lock);
    }
  return TRUE;
}

/* What lies below <pod>/volumes is torn down by the plugin whose folder it is. */
static gboolean
tear_down_kind (NodeAgent *agent, const CubeImpl *impl, const char *volumes_dir, const CubeObject *object, CubeView pod, GError **error)
{
  const CubeVolumeOps *ops = impl->ops;
  g_autofree char *kind = kind_dir (impl->id);
  g_autofree char *path = g_build_filename (volumes_dir, kind, NULL);
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *volume_dir = g_build_filename (path, name, NULL);
      CubeVolumeRequest request = { .context = impl->context,
                                    .client = agent->client,
                                    .pod = object,
                                    .pod_view = pod,
                                    .volume_name = name,
                                    .source = cube_view_none (),
                                    .dir = volume_dir,
                                    .fs_group = -1 };
      if (!ops->tear_down (impl->state, &request, error))
        {
          g_prefix_error (error, "volume %s: ", name);
          return FALSE;
        }
    }
  return TRUE;
}

gboolean
node_volumes_tear_down (NodeAgent *agent, const char *uid, const CubeObject *object, CubeView pod, GError **error)
{
  g_autofree char *pod_dir = node_files_pod_dir (agent, uid);
  g_autofree char *volumes_dir = g_build_filename (pod_dir, "volumes", NULL);
  g_autofree char *sub_paths_dir = g_build_filename (pod_dir, "volume-subpaths", NULL);
  g_autoptr (GPtrArray) list = NULL;
  gboolean ok = TRUE;
  if (g_file_test (sub_paths_dir, G_FILE_TEST_IS_DIR))
    node_files_unmount_below (sub_paths_dir);
  if (!g_file_test (volumes_dir, G_FILE_TEST_IS_DIR))
    return TRUE;
  list = cube_registry_list (agent->registry, CUBE_VOLUME);
  for (guint i = 0; i < list->len && ok; i++)
    ok = tear_down_kind (agent, list->pdata[i], volumes_dir, object, pod, error);
  node_files_unmount_below (volumes_dir);
  return ok;
}

typedef void (*ReferenceFunc) (const char *kind, const char *name, gpointer data);

static void
each_reference (CubeView source, ReferenceFunc func, gpointer data)
{
  static const char *const kinds[] = { "configMap", "secret" };
  CubeView entry;
  CubeIter it;
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      CubeView own = cube_view_member (source, kinds[i]);
      const char *name = cube_view_get_string (own, "name"), *secret_name = cube_view_get_string (own, "secretName");
      if (name != NULL || secret_name != NULL)
        func (kinds[i], secret_name != NULL ? secret_name : name, data);
    }
  for (cube_iter_init (&it, cube_view_get (source, "projected", "sources")); cube_iter_next (&it, NULL, &entry);)
    each_reference (entry, func, data);
}

void
node_volumes_each_reference (CubeView pod_spec, ReferenceFunc func, gpointer data)
{
  CubeIter it;
  CubeView volume;
  for (cube_iter_init (&it, cube_view_member (pod_spec, "volumes")); cube_iter_next (&it, NULL, &volume);)
    each_reference (volume, func, data);
}

typedef struct {
  const char *kind, *name;
  gboolean is_found;
} Search;

static void
compare_reference (const char *kind, const char *name, gpointer data)
{
  Search *search = data;
  search->is_found |= g_str_equal (kind, search->kind) && g_str_equal (name, search->name);
}

gboolean
node_volumes_refer_to (CubeView pod_spec, const char *kind, const char *name)
{
  Search search = { kind, name, FALSE };
  node_volumes_each_reference (pod_spec, compare_reference, &search);
  return search.is_found;
}

/* ---- subPath ---- */

static int
open_beneath (int dir, const char *path, guint64 flags)
{
  struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
  return (int) syscall (SYS_openat2, dir, path, &how, sizeof how);
}

/* Makes the directories that are missing, one step at a time, never leaving the volume. */
static int
make_beneath (int root, const char *sub_path)
{
  g_auto (GStrv) parts = g_strsplit (sub_path, "/", -1);
  int at = fcntl (root, F_DUPFD_CLOEXEC, 0);
  for (guint i = 0; parts[i] != NULL && at >= 0; i++)
    {
      if (*parts[i] == '\0' || g_str_equal (parts[i], "."))
        continue;
      if (mkdirat (at, parts[i], 0750) != 0 && errno != EEXIST)
        {
          close (at);
          return -1;
        }
      int next = open_beneath (at, parts[i], O_PATH | O_NOFOLLOW);
      int code = errno;
      close (at);
      errno = code;
      at = next;
    }
  return at;
}

int
node_volumes_open_sub_path (const char *volume_path, const char *sub_path, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (sub_path, "/", -1);
  if (*sub_path == '/' || g_strv_contains ((const char *const *) parts, ".."))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "subPath \"%s\" must be relative and without \"..\"", sub_path);
      return -1;
    }
  int root = open (volume_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  int fd = root >= 0 ? open_beneath (root, sub_path, O_PATH) : -1;
  if (fd < 0 && root >= 0 && errno == ENOENT)
    fd = make_beneath (root, sub_path);
  int code = errno;
  if (root >= 0)
    close (root);
  if (fd < 0)
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (code), "subPath \"%s\": %s", sub_path, g_strerror (code));
  return fd;
}

/* The place the sub-path is bound to: a directory or a file, as what it is of. */
static gboolean
make_target (const char *target, gboolean is_dir)
{
  g_autofree char *parent = g_path_get_dirname (target);
  if (g_mkdir_with_parents (parent, 0750) != 0)
    return FALSE;
  while (umount2 (target, UMOUNT_NOFOLLOW | MNT_DETACH) == 0)
    ; /* of the container before */
  if (is_dir)
    return mkdir (target, 0750) == 0 || errno == EEXIST;
  int fd = open (target, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
  if (fd >= 0)
    close (fd);
  return fd >= 0;
}

char *
node_volumes_mount_sub_path (const char *volume_path, const char *sub_path, const char *target, GError **error)
{
  struct stat st;
  int fd = node_volumes_open_sub_path (volume_path, sub_path, error);
  if (fd < 0)
    return NULL;
  g_autofree char *source = g_strdup_printf ("/proc/self/fd/%d", fd);
  gboolean ok =
      fstat (fd, &st) == 0 && make_target (target, S_ISDIR (st.st_mode)) && mount (source, target, NULL, MS_BIND | MS_REC, NULL) == 0;
  if (!ok)
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "subPath \"%s\": cannot be bound to %s: %s", sub_path, target,
                 g_strerror (errno));
  close (fd);
  return ok ? g_strdup (target) : NULL;
}
