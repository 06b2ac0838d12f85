/* SPDX-License-Identifier: Apache-2.0 */
/* Cells of workloads, services, storage and events. */
#include "table.h"

/* ---- workloads ---- */

static void
ready_of_desired (const CubeRow *row, const char *argument)
{
  cube_cell_format (row, "%" G_GINT64_FORMAT "/%" G_GINT64_FORMAT, cube_view_get_int (row->object, 0, "status", "readyReplicas"),
                    cube_view_int (cube_row_path (row->object, argument), 0));
}

static gboolean
has_condition (CubeView object, const char *type)
{
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, cube_view_get (object, "status", "conditions")); cube_iter_next (&it, NULL, &v);)
    if (g_strcmp0 (cube_view_get_string (v, "type"), type) == 0 && g_strcmp0 (cube_view_get_string (v, "status"), "True") == 0)
      return TRUE;
  return FALSE;
}

static void
job_status (const CubeRow *row, const char *argument)
{
  static const char *const conditions[][2] = { { "Complete", "Complete" }, { "Failed", "Failed" } };
  static const char *const later[][2] = { { "Suspended", "Suspended" },
                                          { "FailureTarget", "FailureTarget" },
                                          { "SuccessCriteriaMet", "SuccessCriteriaMet" } };
  for (guint i = 0; i < G_N_ELEMENTS (conditions); i++)
    if (has_condition (row->object, conditions[i][0]))
      {
        cube_cell_string (row, conditions[i][1]);
        return;
      }
  if (cube_view_get_string (row->object, "metadata", "deletionTimestamp") != NULL)
    {
      cube_cell_string (row, "Terminating");
      return;
    }
  for (guint i = 0; i < G_N_ELEMENTS (later); i++)
    if (has_condition (row->object, later[i][0]))
      {
        cube_cell_string (row, later[i][1]);
        return;
      }
  cube_cell_string (row, "Running");
}

static void
job_completions (const CubeRow *row, const char *argument)
{
  CubeView completions = cube_view_get (row->object, "spec", "completions");
  gint64 parallelism = cube_view_get_int (row->object, 0, "spec", "parallelism");
  gint64 succeeded = cube_view_get_int (row->object, 0, "status", "succeeded");
  if (cube_view_exists (completions))
    cube_cell_format (row, "%" G_GINT64_FORMAT "/%" G_GINT64_FORMAT, succeeded, cube_view_int (completions, 0));
  else if (parallelism > 1)
    cube_cell_format (row, "%" G_GINT64_FORMAT "/1 of %" G_GINT64_FORMAT, succeeded, parallelism);
  else
    cube_cell_format (row, "%" G_GINT64_FORMAT "/1", succeeded);
}

static void
job_duration (const CubeRow *row, const char *argument)
{
  const char *start = cube_view_get_string (row->object, "status", "startTime");
  const char *end = cube_view_get_string (row->object, "status", "completionTime");
  gint64 from, to;
  char text[32] = "";
  if (start != NULL && cube_time_parse (start, &from))
    cube_duration_human ((end != NULL && cube_time_parse (end, &to) ? to : row->now_us) - from, text);
  cube_cell_string (row, text);
}

static void
controller (const CubeRow *row, const char *argument)
{
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, cube_view_get (row->object, "metadata", "ownerReferences")); cube_iter_next (&it, NULL, &v);)
    {
      if (!cube_view_get_bool (v, FALSE, "controller"))
        continue;
      const char *api_version = cube_view_string_or (cube_view_member (v, "apiVersion"), ""), *slash = strchr (api_version, '/');
      g_autofree char *kind = g_ascii_strdown (cube_view_string_or (cube_view_member (v, "kind"), ""), -1);
      g_autofree char *group = slash == NULL ? g_strdup ("") : g_strndup (api_version, (gsize) (slash - api_version));
      cube_cell_format (row, "%s%s%s/%s", kind, *group != '\0' ? "." : "", group, cube_view_string_or (cube_view_member (v, "name"), ""));
      return;
    }
  cube_cell_string (row, "<none>");
}

/* ---- services ---- */

static void
service_cluster_ip (const CubeRow *row, const char *argument)
{
  const char *first = cube_view_string (cube_view_element (cube_view_get (row->object, "spec", "clusterIPs"), 0));
  cube_cell_or (row, first != NULL ? first : cube_view_get_string (row->object, "spec", "clusterIP"), "<none>");
}

static char *
balancer_addresses (CubeView status)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new ();
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, cube_view_get (status, "loadBalancer", "ingress")); cube_iter_next (&it, NULL, &v);)
    {
      const char *ip = cube_view_get_string (v, "ip"), *name = cube_view_get_string (v, "hostname");
      const char *text = ip != NULL && *ip != '\0' ? ip : name;
      if (text != NULL && *text != '\0')
        g_ptr_array_add (list, (gpointer) text);
    }
  g_ptr_array_add (list, NULL);
  return g_strjoinv (",", (char **) list->pdata);
}

