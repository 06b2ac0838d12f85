/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <cube/context.h>

/* The first IPv4 address by which others can reach this host: on a link that is up, no loopback, no link-local one, and on no link of Cube's own.
 * NULL when there is none. (transfer full) */
G_GNUC_INTERNAL char *cube_host_address (void);
/* The name of a link of Cube's own: @prefix ("cube…") and eight digits of the data directory's hash, so that several clusters live side by side.
 * (transfer full) */
G_GNUC_INTERNAL char *cube_host_link_name (CubeContext *context, const char *prefix);
