/* SPDX-License-Identifier: Apache-2.0 */
/* The in-process back: runs calls through their steps, waiting for the store or woken by it. */
#include "local-private.h"

/* Answers of the store on their way to one loop: the committer adds, the loop takes all at one wake-up. */
typedef struct {
  CubeLocal *local;
  CubeLoop *loop;
  GMutex lock;
  GPtrArray *calls; /* (element-type CubeCall) */
  gboolean is_posted;
} Batch;

static const CubeClientOps local_ops;

/* ---- the back ---- */

static void
batch_free (Batch *batch)
{
  g_ptr_array_unref (batch->calls);
  g_mutex_clear (&batch->lock);
  g_free (batch);
}

static gpointer
local_ref (gpointer back)
{
  CubeLocal *local = back;

  g_atomic_int_inc (&local->ref_count);
  return local;
}

static void
local_unref (gpointer back)
{
  CubeLocal *local = back;

  if (!g_atomic_int_dec_and_test (&local->ref_count))
    return;
  g_hash_table_unref (local->batches);
  g_mutex_clear (&local->lock);
  g_free (local);
}

static void
on_authenticators_changed (gpointer data)
{
  cube_chain_forget (((CubeLocal *) data)->registry, CUBE_CHAIN_AUTHENTICATORS);
}

static void
on_authorizers_changed (gpointer data)
{
  cube_chain_forget (((CubeLocal *) data)->registry, CUBE_CHAIN_AUTHORIZERS);
}

static void
on_admission_changed (gpointer data)
{
  cube_chain_forget (((CubeLocal *) data)->registry, CUBE_CHAIN_ADMISSION);
}

CubeClient *
cube_client_new_local (CubeContext *context, CubeStore *store, CubeSchema *schema, CubeRegistry *registry)
{
  static const CubeTask forget[CUBE_CHAIN_N] = { on_authenticators_changed, on_authorizers_changed, on_admission_changed };
  static const char *const groups[] = { "system:masters", "system:authenticated", NULL };
  g_autoptr (CubeUser) user = cube_user_new ("system:cube:core", NULL, groups);
  CubeLocal *local = g_new0 (CubeLocal, 1);
  CubeLoop *loop = cube_context_get_loop (context, "client"); /* not "main": that one waits while a plugin stops */

  local->ref_count = 1;
  local->context = context;
  local->store = store;
  local->schema = schema;
  local->registry = registry;
  g_mutex_init (&local->lock);
  local->batches = g_hash_table_new_full (NULL, NULL, NULL, (GDestroyNotify) batch_free);
  for (guint i = 0; i < CUBE_CHAIN_N; i++)
    local->chain_watches[i] = cube_registry_watch (registry, cube_chain_interface (i), loop, forget[i], local);
  local->expiry = cube_event_expiry_new (local);
  return cube_client_new (&local_ops, local, context, schema, user, "cube");
}

void
cube_client_stop_local (CubeClient *client)
{
  CubeLocal *local = client->back;

  g_return_if_fail (client->ops == &local_ops);
  for (guint i = 0; i < CUBE_CHAIN_N; i++)
    {
      g_clear_pointer (&local->chain_watches[i], cube_registry_unwatch);
      cube_chain_forget (local->registry, i);
    }
  g_clear_pointer (&local->expiry, cube_event_expiry_free);
}

/* ---- calls ---- */

static void
call_clear_commit (CubeCall *call)
{
  g_clear_pointer (&call->committed, cube_object_unref);
  g_clear_error (&call->commit_error);
}

static void
call_free (CubeCall *call)
{
  cube_admission_finish (call, NULL, FALSE);
  call_clear_commit (call);
  cube_object_unref (call->old);
  cube_object_unref (call->next);
  cube_response_unref (call->response);
  g_clear_error (&call->error);
  if (call->extra != NULL && call->extra_free != NULL)
    call->extra_free (call->extra);
  g_free (call->made_name);
  cube_client_unref (call->client);
  g_slice_free (CubeCall, call);
}

