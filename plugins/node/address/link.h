/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <glib.h>

/* A link called @name, up, with @address on it, and nothing else (a bridge without ports: what the pods need anyway); one that is there already is completed. Needs CAP_NET_ADMIN. Errors: G_IO_ERROR with what
 * the kernel said. */
gboolean node_link_ensure (const char *name, const char *address, GError **error);
/* Nothing happens when there is no such link. */
void node_link_remove (const char *name);
