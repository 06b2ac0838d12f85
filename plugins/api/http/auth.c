/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks and whether they may: credentials of the connection and the request, impersonation, authorization. */
#include "wire.h"
#include <string.h>

#define CACHE_US (10 * G_USEC_PER_SEC)

static GError *
unauthorized (void)
{
  return g_error_new_literal (CUBE_ERROR, CUBE_ERROR_UNAUTHORIZED, "Unauthorized");
}

/* The token of "Authorization: Bearer …"; FALSE: another scheme, which nobody here understands. */
static gboolean
find_token (HttpCall *call, const char **ret_token)
{
  const char *header = soup_message_headers_get_one (soup_server_message_get_request_headers (call->msg), "Authorization");
  *ret_token = NULL;
  if (header == NULL || *header == '\0')
    return TRUE;
  if (g_ascii_strncasecmp (header, "Bearer ", 7) != 0)
    return FALSE;
  *ret_token = header + 7 + strspn (header + 7, " ");
  return **ret_token != '\0';
}

/* The certificate shown, if it verifies against the cluster's CA: else it is no identity at all. (transfer full) (nullable) It is read anew each time
 * (every CACHE_US): kept, it would be the largest part of an idle connection. */
static GTlsCertificate *
verified_certificate (HttpCall *call, HttpConn *conn)
{
  if (conn->is_certificate_checked && !conn->is_verified)
    return NULL;
  g_autoptr (GTlsCertificate) peer = http_wire_peer (conn->wire);
  if (!conn->is_certificate_checked)
    conn->is_verified = peer != NULL && g_tls_certificate_verify (peer, NULL, call->server->ca) == 0;
  conn->is_certificate_checked = TRUE;
  if (peer != NULL && !conn->is_verified)
    g_debug ("client certificate does not verify against the cluster's authority");
  return conn->is_verified ? g_steal_pointer (&peer) : NULL;
}

static gboolean
use_known_user (HttpCall *call, HttpConn *conn, guint64 generation, gint64 now)
{
  if (conn->user == NULL || now >= conn->user_until_us || conn->user_generation != generation)
    return FALSE;
  call->user = cube_user_ref (conn->user);
  return TRUE;
}

gboolean
http_authenticate (HttpCall *call, GError **error)
{
  HttpConn *conn = http_conn_get (call->msg);
  CubeCredentials credentials = { 0 };
  guint64 generation = cube_registry_generation (call->server->registry, CUBE_AUTHENTICATOR);
  gint64 now = cube_context_monotonic_us (call->server->context);
  if (conn == NULL || !find_token (call, &credentials.bearer_token))
    {
      g_propagate_error (error, unauthorized ());
      return FALSE;
    }
  if (credentials.bearer_token == NULL && use_known_user (call, conn, generation, now))
    return TRUE;
  g_autoptr (GTlsCertificate) certificate = verified_certificate (call, conn);
  if (certificate == NULL && credentials.bearer_token == NULL)
    {
      g_propagate_error (error, unauthorized ());
      return FALSE;
    }
  credentials.certificate = certificate;
  credentials.remote_address = http_conn_remote (conn);
  g_autoptr (GError) why = NULL;
  call->user = cube_authenticate (call->server->registry, &credentials, &why);
  if (call->user == NULL)
    {
      g_debug ("%s: %s", credentials.remote_address, why != NULL ? why->message : "nobody's credentials");
      g_propagate_error (error, unauthorized ());
      return FALSE;
    }
  if (credentials.bearer_token == NULL)
    {
      g_clear_pointer (&conn->user, cube_user_unref);
      conn->user = cube_user_ref (call->user);
      conn->user_until_us = now + CACHE_US;
      conn->user_generation = generation;
    }
  return TRUE;
}

/* ---- impersonation ---- */

typedef struct {
  const char *user, *uid;
  GPtrArray *groups; /* borrowed texts */
  GHashTable *extra; /* key → GPtrArray of texts */
  gboolean is_asked;
} Impersonation;

