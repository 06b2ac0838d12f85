/* SPDX-License-Identifier: Apache-2.0 */
/* cube.auth.Admission "service-allocator": cluster IPs and node ports. */
#include "admission.h"
#include "loopcall.h"
#include "plan.h"
#include <arpa/inet.h>
#include <string.h>

#define REPAIR_US (3 * 60 * G_USEC_PER_SEC)

typedef struct {
  CubeContext *context;
  CubeLoop *loop;
  CubeInformer *informer; /* (nullable) where there is no API */
  CubeRecorder *recorder;
  CubeTimer *repair;
  Ledger *ledger;
  guint32 first_ip;    /* the Service default/kubernetes has it */
  GHashTable *orphans; /* owners nobody knows, seen by the last repair; on the loop */
} State;

/* ---- the stored truth ---- */

typedef struct {
  State *state;
  const char *owner;
  CubeObject *object;
  CubeView keep; /* what stays while releasing */
} Walk;

static void
claim_ip (guint32 ip, gpointer data)
{
  Walk *walk = data;

  if (ip == walk->state->first_ip && g_str_equal (cube_object_name (walk->object), "kubernetes"))
    ledger_release_ip (walk->state->ledger, ip, PLAN_RESERVED_OWNER);
  if (ledger_take_ip (walk->state->ledger, ip, walk->owner, FALSE, NULL) == LEDGER_TAKEN)
    {
      struct in_addr address = { htonl (ip) };
      char text[INET_ADDRSTRLEN];

      inet_ntop (AF_INET, &address, text, sizeof text);
      g_message ("service %s/%s: cluster IP %s belongs to another service too", cube_object_namespace (walk->object),
                 cube_object_name (walk->object), text);
    }
}

static void
claim_port (guint16 port, gpointer data)
{
  Walk *walk = data;

  if (ledger_take_port (walk->state->ledger, port, walk->owner, FALSE, NULL) == LEDGER_TAKEN)
    g_message ("service %s/%s: node port %u belongs to another service too", cube_object_namespace (walk->object),
               cube_object_name (walk->object), port);
}

static void
claim (State *state, CubeObject *object)
{
  g_autoptr (CubeValue) value = cube_object_value (object);
  Walk walk = { .state = state, .owner = cube_object_uid (object), .object = object };

  plan_each (cube_value_root (value), claim_ip, claim_port, &walk);
}

typedef struct {
  guint32 ip;
  guint16 port;
  gboolean is_found;
} Search;

static void
search_ip (guint32 ip, gpointer data)
{
  Search *search = data;

  search->is_found |= search->ip != 0 && ip == search->ip;
}

static void
search_port (guint16 port, gpointer data)
{
  Search *search = data;

  search->is_found |= search->port != 0 && port == search->port;
}

static void
release_ip (guint32 ip, gpointer data)
{
  Walk *walk = data;
  Search search = { .ip = ip };

  plan_each (walk->keep, search_ip, search_port, &search);
  if (search.is_found)
    return;
  ledger_release_ip (walk->state->ledger, ip, walk->owner);
  if (ip == walk->state->first_ip)
    ledger_take_ip (walk->state->ledger, ip, PLAN_RESERVED_OWNER, FALSE, NULL);
}

static void
release_port (guint16 port, gpointer data)
{
  Walk *walk = data;
  Search search = { .port = port };

  plan_each (walk->keep, search_ip, search_port, &search);
  if (!search.is_found)
    ledger_release_port (walk->state->ledger, port, walk->owner);
}

/* Gives back what @before held and @after (NONE = gone) does not. */
static void
release (State *state, const char *owner, CubeView before, CubeView after)
{
  Walk walk = { .state = state, .owner = owner, .keep = after };

  plan_each (before, release_ip, release_port, &walk);
}

/* What other writers did (another server, a restored backup); our own writes are known already. */
static void
on_service (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  State *state = data;
  g_autoptr (CubeValue) value = NULL;
  g_autoptr (CubeObject) current = NULL;

  if (type == CUBE_EVENT_DELETED)
    {
      value = cube_object_value (object);
      release (state, cube_object_uid (object), cube_value_root (value), cube_view_none ());
      return;
    }
  current = cube_informer_get (state->informer, cube_object_namespace (object), cube_object_name (object));
  if (current != NULL && g_strcmp0 (cube_object_uid (current), cube_object_uid (object)) == 0)
    claim (state, current);
}

/* ---- repair ---- */

