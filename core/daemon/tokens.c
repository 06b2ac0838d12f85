/* SPDX-License-Identifier: Apache-2.0 */
/* Join tokens, for `cube token`: bootstrap tokens as Kubernetes keeps them, Secrets kube-system/bootstrap-token-ID. */
#include "daemon.h"
#include "pem.h"
#include <cube/scalar.h>
#include <string.h>

#define NAMESPACE "kube-system"
#define PREFIX "bootstrap-token-"
#define TYPE "bootstrap.kubernetes.io/token"
#define ID_LENGTH 6
#define SECRET_LENGTH 16

static const CubeResource *
secrets_of (CubeContext *context)
{
  return cube_schema_resource (cube_context_schema (context), "v1", "secrets");
}

/* @length of a-z and 0-9, each as likely. */
static void
fill_random (CubeContext *context, char *text, gsize length)
{
  static const char digits[] = "abcdefghijklmnopqrstuvwxyz0123456789";
  guint8 byte;
  for (gsize i = 0; i < length; i++)
    {
      do
        cube_context_random_bytes (context, &byte, 1);
      while (byte >= 252); /* 7 × 36 */
      text[i] = digits[byte % 36];
    }
  text[length] = '\0';
}

char *
cube_join_server (CubeContext *context)
{
  g_autofree char *advertised = cube_context_fact (context, "advertise-address"), *listen = cube_context_fact (context, "listen-address"),
                  *port = cube_context_fact (context, "listen-port");
  const char *host = advertised != NULL && *advertised != '\0' ? advertised : listen;
  if (host == NULL || port == NULL || g_str_equal (host, "0.0.0.0") || g_str_equal (host, "::"))
    return NULL;
  return g_strdup_printf (strchr (host, ':') != NULL ? "https://[%s]:%s" : "https://%s:%s", host, port);
}

char *
cube_authority_pem (CubeContext *context, GError **error)
{
  g_autoptr (GPtrArray) list = cube_registry_list (cube_context_registry (context), CUBE_CERTIFICATE_AUTHORITY);
  char *pem = NULL;
  if (list->len == 0)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "no plugin offers %s", CUBE_CERTIFICATE_AUTHORITY);
      return NULL;
    }
  const CubeImpl *impl = list->pdata[0];
  return ((const CubeCertificateAuthorityOps *) impl->ops)->get_ca (impl->state, &pem, error) ? pem : NULL;
}

/* ---- create ---- */

static CubeValue *
compose_secret (CubeContext *context, const char *id, const char *secret, gint64 ttl_s, const char *description)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  g_autofree char *name = g_strconcat (PREFIX, id, NULL);
  char until[32];
  CubeMut *root = cube_builder_root (builder);
  cube_mut_set_string (root, "apiVersion", "v1");
  cube_mut_set_string (root, "kind", "Secret");
  cube_mut_set_string (cube_mut_set_object (root, "metadata"), "name", name);
  cube_mut_set_string (root, "type", TYPE);
  CubeMut *data = cube_mut_set_object (root, "stringData");
  cube_mut_set_string (data, "token-id", id);
  cube_mut_set_string (data, "token-secret", secret);
  cube_mut_set_string (data, "usage-bootstrap-authentication", "true");
  if (description != NULL && *description != '\0')
    cube_mut_set_string (data, "description", description);
  if (ttl_s > 0)
    {
      cube_time_format (cube_context_now_us (context) + ttl_s * G_USEC_PER_SEC, until);
      cube_mut_set_string (data, "expiration", until);
    }
  return cube_builder_end (builder);
}

