/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler: what it knows of pods and nodes, and its loop. */
#include "driver.h"
#include <string.h>
#include <unistd.h>

#define BATCH 256        /* pods decided before the loop gets a turn */
#define MAX_BINDING 4096 /* binds under way */
#define SYNC_POLL_US 2000

static const char *const watched[] = { CUBE_FILTER_PLUGIN, CUBE_SCORE_PLUGIN, CUBE_RESERVE_PLUGIN,
                                       CUBE_PERMIT_PLUGIN, CUBE_BIND_PLUGIN,  CUBE_POST_FILTER_PLUGIN };

static void run (gpointer data);

/* ---- records ---- */

static void
record_free (gpointer data)
{
  Record *record = data;

  pod_unref (record->pod);
  g_free (record->uid);
  g_slice_free (Record, record);
}

Record *
driver_record (Driver *driver, const char *uid)
{
  return g_hash_table_lookup (driver->records, uid);
}

static Record *
record_new (Driver *driver, CubeObject *object, Class *class)
{
  Record *record = g_slice_new0 (Record);

  record->uid = g_strdup (cube_object_uid (object));
  record->pod = pod_new (object, class);
  g_hash_table_insert (driver->records, record->uid, record);
  return record;
}

static void
leave_node (Driver *driver, Record *record)
{
  if (record->node != NULL)
    cache_remove_pod (driver->cache, record->pod, record->node);
  record->node = NULL;
}

static void
forget_pod (Driver *driver, const char *uid)
{
  Record *record = driver_record (driver, uid);

  if (record == NULL)
    return;
  if (record->node != NULL)
    driver_wake (driver, CUBE_WAKE_POD_DELETE);
  queue_remove (&driver->queue, record);
  leave_node (driver, record);
  g_hash_table_remove (driver->records, uid);
}

/* The same pod in a newer form of the same class. */
static void
swap_pod (Driver *driver, Record *record, CubeObject *object, Class *class)
{
  Pod *fresh = pod_new (object, class);

  if (record->node != NULL)
    cache_swap_pod (driver->cache, record->node, record->pod, fresh);
  pod_unref (record->pod);
  record->pod = fresh;
}

Profile *
driver_profile (Driver *driver, const char *name)
{
  for (guint i = 0; i < driver->profiles->len; i++)
    if (g_str_equal (((Profile *) driver->profiles->pdata[i])->name, name))
      return driver->profiles->pdata[i];
  return NULL;
}

/* ---- what happens in the cluster ---- */

static void
put_on_node (Driver *driver, Record *record, CubeObject *object, Class *class, const char *node_name)
{
  queue_remove (&driver->queue, record);
  leave_node (driver, record);
  swap_pod (driver, record, object, class);
  record->node = cache_add_pod (driver->cache, record->pod, node_name);
  record->place = PLACE_BOUND;
}

static void
on_assigned (Driver *driver, CubeObject *object, Class *class, const char *node_name)
{
  Record *record = driver_record (driver, cube_object_uid (object));

  if (record == NULL)
    {
      record = record_new (driver, object, class);
      record->node = cache_add_pod (driver->cache, record->pod, node_name);
      record->place = PLACE_BOUND;
      driver_wake (driver, CUBE_WAKE_POD_ADD);
    }
  else if (record->node != NULL && g_str_equal (record->node->name, node_name))
    {
      if (record->place == PLACE_BINDING)
        driver_wake (driver, CUBE_WAKE_POD_ADD);
      record->place = PLACE_BOUND;
      if (record->pod->class == class)
        swap_pod (driver, record, object, class);
      else
        {
          put_on_node (driver, record, object, class, node_name);
          driver_wake (driver, CUBE_WAKE_POD_UPDATE);
        }
    }
  else
    {
      put_on_node (driver, record, object, class, node_name);
      driver_wake (driver, CUBE_WAKE_POD_ADD);
    }
}

static gboolean
same_annotations (const CubeObject *a, CubeView b)
{
  g_autoptr (CubeValue) value = cube_object_value (a);

  return cube_view_equal (cube_value_get (value, "metadata", "annotations"), cube_view_get (b, "metadata", "annotations"));
}

