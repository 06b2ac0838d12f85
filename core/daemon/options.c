/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"
#include "log.h"
#include <gio/gio.h>
#include <plugin/config-schema.h>
#include <string.h>
#include <unistd.h>

static const char storage_keys[] = "plugin string\nlocation string\nvolatile string-list\nhistory int";

void
cube_options_init (CubeOptions *options)
{
  *options = (CubeOptions){ .sim_nodes = -1 };
}

void
cube_options_clear (CubeOptions *options)
{
  g_free (options->data_dir);
  g_free (options->listen);
  g_free (options->roles);
  g_free (options->runtime);
  g_free (options->node_name);
  g_free (options->config_path);
  g_free (options->log_level);
  g_free (options->log_format);
  g_free (options->kubeconfig);
  g_free (options->server);
  g_free (options->ca_hash);
  if (options->token != NULL)
    explicit_bzero (options->token, strlen (options->token));
  g_free (options->token);
  g_strfreev (options->plugin_dirs);
  cube_value_unref (options->config);
  cube_options_init (options);
}

gboolean
cube_options_split_listen (const char *listen, char **ret_address, guint16 *ret_port, GError **error)
{
  const char *colon = strrchr (listen, ':');
  guint64 port = 0;
  if (colon == NULL || !g_ascii_string_to_unsigned (colon + 1, 10, 0, 65535, &port, NULL))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "listen address \"%s\": expected ADDR:PORT, port 0 to 65535 (0 picks a free one)",
                   listen);
      return FALSE;
    }
  g_autofree char *address = g_strndup (listen, (gsize) (colon - listen));
  gsize length = strlen (address);
  if (length >= 2 && address[0] == '[' && address[length - 1] == ']')
    {
      memmove (address, address + 1, length - 2);
      address[length - 2] = '\0';
    }
  if (*address == '\0')
    {
      g_free (address);
      address = g_strdup ("0.0.0.0");
    }
  if (!g_hostname_is_ip_address (address))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "listen address \"%s\": \"%s\" is no IP address", listen, address);
      return FALSE;
    }
  *ret_address = g_steal_pointer (&address);
  *ret_port = (guint16) port;
  return TRUE;
}

static gboolean
read_config (CubeOptions *options, GError **error)
{
  g_autofree char *text = NULL;
  gsize length;
  if (!g_file_get_contents (options->config_path, &text, &length, error))
    {
      g_prefix_error (error, "configuration: ");
      return FALSE;
    }
  g_autoptr (GPtrArray) documents = cube_values_from_yaml (text, (gssize) length, NULL, error);
  if (documents == NULL)
    {
      g_prefix_error (error, "configuration %s: ", options->config_path);
      return FALSE;
    }
  if (documents->len > 1)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "configuration %s: found %u YAML documents, expected one", options->config_path,
                   documents->len);
      return FALSE;
    }
  if (documents->len == 0)
    return TRUE;
  g_autofree char *where = g_strdup_printf ("configuration %s", options->config_path);
  g_autofree char *storage_where = g_strdup_printf ("%s: storage", where);
  CubeView root = cube_value_root (documents->pdata[0]);
  if (!cube_config_validate (cube_config_keys, root, where, error)
      || !cube_config_validate (storage_keys, cube_view_member (root, "storage"), storage_where, error)
      || !cube_options_check_values (root, where, error))
    return FALSE;
  options->config = cube_value_ref (documents->pdata[0]);
  return TRUE;
}

static void
fill (char **option, CubeView config, const char *key, const char *fallback)
{
  if (*option == NULL)
    *option = g_strdup (cube_view_string_or (cube_view_member (config, key), fallback));
}

static char *
join_strings (CubeView list)
{
  GString *out = g_string_new (NULL);
  CubeIter it;
  CubeView element;
  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &element);)
    g_string_append_printf (out, "%s%s", out->len > 0 ? "," : "", cube_view_string (element));
  return g_string_free (out, FALSE);
}

static gboolean
check_log_words (CubeOptions *options, GError **error)
{
  CubeLogLevel level;
  CubeLogFormat format;
  if (!cube_log_level_from_name (options->log_level, &level))
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "log level \"%s\" is unknown (known: error, warning, info, debug)",
                 options->log_level);
  else if (!cube_log_format_from_name (options->log_format, &format))
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "log format \"%s\" is unknown (known: text, json)", options->log_format);
  else
    return TRUE;
  return FALSE;
}

