/* SPDX-License-Identifier: Apache-2.0 */
#include "address.h"
#include "hostaddress.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

char *
kubernetes_advertised (const char *advertise, const char *listen)
{
  struct in_addr address;

  if (advertise != NULL && *advertise != '\0')
    return g_strdup (advertise);
  if (listen != NULL && inet_pton (AF_INET, listen, &address) == 1 && address.s_addr != INADDR_ANY && (ntohl (address.s_addr) >> 24) != 127)
    return g_strdup (listen);
  return cube_host_address ();
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
