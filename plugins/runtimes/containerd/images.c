/* SPDX-License-Identifier: Apache-2.0 */
/* Images that come with Cube: archives in its image folders are imported with `ctr`, once. */
#include "containerd.h"
#include <cube/error.h>
#include <gio/gio.h>
#include <string.h>

/* ctr by itself waits for ever for a containerd that has just gone. */
#define CONNECT_TIMEOUT "10s"
#define TIMEOUT "10m"

static gboolean
run_ctr (const ContainerdPaths *paths, const char *const *args, char **ret_output, GCancellable *cancellable, GError **error)
{
  const char *const head[] = { "ctr",       "--connect-timeout", CONNECT_TIMEOUT, "--timeout", TIMEOUT,
                               "--address", paths->socket,       "--namespace",   "k8s.io" };
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autoptr (GSubprocess) process = NULL;
  g_autofree char *problem = NULL, *output = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (head); i++)
    g_ptr_array_add (argv, (gpointer) head[i]);
  for (; *args != NULL; args++)
    g_ptr_array_add (argv, (gpointer) *args);
  g_ptr_array_add (argv, NULL);
  process = g_subprocess_newv ((const char *const *) argv->pdata, G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE, error);
  if (process == NULL)
    return FALSE;
  if (!g_subprocess_communicate_utf8 (process, NULL, cancellable, &output, &problem, error))
    {
      g_subprocess_force_exit (process);
      g_subprocess_wait (process, NULL, NULL);
      return FALSE;
    }
  if (g_subprocess_get_successful (process))
    {
      if (ret_output != NULL)
        *ret_output = g_steal_pointer (&output);
      return TRUE;
    }
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "ctr: %s", g_strstrip (problem));
  return FALSE;
}

#define PREFIX "cube.local/"

/* cube.local/web:v1 is kept in web-v1.tar. */
static gboolean
is_present (const char *known, const char *file)
{
  g_autofree char *stem = g_strndup (file, strlen (file) - strlen (".tar"));
  g_auto (GStrv) names = g_strsplit (known, "\n", -1);
  for (guint i = 0; names[i] != NULL; i++)
    {
      if (!g_str_has_prefix (names[i], PREFIX))
        continue;
      g_strdelimit (names[i] + strlen (PREFIX), "/:@", '-');
      if (g_str_equal (names[i] + strlen (PREFIX), stem))
        return TRUE;
    }
  return FALSE;
}

static gint
pause_first (gconstpointer a, gconstpointer b)
{
  const char *x = *(const char *const *) a, *y = *(const char *const *) b;
  int order = (strstr (y, "pause") != NULL) - (strstr (x, "pause") != NULL);
  return order != 0 ? order : strcmp (x, y);
}

gboolean
containerd_import_images (const ContainerdPaths *paths, const char *const *dirs, GCancellable *cancellable, GError **error)
{
  g_autofree char *known = NULL;
  static const char *const list[] = { "images", "ls", "-q", NULL };
  g_autoptr (GPtrArray) files = g_ptr_array_new_with_free_func (g_free);
  if (!run_ctr (paths, list, &known, cancellable, error))
    return FALSE;
  for (; *dirs != NULL; dirs++)
    {
      g_autoptr (GDir) dir = g_dir_open (*dirs, 0, NULL);
      const char *name;
      while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
        if (g_str_has_suffix (name, ".tar") && !is_present (known, name))
          g_ptr_array_add (files, g_build_filename (*dirs, name, NULL));
    }
  g_ptr_array_sort (files, pause_first);
  for (guint i = 0; i < files->len; i++)
    {
      const char *const import[] = { "images", "import", "--snapshotter", "overlayfs", files->pdata[i], NULL };
      if (!run_ctr (paths, import, NULL, cancellable, error))
        {
          g_prefix_error (error, "image archive %s: ", (char *) files->pdata[i]);
          return FALSE;
        }
    }
  return TRUE;
}