static void
report_ip (guint32 ip, gpointer data)
{
  Walk *walk = data;
  struct in_addr address = { htonl (ip) };
  char text[INET_ADDRSTRLEN];

  inet_ntop (AF_INET, &address, text, sizeof text);
  if (!ledger_contains_ip (walk->state->ledger, ip))
    cube_recorder_event (walk->state->recorder, walk->object, NULL, "Warning", "ClusterIPOutOfRange",
                         "Cluster IP %s is not within any configured Service CIDR; please recreate service", text);
  else if (!ledger_has_ip (walk->state->ledger, ip, walk->owner))
    cube_recorder_event (walk->state->recorder, walk->object, NULL, "Warning", "ClusterIPAlreadyAllocated",
                         "Cluster IP %s was assigned to multiple services; please recreate service", text);
  else
    claim_ip (ip, walk);
}

static void
report_port (guint16 port, gpointer data)
{
  Walk *walk = data;

  if (!ledger_contains_port (walk->state->ledger, port))
    cube_recorder_event (walk->state->recorder, walk->object, NULL, "Warning", "PortOutOfRange",
                         "Port %u is not within the port range %s; please recreate service", port, ledger_port_range (walk->state->ledger));
  else if (!ledger_has_port (walk->state->ledger, port, walk->owner))
    cube_recorder_event (walk->state->recorder, walk->object, NULL, "Warning", "PortAlreadyAllocated",
                         "Port %u was assigned to multiple services; please recreate service", port);
  else
    claim_port (port, walk);
}

/* What an owner nobody knows holds is given back when a second look finds it still unknown: between, its write was under way. */
static void
drop_orphans (State *state, GHashTable *known)
{
  g_autoptr (GHashTable) owners = ledger_owners (state->ledger), last = g_steal_pointer (&state->orphans);
  GHashTableIter it;
  gpointer owner;

  state->orphans = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (g_hash_table_iter_init (&it, owners); g_hash_table_iter_next (&it, &owner, NULL);)
    {
      if (g_hash_table_contains (known, owner) || g_str_equal (owner, PLAN_RESERVED_OWNER))
        continue;
      if (g_hash_table_contains (last, owner))
        ledger_release_all (state->ledger, owner);
      else
        g_hash_table_add (state->orphans, g_strdup (owner));
    }
}

static void
repair (gpointer data)
{
  State *state = data;
  g_autoptr (GPtrArray) services = cube_informer_list (state->informer, NULL, NULL);
  g_autoptr (GHashTable) known = g_hash_table_new (g_str_hash, g_str_equal);

  cube_timer_cancel (g_steal_pointer (&state->repair));
  for (guint i = 0; services != NULL && i < services->len; i++)
    {
      CubeObject *object = services->pdata[i];
      g_autoptr (CubeValue) value = cube_object_value (object);
      Walk walk = { .state = state, .owner = cube_object_uid (object), .object = object };

      g_hash_table_add (known, (gpointer) cube_object_uid (object));
      plan_each (cube_value_root (value), report_ip, report_port, &walk);
    }
  drop_orphans (state, known);
  cube_metric_set ("kube_apiserver_clusterip_allocator_available_ips", NULL, ledger_n_free_ips (state->ledger));
  state->repair = cube_loop_after (state->loop, REPAIR_US, repair, state, NULL);
}

/* ---- admission ---- */

static guint64
random_bits (gpointer data)
{
  return cube_context_random (((State *) data)->context);
}

static gboolean
allocator_handles (gpointer data, CubeVerb verb, const CubeResource *resource, const char *subresource)
{
  return ((State *) data)->ledger != NULL && (verb == CUBE_VERB_CREATE || verb == CUBE_VERB_UPDATE || verb == CUBE_VERB_DELETE)
         && admission_is_whole (subresource) && admission_is (resource, "", "services");
}

static gboolean
allocator_mutate (gpointer data, CubeAdmissionRequest *request, CubeMut *object, GError **error)
{
  State *state = data;
  Plan *plan;

  if (request->verb == CUBE_VERB_DELETE || object == NULL)
    return TRUE;
  plan = plan_new (state->ledger, cube_mut_string (cube_mut_get (object, "metadata", "uid")), request->name);
  plan->is_dry_run = request->is_dry_run;
  plan->is_kubernetes = g_strcmp0 (request->ns, "default") == 0 && g_strcmp0 (request->name, "kubernetes") == 0;
  plan->random = random_bits;
  plan->data = state;
  if (!plan_apply (plan, object, request->old, error))
    {
      plan_free (plan);
      return FALSE;
    }
  request->reservation = plan;
  return TRUE;
}

/* A write that leaves an object being deleted without finalizers, and a delete that marks nothing, remove it. */
static gboolean
is_removed (const CubeAdmissionRequest *request, const CubeObject *object)
{
  gboolean is_marked = object != NULL && cube_object_deletion_timestamp (object) != NULL;

  if (object == NULL || (is_marked && cube_object_finalizers (object)[0] == NULL))
    return TRUE;
  return request->verb == CUBE_VERB_DELETE && !is_marked;
}

