/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"
#include <arpa/inet.h>
#include <string.h>

Plan *
plan_new (Ledger *ledger, const char *owner, const char *name)
{
  Plan *plan = g_new0 (Plan, 1);

  plan->ledger = ledger;
  plan->owner = g_strdup (owner);
  plan->name = g_strdup (name);
  plan->ips = g_array_new (FALSE, FALSE, sizeof (guint32));
  plan->ports = g_array_new (FALSE, FALSE, sizeof (guint16));
  return plan;
}

void
plan_free (Plan *plan)
{
  g_array_unref (plan->ips);
  g_array_unref (plan->ports);
  g_free (plan->owner);
  g_free (plan->name);
  g_free (plan);
}

void
plan_undo (Plan *plan)
{
  for (guint i = 0; i < plan->ips->len && !plan->is_dry_run; i++)
    ledger_release_ip (plan->ledger, g_array_index (plan->ips, guint32, i), plan->owner);
  for (guint i = 0; i < plan->ports->len && !plan->is_dry_run; i++)
    ledger_release_port (plan->ledger, g_array_index (plan->ports, guint16, i), plan->owner);
  g_array_set_size (plan->ips, 0);
  g_array_set_size (plan->ports, 0);
}

/* ---- words ---- */

static gboolean invalid (Plan *plan, GError **error, const char *field, const char *value, const char *format, ...) G_GNUC_PRINTF (5, 6);

/* Service "web" is invalid: <field>: Invalid value: <value>: <text>. Always FALSE. */
static gboolean
invalid (Plan *plan, GError **error, const char *field, const char *value, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "Service \"%s\" is invalid: %s: Invalid value: %s: %s", plan->name, field, value,
               text);
  if (error != NULL)
    {
      cube_error_set_object (*error, "", "Service", plan->name);
      cube_error_add_cause (*error, "FieldValueInvalid", field, "Invalid value: %s: %s", value, text);
    }
  return FALSE;
}

static const char *
describe (LedgerResult result, gboolean is_port)
{
  if (result == LEDGER_FULL)
    return "range is full";
  return is_port ? "provided port is already allocated" : "provided IP is already allocated";
}

/* ---- reading services ---- */

static gboolean
type_has_ip (const char *type)
{
  return g_strcmp0 (type, "ClusterIP") == 0 || g_strcmp0 (type, "NodePort") == 0 || g_strcmp0 (type, "LoadBalancer") == 0;
}

static gboolean
has_node_ports (const char *type, gboolean is_balancer_allocating)
{
  return g_strcmp0 (type, "NodePort") == 0 || (g_strcmp0 (type, "LoadBalancer") == 0 && is_balancer_allocating);
}

static gboolean
needs_node_ports (CubeMut *spec)
{
  return has_node_ports (cube_mut_string (cube_mut_member (spec, "type")),
                         cube_mut_bool (cube_mut_member (spec, "allocateLoadBalancerNodePorts"), TRUE));
}

static gboolean
needs_health_check (const char *type, const char *policy)
{
  return g_strcmp0 (type, "LoadBalancer") == 0 && g_strcmp0 (policy, "Local") == 0;
}

static gboolean
is_unset (const char *text)
{
  return text == NULL || *text == '\0';
}

void
plan_each (CubeView service, PlanIpFunc on_ip, PlanPortFunc on_port, gpointer data)
{
  CubeView spec = cube_view_member (service, "spec"), item;
  const char *only = cube_view_get_string (spec, "clusterIP");
  CubeView list = cube_view_member (spec, "clusterIPs");
  gint64 health = cube_view_get_int (spec, 0, "healthCheckNodePort");
  struct in_addr address;
  CubeIter it;

  if (!type_has_ip (cube_view_get_string (spec, "type")))
    return;
  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &item);)
    if (inet_pton (AF_INET, cube_view_string_or (item, ""), &address) == 1)
      on_ip (ntohl (address.s_addr), data);
  if (cube_view_length (list) == 0 && only != NULL && inet_pton (AF_INET, only, &address) == 1)
    on_ip (ntohl (address.s_addr), data);
  for (cube_iter_init (&it, cube_view_member (spec, "ports")); cube_iter_next (&it, NULL, &item);)
    {
      gint64 port = cube_view_get_int (item, 0, "nodePort");

      if (port > 0 && port <= G_MAXUINT16)
        on_port ((guint16) port, data);
    }
  if (health > 0 && health <= G_MAXUINT16)
    on_port ((guint16) health, data);
}

