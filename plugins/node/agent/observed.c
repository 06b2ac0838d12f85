/* SPDX-License-Identifier: Apache-2.0 */
/* What runs, as last seen: fed by the runtime's events, by whoever just changed something, and by a slow listing as the net under both. */
#include "agent.h"
#include <string.h>

#define RELIST_US (20 * G_USEC_PER_SEC)
#define MESSAGE_BYTES 4096
#define LOG_MESSAGE_BYTES 2048
#define LOG_MESSAGE_LINES 80

struct _NodeObserved {
  NodeAgent *agent;
  GMutex lock;
  GHashTable *containers; /* id → NodeContainer */
  GHashTable *sandboxes;  /* id → NodeSandbox */
  GHashTable *foreign;    /* set of sandbox ids that are not of this cluster */
  GPtrArray *told;        /* ids of events not looked at yet */
  gboolean is_posted, needs_list, has_synced, is_stopping;
  /* loop */
  gboolean is_busy;
  CubeTimer *timer;
};

/* ---- entries ---- */

static void
container_clear (gpointer data)
{
  NodeContainer *container = data;
  cube_container_free (container->status);
  g_free (container->uid);
  g_free (container->ns);
  g_free (container->pod_name);
  g_free (container->name);
  g_free (container->sandbox_id);
  g_free (container->message);
}

NodeContainer *
node_container_ref (NodeContainer *container)
{
  return g_atomic_rc_box_acquire (container);
}

void
node_container_unref (NodeContainer *container)
{
  if (container != NULL)
    g_atomic_rc_box_release_full (container, container_clear);
}

static void
sandbox_clear (gpointer data)
{
  cube_sandbox_free (((NodeSandbox *) data)->status);
}

NodeSandbox *
node_sandbox_ref (NodeSandbox *sandbox)
{
  return g_atomic_rc_box_acquire (sandbox);
}

void
node_sandbox_unref (NodeSandbox *sandbox)
{
  if (sandbox != NULL)
    g_atomic_rc_box_release_full (sandbox, sandbox_clear);
}

void
node_snapshot_free (NodeSnapshot *snapshot)
{
  if (snapshot == NULL)
    return;
  g_ptr_array_unref (snapshot->sandboxes);
  g_ptr_array_unref (snapshot->containers);
  g_free (snapshot);
}

NodeContainer *
node_snapshot_find (const NodeSnapshot *snapshot, const char *name, guint nth)
{
  for (guint i = 0; i < snapshot->containers->len; i++)
    {
      NodeContainer *container = snapshot->containers->pdata[i];
      if (g_strcmp0 (container->name, name) == 0 && nth-- == 0)
        return container;
    }
  return NULL;
}

NodeSandbox *
node_snapshot_sandbox (const NodeSnapshot *snapshot)
{
  return snapshot->sandboxes->len > 0 ? snapshot->sandboxes->pdata[0] : NULL;
}

gboolean
node_snapshot_is_running (const NodeSnapshot *snapshot)
{
  for (guint i = 0; i < snapshot->containers->len; i++)
    if (((NodeContainer *) snapshot->containers->pdata[i])->status->state != CUBE_CONTAINER_EXITED)
      return TRUE;
  return FALSE;
}

/* ---- reading one ---- */

static const char *
lookup (GHashTable *table, const char *key)
{
  return table != NULL ? g_hash_table_lookup (table, key) : NULL;
}

/* The last 4096 bytes of the container's message file, else of its log where its policy says so. */
static char *
read_message (const CubeContainer *status)
{
  const char *path = lookup (status->annotations, NODE_ANNOTATION_MESSAGE_FILE);
  const char *policy = lookup (status->annotations, NODE_ANNOTATION_MESSAGE_POLICY);
  g_autofree char *text = NULL;
  gsize length = 0;
  if (path != NULL && g_file_get_contents (path, &text, &length, NULL) && length > 0)
    {
      const char *start = length > MESSAGE_BYTES ? text + length - MESSAGE_BYTES : text;
      return g_utf8_make_valid (start, (gssize) MIN (length, MESSAGE_BYTES));
    }
  if (g_strcmp0 (policy, "FallbackToLogsOnError") == 0 && status->exit_code != 0 && status->log_path != NULL)
    {
      char *tail = node_logs_tail (status->log_path, LOG_MESSAGE_LINES, LOG_MESSAGE_BYTES);
      if (tail != NULL)
        return tail;
    }
  return g_strdup (status->message);
}

