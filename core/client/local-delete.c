/* SPDX-License-Identifier: Apache-2.0 */
/* delete and deletecollection: preconditions, grace, finalizers, what becomes of dependents. */
#include "local-private.h"

#define ORPHAN "orphan"
#define FOREGROUND "foregroundDeletion"
#define DELETE_ATTEMPTS 8

typedef struct {
  const char *uid, *revision; /* preconditions; NULL = none */
  gint64 grace;               /* -1 = unset */
  CubePropagation propagation;
} Options;

/* ---- DeleteOptions ---- */

static gboolean
options_invalid (GError **error, const char *reason, const char *field, const char *format, ...)
{
  g_autofree char *body = NULL;
  va_list args;

  va_start (args, format);
  body = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "DeleteOptions.meta.k8s.io \"\" is invalid: %s: %s", field, body);
  if (error != NULL)
    {
      cube_error_set_object (*error, "meta.k8s.io", "DeleteOptions", NULL);
      cube_error_add_cause (*error, reason, field, "%s", body);
    }
  return FALSE;
}

static gboolean
read_propagation (CubeView body, Options *options, GError **error)
{
  const char *policy = cube_view_get_string (body, "propagationPolicy");
  CubeView orphan = cube_view_member (body, "orphanDependents");
  gboolean has_orphan = cube_view_type (orphan) == CUBE_VALUE_BOOL;

  if (policy != NULL && has_orphan)
    return options_invalid (error, "FieldValueInvalid", "propagationPolicy",
                            "Invalid value: \"%s\": orphanDependents and deletionPropagation cannot be both set", policy);
  if (has_orphan)
    options->propagation = cube_view_bool (orphan, FALSE) ? CUBE_PROPAGATION_ORPHAN : CUBE_PROPAGATION_BACKGROUND;
  else if (policy == NULL)
    return TRUE;
  else if (g_str_equal (policy, "Orphan"))
    options->propagation = CUBE_PROPAGATION_ORPHAN;
  else if (g_str_equal (policy, "Background"))
    options->propagation = CUBE_PROPAGATION_BACKGROUND;
  else if (g_str_equal (policy, "Foreground"))
    options->propagation = CUBE_PROPAGATION_FOREGROUND;
  else
    return options_invalid (error, "FieldValueNotSupported", "propagationPolicy",
                            "Unsupported value: \"%s\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"", policy);
  return TRUE;
}

/* What is sent along must be DeleteOptions: another kind may be a mistake that must not delete anything. */
static gboolean
check_options (CubeView body, GError **error)
{
  const char *kind = cube_view_get_string (body, "kind");
  CubeView entry;
  CubeIter it;

  if (kind != NULL && *kind != '\0' && !g_str_equal (kind, "DeleteOptions"))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                   "%s in version \"v1\" cannot be handled as a DeleteOptions: no kind \"%s\" is served at this path", kind, kind);
      return FALSE;
    }
  for (cube_iter_init (&it, cube_view_member (body, "dryRun")); cube_iter_next (&it, NULL, &entry);)
    if (g_strcmp0 (cube_view_string (entry), "All") != 0)
      return options_invalid (error, "FieldValueNotSupported", "dryRun", "Unsupported value: [\"%s\"]: supported values: \"All\"",
                              cube_view_string_or (entry, ""));
  return TRUE;
}

static gboolean
read_options (const CubeRequest *request, Options *options, GError **error)
{
  CubeView body = request->body != NULL ? cube_value_root (request->body) : cube_view_none (), grace;
  const char *uid, *revision;

  options->uid = request->precondition_uid;
  options->revision = request->precondition_revision;
  options->grace = request->grace_seconds;
  options->propagation = request->propagation;
  if (cube_view_type (body) != CUBE_VALUE_OBJECT)
    return TRUE;
  if (!check_options (body, error))
    return FALSE;
  uid = cube_view_get_string (body, "preconditions", "uid");
  revision = cube_view_get_string (body, "preconditions", "resourceVersion");
  grace = cube_view_member (body, "gracePeriodSeconds");
  options->uid = uid != NULL ? uid : options->uid;
  options->revision = revision != NULL ? revision : options->revision;
  if (cube_view_type (grace) == CUBE_VALUE_INT)
    options->grace = cube_view_int (grace, -1) < 0 ? 1 : cube_view_int (grace, -1);
  return read_propagation (body, options, error);
}

