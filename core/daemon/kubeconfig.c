/* SPDX-License-Identifier: Apache-2.0 */
/* The one file every client needs: cluster address and CA, the administrator's certificate and key, embedded. */
#include "daemon.h"
#include "pem.h"
#include <errno.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

#define RENEW_BEFORE_S (30 * 24 * 3600)

static char *
base64 (const char *text)
{
  return g_base64_encode ((const guchar *) text, strlen (text));
}

static const CubeImpl *
find_authority (CubeContext *context, GError **error)
{
  g_autoptr (GPtrArray) list = cube_registry_list (cube_context_registry (context), CUBE_CERTIFICATE_AUTHORITY);
  if (list->len > 0)
    return cube_impl_ref (list->pdata[0]);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE,
               "no plugin offers %s: is the plugin \"security-ca\" in the plugin folder?", CUBE_CERTIFICATE_AUTHORITY);
  return NULL;
}

/* The file as it stands names this server and CA, and its certificate is good for a while. */
static gboolean
is_current (CubeContext *context, const char *path, const char *server, const char *ca_data)
{
  g_autofree char *text = NULL;
  gsize length;
  if (!g_file_get_contents (path, &text, &length, NULL))
    return FALSE;
  g_autoptr (GPtrArray) documents = cube_values_from_yaml (text, (gssize) length, NULL, NULL);
  if (documents == NULL || documents->len != 1)
    return FALSE;
  CubeView root = cube_value_root (documents->pdata[0]);
  CubeView cluster = cube_view_member (cube_view_element (cube_view_member (root, "clusters"), 0), "cluster");
  CubeView user = cube_view_member (cube_view_element (cube_view_member (root, "users"), 0), "user");
  const char *pem_data = cube_view_string (cube_view_member (user, "client-certificate-data"));
  if (g_strcmp0 (cube_view_string (cube_view_member (cluster, "server")), server) != 0
      || g_strcmp0 (cube_view_string (cube_view_member (cluster, "certificate-authority-data")), ca_data) != 0 || pem_data == NULL)
    return FALSE;
  gsize pem_length;
  g_autofree guchar *pem = g_base64_decode (pem_data, &pem_length);
  g_autoptr (GTlsCertificate) certificate = g_tls_certificate_new_from_pem ((const char *) pem, (gssize) pem_length, NULL);
  g_autoptr (GDateTime) until = certificate != NULL ? g_tls_certificate_get_not_valid_after (certificate) : NULL;
  return until != NULL && g_date_time_to_unix (until) - cube_context_now_us (context) / G_USEC_PER_SEC > RENEW_BEFORE_S;
}

static char *
compose (const char *server, const char *ca_data, const char *certificate_data, const char *key_data)
{
  return g_strdup_printf (
      "apiVersion: v1\nkind: Config\nclusters:\n- name: cube\n  cluster:\n    server: %s\n    certificate-authority-data: %s\n"
      "users:\n- name: admin\n  user:\n    client-certificate-data: %s\n    client-key-data: %s\n"
      "contexts:\n- name: cube\n  context:\n    cluster: cube\n    user: admin\n    namespace: default\ncurrent-context: cube\n",
      server, ca_data, certificate_data, key_data);
}

/* With an RSA key: Java's clients read an elliptic one only with a library beside them. */
static gboolean
make_administrator (const CubeCertificateAuthorityOps *ops, gpointer state, char **ret_certificate, char **ret_key, GError **error)
{
  CubeCertificateRequest usages = { .is_client = TRUE };
  g_autofree char *request = NULL;
  return cube_pem_make_request (CUBE_PEM_RSA, "kubernetes-admin", "system:masters", ret_key, &request, error)
         && ops->sign_csr (state, request, &usages, ret_certificate, error);
}

char *
cube_kubeconfig_write (CubeContext *context, const char *server, GError **error)
{
  const CubeImpl *authority = find_authority (context, error);
  if (authority == NULL)
    return NULL;
  const CubeCertificateAuthorityOps *ops = authority->ops;
  g_autofree char *path = g_build_filename (cube_context_data_dir (context), "admin.kubeconfig", NULL);
  g_autofree char *ca = NULL, *certificate = NULL, *key = NULL;
  gboolean ok = ops->get_ca (authority->state, &ca, error);
  g_autofree char *ca_data = ok ? base64 (ca) : NULL;
  if (ok && is_current (context, path, server, ca_data))
    {
      cube_impl_unref (authority);
      return g_steal_pointer (&path);
    }
  ok = ok && make_administrator (ops, authority->state, &certificate, &key, error);
  cube_impl_unref (authority);
  if (!ok)
    return NULL;
  g_autofree char *certificate_data = base64 (certificate);
  g_autofree char *key_data = base64 (key);
  g_autofree char *text = compose (server, ca_data, certificate_data, key_data);
  ok = g_file_set_contents_full (path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, error);
  explicit_bzero (text, strlen (text));
  explicit_bzero (key, strlen (key));
  explicit_bzero (key_data, strlen (key_data));
  return ok ? g_steal_pointer (&path) : NULL;
}
