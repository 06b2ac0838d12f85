/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a volume are made from: ConfigMaps, Secrets, the pod itself, tokens. */
#include "volumes.h"
#include "downward.h"
#include <string.h>

#define TOKEN_DEFAULT_SECONDS 3600
#define TOKEN_LONGEST_US (24 * 3600 * (gint64) G_USEC_PER_SEC)

typedef struct {
  char *text;
  gint64 renew_us;
} Token;

void
volumes_token_free (gpointer data)
{
  Token *token = data;
  g_free (token->text);
  g_free (token);
}

/* ---- ConfigMap and Secret ---- */

static GBytes *
decode (const char *text, gboolean is_base64)
{
  gsize length = 0;
  if (!is_base64)
    return g_bytes_new (text, strlen (text));
  guchar *bytes = g_base64_decode (text, &length);
  return g_bytes_new_take (bytes, length);
}

static const char *
find_key (CubeView object, gboolean is_secret, const char *key, gboolean *ret_is_base64)
{
  const char *text = cube_view_get_string (object, "data", key);
  *ret_is_base64 = is_secret;
  if (text == NULL && !is_secret)
    {
      text = cube_view_get_string (object, "binaryData", key);
      *ret_is_base64 = TRUE;
    }
  return text;
}

static gboolean
add_everything (CubeView map, gboolean is_base64, guint mode, GPtrArray *files, GError **error)
{
  CubeIter it;
  const char *key;
  CubeView value;
  for (cube_iter_init (&it, map); cube_iter_next (&it, &key, &value);)
    if (!volumes_files_add (files, key, decode (cube_view_string_or (value, ""), is_base64), mode, error))
      return FALSE;
  return TRUE;
}