static const char *
or_empty (const char *text)
{
  return text != NULL ? text : "";
}

static CubeCallState
step_method_not_allowed (CubeCall *call)
{
  const CubeResource *resource = call->resource;
  GError *error = g_error_new (CUBE_ERROR, CUBE_ERROR_METHOD_NOT_ALLOWED, "%s is not supported on resources of kind \"%s%s%s%s%s\"",
                               cube_verb_name (call->request->verb), resource->resource, *resource->group != '\0' ? "." : "",
                               resource->group, *call->sub != '\0' ? "/" : "", call->sub);

  cube_error_set_object (error, resource->group, resource->resource, NULL);
  return cube_call_fail (call, error);
}

static CubeCallStep
step_of_subresource (CubeCall *call)
{
  CubeVerb verb = call->request->verb;

  if (verb == CUBE_VERB_CREATE)
    {
      if (g_str_equal (call->sub, "binding"))
        return cube_local_bind;
      if (g_str_equal (call->sub, "eviction"))
        return cube_local_evict;
      if (g_str_equal (call->sub, "token"))
        return cube_local_token;
      return step_method_not_allowed;
    }
  if (g_str_equal (call->sub, "scale"))
    return cube_local_scale;
  if (verb == CUBE_VERB_GET)
    return cube_local_get;
  if (verb == CUBE_VERB_UPDATE)
    return cube_local_update;
  if (verb == CUBE_VERB_PATCH)
    return cube_local_patch;
  return step_method_not_allowed;
}

static CubeCallStep
step_of_resource (CubeCall *call)
{
  const CubeResource *resource = call->resource;

  if (*resource->group == '\0' && g_str_equal (resource->resource, "componentstatuses"))
    return cube_local_component_status;
  switch (call->request->verb)
    {
    case CUBE_VERB_GET: return cube_local_get;
    case CUBE_VERB_LIST: return cube_local_list;
    case CUBE_VERB_CREATE:
      if (*resource->group == '\0' && g_str_equal (resource->resource, "bindings"))
        return cube_local_bind;
      return cube_strategy_is_review (resource) ? cube_local_review : cube_local_create;
    case CUBE_VERB_UPDATE: return cube_local_update;
    case CUBE_VERB_PATCH: return cube_local_patch;
    case CUBE_VERB_DELETE: return cube_local_delete;
    case CUBE_VERB_DELETE_COLLECTION: return cube_local_delete_collection;
    case CUBE_VERB_WATCH:
    case CUBE_VERB_N:
    default: return step_method_not_allowed;
    }
}

static CubeCallStep
first_step (CubeCall *call)
{
  guint32 bit = 1u << call->request->verb;

  if (*call->sub != '\0')
    {
      const CubeSubresource *sub = cube_resource_find_subresource (call->resource, call->sub);

      return sub != NULL && (sub->verbs & bit) != 0 ? step_of_subresource (call) : step_method_not_allowed;
    }
  return (call->resource->verbs & bit) != 0 ? step_of_resource (call) : step_method_not_allowed;
}

/* DeleteOptions, also within an Eviction, may say it in the body: kubectl does. */
static gboolean
asks_dry_run (const CubeRequest *request)
{
  CubeView body = request->body != NULL ? cube_value_root (request->body) : cube_view_none ();

  if (request->verb == CUBE_VERB_CREATE && g_strcmp0 (request->subresource, "eviction") == 0)
    body = cube_view_member (body, "deleteOptions");
  else if (request->verb != CUBE_VERB_DELETE && request->verb != CUBE_VERB_DELETE_COLLECTION)
    return request->is_dry_run;
  return request->is_dry_run || cube_view_length (cube_view_member (body, "dryRun")) > 0;
}

