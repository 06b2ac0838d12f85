/* SPDX-License-Identifier: Apache-2.0 */
/* Watches over the bus: a cursor in the resource's ring, seen through selectors and in the asked version. */
#include "local-private.h"
#include <store/index.h>

#define BOOKMARK_EVERY_US (60 * G_USEC_PER_SEC)
#define MIN_TIMEOUT_US (1800 * G_USEC_PER_SEC)
#define LAST_BOOKMARK_US (2 * G_USEC_PER_SEC)

typedef struct {
  CubeWatch watch;
  CubeClient *client;
  CubeLocal *local;
  const CubeResource *resource, *storage;
  char *ns; /* NULL = all */
  CubeSelector *labels, *fields;
  const char *node;     /* pods of one node only: told from the bytes, nothing is parsed. Of fields; NULL = not so */
  gboolean is_node_all; /* … and that is all fields ask for */
  CubeLoop *loop;
  CubeTask ready;
  gpointer data;
  CubeSubscription *subscription;
  GPtrArray *initial; /* objects still to be told as ADDED; NULL when done */
  guint initial_at;
  gboolean must_mark_end; /* the initial-events-end bookmark is due */
  guint64 revision;       /* everything up to here was told */
  gboolean has_bookmarks, is_bookmark_due, is_over;
  guint64 last_bookmark;
  gint64 ends_at;          /* monotonic */
  CubeTimer *timer, *kick; /* kick: tells the owner of the initial events */
} LocalWatch;

/* Every node's agent watches all pods for its own: a pod's change must cost each of the others next to nothing. */
static gboolean
is_on_node (LocalWatch *watch, CubeObject *object)
{
  gsize length, name_length;
  const char *json = cube_object_json (object, &length), *name;

  if (!cube_extract_node_name (json, length, &name, &name_length))
    return FALSE;
  return strlen (watch->node) == name_length && memcmp (watch->node, name, name_length) == 0;
}

static gboolean
count_requirement (const char *key, const char *op, const char *const *values, gpointer data)
{
  (*(guint *) data)++;
  return TRUE;
}

static void
note_node (LocalWatch *watch)
{
  const char *node =
      watch->fields != NULL && g_str_equal (watch->storage->key, "/pods") ? cube_selector_requires (watch->fields, "spec.nodeName") : NULL;
  guint requirements = 0;

  if (node == NULL || *node == '\0' || cube_name_check_dns1123_subdomain (node) != NULL)
    return;
  watch->node = node;
  cube_selector_visit (watch->fields, count_requirement, &requirements);
  watch->is_node_all = requirements == 1;
}

static gboolean
is_in_view (LocalWatch *watch, CubeObject *object)
{
  if (watch->ns != NULL && !g_str_equal (cube_object_namespace (object), watch->ns))
    return FALSE;
  if (watch->node != NULL && !is_on_node (watch, object))
    return FALSE;
  if (watch->is_node_all)
    return watch->labels == NULL || cube_selector_matches_object (watch->labels, object);
  return cube_local_matches (watch->storage, watch->labels, watch->fields, object);
}

/* ---- time ---- */

static void on_timer (gpointer data);

static void
arm_timer (LocalWatch *watch)
{
  gint64 left = watch->ends_at - cube_context_monotonic_us (watch->local->context);

  if (watch->has_bookmarks && left > LAST_BOOKMARK_US)
    left = MIN (BOOKMARK_EVERY_US, left - LAST_BOOKMARK_US);
  watch->timer = cube_loop_after (watch->loop, MAX (left, 1000), on_timer, watch, NULL);
}

static void
on_timer (gpointer data)
{
  LocalWatch *watch = data;

  g_clear_pointer (&watch->timer, cube_timer_cancel);
  if (cube_context_monotonic_us (watch->local->context) >= watch->ends_at)
    watch->is_over = TRUE;
  else
    {
      watch->is_bookmark_due = watch->has_bookmarks;
      arm_timer (watch);
    }
  watch->ready (watch->data);
}

static void
on_kick (gpointer data)
{
  LocalWatch *watch = data;

  g_clear_pointer (&watch->kick, cube_timer_cancel);
  watch->ready (watch->data);
}

/* ---- reading ---- */

static gboolean
set_event (LocalWatch *watch, CubeEvent *event, CubeEventType type, CubeObject *object, CubeObject *old, guint64 revision, GError **error)
{
  memset (event, 0, sizeof *event);
  event->type = type;
  event->revision = revision;
  event->object = cube_schema_convert (watch->resource, object, error);
  if (event->object == NULL)
    return FALSE;
  if (old != NULL)
    event->old = cube_schema_convert (watch->resource, old, NULL);
  return TRUE;
}

