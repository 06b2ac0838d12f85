/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Simulated nodes: objects that live as a node and its kubelet would make them live, without containers. Everything runs on the loop "sim". */
#include <cube/client.h>
#include <cube/scalar.h>

typedef struct {
  CubeContext *context;
  CubeClient *client;
  CubeLoop *loop;
  const CubeResource *nodes, *pods, *leases;
  guint n_nodes;
  char *name_prefix;                     /* "sim-node-" */
  /* what every node offers, as the API writes it */
  char *cpu, *memory, *max_pods;
  gint64 start_delay_us, stop_delay_us, heartbeat_us;
  gboolean is_stopping;
  CubeInformer *pod_informer, *node_informer;
  CubeTimer *heartbeat;
  guint next_heartbeat;                  /* node index */
  GHashTable *lives;                     /* uid → SimPod */
  guint32 next_address;
  gint n_registered;                     /* nodes made so far */
  GHashTable *down;                      /* set of node names taken down by annotation */
} Sim;

/* ---- nodes.c ---- */
void sim_nodes_start (Sim *sim);
void sim_nodes_stop (Sim *sim);
/* Index of a node of ours by name, or -1. */
int sim_node_index (const Sim *sim, const char *name);
gboolean sim_node_is_down (const Sim *sim, const char *name);

/* ---- pods.c ---- */
void sim_pods_start (Sim *sim);
void sim_pods_stop (Sim *sim);
/* A node came back: its pods go on. */
void sim_pods_resume (Sim *sim, const char *node_name);

/* ---- write.c: requests that answer later; failures other than "it is gone" are logged ---- */
void sim_write (Sim *sim, const CubeRequest *request, CubeValue *body /* (transfer full) (nullable) */, CubeTask done, gpointer data);
