/* SPDX-License-Identifier: Apache-2.0 */
#include "client-private.h"

CubeResponse *
cube_response_new (void)
{
  CubeResponse *response = g_new0 (CubeResponse, 1);

  response->ref_count = 1;
  response->remaining = -1;
  return response;
}

CubeResponse *
cube_response_ref (CubeResponse *response)
{
  g_atomic_int_inc (&response->ref_count);
  return response;
}

void
cube_response_unref (CubeResponse *response)
{
  if (response == NULL || !g_atomic_int_dec_and_test (&response->ref_count))
    return;
  cube_object_unref (response->object);
  cube_value_unref (response->value);
  g_clear_pointer (&response->objects, g_ptr_array_unref);
  g_clear_pointer (&response->warnings, g_ptr_array_unref);
  g_free (response->continue_token);
  g_free (response);
}

CubeClient *
cube_client_new (const CubeClientOps *ops, gpointer back, CubeContext *context, CubeSchema *schema, CubeUser *user,
                 const char *field_manager)
{
  CubeClient *client = g_new0 (CubeClient, 1);

  client->ref_count = 1;
  client->ops = ops;
  client->back = back;
  client->context = context;
  client->schema = schema;
  client->user = user != NULL ? cube_user_ref (user) : NULL;
  client->field_manager = g_strdup (field_manager);
  return client;
}

CubeClient *
cube_client_ref (CubeClient *client)
{
  g_atomic_int_inc (&client->ref_count);
  return client;
}

void
cube_client_unref (CubeClient *client)
{
  if (client == NULL || !g_atomic_int_dec_and_test (&client->ref_count))
    return;
  client->ops->back_unref (client->back);
  cube_user_unref (client->user);
  g_free (client->field_manager);
  g_free (client);
}

CubeSchema *
cube_client_schema (CubeClient *client)
{
  return client->schema;
}

CubeClient *
cube_client_as (CubeClient *client, CubeUser *user, const char *field_manager)
{
  return cube_client_new (client->ops, client->ops->back_ref (client->back), client->context, client->schema,
                          user != NULL ? user : client->user, field_manager != NULL ? field_manager : client->field_manager);
}

CubeResponse *
cube_client_execute (CubeClient *client, const CubeRequest *request, GError **error)
{
  return client->ops->execute (client, request, error);
}

void
cube_client_execute_async (CubeClient *client, const CubeRequest *request, CubeLoop *loop, CubeResponseDone done, gpointer data)
{
  client->ops->execute_async (client, request, loop, done, data);
}

CubeWatch *
cube_client_watch (CubeClient *client, const CubeRequest *request, CubeLoop *loop, CubeTask ready, gpointer data, GError **error)
{
  return client->ops->watch (client, request, loop, ready, data, error);
}

gboolean
cube_watch_next (CubeWatch *watch, CubeEvent *ret_event, GError **error)
{
  return watch->ops->next (watch, ret_event, error);
}

void
cube_watch_free (CubeWatch *watch)
{
  if (watch != NULL)
    watch->ops->free (watch);
}

void
cube_event_clear (CubeEvent *event)
{
  cube_object_unref (event->object);
  cube_object_unref (event->old);
  memset (event, 0, sizeof *event);
}

const char *
cube_event_type_name (CubeEventType type)
{
  static const char *const names[] = { "ADDED", "MODIFIED", "DELETED", "BOOKMARK" };

  return (guint) type < G_N_ELEMENTS (names) ? names[type] : "ERROR";
}

/* ---- shorthands ---- */

/* Executes @request and takes the object out of its answer. */
static CubeObject *
execute_for_object (CubeClient *client, const CubeRequest *request, GError **error)
{
  g_autoptr (CubeResponse) response = cube_client_execute (client, request, error);

  if (response == NULL)
    return NULL;
  if (response->object == NULL)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "%s %s/%s: the answer holds no object", cube_verb_name (request->verb),
                   request->resource->resource, request->name != NULL ? request->name : "");
      return NULL;
    }
  return cube_object_ref (response->object);
}

CubeObject *
cube_client_get (CubeClient *client, const CubeResource *resource, const char *ns, const char *name, GError **error)
{
  CubeRequest request = CUBE_REQUEST_INIT;

  request.verb = CUBE_VERB_GET;
  request.resource = resource;
  request.ns = ns;
  request.name = name;
  return execute_for_object (client, &request, error);
}