static void
set_bookmark (LocalWatch *watch, CubeEvent *event, gboolean is_initial_end)
{
  memset (event, 0, sizeof *event);
  event->type = CUBE_EVENT_BOOKMARK;
  event->revision = watch->revision;
  event->is_initial_end = is_initial_end;
  watch->last_bookmark = watch->revision;
  watch->is_bookmark_due = FALSE;
}

static gboolean
next_initial (LocalWatch *watch, CubeEvent *event, GError **error)
{
  CubeObject *object = watch->initial->pdata[watch->initial_at];
  gboolean is_set = set_event (watch, event, CUBE_EVENT_ADDED, object, NULL, cube_object_revision (object), error);

  if (++watch->initial_at == watch->initial->len)
    g_clear_pointer (&watch->initial, g_ptr_array_unref);
  return is_set;
}

/* How a change looks through the selectors; FALSE = not at all. */
static gboolean
see_change (LocalWatch *watch, CubeChange *change, CubeEvent *event, GError **error)
{
  gboolean is_seen = !change->is_delete && is_in_view (watch, change->object);
  gboolean was_seen = change->is_delete ? is_in_view (watch, change->old != NULL ? change->old : change->object)
                                        : change->old != NULL && is_in_view (watch, change->old);

  if (is_seen)
    return set_event (watch, event, was_seen ? CUBE_EVENT_MODIFIED : CUBE_EVENT_ADDED, change->object, change->old, change->revision,
                      error);
  if (!was_seen)
    return FALSE;
  /* Gone from the view: Kubernetes sends the last state seen, at the revision of the change. */
  if (change->is_delete)
    return set_event (watch, event, CUBE_EVENT_DELETED, change->object, change->old, change->revision, error);
  {
    gsize length;
    const char *json = cube_object_json (change->old, &length);
    g_autoptr (CubeObject) last = cube_object_new_from_json (json, length, change->revision, error);

    return last != NULL && set_event (watch, event, CUBE_EVENT_DELETED, last, change->old, change->revision, error);
  }
}

static gboolean
next_change (LocalWatch *watch, CubeEvent *event, GError **error)
{
  g_autoptr (GError) failure = NULL;
  CubeChange change;
  guint64 progress = 0;

  while (cube_subscription_next (watch->subscription, &change, &progress, &failure))
    {
      gboolean is_seen = see_change (watch, &change, event, &failure);

      watch->revision = MAX (watch->revision, change.revision);
      cube_change_clear (&change);
      if (is_seen)
        return TRUE;
      if (failure != NULL)
        break;
    }
  if (failure != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&failure));
      return FALSE;
    }
  watch->revision = MAX (watch->revision, progress);
  return FALSE;
}

static gboolean
local_watch_next (CubeWatch *base, CubeEvent *ret_event, GError **error)
{
  LocalWatch *watch = (LocalWatch *) base;
  g_autoptr (GError) failure = NULL;

  if (watch->initial != NULL)
    return next_initial (watch, ret_event, error);
  if (watch->must_mark_end)
    {
      watch->must_mark_end = FALSE;
      set_bookmark (watch, ret_event, TRUE);
      return TRUE;
    }
  if (next_change (watch, ret_event, &failure))
    return TRUE;
  if (failure != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&failure));
      return FALSE;
    }
  if (watch->is_bookmark_due || (watch->is_over && watch->has_bookmarks && watch->last_bookmark != watch->revision))
    {
      set_bookmark (watch, ret_event, FALSE);
      return TRUE;
    }
  if (watch->is_over)
    g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_TIMEOUT, "the watch's time is over");
  return FALSE;
}

static void
local_watch_free (CubeWatch *base)
{
  LocalWatch *watch = (LocalWatch *) base;

  cube_timer_cancel (watch->timer);
  cube_timer_cancel (watch->kick);
  if (watch->subscription != NULL)
    cube_subscription_free (watch->subscription);
  g_clear_pointer (&watch->initial, g_ptr_array_unref);
  cube_selector_unref (watch->labels);
  cube_selector_unref (watch->fields);
  g_free (watch->ns);
  cube_client_unref (watch->client);
  g_free (watch);
}

static const CubeWatchOps watch_ops = { local_watch_next, local_watch_free };

/* ---- starting ---- */

static GError *
watch_options_error (const char *field, const char *body)
{
  GError *error = g_error_new (CUBE_ERROR, CUBE_ERROR_INVALID, "ListOptions.meta.k8s.io \"\" is invalid: %s: Forbidden: %s", field, body);

  cube_error_set_object (error, "meta.k8s.io", "ListOptions", NULL);
  cube_error_add_cause (error, "FieldValueForbidden", field, "Forbidden: %s", body);
  return error;
}

