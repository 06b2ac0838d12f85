/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <cube/context.h>

/* Where pods reach this API: the advertised address; else the address it listens on when that is one; else the host's first global one;
 * NULL when it has none. (transfer full) */
char *kubernetes_advertised (const char *advertise, const char *listen);
/* The range's first address: 10.96.0.1 of 10.96.0.0/16. NULL when @cidr is none. (transfer full) */
char *kubernetes_first_ip (const char *cidr);
