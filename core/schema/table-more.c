/* SPDX-License-Identifier: Apache-2.0 */
/* Cells of access control, certificates, quotas, autoscaling and the rest. */
#include "table.h"

/* ---- access control ---- */

static void
role_ref (const CubeRow *row, const char *argument)
{
  CubeView role = cube_view_member (row->object, "roleRef");
  cube_cell_format (row, "%s/%s", cube_view_string_or (cube_view_member (role, "kind"), ""),
                    cube_view_string_or (cube_view_member (role, "name"), ""));
}

static void
subjects (const CubeRow *row, const char *argument)
{
  g_autoptr (GString) text = g_string_new (NULL);
  gboolean is_account = strcmp (argument, "ServiceAccount") == 0;
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, cube_view_member (row->object, "subjects")); cube_iter_next (&it, NULL, &v);)
    {
      if (g_strcmp0 (cube_view_get_string (v, "kind"), argument) != 0)
        continue;
      const char *name = cube_view_string_or (cube_view_member (v, "name"), "");
      g_string_append (text, text->len > 0 ? ", " : "");
      if (is_account)
        g_string_append_printf (text, "%s/", cube_view_string_or (cube_view_member (v, "namespace"), ""));
      g_string_append (text, name);
    }
  cube_cell_string (row, text->str);
}

/* ---- certificates ---- */

static void
csr_duration (const CubeRow *row, const char *argument)
{
  CubeView seconds = cube_view_get (row->object, "spec", "expirationSeconds");
  char text[32] = "<none>";
  if (cube_view_exists (seconds))
    cube_duration_human (cube_view_int (seconds, 0) * G_USEC_PER_SEC, text);
  cube_cell_string (row, text);
}

static void
csr_condition (const CubeRow *row, const char *argument)
{
  gboolean approved = FALSE, denied = FALSE, failed = FALSE;
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, cube_view_get (row->object, "status", "conditions")); cube_iter_next (&it, NULL, &v);)
    {
      const char *type = cube_view_string_or (cube_view_member (v, "type"), "");
      approved |= strcmp (type, "Approved") == 0;
      denied |= strcmp (type, "Denied") == 0;
      failed |= strcmp (type, "Failed") == 0;
    }
  gboolean issued = cube_view_string_length (cube_view_get (row->object, "status", "certificate")) > 0;
  cube_cell_format (row, "%s%s%s",
                    denied     ? "Denied"
                    : approved ? "Approved"
                    : failed   ? ""
                               : "Pending",
                    failed ? (denied || approved ? ",Failed" : "Failed") : "", issued ? ",Issued" : "");
}

/* ---- quotas ---- */

