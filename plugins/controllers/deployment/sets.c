/* SPDX-License-Identifier: Apache-2.0 */
/* The ReplicaSets of a Deployment: reading, finding and making the new one, scaling. */
#include "deployment.h"
#include <string.h>

#define MAX_HISTORY 2000 /* characters of the revision-history annotation */

void
rollout_set_free (gpointer data)
{
  Set *set = data;
  cube_object_unref (set->object);
  cube_value_unref (set->value);
  g_free (set);
}

Set *
rollout_set_refresh (Set *set, CubeObject *object)
{
  CubeValue *value = cube_object_value (object);
  cube_object_unref (set->object);
  cube_value_unref (set->value);
  *set = (Set){ .object = object, .value = value };
  set->wanted = cube_view_int (cube_value_get (value, "spec", "replicas"), 1);
  set->replicas = cube_view_int (cube_value_get (value, "status", "replicas"), 0);
  set->ready = cube_view_int (cube_value_get (value, "status", "readyReplicas"), 0);
  set->available = cube_view_int (cube_value_get (value, "status", "availableReplicas"), 0);
  set->terminating = cube_view_int (cube_value_get (value, "status", "terminatingReplicas"), 0);
  return set;
}

const char *
rollout_annotation (const CubeValue *value, const char *key)
{
  return cube_view_string (cube_value_get (value, "metadata", "annotations", key));
}

static gint
compare_creation (gconstpointer a, gconstpointer b)
{
  const Set *x = *(const Set *const *) a, *y = *(const Set *const *) b;
  int order = g_strcmp0 (cube_object_creation_timestamp (x->object), cube_object_creation_timestamp (y->object));
  return order != 0 ? order : strcmp (cube_object_name (x->object), cube_object_name (y->object));
}

gboolean
rollout_read_sets (Rollout *rollout, GError **error)
{
  g_autoptr (CubeSelector) selector = cube_selector_from_view (cube_view_member (rollout->spec, "selector"), error);
  if (selector == NULL)
    return FALSE;
  WorkloadClaim claim = { rollout->sets_resource, rollout->object, selector };
  g_autoptr (GPtrArray) objects = workload_claim (rollout->env, &claim, error);
  if (objects == NULL)
    return FALSE;
  rollout->sets = g_ptr_array_new_with_free_func (rollout_set_free);
  for (guint i = 0; i < objects->len; i++)
    g_ptr_array_add (rollout->sets, rollout_set_refresh (g_new0 (Set, 1), cube_object_ref (objects->pdata[i])));
  g_ptr_array_sort (rollout->sets, compare_creation);
  return TRUE;
}

gint64
rollout_sum_wanted (const Rollout *rollout, gboolean is_old_only)
{
  gint64 sum = 0;
  for (guint i = 0; i < rollout->sets->len; i++)
    if (!is_old_only || rollout->sets->pdata[i] != rollout->new_set)
      sum += ((Set *) rollout->sets->pdata[i])->wanted;
  return sum;
}

gint64
rollout_sum_available (const Rollout *rollout)
{
  gint64 sum = 0;
  for (guint i = 0; i < rollout->sets->len; i++)
    sum += ((Set *) rollout->sets->pdata[i])->available;
  return sum;
}

/* ---- the template ---- */

static gboolean
has_template (CubeView set_template, CubeView wanted)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (set_template);
  CubeMut *labels = cube_mut_get (cube_builder_root (builder), "metadata", "labels");
  if (labels != NULL && cube_mut_remove (labels, TEMPLATE_HASH) && cube_mut_length (labels) == 0)
    cube_mut_remove (cube_mut_member (cube_builder_root (builder), "metadata"), "labels");
  return cube_mut_equal_view (cube_builder_root (builder), wanted);
}

static void
find_new_set (Rollout *rollout)
{
  CubeView wanted = cube_view_member (rollout->spec, "template");
  rollout->new_set = NULL;
  for (guint i = 0; i < rollout->sets->len && rollout->new_set == NULL; i++)
    {
      Set *set = rollout->sets->pdata[i];
      if (has_template (cube_value_get (set->value, "spec", "template"), wanted))
        rollout->new_set = set;
    }
}