static void
on_pending (Driver *driver, CubeObject *object, Class *class, CubeView value)
{
  Record *record = driver_record (driver, cube_object_uid (object));
  gint64 now_us = cube_context_monotonic_us (driver->context);
  gboolean is_same;

  if (driver_profile (driver, class->scheduler_name) == NULL)
    return;
  if (record != NULL && (record->place == PLACE_BINDING || record->place == PLACE_BOUND))
    return; /* older than our own binding */
  if (cube_object_deletion_timestamp (object) != NULL)
    {
      forget_pod (driver, cube_object_uid (object));
      return;
    }
  if (record == NULL)
    {
      record = record_new (driver, object, class);
      record->first_us = now_us;
      queue_add (&driver->queue, record, now_us);
      driver_kick (driver);
      return;
    }
  is_same = record->pod->class == class && same_annotations (record->pod->info.object, value);
  if (record->place == PLACE_GATED && !class->is_gated)
    {
      queue_remove (&driver->queue, record);
      swap_pod (driver, record, object, class);
      queue_add (&driver->queue, record, now_us);
    }
  else
    swap_pod (driver, record, object, class);
  if (!is_same)
    {
      queue_wake_one (&driver->queue, record, now_us);
      driver_kick (driver);
    }
}

void
driver_on_pod (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  Driver *driver = data;
  g_autoptr (CubeValue) value = NULL;
  const char *node_name;
  CubeView view;
  Class *class;

  if (type == CUBE_EVENT_DELETED)
    {
      forget_pod (driver, cube_object_uid (object));
      return;
    }
  value = cube_object_value (object);
  view = cube_value_root (value);
  node_name = pod_node_name (view);
  if (pod_is_terminal (view))
    {
      forget_pod (driver, cube_object_uid (object));
      return;
    }
  class = class_of (driver->classes, view, driver->seed);
  if (*node_name != '\0')
    on_assigned (driver, object, class, node_name);
  else
    on_pending (driver, object, class, view);
  class_unref (class);
}

void
driver_on_node (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  Driver *driver = data;

  if (type == CUBE_EVENT_DELETED)
    cache_remove_node (driver->cache, cube_object_name (object));
  else
    driver_wake (driver, cache_put_node (driver->cache, object));
}

void
driver_wake (Driver *driver, guint32 bits)
{
  if (bits == 0)
    return;
  driver->pending_wake |= bits;
  driver_kick (driver);
}

/* ---- decisions ---- */

static void
decision_clear (Decision *decision)
{
  g_clear_pointer (&decision->pod, pod_unref);
  g_clear_pointer (&decision->node, g_free);
  g_clear_pointer (&decision->message, g_free);
}

void
driver_decide (Driver *driver, const Pod *pod, const char *node, const char *message)
{
  Decision *decision = &driver->decisions[driver->n_decisions++ % DECISIONS];

  decision_clear (decision);
  decision->pod = pod_ref ((Pod *) pod);
  decision->node = g_strdup (node);
  decision->message = g_strdup (message);
  decision->time_us = cube_context_now_us (driver->context);
}

const Decision *
driver_decision (Driver *driver, const char *uid)
{
  for (guint64 i = driver->n_decisions; i > 0 && i + DECISIONS > driver->n_decisions; i--)
    {
      const Decision *decision = &driver->decisions[(i - 1) % DECISIONS];

      if (decision->pod != NULL && strcmp (decision->pod->info.uid, uid) == 0)
        return decision;
    }
  return NULL;
}

/* PostFilter: a node where the pod may go once others have made way, or words on why not. */
static char *
nominate (Driver *driver, Profile *profile, const Pod *pod, GString *message)
{
  const char *separator = " ";

  for (guint i = 0; i < profile->post_filters->len; i++)
    {
      Hook *hook = &g_array_index (profile->post_filters, Hook, i);
      const CubePostFilterOps *ops = hook->ops;
      g_autofree char *reason = NULL;
      char *nominated = NULL;

      hook->cycle.nodes = (const CubeNodeInfo *const *) driver->cache->nodes->pdata;
      hook->cycle.n_nodes = driver->cache->nodes->len;
      if (ops->post_filter (hook->impl->state, &hook->cycle, &pod->info, &nominated, &reason) == CUBE_FIT_OK && nominated != NULL)
        return nominated;
      g_free (nominated);
      if (reason == NULL)
        continue;
      g_string_append_printf (message, "%s%s", separator, reason);
      separator = ", ";
    }
  return NULL;
}