static void
service_external_ip (const CubeRow *row, const char *argument)
{
  const char *type = cube_view_string_or (cube_view_get (row->object, "spec", "type"), "ClusterIP");
  g_autofree char *ips = cube_join_strings (cube_view_get (row->object, "spec", "externalIPs"), ",");
  if (strcmp (type, "ExternalName") == 0)
    {
      cube_cell_string (row, cube_view_get_string (row->object, "spec", "externalName"));
    }
  else if (strcmp (type, "LoadBalancer") == 0)
    {
      g_autofree char *addresses = balancer_addresses (cube_view_member (row->object, "status"));
      g_autofree char *both = g_strconcat (addresses, *addresses != '\0' && *ips != '\0' ? "," : "", ips, NULL);
      cube_cell_or (row, both, "<pending>");
    }
  else
    {
      cube_cell_or (row, ips, "<none>");
    }
}

static void
service_ports (const CubeRow *row, const char *argument)
{
  g_autoptr (GString) text = g_string_new (NULL);
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, cube_view_get (row->object, "spec", "ports")); cube_iter_next (&it, NULL, &v);)
    {
      gint64 node_port = cube_view_get_int (v, 0, "nodePort");
      g_string_append_printf (text, "%s%" G_GINT64_FORMAT, text->len > 0 ? "," : "", cube_view_get_int (v, 0, "port"));
      if (node_port > 0)
        g_string_append_printf (text, ":%" G_GINT64_FORMAT, node_port);
      g_string_append_printf (text, "/%s", cube_view_string_or (cube_view_member (v, "protocol"), "TCP"));
    }
  cube_cell_or (row, text->str, "<none>");
}

static void
ingress_hosts (const CubeRow *row, const char *argument)
{
  g_autoptr (GString) text = g_string_new (NULL);
  CubeIter it;
  CubeView v;
  guint n = 0, more = 0;
  for (cube_iter_init (&it, cube_view_get (row->object, "spec", "rules")); cube_iter_next (&it, NULL, &v);)
    {
      const char *host = cube_view_get_string (v, "host");
      if (host == NULL || *host == '\0')
        continue;
      if (n++ < 3)
        g_string_append_printf (text, "%s%s", text->len > 0 ? "," : "", host);
      else
        more++;
    }
  if (more > 0)
    g_string_append_printf (text, " + %u more...", more);
  cube_cell_or (row, text->str, "*");
}

static void
ingress_address (const CubeRow *row, const char *argument)
{
  g_autofree char *text = balancer_addresses (cube_view_member (row->object, "status"));
  cube_cell_string (row, text);
}

static void
ingress_ports (const CubeRow *row, const char *argument)
{
  cube_cell_string (row, cube_view_length (cube_view_get (row->object, "spec", "tls")) > 0 ? "80, 443" : "80");
}

static void
ingressclass_parameters (const CubeRow *row, const char *argument)
{
  CubeView parameters = cube_view_get (row->object, "spec", "parameters");
  const char *group = cube_view_get_string (parameters, "apiGroup");
  if (!cube_view_exists (parameters))
    {
      cube_cell_string (row, "<none>");
      return;
    }
  cube_cell_format (row, "%s%s%s/%s", cube_view_string_or (cube_view_member (parameters, "kind"), ""), group != NULL ? "." : "",
                    group != NULL ? group : "", cube_view_string_or (cube_view_member (parameters, "name"), ""));
}

/* address:port of every ready endpoint, three of them. */
static void
endpoints (const CubeRow *row, const char *argument)
{
  g_autoptr (GString) text = g_string_new (NULL);
  guint n = 0;
  CubeIter subsets;
  CubeView subset;
  for (cube_iter_init (&subsets, cube_view_member (row->object, "subsets")); cube_iter_next (&subsets, NULL, &subset);)
    {
      CubeView ports = cube_view_member (subset, "ports");
      guint n_ports = cube_view_length (ports);
      CubeIter addresses;
      CubeView address;
      for (guint p = 0; p < MAX (n_ports, 1); p++)
        for (cube_iter_init (&addresses, cube_view_member (subset, "addresses")); cube_iter_next (&addresses, NULL, &address);)
          {
            const char *ip = cube_view_string_or (cube_view_member (address, "ip"), "");
            if (n++ >= 3)
              continue;
            g_string_append_printf (text, "%s%s", text->len > 0 ? "," : "", ip);
            if (n_ports > 0)
              g_string_append_printf (text, ":%" G_GINT64_FORMAT, cube_view_get_int (cube_view_element (ports, p), 0, "port"));
          }
    }
  if (n > 3)
    g_string_append_printf (text, " + %u more...", n - 3);
  cube_cell_or (row, text->str, "<none>");
}

