/* SPDX-License-Identifier: Apache-2.0 */
#include "join.h"
#include "pem.h"
#include <glib/gstdio.h>
#include <string.h>
#include <cube/scalar.h>

#define CONNECT_TIMEOUT_S 10
#define CONNECT_US (60 * G_USEC_PER_SEC)
#define ANSWER_US (60 * G_USEC_PER_SEC)
#define POLL_US (200 * 1000)
#define DEFAULT_PORT 6443
#define SIGNER "kubernetes.io/kube-apiserver-client-kubelet"

/* ---- discovery: which authority is the one whose hash we were given? ---- */

typedef struct {
  const char *host, *wanted; /* hash */
  char *ca_pem;              /* found */
  char *seen;                /* hash of the last authority shown */
  GTlsCertificateFlags flags;
} Discovery;

/* The chain the server shows holds the authority; it must have signed the rest, for the host we asked for. */
static gboolean
on_certificate (GTlsConnection *connection, GTlsCertificate *peer, GTlsCertificateFlags flags, gpointer data)
{
  Discovery *discovery = data;
  g_autoptr (GSocketConnectable) identity = g_network_address_new (discovery->host, 0);
  for (GTlsCertificate *at = peer; at != NULL; at = g_tls_certificate_get_issuer (at))
    {
      g_autofree char *pem = NULL;
      g_object_get (at, "certificate-pem", &pem, NULL);
      g_free (discovery->seen);
      discovery->seen = pem != NULL ? cube_pem_key_hash (pem, NULL) : NULL;
      if (discovery->seen == NULL || g_ascii_strcasecmp (discovery->seen, discovery->wanted) != 0)
        continue;
      g_autoptr (GTlsCertificate) authority = g_tls_certificate_new_from_pem (pem, -1, NULL);
      discovery->flags = authority != NULL ? g_tls_certificate_verify (peer, identity, authority) : G_TLS_CERTIFICATE_GENERIC_ERROR;
      if (discovery->flags != 0)
        return FALSE;
      discovery->ca_pem = g_steal_pointer (&pem);
      return TRUE;
    }
  return FALSE;
}

static void
explain (const Discovery *discovery, const char *server, GError **error)
{
  if (discovery->seen == NULL)
    return; /* it did not come that far */
  g_clear_error (error);
  if (discovery->flags & G_TLS_CERTIFICATE_BAD_IDENTITY)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_FORBIDDEN,
                 "server %s: its certificate is not for the address \"%s\": use the address it prints with `cube token create`, or set "
                 "advertiseAddress in its configuration",
                 server, discovery->host);
  else if (discovery->flags != 0)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_FORBIDDEN,
                 "server %s: its certificate does not verify against its authority: expired, or the clocks of the two machines differ",
                 server);
  else
    g_set_error (
        error, CUBE_ERROR, CUBE_ERROR_FORBIDDEN,
        "server %s: found an authority with the hash %s, expected %s: another server, or a wrong --ca-hash (`cube token create` on the "
        "server prints the right one)",
        server, discovery->seen, discovery->wanted);
}

static gboolean
shake_hands (Discovery *discovery, guint16 port, GError **error)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_socket_client_set_timeout (client, CONNECT_TIMEOUT_S);
  g_socket_client_set_enable_proxy (client, FALSE);
  g_autoptr (GSocketConnection) connection = g_socket_client_connect_to_host (client, discovery->host, port, NULL, error);
  if (connection == NULL)
    return FALSE;
  g_autoptr (GSocketConnectable) identity = g_network_address_new (discovery->host, port);
  g_autoptr (GIOStream) tls = g_tls_client_connection_new (G_IO_STREAM (connection), identity, error);
  if (tls == NULL)
    return FALSE;
  g_tls_connection_set_database (G_TLS_CONNECTION (tls), NULL); /* the system's authorities have no say */
  g_signal_connect (tls, "accept-certificate", G_CALLBACK (on_certificate), discovery);
  gboolean ok = g_tls_connection_handshake (G_TLS_CONNECTION (tls), NULL, error);
  g_io_stream_close (tls, NULL, NULL);
  return ok || discovery->ca_pem != NULL; /* whatever the server says later: the authority is known */
}

