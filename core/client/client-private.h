/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: what the two backs of a client share. */
#include <cube/client.h>
#include <cube/controller.h>
#include <cube/scalar.h>
#include <store/store.h>

/* One back: in-process or remote. Every function may be called by any thread; the ones that write block until durable. */
typedef struct {
  CubeResponse *(*execute) (CubeClient *client, const CubeRequest *request, GError **error);
  void (*execute_async) (CubeClient *client, const CubeRequest *request, CubeLoop *loop, CubeResponseDone done, gpointer data);
  CubeWatch *(*watch) (CubeClient *client, const CubeRequest *request, CubeLoop *loop, CubeTask ready, gpointer data, GError **error);
  GPtrArray *(*list_owned) (CubeClient *client, const CubeResource *resource, const char *ns, const char *owner_uid, GError **error);
  GPtrArray *(*list_pods_on) (CubeClient *client, const char *node_name, GError **error);
  /* (nullable) Reads memory that is always current: an informer of such a back needs no cache of its own. */
  CubeObject *(*peek) (CubeClient *client, const CubeResource *resource, const char *ns, const char *name);
  gpointer (*back_ref) (gpointer back);
  void (*back_unref) (gpointer back);
} CubeClientOps;

struct _CubeClient {
  gint ref_count;
  const CubeClientOps *ops;
  gpointer back;
  CubeContext *context;
  CubeSchema *schema;
  CubeUser *user;
  char *field_manager;
};

/* Takes over @back and references @user. (transfer full) */
CubeClient *cube_client_new (const CubeClientOps *ops, gpointer back, CubeContext *context, CubeSchema *schema, CubeUser *user, const char *field_manager);

/* The first client of the process: the request pipeline over @store. Acts as system:cube:core. Others are made of it with cube_client_as. (transfer full)
 * Everything handed in must outlive the client and its copies. */
CubeClient *cube_client_new_local (CubeContext *context, CubeStore *store, CubeSchema *schema, CubeRegistry *registry);
/* Ends the client's timers (event expiry) and drops its cached admission chain; call on the loop "main" before the store is freed. */
void cube_client_stop_local (CubeClient *client);

/* A remote client and its copies go on with what @kubeconfig_path says now: another certificate, another address. */
gboolean cube_client_reload_remote (CubeClient *client, const char *kubeconfig_path, GError **error);

/* ---- watches ---- */
typedef struct {
  gboolean (*next) (CubeWatch *watch, CubeEvent *ret_event, GError **error);
  void (*free) (CubeWatch *watch);
} CubeWatchOps;
struct _CubeWatch {
  const CubeWatchOps *ops;
};

/* ---- controllers: started by the daemon where the role "controllers" is active ---- */
typedef struct _CubeControllers CubeControllers;
/* Runs every cube.controller.Controller of the context's registry while this process holds the lease kube-system/kube-controller-manager, and those that
 * come later. On the loop "controllers" (called from any thread). */
CubeControllers *cube_controllers_start (CubeContext *context, CubeClient *client);
/* Ends them within bounded time; gives the lease back. Not on the loop "controllers" unless under simulation. */
void cube_controllers_stop (CubeControllers *controllers);
gboolean cube_controllers_is_leading (CubeControllers *controllers);