/* ---- an update that leaves allocated values out keeps them ---- */

static gboolean
uses_port (CubeMut *ports, gint64 node_port)
{
  for (guint i = 0; i < cube_mut_length (ports); i++)
    if (cube_mut_int (cube_mut_member (cube_mut_element (ports, i), "nodePort"), 0) == node_port)
      return TRUE;
  return FALSE;
}

static void
keep_node_ports (CubeMut *ports, CubeView old_ports)
{
  for (guint i = 0; i < cube_mut_length (ports); i++)
    {
      CubeMut *port = cube_mut_element (ports, i);
      const char *name = cube_mut_string (cube_mut_member (port, "name"));
      gint64 before = 0;
      CubeView item;
      CubeIter it;

      if (cube_mut_int (cube_mut_member (port, "nodePort"), 0) != 0)
        continue;
      for (cube_iter_init (&it, old_ports); cube_iter_next (&it, NULL, &item);)
        if (g_str_equal (cube_view_string_or (cube_view_member (item, "name"), ""), name != NULL ? name : ""))
          before = cube_view_get_int (item, 0, "nodePort");
      if (before != 0 && !uses_port (ports, before))
        cube_mut_set_int (port, "nodePort", before);
    }
}

static void
keep_allocated (CubeMut *spec, CubeView old)
{
  const char *type = cube_mut_string (cube_mut_member (spec, "type")), *old_type = cube_view_get_string (old, "type");
  const char *old_ip = cube_view_get_string (old, "clusterIP");
  gboolean was_allocating = cube_view_get_bool (old, TRUE, "allocateLoadBalancerNodePorts");

  if (type_has_ip (type) && type_has_ip (old_type) && !is_unset (old_ip))
    {
      if (is_unset (cube_mut_string (cube_mut_member (spec, "clusterIP"))))
        cube_mut_set_string (spec, "clusterIP", old_ip);
      if (cube_mut_length (cube_mut_member (spec, "clusterIPs")) == 0
          && g_strcmp0 (cube_mut_string (cube_mut_member (spec, "clusterIP")), old_ip) == 0)
        cube_mut_set_view (spec, "clusterIPs", cube_view_member (old, "clusterIPs"));
    }
  if (needs_node_ports (spec) && has_node_ports (old_type, was_allocating))
    keep_node_ports (cube_mut_member (spec, "ports"), cube_view_member (old, "ports"));
  if (needs_health_check (type, cube_mut_string (cube_mut_member (spec, "externalTrafficPolicy")))
      && needs_health_check (old_type, cube_view_get_string (old, "externalTrafficPolicy"))
      && cube_mut_int (cube_mut_member (spec, "healthCheckNodePort"), 0) == 0 && cube_view_get_int (old, 0, "healthCheckNodePort") != 0)
    cube_mut_set_view (spec, "healthCheckNodePort", cube_view_member (old, "healthCheckNodePort"));
}