static NodeContainer *
container_new (CubeContainer *status, const char *sandbox_id)
{
  NodeContainer *container = g_atomic_rc_box_new0 (NodeContainer);
  container->status = status;
  container->uid = g_strdup (lookup (status->labels, NODE_LABEL_POD_UID));
  container->ns = g_strdup (lookup (status->labels, NODE_LABEL_POD_NAMESPACE));
  container->pod_name = g_strdup (lookup (status->labels, NODE_LABEL_POD_NAME));
  container->name = g_strdup (lookup (status->labels, NODE_LABEL_CONTAINER));
  if (container->name == NULL)
    container->name = g_strdup (status->name);
  container->sandbox_id = g_strdup (sandbox_id != NULL ? sandbox_id : status->sandbox_id);
  if (status->state == CUBE_CONTAINER_EXITED)
    container->message = read_message (status);
  return container;
}

/* An answer that was under way while a newer one came does not turn time back. */
static NodeContainer *
store_container (NodeObserved *observed, CubeContainer *status, const char *sandbox_id)
{
  g_mutex_lock (&observed->lock);
  NodeContainer *known = g_hash_table_lookup (observed->containers, status->id);
  g_autofree char *known_sandbox = known != NULL ? g_strdup (known->sandbox_id) : NULL;
  gboolean is_older = known != NULL && known->status->state != CUBE_CONTAINER_UNKNOWN && known->status->state > status->state;
  NodeContainer *result = is_older ? node_container_ref (known) : NULL;
  g_mutex_unlock (&observed->lock);
  if (result != NULL)
    {
      cube_container_free (status);
      return result;
    }
  result = container_new (status, sandbox_id != NULL ? sandbox_id : known_sandbox);
  if (result->uid == NULL)
    return result;
  g_mutex_lock (&observed->lock);
  g_hash_table_replace (observed->containers, g_strdup (status->id), node_container_ref (result));
  g_mutex_unlock (&observed->lock);
  return result;
}

void
node_observed_forget (NodeObserved *observed, const char *id)
{
  g_mutex_lock (&observed->lock);
  g_hash_table_remove (observed->containers, id);
  g_hash_table_remove (observed->sandboxes, id);
  g_hash_table_remove (observed->foreign, id);
  g_mutex_unlock (&observed->lock);
}

