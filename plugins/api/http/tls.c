/* SPDX-License-Identifier: Apache-2.0 */
/* The server's certificate, from the cluster's certificate authority. */
#include "http.h"
#include <string.h>
#include <unistd.h>

static void
add (GPtrArray *list, char *text /* (transfer full) (nullable) */)
{
  if (text != NULL && *text != '\0' && !g_ptr_array_find_with_equal_func (list, text, g_str_equal, NULL))
    g_ptr_array_add (list, text);
  else
    g_free (text);
}

static void
add_address (GPtrArray *list, char *text)
{
  g_autoptr (GInetAddress) address = text != NULL ? g_inet_address_new_from_string (text) : NULL;
  if (address != NULL && !g_inet_address_get_is_any (address))
    add (list, g_steal_pointer (&text));
  g_free (text);
}

/* The first address of the service range: the Service `kubernetes`. */
static char *
first_service_address (HttpServer *server)
{
  g_autofree char *range = cube_context_fact (server->context, "service-cidr");
  if (range == NULL)
    return NULL;
  *strchrnul (range, '/') = '\0';
  g_autoptr (GInetAddress) base = g_inet_address_new_from_string (range);
  if (base == NULL)
    return NULL;
  gsize size = g_inet_address_get_native_size (base);
  g_autofree guint8 *bytes = g_memdup2 (g_inet_address_to_bytes (base), size);
  bytes[size - 1] |= 1;
  g_autoptr (GInetAddress) first = g_inet_address_new_from_bytes (bytes, g_inet_address_get_family (base));
  return g_inet_address_to_string (first);
}

static void
collect_names (HttpServer *server, GPtrArray *dns, GPtrArray *ips)
{
  g_autofree char *domain = cube_context_fact (server->context, "cluster-domain");
  char host[256] = "";
  add (dns, g_strdup ("kubernetes"));
  add (dns, g_strdup ("kubernetes.default"));
  add (dns, g_strdup ("kubernetes.default.svc"));
  add (dns, g_strdup_printf ("kubernetes.default.svc.%s", domain != NULL ? domain : "cluster.local"));
  add (dns, g_strdup ("localhost"));
  if (gethostname (host, sizeof host - 1) == 0)
    add (dns, g_strdup (host));
  add_address (ips, g_strdup ("127.0.0.1"));
  add_address (ips, g_strdup ("::1"));
  add_address (ips, cube_context_fact (server->context, "listen-address"));
  add_address (ips, cube_context_fact (server->context, "advertise-address"));
  add_address (ips, first_service_address (server));
  g_ptr_array_add (dns, NULL);
  g_ptr_array_add (ips, NULL);
}

static const CubeImpl *
find_authority (HttpServer *server, GError **error)
{
  g_autoptr (GPtrArray) impls = cube_registry_list (server->registry, CUBE_CERTIFICATE_AUTHORITY);
  if (impls->len > 0)
    return cube_impl_ref (impls->pdata[0]);
  g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE,
                       "no plugin offers " CUBE_CERTIFICATE_AUTHORITY ": the server has no certificate to show");
  return NULL;
}

gboolean
http_make_credentials (HttpServer *server, HttpCredentials **ret_credentials, GTlsCertificate **ret_ca, GError **error)
{
  const CubeImpl *authority = find_authority (server, error);
  if (authority == NULL)
    return FALSE;
  const CubeCertificateAuthorityOps *ops = authority->ops;
  g_autoptr (GPtrArray) dns = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) ips = g_ptr_array_new_with_free_func (g_free);
  collect_names (server, dns, ips);
  CubeCertificateRequest request = { .common_name = "kube-apiserver",
                                     .dns_names = (const char *const *) dns->pdata,
                                     .ip_addresses = (const char *const *) ips->pdata,
                                     .is_server = TRUE };
  g_autofree char *certificate_pem = NULL, *key_pem = NULL, *ca_pem = NULL;
  gboolean is_made =
      ops->get_ca (authority->state, &ca_pem, error) && ops->issue (authority->state, &request, &certificate_pem, &key_pem, error);
  cube_impl_unref (authority);
  if (!is_made)
    {
      g_prefix_error (error, "server certificate: ");
      return FALSE;
    }
  /* the authority goes along: who knows nothing but its hash (an agent that joins) can check the rest */
  g_autofree char *chain = g_strconcat (certificate_pem, "\n", ca_pem, "\n", NULL);
  g_autoptr (GTlsCertificate) ca = g_tls_certificate_new_from_pem (ca_pem, -1, error);
  HttpCredentials *credentials = ca != NULL ? http_credentials_new (chain, key_pem, error) : NULL;
  memset (key_pem, 0, strlen (key_pem));
  if (credentials == NULL)
    return FALSE;
  *ret_credentials = credentials;
  *ret_ca = g_steal_pointer (&ca);
  return TRUE;
}
