/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The rules of aggregated ClusterRoles: the controller "clusterrole-aggregation". */
#include <cube/controller.h>

extern const CubeControllerOps aggregation_ops;
/* The union of the rules of the roles (element-type CubeObject) @aggregated selects, in name order, equal rules once. (transfer full) */
CubeValue *aggregation_rules (CubeView aggregated, const char *own_name, GPtrArray *roles, GError **error);
