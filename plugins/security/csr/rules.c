/* SPDX-License-Identifier: Apache-2.0 */
#include "rules.h"

#include "pki.h"

#include <cube/scalar.h>

#include <string.h>

#define MAX_TEXT 1024
#define MAX_ORGANIZATIONS 64
#define SHORTEST_SECONDS 600
#define NODE_PREFIX "system:node:"

void
requested_subject_clear (RequestedSubject *subject)
{
  g_clear_pointer (&subject->pem, g_free);
  g_clear_pointer (&subject->common_name, g_free);
  g_clear_pointer (&subject->organizations, g_strfreev);
}

static gboolean
refuse (GError **error, const char *text)
{
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "certificate signing request: %s", text);
  return FALSE;
}

/* FALSE without an error: there is none of that number. */
static gboolean
read_dn (gnutls_x509_crq_t csr, const char *oid, guint index, char **ret_text, GError **error)
{
  char buffer[MAX_TEXT];
  size_t size = sizeof buffer;
  int code = gnutls_x509_crq_get_dn_by_oid (csr, oid, (int) index, 0, buffer, &size);

  if (code == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
    return FALSE;
  if (code < 0 || strlen (buffer) != size || !g_utf8_validate (buffer, (gssize) size, NULL))
    return refuse (error, "the subject holds what is no text of at most 1,023 bytes");
  *ret_text = g_strdup (buffer);
  return TRUE;
}

static gboolean
read_names (gnutls_x509_crq_t csr, RequestedSubject *subject, GError **error)
{
  g_autoptr (GPtrArray) organizations = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) local = NULL;
  char buffer[MAX_TEXT];
  size_t size = sizeof buffer;
  guint type, critical;
  char *text = NULL;

  if (read_dn (csr, GNUTLS_OID_X520_COMMON_NAME, 0, &text, &local))
    subject->common_name = text;
  for (guint i = 0; local == NULL && i < MAX_ORGANIZATIONS && read_dn (csr, GNUTLS_OID_X520_ORGANIZATION_NAME, i, &text, &local); i++)
    g_ptr_array_add (organizations, text);
  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  g_ptr_array_add (organizations, NULL);
  subject->organizations = (char **) g_ptr_array_steal (organizations, NULL);
  subject->has_alternative_names =
      gnutls_x509_crq_get_subject_alt_name (csr, 0, buffer, &size, &type, &critical) != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE;
  return TRUE;
}

gboolean
rules_read (CubeView spec, RequestedSubject *ret_subject, GError **error)
{
  const char *encoded = cube_view_get_string (spec, "request");
  gsize length = 0;
  g_autofree guchar *bytes = encoded != NULL ? g_base64_decode (encoded, &length) : NULL;
  g_auto (gnutls_x509_crq_t) csr = NULL;
  g_auto (RequestedSubject) subject = { 0 };
  gnutls_datum_t datum;

  if (bytes == NULL || length == 0 || memchr (bytes, '\0', length) != NULL)
    return refuse (error, "no text in spec.request");
  subject.pem = g_strndup ((const char *) bytes, length);
  datum = (gnutls_datum_t){ (guchar *) subject.pem, (guint) length };
  if (gnutls_x509_crq_init (&csr) < 0 || gnutls_x509_crq_import (csr, &datum, GNUTLS_X509_FMT_PEM) < 0)
    return refuse (error, "spec.request is not readable as PEM (PKCS #10)");
  if (gnutls_x509_crq_verify (csr, 0) < 0)
    return refuse (error, "not signed by its own key");
  if (!read_names (csr, &subject, error))
    return FALSE;
  *ret_subject = subject;
  memset (&subject, 0, sizeof subject);
  return TRUE;
}

/* ---- usages ---- */

static gboolean
has_usage (CubeView spec, const char *wanted)
{
  CubeIter it;
  CubeView usage;

  for (cube_iter_init (&it, cube_view_member (spec, "usages")); cube_iter_next (&it, NULL, &usage);)
    if (g_strcmp0 (cube_view_string (usage), wanted) == 0)
      return TRUE;
  return FALSE;
}

/* Source: Kubernetes, Certificate Signing Requests: permitted key usages of the client signers. */
static char *
check_usages (CubeView spec)
{
  static const char *const known[] = { "digital signature", "key encipherment", "client auth", NULL };
  CubeIter it;
  CubeView usage;

  for (cube_iter_init (&it, cube_view_member (spec, "usages")); cube_iter_next (&it, NULL, &usage);)
    if (cube_view_string (usage) == NULL || !g_strv_contains (known, cube_view_string (usage)))
      return g_strdup_printf ("usage \"%s\" is not for client certificates", cube_view_string_or (usage, ""));
  return has_usage (spec, "client auth") ? NULL : g_strdup ("usage \"client auth\" is missing");
}

char *
rules_check_client (CubeView spec, const RequestedSubject *subject)
{
  if (subject->common_name == NULL || *subject->common_name == '\0')
    return g_strdup ("the subject has no common name");
  /* Source: admission CertificateSubjectRestriction. */
  if (g_strv_contains ((const char *const *) subject->organizations, "system:masters"))
    return g_strdup ("use of the group system:masters is not allowed");
  return check_usages (spec);
}

char *
rules_check_kubelet (CubeView spec, const RequestedSubject *subject)
{
  if (g_strv_length (subject->organizations) != 1 || !g_str_equal (subject->organizations[0], "system:nodes"))
    return g_strdup ("subject organization is not system:nodes");
  if (subject->common_name == NULL || !g_str_has_prefix (subject->common_name, NODE_PREFIX)
      || cube_name_check_dns1123_subdomain (subject->common_name + strlen (NODE_PREFIX)) != NULL)
    return g_strdup ("subject common name does not begin with system:node: and end with a node's name");
  if (subject->has_alternative_names)
    return g_strdup ("subject alternative names are not allowed");
  return check_usages (spec);
}

gint64
rules_seconds (CubeView spec, gint64 longest)
{
  gint64 wanted = cube_view_get_int (spec, 0, "expirationSeconds");

  return wanted <= 0 ? longest : MIN (MAX (wanted, SHORTEST_SECONDS), longest);
}