static CubeCall *
call_new (CubeClient *client, const CubeRequest *request)
{
  CubeCall *call = g_slice_new0 (CubeCall);

  call->client = cube_client_ref (client);
  call->local = client->back;
  call->request = request;
  call->resource = request->resource;
  call->storage = request->resource->storage != NULL ? request->resource->storage : request->resource;
  call->sub = or_empty (request->subresource);
  call->ns = call->resource->is_namespaced ? or_empty (request->ns) : "";
  call->name = or_empty (request->name);
  call->user = request->user != NULL ? request->user : client->user;
  call->manager = request->field_manager != NULL && *request->field_manager != '\0' ? request->field_manager
                  : client->field_manager != NULL                                   ? client->field_manager
                                                                                    : "unknown";
  call->is_dry_run = asks_dry_run (request);
  call->response = cube_response_new ();
  call->step = first_step (call);
  return call;
}

CubeCallState
cube_call_fail (CubeCall *call, GError *error)
{
  cube_admission_finish (call, NULL, FALSE);
  g_clear_error (&call->error);
  call->error = error;
  return CUBE_CALL_DONE;
}

CubeCallState
cube_call_fail_bad_request (CubeCall *call, const char *format, ...)
{
  va_list args;
  GError *error;

  va_start (args, format);
  error = g_error_new_valist (CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, format, args);
  va_end (args);
  return cube_call_fail (call, error);
}

CubeCallState
cube_call_propose (CubeCall *call, CubeObject *next, guint64 expected, CubeCallStep then)
{
  cube_object_unref (call->next);
  call->next = next;
  call->expected = expected;
  call->step = then;
  return CUBE_CALL_COMMIT;
}

CubeCallState
cube_call_answer_object (CubeCall *call, CubeObject *object)
{
  GError *error = NULL;
  CubeObject *converted = cube_schema_convert (call->resource, object, &error);

  if (converted == NULL)
    return cube_call_fail (call, error);
  cube_object_unref (call->response->object);
  call->response->object = converted;
  return CUBE_CALL_DONE;
}

CubeCallState
cube_call_answer_value (CubeCall *call, CubeValue *value)
{
  cube_value_unref (call->response->value);
  call->response->value = value;
  return CUBE_CALL_DONE;
}

GError *
cube_call_not_found (CubeCall *call)
{
  return cube_error_not_found (call->resource->group, call->resource->resource, call->name);
}

GError *
cube_call_conflict (CubeCall *call)
{
  return cube_error_conflict (call->resource->group, call->resource->resource, call->name,
                              "the object has been modified; please apply your changes to the latest version and try again");
}

void
cube_call_warn (CubeCall *call, const char *text)
{
  if (call->response->warnings == NULL)
    call->response->warnings = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (call->response->warnings, g_strdup (text));
}

gboolean
cube_call_read_old (CubeCall *call)
{
  g_clear_pointer (&call->old, cube_object_unref);
  call->old = cube_store_get (call->local->store, call->storage->key, call->ns, call->name);
  if (call->old != NULL)
    return TRUE;
  cube_call_fail (call, cube_call_not_found (call));
  return FALSE;
}

CubeObject *
cube_call_old_as_asked (CubeCall *call)
{
  GError *error = NULL;
  CubeObject *converted = cube_schema_convert (call->resource, call->old, &error);

  if (converted == NULL)
    cube_call_fail (call, error);
  return converted;
}

CubeValue *
cube_status_success (CubeCall *call, const char *uid)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder), *details;

  cube_mut_set_string (root, "kind", "Status");
  cube_mut_set_string (root, "apiVersion", "v1");
  cube_mut_set_object (root, "metadata");
  cube_mut_set_string (root, "status", "Success");
  if (uid != NULL)
    {
      details = cube_mut_set_object (root, "details");
      cube_mut_set_string (details, "name", call->name);
      if (*call->resource->group != '\0')
        cube_mut_set_string (details, "group", call->resource->group);
      cube_mut_set_string (details, "kind", call->resource->resource);
      cube_mut_set_string (details, "uid", uid);
    }
  return cube_builder_end (builder);
}