void
driver_refuse (Driver *driver, Profile *profile, Record *record, Refusal *refusal)
{
  gint64 now_us = cube_context_monotonic_us (driver->context);
  const char *reason = refusal->is_error ? "SchedulerError" : "Unschedulable";
  g_autoptr (GString) message = g_string_new (refusal->message);
  g_autofree char *nominated = NULL;

  record->wake_on = refusal->wake_on;
  if (refusal->can_preempt && !refusal->is_error && profile->post_filters->len > 0)
    {
      pod_parse (record->pod);
      nominated = nominate (driver, profile, record->pod, message);
    }
  pod_forget (record->pod);
  if (refusal->is_error)
    {
      driver->n_errors++;
      queue_add_error (&driver->queue, record, now_us);
    }
  else
    {
      driver->n_refused++;
      queue_add_unschedulable (&driver->queue, record, now_us);
    }
  driver_decide (driver, record->pod, NULL, message->str);
  if (profile->recorder != NULL)
    cube_recorder_event_related (profile->recorder, record->pod->info.object, NULL, "Scheduling", "Warning", "FailedScheduling", "%s",
                                 message->str);
  condition_write (driver, record->pod, reason, message->str, nominated);
}

void
driver_settle (Driver *driver, Pod *pod, const char *node_name, const char *problem, gboolean is_error)
{
  Record *record = driver_record (driver, pod->info.uid);
  Profile *profile = driver_profile (driver, pod->info.scheduler_name);
  Refusal refusal = { .is_error = is_error };

  if (record != NULL && (record->place == PLACE_BINDING || record->place == PLACE_BOUND))
    pod_forget (record->pod);
  if (problem == NULL)
    {
      driver->n_scheduled++;
      if (record != NULL && record->place == PLACE_BINDING)
        record->place = PLACE_BOUND;
      driver_decide (driver, pod, node_name, NULL);
      if (profile != NULL && profile->recorder != NULL)
        cube_recorder_event_related (profile->recorder, pod->info.object, NULL, "Binding", "Normal", "Scheduled",
                                     "Successfully assigned %s/%s to %s", pod->info.ns, pod->info.name, node_name);
      return;
    }
  if (record == NULL || record->place != PLACE_BINDING)
    return; /* deleted, or bound by somebody else meanwhile */
  leave_node (driver, record);
  record->place = PLACE_NONE;
  driver_wake (driver, CUBE_WAKE_POD_DELETE); /* what it had taken is free again */
  if (driver->is_stopping || profile == NULL)
    return;
  refusal.message = g_strdup (problem);
  driver_refuse (driver, profile, record, &refusal);
  refusal_clear (&refusal);
}

/* ---- the loop ---- */

static void
reload_policies (Driver *driver)
{
  engine_forget (&driver->engine);
  for (guint i = 0; i < driver->profiles->len; i++)
    profile_load (driver->profiles->pdata[i], driver->context, driver->registry);
  for (guint i = 0; i < G_N_ELEMENTS (watched); i++)
    driver->generations[i] = cube_registry_generation (driver->registry, watched[i]);
  driver_wake (driver, G_MAXUINT32);
}

static void
on_policies_changed (gpointer data)
{
  Driver *driver = data;

  if (!driver->is_stopping)
    reload_policies (driver);
}

static void
check_policies (Driver *driver)
{
  for (guint i = 0; i < G_N_ELEMENTS (watched); i++)
    if (driver->generations[i] != cube_registry_generation (driver->registry, watched[i]))
      {
        reload_policies (driver);
        return;
      }
}

static void
schedule_one (Driver *driver, Record *record)
{
  Profile *profile = driver_profile (driver, record->pod->info.scheduler_name);
  Refusal refusal;
  Node *node;

  if (profile == NULL)
    return;
  if (profile->needs_document)
    pod_parse (record->pod);
  node = engine_choose (&driver->engine, profile, record->pod, &refusal);
  if (node != NULL)
    bind_begin (driver, profile, record, node);
  else
    driver_refuse (driver, profile, record, &refusal);
  refusal_clear (&refusal);
}