GPtrArray *
cube_client_list (CubeClient *client, const CubeResource *resource, const char *ns, const CubeSelector *labels, guint64 *ret_revision,
                  GError **error)
{
  CubeRequest request = CUBE_REQUEST_INIT;
  g_autoptr (CubeResponse) response = NULL;

  request.verb = CUBE_VERB_LIST;
  request.resource = resource;
  request.ns = ns;
  request.labels = labels;
  response = cube_client_execute (client, &request, error);
  if (response == NULL)
    return NULL;
  if (ret_revision != NULL)
    *ret_revision = response->revision;
  return response->objects != NULL ? g_ptr_array_ref (response->objects)
                                   : g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);
}

CubeObject *
cube_client_create (CubeClient *client, const CubeResource *resource, const char *ns, const CubeValue *object, GError **error)
{
  CubeRequest request = CUBE_REQUEST_INIT;

  request.verb = CUBE_VERB_CREATE;
  request.resource = resource;
  request.ns = ns;
  request.body = object;
  return execute_for_object (client, &request, error);
}

CubeObject *
cube_client_update (CubeClient *client, const CubeResource *resource, const char *subresource, const char *ns, const char *name,
                    const CubeValue *object, GError **error)
{
  CubeRequest request = CUBE_REQUEST_INIT;

  request.verb = CUBE_VERB_UPDATE;
  request.resource = resource;
  request.subresource = subresource;
  request.ns = ns;
  request.name = name;
  request.body = object;
  return execute_for_object (client, &request, error);
}

CubeObject *
cube_client_patch (CubeClient *client, const CubeResource *resource, const char *subresource, const char *ns, const char *name,
                   CubePatchType type, const CubeValue *patch, GError **error)
{
  CubeRequest request = CUBE_REQUEST_INIT;

  request.verb = CUBE_VERB_PATCH;
  request.resource = resource;
  request.subresource = subresource;
  request.ns = ns;
  request.name = name;
  request.body = patch;
  request.patch_type = type;
  return execute_for_object (client, &request, error);
}

gboolean
cube_client_delete (CubeClient *client, const CubeResource *resource, const char *ns, const char *name, const char *uid,
                    gint64 grace_seconds, CubePropagation propagation, GError **error)
{
  CubeRequest request = CUBE_REQUEST_INIT;
  g_autoptr (CubeResponse) response = NULL;

  request.verb = CUBE_VERB_DELETE;
  request.resource = resource;
  request.ns = ns;
  request.name = name;
  request.precondition_uid = uid;
  request.grace_seconds = grace_seconds;
  request.propagation = propagation;
  response = cube_client_execute (client, &request, error);
  return response != NULL;
}

#define MODIFY_ATTEMPTS 5

CubeObject *
cube_client_modify (CubeClient *client, const CubeResource *resource, const char *subresource, const char *ns, const char *name,
                    CubeChangeFunc change, gpointer data, GError **error)
{
  for (guint attempt = 1;; attempt++)
    {
      g_autoptr (GError) local_error = NULL;
      g_autoptr (CubeObject) current = cube_client_get (client, resource, ns, name, error);
      g_autoptr (CubeValue) value = NULL, changed = NULL;
      g_autoptr (CubeBuilder) builder = NULL;
      CubeObject *written;

      if (current == NULL)
        return NULL;
      value = cube_object_value (current);
      builder = cube_builder_new_from (cube_value_root (value));
      if (!change (cube_builder_root (builder), cube_value_root (value), data))
        return g_steal_pointer (&current);
      changed = cube_builder_end (builder);
      written = cube_client_update (client, resource, subresource, ns, name, changed, &local_error);
      if (written != NULL)
        return written;
      if (!g_error_matches (local_error, CUBE_ERROR, CUBE_ERROR_CONFLICT) || attempt == MODIFY_ATTEMPTS)
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return NULL;
        }
    }
}

GPtrArray *
cube_client_list_owned (CubeClient *client, const CubeResource *resource, const char *ns, const char *owner_uid, GError **error)
{
  return client->ops->list_owned (client, resource, ns, owner_uid, error);
}

GPtrArray *
cube_client_list_pods_on (CubeClient *client, const char *node_name, GError **error)
{
  return client->ops->list_pods_on (client, node_name, error);
}