static void
limited_list (const CubeRow *row, GPtrArray *items, const char *empty)
{
  g_autoptr (GString) text = g_string_new (NULL);
  for (guint i = 0; i < items->len && i < 3; i++)
    g_string_append_printf (text, "%s%s", i > 0 ? "," : "", (const char *) items->pdata[i]);
  if (items->len > 3)
    g_string_append_printf (text, " + %u more...", items->len - 3);
  cube_cell_or (row, text->str, empty);
}

static void
slice_ports (const CubeRow *row, const char *argument)
{
  g_autoptr (GPtrArray) items = g_ptr_array_new_with_free_func (g_free);
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, cube_view_member (row->object, "ports")); cube_iter_next (&it, NULL, &v);)
    {
      const char *name = cube_view_get_string (v, "name");
      CubeView port = cube_view_member (v, "port");
      if (cube_view_exists (port))
        g_ptr_array_add (items, g_strdup_printf ("%" G_GINT64_FORMAT, cube_view_int (port, 0)));
      else
        g_ptr_array_add (items, g_strdup (name != NULL && *name != '\0' ? name : "*"));
    }
  limited_list (row, items, "<unset>");
}

static void
slice_endpoints (const CubeRow *row, const char *argument)
{
  g_autoptr (GPtrArray) items = g_ptr_array_new ();
  CubeIter it, addresses;
  CubeView v, address;
  for (cube_iter_init (&it, cube_view_member (row->object, "endpoints")); cube_iter_next (&it, NULL, &v);)
    for (cube_iter_init (&addresses, cube_view_member (v, "addresses")); cube_iter_next (&addresses, NULL, &address);)
      g_ptr_array_add (items, (gpointer) cube_view_string_or (address, ""));
  limited_list (row, items, "<unset>");
}

/* ---- storage ---- */

static void
append_access_modes (GString *text, CubeView modes)
{
  static const char *const names[][2] = {
    { "ReadWriteOnce", "RWO" }, { "ReadOnlyMany", "ROX" }, { "ReadWriteMany", "RWX" }, { "ReadWriteOncePod", "RWOP" }
  };
  for (guint n = 0; n < G_N_ELEMENTS (names); n++)
    for (guint i = 0; i < cube_view_length (modes); i++)
      if (g_strcmp0 (cube_view_string (cube_view_element (modes, i)), names[n][0]) == 0)
        {
          g_string_append_printf (text, "%s%s", text->len > 0 ? "," : "", names[n][1]);
          break;
        }
}

static void
access_modes (const CubeRow *row, const char *argument)
{
  g_autoptr (GString) text = g_string_new (NULL);
  append_access_modes (text, cube_row_path (row->object, argument));
  cube_cell_string (row, text->str);
}

static gboolean
is_bound (const CubeRow *row)
{
  const char *volume = cube_view_get_string (row->object, "spec", "volumeName");
  return volume != NULL && *volume != '\0';
}

static void
claim_access_modes (const CubeRow *row, const char *argument)
{
  g_autoptr (GString) text = g_string_new (NULL);
  if (is_bound (row))
    append_access_modes (text, cube_view_get (row->object, "status", "accessModes"));
  cube_cell_string (row, text->str);
}

static void
claim_capacity (const CubeRow *row, const char *argument)
{
  cube_cell_string (row, is_bound (row) ? cube_view_string_or (cube_view_get (row->object, "status", "capacity", "storage"), "0") : "");
}

static void
phase_terminating (const CubeRow *row, const char *argument)
{
  gboolean deleted = cube_view_get_string (row->object, "metadata", "deletionTimestamp") != NULL;
  cube_cell_string (row, deleted ? "Terminating" : cube_view_get_string (row->object, "status", "phase"));
}

static void
volume_claim (const CubeRow *row, const char *argument)
{
  CubeView claim = cube_view_get (row->object, "spec", "claimRef");
  if (!cube_view_exists (claim))
    cube_cell_string (row, "");
  else
    cube_cell_format (row, "%s/%s", cube_view_string_or (cube_view_member (claim, "namespace"), ""),
                      cube_view_string_or (cube_view_member (claim, "name"), ""));
}

static void
storage_class (const CubeRow *row, const char *argument)
{
  const char *annotated = cube_view_get_string (row->object, "metadata", "annotations", "volume.beta.kubernetes.io/storage-class");
  cube_cell_string (row, annotated != NULL ? annotated : cube_view_get_string (row->object, "spec", "storageClassName"));
}