static void
report (Driver *driver)
{
  static const char *const results[] = { "result=\"scheduled\"", "result=\"unschedulable\"", "result=\"error\"" };
  const guint64 now[] = { driver->n_scheduled, driver->n_refused, driver->n_errors };

  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    {
      if (now[i] != driver->n_reported[i])
        cube_metric_add ("scheduler_schedule_attempts_total", results[i], (double) (now[i] - driver->n_reported[i]));
      driver->n_reported[i] = now[i];
    }
  cube_metric_set ("scheduler_pending_pods", "queue=\"active\"", driver->queue.active->len);
  cube_metric_set ("scheduler_pending_pods", "queue=\"backoff\"", driver->queue.backoff->len);
  cube_metric_set ("scheduler_pending_pods", "queue=\"unschedulable\"", driver->queue.unschedulable.length);
  cube_metric_set ("scheduler_pending_pods", "queue=\"gated\"", driver->queue.gated.length);
  for (guint i = 0; i < driver->profiles->len; i++)
    profile_report_time (driver->profiles->pdata[i]);
}

static gboolean
may_schedule (Driver *driver)
{
  if (driver->is_standalone)
    return TRUE;
  return cube_informer_has_synced (driver->pods_informer) && cube_informer_has_synced (driver->nodes_informer)
         && (driver->election == NULL || cube_election_is_leader (driver->election));
}

static void
on_timer (gpointer data)
{
  Driver *driver = data;

  g_clear_pointer (&driver->timer, cube_timer_cancel);
  driver_kick (driver);
}

static void
arm (Driver *driver, gint64 delay_us)
{
  cube_timer_cancel (driver->timer);
  driver->timer = cube_loop_after (driver->loop, MAX (delay_us, 0), on_timer, driver, NULL);
}

static void
run (gpointer data)
{
  Driver *driver = data;
  gint64 since = cube_context_monotonic_us (driver->context), next;
  Record *record = NULL;
  guint n = 0;

  driver->is_posted = FALSE;
  if (driver->is_stopping)
    return;
  if (!may_schedule (driver))
    {
      if (!cube_informer_has_synced (driver->pods_informer) || !cube_informer_has_synced (driver->nodes_informer))
        arm (driver, SYNC_POLL_US);
      return;
    }
  check_policies (driver);
  if (driver->pending_wake != 0)
    queue_wake (&driver->queue, driver->pending_wake, since);
  driver->pending_wake = 0;
  while (n < BATCH && driver->n_binding < MAX_BINDING && (record = queue_pop (&driver->queue, since)) != NULL)
    {
      schedule_one (driver, record);
      n++;
    }
  if (n > 0)
    report (driver);
  cube_context_add_time (driver->context, cube_context_monotonic_us (driver->context) - since);
  next = queue_next_us (&driver->queue);
  if (n == BATCH || (driver->pending_wake != 0 && n > 0))
    driver_kick (driver);
  else if (next >= 0)
    arm (driver, next - cube_context_monotonic_us (driver->context));
}

static void
run_and_unref (gpointer data)
{
  driver_unref (data);
}

void
driver_kick (Driver *driver)
{
  if (driver->is_posted || driver->is_stopping)
    return;
  driver->is_posted = TRUE;
  cube_loop_post (driver->loop, run, driver_ref (driver), run_and_unref);
}

/* ---- life ---- */

Driver *
driver_new (CubeContext *context, GError **error)
{
  CubeView config = cube_context_config (context);
  GPtrArray *profiles = profiles_new (config, error);
  Driver *driver;

  if (profiles == NULL)
    return NULL;
  driver = g_new0 (Driver, 1);
  driver->ref_count = 1;
  driver->context = context;
  driver->registry = cube_context_registry (context);
  driver->profiles = profiles;
  driver->classes = g_hash_table_new (g_int64_hash, g_int64_equal);
  driver->records = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, record_free);
  driver->cache = cache_new ();
  driver->decisions = g_new0 (Decision, DECISIONS);
  driver->permits = g_ptr_array_new ();
  queue_init (&driver->queue);
  driver->queue.initial_us = MAX (cube_view_int (cube_view_member (config, "podInitialBackoffSeconds"), 1), 1) * G_USEC_PER_SEC;
  driver->queue.max_us = MAX (cube_view_int (cube_view_member (config, "podMaxBackoffSeconds"), 10), 1) * G_USEC_PER_SEC;
  engine_init (&driver->engine, driver->cache, context);
  return driver;
}