/* The authority's certificate. A server that does not answer yet is asked again for a minute. (transfer full) */
static char *
discover (CubeContext *context, const char *server, const char *hash, GError **error)
{
  g_autoptr (GUri) uri = g_uri_parse (server, G_URI_FLAGS_NONE, NULL);
  if (uri == NULL || g_strcmp0 (g_uri_get_scheme (uri), "https") != 0 || g_uri_get_host (uri) == NULL || *g_uri_get_host (uri) == '\0')
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "server \"%s\": expected https://ADDRESS:PORT", server);
      return NULL;
    }
  guint16 port = g_uri_get_port (uri) > 0 ? (guint16) g_uri_get_port (uri) : DEFAULT_PORT;
  gint64 until = cube_context_monotonic_us (context) + CONNECT_US;
  for (;;)
    {
      Discovery discovery = { .host = g_uri_get_host (uri), .wanted = hash };
      g_autoptr (GError) problem = NULL;
      gboolean ok = shake_hands (&discovery, port, &problem);
      g_autofree char *ca_pem = g_steal_pointer (&discovery.ca_pem);
      gboolean is_refused = discovery.seen != NULL;
      if (!ok)
        explain (&discovery, server, &problem);
      g_free (discovery.seen);
      if (ok)
        return g_steal_pointer (&ca_pem);
      if (is_refused || cube_context_monotonic_us (context) >= until)
        {
          g_propagate_prefixed_error (error, g_steal_pointer (&problem), is_refused ? "" : "server %s: ", server);
          return NULL;
        }
      g_usleep (POLL_US * 5);
    }
}

/* ---- files ---- */

static void
set_base64 (CubeMut *object, const char *key, const char *text)
{
  g_autofree char *encoded = text != NULL ? g_base64_encode ((const guchar *) text, strlen (text)) : NULL;
  if (encoded != NULL)
    cube_mut_set_string (object, key, encoded);
}

/* A kubeconfig of one cluster and one user, as JSON (which is YAML). */
static gboolean
write_kubeconfig (const char *path, const char *server, const char *ca_pem, const char *user_name, const char *certificate_pem,
                  const char *key_pem, const char *token, GError **error)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  cube_mut_set_string (root, "apiVersion", "v1");
  cube_mut_set_string (root, "kind", "Config");
  CubeMut *cluster = cube_mut_append_object (cube_mut_set_array (root, "clusters"));
  cube_mut_set_string (cluster, "name", "cube");
  cluster = cube_mut_set_object (cluster, "cluster");
  cube_mut_set_string (cluster, "server", server);
  set_base64 (cluster, "certificate-authority-data", ca_pem);
  CubeMut *user = cube_mut_append_object (cube_mut_set_array (root, "users"));
  cube_mut_set_string (user, "name", user_name);
  user = cube_mut_set_object (user, "user");
  set_base64 (user, "client-certificate-data", certificate_pem);
  set_base64 (user, "client-key-data", key_pem);
  if (token != NULL)
    cube_mut_set_string (user, "token", token);
  CubeMut *entry = cube_mut_append_object (cube_mut_set_array (root, "contexts"));
  cube_mut_set_string (entry, "name", "cube");
  entry = cube_mut_set_object (entry, "context");
  cube_mut_set_string (entry, "cluster", "cube");
  cube_mut_set_string (entry, "user", user_name);
  cube_mut_set_string (root, "current-context", "cube");
  g_autoptr (CubeValue) value = cube_builder_end (builder);
  gsize length;
  g_autofree char *text = cube_view_to_json (cube_value_root (value), &length);
  gboolean ok =
      g_file_set_contents_full (path, text, (gssize) length, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, error);
  explicit_bzero (text, length);
  return ok;
}

/* ---- the signing request ---- */

static CubeValue *
compose_request (const char *request_pem)
{
  static const char *const usages[] = { "digital signature", "client auth" };
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  cube_mut_set_string (root, "apiVersion", "certificates.k8s.io/v1");
  cube_mut_set_string (root, "kind", "CertificateSigningRequest");
  cube_mut_set_string (cube_mut_set_object (root, "metadata"), "generateName", "node-csr-");
  CubeMut *spec = cube_mut_set_object (root, "spec");
  cube_mut_set_string (spec, "signerName", SIGNER);
  set_base64 (spec, "request", request_pem);
  CubeMut *list = cube_mut_set_array (spec, "usages");
  for (guint i = 0; i < G_N_ELEMENTS (usages); i++)
    cube_mut_append_string (list, usages[i]);
  return cube_builder_end (builder);
}

/* The certificate, when there is one. FALSE: it was refused. */
static gboolean
look_at (CubeObject *object, char **ret_certificate, GError **error)
{
  g_autoptr (CubeValue) value = cube_object_value (object);
  CubeView status = cube_value_get (value, "status");
  const char *encoded = cube_view_get_string (status, "certificate");
  gsize length;
  static const char *const ends[] = { "Denied", "Failed" };
  for (guint i = 0; i < G_N_ELEMENTS (ends); i++)
    if (cube_condition_is_true (status, ends[i]))
      {
        g_set_error (error, CUBE_ERROR, CUBE_ERROR_FORBIDDEN, "the server refuses a certificate: %s",
                     cube_view_string_or (cube_view_member (cube_condition_find (status, ends[i]), "message"), ends[i]));
        return FALSE;
      }
  if (encoded != NULL)
    {
      g_autofree guchar *bytes = g_base64_decode (encoded, &length);
      *ret_certificate = g_strndup ((const char *) bytes, length);
    }
  return TRUE;
}

