/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include "pki.h"

#include <cube/error.h>
#include <cube/value.h>
#include <string.h>

#define MAX_TEXT 1024
#define MAX_ORGANIZATIONS 64

void
peer_credentials_clear (PeerCredentials *credentials)
{
  g_clear_object (&credentials->identity);
  g_clear_object (&credentials->authority);
}

/* ---- an agent's own file: one cluster, one user, everything embedded ---- */

static char *
decode (CubeView entry, const char *key)
{
  const char *text = cube_view_string (cube_view_member (entry, key));
  gsize length = 0;
  g_autofree guchar *bytes = text != NULL ? g_base64_decode (text, &length) : NULL;

  return bytes != NULL ? g_strndup ((const char *) bytes, length) : NULL;
}

static gboolean
fill (CubeView root, PeerCredentials *credentials, GError **error)
{
  CubeView cluster = cube_view_member (cube_view_element (cube_view_member (root, "clusters"), 0), "cluster");
  CubeView user = cube_view_member (cube_view_element (cube_view_member (root, "users"), 0), "user");
  g_autofree char *authority = decode (cluster, "certificate-authority-data"), *certificate = decode (user, "client-certificate-data"),
                  *key = decode (user, "client-key-data"), *both = NULL;

  if (authority == NULL || certificate == NULL || key == NULL)
    {
      pki_wipe (g_steal_pointer (&key));
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_INVALID, "it holds no certificate and key of a node");
      return FALSE;
    }
  both = g_strconcat (certificate, "\n", key, NULL);
  credentials->authority = g_tls_certificate_new_from_pem (authority, -1, error);
  credentials->identity = credentials->authority != NULL ? g_tls_certificate_new_from_pem (both, -1, error) : NULL;
  pki_wipe (g_steal_pointer (&both));
  pki_wipe (g_steal_pointer (&key));
  return credentials->identity != NULL;
}

gboolean
peer_read_kubeconfig (const char *path, const char *node_name, PeerCredentials *ret_credentials, GError **error)
{
  g_autofree char *text = NULL, *name = g_strconcat (PEER_NODE_PREFIX, node_name, NULL);
  g_auto (PeerCredentials) credentials = { NULL, NULL };
  gsize length;

  if (!g_file_get_contents (path, &text, &length, error))
    return FALSE;
  g_autoptr (GPtrArray) documents = cube_values_from_yaml (text, (gssize) length, NULL, error);
  pki_wipe (g_steal_pointer (&text));
  if (documents == NULL || documents->len != 1 || !fill (cube_value_root (documents->pdata[0]), &credentials, error)
      || !peer_check (credentials.identity, credentials.authority, name, PEER_NODES, error))
    {
      if (error != NULL && *error == NULL)
        g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_INVALID, "it is no kubeconfig");
      g_prefix_error (error, "%s: ", path);
      return FALSE;
    }
  *ret_credentials = credentials;
  credentials = (PeerCredentials){ NULL, NULL };
  return TRUE;
}

/* ---- the other end ---- */

static gboolean
is_name (gnutls_x509_crt_t certificate, const char *oid, guint index, const char *wanted, gboolean *ret_exists)
{
  char buffer[MAX_TEXT];
  size_t size = sizeof buffer;
  int code = gnutls_x509_crt_get_dn_by_oid (certificate, oid, (int) index, 0, buffer, &size);

  *ret_exists = code != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE;
  return code >= 0 && strlen (buffer) == size && g_str_equal (buffer, wanted);
}

static gboolean
has_subject (GTlsCertificate *certificate, const char *common_name, const char *organization)
{
  g_autoptr (GByteArray) der = NULL;
  g_auto (gnutls_x509_crt_t) parsed = NULL;
  gnutls_datum_t datum;
  gboolean exists, is_member = FALSE;

  g_object_get (certificate, "certificate", &der, NULL);
  if (der == NULL)
    return FALSE;
  datum = (gnutls_datum_t){ der->data, der->len };
  if (gnutls_x509_crt_init (&parsed) < 0 || gnutls_x509_crt_import (parsed, &datum, GNUTLS_X509_FMT_DER) < 0
      || !is_name (parsed, GNUTLS_OID_X520_COMMON_NAME, 0, common_name, &exists))
    return FALSE;
  exists = TRUE;
  for (guint i = 0; exists && !is_member && i < MAX_ORGANIZATIONS; i++)
    is_member = is_name (parsed, GNUTLS_OID_X520_ORGANIZATION_NAME, i, organization, &exists);
  return is_member;
}

gboolean
peer_check (GTlsCertificate *certificate, GTlsCertificate *authority, const char *common_name, const char *organization, GError **error)
{
  if (certificate == NULL)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_FORBIDDEN, "no certificate, expected one of %s", common_name);
  else if (g_tls_certificate_verify (certificate, NULL, authority) != 0)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_FORBIDDEN,
                 "a certificate that the cluster's authority did not sign or that is out of its time");
  else if (!has_subject (certificate, common_name, organization))
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_FORBIDDEN, "a certificate of somebody else, expected %s of %s", common_name, organization);
  else
    return TRUE;
  return FALSE;
}