static GError *
check_watch_options (const CubeRequest *request)
{
  if (request->send_initial_events && request->revision_match != CUBE_MATCH_NOT_OLDER_THAN)
    return watch_options_error ("resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
  if (!request->send_initial_events && request->revision_match != CUBE_MATCH_UNSET)
    return watch_options_error ("resourceVersionMatch", "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
  if ((request->resource->verbs & (1u << CUBE_VERB_WATCH)) == 0)
    {
      GError *error = g_error_new (CUBE_ERROR, CUBE_ERROR_METHOD_NOT_ALLOWED, "watch is not supported on resources of kind \"%s%s%s\"",
                                   request->resource->resource, *request->resource->group != '\0' ? "." : "", request->resource->group);

      cube_error_set_object (error, request->resource->group, request->resource->resource, NULL);
      return error;
    }
  return NULL;
}

static gboolean
collect_initial (CubeObject *object, gpointer data)
{
  LocalWatch *watch = data;

  if (is_in_view (watch, object))
    g_ptr_array_add (watch->initial, cube_object_ref (object));
  return TRUE;
}

/* What is there now becomes the watch's first events; changes after it follow. */
static gboolean
start_with_initial (LocalWatch *watch, GError **error)
{
  CubeSnapshot *snapshot = cube_store_snapshot (watch->local->store, watch->storage->key);

  watch->revision = cube_snapshot_revision (snapshot);
  watch->initial = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);
  watch->subscription = cube_bus_subscribe (cube_store_bus (watch->local->store), watch->storage->key, watch->revision, watch->loop,
                                            watch->ready, watch->data, error);
  if (watch->subscription != NULL)
    cube_snapshot_visit (snapshot, watch->ns, NULL, NULL, collect_initial, watch);
  cube_snapshot_unref (snapshot);
  if (watch->initial->len == 0)
    g_clear_pointer (&watch->initial, g_ptr_array_unref);
  return watch->subscription != NULL;
}

static gboolean
start (LocalWatch *watch, const CubeRequest *request, GError **error)
{
  guint64 asked = 0, current = cube_store_revision (watch->local->store);

  if (!cube_parse_revision (request->resource_version, &asked, error))
    return FALSE;
  if (asked > current)
    {
      g_propagate_error (error, cube_error_future_revision (asked, current));
      return FALSE;
    }
  if (asked == 0 || request->send_initial_events)
    {
      watch->must_mark_end = request->send_initial_events && request->allow_bookmarks;
      return start_with_initial (watch, error);
    }
  watch->revision = asked;
  watch->subscription =
      cube_bus_subscribe (cube_store_bus (watch->local->store), watch->storage->key, asked, watch->loop, watch->ready, watch->data, error);
  return watch->subscription != NULL;
}

CubeWatch *
cube_local_watch (CubeClient *client, const CubeRequest *request, CubeLoop *loop, CubeTask ready, gpointer data, GError **error)
{
  CubeLocal *local = client->back;
  GError *failure = check_watch_options (request);
  gint64 timeout = request->timeout_us;
  LocalWatch *watch;

  if (failure != NULL)
    {
      g_propagate_error (error, failure);
      return NULL;
    }
  if (!cube_local_check_fields (request->resource, request->fields, error))
    return NULL;
  watch = g_new0 (LocalWatch, 1);
  watch->watch.ops = &watch_ops;
  watch->client = cube_client_ref (client);
  watch->local = local;
  watch->resource = request->resource;
  watch->storage = request->resource->storage != NULL ? request->resource->storage : request->resource;
  watch->ns = watch->resource->is_namespaced && request->ns != NULL && *request->ns != '\0' ? g_strdup (request->ns) : NULL;
  watch->labels = cube_selector_is_everything (request->labels) ? NULL : cube_selector_ref ((CubeSelector *) request->labels);
  watch->fields = cube_selector_is_everything (request->fields) ? NULL : cube_selector_ref ((CubeSelector *) request->fields);
  note_node (watch);
  watch->loop = loop;
  watch->ready = ready;
  watch->data = data;
  watch->has_bookmarks = request->allow_bookmarks;
  if (!start (watch, request, error))
    {
      local_watch_free (&watch->watch);
      return NULL;
    }
  if (timeout <= 0)
    timeout = MIN_TIMEOUT_US + (gint64) (cube_context_random (local->context) % (guint64) MIN_TIMEOUT_US);
  watch->ends_at = cube_context_monotonic_us (local->context) + timeout;
  arm_timer (watch);
  if (watch->initial != NULL || watch->must_mark_end)
    watch->kick = cube_loop_after (loop, 0, on_kick, watch, NULL);
  return &watch->watch;
}