void
cube_call_now (CubeCall *call, char ret_text[32])
{
  cube_time_format (cube_context_now_us (call->local->context), ret_text);
}

/* ---- the waiting door ---- */

/* Takes call->next to the store and its answer back into the call. */
static void
call_commit (CubeCall *call)
{
  CubeObject *current = NULL;

  call_clear_commit (call);
  call->committed = cube_store_commit (call->local->store, call->storage->key, call->ns, call->name, g_steal_pointer (&call->next),
                                       call->expected, &current, &call->commit_error);
  if (call->committed == NULL)
    call->committed = current;
  else
    cube_object_unref (current);
}

static void
call_run (CubeCall *call)
{
  while (call->step (call) == CUBE_CALL_COMMIT)
    call_commit (call);
}

static gboolean
check_request (const CubeRequest *request, GError **error)
{
  if (request->resource == NULL || (guint) request->verb >= CUBE_VERB_N)
    {
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "request without a resource or with an unknown verb");
      return FALSE;
    }
  return TRUE;
}

CubeResponse *
cube_local_run (CubeClient *client, const CubeRequest *request, GError **error)
{
  CubeResponse *response = NULL;
  CubeCall *call;

  if (!check_request (request, error))
    return NULL;
  call = call_new (client, request);
  call_run (call);
  if (call->error != NULL)
    g_propagate_error (error, g_steal_pointer (&call->error));
  else
    response = g_steal_pointer (&call->response);
  call_free (call);
  return response;
}

/* ---- the asynchronous door ---- */

static void
call_deliver (CubeCall *call)
{
  CubeResponse *response = call->error == NULL ? g_steal_pointer (&call->response) : NULL;
  GError *error = g_steal_pointer (&call->error);
  CubeResponseDone done = call->done;
  gpointer data = call->data;

  call_free (call);
  done (response, error, data);
}

static CubeCallState
step_nothing (CubeCall *call)
{
  return CUBE_CALL_DONE;
}

static void call_advance (CubeCall *call);

static void
batch_drain (gpointer data)
{
  Batch *batch = data;
  g_autoptr (GPtrArray) calls = NULL;
  CubeLocal *local = local_ref (batch->local);

  g_mutex_lock (&batch->lock);
  calls = batch->calls;
  batch->calls = g_ptr_array_sized_new (MAX (calls->len, 16));
  batch->is_posted = FALSE;
  g_mutex_unlock (&batch->lock);
  for (guint i = 0; i < calls->len; i++)
    {
      CubeCall *call = calls->pdata[i];

      if (call->step == step_nothing)
        call_deliver (call);
      else
        call_advance (call);
    }
  local_unref (local);
}

static Batch *
batch_of (CubeLocal *local, CubeLoop *loop)
{
  Batch *batch;

  g_mutex_lock (&local->lock);
  batch = g_hash_table_lookup (local->batches, loop);
  if (batch == NULL)
    {
      batch = g_new0 (Batch, 1);
      batch->local = local;
      batch->loop = loop;
      g_mutex_init (&batch->lock);
      batch->calls = g_ptr_array_new ();
      g_hash_table_insert (local->batches, loop, batch);
    }
  g_mutex_unlock (&local->lock);
  return batch;
}

/* Hands @call to its loop: from the committer, a worker or the loop itself. */
static void
call_wake (CubeCall *call)
{
  Batch *batch = batch_of (call->local, call->loop);
  gboolean must_post;

  g_mutex_lock (&batch->lock);
  g_ptr_array_add (batch->calls, call);
  must_post = !batch->is_posted;
  batch->is_posted = TRUE;
  g_mutex_unlock (&batch->lock);
  if (must_post)
    cube_loop_post (batch->loop, batch_drain, batch, NULL);
}

static void
on_proposal_done (guint64 revision, CubeObject *object, const GError *error, gpointer data)
{
  CubeCall *call = data;

  call->committed = object != NULL ? cube_object_ref (object) : NULL;
  call->commit_error = error != NULL ? g_error_copy (error) : NULL;
  call_wake (call);
}