static GError *
precondition_error (CubeCall *call, const char *what, const char *wanted, const char *have, const char *end)
{
  gboolean is_namespace = *call->resource->group == '\0' && g_str_equal (call->resource->resource, "namespaces");
  g_autofree char *why = NULL;

  if (is_namespace) /* looked at before the others' common way */
    {
      why = g_strdup_printf ("Precondition failed: %s in precondition: %s, %s in object meta: %s", what, wanted, what, have);
      return cube_error_conflict ("", "namespaces", call->name, why);
    }
  why = g_strdup_printf ("the %s in the precondition (%s) does not match the %s in record (%s). The object might have been %s", what,
                         wanted, what, have, end);

  return cube_error_conflict (call->resource->group, call->resource->kind, call->name, why);
}

static GError *
check_preconditions (CubeCall *call, const Options *options)
{
  char have[24];

  if (options->uid != NULL && *options->uid != '\0' && !g_str_equal (options->uid, cube_object_uid (call->old)))
    return precondition_error (call, "UID", options->uid, cube_object_uid (call->old), "deleted and then recreated");
  g_snprintf (have, sizeof have, "%" G_GUINT64_FORMAT, cube_object_revision (call->old));
  if (options->revision != NULL && *options->revision != '\0' && !g_str_equal (options->revision, have))
    return precondition_error (call, "ResourceVersion", options->revision, have, "modified");
  return NULL;
}

/* ---- what a delete makes of the object ---- */

/* TRUE when @metadata.finalizers was changed. */
static gboolean
set_collector_finalizer (CubeCall *call, CubeMut *metadata, CubePropagation propagation)
{
  gboolean had_orphan = cube_object_has_finalizer (call->old, ORPHAN), had_foreground = cube_object_has_finalizer (call->old, FOREGROUND);
  gboolean wants_orphan, wants_foreground;
  CubeMut *finalizers;

  if (propagation == CUBE_PROPAGATION_DEFAULT)
    {
      wants_foreground = had_foreground;
      wants_orphan = had_orphan || (!had_foreground && cube_strategy_orphans_by_default (call->storage));
    }
  else
    {
      wants_orphan = propagation == CUBE_PROPAGATION_ORPHAN;
      wants_foreground = propagation == CUBE_PROPAGATION_FOREGROUND;
    }
  if (wants_orphan == had_orphan && wants_foreground == had_foreground)
    return FALSE;
  finalizers = cube_mut_ensure_array (metadata, "finalizers");
  for (guint i = cube_mut_length (finalizers); i-- > 0;)
    {
      const char *text = cube_mut_string (cube_mut_element (finalizers, i));

      if (g_strcmp0 (text, ORPHAN) == 0 || g_strcmp0 (text, FOREGROUND) == 0)
        cube_mut_remove_element (finalizers, i);
    }
  if (wants_orphan)
    cube_mut_append_string (finalizers, ORPHAN);
  if (wants_foreground)
    cube_mut_append_string (finalizers, FOREGROUND);
  if (cube_mut_length (finalizers) == 0)
    cube_mut_remove (metadata, "finalizers");
  return TRUE;
}

static void
mark_deleting (CubeCall *call, CubeMut *metadata, gint64 grace)
{
  gint64 generation = cube_mut_int (cube_mut_member (metadata, "generation"), 0);
  char text[32];

  cube_time_format (cube_context_now_us (call->local->context) + grace * G_USEC_PER_SEC, text);
  cube_mut_set_string (metadata, "deletionTimestamp", text);
  cube_mut_set_int (metadata, "deletionGracePeriodSeconds", grace);
  if (generation > 0)
    cube_mut_set_int (metadata, "generation", generation + 1);
}

/* A second delete may only shorten the grace. TRUE when it did. */
static gboolean
shorten_grace (CubeCall *call, CubeMut *metadata, gint64 *grace)
{
  gint64 old_grace = cube_mut_int (cube_mut_member (metadata, "deletionGracePeriodSeconds"), 0), due = 0;
  gint64 now = cube_context_now_us (call->local->context);
  char text[32];

  if (*grace < 0 || *grace >= old_grace)
    {
      *grace = old_grace;
      return FALSE;
    }
  cube_time_parse (cube_object_deletion_timestamp (call->old), &due);
  due += (*grace - old_grace) * G_USEC_PER_SEC;
  if (due < now)
    {
      due = now;
      *grace = MIN (*grace, 1);
    }
  cube_time_format (due, text);
  cube_mut_set_string (metadata, "deletionTimestamp", text);
  cube_mut_set_int (metadata, "deletionGracePeriodSeconds", *grace);
  return TRUE;
}

