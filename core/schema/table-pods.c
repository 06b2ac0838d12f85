/* SPDX-License-Identifier: Apache-2.0 */
/* Cells of pods and nodes. The order of the rules of STATUS follows Kubernetes' printer. */
#include "table.h"

typedef struct {
  guint total, ready;
  gint64 restarts, sidecar_restarts;
  const char *last_restart; /* RFC 3339; times compare as text */
  const char *last_sidecar_restart;
  char reason[256];
} PodSummary;

static CubeView
find_named (CubeView list, const char *name)
{
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &v);)
    if (g_strcmp0 (cube_view_get_string (v, "name"), name) == 0)
      return v;
  return cube_view_none ();
}

static gboolean
is_sidecar (CubeView container)
{
  return g_strcmp0 (cube_view_get_string (container, "restartPolicy"), "Always") == 0;
}

static void
note_restart (const char **last, CubeView status)
{
  const char *at = cube_view_get_string (status, "lastState", "terminated", "finishedAt");
  if (at != NULL && (*last == NULL || strcmp (at, *last) > 0))
    *last = at;
}

static void
termination_reason (PodSummary *summary, CubeView terminated, const char *prefix)
{
  const char *reason = cube_view_get_string (terminated, "reason");
  gint64 signal = cube_view_get_int (terminated, 0, "signal");
  if (reason != NULL && *reason != '\0')
    g_snprintf (summary->reason, sizeof summary->reason, "%s%s", prefix, reason);
  else if (signal != 0)
    g_snprintf (summary->reason, sizeof summary->reason, "%sSignal:%" G_GINT64_FORMAT, prefix, signal);
  else
    g_snprintf (summary->reason, sizeof summary->reason, "%sExitCode:%" G_GINT64_FORMAT, prefix,
                cube_view_get_int (terminated, 0, "exitCode"));
}

/* TRUE while an init container keeps the others from starting. */
static gboolean
summarize_init (PodSummary *summary, CubeView spec, CubeView status)
{
  CubeView containers = cube_view_member (spec, "initContainers");
  CubeIter it;
  CubeView v;
  guint index = 0, n = cube_view_length (containers);
  for (cube_iter_init (&it, cube_view_member (status, "initContainerStatuses")); cube_iter_next (&it, NULL, &v); index++)
    {
      CubeView container = find_named (containers, cube_view_get_string (v, "name"));
      CubeView terminated = cube_view_get (v, "state", "terminated"), waiting = cube_view_get (v, "state", "waiting");
      gint64 restarts = cube_view_get_int (v, 0, "restartCount");
      summary->restarts += restarts;
      note_restart (&summary->last_restart, v);
      gboolean sidecar = is_sidecar (container);
      if (sidecar)
        {
          summary->sidecar_restarts += restarts;
          note_restart (&summary->last_sidecar_restart, v);
        }
      if (cube_view_exists (terminated) && cube_view_get_int (terminated, 0, "exitCode") == 0)
        continue;
      if (sidecar && cube_view_get_bool (v, FALSE, "started"))
        {
          summary->ready += cube_view_get_bool (v, FALSE, "ready") ? 1 : 0;
          continue;
        }
      const char *why = cube_view_get_string (waiting, "reason");
      if (cube_view_exists (terminated))
        termination_reason (summary, terminated, "Init:");
      else if (why != NULL && *why != '\0' && strcmp (why, "PodInitializing") != 0)
        g_snprintf (summary->reason, sizeof summary->reason, "Init:%s", why);
      else
        g_snprintf (summary->reason, sizeof summary->reason, "Init:%u/%u", index, n);
      return TRUE;
    }
  return FALSE;
}

static void
summarize_containers (PodSummary *summary, CubeView status)
{
  CubeView statuses = cube_view_member (status, "containerStatuses"), terminated_badly = cube_view_none ();
  gboolean has_running = FALSE;
  summary->restarts = summary->sidecar_restarts;
  summary->last_restart = summary->last_sidecar_restart;
  for (guint i = cube_view_length (statuses); i-- > 0;)
    {
      CubeView v = cube_view_element (statuses, i), terminated = cube_view_get (v, "state", "terminated");
      const char *waiting = cube_view_get_string (v, "state", "waiting", "reason");
      summary->restarts += cube_view_get_int (v, 0, "restartCount");
      note_restart (&summary->last_restart, v);
      if (waiting != NULL && *waiting != '\0')
        {
          g_strlcpy (summary->reason, waiting, sizeof summary->reason);
        }
      else if (cube_view_exists (terminated))
        {
          termination_reason (summary, terminated, "");
          if (cube_view_get_int (terminated, 0, "exitCode") != 0)
            terminated_badly = terminated;
        }
      else if (cube_view_get_bool (v, FALSE, "ready") && cube_view_exists (cube_view_get (v, "state", "running")))
        {
          has_running = TRUE;
          summary->ready++;
        }
    }
  if (strcmp (summary->reason, "Completed") != 0)
    return;
  if (has_running && cube_condition_is_true (status, "Ready"))
    g_strlcpy (summary->reason, "Running", sizeof summary->reason);
  else if (cube_view_exists (terminated_badly))
    termination_reason (summary, terminated_badly, "");
  else if (has_running)
    g_strlcpy (summary->reason, "NotReady", sizeof summary->reason);
}

