/* SPDX-License-Identifier: Apache-2.0 */
#include "hostaddress.h"
#include <arpa/inet.h>
#include <cube/scalar.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#define OWN_LINKS "cube"

static gboolean
is_global (const struct ifaddrs *item)
{
  const struct sockaddr_in *address = (const void *) item->ifa_addr;
  if (address == NULL || address->sin_family != AF_INET || (item->ifa_flags & (IFF_UP | IFF_LOOPBACK)) != IFF_UP
      || g_str_has_prefix (item->ifa_name, OWN_LINKS))
    return FALSE;
  guint32 ip = ntohl (address->sin_addr.s_addr);
  return (ip >> 24) != 127 && (ip >> 16) != 0xa9fe;
}

char *
cube_host_address (void)
{
  struct ifaddrs *list = NULL;
  char text[INET_ADDRSTRLEN];
  char *found = NULL;
  if (getifaddrs (&list) != 0)
    return NULL;
  for (struct ifaddrs *item = list; item != NULL && found == NULL; item = item->ifa_next)
    if (is_global (item) && inet_ntop (AF_INET, &((struct sockaddr_in *) (void *) item->ifa_addr)->sin_addr, text, sizeof text) != NULL)
      found = g_strdup (text);
  freeifaddrs (list);
  return found;
}

char *
cube_host_link_name (CubeContext *context, const char *prefix)
{
  const char *dir = cube_context_data_dir (context);
  return g_strdup_printf ("%s%08x", prefix, cube_hash_fnv32a (dir != NULL ? dir : "", dir != NULL ? strlen (dir) : 0, 0));
}
