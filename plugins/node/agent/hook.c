/* SPDX-License-Identifier: Apache-2.0 */
/* Lifecycle handlers: exec, httpGet, tcpSocket, sleep. */
#include "agent.h"
#include <string.h>

typedef struct {
  GMutex lock;
  GCond woken;
  gboolean is_woken;
} Sleep;

static void
wake_sleeper (GCancellable *cancellable, gpointer data)
{
  Sleep *sleep = data;
  g_mutex_lock (&sleep->lock);
  sleep->is_woken = TRUE;
  g_cond_signal (&sleep->woken);
  g_mutex_unlock (&sleep->lock);
}

/* On a worker. Under simulation time does not pass inside one step, so there it returns at once. */
static gboolean
wait_for (NodeAgent *agent, gint64 delay_us, GCancellable *cancellable)
{
  Sleep sleep = { .is_woken = FALSE };
  gint64 until = cube_context_monotonic_us (agent->context) + delay_us;
  if (cube_context_is_simulated (agent->context))
    return TRUE;
  g_mutex_init (&sleep.lock);
  g_cond_init (&sleep.woken);
  gulong handler = cancellable != NULL ? g_cancellable_connect (cancellable, G_CALLBACK (wake_sleeper), &sleep, NULL) : 0;
  g_mutex_lock (&sleep.lock);
  while (!sleep.is_woken && g_cond_wait_until (&sleep.woken, &sleep.lock, until))
    ;
  gboolean is_over = !sleep.is_woken;
  g_mutex_unlock (&sleep.lock);
  if (handler != 0)
    g_cancellable_disconnect (cancellable, handler);
  g_cond_clear (&sleep.woken);
  g_mutex_clear (&sleep.lock);
  return is_over;
}

static char *
shown_command (CubeView command)
{
  g_autoptr (GString) text = g_string_new ("[");
  for (guint i = 0; i < cube_view_length (command); i++)
    g_string_append_printf (text, "%s%s", i > 0 ? " " : "", cube_view_string_or (cube_view_element (command, i), ""));
  g_string_append_c (text, ']');
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static gboolean
run_exec (const NodeRuntime *runtime, CubeView exec, const char *container, const char *pod, const char *id, gint64 limit_us,
          GCancellable *cancellable, GError **error)
{
  g_autoptr (NodeScratch) scratch = node_scratch_new ();
  g_autoptr (GBytes) out = NULL;
  g_autoptr (GBytes) err = NULL;
  g_autoptr (GError) problem = NULL;
  gint32 code = 0;
  const char *const *command = node_scratch_texts (scratch, cube_view_member (exec, "command"));
  if (command != NULL && runtime->ops->exec_sync (runtime->state, id, command, limit_us, &out, &err, &code, cancellable, &problem)
      && code == 0)
    return TRUE;
  g_autofree char *shown = shown_command (cube_view_member (exec, "command"));
  g_autoptr (GString) output = g_string_new (NULL);
  if (out != NULL)
    g_string_append_len (output, g_bytes_get_data (out, NULL), (gssize) g_bytes_get_size (out));
  if (err != NULL)
    g_string_append_len (output, g_bytes_get_data (err, NULL), (gssize) g_bytes_get_size (err));
  g_autofree char *valid = g_utf8_make_valid (output->str, (gssize) output->len);
  g_autofree char *why =
      problem != NULL ? g_strdup (problem->message) : g_strdup_printf ("command '%s' exited with %d: %s", shown, code, valid);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL,
               "Exec lifecycle hook (%s) for Container \"%s\" in Pod \"%s\" failed - error: %s, message: \"%s\"", shown, container, pod,
               why, valid);
  return FALSE;
}

static gboolean
run_http (CubeView get, CubeView container, const char *name, const char *pod, char **ips, gint64 limit_us, GCancellable *cancellable,
          GError **error)
{
  const char *host = cube_view_get_string (get, "host"), *path = cube_view_string_or (cube_view_member (get, "path"), "/");
  g_autoptr (GError) problem = NULL;
  g_autofree char *body = NULL;
  gboolean is_foreign;
  guint status;
  NodeHttpRequest request = { .scheme = cube_view_get_string (get, "scheme"),
                              .host = host != NULL && *host != '\0' ? host
                                      : ips != NULL                 ? ips[0]
                                                                    : NULL,
                              .path = path,
                              .headers = cube_view_member (get, "httpHeaders"),
                              .user_agent = "kube-lifecycle/1.36",
                              .timeout_us = limit_us > 0 ? limit_us : 60 * G_USEC_PER_SEC,
                              .cancellable = cancellable };
  if (request.host == NULL)
    g_set_error (&problem, CUBE_ERROR, CUBE_ERROR_INVALID, "failed to find networking container: pod has no address");
  else if (node_port_resolve (cube_view_member (get, "port"), container, &request.port, &problem)
           && node_http_get (&request, &status, &body, &is_foreign, &problem))
    return TRUE;
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "HTTP lifecycle hook (%s) for Container \"%s\" in Pod \"%s\" failed - error: %s",
               path, name, pod, problem->message);
  return FALSE;
}

gboolean
node_hook_run (NodeAgent *agent, const NodeRuntime *runtime, CubeView handler, CubeView container, const char *container_name,
               const char *pod_name, const char *id, char **ips, gint64 limit_us, GCancellable *cancellable, GError **error)
{
  CubeView exec = cube_view_member (handler, "exec"), get = cube_view_member (handler, "httpGet"),
           sleep = cube_view_member (handler, "sleep"), tcp = cube_view_member (handler, "tcpSocket");
  if (cube_view_exists (exec))
    return run_exec (runtime, exec, container_name, pod_name, id, limit_us, cancellable, error);
  if (cube_view_exists (get))
    return run_http (get, container, container_name, pod_name, ips, limit_us, cancellable, error);
  if (cube_view_exists (sleep))
    {
      gint64 seconds = cube_view_get_int (sleep, 0, "seconds"), delay_us = seconds * G_USEC_PER_SEC;
      if (wait_for (agent, limit_us > 0 ? MIN (delay_us, limit_us) : delay_us, cancellable))
        return TRUE;
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL,
                   "Sleep lifecycle hook (%" G_GINT64_FORMAT
                   ") for Container \"%s\" in Pod \"%s\" failed - error: container terminated before sleep hook finished",
                   seconds, container_name, pod_name);
      return FALSE;
    }
  if (cube_view_exists (tcp))
    return TRUE; /* of old, and never did anything: kubelet too accepts and ignores it */
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "invalid handler: it names no exec, httpGet or sleep");
  return FALSE;
}
