/* SPDX-License-Identifier: Apache-2.0 */
#include "address.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>

static gboolean
is_global (const struct ifaddrs *item)
{
  const struct sockaddr_in *address = (const void *) item->ifa_addr;
  guint32 ip;

  if (address == NULL || address->sin_family != AF_INET || (item->ifa_flags & (IFF_UP | IFF_LOOPBACK)) != IFF_UP)
    return FALSE;
  ip = ntohl (address->sin_addr.s_addr);
  return (ip >> 24) != 127 && (ip >> 16) != 0xa9fe;
}

static char *
first_global (void)
{
  struct ifaddrs *list = NULL;
  char text[INET_ADDRSTRLEN] = "127.0.0.1";

  if (getifaddrs (&list) != 0)
    return g_strdup (text);
  for (struct ifaddrs *item = list; item != NULL; item = item->ifa_next)
    if (is_global (item))
      {
        inet_ntop (AF_INET, &((struct sockaddr_in *) (void *) item->ifa_addr)->sin_addr, text, sizeof text);
        break;
      }
  freeifaddrs (list);
  return g_strdup (text);
}

char *
kubernetes_advertised (const char *advertise, const char *listen)
{
  struct in_addr address;

  if (advertise != NULL && *advertise != '\0')
    return g_strdup (advertise);
  if (listen != NULL && inet_pton (AF_INET, listen, &address) == 1 && address.s_addr != INADDR_ANY && (ntohl (address.s_addr) >> 24) != 127)
    return g_strdup (listen);
  return first_global ();
}

char *
kubernetes_first_ip (const char *cidr)
{
  g_autofree char *base = cidr != NULL ? g_strndup (cidr, strcspn (cidr, "/")) : NULL;
  char text[INET_ADDRSTRLEN];
  struct in_addr address;

  if (base == NULL || inet_pton (AF_INET, base, &address) != 1)
    return NULL;
  address.s_addr = htonl (ntohl (address.s_addr) + 1);
  return g_strdup (inet_ntop (AF_INET, &address, text, sizeof text));
}
