/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A whole control plane on one thread and a virtual clock, over a storage that survives its crashes. */
#include <client/client-private.h>
#include <context/context.h>
#include <plugin/registry.h>
#include <store/store.h>

typedef struct _SimDisk SimDisk; /* what was committed; outlives incarnations */
SimDisk *sim_disk_new (void);
extern const CubeStorageOps sim_disk_ops;
guint64 sim_disk_digest (const SimDisk *disk); /* of every change ever committed, in order */

typedef struct {
  const char *plugin_dir;
  guint n_nodes;
  guint64 seed;
  SimDisk *disk;
  /* one incarnation */
  CubeProcess *process;
  CubeContext *context;
  CubeRegistry *registry;
  CubePlugins *plugins;
  CubeStore *store;
  CubeClient *client;
  CubeControllers *controllers;
  guint n_incarnations;
  gint64 now_us;
} SimCluster;

/* Starts an incarnation at cluster->now_us. */
void sim_cluster_start (SimCluster *cluster);
/* The process is gone from one task to the next: nothing of it runs any more; what was committed stays. */
void sim_cluster_crash (SimCluster *cluster);
void sim_cluster_run (SimCluster *cluster, gint64 for_us);