static char *
template_hash (const Rollout *rollout)
{
  guint64 hash = cube_view_hash (cube_view_member (rollout->spec, "template"),
                                 (guint64) cube_view_get_int (rollout->view, 0, "status", "collisionCount"));
  g_autofree char *digits = g_strdup_printf ("%u", (guint32) (hash ^ (hash >> 32)));
  char *encoded = g_strdup (digits);
  cube_name_safe_encode (digits, encoded);
  return encoded;
}

/* ---- annotations ---- */

static gint64
revision_of (const CubeValue *value)
{
  const char *text = rollout_annotation (value, REVISION);
  return text != NULL ? g_ascii_strtoll (text, NULL, 10) : 0;
}

static gint64
newest_old_revision (const Rollout *rollout)
{
  gint64 newest = 0;
  for (guint i = 0; i < rollout->sets->len; i++)
    if (rollout->sets->pdata[i] != rollout->new_set)
      newest = MAX (newest, revision_of (((Set *) rollout->sets->pdata[i])->value));
  return newest;
}

static gboolean
set_annotation (CubeMut *annotations, const char *key, const char *text)
{
  if (g_strcmp0 (cube_mut_string (cube_mut_member (annotations, key)), text) == 0)
    return FALSE;
  cube_mut_set_string (annotations, key, text);
  return TRUE;
}

static gboolean
set_number (CubeMut *annotations, const char *key, gint64 number)
{
  char text[24];
  g_snprintf (text, sizeof text, "%" G_GINT64_FORMAT, number);
  return set_annotation (annotations, key, text);
}

static gboolean
set_replica_annotations (const Rollout *rollout, CubeMut *annotations)
{
  gboolean is_changed = set_number (annotations, DESIRED_REPLICAS, rollout->replicas);
  return set_number (annotations, MAX_REPLICAS, rollout->replicas + rollout->max_surge) || is_changed;
}

static gboolean
copy_annotations (const Rollout *rollout, CubeMut *annotations)
{
  static const char *const own[] = { "kubectl.kubernetes.io/last-applied-configuration",
                                     REVISION,
                                     REVISION_HISTORY,
                                     DESIRED_REPLICAS,
                                     MAX_REPLICAS,
                                     "deprecated.deployment.rollback.to",
                                     NULL };
  gboolean is_changed = FALSE;
  CubeIter it;
  const char *key;
  CubeView value;
  for (cube_iter_init (&it, cube_view_get (rollout->view, "metadata", "annotations")); cube_iter_next (&it, &key, &value);)
    if (!g_strv_contains (own, key) && cube_view_string (value) != NULL)
      is_changed |= set_annotation (annotations, key, cube_view_string (value));
  return is_changed;
}

static void
append_history (CubeMut *annotations, const char *old_revision)
{
  const char *history = cube_mut_string (cube_mut_member (annotations, REVISION_HISTORY));
  GString *text = g_string_new (history);
  g_string_append_printf (text, "%s%s", text->len > 0 ? "," : "", old_revision);
  while (text->len > MAX_HISTORY)
    {
      const char *comma = strchr (text->str, ',');
      g_string_erase (text, 0, comma != NULL ? comma - text->str + 1 : (gssize) text->len);
    }
  cube_mut_set_string (annotations, REVISION_HISTORY, text->str);
  g_string_free (text, TRUE);
}

/* Kubernetes' SetNewReplicaSetAnnotations. */
static gboolean
set_new_annotations (const Rollout *rollout, CubeMut *annotations, gint64 revision, gboolean is_existing)
{
  gboolean is_changed = copy_annotations (rollout, annotations);
  g_autofree char *old = g_strdup (cube_mut_string (cube_mut_member (annotations, REVISION)));
  if ((old != NULL ? g_ascii_strtoll (old, NULL, 10) : 0) < revision)
    {
      is_changed = TRUE;
      set_number (annotations, REVISION, revision);
      if (old != NULL && *old != '\0')
        append_history (annotations, old);
    }
  if (!is_existing)
    is_changed |= set_replica_annotations (rollout, annotations);
  return is_changed;
}

/* ---- bringing the new one up to date ---- */

typedef struct {
  Rollout *rollout;
  gint64 revision, size;
  gboolean is_resize;
  const char *text;
} Change;

