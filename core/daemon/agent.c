/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent has instead of a store: a client of a server elsewhere. */
#include "daemon.h"
#include <arpa/inet.h>
#include <client/remote-config.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DISCARD_PORT "9"

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

gboolean
cube_agent_connect (CubeContext *context, const CubeOptions *options, CubeClient **ret_client, char **ret_kubeconfig, char **ret_server,
                    GError **error)
{
  if (options->kubeconfig == NULL)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "an agent needs a server: --kubeconfig FILE names it");
      return FALSE;
    }
  g_autoptr (CubeKubeconfig) config = cube_kubeconfig_read (options->kubeconfig, error);
  if (config == NULL)
    return FALSE;
  set_advertised (context, config->server);
  CubeClient *client = cube_client_new_remote (context, options->kubeconfig, error);
  if (client == NULL)
    return FALSE;
  *ret_client = client;
  *ret_kubeconfig = g_strdup (options->kubeconfig);
  *ret_server = g_strdup (config->server);
  return TRUE;
}

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