/* Kubernetes' pod strategy: a pod that nothing runs needs no grace. */
static gint64
pod_grace (CubeView pod, gint64 asked)
{
  const char *node = cube_view_get_string (pod, "spec", "nodeName"), *phase = cube_view_get_string (pod, "status", "phase");
  gint64 grace = asked >= 0 ? asked : cube_view_get_int (pod, 30, "spec", "terminationGracePeriodSeconds");

  if (node == NULL || *node == '\0' || g_strcmp0 (phase, "Succeeded") == 0 || g_strcmp0 (phase, "Failed") == 0)
    return 0;
  return grace < 0 ? 1 : grace;
}

typedef struct {
  gboolean is_changed; /* the object is written, not removed */
  gboolean is_now;     /* it goes at once */
} Outcome;

static Outcome
decide_namespace (CubeCall *call, CubeMut *root, CubeView old)
{
  CubeMut *metadata = cube_mut_ensure (root, "metadata");
  gboolean is_empty = cube_view_length (cube_view_get (old, "spec", "finalizers")) == 0 && *cube_object_finalizers (call->old) == NULL;
  Outcome outcome = { FALSE, is_empty };

  if (is_empty || cube_object_deletion_timestamp (call->old) != NULL)
    return outcome;
  mark_deleting (call, metadata, 0);
  cube_mut_set_string (cube_mut_ensure (root, "status"), "phase", "Terminating");
  outcome.is_changed = TRUE;
  return outcome;
}

static Outcome
decide (CubeCall *call, CubeMut *root, CubeView old, const Options *options)
{
  CubeMut *metadata = cube_mut_ensure (root, "metadata");
  gboolean is_pod = g_str_equal (call->storage->key, "/pods"), was_deleting = cube_object_deletion_timestamp (call->old) != NULL;
  gint64 grace = is_pod ? options->grace : 0;
  Outcome outcome = { 0 };

  if (g_str_equal (call->storage->key, "/namespaces"))
    return decide_namespace (call, root, old);
  outcome.is_changed = set_collector_finalizer (call, metadata, options->propagation);
  if (was_deleting && is_pod)
    {
      if (grace >= 0)
        grace = pod_grace (old, grace);
      outcome.is_changed |= shorten_grace (call, metadata, &grace);
    }
  else if (is_pod)
    grace = pod_grace (old, grace);
  outcome.is_now = grace == 0 && cube_mut_length (cube_mut_member (metadata, "finalizers")) == 0;
  if (!was_deleting && !outcome.is_now)
    {
      mark_deleting (call, metadata, grace);
      outcome.is_changed = TRUE;
    }
  return outcome;
}

gboolean
cube_local_is_deletable (const CubeResource *resource, CubeObject *object, CubeView value)
{
  if (cube_object_deletion_timestamp (object) == NULL || *cube_object_finalizers (object) != NULL)
    return FALSE;
  if (g_str_equal (resource->key, "/namespaces"))
    return cube_view_length (cube_view_get (value, "spec", "finalizers")) == 0;
  return cube_view_get_int (value, 0, "metadata", "deletionGracePeriodSeconds") == 0;
}

/* ---- the steps ---- */

static CubeCallState
answer_removed (CubeCall *call, CubeObject *last)
{
  if (cube_strategy_returns_deleted (call->storage))
    return cube_call_answer_object (call, last);
  return cube_call_answer_value (call, cube_status_success (call, cube_object_uid (last)));
}

static CubeCallState
step_after (CubeCall *call, gboolean is_removal)
{
  gboolean is_stale;

  if (call->commit_error == NULL)
    {
      cube_admission_finish (call, call->committed, TRUE);
      if (is_removal)
        return answer_removed (call, call->committed != NULL ? call->committed : call->old);
      call->response->is_deletion_pending = TRUE;
      return cube_call_answer_object (call, call->committed);
    }
  cube_admission_finish (call, NULL, FALSE);
  is_stale = g_error_matches (call->commit_error, CUBE_ERROR, CUBE_ERROR_CONFLICT)
             || g_error_matches (call->commit_error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND);
  if (!is_stale)
    return cube_call_fail (call, g_steal_pointer (&call->commit_error));
  if (++call->attempts < DELETE_ATTEMPTS)
    return cube_local_delete (call); /* preconditions are looked at again */
  return cube_call_fail (call, cube_call_conflict (call));
}