NodeContainer *
node_observed_refresh_container (NodeObserved *observed, const NodeRuntime *runtime, const char *id, const char *sandbox_id)
{
  g_autoptr (GError) error = NULL;
  CubeContainer *status = runtime->ops->container_status (runtime->state, id, &error);
  if (status != NULL)
    return store_container (observed, status, sandbox_id);
  if (g_error_matches (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    node_observed_forget (observed, id);
  return NULL;
}

NodeSandbox *
node_observed_refresh_sandbox (NodeObserved *observed, const NodeRuntime *runtime, const char *id)
{
  g_autoptr (GError) error = NULL;
  CubeSandbox *status = runtime->ops->sandbox_status (runtime->state, id, &error);
  if (status == NULL)
    {
      if (g_error_matches (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
        node_observed_forget (observed, id);
      return NULL;
    }
  gboolean is_ours =
      g_strcmp0 (lookup (status->annotations, NODE_ANNOTATION_OWNER), observed->agent->owner) == 0 && node_files_is_uid (status->uid);
  NodeSandbox *sandbox = g_atomic_rc_box_new0 (NodeSandbox);
  sandbox->status = status;
  g_mutex_lock (&observed->lock);
  if (is_ours)
    g_hash_table_replace (observed->sandboxes, g_strdup (id), node_sandbox_ref (sandbox));
  else
    g_hash_table_add (observed->foreign, g_strdup (id));
  g_mutex_unlock (&observed->lock);
  return sandbox;
}

/* ---- snapshots ---- */

static gint
compare_containers (gconstpointer a, gconstpointer b)
{
  const NodeContainer *x = *(NodeContainer *const *) a, *y = *(NodeContainer *const *) b;
  if (x->status->created_ns != y->status->created_ns)
    return x->status->created_ns > y->status->created_ns ? -1 : 1;
  return x->status->attempt > y->status->attempt ? -1 : x->status->attempt < y->status->attempt;
}

static gint
compare_sandboxes (gconstpointer a, gconstpointer b)
{
  const NodeSandbox *x = *(NodeSandbox *const *) a, *y = *(NodeSandbox *const *) b;
  if (x->status->created_ns != y->status->created_ns)
    return x->status->created_ns > y->status->created_ns ? -1 : 1;
  return x->status->attempt > y->status->attempt ? -1 : x->status->attempt < y->status->attempt;
}

NodeSnapshot *
node_observed_snapshot (NodeObserved *observed, const char *uid)
{
  NodeSnapshot *snapshot = g_new0 (NodeSnapshot, 1);
  GHashTableIter it;
  gpointer value;
  snapshot->sandboxes = g_ptr_array_new_with_free_func ((GDestroyNotify) node_sandbox_unref);
  snapshot->containers = g_ptr_array_new_with_free_func ((GDestroyNotify) node_container_unref);
  g_mutex_lock (&observed->lock);
  for (g_hash_table_iter_init (&it, observed->sandboxes); g_hash_table_iter_next (&it, NULL, &value);)
    if (g_strcmp0 (((NodeSandbox *) value)->status->uid, uid) == 0)
      g_ptr_array_add (snapshot->sandboxes, node_sandbox_ref (value));
  for (g_hash_table_iter_init (&it, observed->containers); g_hash_table_iter_next (&it, NULL, &value);)
    if (g_strcmp0 (((NodeContainer *) value)->uid, uid) == 0)
      g_ptr_array_add (snapshot->containers, node_container_ref (value));
  g_mutex_unlock (&observed->lock);
  g_ptr_array_sort (snapshot->sandboxes, compare_sandboxes);
  g_ptr_array_sort (snapshot->containers, compare_containers);
  return snapshot;
}

GHashTable *
node_observed_uids (NodeObserved *observed)
{
  GHashTable *uids = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  GHashTableIter it;
  gpointer value;
  g_mutex_lock (&observed->lock);
  for (g_hash_table_iter_init (&it, observed->sandboxes); g_hash_table_iter_next (&it, NULL, &value);)
    {
      const CubeSandbox *status = ((NodeSandbox *) value)->status;
      g_hash_table_insert (uids, g_strdup (status->uid), g_strdup_printf ("%s/%s", status->ns, status->name));
    }
  g_mutex_unlock (&observed->lock);
  return uids;
}

/* ---- listing ---- */

static void
note_changed (GHashTable *changed, const char *uid)
{
  if (changed != NULL && uid != NULL)
    g_hash_table_add (changed, g_strdup (uid));
}

static gboolean
relist_sandboxes (NodeObserved *observed, const NodeRuntime *runtime, GHashTable *seen, GHashTable *changed, GError **error)
{
  g_autoptr (GPtrArray) list = runtime->ops->list_sandboxes (runtime->state, error);
  if (list == NULL)
    return FALSE;
  for (guint i = 0; i < list->len; i++)
    {
      const CubeSandbox *item = list->pdata[i];
      g_hash_table_add (seen, g_strdup (item->id));
      g_mutex_lock (&observed->lock);
      NodeSandbox *known = g_hash_table_lookup (observed->sandboxes, item->id);
      gboolean is_same =
          (known != NULL && known->status->is_ready == item->is_ready) || g_hash_table_contains (observed->foreign, item->id);
      g_mutex_unlock (&observed->lock);
      if (is_same)
        continue;
      NodeSandbox *sandbox = node_observed_refresh_sandbox (observed, runtime, item->id);
      note_changed (changed, item->uid);
      node_sandbox_unref (sandbox);
    }
  return TRUE;
}

static gboolean
relist_containers (NodeObserved *observed, const NodeRuntime *runtime, GHashTable *seen, GHashTable *changed, GError **error)
{
  g_autoptr (GPtrArray) list = runtime->ops->list_containers (runtime->state, error);
  if (list == NULL)
    return FALSE;
  for (guint i = 0; i < list->len; i++)
    {
      const CubeContainer *item = list->pdata[i];
      g_hash_table_add (seen, g_strdup (item->id));
      g_mutex_lock (&observed->lock);
      NodeContainer *known = g_hash_table_lookup (observed->containers, item->id);
      gboolean is_same = (known != NULL && known->status->state == item->state)
                         || (item->sandbox_id != NULL && g_hash_table_contains (observed->foreign, item->sandbox_id));
      g_mutex_unlock (&observed->lock);
      if (is_same)
        continue;
      NodeContainer *container = node_observed_refresh_container (observed, runtime, item->id, item->sandbox_id);
      if (container != NULL)
        note_changed (changed, container->uid);
      node_container_unref (container);
    }
  return TRUE;
}

/* What was there before the listing began and is not in it is gone. */
static void
drop_unseen (NodeObserved *observed, GHashTable *before, GHashTable *seen, GHashTable *changed)
{
  GHashTableIter it;
  gpointer id, uid;
  for (g_hash_table_iter_init (&it, before); g_hash_table_iter_next (&it, &id, &uid);)
    {
      if (g_hash_table_contains (seen, id))
        continue;
      node_observed_forget (observed, id);
      note_changed (changed, uid);
    }
}

static GHashTable *
known_ids (NodeObserved *observed)
{
  GHashTable *ids = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  GHashTableIter it;
  gpointer id, value;
  g_mutex_lock (&observed->lock);
  for (g_hash_table_iter_init (&it, observed->sandboxes); g_hash_table_iter_next (&it, &id, &value);)
    g_hash_table_insert (ids, g_strdup (id), g_strdup (((NodeSandbox *) value)->status->uid));
  for (g_hash_table_iter_init (&it, observed->containers); g_hash_table_iter_next (&it, &id, &value);)
    g_hash_table_insert (ids, g_strdup (id), g_strdup (((NodeContainer *) value)->uid));
  g_mutex_unlock (&observed->lock);
  return ids;
}

gboolean
node_observed_relist (NodeObserved *observed, const NodeRuntime *runtime, GHashTable *changed_uids, GError **error)
{
  g_autoptr (GHashTable) before = known_ids (observed);
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  if (!relist_sandboxes (observed, runtime, seen, changed_uids, error) || !relist_containers (observed, runtime, seen, changed_uids, error))
    return FALSE;
  drop_unseen (observed, before, seen, changed_uids);
  return TRUE;
}

/* ---- events ---- */

typedef struct {
  NodeObserved *observed;
  GPtrArray *ids;
  gboolean is_list, ok;
  GHashTable *changed;
} Look;

static void look_begin (gpointer data);

static void
look_at (NodeObserved *observed, const NodeRuntime *runtime, const char *id, GHashTable *changed)
{
  g_mutex_lock (&observed->lock);
  NodeContainer *known = g_hash_table_lookup (observed->containers, id);
  NodeSandbox *sandbox = g_hash_table_lookup (observed->sandboxes, id);
  g_autofree char *uid = g_strdup (known != NULL ? known->uid : sandbox != NULL ? sandbox->status->uid : NULL);
  gboolean is_sandbox = sandbox != NULL;
  g_mutex_unlock (&observed->lock);
  note_changed (changed, uid);
  NodeContainer *container = is_sandbox ? NULL : node_observed_refresh_container (observed, runtime, id, NULL);
  if (container != NULL)
    note_changed (changed, container->uid);
  else
    {
      NodeSandbox *fresh = node_observed_refresh_sandbox (observed, runtime, id);
      if (fresh != NULL)
        note_changed (changed, fresh->status->uid);
      node_sandbox_unref (fresh);
    }
  node_container_unref (container);
}

static void
look_work (gpointer data)
{
  Look *look = data;
  g_auto (NodeRuntime) runtime = { 0 };
  g_autoptr (GError) error = NULL;
  if (!node_runtime_open (look->observed->agent, &runtime, NULL))
    return;
  look->ok = TRUE;
  if (look->is_list && !node_observed_relist (look->observed, &runtime, look->changed, &error))
    {
      g_debug ("listing containers: %s", error->message);
      look->ok = FALSE;
      return;
    }
  for (guint i = 0; i < look->ids->len && !look->is_list; i++)
    look_at (look->observed, &runtime, look->ids->pdata[i], look->changed);
}

static void
look_done (gpointer data)
{
  Look *look = data;
  NodeObserved *observed = look->observed;
  NodeAgent *agent = observed->agent;
  GHashTableIter it;
  gpointer uid;
  observed->is_busy = FALSE;
  if (look->is_list && look->ok && !observed->has_synced)
    {
      observed->has_synced = TRUE;
      node_agent_runtime_changed (agent);
    }
  for (g_hash_table_iter_init (&it, look->changed); g_hash_table_iter_next (&it, &uid, NULL) && !agent->is_stopping;)
    {
      NodePod *pod = g_hash_table_lookup (agent->pods, uid);
      if (pod != NULL)
        node_pod_wake (pod);
    }
  g_ptr_array_unref (look->ids);
  g_hash_table_unref (look->changed);
  g_free (look);
  g_mutex_lock (&observed->lock);
  gboolean again = observed->told->len > 0 || observed->needs_list;
  g_mutex_unlock (&observed->lock);
  if (again)
    look_begin (observed);
}

static void
relist_due (gpointer data)
{
  NodeObserved *observed = data;
  g_clear_pointer (&observed->timer, cube_timer_cancel);
  node_observed_relist_soon (observed);
}

static void
look_begin (gpointer data)
{
  NodeObserved *observed = data;
  g_mutex_lock (&observed->lock);
  observed->is_posted = FALSE;
  if (observed->is_busy || observed->is_stopping)
    {
      g_mutex_unlock (&observed->lock);
      return;
    }
  Look *look = g_new0 (Look, 1);
  look->observed = observed;
  look->is_list = observed->needs_list;
  look->ids = g_steal_pointer (&observed->told);
  observed->told = g_ptr_array_new_with_free_func (g_free);
  observed->needs_list = FALSE;
  g_mutex_unlock (&observed->lock);
  look->changed = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  observed->is_busy = TRUE;
  if (look->is_list)
    {
      g_clear_pointer (&observed->timer, cube_timer_cancel);
      gint64 delay_us = observed->has_synced ? RELIST_US : G_USEC_PER_SEC / 2;
      observed->timer = cube_loop_after (observed->agent->loop, delay_us, relist_due, observed, NULL);
    }
  cube_context_run_blocking (observed->agent->context, look_work, observed->agent->loop, look_done, look);
}

void
node_observed_relist_soon (NodeObserved *observed)
{
  g_mutex_lock (&observed->lock);
  observed->needs_list = TRUE;
  g_mutex_unlock (&observed->lock);
  look_begin (observed);
}

/* Any thread. */
static void
on_event (CubeRuntimeEventType type, const char *id, gpointer data)
{
  NodeObserved *observed = data;
  g_mutex_lock (&observed->lock);
  if (type == CUBE_RUNTIME_EVENT_LOST || id == NULL || observed->told->len > 1000)
    observed->needs_list = TRUE;
  else
    g_ptr_array_add (observed->told, g_strdup (id));
  gboolean is_first = !observed->is_posted && !observed->is_stopping;
  observed->is_posted = TRUE;
  g_mutex_unlock (&observed->lock);
  if (is_first)
    cube_loop_post (observed->agent->loop, look_begin, observed, NULL);
}

/* ---- life ---- */

NodeObserved *
node_observed_new (NodeAgent *agent)
{
  NodeObserved *observed = g_new0 (NodeObserved, 1);
  observed->agent = agent;
  g_mutex_init (&observed->lock);
  observed->containers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) node_container_unref);
  observed->sandboxes = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) node_sandbox_unref);
  observed->foreign = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  observed->told = g_ptr_array_new_with_free_func (g_free);
  return observed;
}