static gboolean
create (CubeContext *context, CubeView request, CubeMut *answer, GError **error)
{
  char id[ID_LENGTH + 1], secret[SECRET_LENGTH + 1];
  g_autofree char *server = cube_join_server (context), *ca = cube_authority_pem (context, error);
  g_autofree char *hash = ca != NULL ? cube_pem_key_hash (ca, error) : NULL;
  if (hash == NULL)
    return FALSE;
  if (server == NULL)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE,
                   "this server has no address that others reach: set advertiseAddress in its configuration, or --listen ADDR:PORT");
      return FALSE;
    }
  fill_random (context, id, ID_LENGTH);
  fill_random (context, secret, SECRET_LENGTH);
  g_autoptr (CubeValue) value =
      compose_secret (context, id, secret, cube_view_get_int (request, 0, "ttlSeconds"), cube_view_get_string (request, "description"));
  g_autoptr (CubeObject) made = cube_client_create (cube_context_client (context), secrets_of (context), NAMESPACE, value, error);
  g_autofree char *token = g_strdup_printf ("%s.%s", id, secret);
  explicit_bzero (secret, sizeof secret);
  if (made == NULL)
    return FALSE;
  cube_mut_set_string (answer, "token", token);
  cube_mut_set_string (answer, "server", server);
  cube_mut_set_string (answer, "caHash", hash);
  return TRUE;
}

/* ---- list, delete ---- */

static void
list_value (CubeMut *entry, const char *key, CubeView secret, const char *name)
{
  const char *encoded = cube_view_get_string (secret, "data", name);
  gsize length;
  g_autofree guchar *bytes = encoded != NULL ? g_base64_decode (encoded, &length) : NULL;
  if (bytes == NULL)
    return;
  g_autofree char *text = g_utf8_make_valid ((const char *) bytes, (gssize) length);
  cube_mut_set_string (entry, key, text);
}

/* Ids and times; a secret is shown once, when it is made. */
static gboolean
list (CubeContext *context, CubeMut *answer, GError **error)
{
  g_autoptr (GPtrArray) secrets = cube_client_list (cube_context_client (context), secrets_of (context), NAMESPACE, NULL, NULL, error);
  CubeMut *tokens = cube_mut_set_array (answer, "tokens");
  for (guint i = 0; secrets != NULL && i < secrets->len; i++)
    {
      g_autoptr (CubeValue) value = cube_object_value (secrets->pdata[i]);
      CubeView root = cube_value_root (value);
      if (g_strcmp0 (cube_view_get_string (root, "type"), TYPE) != 0)
        continue;
      CubeMut *entry = cube_mut_append_object (tokens);
      list_value (entry, "id", root, "token-id");
      list_value (entry, "expires", root, "expiration");
      list_value (entry, "description", root, "description");
    }
  return secrets != NULL;
}

static gboolean
forget (CubeContext *context, CubeView request, GError **error)
{
  const char *token = cube_view_string_or (cube_view_member (request, "id"), "");
  g_autofree char *id = g_strndup (token, strcspn (token, ".")), *name = g_strconcat (PREFIX, id, NULL);
  g_autoptr (GError) problem = NULL;
  if (cube_client_delete (cube_context_client (context), secrets_of (context), NAMESPACE, name, NULL, -1, CUBE_PROPAGATION_DEFAULT,
                          &problem))
    return TRUE;
  if (g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND, "there is no token \"%s\" (`cube token list` shows them)", id);
  else
    g_propagate_error (error, g_steal_pointer (&problem));
  return FALSE;
}

CubeValue *
cube_tokens_answer (CubeContext *context, const char *op, CubeView request)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  g_autoptr (GError) error = NULL;
  CubeMut *answer = cube_builder_root (builder);
  if (!cube_context_has_role (context, "api"))
    g_set_error (&error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE,
                 "no server runs in this process: ask where `cube server` or `cube up` runs");
  else if (g_str_equal (op, "token-create"))
    create (context, request, answer, &error);
  else if (g_str_equal (op, "token-list"))
    list (context, answer, &error);
  else if (g_str_equal (op, "token-delete"))
    forget (context, request, &error);
  else
    return NULL;
  if (error != NULL)
    cube_mut_set_string (answer, "error", error->message);
  return cube_builder_end (builder);
}
