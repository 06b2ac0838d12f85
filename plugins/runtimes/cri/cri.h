/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the CRI runtime plugin share.
 */
#pragma once

#include <cube/runtime.h>

#include "cube-grpc.h"
#include "runtime.pb-c.h"

/* A call that does not say otherwise fails after this; RunPodSandbox, which
 * waits for the network, after twice as long.  Kubernetes' runtimeRequestTimeout. */
#define CRI_TIMEOUT_MS (2 * 60 * 1000)
#define CRI_PULSE_TIMEOUT_MS (5 * 1000) /* what only looks whether the runtime lives: a node that waited longer would miss its Lease */
#define CRI_VERSION "0.1.0"
/* What an exec_sync returns of each output at most. */
#define CRI_EXEC_OUTPUT_BYTES 16384

typedef struct _CriEvents CriEvents;

typedef struct {
  CubeContext *context;
  CriEvents *events;
  GMutex lock;
  char *socket_path;        /* under lock: where channel leads */
  CubeGrpcChannel *channel; /* under lock */
  gboolean is_reachable;    /* under lock: what the health says */
  char *health;             /* under lock */
} Cri;

typedef enum {
  CRI_VERSION_CALL,
  CRI_STATUS,
  CRI_UPDATE_RUNTIME_CONFIG,
  CRI_RUN_POD_SANDBOX,
  CRI_STOP_POD_SANDBOX,
  CRI_REMOVE_POD_SANDBOX,
  CRI_POD_SANDBOX_STATUS,
  CRI_LIST_POD_SANDBOX,
  CRI_CREATE_CONTAINER,
  CRI_START_CONTAINER,
  CRI_STOP_CONTAINER,
  CRI_REMOVE_CONTAINER,
  CRI_LIST_CONTAINERS,
  CRI_CONTAINER_STATUS,
  CRI_UPDATE_CONTAINER_RESOURCES,
  CRI_REOPEN_CONTAINER_LOG,
  CRI_EXEC_SYNC,
  CRI_EXEC,
  CRI_ATTACH,
  CRI_PORT_FORWARD,
  CRI_LIST_CONTAINER_STATS,
  CRI_LIST_POD_SANDBOX_STATS,
  CRI_LIST_IMAGES,
  CRI_IMAGE_STATUS,
  CRI_PULL_IMAGE,
  CRI_REMOVE_IMAGE,
  CRI_IMAGE_FS_INFO,
  CRI_N_METHODS
} CriMethod;

/* -- cri.c: the channel to the runtime of the moment. (transfer full) */

CubeGrpcChannel *cri_get_channel (Cri *self, GError **error);

/* -- service.c: calls */

/* Calls and waits; @timeout_ms 0 for none.  Errors are of %CUBE_ERROR, or
 * G_IO_ERROR_CANCELLED. (transfer full) */
CubeGrpcMessage *cri_call (Cri *self,
                           CriMethod method,
                           const ProtobufCMessage *request,
                           gint64 timeout_ms,
                           GCancellable *cancellable,
                           GError **error);
/* The same for a call whose answer says nothing. */
gboolean cri_do (Cri *self, CriMethod method, const ProtobufCMessage *request, gint64 timeout_ms,
                 GCancellable *cancellable, GError **error);
/* Turns an error of gRPC into one of Cube's, in place. */
void cri_convert_error (GError **error, GCancellable *cancellable);
/* Whether the error says that the thing is not there, which is what a stop or
 * a removal wants; the error is then cleared. */
gboolean cri_is_gone (GError **error);
/* Says in the plugin's health whether the runtime answers. */
void cri_set_reachable (Cri *self, gboolean is_reachable, const char *why);

/* -- arena.c: the memory of a request, freed at once */

typedef GPtrArray CriArena;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CriArena, g_ptr_array_unref)
#define cri_arena_new() g_ptr_array_new_with_free_func (g_free)
gpointer cri_arena_take (CriArena *arena, gpointer memory);
#define cri_arena_array(arena, type, n) ((type *) cri_arena_take (arena, g_malloc0_n ((n) + 1, sizeof (type))))
/* An initialised message of type Cri__<Name>. */
#define cri_arena_message(arena, Type, init) \
  ({ Type *message_ = cri_arena_array (arena, Type, 1); init (message_); message_; })
