/* SPDX-License-Identifier: Apache-2.0 */
#include "subject.h"

#include <arpa/inet.h>
#include <string.h>

#define MAX_NAMES 256
#define MAX_TEXT 1024
#define OID_SERVER GNUTLS_KP_TLS_WWW_SERVER
#define OID_CLIENT GNUTLS_KP_TLS_WWW_CLIENT

Subject *
subject_new (void)
{
  Subject *subject = g_new0 (Subject, 1);

  subject->organizations = g_ptr_array_new_with_free_func (g_free);
  subject->dns_names = g_ptr_array_new_with_free_func (g_free);
  subject->ip_addresses = g_ptr_array_new_with_free_func (g_free);
  return subject;
}

void
subject_free (Subject *subject)
{
  if (subject == NULL)
    return;
  g_free (subject->common_name);
  g_ptr_array_unref (subject->organizations);
  g_ptr_array_unref (subject->dns_names);
  g_ptr_array_unref (subject->ip_addresses);
  g_free (subject);
}

static gboolean
refuse (GError **error, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, text);
  return FALSE;
}

static void
replace (GPtrArray *array, const char *const *texts)
{
  if (texts == NULL)
    return;
  g_ptr_array_set_size (array, 0);
  for (; *texts != NULL; texts++)
    g_ptr_array_add (array, g_strdup (*texts));
}

gboolean
subject_add_request (Subject *subject, const CubeCertificateRequest *request, GError **error)
{
  if (request->common_name != NULL)
    {
      g_free (subject->common_name);
      subject->common_name = g_strdup (request->common_name);
    }
  replace (subject->organizations, request->organizations);
  replace (subject->dns_names, request->dns_names);
  replace (subject->ip_addresses, request->ip_addresses);
  subject->is_server = request->is_server;
  subject->is_client = request->is_client;
  subject->valid_seconds = request->valid_seconds;
  return subject->valid_seconds >= 0
         || refuse (error, "certificate for %s: validity of %" G_GINT64_FORMAT " seconds, wanted more than 0", subject->common_name,
                    subject->valid_seconds);
}

/* ---- a signing request ---- */

static gboolean
is_text (const char *data, gsize size)
{
  return strlen (data) == size && g_utf8_validate (data, (gssize) size, NULL);
}

