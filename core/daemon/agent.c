/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent has instead of a store: a client of a server elsewhere, and a certificate that it renews. */
#include "daemon.h"
#include "join.h"
#include "pem.h"
#include <arpa/inet.h>
#include <client/client-private.h>
#include <client/remote-config.h>
#include <glib/gstdio.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DISCARD_PORT "9"
#define RETRY_US (60 * G_USEC_PER_SEC)
#define SOONEST_US (10 * G_USEC_PER_SEC)
#define USER_PREFIX "system:node:"

/* ---- addresses ---- */

char *
cube_local_address (const char *remote)
{
  struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM }, *target = NULL;
  struct sockaddr_storage local;
  socklen_t length = sizeof local;
  char text[NI_MAXHOST];
  char *result = NULL;
  if (getaddrinfo (remote, DISCARD_PORT, &hints, &target) != 0)
    return NULL;
  int fd = socket (target->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect (fd, target->ai_addr, target->ai_addrlen) == 0 && getsockname (fd, (struct sockaddr *) &local, &length) == 0
      && getnameinfo ((struct sockaddr *) &local, length, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0)
    result = g_strdup (text);
  freeaddrinfo (target);
  if (fd >= 0)
    close (fd);
  return result;
}

/* Of several addresses the others reach this node at the one its server does. */
static void
set_advertised (CubeContext *context, const char *server)
{
  g_autofree char *configured = cube_context_fact (context, "advertise-address"), *address = NULL;
  g_autoptr (GUri) uri = g_uri_parse (server, G_URI_FLAGS_NONE, NULL);
  if (configured != NULL || uri == NULL)
    return;
  g_autoptr (GInetAddress) remote = g_inet_address_new_from_string (g_uri_get_host (uri));
  if (remote != NULL && !g_inet_address_get_is_loopback (remote))
    address = cube_local_address (g_uri_get_host (uri));
  if (address != NULL)
    cube_context_set_fact (context, "advertise-address", address);
}

/* ---- what all machines of a cluster agree on ---- */

static const char *const shared_facts[] = { "service-cidr", "cluster-dns", "cluster-domain", "node-port-range" };

/* The server's, as last known: kube-public/cluster-info, kept in <data-dir>/cluster.json for starts without the server. */
static void
take_cluster_facts (CubeContext *context, CubeClient *client, gboolean is_teardown)
{
  g_autofree char *path = g_build_filename (cube_context_data_dir (context), "cluster.json", NULL), *text = NULL;
  g_autoptr (CubeValue) value = g_file_get_contents (path, &text, NULL, NULL) ? cube_value_from_json (text, -1, NULL, NULL) : NULL;
  g_autoptr (GError) error = NULL;
  if (value == NULL && !is_teardown)
    {
      const CubeResource *maps = cube_schema_resource (cube_context_schema (context), "v1", "configmaps");
      g_autoptr (CubeObject) object = cube_client_get (client, maps, "kube-public", "cluster-info", &error);
      g_autoptr (CubeValue) whole = object != NULL ? cube_object_value (object) : NULL;
      if (whole != NULL)
        {
          value = cube_value_new_copy (cube_value_get (whole, "data"));
          g_autofree char *json = cube_view_to_json (cube_value_root (value), NULL);
          if (!g_file_set_contents_full (path, json, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &error))
            g_warning ("%s", error->message);
        }
      else
        g_warning ("the cluster's ranges are not known, the defaults are taken: %s", error->message);
    }
  for (guint i = 0; value != NULL && i < G_N_ELEMENTS (shared_facts); i++)
    {
      const char *fact = cube_view_string (cube_value_get (value, shared_facts[i]));
      if (fact != NULL && *fact != '\0')
        cube_context_set_fact (context, shared_facts[i], fact);
    }
}

/* ---- the certificate of an earlier start ---- */

/* TRUE: @path will do. FALSE without an error: join anew. */
static gboolean
check_stored (CubeContext *context, const CubeOptions *options, const char *path, GError **error)
{
  g_autoptr (CubeKubeconfig) config = NULL;
  gint64 from, until;
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    return FALSE;
  config = cube_kubeconfig_read (path, error);
  if (config == NULL)
    return FALSE;
  const char *name = g_str_has_prefix (config->user, USER_PREFIX) ? config->user + strlen (USER_PREFIX) : config->user;
  if (g_strcmp0 (name, options->node_name) != 0)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID,
                   "%s is of node \"%s\", this start is for node \"%s\": keep the name, or end the old one with `cube uninstall`", path,
                   name, options->node_name);
      return FALSE;
    }
  if (options->server != NULL && options->token != NULL && !g_str_equal (options->server, config->server))
    return FALSE; /* it moves to another server */
  if (config->identity != NULL && cube_pem_validity (config->identity, &from, &until)
      && until > cube_context_now_us (context) / G_USEC_PER_SEC)
    return TRUE;
  if (options->token == NULL && !options->is_teardown)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_UNAUTHORIZED,
                 "%s: the certificate of this node has expired: join again, `cube token create` on the server prints how", path);
  return options->is_teardown;
}