static void
collect (const char *name, const char *value, gpointer data)
{
  Impersonation *wanted = data;
  if (g_ascii_strncasecmp (name, "Impersonate-", 12) != 0)
    return;
  const char *rest = name + 12;
  wanted->is_asked = TRUE;
  if (g_ascii_strcasecmp (rest, "User") == 0 && wanted->user == NULL)
    wanted->user = value;
  else if (g_ascii_strcasecmp (rest, "Uid") == 0 && wanted->uid == NULL)
    wanted->uid = value;
  else if (g_ascii_strcasecmp (rest, "Group") == 0)
    g_ptr_array_add (wanted->groups, (gpointer) value);
  else if (g_ascii_strncasecmp (rest, "Extra-", 6) == 0)
    {
      g_autofree char *lower = g_ascii_strdown (rest + 6, -1);
      char *key = g_uri_unescape_string (lower, NULL);
      if (key == NULL)
        key = g_strdup (lower);
      GPtrArray *values = g_hash_table_lookup (wanted->extra, key);
      if (values == NULL)
        {
          values = g_ptr_array_new_with_free_func (g_free);
          g_hash_table_insert (wanted->extra, g_strdup (key), values);
        }
      g_ptr_array_add (values, g_strdup (value));
      g_free (key);
    }
}

static gboolean
may_impersonate (HttpCall *call, const char *group, const char *version, const char *resource, const char *subresource, const char *ns,
                 const char *name, GError **error)
{
  CubeAttributes attributes = { .user = call->user,
                                .verb = "impersonate",
                                .group = group,
                                .version = version,
                                .resource = resource,
                                .subresource = subresource,
                                .ns = ns,
                                .name = name,
                                .path = call->url.path };
  return cube_authorize (call->server->registry, &attributes, error);
}

static gboolean
may_impersonate_user (HttpCall *call, const Impersonation *wanted, char ***ret_account, GError **error)
{
  if (g_str_has_prefix (wanted->user, "system:serviceaccount:"))
    {
      g_auto (GStrv) parts = g_strsplit (wanted->user + strlen ("system:serviceaccount:"), ":", 3);
      if (g_strv_length (parts) == 2)
        {
          if (!may_impersonate (call, "", "v1", "serviceaccounts", "", parts[0], parts[1], error))
            return FALSE;
          *ret_account = g_steal_pointer (&parts);
          return TRUE;
        }
    }
  return may_impersonate (call, "", "v1", "users", "", "", wanted->user, error);
}

static gboolean
may_impersonate_rest (HttpCall *call, const Impersonation *wanted, GError **error)
{
  for (guint i = 0; i < wanted->groups->len; i++)
    if (!may_impersonate (call, "", "v1", "groups", "", "", wanted->groups->pdata[i], error))
      return FALSE;
  if (wanted->uid != NULL && !may_impersonate (call, "authentication.k8s.io", "v1", "uids", "", "", wanted->uid, error))
    return FALSE;
  GHashTableIter iter;
  gpointer key, value;
  g_hash_table_iter_init (&iter, wanted->extra);
  while (g_hash_table_iter_next (&iter, &key, &value))
    for (guint i = 0; i < ((GPtrArray *) value)->len; i++)
      if (!may_impersonate (call, "authentication.k8s.io", "v1", "userextras", key, "", ((GPtrArray *) value)->pdata[i], error))
        return FALSE;
  return TRUE;
}

static CubeUser *
make_user (const Impersonation *wanted, char **account)
{
  g_autoptr (GPtrArray) groups = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < wanted->groups->len; i++)
    g_ptr_array_add (groups, g_strdup (wanted->groups->pdata[i]));
  if (account != NULL && groups->len == 0)
    {
      g_ptr_array_add (groups, g_strdup ("system:serviceaccounts"));
      g_ptr_array_add (groups, g_strdup_printf ("system:serviceaccounts:%s", account[0]));
    }
  gboolean is_anonymous = strcmp (wanted->user, "system:anonymous") == 0;
  const char *base = is_anonymous ? "system:unauthenticated" : "system:authenticated";
  if (!g_ptr_array_find_with_equal_func (groups, base, g_str_equal, NULL))
    g_ptr_array_add (groups, g_strdup (base));
  g_ptr_array_add (groups, NULL);
  CubeUser *user = cube_user_new (wanted->user, wanted->uid != NULL ? wanted->uid : "", (const char *const *) groups->pdata);
  if (g_hash_table_size (wanted->extra) > 0 && user->extra == NULL)
    user->extra = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_strfreev);
  GHashTableIter iter;
  gpointer key, value;
  g_hash_table_iter_init (&iter, wanted->extra);
  while (g_hash_table_iter_next (&iter, &key, &value))
    {
      g_autoptr (GPtrArray) texts = g_ptr_array_new ();
      for (guint i = 0; i < ((GPtrArray *) value)->len; i++)
        g_ptr_array_add (texts, g_strdup (((GPtrArray *) value)->pdata[i]));
      g_ptr_array_add (texts, NULL);
      g_hash_table_replace (user->extra, g_strdup (key), g_ptr_array_free (g_steal_pointer (&texts), FALSE));
    }
  return user;
}

