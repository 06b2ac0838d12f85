/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <glib.h>

/* Lets the host pass packets between interfaces, and bridged ones through the IP hooks. @ret_is_bridge_filtered: the latter works. */
gboolean host_prepare (gboolean *ret_is_bridge_filtered, GError **error);
/* Starts conntrack with @arguments for each of them and does not wait; a host without the program keeps stale UDP flows until they time out. */
void host_delete_flows (GPtrArray *arguments);