static gboolean
change_existing (CubeMut *root, CubeView current, gpointer data)
{
  const Change *change = data;
  CubeMut *annotations = cube_mut_ensure (root, "metadata", "annotations");
  gboolean is_changed = set_new_annotations (change->rollout, annotations, change->revision, TRUE);
  if (cube_view_get_int (current, 0, "spec", "minReadySeconds") != change->rollout->min_ready_s)
    {
      cube_mut_set_int (cube_mut_ensure_object (root, "spec"), "minReadySeconds", change->rollout->min_ready_s);
      is_changed = TRUE;
    }
  return is_changed;
}

static gboolean
change_size (CubeMut *root, CubeView current, gpointer data)
{
  const Change *change = data;
  gboolean is_changed = set_replica_annotations (change->rollout, cube_mut_ensure (root, "metadata", "annotations"));
  if (cube_view_get_int (current, 1, "spec", "replicas") == change->size)
    return is_changed;
  cube_mut_set_int (cube_mut_ensure_object (root, "spec"), "replicas", change->size);
  return TRUE;
}

static gboolean
modify_set (Rollout *rollout, Set *set, CubeChangeFunc func, Change *change, GError **error)
{
  CubeObject *object = cube_client_modify (rollout->env->client, rollout->sets_resource, NULL, cube_object_namespace (set->object),
                                           cube_object_name (set->object), func, change, error);
  if (object == NULL)
    return FALSE;
  rollout_set_refresh (set, object);
  return TRUE;
}

gboolean
rollout_scale_set (Rollout *rollout, Set *set, gint64 size, gboolean *ret_is_scaled, GError **error)
{
  Change change = { .rollout = rollout, .size = size };
  gint64 before = set->wanted;
  if (!modify_set (rollout, set, change_size, &change, error))
    return FALSE;
  if (before == size)
    return TRUE;
  cube_recorder_event (rollout->env->recorder, rollout->object, NULL, "Normal", "ScalingReplicaSet",
                       "Scaled %s replica set %s from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, size > before ? "up" : "down",
                       cube_object_name (set->object), before, size);
  if (ret_is_scaled != NULL)
    *ret_is_scaled = TRUE;
  return TRUE;
}

static gboolean
change_revision (CubeMut *root, CubeView current, gpointer data)
{
  const Change *change = data;
  return set_annotation (cube_mut_ensure (root, "metadata", "annotations"), REVISION, change->text);
}

/* The Deployment's own revision annotation follows its new ReplicaSet's. */
static gboolean
sync_revision (Rollout *rollout, GError **error)
{
  const char *revision = rollout_annotation (rollout->new_set->value, REVISION);
  if (revision == NULL || g_strcmp0 (rollout_annotation (rollout->value, REVISION), revision) == 0)
    return TRUE;
  Change change = { .rollout = rollout, .text = revision };
  g_autoptr (CubeObject) changed =
      cube_client_modify (rollout->env->client, rollout->deployments, NULL, cube_object_namespace (rollout->object),
                          cube_object_name (rollout->object), change_revision, &change, error);
  return changed != NULL;
}

/* ---- making it ---- */

static CubeValue *
compose_set (Rollout *rollout, const char *name, const char *hash, gint64 size)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  CubeView template = cube_view_member (rollout->spec, "template");
  cube_mut_set_string (root, "apiVersion", "apps/v1");
  cube_mut_set_string (root, "kind", "ReplicaSet");
  CubeMut *metadata = cube_mut_set_object (root, "metadata");
  cube_mut_set_string (metadata, "name", name);
  cube_mut_set_string (metadata, "namespace", cube_object_namespace (rollout->object));
  cube_mut_set_view (metadata, "labels", cube_view_get (template, "metadata", "labels"));
  cube_mut_set_string (cube_mut_ensure_object (metadata, "labels"), TEMPLATE_HASH, hash);
  set_new_annotations (rollout, cube_mut_ensure_object (metadata, "annotations"), newest_old_revision (rollout) + 1, FALSE);
  workload_set_owner (metadata, rollout->object);
  CubeMut *spec = cube_mut_set_object (root, "spec");
  cube_mut_set_int (spec, "replicas", size);
  cube_mut_set_int (spec, "minReadySeconds", rollout->min_ready_s);
  cube_mut_set_view (spec, "selector", cube_view_member (rollout->spec, "selector"));
  cube_mut_set_string (cube_mut_ensure (spec, "selector", "matchLabels"), TEMPLATE_HASH, hash);
  cube_mut_set_view (spec, "template", template);
  cube_mut_set_string (cube_mut_ensure (spec, "template", "metadata", "labels"), TEMPLATE_HASH, hash);
  return cube_builder_end (builder);
}

