/* SPDX-License-Identifier: Apache-2.0 */
/* containerd as a child: started when the runtime is "cri" and nobody named an endpoint. It outlives this process, so that pods go on while Cube restarts;
 * `cube down` (fact teardown) ends it. */
#include "containerd.h"
#include <cube/plugin.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gunixsocketaddress.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_US (10 * 1000)
#define RESTART_MAX_US (30 * G_USEC_PER_SEC)
#define END_US (10 * G_USEC_PER_SEC)

typedef struct {
  CubeContext *context;
  CubeLoop *loop; /* main */
  ContainerdPaths paths;
  gboolean is_used, is_answering, has_images;
  char *problem; /* of the images; lock */
  GMutex lock;
  pid_t pid;
  int pid_fd;
  GSource *death;
  CubeTimer *timer;
  gint64 backoff_us;
  GCancellable *import; /* ends the import of images */
} State;

static void start_containerd (State *self);

/* ---- its process ---- */

static gboolean
socket_answers (State *self)
{
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (self->paths.socket);
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GSocketConnection) connection = g_socket_client_connect (client, G_SOCKET_CONNECTABLE (address), NULL, NULL);
  return connection != NULL;
}

static void
run_again (gpointer data)
{
  State *self = data;
  cube_timer_cancel (g_steal_pointer (&self->timer));
  start_containerd (self);
}

static gboolean
died (gint fd, GIOCondition condition, gpointer data)
{
  State *self = data;
  g_clear_pointer (&self->death, g_source_unref);
  waitpid (self->pid, NULL, WNOHANG); /* no zombie, when it was our child */
  close (self->pid_fd);
  self->pid_fd = -1;
  self->is_answering = FALSE;
  self->backoff_us = CLAMP (self->backoff_us * 2, 100 * 1000, RESTART_MAX_US);
  g_warning ("containerd (pid %d) ended; starting it again in %.1f s, see %s", self->pid, (double) self->backoff_us / G_USEC_PER_SEC,
             self->paths.log);
  cube_context_set_health (self->context, FALSE, "containerd ended and is being started again");
  cube_timer_cancel (self->timer);
  self->timer = cube_loop_after (self->loop, self->backoff_us, run_again, self, NULL);
  return G_SOURCE_REMOVE;
}

static void
watch_process (State *self, pid_t pid)
{
  self->pid = pid;
  self->pid_fd = (int) syscall (SYS_pidfd_open, pid, 0);
  if (self->pid_fd < 0)
    return;
  self->death = g_unix_fd_source_new (self->pid_fd, G_IO_IN);
  g_source_set_callback (self->death, (GSourceFunc) (void (*) (void)) died, self, NULL);
  g_source_attach (self->death, cube_loop_get_main_context (self->loop));
}

/* The containerd an earlier process of ours left running, or 0. */
static pid_t
find_running (State *self)
{
  g_autofree char *text = NULL;
  if (!g_file_get_contents (self->paths.pid_file, &text, NULL, NULL))
    return 0;
  pid_t pid = atoi (text);
  g_autofree char *line = pid > 1 ? containerd_command_line (g_strstrip (text)) : NULL;
  return line != NULL && strstr (line, self->paths.config) != NULL ? pid : 0;
}

static void
detach (gpointer log_fd)
{
  setsid ();
  dup2 (GPOINTER_TO_INT (log_fd), STDERR_FILENO);
}

static pid_t
spawn (State *self, GError **error)
{
  int log_fd = open (self->paths.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log_fd < 0)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "%s: %s", self->paths.log, g_strerror (errno));
      return 0;
    }
  char *argv[] = { (char *) "containerd", (char *) "--config", self->paths.config, NULL };
  g_auto (GStrv) environment = g_environ_setenv (g_get_environ (), "GOGC", "50", FALSE);
  GPid pid = 0;
  gboolean ok = g_spawn_async (NULL, argv, environment, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_DO_NOT_REAP_CHILD,
                               detach, GINT_TO_POINTER (log_fd), &pid, error);
  close (log_fd);
  if (!ok)
    {
      g_prefix_error (error, "containerd cannot be started (is the package containerd installed?): ");
      return 0;
    }
  g_autofree char *text = g_strdup_printf ("%d\n", pid);
  if (!g_file_set_contents (self->paths.pid_file, text, -1, error))
    g_clear_error (error);
  return pid;
}

