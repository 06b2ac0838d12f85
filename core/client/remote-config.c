/* SPDX-License-Identifier: Apache-2.0 */
#include "remote-config.h"
#include <cube/error.h>
#include <cube/value.h>
#include <string.h>

#define MAX_FILE (1 << 20)

CubeKubeconfig *
cube_kubeconfig_ref (CubeKubeconfig *config)
{
  g_atomic_int_inc (&config->ref_count);
  return config;
}

void
cube_kubeconfig_unref (CubeKubeconfig *config)
{
  if (config == NULL || !g_atomic_int_dec_and_test (&config->ref_count))
    return;
  g_free (config->server);
  g_free (config->tls_server_name);
  g_clear_pointer (&config->authorities, g_ptr_array_unref);
  g_clear_object (&config->identity);
  if (config->token != NULL)
    explicit_bzero (config->token, strlen (config->token));
  g_free (config->token);
  g_free (config->token_file);
  g_free (config->ns);
  g_free (config->user);
  g_free (config);
}

static gboolean
refuse (GError **error, const char *path, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "kubeconfig %s: %s", path, text);
  return FALSE;
}

/* The @inner object of the entry called @name in the list @list. */
static CubeView
find_entry (CubeView root, const char *list, const char *name, const char *inner)
{
  CubeView entry;
  const char *key;
  CubeIter it;

  for (cube_iter_init (&it, cube_view_member (root, list)); cube_iter_next (&it, &key, &entry);)
    if (g_strcmp0 (cube_view_string (cube_view_member (entry, "name")), name) == 0)
      return cube_view_member (entry, inner);
  return cube_view_none ();
}

/* The PEM text of @key: embedded as <key>-data, or in the file it names (relative to the kubeconfig). *ret_pem NULL when there is neither. */
static gboolean
read_pem (const char *path, CubeView entry, const char *key, char **ret_pem, GError **error)
{
  g_autofree char *data_key = g_strdup_printf ("%s-data", key), *directory = g_path_get_dirname (path), *file = NULL;
  const char *data = cube_view_string (cube_view_member (entry, data_key)), *name = cube_view_string (cube_view_member (entry, key));
  gsize length = 0;

  *ret_pem = NULL;
  if (data != NULL && *data != '\0')
    {
      g_autofree guchar *bytes = g_base64_decode (data, &length);

      *ret_pem = g_strndup ((const char *) bytes, length);
      explicit_bzero (bytes, length);
      return strstr (*ret_pem, "-----BEGIN ") != NULL || refuse (error, path, "%s is no base64 of PEM", data_key);
    }
  if (name == NULL || *name == '\0')
    return TRUE;
  file = g_path_is_absolute (name) ? g_strdup (name) : g_build_filename (directory, name, NULL);
  return g_file_get_contents (file, ret_pem, NULL, error);
}

static gboolean
add_authorities (CubeKubeconfig *config, const char *path, const char *pem, GError **error)
{
  static const char end[] = "-----END CERTIFICATE-----";

  for (const char *at = strstr (pem, "-----BEGIN CERTIFICATE-----"); at != NULL; at = strstr (at, "-----BEGIN CERTIFICATE-----"))
    {
      const char *stop = strstr (at, end);
      GTlsCertificate *certificate;

      if (stop == NULL)
        return refuse (error, path, "certificate-authority ends within a certificate");
      stop += sizeof end - 1;
      certificate = g_tls_certificate_new_from_pem (at, stop - at, error);
      if (certificate == NULL)
        {
          g_prefix_error (error, "kubeconfig %s: certificate-authority: ", path);
          return FALSE;
        }
      g_ptr_array_add (config->authorities, certificate);
      at = stop;
    }
  return config->authorities->len > 0 || refuse (error, path, "certificate-authority holds no certificate");
}

static gboolean
read_cluster (CubeKubeconfig *config, const char *path, CubeView cluster, GError **error)
{
  const char *server = cube_view_string (cube_view_member (cluster, "server"));
  g_autofree char *pem = NULL;
  g_autoptr (GUri) uri = NULL;

  if (server == NULL)
    return refuse (error, path, "the cluster has no server");
  uri = g_uri_parse (server, G_URI_FLAGS_NONE, NULL);
  if (uri == NULL || g_uri_get_host (uri) == NULL || *g_uri_get_host (uri) == '\0'
      || (!g_str_equal (g_uri_get_scheme (uri), "https") && !g_str_equal (g_uri_get_scheme (uri), "http")))
    return refuse (error, path, "server \"%s\" is no https URL", server);
  config->server = g_strdup (server);
  while (g_str_has_suffix (config->server, "/"))
    config->server[strlen (config->server) - 1] = '\0';
  config->tls_server_name = g_strdup (cube_view_string (cube_view_member (cluster, "tls-server-name")));
  config->is_insecure = cube_view_bool (cube_view_member (cluster, "insecure-skip-tls-verify"), FALSE);
  if (!read_pem (path, cluster, "certificate-authority", &pem, error))
    return FALSE;
  return pem == NULL || add_authorities (config, path, pem, error);
}