static gboolean
add_items (CubeView object, gboolean is_secret, CubeView items, gboolean is_optional, guint mode, GPtrArray *files, GError **error)
{
  CubeIter it;
  CubeView item;
  for (cube_iter_init (&it, items); cube_iter_next (&it, NULL, &item);)
    {
      const char *key = cube_view_string_or (cube_view_member (item, "key"), ""),
                 *path = cube_view_string_or (cube_view_member (item, "path"), "");
      gboolean is_base64;
      const char *text = find_key (object, is_secret, key, &is_base64);
      if (text == NULL)
        {
          if (is_optional)
            continue;
          g_set_error (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND,
                       is_secret ? "references non-existent secret key: %s" : "configmap references non-existent config key: %s", key);
          return FALSE;
        }
      if (!volumes_files_add (files, path, decode (text, is_base64), (guint) cube_view_get_int (item, mode, "mode") & 07777, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
add_object (const CubeVolumeRequest *request, gboolean is_secret, CubeView source, const char *name, guint mode, GPtrArray *files,
            GError **error)
{
  gboolean is_optional = cube_view_get_bool (source, FALSE, "optional");
  CubeView items = cube_view_member (source, "items");
  g_autoptr (GError) problem = NULL;
  const CubeResource *resource = cube_schema_resource (cube_client_schema (request->client), "v1", is_secret ? "secrets" : "configmaps");
  g_autoptr (CubeObject) object =
      cube_client_get (request->client, resource, cube_object_namespace (request->pod), name != NULL ? name : "", &problem);
  if (object == NULL)
    {
      if (!g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
        g_propagate_error (error, g_steal_pointer (&problem));
      else if (is_optional)
        return TRUE;
      else
        g_set_error (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND, "%s \"%s\" not found", is_secret ? "secret" : "configmap",
                     name != NULL ? name : "");
      return FALSE;
    }
  g_autoptr (CubeValue) value = cube_object_value (object);
  CubeView root = cube_value_root (value);
  if (cube_view_length (items) > 0)
    return add_items (root, is_secret, items, is_optional, mode, files, error);
  return add_everything (cube_view_member (root, "data"), is_secret, mode, files, error)
         && (is_secret || add_everything (cube_view_member (root, "binaryData"), TRUE, mode, files, error));
}

gboolean
volumes_add_config_map (const CubeVolumeRequest *request, CubeView source, const char *name, guint mode, GPtrArray *files, GError **error)
{
  return add_object (request, FALSE, source, name, mode, files, error);
}

gboolean
volumes_add_secret (const CubeVolumeRequest *request, CubeView source, const char *name, guint mode, GPtrArray *files, GError **error)
{
  return add_object (request, TRUE, source, name, mode, files, error);
}

/* ---- the pod itself ---- */

static gint64
allocatable (CubeView node, const char *resource, gboolean in_millis)
{
  CubeQuantity quantity;
  if (!cube_quantity_from_view (cube_view_get (node, "status", "allocatable", resource), &quantity))
    return 0;
  return in_millis ? cube_quantity_millis (&quantity) : cube_quantity_value (&quantity);
}

static CubeView
find_container (CubeView pod, const char *name)
{
  CubeContainerIter it;
  CubeView container;
  for (cube_containers_init (&it, cube_view_member (pod, "spec"), CUBE_CONTAINER_ALL); cube_containers_next (&it, &container, NULL, NULL);)
    if (g_strcmp0 (cube_view_get_string (container, "name"), name) == 0)
      return container;
  return cube_view_none ();
}

static gboolean
add_downward_items (const CubeVolumeRequest *request, CubeView items, const CubeDownwardNode *node, guint mode, GPtrArray *files,
                    GError **error)
{
  CubeIter it;
  CubeView item;
  for (cube_iter_init (&it, items); cube_iter_next (&it, NULL, &item);)
    {
      CubeView resource = cube_view_member (item, "resourceFieldRef");
      char *text;
      if (cube_view_exists (resource))
        text =
            cube_downward_resource (request->pod_view, find_container (request->pod_view, cube_view_get_string (resource, "containerName")),
                                    cube_view_get_string (resource, "resource"), cube_view_get_string (resource, "divisor"), node, error);
      else
        text = cube_downward_field (request->pod_view, cube_view_get_string (item, "fieldRef", "fieldPath"), node, NULL, error);
      if (text == NULL
          || !volumes_files_add (files, cube_view_string_or (cube_view_member (item, "path"), ""), g_bytes_new_take (text, strlen (text)),
                                 (guint) cube_view_get_int (item, mode, "mode") & 07777, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
volumes_add_downward (Volumes *volumes, const CubeVolumeRequest *request, CubeView source, guint mode, GPtrArray *files, GError **error)
{
  const char *node_name = cube_context_node_name (volumes->context);
  const CubeResource *nodes = cube_schema_resource (cube_client_schema (request->client), "v1", "nodes");
  g_autoptr (CubeObject) object = node_name != NULL ? cube_client_get (request->client, nodes, NULL, node_name, NULL) : NULL;
  g_autoptr (CubeValue) value = object != NULL ? cube_object_value (object) : NULL;
  CubeView root = value != NULL ? cube_value_root (value) : cube_view_none ();
  CubeDownwardNode node = { node_name, "", allocatable (root, "cpu", TRUE), allocatable (root, "memory", FALSE),
                            allocatable (root, "ephemeral-storage", FALSE) };
  return add_downward_items (request, cube_view_member (source, "items"), &node, mode, files, error);
}

/* ---- tokens ---- */

static CubeValue *
token_request (const CubeVolumeRequest *request, const char *audience, gint64 seconds)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  cube_mut_set_string (root, "apiVersion", "authentication.k8s.io/v1");
  cube_mut_set_string (root, "kind", "TokenRequest");
  cube_mut_set_object (root, "metadata");
  CubeMut *spec = cube_mut_set_object (root, "spec");
  CubeMut *audiences = cube_mut_set_array (spec, "audiences");
  if (audience != NULL && *audience != '\0')
    cube_mut_append_string (audiences, audience);
  cube_mut_set_int (spec, "expirationSeconds", seconds);
  CubeMut *bound = cube_mut_set_object (spec, "boundObjectRef");
  cube_mut_set_string (bound, "apiVersion", "v1");
  cube_mut_set_string (bound, "kind", "Pod");
  cube_mut_set_string (bound, "name", cube_object_name (request->pod));
  cube_mut_set_string (bound, "uid", cube_object_uid (request->pod));
  return cube_builder_end (builder);
}

static Token *
fetch_token (Volumes *volumes, const CubeVolumeRequest *request, const char *audience, gint64 seconds, GError **error)
{
  const char *account = cube_view_string_or (cube_view_get (request->pod_view, "spec", "serviceAccountName"), "default");
  g_autoptr (CubeValue) body = token_request (request, audience, seconds);
  CubeRequest call = CUBE_REQUEST_INIT;
  call.verb = CUBE_VERB_CREATE;
  call.resource = cube_schema_resource (cube_client_schema (request->client), "v1", "serviceaccounts");
  call.subresource = "token";
  call.ns = cube_object_namespace (request->pod);
  call.name = account;
  call.body = body;
  g_autoptr (CubeResponse) answer = cube_client_execute (request->client, &call, error);
  const char *text = answer != NULL && answer->value != NULL ? cube_view_string (cube_value_get (answer->value, "status", "token")) : NULL;
  if (text == NULL)
    {
      if (error != NULL && *error == NULL)
        g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "the answer holds no token");
      g_prefix_error (error, "failed to fetch token: ");
      return NULL;
    }
  Token *token = g_new0 (Token, 1);
  gint64 now = cube_context_now_us (volumes->context), life_us = seconds * G_USEC_PER_SEC, expires;
  if (cube_time_parse (cube_view_string_or (cube_value_get (answer->value, "status", "expirationTimestamp"), ""), &expires))
    life_us = expires - now;
  token->text = g_strdup (text);
  token->renew_us =
      now + MIN (life_us * 8 / 10, TOKEN_LONGEST_US) - (gint64) (cube_context_random (volumes->context) % (10 * G_USEC_PER_SEC));
  return token;
}

gboolean
volumes_add_token (Volumes *volumes, const CubeVolumeRequest *request, CubeView source, guint mode, GPtrArray *files, GError **error)
{
  const char *audience = cube_view_string_or (cube_view_member (source, "audience"), "");
  gint64 seconds = cube_view_get_int (source, TOKEN_DEFAULT_SECONDS, "expirationSeconds"), now = cube_context_now_us (volumes->context);
  g_autofree char *key =
      g_strdup_printf ("%s/%s/%" G_GINT64_FORMAT "/%s", cube_object_uid (request->pod), request->volume_name, seconds, audience);
  g_autofree char *text = NULL;
  g_mutex_lock (&volumes->lock);
  Token *known = g_hash_table_lookup (volumes->tokens, key);
  if (known != NULL && now < known->renew_us)
    text = g_strdup (known->text);
  g_mutex_unlock (&volumes->lock);
  if (text == NULL)
    {
      Token *fresh = fetch_token (volumes, request, audience, seconds, error);
      if (fresh == NULL)
        return FALSE;
      text = g_strdup (fresh->text);
      g_mutex_lock (&volumes->lock);
      g_hash_table_replace (volumes->tokens, g_steal_pointer (&key), fresh);
      g_mutex_unlock (&volumes->lock);
    }
  gsize length = strlen (text);
  return volumes_files_add (files, cube_view_string_or (cube_view_member (source, "path"), "token"),
                            g_bytes_new_take (g_steal_pointer (&text), length), request->fs_group >= 0 ? 0600 : mode, error);
}

void
volumes_forget_tokens (Volumes *volumes, const char *uid)
{
  GHashTableIter it;
  gpointer key;
  g_autofree char *prefix = g_strconcat (uid, "/", NULL);
  g_mutex_lock (&volumes->lock);
  for (g_hash_table_iter_init (&it, volumes->tokens); g_hash_table_iter_next (&it, &key, NULL);)
    if (g_str_has_prefix (key, prefix))
      g_hash_table_iter_remove (&it);
  g_mutex_unlock (&volumes->lock);
}