static CubeCallState
step_removed (CubeCall *call)
{
  return step_after (call, TRUE);
}

static CubeCallState
step_marked (CubeCall *call)
{
  return step_after (call, FALSE);
}

static CubeCallState
propose_outcome (CubeCall *call, CubeBuilder *builder, Outcome outcome)
{
  gboolean is_dry_run = call->is_dry_run;
  g_autoptr (CubeValue) value = NULL;
  CubeObject *object;
  GError *error = NULL;

  if (outcome.is_now)
    {
      if (!is_dry_run)
        return cube_call_propose (call, NULL, cube_object_revision (call->old), step_removed);
      cube_admission_finish (call, NULL, FALSE);
      return answer_removed (call, call->old);
    }
  call->response->is_deletion_pending = TRUE;
  if (!outcome.is_changed)
    {
      cube_admission_finish (call, NULL, FALSE);
      return cube_call_answer_object (call, call->old);
    }
  value = cube_builder_end (builder);
  object = cube_object_new (cube_value_root (value), 0, &error);
  if (object == NULL)
    return cube_call_fail (call, error);
  if (!is_dry_run)
    return cube_call_propose (call, object, cube_object_revision (call->old), step_marked);
  cube_admission_finish (call, NULL, FALSE);
  cube_object_set_revision (object, cube_object_revision (call->old));
  cube_call_answer_object (call, object);
  cube_object_unref (object);
  return CUBE_CALL_DONE;
}

CubeCallState
cube_local_delete (CubeCall *call)
{
  g_autoptr (CubeValue) old = NULL;
  g_autoptr (CubeBuilder) builder = NULL;
  GError *error = NULL;
  Options options;

  if (*call->name == '\0')
    return cube_call_fail_bad_request (call, "name must be provided");
  if (!read_options (call->request, &options, &error))
    return cube_call_fail (call, error);
  if (!cube_call_read_old (call))
    return CUBE_CALL_DONE;
  error = check_preconditions (call, &options);
  if (error != NULL)
    return cube_call_fail (call, error);
  old = cube_object_value (call->old);
  if (!cube_admission_begin (call, CUBE_VERB_DELETE, NULL, cube_value_root (old), &error)
      || !cube_admission_validate (call, cube_view_none (), &error))
    return cube_call_fail (call, error);
  if (call->attempts == 0 && g_str_equal (call->storage->key, "batch/jobs") && options.propagation == CUBE_PROPAGATION_DEFAULT)
    cube_call_warn (call,
                    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
                    "propagationPolicy=Orphan to suppress this warning");
  builder = cube_builder_new_from (cube_value_root (old));
  return propose_outcome (call, builder, decide (call, cube_builder_root (builder), cube_value_root (old), &options));
}

/* ---- deletecollection: everything the list finds, one by one ---- */

CubeCallState
cube_local_delete_collection (CubeCall *call)
{
  CubeRequest list = CUBE_REQUEST_INIT, one;
  g_autoptr (CubeResponse) found = NULL;
  GError *error = NULL;

  list.verb = CUBE_VERB_LIST;
  list.resource = call->resource;
  list.ns = call->ns;
  list.labels = call->request->labels;
  list.fields = call->request->fields;
  list.user = call->user;
  found = cube_local_run (call->client, &list, &error);
  if (found == NULL)
    return cube_call_fail (call, error);
  for (guint i = 0; i < found->objects->len; i++)
    {
      CubeObject *object = found->objects->pdata[i];
      g_autoptr (CubeResponse) answer = NULL;

      one = *call->request;
      one.verb = CUBE_VERB_DELETE;
      one.ns = cube_object_namespace (object);
      one.name = cube_object_name (object);
      one.user = call->user;
      one.labels = one.fields = NULL;
      answer = cube_local_run (call->client, &one, &error);
      if (answer == NULL && !g_error_matches (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
        return cube_call_fail (call, error);
      g_clear_error (&error);
    }
  call->response->objects = g_ptr_array_ref (found->objects);
  call->response->revision = found->revision;
  return CUBE_CALL_DONE;
}