static gboolean
read_user (CubeKubeconfig *config, const char *path, CubeView user, GError **error)
{
  g_autofree char *certificate = NULL, *key = NULL, *both = NULL;

  if (cube_view_exists (cube_view_member (user, "exec")) || cube_view_exists (cube_view_member (user, "auth-provider")))
    return refuse (error, path, "the user logs in by a program (exec, auth-provider): only certificates and tokens are supported");
  config->token = g_strdup (cube_view_string (cube_view_member (user, "token")));
  config->token_file = g_strdup (cube_view_string (cube_view_member (user, "tokenFile")));
  if (!read_pem (path, user, "client-certificate", &certificate, error) || !read_pem (path, user, "client-key", &key, error))
    return FALSE;
  if ((certificate == NULL) != (key == NULL))
    return refuse (error, path, "the user has a client %s without its %s", certificate != NULL ? "certificate" : "key",
                   certificate != NULL ? "key" : "certificate");
  if (certificate == NULL)
    return TRUE;
  both = g_strconcat (certificate, "\n", key, NULL);
  config->identity = g_tls_certificate_new_from_pem (both, -1, error);
  explicit_bzero (both, strlen (both));
  explicit_bzero (key, strlen (key));
  if (config->identity == NULL)
    g_prefix_error (error, "kubeconfig %s: client certificate and key: ", path);
  return config->identity != NULL;
}

static gboolean
read_context (CubeKubeconfig *config, const char *path, CubeView root, GError **error)
{
  const char *current = cube_view_string (cube_view_member (root, "current-context")), *cluster_name, *user_name;
  CubeView context, cluster, user;

  if (current == NULL || *current == '\0')
    return refuse (error, path, "current-context is not set");
  context = find_entry (root, "contexts", current, "context");
  if (!cube_view_exists (context))
    return refuse (error, path, "there is no context \"%s\"", current);
  cluster_name = cube_view_string_or (cube_view_member (context, "cluster"), "");
  user_name = cube_view_string_or (cube_view_member (context, "user"), "");
  cluster = find_entry (root, "clusters", cluster_name, "cluster");
  user = find_entry (root, "users", user_name, "user");
  if (!cube_view_exists (cluster))
    return refuse (error, path, "context \"%s\": there is no cluster \"%s\"", current, cluster_name);
  if (*user_name != '\0' && !cube_view_exists (user))
    return refuse (error, path, "context \"%s\": there is no user \"%s\"", current, user_name);
  config->ns = g_strdup (cube_view_string (cube_view_member (context, "namespace")));
  config->user = g_strdup (user_name);
  return read_cluster (config, path, cluster, error) && read_user (config, path, user, error);
}

CubeKubeconfig *
cube_kubeconfig_read (const char *path, GError **error)
{
  g_autoptr (CubeKubeconfig) config = g_new0 (CubeKubeconfig, 1);
  g_autoptr (GPtrArray) documents = NULL;
  g_autofree char *text = NULL;
  gsize length = 0;

  config->ref_count = 1;
  config->authorities = g_ptr_array_new_with_free_func (g_object_unref);
  if (!g_file_get_contents (path, &text, &length, error))
    return NULL;
  if (length > MAX_FILE)
    {
      refuse (error, path, "%zu bytes long, at most %d are read", length, MAX_FILE);
      return NULL;
    }
  documents = cube_values_from_yaml (text, (gssize) length, NULL, error);
  explicit_bzero (text, length);
  if (documents == NULL)
    {
      g_prefix_error (error, "kubeconfig %s: ", path);
      return NULL;
    }
  if (documents->len != 1)
    {
      refuse (error, path, "%u documents, wanted one", documents->len);
      return NULL;
    }
  return read_context (config, path, cube_value_root (documents->pdata[0]), error) ? g_steal_pointer (&config) : NULL;
}