static void
allocator_finish (gpointer data, CubeAdmissionRequest *request, const CubeObject *object, gboolean committed)
{
  State *state = data;
  Plan *plan = request->reservation;
  const char *owner = cube_view_get_string (request->old, "metadata", "uid");

  if (committed && owner != NULL)
    {
      g_autoptr (CubeValue) value = is_removed (request, object) ? NULL : cube_object_value (object);

      release (state, owner, request->old, value != NULL ? cube_value_root (value) : cube_view_none ());
    }
  if (!committed && plan != NULL)
    plan_undo (plan);
  if (plan != NULL)
    plan_free (plan);
  request->reservation = NULL;
}

/* ---- the plugin ---- */

static gboolean
allocator_load (CubeContext *context, gpointer *ret_state, GError **error)
{
  State *state = g_new0 (State, 1);

  state->context = context;
  state->orphans = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  *ret_state = state;
  return TRUE;
}

static gboolean
make_ledger (State *state, GError **error)
{
  g_autofree char *cidr = cube_context_fact (state->context, "service-cidr"),
                  *ports = cube_context_fact (state->context, "node-port-range");
  struct in_addr base;

  g_autofree char *network = NULL;

  state->ledger = ledger_new (cidr != NULL ? cidr : "10.96.0.0/16", ports != NULL ? ports : "30000-32767", error);
  if (state->ledger == NULL)
    return FALSE;
  network = g_strndup (ledger_cidr (state->ledger), strcspn (ledger_cidr (state->ledger), "/"));
  inet_pton (AF_INET, network, &base);
  state->first_ip = ntohl (base.s_addr) + 1;
  ledger_take_ip (state->ledger, state->first_ip, PLAN_RESERVED_OWNER, FALSE, NULL);
  return TRUE;
}

static void
start_on_loop (gpointer data)
{
  State *state = data;
  const CubeResource *resource = cube_schema_resource (cube_context_schema (state->context), "v1", "services");

  state->informer = cube_informer_new (cube_context_client (state->context), resource, NULL, NULL, NULL, state->loop, on_service, state);
  state->repair = cube_loop_after (state->loop, REPAIR_US, repair, state, NULL);
}

/* Everything stored is known before the first request is admitted. */
static gboolean
allocator_start (gpointer data, GError **error)
{
  State *state = data;
  const CubeResource *resource = cube_schema_resource (cube_context_schema (state->context), "v1", "services");
  CubeClient *client = cube_context_client (state->context);
  g_autoptr (GPtrArray) services = NULL;

  if (!cube_context_has_role (state->context, "api"))
    return TRUE;
  services = cube_client_list (client, resource, NULL, NULL, NULL, error);
  if (services == NULL || !make_ledger (state, error))
    return FALSE;
  for (guint i = 0; i < services->len; i++)
    claim (state, services->pdata[i]);
  state->recorder = cube_recorder_new (state->context, client, "ipallocator-repair-controller", NULL);
  state->loop = cube_context_get_loop (state->context, "services");
  loopcall_sync (state->loop, start_on_loop, state);
  return TRUE;
}

static void
stop_on_loop (gpointer data)
{
  State *state = data;

  cube_timer_cancel (g_steal_pointer (&state->repair));
  g_clear_pointer (&state->informer, cube_informer_free);
}

static void
allocator_stop (gpointer data)
{
  State *state = data;

  if (state->loop != NULL)
    loopcall_sync (state->loop, stop_on_loop, state);
  g_clear_pointer (&state->recorder, cube_recorder_free);
}

static void
allocator_unload (gpointer data)
{
  State *state = data;

  g_clear_pointer (&state->ledger, ledger_free);
  g_hash_table_unref (state->orphans);
  g_free (state);
}

static const CubeAdmissionOps admission_ops = {
  .ops_size = sizeof admission_ops,
  .order = 900,
  .handles = allocator_handles,
  .mutate = allocator_mutate,
  .finish = allocator_finish,
};

static const CubeInterfaceImpl impls[] = {
  CUBE_IMPL (CUBE_ADMISSION, CUBE_ADMISSION_VERSION, "service-allocator", admission_ops),
  { NULL },
};

CUBE_PLUGIN_DEFINE (.name = "services-allocator", .version = "1", .description = "cluster IPs and node ports of services",
                    .license = "Apache-2.0", .impls = impls, .load = allocator_load, .start = allocator_start, .stop = allocator_stop,
                    .unload = allocator_unload, .is_kept = TRUE);