gboolean
cube_agent_connect (CubeContext *context, const CubeOptions *options, CubeClient **ret_client, char **ret_kubeconfig, char **ret_server,
                    GError **error)
{
  g_autofree char *own = g_build_filename (options->data_dir, "agent.kubeconfig", NULL);
  const char *path = options->kubeconfig != NULL ? options->kubeconfig : own;
  g_autoptr (GError) problem = NULL;
  if (options->kubeconfig == NULL && !check_stored (context, options, own, &problem))
    {
      if (problem != NULL)
        {
          g_propagate_error (error, g_steal_pointer (&problem));
          return FALSE;
        }
      if (options->is_teardown)
        return TRUE; /* it never came to a server: nothing of it runs */
      if (!cube_join (context, options, own, error))
        return FALSE;
    }
  g_autoptr (CubeKubeconfig) config = cube_kubeconfig_read (path, error);
  if (config == NULL)
    return FALSE;
  set_advertised (context, config->server);
  CubeClient *client = cube_client_new_remote (context, path, error);
  if (client == NULL)
    return FALSE;
  take_cluster_facts (context, client, options->is_teardown);
  *ret_client = client;
  *ret_kubeconfig = g_strdup (path);
  *ret_server = g_strdup (config->server);
  return TRUE;
}

/* ---- its renewal ---- */

struct _CubeRenewal {
  CubeContext *context;
  CubeClient *client;
  char *path, *name;
  CubeTimer *timer;
  GError *problem;
  gboolean is_working, is_freed;
};

static void plan (CubeRenewal *renewal);

static void
renewal_free (CubeRenewal *renewal)
{
  g_clear_error (&renewal->problem);
  g_free (renewal->path);
  g_free (renewal->name);
  cube_client_unref (renewal->client);
  g_free (renewal);
}

/* Server and authority stay what the file says. Blocking. */
static void
renew_work (gpointer data)
{
  CubeRenewal *renewal = data;
  g_autoptr (CubeKubeconfig) config = cube_kubeconfig_read (renewal->path, &renewal->problem);
  if (config == NULL)
    return;
  g_autoptr (GString) authorities = g_string_new (NULL);
  for (guint i = 0; i < config->authorities->len; i++)
    {
      g_autofree char *pem = NULL;
      g_object_get (config->authorities->pdata[i], "certificate-pem", &pem, NULL);
      g_string_append (authorities, pem);
    }
  if (cube_join_renew (renewal->context, renewal->client, renewal->name, renewal->path, config->server, authorities->str,
                       &renewal->problem))
    cube_client_reload_remote (renewal->client, renewal->path, &renewal->problem);
}

static void
renew_done (gpointer data)
{
  CubeRenewal *renewal = data;
  renewal->is_working = FALSE;
  if (renewal->is_freed)
    {
      renewal_free (renewal);
      return;
    }
  if (renewal->problem != NULL)
    g_warning ("the node's certificate is not renewed yet: %s", renewal->problem->message);
  else
    g_message ("the node's certificate is renewed");
  plan (renewal);
}

static void
renew_due (gpointer data)
{
  CubeRenewal *renewal = data;
  g_clear_pointer (&renewal->timer, cube_timer_cancel);
  g_clear_error (&renewal->problem);
  renewal->is_working = TRUE;
  cube_context_run_blocking (renewal->context, renew_work, cube_context_get_loop (renewal->context, "main"), renew_done, renewal);
}

/* When three quarters of its time are over, give or take, so that many nodes do not come at once. */
static void
plan (CubeRenewal *renewal)
{
  g_autoptr (CubeKubeconfig) config = cube_kubeconfig_read (renewal->path, NULL);
  gint64 from, until, delay_us = RETRY_US;
  if (renewal->problem == NULL && config != NULL && config->identity != NULL && cube_pem_validity (config->identity, &from, &until))
    {
      gint64 spread = MAX ((until - from) / 20, 1);
      gint64 at = until - (until - from) / 4 - (gint64) (cube_context_random (renewal->context) % (guint64) spread);
      delay_us = MAX (at * G_USEC_PER_SEC - cube_context_now_us (renewal->context), SOONEST_US);
    }
  renewal->timer = cube_loop_after (cube_context_get_loop (renewal->context, "main"), delay_us, renew_due, renewal, NULL);
}

CubeRenewal *
cube_renewal_start (CubeContext *context, CubeClient *client, const CubeOptions *options, const char *path)
{
  CubeRenewal *renewal;
  if (options->kubeconfig != NULL)
    return NULL; /* somebody else's */
  renewal = g_new0 (CubeRenewal, 1);
  renewal->context = context;
  renewal->client = cube_client_ref (client);
  renewal->path = g_strdup (path);
  renewal->name = g_strdup (options->node_name);
  plan (renewal);
  return renewal;
}

void
cube_renewal_stop (CubeRenewal *renewal)
{
  if (renewal == NULL)
    return;
  g_clear_pointer (&renewal->timer, cube_timer_cancel);
  if (renewal->is_working)
    renewal->is_freed = TRUE;
  else
    renewal_free (renewal);
}

/* ---- its nodes ---- */

static void
node_changed (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  /* only what is known counts: readiness is asked for */
}

CubeInformer *
cube_agent_watch_nodes (CubeContext *context, CubeClient *client, const CubeOptions *options)
{
  const CubeResource *nodes = cube_schema_resource (cube_context_schema (context), "v1", "nodes");
  g_autofree char *text = g_strdup_printf ("metadata.name=%s", options->node_name);
  /* Simulated nodes have names of their own. */
  g_autoptr (CubeSelector) own = g_str_equal (options->runtime, "cri") ? cube_selector_parse_fields (text, NULL) : NULL;
  return cube_informer_new (client, nodes, NULL, NULL, own, cube_context_get_loop (context, "main"), node_changed, NULL);
}