/* Names what was asked for as Kubernetes does: object references, in Go's way of printing them. */
static gboolean
no_user_to_be (const Impersonation *wanted, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  GHashTableIter iter;
  gpointer key, values;
  for (guint i = 0; i < wanted->groups->len; i++)
    g_string_append_printf (text, " {Group  %s    }", (const char *) wanted->groups->pdata[i]);
  for (g_hash_table_iter_init (&iter, wanted->extra); g_hash_table_iter_next (&iter, &key, &values);)
    for (guint i = 0; i < ((GPtrArray *) values)->len; i++)
      g_string_append_printf (text, " {UserExtra  %s  authentication.k8s.io/v1  %s}", (const char *) ((GPtrArray *) values)->pdata[i],
                              (const char *) key);
  if (wanted->uid != NULL)
    g_string_append_printf (text, " {UID  %s  authentication.k8s.io/v1  }", wanted->uid);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "requested [%s] without impersonating a user",
               text->len > 0 ? text->str + 1 : "");
  return FALSE;
}

gboolean
http_impersonate (HttpCall *call, GError **error)
{
  Impersonation wanted = { 0 };
  g_autoptr (GPtrArray) groups = g_ptr_array_new ();
  g_autoptr (GHashTable) extra = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_ptr_array_unref);
  wanted.groups = groups;
  wanted.extra = extra;
  soup_message_headers_foreach (soup_server_message_get_request_headers (call->msg), collect, &wanted);
  if (!wanted.is_asked)
    return TRUE;
  if (wanted.user == NULL || *wanted.user == '\0')
    {
      soup_message_headers_replace (soup_server_message_get_response_headers (call->msg), "X-Content-Type-Options", "nosniff");
      return no_user_to_be (&wanted, error);
    }
  g_auto (GStrv) account = NULL;
  if (!may_impersonate_user (call, &wanted, &account, error) || !may_impersonate_rest (call, &wanted, error))
    return FALSE;
  CubeUser *user = make_user (&wanted, account);
  g_debug ("\"%s\" acts as \"%s\"", call->user->name, user->name);
  cube_user_unref (call->user);
  call->user = user;
  return TRUE;
}

gboolean
http_authorize (HttpCall *call, const char *verb, GError **error)
{
  const HttpUrl *url = &call->url;
  const char *text = http_query_get (&call->query, "fieldSelector");
  g_autoptr (CubeSelector) fields = NULL;
  CubeAttributes attributes = {
    .user = call->user, .verb = verb, .path = url->path, .group = "", .version = "", .subresource = "", .ns = "", .name = ""
  };
  if (url->is_resource)
    {
      /* what a node may list depends on which it asks for; one that cannot be read asks for everything, and is refused later */
      fields = text != NULL ? cube_selector_parse_fields (text, NULL) : NULL;
      attributes.has_fields = TRUE;
      attributes.fields = fields;
      attributes.group = url->group;
      attributes.version = url->version;
      attributes.resource = url->resource;
      attributes.subresource = url->subresource != NULL ? url->subresource : "";
      attributes.name = url->name != NULL ? url->name : "";
      attributes.ns = url->ns != NULL ? url->ns : "";
      /* a namespace is in itself: a Role there may speak of it */
      if (url->ns == NULL && url->has_namespace && url->name != NULL && *url->group == '\0' && strcmp (url->resource, "namespaces") == 0)
        attributes.ns = url->name;
    }
  return cube_authorize (call->server->registry, &attributes, error);
}