/* ---- events ---- */

static const char *
first_of (const char *a, const char *b)
{
  return a != NULL && *a != '\0' ? a : b;
}

static void
event_last_seen (const CubeRow *row, const char *argument)
{
  const char *series = cube_view_get_string (row->object, "series", "lastObservedTime");
  const char *last =
      first_of (cube_view_get_string (row->object, "lastTimestamp"), cube_view_get_string (row->object, "deprecatedLastTimestamp"));
  const char *first =
      first_of (cube_view_get_string (row->object, "firstTimestamp"), cube_view_get_string (row->object, "deprecatedFirstTimestamp"));
  char text[32];
  cube_age_text (row, first_of (series, first_of (last, first_of (first, cube_view_get_string (row->object, "eventTime")))), text);
  cube_cell_string (row, text);
}

static void
event_first_seen (const CubeRow *row, const char *argument)
{
  const char *first =
      first_of (cube_view_get_string (row->object, "firstTimestamp"), cube_view_get_string (row->object, "deprecatedFirstTimestamp"));
  char text[32];
  cube_age_text (row, first_of (first, cube_view_get_string (row->object, "eventTime")), text);
  cube_cell_string (row, text);
}

static CubeView
event_target (const CubeRow *row)
{
  CubeView target = cube_view_member (row->object, "involvedObject");
  return cube_view_exists (target) ? target : cube_view_member (row->object, "regarding");
}

static void
event_object (const CubeRow *row, const char *argument)
{
  CubeView target = event_target (row);
  const char *name = cube_view_get_string (target, "name");
  g_autofree char *kind = g_ascii_strdown (cube_view_string_or (cube_view_member (target, "kind"), ""), -1);
  cube_cell_format (row, "%s%s%s", kind, name != NULL && *name != '\0' ? "/" : "", name != NULL ? name : "");
}

static void
event_subobject (const CubeRow *row, const char *argument)
{
  cube_cell_string (row, cube_view_get_string (event_target (row), "fieldPath"));
}

static void
event_source (const CubeRow *row, const char *argument)
{
  CubeView source = cube_view_member (row->object, "source");
  if (!cube_view_exists (source))
    source = cube_view_member (row->object, "deprecatedSource");
  const char *component = cube_view_get_string (source, "component"), *host = cube_view_get_string (source, "host");
  const char *reporter =
      first_of (cube_view_get_string (row->object, "reportingComponent"), cube_view_get_string (row->object, "reportingController"));
  component = first_of (component, reporter);
  host = first_of (host, cube_view_get_string (row->object, "reportingInstance"));
  g_autofree char *text = host != NULL && *host != '\0' ? g_strjoin (", ", component == NULL ? "" : component, host, NULL)
                                                        : g_strdup (component == NULL ? "" : component);
  cube_cell_string (row, text);
}

static void
event_message (const CubeRow *row, const char *argument)
{
  g_autofree char *text = g_strdup (first_of (cube_view_get_string (row->object, "message"), cube_view_get_string (row->object, "note")));
  cube_cell_string (row, text == NULL ? "" : g_strstrip (text));
}

static void
event_count (const CubeRow *row, const char *argument)
{
  gint64 count = cube_view_get_int (row->object, 0, "series", "count");
  if (count == 0)
    count = cube_view_get_int (row->object, cube_view_get_int (row->object, 1, "deprecatedCount"), "count");
  g_string_append_printf (row->out, "%" G_GINT64_FORMAT, MAX (count, 1));
}

const CubeCellEntry cube_cells_kind[] = {
  { "ready", ready_of_desired },
  { "job-status", job_status },
  { "job-completions", job_completions },
  { "job-duration", job_duration },
  { "controller", controller },
  { "service-cluster-ip", service_cluster_ip },
  { "service-external-ip", service_external_ip },
  { "service-ports", service_ports },
  { "ingress-hosts", ingress_hosts },
  { "ingress-address", ingress_address },
  { "ingress-ports", ingress_ports },
  { "ingressclass-parameters", ingressclass_parameters },
  { "endpoints", endpoints },
  { "slice-ports", slice_ports },
  { "slice-endpoints", slice_endpoints },
  { "access-modes", access_modes },
  { "claim-access-modes", claim_access_modes },
  { "claim-capacity", claim_capacity },
  { "phase-terminating", phase_terminating },
  { "volume-claim", volume_claim },
  { "storage-class", storage_class },
  { "event-last-seen", event_last_seen },
  { "event-first-seen", event_first_seen },
  { "event-object", event_object },
  { "event-subobject", event_subobject },
  { "event-source", event_source },
  { "event-message", event_message },
  { "event-count", event_count },
  { NULL, NULL },
};