static void
summarize (const CubeRow *row, PodSummary *summary)
{
  CubeView spec = cube_view_member (row->object, "spec"), status = cube_view_member (row->object, "status");
  const char *phase = cube_view_string_or (cube_view_member (status, "phase"), ""), *reason = cube_view_get_string (status, "reason");
  memset (summary, 0, sizeof *summary);
  g_strlcpy (summary->reason, reason != NULL && *reason != '\0' ? reason : phase, sizeof summary->reason);
  if (g_strcmp0 (cube_view_get_string (cube_condition_find (status, "PodScheduled"), "reason"), "SchedulingGated") == 0)
    g_strlcpy (summary->reason, "SchedulingGated", sizeof summary->reason);

  summary->total = cube_view_length (cube_view_member (spec, "containers"));
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, cube_view_member (spec, "initContainers")); cube_iter_next (&it, NULL, &v);)
    summary->total += is_sidecar (v) ? 1 : 0;

  if (!summarize_init (summary, spec, status) || cube_condition_is_true (status, "Initialized"))
    summarize_containers (summary, status);
  if (cube_view_get_string (row->object, "metadata", "deletionTimestamp") == NULL)
    return;
  if (g_strcmp0 (reason, "NodeLost") == 0)
    g_strlcpy (summary->reason, "Unknown", sizeof summary->reason);
  else if (strcmp (phase, "Succeeded") != 0 && strcmp (phase, "Failed") != 0)
    g_strlcpy (summary->reason, "Terminating", sizeof summary->reason);
}

static void
pod_ready (const CubeRow *row, const char *argument)
{
  PodSummary summary;
  summarize (row, &summary);
  cube_cell_format (row, "%u/%u", summary.ready, summary.total);
}

static void
pod_status (const CubeRow *row, const char *argument)
{
  PodSummary summary;
  summarize (row, &summary);
  cube_cell_string (row, summary.reason);
}

static void
pod_restarts (const CubeRow *row, const char *argument)
{
  PodSummary summary;
  summarize (row, &summary);
  if (summary.restarts == 0 || summary.last_restart == NULL)
    {
      cube_cell_format (row, "%" G_GINT64_FORMAT, summary.restarts);
      return;
    }
  char age[32];
  cube_age_text (row, summary.last_restart, age);
  cube_cell_format (row, "%" G_GINT64_FORMAT " (%s ago)", summary.restarts, age);
}

static void
pod_ip (const CubeRow *row, const char *argument)
{
  CubeView first = cube_view_element (cube_view_get (row->object, "status", "podIPs"), 0);
  const char *ip = cube_view_get_string (first, "ip");
  cube_cell_or (row, ip != NULL ? ip : cube_view_get_string (row->object, "status", "podIP"), "<none>");
}

static void
pod_gates (const CubeRow *row, const char *argument)
{
  CubeView gates = cube_view_get (row->object, "spec", "readinessGates"), status = cube_view_member (row->object, "status");
  guint n = cube_view_length (gates), met = 0;
  for (guint i = 0; i < n; i++)
    met += cube_condition_is_true (status, cube_view_get_string (cube_view_element (gates, i), "conditionType")) ? 1 : 0;
  if (n == 0)
    cube_cell_string (row, "<none>");
  else
    cube_cell_format (row, "%u/%u", met, n);
}

/* ---- nodes ---- */

static void
node_status (const CubeRow *row, const char *argument)
{
  CubeView ready = cube_condition_find (cube_view_member (row->object, "status"), "Ready");
  const char *text = !cube_view_exists (ready)                                         ? "Unknown"
                     : g_strcmp0 (cube_view_get_string (ready, "status"), "True") == 0 ? "Ready"
                                                                                       : "NotReady";
  gboolean cordoned = cube_view_get_bool (row->object, FALSE, "spec", "unschedulable");
  cube_cell_format (row, "%s%s", text, cordoned ? ",SchedulingDisabled" : "");
}

static int
compare_text (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

static void
node_roles (const CubeRow *row, const char *argument)
{
  g_autoptr (GPtrArray) roles = g_ptr_array_new ();
  CubeIter it;
  const char *key, *prefix = "node-role.kubernetes.io/";
  CubeView v;
  for (cube_iter_init (&it, cube_view_get (row->object, "metadata", "labels")); cube_iter_next (&it, &key, &v);)
    {
      const char *role = NULL;
      if (g_str_has_prefix (key, prefix))
        role = key + strlen (prefix);
      else if (strcmp (key, "kubernetes.io/role") == 0)
        role = cube_view_string (v);
      if (role != NULL && *role != '\0' && !g_ptr_array_find_with_equal_func (roles, role, g_str_equal, NULL))
        g_ptr_array_add (roles, (gpointer) role);
    }
  g_ptr_array_sort (roles, compare_text);
  g_ptr_array_add (roles, NULL);
  g_autofree char *text = g_strjoinv (",", (char **) roles->pdata);
  cube_cell_or (row, text, "<none>");
}

static void
node_address (const CubeRow *row, const char *argument)
{
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, cube_view_get (row->object, "status", "addresses")); cube_iter_next (&it, NULL, &v);)
    if (g_strcmp0 (cube_view_get_string (v, "type"), argument) == 0)
      {
        cube_cell_string (row, cube_view_get_string (v, "address"));
        return;
      }
  cube_cell_string (row, "<none>");
}

const CubeCellEntry cube_cells_pod[] = {
  { "pod-ready", pod_ready },   { "pod-status", pod_status },     { "pod-restarts", pod_restarts },
  { "pod-ip", pod_ip },         { "pod-gates", pod_gates },       { "node-status", node_status },
  { "node-roles", node_roles }, { "node-address", node_address }, { NULL, NULL },
};