/* The @index-th value of @oid in the subject. FALSE without an error: there is none. */
static gboolean
read_dn (gnutls_x509_crq_t csr, const char *oid, guint index, char **ret_text, GError **error)
{
  char buffer[MAX_TEXT];
  size_t size = sizeof buffer;
  int code = gnutls_x509_crq_get_dn_by_oid (csr, oid, (int) index, 0, buffer, &size);

  if (code == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
    return FALSE;
  if (code < 0)
    return pki_fail (error, code, "certificate signing request: unreadable subject");
  if (!is_text (buffer, size))
    return refuse (error, "certificate signing request: the subject holds bytes that are no text");
  *ret_text = g_strdup (buffer);
  return TRUE;
}

static gboolean
read_subject (Subject *subject, gnutls_x509_crq_t csr, GError **error)
{
  g_autoptr (GError) local = NULL;
  char *text = NULL;

  if (read_dn (csr, GNUTLS_OID_X520_COMMON_NAME, 0, &text, &local))
    subject->common_name = text;
  for (guint i = 0; local == NULL && i < MAX_NAMES && read_dn (csr, GNUTLS_OID_X520_ORGANIZATION_NAME, i, &text, &local); i++)
    g_ptr_array_add (subject->organizations, text);
  if (local == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

static gboolean
add_ip (Subject *subject, const guint8 *data, gsize size)
{
  char text[INET6_ADDRSTRLEN];

  if ((size != 4 && size != 16) || inet_ntop (size == 4 ? AF_INET : AF_INET6, data, text, sizeof text) == NULL)
    return FALSE;
  g_ptr_array_add (subject->ip_addresses, g_strdup (text));
  return TRUE;
}

static gboolean
read_alternative_names (Subject *subject, gnutls_x509_crq_t csr, GError **error)
{
  for (guint i = 0; i < MAX_NAMES; i++)
    {
      char buffer[MAX_TEXT + 1] = "";
      size_t size = MAX_TEXT;
      guint type = 0, critical = 0;
      int code = gnutls_x509_crq_get_subject_alt_name (csr, i, buffer, &size, &type, &critical);

      if (code == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
        return TRUE;
      if (code < 0)
        return pki_fail (error, code, "certificate signing request: unreadable subject alternative name");
      if (code == GNUTLS_SAN_DNSNAME && is_text (buffer, size))
        g_ptr_array_add (subject->dns_names, g_strdup (buffer));
      else if (code != GNUTLS_SAN_IPADDRESS || !add_ip (subject, (const guint8 *) buffer, size))
        return refuse (error, "certificate signing request: only DNS names and IP addresses may be subject alternative names");
    }
  return refuse (error, "certificate signing request: more than %d subject alternative names", MAX_NAMES);
}

static gboolean
read_usages (Subject *subject, gnutls_x509_crq_t csr, GError **error)
{
  guint is_ca = 0, critical = 0;
  int path = 0;

  if (gnutls_x509_crq_get_basic_constraints (csr, &critical, &is_ca, &path) >= 0 && is_ca)
    return refuse (error, "certificate signing request: asks to be a certificate authority");
  for (guint i = 0; i < 32; i++)
    {
      char oid[128];
      size_t size = sizeof oid;
      int code = gnutls_x509_crq_get_key_purpose_oid (csr, i, oid, &size, &critical);

      if (code == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
        return TRUE;
      if (code < 0)
        return pki_fail (error, code, "certificate signing request: unreadable key usage");
      if (g_str_equal (oid, OID_SERVER))
        subject->is_server = TRUE;
      else if (g_str_equal (oid, OID_CLIENT))
        subject->is_client = TRUE;
      else
        return refuse (error, "certificate signing request: key usage %s, wanted server auth or client auth", oid);
    }
  return refuse (error, "certificate signing request: more than 32 key usages");
}

static gboolean
check_key (gnutls_x509_crq_t csr, GError **error)
{
  guint bits = 0;
  int algorithm = gnutls_x509_crq_get_pk_algorithm (csr, &bits);

  if ((algorithm == GNUTLS_PK_RSA && bits >= 2048 && bits <= 8192) || (algorithm == GNUTLS_PK_ECDSA && bits >= 256)
      || algorithm == GNUTLS_PK_EDDSA_ED25519)
    return TRUE;
  return refuse (error, "certificate signing request: a %s key of %u bits, wanted RSA of 2048 to 8192, ECDSA of 256 and more, or Ed25519",
                 gnutls_pk_get_name ((gnutls_pk_algorithm_t) algorithm), bits);
}

gboolean
subject_add_csr (Subject *subject, gnutls_x509_crq_t csr, GError **error)
{
  int code = gnutls_x509_crq_verify (csr, 0);

  if (code < 0)
    return refuse (error, "certificate signing request: not signed by its own key: %s", gnutls_strerror (code));
  return check_key (csr, error) && read_subject (subject, csr, error) && read_alternative_names (subject, csr, error)
         && read_usages (subject, csr, error);
}

/* ---- what may be signed ---- */

static gboolean
check_texts (const GPtrArray *texts, const char *what, GError **error)
{
  if (texts->len > MAX_NAMES)
    return refuse (error, "certificate: %u %s, at most %d", texts->len, what, MAX_NAMES);
  for (guint i = 0; i < texts->len; i++)
    {
      const char *text = texts->pdata[i];

      if (*text == '\0' || strlen (text) >= MAX_TEXT)
        return refuse (error, "certificate: %s of %zu bytes, wanted 1 to %d", what, strlen (text), MAX_TEXT - 1);
    }
  return TRUE;
}

static gboolean
check_dns_name (const char *name, GError **error)
{
  for (const char *c = name; *c != '\0'; c++)
    if (!g_ascii_isalnum (*c) && strchr ("-._*", *c) == NULL)
      return refuse (error, "certificate: \"%s\" is no DNS name", name);
  return TRUE;
}

gboolean
subject_check (const Subject *subject, GError **error)
{
  if (!subject->is_server && !subject->is_client)
    return refuse (error, "certificate for %s: no usage asked for, wanted server or client", subject->common_name);
  if (subject->common_name == NULL || *subject->common_name == '\0' || strlen (subject->common_name) >= MAX_TEXT)
    return refuse (error, "certificate: the common name must have 1 to %d bytes", MAX_TEXT - 1);
  if (!check_texts (subject->organizations, "organizations", error) || !check_texts (subject->dns_names, "DNS names", error)
      || !check_texts (subject->ip_addresses, "IP addresses", error))
    return FALSE;
  for (guint i = 0; i < subject->dns_names->len; i++)
    if (!check_dns_name (subject->dns_names->pdata[i], error))
      return FALSE;
  return TRUE;
}

static int
write_dn (gnutls_x509_crt_t certificate, const char *oid, const char *text)
{
  return gnutls_x509_crt_set_dn_by_oid (certificate, oid, 0, text, (guint) strlen (text));
}

static gboolean
write_ip (gnutls_x509_crt_t certificate, const char *text, GError **error)
{
  guint8 address[16];
  gsize size = inet_pton (AF_INET, text, address) == 1 ? 4 : inet_pton (AF_INET6, text, address) == 1 ? 16 : 0;
  int code;

  if (size == 0)
    return refuse (error, "certificate: \"%s\" is no IP address", text);
  code = gnutls_x509_crt_set_subject_alt_name (certificate, GNUTLS_SAN_IPADDRESS, address, (guint) size, GNUTLS_FSAN_APPEND);
  return code >= 0 || pki_fail (error, code, "cannot write an IP address");
}

gboolean
subject_write (const Subject *subject, gnutls_x509_crt_t certificate, GError **error)
{
  int code = 0;

  for (guint i = 0; code >= 0 && i < subject->organizations->len; i++)
    code = write_dn (certificate, GNUTLS_OID_X520_ORGANIZATION_NAME, subject->organizations->pdata[i]);
  if (code >= 0)
    code = write_dn (certificate, GNUTLS_OID_X520_COMMON_NAME, subject->common_name);
  for (guint i = 0; code >= 0 && i < subject->dns_names->len; i++)
    {
      const char *name = subject->dns_names->pdata[i];
      code = gnutls_x509_crt_set_subject_alt_name (certificate, GNUTLS_SAN_DNSNAME, name, (guint) strlen (name), GNUTLS_FSAN_APPEND);
    }
  if (code >= 0 && subject->is_server)
    code = gnutls_x509_crt_set_key_purpose_oid (certificate, OID_SERVER, 0);
  if (code >= 0 && subject->is_client)
    code = gnutls_x509_crt_set_key_purpose_oid (certificate, OID_CLIENT, 0);
  if (code < 0)
    return pki_fail (error, code, "cannot write the subject");
  for (guint i = 0; i < subject->ip_addresses->len; i++)
    if (!write_ip (certificate, subject->ip_addresses->pdata[i], error))
      return FALSE;
  return TRUE;
}
