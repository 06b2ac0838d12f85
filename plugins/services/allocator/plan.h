/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What one write of a Service takes from the ledger. */
#include "ledger.h"
#include <cube/auth.h>

typedef struct {
  Ledger *ledger;
  char *owner;         /* the Service's uid */
  char *name;          /* for messages */
  gboolean is_dry_run, is_kubernetes; /* default/kubernetes may have the first address */
  GArray *ips;         /* (element-type guint32) newly taken */
  GArray *ports;       /* (element-type guint16) newly taken, or chosen in a dry run */
  guint64 (*random) (gpointer data);
  gpointer data;
} Plan;

#define PLAN_RESERVED_OWNER "default/kubernetes" /* who has the first address until the Service is there */

Plan *plan_new (Ledger *ledger, const char *owner, const char *name);
void plan_free (Plan *plan);
/* Gives back what it took. */
void plan_undo (Plan *plan);
/* Completes @service in place: families, addresses, node ports. @old NONE on create. */
gboolean plan_apply (Plan *plan, CubeMut *service, CubeView old, GError **error);

/* What a stored Service holds: calls with each address and port. */
typedef void (*PlanIpFunc) (guint32 ip, gpointer data);
typedef void (*PlanPortFunc) (guint16 port, gpointer data);
void plan_each (CubeView service, PlanIpFunc on_ip, PlanPortFunc on_port, gpointer data);