/* clusterIP and clusterIPs say the same: whichever the client wrote leads. */
static void
normalise_ips (CubeMut *spec, CubeView old)
{
  g_autofree char *ip = g_strdup (cube_mut_string (cube_mut_member (spec, "clusterIP")));
  CubeMut *list = cube_mut_member (spec, "clusterIPs");
  const char *first = cube_mut_string (cube_mut_element (list, 0)), *old_ip = cube_view_get_string (old, "clusterIP");

  if (is_unset (ip) && !is_unset (first) && !is_unset (old_ip) && cube_mut_equal_view (list, cube_view_member (old, "clusterIPs")))
    cube_mut_remove (spec, "clusterIPs"); /* the client emptied the old field only */
  else if (is_unset (ip) && !is_unset (first) && is_unset (old_ip))
    return; /* validation: clusterIPs without clusterIP */
  else if (!is_unset (ip)
           && (cube_mut_length (list) == 0
               || (g_strcmp0 (first, ip) != 0 && !is_unset (old_ip) && cube_mut_equal_view (list, cube_view_member (old, "clusterIPs")))))
    cube_mut_append_string (cube_mut_set_array (spec, "clusterIPs"), ip);
}

/* ---- families ---- */

static gboolean
set_families (Plan *plan, CubeMut *spec, GError **error)
{
  CubeMut *families = cube_mut_member (spec, "ipFamilies");
  const char *policy = cube_mut_string (cube_mut_member (spec, "ipFamilyPolicy"));
  gboolean is_headless = g_strcmp0 (cube_mut_string (cube_mut_member (spec, "clusterIP")), "None") == 0;

  if (is_headless && cube_mut_length (cube_mut_member (spec, "selector")) == 0)
    {
      /* Nobody's addresses are known here: any family may be served. */
      if (is_unset (policy))
        cube_mut_set_string (spec, "ipFamilyPolicy", cube_mut_length (families) == 1 ? "SingleStack" : "RequireDualStack");
      policy = cube_mut_string (cube_mut_member (spec, "ipFamilyPolicy"));
      families = cube_mut_ensure_array (spec, "ipFamilies");
      if (cube_mut_length (families) == 0)
        cube_mut_append_string (families, "IPv4");
      if (cube_mut_length (families) == 1 && !g_str_equal (policy, "SingleStack"))
        cube_mut_append_string (families, g_strcmp0 (cube_mut_string (cube_mut_element (families, 0)), "IPv4") == 0 ? "IPv6" : "IPv4");
      return TRUE;
    }
  if (g_strcmp0 (policy, "RequireDualStack") == 0)
    return invalid (plan, error, "spec.ipFamilyPolicy", "\"RequireDualStack\"", "this cluster is not configured for dual-stack services");
  for (guint i = 0; i < cube_mut_length (families); i++)
    if (g_strcmp0 (cube_mut_string (cube_mut_element (families, i)), "IPv6") == 0)
      {
        g_autofree char *field = g_strdup_printf ("spec.ipFamilies[%u]", i);

        return invalid (plan, error, field, "\"IPv6\"", "not configured on this cluster");
      }
  if (is_unset (policy))
    cube_mut_set_string (spec, "ipFamilyPolicy", "SingleStack");
  if (cube_mut_length (families) == 0)
    cube_mut_append_string (cube_mut_ensure_array (spec, "ipFamilies"), "IPv4");
  return TRUE;
}

/* ---- addresses ---- */

static gboolean
take_requested_ip (Plan *plan, const char *text, GError **error)
{
  g_autofree char *value = g_strdup_printf ("[\"%s\"]", text);
  struct in_addr address;
  gboolean is_new = FALSE;
  LedgerResult result;
  guint32 ip;

  if (inet_pton (AF_INET, text, &address) != 1)
    return TRUE; /* validation says what is wrong with it */
  ip = ntohl (address.s_addr);
  if (plan->is_kubernetes && !plan->is_dry_run)
    ledger_release_ip (plan->ledger, ip, PLAN_RESERVED_OWNER);
  result = ledger_take_ip (plan->ledger, ip, plan->owner, plan->is_dry_run, &is_new);
  if (result == LEDGER_OUTSIDE)
    return invalid (plan, error, "spec.clusterIPs", value,
                    "failed to allocate IP %s: the provided IP (%s) is not in the valid range. The range of valid IPs is %s", text, text,
                    ledger_cidr (plan->ledger));
  if (result != LEDGER_OK)
    return invalid (plan, error, "spec.clusterIPs", value, "failed to allocate IP %s: %s", text, describe (result, FALSE));
  if (is_new)
    g_array_append_val (plan->ips, ip);
  return TRUE;
}