static void
on_leading (gpointer data)
{
  driver_kick (data);
}

static void
on_not_leading (gpointer data)
{
  g_message ("another scheduler leads");
}

static void
begin_informers (Driver *driver)
{
  CubeSchema *schema = cube_context_schema (driver->context);
  char host[65] = "", uuid[37];
  g_autofree char *identity = NULL;

  if (cube_context_is_simulated (driver->context) || gethostname (host, sizeof host - 1) != 0)
    g_strlcpy (host, "cube", sizeof host);
  cube_uuid_format (cube_context_random (driver->context), cube_context_random (driver->context), uuid);
  identity = g_strdup_printf ("%s_%s", host, uuid);
  for (guint i = 0; i < driver->profiles->len; i++)
    {
      Profile *profile = driver->profiles->pdata[i];

      profile->recorder = cube_recorder_new (driver->context, driver->client, profile->name, host);
    }
  driver->pods_resource = cube_schema_resource (schema, "v1", "pods");
  driver->nodes_informer = cube_informer_new (driver->client, cube_schema_resource (schema, "v1", "nodes"), NULL, NULL, NULL, driver->loop,
                                              driver_on_node, driver);
  driver->pods_informer = cube_informer_new (driver->client, driver->pods_resource, NULL, NULL, NULL, driver->loop, driver_on_pod, driver);
  if (cube_view_bool (cube_view_member (cube_context_config (driver->context), "leaderElect"), TRUE))
    driver->election = cube_election_new (driver->context, driver->client, "kube-system", "kube-scheduler", identity, driver->loop,
                                          on_leading, on_not_leading, driver);
}

gboolean
driver_start (Driver *driver, gboolean is_standalone, GError **error)
{
  driver->is_standalone = is_standalone;
  driver->loop = cube_context_get_loop (driver->context, "scheduler");
  driver->client = cube_context_client (driver->context);
  driver->seed = cube_context_random (driver->context);
  for (guint i = 0; i < G_N_ELEMENTS (watched); i++)
    driver->watches[i] = cube_registry_watch (driver->registry, watched[i], driver->loop, on_policies_changed, driver);
  if (!is_standalone)
    begin_informers (driver);
  reload_policies (driver);
  return TRUE;
}

void
driver_stop (Driver *driver)
{
  driver->is_stopping = TRUE;
  g_clear_pointer (&driver->timer, cube_timer_cancel);
  bind_stop (driver);
  for (guint i = 0; i < G_N_ELEMENTS (watched); i++)
    g_clear_pointer (&driver->watches[i], cube_registry_unwatch);
  g_clear_pointer (&driver->election, cube_election_free);
  g_clear_pointer (&driver->pods_informer, cube_informer_free);
  g_clear_pointer (&driver->nodes_informer, cube_informer_free);
  engine_forget (&driver->engine);
  for (guint i = 0; i < driver->profiles->len; i++)
    profile_drop (driver->profiles->pdata[i]);
}

Driver *
driver_ref (Driver *driver)
{
  g_atomic_int_inc (&driver->ref_count);
  return driver;
}

void
driver_unref (Driver *driver)
{
  if (!g_atomic_int_dec_and_test (&driver->ref_count))
    return;
  for (guint i = 0; i < DECISIONS; i++)
    decision_clear (&driver->decisions[i]);
  g_free (driver->decisions);
  engine_clear (&driver->engine);
  queue_clear (&driver->queue);
  cache_free (driver->cache);
  g_hash_table_unref (driver->records);
  g_hash_table_unref (driver->classes);
  g_ptr_array_unref (driver->profiles);
  g_ptr_array_unref (driver->permits);
  g_free (driver);
}