static int
compare_text (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

static void
quota_cells (const CubeRow *row, gboolean limits)
{
  CubeView hard = cube_view_get (row->object, "status", "hard"), used = cube_view_get (row->object, "status", "used");
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func (g_free);
  CubeIter it;
  const char *key;
  CubeView v;
  for (cube_iter_init (&it, hard); cube_iter_next (&it, &key, &v);)
    if ((strstr (key, "limits") != NULL) == limits)
      g_ptr_array_add (
          list, g_strdup_printf ("%s: %s/%s", key, cube_view_string_or (cube_view_member (used, key), "0"), cube_view_string_or (v, "0")));
  g_ptr_array_sort (list, compare_text);
  g_ptr_array_add (list, NULL);
  g_autofree char *text = g_strjoinv (", ", (char **) list->pdata);
  cube_cell_string (row, text);
}

static void
quota_requests (const CubeRow *row, const char *argument)
{
  quota_cells (row, FALSE);
}

static void
quota_limits (const CubeRow *row, const char *argument)
{
  quota_cells (row, TRUE);
}

/* ---- autoscaling ---- */

static void
autoscaler_reference (const CubeRow *row, const char *argument)
{
  CubeView target = cube_view_get (row->object, "spec", "scaleTargetRef");
  cube_cell_format (row, "%s/%s", cube_view_string_or (cube_view_member (target, "kind"), ""),
                    cube_view_string_or (cube_view_member (target, "name"), ""));
}

static void
append_metric (GString *text, CubeView spec, CubeView current)
{
  const char *type = cube_view_string_or (cube_view_member (spec, "type"), "");
  g_autofree char *source = g_ascii_strdown (type, -1);
  if (*type != '\0')
    source[0] = (char) g_ascii_tolower (type[0]);
  const char *member = strcmp (type, "ContainerResource") == 0 ? "containerResource" : source;
  CubeView metric = cube_view_member (spec, member), now = cube_view_get (current, member, "current");
  CubeView target = cube_view_member (metric, "target");
  const char *name = cube_view_get_string (metric, "name");
  if (name != NULL)
    g_string_append_printf (text, "%s: ", name);
  CubeView utilization = cube_view_member (target, "averageUtilization");
  if (cube_view_exists (utilization))
    {
      CubeView have = cube_view_member (now, "averageUtilization");
      if (cube_view_exists (have))
        g_string_append_printf (text, "%" G_GINT64_FORMAT "%%/", cube_view_int (have, 0));
      else
        g_string_append (text, "<unknown>/");
      g_string_append_printf (text, "%" G_GINT64_FORMAT "%%", cube_view_int (utilization, 0));
      return;
    }
  const char *average = cube_view_get_string (target, "averageValue"), *value = cube_view_get_string (target, "value");
  const char *have = cube_view_get_string (now, average != NULL ? "averageValue" : "value");
  g_string_append_printf (
      text, "%s/%s%s", have != NULL ? have : "<unknown>",
      average != NULL ? average
      : value != NULL ? value
                      : "<auto>",
      average != NULL && strcmp (type, "Pods") != 0 && strcmp (type, "Resource") != 0 && strcmp (type, "ContainerResource") != 0 ? " (avg)"
                                                                                                                                 : "");
}

static void
autoscaler_targets (const CubeRow *row, const char *argument)
{
  CubeView metrics = cube_view_get (row->object, "spec", "metrics"), current = cube_view_get (row->object, "status", "currentMetrics");
  g_autoptr (GString) text = g_string_new (NULL);
  CubeView percent = cube_view_get (row->object, "spec", "targetCPUUtilizationPercentage");
  if (cube_view_exists (percent))
    {
      CubeView have = cube_view_get (row->object, "status", "currentCPUUtilizationPercentage");
      if (cube_view_exists (have))
        g_string_append_printf (text, "cpu: %" G_GINT64_FORMAT "%%/", cube_view_int (have, 0));
      else
        g_string_append (text, "cpu: <unknown>/");
      g_string_append_printf (text, "%" G_GINT64_FORMAT "%%", cube_view_int (percent, 0));
    }
  guint n = cube_view_length (metrics);
  for (guint i = 0; i < n && i < 2; i++)
    {
      g_string_append (text, text->len > 0 ? ", " : "");
      append_metric (text, cube_view_element (metrics, i), cube_view_element (current, i));
    }
  if (n > 2)
    g_string_append_printf (text, " + %u more...", n - 2);
  cube_cell_or (row, text->str, "<none>");
}

/* ---- API machinery ---- */

static CubeView
condition_of (CubeView object, const char *type)
{
  CubeIter it;
  CubeView v, conditions = cube_view_get (object, "status", "conditions");
  for (cube_iter_init (&it, conditions); cube_iter_next (&it, NULL, &v);)
    if (g_strcmp0 (cube_view_get_string (v, "type"), type) == 0)
      return v;
  return cube_view_none ();
}

static void
apiservice_service (const CubeRow *row, const char *argument)
{
  CubeView service = cube_view_get (row->object, "spec", "service");
  if (!cube_view_exists (service))
    cube_cell_string (row, "Local");
  else
    cube_cell_format (row, "%s/%s", cube_view_string_or (cube_view_member (service, "namespace"), ""),
                      cube_view_string_or (cube_view_member (service, "name"), ""));
}

static void
apiservice_available (const CubeRow *row, const char *argument)
{
  CubeView available = condition_of (row->object, "Available");
  const char *status = cube_view_string_or (cube_view_member (available, "status"), "Unknown");
  const char *reason = cube_view_get_string (available, "reason");
  if (strcmp (status, "True") != 0 && reason != NULL && *reason != '\0')
    cube_cell_format (row, "%s (%s)", status, reason);
  else
    cube_cell_string (row, status);
}

static void
param_kind (const CubeRow *row, const char *argument)
{
  CubeView kind = cube_view_get (row->object, "spec", "paramKind");
  if (!cube_view_exists (kind))
    cube_cell_string (row, "<unset>");
  else
    cube_cell_format (row, "%s/%s", cube_view_string_or (cube_view_member (kind, "apiVersion"), ""),
                      cube_view_string_or (cube_view_member (kind, "kind"), ""));
}

static void
param_ref (const CubeRow *row, const char *argument)
{
  CubeView ref = cube_view_get (row->object, "spec", "paramRef");
  const char *name = cube_view_get_string (ref, "name"), *namespace = cube_view_get_string (ref, "namespace");
  if (!cube_view_exists (ref))
    cube_cell_string (row, "<unset>");
  else if (name == NULL || *name == '\0')
    cube_cell_string (row, "*");
  else
    cube_cell_format (row, "%s%s%s", namespace != NULL ? namespace : "", namespace != NULL ? "/" : "", name);
}

static void
flow_missing_level (const CubeRow *row, const char *argument)
{
  cube_cell_or (row, cube_view_get_string (condition_of (row->object, "Dangling"), "status"), "?");
}

static void
component_condition (const CubeRow *row, const char *field)
{
  CubeView healthy = cube_view_element (cube_view_member (row->object, "conditions"), 0);
  const char *status = cube_view_string_or (cube_view_member (healthy, "status"), "");
  if (field != NULL)
    cube_cell_string (row, cube_view_string (cube_view_member (healthy, field)));
  else
    cube_cell_string (row, strcmp (status, "True") == 0 ? "Healthy" : strcmp (status, "False") == 0 ? "Unhealthy" : "Unknown");
}

static void
component_status (const CubeRow *row, const char *argument)
{
  component_condition (row, NULL);
}

static void
component_message (const CubeRow *row, const char *argument)
{
  component_condition (row, "message");
}

static void
component_error (const CubeRow *row, const char *argument)
{
  component_condition (row, "error");
}

/* ---- devices and addresses ---- */

static void
claim_state (const CubeRow *row, const char *argument)
{
  gboolean deleted = cube_view_get_string (row->object, "metadata", "deletionTimestamp") != NULL;
  gboolean allocated = cube_view_exists (cube_view_get (row->object, "status", "allocation"));
  gboolean reserved = cube_view_length (cube_view_get (row->object, "status", "reservedFor")) > 0;
  g_autoptr (GString) text = g_string_new (NULL);
  if (deleted)
    g_string_append (text, "deleted");
  if (allocated)
    g_string_append (text, text->len > 0 ? ",allocated" : "allocated");
  if (reserved)
    g_string_append (text, text->len > 0 ? ",reserved" : "reserved");
  cube_cell_or (row, text->str, "pending");
}

static void
ip_parent (const CubeRow *row, const char *argument)
{
  CubeView ref = cube_view_get (row->object, "spec", "parentRef");
  const char *group = cube_view_string_or (cube_view_member (ref, "group"), "");
  const char *namespace = cube_view_string_or (cube_view_member (ref, "namespace"), "");
  if (!cube_view_exists (ref))
    cube_cell_string (row, "<none>");
  else
    cube_cell_format (row, "%s%s%s/%s%s%s", cube_view_string_or (cube_view_member (ref, "resource"), ""), *group != '\0' ? "." : "", group,
                      namespace, *namespace != '\0' ? "/" : "", cube_view_string_or (cube_view_member (ref, "name"), ""));
}

static void
csi_tokens (const CubeRow *row, const char *argument)
{
  g_autoptr (GString) text = g_string_new (NULL);
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, cube_view_get (row->object, "spec", "tokenRequests")); cube_iter_next (&it, NULL, &v);)
    g_string_append_printf (text, "%s%s", text->len > 0 ? "," : "", cube_view_string_or (cube_view_member (v, "audience"), ""));
  cube_cell_or (row, text->str, "<unset>");
}

const CubeCellEntry cube_cells_more[] = {
  { "role-ref", role_ref },
  { "subjects", subjects },
  { "csr-duration", csr_duration },
  { "csr-condition", csr_condition },
  { "quota-requests", quota_requests },
  { "quota-limits", quota_limits },
  { "autoscaler-reference", autoscaler_reference },
  { "autoscaler-targets", autoscaler_targets },
  { "apiservice-service", apiservice_service },
  { "apiservice-available", apiservice_available },
  { "param-kind", param_kind },
  { "param-ref", param_ref },
  { "flow-missing-level", flow_missing_level },
  { "component-status", component_status },
  { "component-message", component_message },
  { "component-error", component_error },
  { "claim-state", claim_state },
  { "ip-parent", ip_parent },
  { "csi-tokens", csi_tokens },
  { NULL, NULL },
};
