/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <cube/value.h>

/* The three objects that stand for the API itself; all (transfer full). Without an @address nobody can reach it: no endpoint. */
CubeValue *kubernetes_service (const char *cluster_ip, guint16 port);
CubeValue *kubernetes_endpoints (const char *address, guint16 port);
CubeValue *kubernetes_slice (const char *address, guint16 port);