static gboolean
pick_ip (Plan *plan, CubeMut *spec, GError **error)
{
  char text[INET_ADDRSTRLEN];
  struct in_addr address;
  guint32 ip = 0;

  if (ledger_pick_ip (plan->ledger, plan->random (plan->data), plan->owner, plan->is_dry_run, &ip) != LEDGER_OK)
    return invalid (plan, error, "spec.clusterIPs", "[]", "failed to allocate IP: %s", describe (LEDGER_FULL, FALSE));
  g_array_append_val (plan->ips, ip);
  address.s_addr = htonl (ip);
  inet_ntop (AF_INET, &address, text, sizeof text);
  cube_mut_set_string (spec, "clusterIP", text);
  cube_mut_append_string (cube_mut_set_array (spec, "clusterIPs"), text);
  return TRUE;
}

static gboolean
check_unchanged (Plan *plan, CubeMut *spec, CubeView old, GError **error)
{
  const char *ip = cube_mut_string (cube_mut_member (spec, "clusterIP")), *before = cube_view_get_string (old, "clusterIP");
  g_autoptr (GString) value = g_string_new (NULL);

  if (!type_has_ip (cube_view_get_string (old, "type")) || is_unset (before) || g_strcmp0 (ip, before) == 0)
    return TRUE;
  cube_mut_append_json (cube_mut_member (spec, "clusterIPs"), value);
  return invalid (plan, error, "spec.clusterIPs[0]", value->str, "may not change once set");
}

static gboolean
allocate_ips (Plan *plan, CubeMut *spec, CubeView old, GError **error)
{
  g_autofree char *ip = NULL;

  if (!check_unchanged (plan, spec, old, error))
    return FALSE;
  ip = g_strdup (cube_mut_string (cube_mut_member (spec, "clusterIP")));
  if (is_unset (ip))
    return cube_mut_length (cube_mut_member (spec, "clusterIPs")) > 0 || pick_ip (plan, spec, error);
  return g_str_equal (ip, "None") || take_requested_ip (plan, ip, error);
}

/* ---- ports ---- */

static gboolean
take_requested_port (Plan *plan, gint64 port, const char *field, GError **error)
{
  g_autofree char *value = g_strdup_printf ("%" G_GINT64_FORMAT, port);
  gboolean is_new = FALSE;
  LedgerResult result = LEDGER_OUTSIDE;
  guint16 number = (guint16) port;

  if (port > 0 && port <= G_MAXUINT16)
    result = ledger_take_port (plan->ledger, number, plan->owner, plan->is_dry_run, &is_new);
  if (result == LEDGER_OUTSIDE)
    return invalid (plan, error, field, value, "provided port is not in the valid range. The range of valid ports is %s",
                    ledger_port_range (plan->ledger));
  if (result != LEDGER_OK)
    return invalid (plan, error, field, value, "%s", describe (result, TRUE));
  if (is_new)
    g_array_append_val (plan->ports, number);
  return TRUE;
}

/* A port of this Service that has been chosen already, in a dry run. */
static gboolean
is_chosen (Plan *plan, guint16 port)
{
  for (guint i = 0; i < plan->ports->len; i++)
    if (g_array_index (plan->ports, guint16, i) == port)
      return TRUE;
  return FALSE;
}

static gboolean
pick_port (Plan *plan, guint16 *ret_port, GError **error)
{
  LedgerResult result = LEDGER_OK;

  do
    result = ledger_pick_port (plan->ledger, plan->random (plan->data), plan->owner, plan->is_dry_run, ret_port);
  while (result == LEDGER_OK && plan->is_dry_run && plan->ports->len < 64 && is_chosen (plan, *ret_port));
  if (result != LEDGER_OK)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "Internal error occurred: failed to allocate a nodePort: %s",
                   describe (result, TRUE));
      return FALSE;
    }
  g_array_append_val (plan->ports, *ret_port);
  return TRUE;
}

