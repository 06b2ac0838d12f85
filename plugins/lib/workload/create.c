/* SPDX-License-Identifier: Apache-2.0 */
#include "workload.h"
#include <string.h>

/* Creates of one batch in flight at once: the store commits them together. */
typedef struct {
  GMutex lock;
  GCond changed;
  guint n_open, n_made;
  GError *error; /* the first */
} Batch;

typedef struct {
  Batch *batch;
  CubeRequest request;
  CubeControllerEnv *env;
  const CubeObject *owner;
} Create;

/* A namespace that is going away refuses new objects; that is no news. */
static gboolean
is_terminating (const GError *error)
{
  CubeErrorDetails *details = cube_error_get_details (error);
  for (guint i = 0; details != NULL && details->causes != NULL && i < details->causes->len; i++)
    if (g_strcmp0 (((CubeCause *) details->causes->pdata[i])->reason, "NamespaceTerminating") == 0)
      return TRUE;
  return FALSE;
}

static void
told (Create *create, CubeResponse *response, const GError *error)
{
  if (error == NULL)
    cube_recorder_event (create->env->recorder, create->owner, NULL, "Normal", "SuccessfulCreate", "Created pod: %s",
                         cube_object_name (response->object));
  else if (!is_terminating (error))
    cube_recorder_event (create->env->recorder, create->owner, NULL, "Warning", "FailedCreate", "Error creating: %s", error->message);
}

static void
created (CubeResponse *response, GError *error, gpointer data)
{
  Create *create = data;
  Batch *batch = create->batch;
  told (create, response, error);
  g_mutex_lock (&batch->lock);
  batch->n_open--;
  if (error == NULL)
    batch->n_made++;
  else if (batch->error == NULL)
    batch->error = g_steal_pointer (&error);
  g_cond_signal (&batch->changed);
  g_mutex_unlock (&batch->lock);
  g_clear_error (&error);
  cube_response_unref (response);
}

static void
run_batch (CubeControllerEnv *env, Batch *batch, Create *creates, guint n)
{
  gboolean is_simulated = cube_context_is_simulated (env->context);
  CubeLoop *loop = cube_context_get_loop (env->context, "client"); /* env->loop may be waiting for us to end: a controller that stops */
  batch->n_open = n;
  for (guint i = 0; i < n; i++)
    {
      GError *error = NULL;
      if (is_simulated)
        created (cube_client_execute (env->client, &creates[i].request, &error), error, &creates[i]);
      else
        cube_client_execute_async (env->client, &creates[i].request, loop, created, &creates[i]);
    }
  g_mutex_lock (&batch->lock);
  while (batch->n_open > 0)
    g_cond_wait (&batch->changed, &batch->lock);
  g_mutex_unlock (&batch->lock);
}

gboolean
workload_create_objects (CubeControllerEnv *env, const CubeObject *owner, const CubeResource *resource, GPtrArray *objects, guint *ret_made,
                         GError **error)
{
  guint done = 0, made = 0;
  GError *problem = NULL;
  for (guint size = 1; done < objects->len && problem == NULL; size *= 2)
    {
      guint n = MIN (size, objects->len - done);
      Batch batch = { 0 };
      g_autofree Create *creates = g_new0 (Create, n);
      for (guint i = 0; i < n; i++)
        creates[i] = (Create){ &batch,
                               { .verb = CUBE_VERB_CREATE,
                                 .resource = resource,
                                 .ns = cube_object_namespace (owner),
                                 .body = objects->pdata[done + i],
                                 .grace_seconds = -1 },
                               env,
                               owner };
      g_mutex_init (&batch.lock);
      g_cond_init (&batch.changed);
      run_batch (env, &batch, creates, n);
      g_mutex_clear (&batch.lock);
      g_cond_clear (&batch.changed);
      problem = batch.error;
      made += batch.n_made;
      done += n;
    }
  if (ret_made != NULL)
    *ret_made = made;
  if (problem == NULL)
    return TRUE;
  if (is_terminating (problem))
    {
      g_error_free (problem);
      return TRUE;
    }
  g_propagate_error (error, problem);
  return FALSE;
}

static void
set_generate_name (CubeMut *metadata, const CubeObject *owner)
{
  g_autofree char *prefix = g_strconcat (cube_object_name (owner), "-", NULL);
  g_autofree char *sample = g_strconcat (prefix, "xxxxx", NULL);
  cube_mut_set_string (metadata, "generateName", cube_name_check_dns1123_subdomain (sample) == NULL ? prefix : cube_object_name (owner));
}

CubeBuilder *
workload_new_pod (const CubeObject *owner, CubeView pod_template, const char *name)
{
  CubeBuilder *builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  cube_mut_set_string (root, "apiVersion", "v1");
  cube_mut_set_string (root, "kind", "Pod");
  CubeMut *metadata = cube_mut_set_object (root, "metadata");
  if (name != NULL)
    cube_mut_set_string (metadata, "name", name);
  else
    set_generate_name (metadata, owner);
  cube_mut_set_string (metadata, "namespace", cube_object_namespace (owner));
  cube_mut_set_view (metadata, "labels", cube_view_get (pod_template, "metadata", "labels"));
  cube_mut_set_view (metadata, "annotations", cube_view_get (pod_template, "metadata", "annotations"));
  cube_mut_set_view (metadata, "finalizers", cube_view_get (pod_template, "metadata", "finalizers"));
  workload_set_owner (metadata, owner);
  cube_mut_set_view (root, "spec", cube_view_member (pod_template, "spec"));
  return builder;
}

gboolean
workload_create_pods (CubeControllerEnv *env, const CubeObject *owner, CubeView pod_template, guint n, guint *ret_made, GError **error)
{
  g_autoptr (CubeBuilder) builder = workload_new_pod (owner, pod_template, NULL);
  g_autoptr (CubeValue) pod = cube_builder_end (builder);
  g_autoptr (GPtrArray) objects = g_ptr_array_new ();
  for (guint i = 0; i < n; i++)
    g_ptr_array_add (objects, pod); /* all alike: the server names them */
  return workload_create_objects (env, owner, cube_schema_resource (cube_client_schema (env->client), "v1", "pods"), objects, ret_made,
                                  error);
}

gboolean
workload_delete_pods (CubeControllerEnv *env, const CubeObject *owner, GPtrArray *pods, GError **error)
{
  const CubeResource *resource = cube_schema_resource (cube_client_schema (env->client), "v1", "pods");
  for (guint i = 0; i < pods->len; i++)
    {
      CubeObject *pod = pods->pdata[i];
      g_autoptr (GError) problem = NULL;
      if (cube_client_delete (env->client, resource, cube_object_namespace (pod), cube_object_name (pod), cube_object_uid (pod), -1,
                              CUBE_PROPAGATION_DEFAULT, &problem))
        {
          cube_recorder_event (env->recorder, owner, NULL, "Normal", "SuccessfulDelete", "Deleted pod: %s", cube_object_name (pod));
          continue;
        }
      if (g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND) || g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_CONFLICT))
        continue; /* gone, or another one by that name */
      cube_recorder_event (env->recorder, owner, NULL, "Warning", "FailedDelete", "Error deleting: %s", problem->message);
      g_propagate_error (error, g_steal_pointer (&problem));
      return FALSE;
    }
  return TRUE;
}