void
node_observed_start (NodeObserved *observed)
{
  g_auto (NodeRuntime) runtime = { 0 };
  if (node_runtime_open (observed->agent, &runtime, NULL))
    {
      runtime.ops->set_event_func (runtime.state, on_event, observed);
      /* The end may have been asked for meanwhile, from another thread: then it cleared what was not there yet. */
      g_mutex_lock (&observed->lock);
      gboolean is_stopping = observed->is_stopping;
      g_mutex_unlock (&observed->lock);
      if (is_stopping)
        {
          runtime.ops->set_event_func (runtime.state, NULL, NULL);
          return;
        }
    }
  node_observed_relist_soon (observed);
}

void
node_observed_stop (NodeObserved *observed)
{
  g_auto (NodeRuntime) runtime = { 0 };
  g_mutex_lock (&observed->lock);
  observed->is_stopping = TRUE;
  g_mutex_unlock (&observed->lock);
  if (node_runtime_open (observed->agent, &runtime, NULL))
    runtime.ops->set_event_func (runtime.state, NULL, NULL);
}

gboolean
node_observed_has_synced (NodeObserved *observed)
{
  return observed->has_synced;
}

void
node_observed_free (NodeObserved *observed)
{
  if (observed == NULL)
    return;
  cube_timer_cancel (observed->timer);
  g_hash_table_unref (observed->containers);
  g_hash_table_unref (observed->sandboxes);
  g_hash_table_unref (observed->foreign);
  g_ptr_array_unref (observed->told);
  g_mutex_clear (&observed->lock);
  g_free (observed);
}

gboolean
node_observed_is_idle (NodeObserved *observed)
{
  return !observed->is_busy;
}