/* ---- images ---- */

static void
import_images (gpointer data)
{
  State *self = data;
  g_autoptr (GError) error = NULL;
  g_autofree char *exe = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *exe_dir = exe != NULL ? g_path_get_dirname (exe) : g_strdup (".");
  g_autofree char *beside = g_build_filename (exe_dir, "images", NULL);
  g_autofree char *prefix = g_path_get_dirname (exe_dir);
  g_autofree char *installed = g_build_filename (prefix, "share", "cube", "images", NULL);
  g_autofree char *own = g_build_filename (cube_context_data_dir (self->context), "images", NULL);
  const char *const dirs[] = { beside, installed, own, NULL };
  gboolean ok = containerd_import_images (&self->paths, dirs, self->import, &error);
  g_mutex_lock (&self->lock);
  self->has_images = TRUE; /* tried: an archive that is broken does not keep the node from working */
  g_clear_pointer (&self->problem, g_free);
  self->problem = ok ? NULL : g_strdup (error->message);
  g_mutex_unlock (&self->lock);
  if (!ok && !g_cancellable_is_cancelled (self->import))
    g_warning ("%s", error->message);
}

static void
images_imported (gpointer data)
{
  State *self = data;
  g_mutex_lock (&self->lock);
  cube_context_set_health (self->context, self->problem == NULL, self->problem);
  g_mutex_unlock (&self->lock);
}

static void
wait_for_socket (gpointer data)
{
  State *self = data;
  cube_timer_cancel (g_steal_pointer (&self->timer));
  if (!socket_answers (self))
    {
      self->timer = cube_loop_after (self->loop, POLL_US, wait_for_socket, self, NULL);
      return;
    }
  self->is_answering = TRUE;
  self->backoff_us = 0;
  cube_context_set_health (self->context, TRUE, NULL);
  cube_context_run_blocking (self->context, import_images, self->loop, images_imported, self);
}

static void
start_containerd (State *self)
{
  g_autoptr (GError) error = NULL;
  pid_t pid = find_running (self);
  if (pid == 0)
    {
      g_unlink (self->paths.socket);
      pid = spawn (self, &error);
    }
  if (pid == 0)
    {
      g_warning ("%s", error->message);
      cube_context_set_health (self->context, FALSE, error->message);
      self->backoff_us = CLAMP (self->backoff_us * 2, 100 * 1000, RESTART_MAX_US);
      self->timer = cube_loop_after (self->loop, self->backoff_us, run_again, self, NULL);
      return;
    }
  watch_process (self, pid);
  wait_for_socket (self);
}

/* ---- the component ---- */