static void
note_progress (Rollout *rollout, const char *status, const char *reason, char *message)
{
  rollout->progress_status = status;
  rollout->progress_reason = reason;
  g_free (rollout->progress_message);
  rollout->progress_message = message;
}

/* The name is taken: by what we meant to make (an earlier try), or by something else. */
static gboolean
handle_collision (Rollout *rollout, const char *name, GError **error)
{
  g_autoptr (CubeObject) there =
      cube_client_get (rollout->env->client, rollout->sets_resource, cube_object_namespace (rollout->object), name, error);
  if (there == NULL)
    return FALSE;
  g_autoptr (CubeValue) value = cube_object_value (there);
  const CubeOwnerRef *controller = cube_object_controller (there);
  if (controller != NULL && strcmp (controller->uid, cube_object_uid (rollout->object)) == 0
      && has_template (cube_value_get (value, "spec", "template"), cube_view_member (rollout->spec, "template")))
    {
      rollout->new_set = rollout_set_refresh (g_new0 (Set, 1), cube_object_ref (there));
      g_ptr_array_add (rollout->sets, rollout->new_set);
      return TRUE;
    }
  rollout->collision_count = cube_view_get_int (rollout->view, 0, "status", "collisionCount") + 1;
  return rollout_write_status (rollout, FALSE, NULL, error) && FALSE; /* next time under another name */
}

static gboolean
make_new_set (Rollout *rollout, GError **error)
{
  g_autofree char *hash = template_hash (rollout);
  const char *base = cube_object_name (rollout->object);
  g_autofree char *name = g_strdup_printf ("%.*s-%s", (int) MIN (strlen (base), 252 - strlen (hash)), base, hash);
  gint64 size = rollout_new_set_size (rollout, 0);
  g_autoptr (CubeValue) value = compose_set (rollout, name, hash, size);
  g_autoptr (GError) problem = NULL;
  CubeObject *object =
      cube_client_create (rollout->env->client, rollout->sets_resource, cube_object_namespace (rollout->object), value, &problem);
  if (object == NULL && g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_ALREADY_EXISTS))
    return handle_collision (rollout, name, error);
  if (object == NULL)
    {
      g_autofree char *text = g_strdup_printf ("Failed to create new replica set \"%s\": %s", name, problem->message);
      cube_recorder_event (rollout->env->recorder, rollout->object, NULL, "Warning", "ReplicaSetCreateError", "%s", text);
      note_progress (rollout, "False", "ReplicaSetCreateError", g_steal_pointer (&text));
      if (rollout->progress_deadline_s > 0)
        rollout_write_status (rollout, FALSE, NULL, NULL);
      g_propagate_error (error, g_steal_pointer (&problem));
      return FALSE;
    }
  rollout->new_set = rollout_set_refresh (g_new0 (Set, 1), object);
  g_ptr_array_add (rollout->sets, rollout->new_set);
  if (size > 0)
    cube_recorder_event (rollout->env->recorder, rollout->object, NULL, "Normal", "ScalingReplicaSet",
                         "Scaled up replica set %s from 0 to %" G_GINT64_FORMAT, name, size);
  note_progress (rollout, "True", "NewReplicaSetCreated", g_strdup_printf ("Created new replica set \"%s\"", name));
  return sync_revision (rollout, error);
}

gboolean
rollout_sync_new_set (Rollout *rollout, gboolean create, GError **error)
{
  find_new_set (rollout);
  if (rollout->new_set == NULL)
    return !create || make_new_set (rollout, error);
  Change change = { .rollout = rollout, .revision = newest_old_revision (rollout) + 1 };
  if (!modify_set (rollout, rollout->new_set, change_existing, &change, error) || !sync_revision (rollout, error))
    return FALSE;
  if (!cube_view_exists (cube_condition_find (cube_view_member (rollout->view, "status"), "Progressing")))
    note_progress (rollout, "True", "FoundNewReplicaSet",
                   g_strdup_printf ("Found new replica set \"%s\"", cube_object_name (rollout->new_set->object)));
  return TRUE;
}