static char *
wait_for_certificate (CubeContext *context, CubeClient *client, const CubeResource *resource, const char *name, GError **error)
{
  gint64 until = cube_context_monotonic_us (context) + ANSWER_US;
  for (;;)
    {
      g_autoptr (CubeObject) object = cube_client_get (client, resource, NULL, name, error);
      char *certificate = NULL;
      if (object == NULL || !look_at (object, &certificate, error))
        return NULL;
      if (certificate != NULL)
        return certificate;
      if (cube_context_monotonic_us (context) >= until)
        {
          g_set_error (error, CUBE_ERROR, CUBE_ERROR_TIMEOUT,
                       "the server has not signed certificate signing request %s: do its controllers run? (kubectl get csr)", name);
          return NULL;
        }
      g_usleep (POLL_US);
    }
}

gboolean
cube_join_renew (CubeContext *context, CubeClient *client, const char *name, const char *path, const char *server, const char *ca_pem,
                 GError **error)
{
  const CubeResource *resource =
      cube_schema_resource (cube_context_schema (context), "certificates.k8s.io/v1", "certificatesigningrequests");
  g_autofree char *user = g_strconcat ("system:node:", name, NULL), *key_pem = NULL, *request_pem = NULL;
  if (!cube_pem_make_request (CUBE_PEM_EC, user, "system:nodes", &key_pem, &request_pem, error))
    return FALSE;
  g_autoptr (CubeValue) request = compose_request (request_pem);
  g_autoptr (CubeObject) object = cube_client_create (client, resource, NULL, request, error);
  g_autofree char *certificate = object != NULL ? wait_for_certificate (context, client, resource, cube_object_name (object), error) : NULL;
  gboolean ok = certificate != NULL && write_kubeconfig (path, server, ca_pem, user, certificate, key_pem, NULL, error);
  explicit_bzero (key_pem, strlen (key_pem));
  return ok;
}

/* ---- the whole ---- */

static gboolean
check_options (const CubeOptions *options, GError **error)
{
  const char *missing = options->server == NULL    ? "--server https://ADDRESS:PORT"
                        : options->token == NULL   ? "--token TOKEN"
                        : options->ca_hash == NULL ? "--ca-hash sha256:…"
                                                   : NULL;
  if (missing != NULL)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID,
                 "to join a server, %s is missing: `cube token create` on the server prints the whole command", missing);
  else if (g_str_equal (options->runtime, "sim"))
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID,
                 "simulated nodes are many and a token gives one node's certificate: use --kubeconfig with --runtime sim");
  else if (cube_name_check_dns1123_subdomain (options->node_name) != NULL)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "node name \"%s\": %s", options->node_name,
                 cube_name_check_dns1123_subdomain (options->node_name));
  else
    return TRUE;
  return FALSE;
}

static gboolean
bootstrap (CubeContext *context, const CubeOptions *options, const char *path, const char *ca_pem, GError **error)
{
  g_autofree char *temporary = g_strconcat (path, ".join", NULL);
  if (!write_kubeconfig (temporary, options->server, ca_pem, "bootstrap", NULL, NULL, options->token, error))
    return FALSE;
  g_autoptr (CubeClient) client = cube_client_new_remote (context, temporary, error);
  g_unlink (temporary);
  g_autoptr (GError) problem = NULL;
  if (client == NULL)
    return FALSE;
  if (cube_join_renew (context, client, options->node_name, path, options->server, ca_pem, &problem))
    return TRUE;
  if (g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_UNAUTHORIZED))
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_UNAUTHORIZED,
                 "server %s does not accept the token: it is wrong, or its time is over; `cube token create` on the server makes another",
                 options->server);
  else
    g_propagate_prefixed_error (error, g_steal_pointer (&problem), "server %s: ", options->server);
  return FALSE;
}

gboolean
cube_join (CubeContext *context, const CubeOptions *options, const char *path, GError **error)
{
  if (!check_options (options, error))
    return FALSE;
  g_message ("joining %s as node %s", options->server, options->node_name);
  g_autofree char *ca_pem = discover (context, options->server, options->ca_hash, error);
  return ca_pem != NULL && bootstrap (context, options, path, ca_pem, error);
}