static gboolean
check_words (CubeOptions *options, GError **error)
{
  static const char *const known[] = { "api", "controllers", "scheduler", "node", NULL };
  g_auto (GStrv) roles = g_strsplit (options->roles, ",", -1);
  for (guint i = 0; roles[i] != NULL; i++)
    if (!g_strv_contains (known, roles[i]))
      {
        g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "role \"%s\" is unknown (known: api, controllers, scheduler, node)", roles[i]);
        return FALSE;
      }
  if (!g_str_equal (options->runtime, "cri") && !g_str_equal (options->runtime, "sim"))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "runtime \"%s\" is unknown (known: cri, sim)", options->runtime);
      return FALSE;
    }
  if (options->sim_nodes > 1000000)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "%d simulated nodes: at most 1000000 are possible", options->sim_nodes);
      return FALSE;
    }
  return TRUE;
}

static char *
default_node_name (void)
{
  char host[256] = "";
  if (gethostname (host, sizeof host - 1) != 0 || *host == '\0')
    return g_strdup ("node");
  char *name = g_ascii_strdown (host, -1);
  return g_strcanon (name, "abcdefghijklmnopqrstuvwxyz0123456789-.", '-');
}

static void
fill_sim_nodes (CubeOptions *options, CubeView config)
{
  if (options->sim_nodes >= 0)
    return;
  options->sim_nodes = (gint) CLAMP (cube_view_int (cube_view_member (config, "simNodes"), -1), -1, G_MAXINT);
  if (options->sim_nodes < 0)
    options->sim_nodes = g_str_equal (options->runtime, "sim") ? 1 : 0;
}

/* A file that is gone after the join is fine: the certificate is there. */
static gboolean
read_token (CubeOptions *options, CubeView config, GError **error)
{
  const char *path = cube_view_string (cube_view_member (config, "tokenFile"));
  g_autoptr (GError) problem = NULL;
  if (path == NULL || options->token != NULL)
    return TRUE;
  if (g_file_get_contents (path, &options->token, NULL, &problem))
    g_strstrip (options->token);
  else if (!g_error_matches (problem, G_FILE_ERROR, G_FILE_ERROR_NOENT))
    {
      g_propagate_prefixed_error (error, g_steal_pointer (&problem), "tokenFile: ");
      return FALSE;
    }
  return TRUE;
}

gboolean
cube_options_complete (CubeOptions *options, GError **error)
{
  if (options->config_path != NULL && !read_config (options, error))
    return FALSE;
  CubeView config = options->config != NULL ? cube_value_root (options->config) : cube_view_none ();
  g_autofree char *user_dir = g_build_filename (g_get_user_data_dir (), "cube", NULL);
  g_autofree char *node_name = default_node_name ();
  fill (&options->data_dir, config, "dataDir", geteuid () == 0 ? "/var/lib/cube" : user_dir);
  fill (&options->runtime, config, "runtime", "cri");
  fill (&options->log_level, config, "logLevel", "info");
  fill (&options->log_format, config, "logFormat", "text");
  fill (&options->node_name, config, "nodeName", node_name);
  fill (&options->listen, config, "listen", g_str_equal (options->runtime, "sim") ? "127.0.0.1:6443" : "0.0.0.0:6443");
  fill (&options->kubeconfig, config, "kubeconfig", NULL);
  fill (&options->server, config, "server", NULL);
  fill (&options->ca_hash, config, "caHash", NULL);
  if (!read_token (options, config, error))
    return FALSE;
  while (options->server != NULL && g_str_has_suffix (options->server, "/"))
    options->server[strlen (options->server) - 1] = '\0';
  if (options->kubeconfig != NULL)
    {
      char *absolute = g_canonicalize_filename (options->kubeconfig, NULL);
      g_free (options->kubeconfig);
      options->kubeconfig = absolute;
    }
  if (options->roles == NULL && cube_view_exists (cube_view_member (config, "roles")))
    options->roles = join_strings (cube_view_member (config, "roles"));
  if (options->roles == NULL)
    options->roles = g_strdup ("api,controllers,scheduler,node");
  fill_sim_nodes (options, config);
  /* Always: links and tables are named after it, "/x/" and "/x" are one cluster. */
  char *canonical = g_canonicalize_filename (options->data_dir, NULL);
  g_free (options->data_dir);
  options->data_dir = canonical;
  g_autofree char *address = NULL;
  guint16 port;
  return check_words (options, error) && check_log_words (options, error)
         && cube_options_split_listen (options->listen, &address, &port, error);
}