/* runc makes "/" private and moves it: in a plain chroot every pod would fail. A kernel that cannot tell is believed. */
static gboolean
check_root (GError **error)
{
  struct statx root;
  if (statx (AT_FDCWD, "/", 0, STATX_BASIC_STATS, &root) != 0 || (root.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) == 0
      || (root.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0)
    return TRUE;
  g_set_error (
      error, CUBE_ERROR, CUBE_ERROR_INTERNAL,
      "/ is no mount point here (a chroot?), and runc starts no container then: outside, `mount --bind DIR DIR`, then chroot into DIR again");
  return FALSE;
}

static gboolean
component_start (gpointer state, GError **error)
{
  State *self = state;
  g_autofree char *runtime = cube_context_fact (self->context, "runtime");
  g_autofree char *endpoint = cube_context_fact (self->context, "runtime-endpoint");
  if (g_strcmp0 (runtime, "cri") != 0 || endpoint != NULL)
    return TRUE;
  if (geteuid () != 0)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_FORBIDDEN,
                   "containerd needs root: permission denied (run as root, or with --runtime sim)");
      return FALSE;
    }
  if (!check_root (error))
    return FALSE;
  CubeView config = cube_context_config (self->context);
  containerd_paths_init (&self->paths, cube_context_data_dir (self->context));
  if (!containerd_write_config (&self->paths, cube_view_string_or (cube_view_member (config, "sandbox-image"), "cube.local/pause:1"),
                                cube_view_string_or (cube_view_member (config, "cni-bin-dir"), "/usr/lib/cni"), error))
    return FALSE;
  self->is_used = TRUE;
  g_cancellable_reset (self->import);
  g_autofree char *address = g_strconcat ("unix://", self->paths.socket, NULL);
  cube_context_set_fact (self->context, "runtime-endpoint", address);
  cube_context_set_fact (self->context, "cni-conf-dir", self->paths.cni_conf_dir);
  cube_context_set_fact (self->context, "cni-state-dir", self->paths.cni_state_dir);
  start_containerd (self);
  return TRUE;
}

static void
component_stop (gpointer state)
{
  State *self = state;
  if (!self->is_used)
    return;
  cube_timer_cancel (g_steal_pointer (&self->timer));
  g_cancellable_cancel (self->import); /* the end of this process waits for it */
  if (self->death != NULL)
    {
      g_source_destroy (self->death);
      g_clear_pointer (&self->death, g_source_unref);
    }
  if (self->pid_fd >= 0)
    close (self->pid_fd);
  self->pid_fd = -1;
  self->is_used = FALSE;
  g_autofree char *teardown = cube_context_fact (self->context, "teardown");
  if (teardown == NULL)
    return;
  if (self->pid > 0)
    containerd_end_process (self->pid, END_US);
  if (self->pid > 0)
    waitpid (self->pid, NULL, WNOHANG);
  containerd_sweep (&self->paths);
  g_unlink (self->paths.pid_file);
  g_unlink (self->paths.socket);
}

static gboolean
component_is_ready (gpointer state, char **ret_why)
{
  State *self = state;
  g_mutex_lock (&self->lock);
  gboolean has_images = self->has_images;
  g_mutex_unlock (&self->lock);
  if (!self->is_used || (self->is_answering && has_images))
    return TRUE;
  *ret_why = g_strdup (self->is_answering ? "importing images" : "starting containerd");
  return FALSE;
}

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  State *self = g_new0 (State, 1);
  self->context = context;
  self->pid_fd = -1;
  self->import = g_cancellable_new ();
  g_mutex_init (&self->lock);
  self->loop = cube_context_get_loop (context, "main");
  *ret_state = self;
  return TRUE;
}

static void
unload (gpointer state)
{
  State *self = state;
  containerd_paths_clear (&self->paths);
  g_object_unref (self->import);
  g_mutex_clear (&self->lock);
  g_free (self->problem);
  g_free (self);
}

static const CubeComponentOps component = {
  .ops_size = sizeof (CubeComponentOps),
  .role = "node",
  .order = 5,
  .start = component_start,
  .stop = component_stop,
  .is_ready = component_is_ready,
};
static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_COMPONENT, CUBE_COMPONENT_VERSION, "containerd", component),
                                           { NULL, 0, 0, NULL, NULL } };

CUBE_PLUGIN_DEFINE (
        .name = "runtimes-containerd", .version = "1.0", .license = "Apache-2.0",
        .description = "starts and keeps a containerd of Cube's own", .impls = impls, .load = load, .unload = unload,
        .config_schema =
            "sandbox-image string cube.local/pause:1 the pod sandbox's image\ncni-bin-dir string /usr/lib/cni where the CNI plugins are");