/* The message's text field for a text that may be NULL. */
char *cri_text (const char *text);
Cri__Pair **cri_arena_pairs (CriArena *arena, const CubePair *pairs, size_t *ret_n);
char **cri_texts (const char *const *texts, size_t *ret_n);

/* -- requests.c: what Cube says, as messages */

Cri__PodSandboxConfig *cri_sandbox_config (CriArena *arena, const CubeSandboxConfig *config);
Cri__ContainerConfig *cri_container_config (CriArena *arena, const CubeContainerConfig *config);
Cri__LinuxContainerResources *cri_resources (CriArena *arena, const CubeLinuxResources *resources);

/* -- answers.c: messages, as what Cube reads */

/* A copy in valid UTF-8, NULL for an empty text. */
char *cri_copy_text (const char *text);
GHashTable *cri_copy_pairs (Cri__Pair **pairs, size_t n);
CubeSandbox *cri_sandbox_from_status (const Cri__PodSandboxStatus *status);
CubeSandbox *cri_sandbox_from_item (const Cri__PodSandbox *item);
CubeContainer *cri_container_from_status (const Cri__ContainerStatus *status);
CubeContainer *cri_container_from_item (const Cri__Container *item);
CubeImage *cri_image_from_message (const Cri__Image *image);
CubeStats *cri_stats_from_container (const Cri__ContainerStats *stats);
CubeStats *cri_stats_from_sandbox (const Cri__PodSandboxStats *stats);

/* -- the ops, by file */

gboolean cri_status (gpointer state, CubeRuntimeStatus *ret_status, GError **error);
gboolean cri_set_pod_cidr (gpointer state, const char *cidr, GError **error);

gboolean cri_run_sandbox (gpointer state, const CubeSandboxConfig *config, char **ret_id,
                          GCancellable *cancellable, GError **error);
gboolean cri_stop_sandbox (gpointer state, const char *id, GError **error);
gboolean cri_remove_sandbox (gpointer state, const char *id, GError **error);
CubeSandbox *cri_sandbox_status (gpointer state, const char *id, GError **error);
GPtrArray *cri_list_sandboxes (gpointer state, GError **error);

gboolean cri_create_container (gpointer state, const char *sandbox_id, const CubeContainerConfig *config,
                               const CubeSandboxConfig *sandbox, char **ret_id,
                               GCancellable *cancellable, GError **error);
gboolean cri_start_container (gpointer state, const char *id, GError **error);
gboolean cri_stop_container (gpointer state, const char *id, gint64 grace_seconds,
                             GCancellable *cancellable, GError **error);
gboolean cri_remove_container (gpointer state, const char *id, GError **error);
CubeContainer *cri_container_status (gpointer state, const char *id, GError **error);
GPtrArray *cri_list_containers (gpointer state, GError **error);
gboolean cri_update_resources (gpointer state, const char *id, const CubeLinuxResources *resources,
                               GError **error);
gboolean cri_reopen_log (gpointer state, const char *id, GError **error);
gboolean cri_exec_sync (gpointer state, const char *id, const char *const *command, gint64 timeout_us,
                        GBytes **ret_stdout, GBytes **ret_stderr, gint32 *ret_exit_code,
                        GCancellable *cancellable, GError **error);

GPtrArray *cri_list_stats (gpointer state, GError **error);
GPtrArray *cri_list_sandbox_stats (gpointer state, GError **error);

GPtrArray *cri_list_images (gpointer state, GError **error);
CubeImage *cri_image_status (gpointer state, const char *image, GError **error);
gboolean cri_pull_image (gpointer state, const char *image, const char *auth_json, char **ret_image_ref,
                         GCancellable *cancellable, GError **error);
gboolean cri_remove_image (gpointer state, const char *image, GError **error);
gboolean cri_image_fs (gpointer state, guint64 *ret_used_bytes, char **ret_mountpoint, GError **error);

/* -- events.c */

CriEvents *cri_events_new (Cri *cri);
/* Begins to listen; ends it, so that no callback runs after it returns. */
void cri_events_start (CriEvents *events);
void cri_events_stop (CriEvents *events);
void cri_events_free (CriEvents *events);
void cri_set_event_func (gpointer state, CubeRuntimeEventFunc func, gpointer data);
