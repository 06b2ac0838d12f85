/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <cube/service.h>

/* Whether the proxy has to do with @service at all. */
gboolean endpoints_is_served (const CubeObject *object, CubeView service);
/* For each port of @service the endpoints in @slices (element-type CubeValue): (transfer full) *@ret_n arrays of CubeEndpoint. Strings stay the slices'. */
GArray **endpoints_by_port (CubeView service, GPtrArray *slices, const char *node_name, guint *ret_n);
void endpoints_free (GArray **by_port, guint n);
