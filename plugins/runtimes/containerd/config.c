/* SPDX-License-Identifier: Apache-2.0 */
#include "containerd.h"
#include <cube/error.h>
#include <cube/scalar.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_SOCKET 100 /* sun_path holds 107 bytes, the shims' socket adds ".ttrpc" */

/* Why each line: tools/containerd/README.md. */
static const char template[] =
    "version = 2\nroot = \"@ROOT@\"\nstate = \"@STATE@\"\noom_score = 0\n"
    "required_plugins = [\"io.containerd.grpc.v1.cri\"]\n"
    "disabled_plugins = [\"io.containerd.internal.v1.opt\", \"io.containerd.internal.v1.restart\", \"io.containerd.internal.v1.tracing\",\n"
    "  \"io.containerd.monitor.v1.cgroups\", \"io.containerd.snapshotter.v1.aufs\", \"io.containerd.snapshotter.v1.btrfs\",\n"
    "  \"io.containerd.snapshotter.v1.devmapper\", \"io.containerd.snapshotter.v1.native\", \"io.containerd.snapshotter.v1.zfs\",\n"
    "  \"io.containerd.tracing.processor.v1.otlp\"]\n"
    "[grpc]\n  address = \"@SOCKET@\"\n[ttrpc]\n  address = \"@SOCKET@.ttrpc\"\n[debug]\n  level = \"warn\"\n"
    "[plugins.\"io.containerd.grpc.v1.cri\"]\n"
    "  sandbox_image = \"@SANDBOX_IMAGE@\"\n  restrict_oom_score_adj = true\n  disable_cgroup = false\n  disable_tcp_service = true\n"
    "  enable_unprivileged_icmp = true\n  enable_unprivileged_ports = true\n  max_container_log_line_size = 16384\n"
    "  netns_mounts_under_state_dir = true\n  stream_server_address = \"127.0.0.1\"\n  stream_server_port = \"0\"\n"
    "  tolerate_missing_hugetlb_controller = true\n"
    "  [plugins.\"io.containerd.grpc.v1.cri\".cni]\n    bin_dir = \"@CNI_BIN@\"\n    conf_dir = \"@CNI_CONF@\"\n"
    "  [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n    default_runtime_name = \"runc\"\n    snapshotter = \"overlayfs\"\n"
    "    [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n      runtime_type = \"io.containerd.runc.v2\"\n"
    "      [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n        Root = \"@STATE@/runc\"\n";

void
containerd_paths_init (ContainerdPaths *paths, const char *data_dir)
{
  paths->dir = g_build_filename (data_dir, "containerd", NULL);
  paths->root = g_build_filename (paths->dir, "root", NULL);
  paths->state = g_build_filename (paths->dir, "state", NULL);
  paths->socket = g_build_filename (paths->dir, "containerd.sock", NULL);
  if (strlen (paths->socket) > MAX_SOCKET)
    {
      g_free (paths->socket);
      paths->socket = g_strdup_printf ("/run/cube-%08x/containerd.sock", cube_hash_fnv32a (data_dir, strlen (data_dir), 0));
    }
  paths->config = g_build_filename (paths->dir, "config.toml", NULL);
  paths->log = g_build_filename (paths->dir, "containerd.log", NULL);
  paths->pid_file = g_build_filename (paths->dir, "containerd.pid", NULL);
  paths->cni_conf_dir = g_build_filename (paths->dir, "cni", "net.d", NULL);
  paths->cni_state_dir = g_build_filename (paths->dir, "cni", "state", NULL);
}

void
containerd_paths_clear (ContainerdPaths *paths)
{
  g_free (paths->dir);
  g_free (paths->root);
  g_free (paths->state);
  g_free (paths->socket);
  g_free (paths->config);
  g_free (paths->log);
  g_free (paths->pid_file);
  g_free (paths->cni_conf_dir);
  g_free (paths->cni_state_dir);
  memset (paths, 0, sizeof *paths);
}

static gboolean
make_dir (const char *path, GError **error)
{
  if (g_mkdir_with_parents (path, 0700) == 0)
    return TRUE;
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "containerd: cannot make %s: %s", path, g_strerror (errno));
  return FALSE;
}

gboolean
containerd_write_config (const ContainerdPaths *paths, const char *sandbox_image, const char *cni_bin_dir, GError **error)
{
  const char *const pairs[][2] = {
    { "@ROOT@", paths->root },     { "@STATE@", paths->state },
    { "@SOCKET@", paths->socket }, { "@SANDBOX_IMAGE@", sandbox_image },
    { "@CNI_BIN@", cni_bin_dir },  { "@CNI_CONF@", paths->cni_conf_dir },
  };
  GString *text = g_string_new (template);
  g_autofree char *owned = NULL;
  for (guint i = 0; i < G_N_ELEMENTS (pairs); i++)
    {
      if (strpbrk (pairs[i][1], "\"\\\n") != NULL)
        {
          g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID,
                       "containerd: \"%s\" holds a quote, a backslash or a line end: choose another path", pairs[i][1]);
          g_string_free (text, TRUE);
          return FALSE;
        }
      g_string_replace (text, pairs[i][0], pairs[i][1], 0);
    }
  owned = g_string_free (text, FALSE);
  g_autofree char *socket_dir = g_path_get_dirname (paths->socket);
  return make_dir (paths->root, error) && make_dir (paths->state, error) && make_dir (paths->cni_conf_dir, error)
         && make_dir (paths->cni_state_dir, error) && make_dir (socket_dir, error) && g_file_set_contents (paths->config, owned, -1, error);
}