/* Runs steps until one needs the store (its answer comes back through the batch) or the call is done, on its loop's thread or the caller's. */
static void
call_advance (CubeCall *call)
{
  if (call->step (call) == CUBE_CALL_COMMIT)
    {
      call_clear_commit (call);
      cube_store_propose (call->local->store, call->storage->key, call->ns, call->name, g_steal_pointer (&call->next), call->expected,
                          on_proposal_done, call);
      return;
    }
  if (call->step == step_nothing || cube_loop_is_current (call->loop))
    {
      call_deliver (call);
      return;
    }
  call->step = step_nothing;
  call_wake (call);
}

static void
work_blocking (gpointer data)
{
  CubeCall *call = data;

  call_run (call);
  call->step = step_nothing;
  call_wake (call);
}

/* Calls that write several objects wait for the store in between: a worker's business. */
static gboolean
call_blocks (CubeCall *call)
{
  return call->step == cube_local_delete_collection || call->step == cube_local_evict || call->step == cube_local_token;
}

static void
local_execute_async (CubeClient *client, const CubeRequest *request, CubeLoop *loop, CubeResponseDone done, gpointer data)
{
  GError *error = NULL;
  CubeCall *call;

  if (!check_request (request, &error))
    {
      done (NULL, error, data);
      return;
    }
  call = call_new (client, request);
  call->loop = loop;
  call->done = done;
  call->data = data;
  if (call_blocks (call))
    {
      cube_context_run_blocking (client->context, work_blocking, loop, NULL, call);
      return;
    }
  if (call->step (call) == CUBE_CALL_COMMIT)
    {
      cube_store_propose (call->local->store, call->storage->key, call->ns, call->name, g_steal_pointer (&call->next), call->expected,
                          on_proposal_done, call);
      return;
    }
  /* Never inside the caller's own stack frame: it may not have finished setting up for the answer. */
  call->step = step_nothing;
  call_wake (call);
}

/* ---- reads that need no pipeline ---- */

static CubeObject *
local_peek (CubeClient *client, const CubeResource *resource, const char *ns, const char *name)
{
  CubeLocal *local = client->back;
  const CubeResource *storage = resource->storage != NULL ? resource->storage : resource;
  g_autoptr (CubeObject) object =
      cube_store_get (local->store, storage->key, resource->is_namespaced ? or_empty (ns) : "", or_empty (name));

  return object != NULL ? cube_schema_convert (resource, object, NULL) : NULL;
}

static GPtrArray *
local_list_owned (CubeClient *client, const CubeResource *resource, const char *ns, const char *owner_uid, GError **error)
{
  CubeLocal *local = client->back;
  const CubeResource *storage = resource->storage != NULL ? resource->storage : resource;
  GPtrArray *found = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);
  GArray *hits = cube_store_find_owned (local->store, owner_uid);

  for (guint i = 0; i < hits->len; i++)
    {
      CubeStoreHit *hit = &g_array_index (hits, CubeStoreHit, i);

      if (g_str_equal (hit->resource_key, storage->key)
          && (*or_empty (ns) == '\0' || g_str_equal (cube_object_namespace (hit->object), ns)))
        {
          CubeObject *converted = cube_schema_convert (resource, hit->object, NULL);

          if (converted != NULL)
            g_ptr_array_add (found, converted);
        }
    }
  g_array_unref (hits);
  return found;
}

static GPtrArray *
local_list_pods_on (CubeClient *client, const char *node_name, GError **error)
{
  return cube_store_find_pods_on (((CubeLocal *) client->back)->store, node_name);
}

static const CubeClientOps local_ops = {
  .execute = cube_local_run,
  .execute_async = local_execute_async,
  .watch = cube_local_watch,
  .list_owned = local_list_owned,
  .list_pods_on = local_list_pods_on,
  .peek = local_peek,
  .back_ref = local_ref,
  .back_unref = local_unref,
};