static int
protocol_number (CubeMut *port)
{
  const char *name = cube_mut_string (cube_mut_member (port, "protocol"));

  return g_strcmp0 (name, "UDP") == 0 ? 1 : g_strcmp0 (name, "SCTP") == 0 ? 2 : 0;
}

/* The node port of another protocol on the same port (DNS over UDP and TCP), if this protocol has not got it yet. 0 = none. */
static gint64
shared_port (CubeMut *ports, CubeMut *wanted)
{
  gint64 number = cube_mut_int (cube_mut_member (wanted, "port"), 0), found = 0;

  for (guint i = 0; i < cube_mut_length (ports); i++)
    {
      CubeMut *other = cube_mut_element (ports, i);
      gint64 node_port = cube_mut_int (cube_mut_member (other, "nodePort"), 0);

      if (other == wanted || node_port == 0)
        continue;
      if (cube_mut_int (cube_mut_member (other, "port"), 0) == number && protocol_number (other) != protocol_number (wanted))
        found = node_port;
    }
  for (guint i = 0; i < cube_mut_length (ports) && found != 0; i++)
    {
      CubeMut *other = cube_mut_element (ports, i);

      if (other != wanted && protocol_number (other) == protocol_number (wanted)
          && cube_mut_int (cube_mut_member (other, "nodePort"), 0) == found)
        return 0;
    }
  return found;
}

static gboolean
allocate_ports (Plan *plan, CubeMut *spec, GError **error)
{
  CubeMut *ports = cube_mut_member (spec, "ports");
  guint n = cube_mut_length (ports);

  for (guint i = 0; i < n; i++)
    {
      gint64 asked = cube_mut_int (cube_mut_member (cube_mut_element (ports, i), "nodePort"), 0);
      g_autofree char *field = g_strdup_printf ("spec.ports[%u].nodePort", i);

      if (asked != 0 && !take_requested_port (plan, asked, field, error))
        return FALSE;
    }
  for (guint i = 0; i < n; i++)
    {
      CubeMut *port = cube_mut_element (ports, i);
      gint64 shared;
      guint16 chosen = 0;

      if (cube_mut_int (cube_mut_member (port, "nodePort"), 0) != 0)
        continue;
      shared = shared_port (ports, port);
      if (shared == 0 && !pick_port (plan, &chosen, error))
        return FALSE;
      cube_mut_set_int (port, "nodePort", shared != 0 ? shared : chosen);
    }
  return TRUE;
}

static gboolean
allocate_health_check (Plan *plan, CubeMut *spec, GError **error)
{
  gint64 asked = cube_mut_int (cube_mut_member (spec, "healthCheckNodePort"), 0);
  guint16 chosen = 0;

  if (!needs_health_check (cube_mut_string (cube_mut_member (spec, "type")),
                           cube_mut_string (cube_mut_member (spec, "externalTrafficPolicy"))))
    return TRUE;
  if (asked != 0)
    return take_requested_port (plan, asked, "spec.healthCheckNodePort", error);
  if (!pick_port (plan, &chosen, error))
    return FALSE;
  cube_mut_set_int (spec, "healthCheckNodePort", chosen);
  return TRUE;
}

gboolean
plan_apply (Plan *plan, CubeMut *service, CubeView old, GError **error)
{
  CubeMut *spec = cube_mut_ensure_object (service, "spec");
  CubeView old_spec = cube_view_member (old, "spec");

  keep_allocated (spec, old_spec);
  normalise_ips (spec, old_spec);
  if (!type_has_ip (cube_mut_string (cube_mut_member (spec, "type"))))
    return TRUE;
  if (set_families (plan, spec, error) && allocate_ips (plan, spec, old_spec, error)
      && (!needs_node_ports (spec) || allocate_ports (plan, spec, error)) && allocate_health_check (plan, spec, error))
    return TRUE;
  plan_undo (plan);
  return FALSE;
}
