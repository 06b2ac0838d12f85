/* SPDX-License-Identifier: Apache-2.0 */
#include "rules.h"

#include "pki.h"

#include <string.h>

/* A signing request, base64 of its PEM as it stands in spec.request. (transfer full) */
static char *
make_request (const char *common_name, const char *const *organizations, const char *dns_name)
{
  g_auto (gnutls_x509_crq_t) csr = NULL;
  g_auto (gnutls_x509_privkey_t) key = pki_key_new (NULL);
  gnutls_datum_t out = { NULL, 0 };
  g_autofree char *pem = NULL;

  g_assert_cmpint (gnutls_x509_crq_init (&csr), >=, 0);
  gnutls_x509_crq_set_version (csr, 1);
  if (common_name != NULL)
    gnutls_x509_crq_set_dn_by_oid (csr, GNUTLS_OID_X520_COMMON_NAME, 0, common_name, (guint) strlen (common_name));
  for (; organizations != NULL && *organizations != NULL; organizations++)
    gnutls_x509_crq_set_dn_by_oid (csr, GNUTLS_OID_X520_ORGANIZATION_NAME, 0, *organizations, (guint) strlen (*organizations));
  if (dns_name != NULL)
    gnutls_x509_crq_set_subject_alt_name (csr, GNUTLS_SAN_DNSNAME, dns_name, (guint) strlen (dns_name), GNUTLS_FSAN_SET);
  gnutls_x509_crq_set_key (csr, key);
  g_assert_cmpint (gnutls_x509_crq_sign2 (csr, key, GNUTLS_DIG_SHA256, 0), >=, 0);
  g_assert_cmpint (gnutls_x509_crq_export2 (csr, GNUTLS_X509_FMT_PEM, &out), >=, 0);
  pem = pki_datum_to_string (&out);
  return g_base64_encode ((const guchar *) pem, strlen (pem));
}

static CubeValue *
make_spec (const char *request, const char *usages)
{
  g_autofree char *json = g_strdup_printf ("{\"request\":\"%s\",\"usages\":[%s]}", request, usages);
  CubeValue *spec = cube_value_from_json (json, -1, NULL, NULL);

  g_assert_nonnull (spec);
  return spec;
}

static const char *const nodes[] = { "system:nodes", NULL };
static const char *const masters[] = { "system:masters", NULL };
static const char *const two[] = { "system:nodes", "system:masters", NULL };
#define USAGES "\"digital signature\",\"key encipherment\",\"client auth\""

static void
test_kubelet (void)
{
  static const struct {
    const char *common_name;
    const char *const *organizations;
    const char *dns_name, *usages, *word; /* NULL = fine */
  } cases[] = {
    { "system:node:a", nodes, NULL, USAGES, NULL },
    { "system:node:a.example", nodes, NULL, "\"client auth\"", NULL },
    { "system:node:", nodes, NULL, USAGES, "common name" },
    { "system:node:A b", nodes, NULL, USAGES, "common name" },
    { "admin", nodes, NULL, USAGES, "common name" },
    { NULL, nodes, NULL, USAGES, "common name" },
    { "system:node:a", NULL, NULL, USAGES, "organization" },
    { "system:node:a", masters, NULL, USAGES, "organization" },
    { "system:node:a", two, NULL, USAGES, "organization" },
    { "system:node:a", nodes, "kubernetes", USAGES, "alternative names" },
    { "system:node:a", nodes, NULL, USAGES ",\"server auth\"", "server auth" },
    { "system:node:a", nodes, NULL, "\"digital signature\"", "client auth" },
    { "system:node:a", nodes, NULL, "", "client auth" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *request = make_request (cases[i].common_name, cases[i].organizations, cases[i].dns_name), *why = NULL;
      g_autoptr (CubeValue) spec = make_spec (request, cases[i].usages);
      g_auto (RequestedSubject) subject = { 0 };
      g_autoptr (GError) error = NULL;

      g_assert_true (rules_read (cube_value_root (spec), &subject, &error));
      g_assert_no_error (error);
      why = rules_check_kubelet (cube_value_root (spec), &subject);
      if (cases[i].word == NULL)
        g_assert_null (why);
      else
        g_assert_nonnull (strstr (why, cases[i].word));
    }
}

static void
test_client (void)
{
  g_autofree char *good = make_request ("jane", NULL, NULL), *bad = make_request ("jane", two, NULL);
  g_autoptr (CubeValue) fine = make_spec (good, USAGES), refused = make_spec (bad, USAGES);
  g_auto (RequestedSubject) a = { 0 }, b = { 0 };
  g_autofree char *why = NULL;

  g_assert_true (rules_read (cube_value_root (fine), &a, NULL));
  g_assert_null (rules_check_client (cube_value_root (fine), &a));
  g_assert_true (rules_read (cube_value_root (refused), &b, NULL));
  why = rules_check_client (cube_value_root (refused), &b);
  g_assert_nonnull (strstr (why, "system:masters"));
}

static void
test_unreadable (void)
{
  static const char *const bad[] = { "", "AAAA", "////", "bm90IGEgcmVxdWVzdA==" };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (CubeValue) spec = make_spec (bad[i], USAGES);
      g_auto (RequestedSubject) subject = { 0 };
      g_autoptr (GError) error = NULL;

      g_assert_false (rules_read (cube_value_root (spec), &subject, &error));
      g_assert_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
    }
}

/* A request whose key did not sign it is nobody's. */
static void
test_forged (void)
{
  g_autofree char *encoded = make_request ("system:node:a", nodes, NULL), *pem = NULL, *forged = NULL;
  g_autoptr (CubeValue) spec = NULL;
  g_auto (RequestedSubject) subject = { 0 };
  g_autoptr (GError) error = NULL;
  gsize length;
  char *at;

  pem = (char *) g_base64_decode (encoded, &length);
  at = g_strrstr_len (pem, (gssize) length, "-----END") - 12;
  *at = *at == 'A' ? 'B' : 'A';
  forged = g_base64_encode ((const guchar *) pem, length);
  spec = make_spec (forged, USAGES);
  g_assert_false (rules_read (cube_value_root (spec), &subject, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
}

static void
test_seconds (void)
{
  g_autoptr (CubeValue) none = cube_value_from_json ("{}", -1, NULL, NULL),
                        little = cube_value_from_json ("{\"expirationSeconds\":1}", -1, NULL, NULL),
                        much = cube_value_from_json ("{\"expirationSeconds\":2000000000}", -1, NULL, NULL);

  g_assert_cmpint (rules_seconds (cube_value_root (none), 1000), ==, 1000);
  g_assert_cmpint (rules_seconds (cube_value_root (little), 1000), ==, 600);
  g_assert_cmpint (rules_seconds (cube_value_root (little), 100), ==, 100);
  g_assert_cmpint (rules_seconds (cube_value_root (much), 1000), ==, 1000);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/security/csr/kubelet", test_kubelet);
  g_test_add_func ("/security/csr/client", test_client);
  g_test_add_func ("/security/csr/unreadable", test_unreadable);
  g_test_add_func ("/security/csr/forged", test_forged);
  g_test_add_func ("/security/csr/seconds", test_seconds);
  return g_test_run ();
}
