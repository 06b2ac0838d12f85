/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The one way to read and write objects. Two backs with the same semantics: in-process (the request pipeline) and remote (HTTP). */
#include <cube/auth.h>
CUBE_BEGIN_DECLS

/* ---- one request: what a front end fills and the pipeline executes ---- */
typedef enum { CUBE_PATCH_NONE = 0, CUBE_PATCH_JSON, CUBE_PATCH_MERGE, CUBE_PATCH_STRATEGIC, CUBE_PATCH_APPLY } CubePatchType;
typedef enum { CUBE_PROPAGATION_DEFAULT = 0, CUBE_PROPAGATION_ORPHAN, CUBE_PROPAGATION_BACKGROUND, CUBE_PROPAGATION_FOREGROUND } CubePropagation;
typedef enum { CUBE_VALIDATION_DEFAULT = 0, CUBE_VALIDATION_IGNORE, CUBE_VALIDATION_WARN, CUBE_VALIDATION_STRICT } CubeFieldValidation;
typedef enum { CUBE_MATCH_UNSET = 0, CUBE_MATCH_EXACT, CUBE_MATCH_NOT_OLDER_THAN } CubeRevisionMatch;

typedef struct {
  CubeVerb verb;
  const CubeResource *resource;
  const char *subresource;    /* "" or NULL = none; the pipeline does status, scale, binding, eviction, token, approval, finalize, ephemeralcontainers, resize */
  const char *ns, *name;      /* NULL or "" = none/all */
  CubeUser *user;             /* NULL = the client's own */
  const CubeValue *body;      /* object, patch, DeleteOptions, Binding, Scale, Eviction … */
  char **body_duplicates;     /* (nullable) duplicate keys found in the body */
  CubePatchType patch_type;
  /* options */
  const char *field_manager;
  gboolean force, is_dry_run;
  CubeFieldValidation field_validation;
  const char *resource_version;      /* get, list, watch; as sent */
  CubeRevisionMatch revision_match;
  const CubeSelector *labels, *fields; /* list, watch, deletecollection; NULL = all */
  guint limit; const char *continue_token;
  gboolean send_initial_events, allow_bookmarks; /* watch */
  gint64 timeout_us;                             /* watch; 0 = the server chooses 30–60 min */
  CubePropagation propagation;                   /* delete; DeleteOptions in @body win */
  gint64 grace_seconds;                          /* delete; -1 = unset */
  const char *precondition_uid, *precondition_revision;
} CubeRequest;
#define CUBE_REQUEST_INIT { .grace_seconds = -1 }

typedef struct {
  gint ref_count;                 /* private */
  CubeObject *object;             /* one object (get, writes); NULL for lists and Status answers */
  GPtrArray *objects;             /* (element-type CubeObject) list */
  guint64 revision;               /* of the list */
  char *continue_token;           /* NULL = complete */
  gint64 remaining;               /* -1 = unknown or none */
  CubeValue *value;               /* an answer that is no stored object: Scale, Status, TokenRequest, review kinds */
  gboolean is_created;            /* 201 */
  gboolean is_deletion_pending;   /* delete accepted, finalizers or grace remain: 200 with the object (202 for some) */
  GPtrArray *warnings;            /* (nullable) (element-type utf8) Warning headers */
} CubeResponse;
CUBE_EXPORT CubeResponse *cube_response_new (void);
CUBE_EXPORT CubeResponse *cube_response_ref (CubeResponse *response);
CUBE_EXPORT void cube_response_unref (CubeResponse *response);

CUBE_EXPORT CubeClient *cube_client_ref (CubeClient *client);
CUBE_EXPORT void cube_client_unref (CubeClient *client);
CUBE_EXPORT CubeSchema *cube_client_schema (CubeClient *client);
/* The same client acting as @user. (transfer full) */
CUBE_EXPORT CubeClient *cube_client_as (CubeClient *client, CubeUser *user, const char *field_manager);
/* A remote client over HTTPS from a kubeconfig file (in plugins' tools and `cube agent`). (transfer full) */
CUBE_EXPORT CubeClient *cube_client_new_remote (CubeContext *context, const char *kubeconfig_path, GError **error);

/* Executes any request but WATCH. Blocks until durable. Not on the committer. (transfer full) NULL on error. */
CUBE_EXPORT CubeResponse *cube_client_execute (CubeClient *client, const CubeRequest *request, GError **error);
/* The same without blocking: @done runs on @loop. @request and what it points to must live until then. */
typedef void (*CubeResponseDone) (CubeResponse *response /* (transfer full) NULL on error */, GError *error /* (transfer full) */, gpointer data);
CUBE_EXPORT void cube_client_execute_async (CubeClient *client, const CubeRequest *request, CubeLoop *loop, CubeResponseDone done, gpointer data);

/* ---- shorthands: all block until done; objects are (transfer full) ---- */
CUBE_EXPORT CubeObject *cube_client_get (CubeClient *client, const CubeResource *resource, const char *ns, const char *name, GError **error);
/* Everything that matches at one revision. (transfer full) (element-type CubeObject) */
CUBE_EXPORT GPtrArray *cube_client_list (CubeClient *client, const CubeResource *resource, const char *ns, const CubeSelector *labels, guint64 *ret_revision, GError **error);
CUBE_EXPORT CubeObject *cube_client_create (CubeClient *client, const CubeResource *resource, const char *ns, const CubeValue *object, GError **error);
/* metadata.resourceVersion in @object is the precondition. @subresource NULL, "status", … */
CUBE_EXPORT CubeObject *cube_client_update (CubeClient *client, const CubeResource *resource, const char *subresource, const char *ns, const char *name, const CubeValue *object, GError **error);
CUBE_EXPORT CubeObject *cube_client_patch (CubeClient *client, const CubeResource *resource, const char *subresource, const char *ns, const char *name, CubePatchType type, const CubeValue *patch, GError **error);
/* @uid NULL = any; grace_seconds -1 = default. TRUE also when it only began (finalizers, grace). */
CUBE_EXPORT gboolean cube_client_delete (CubeClient *client, const CubeResource *resource, const char *ns, const char *name, const char *uid, gint64 grace_seconds, CubePropagation propagation, GError **error);
/* Read, change, write, and again on conflict (at most 5 times): @change edits @root of the current object; FALSE = nothing to do (returns the object as is). */
typedef gboolean (*CubeChangeFunc) (CubeMut *root, CubeView current, gpointer data);
CUBE_EXPORT CubeObject *cube_client_modify (CubeClient *client, const CubeResource *resource, const char *subresource, const char *ns, const char *name, CubeChangeFunc change, gpointer data, GError **error);
/* Objects of @resource that have @owner_uid as an owner (index in-process). (transfer full) (element-type CubeObject) */
CUBE_EXPORT GPtrArray *cube_client_list_owned (CubeClient *client, const CubeResource *resource, const char *ns, const char *owner_uid, GError **error);
/* Pods bound to a node (index in-process). (transfer full) (element-type CubeObject) */
CUBE_EXPORT GPtrArray *cube_client_list_pods_on (CubeClient *client, const char *node_name, GError **error);

/* ---- watch ---- */
typedef enum { CUBE_EVENT_ADDED, CUBE_EVENT_MODIFIED, CUBE_EVENT_DELETED, CUBE_EVENT_BOOKMARK } CubeEventType;
CUBE_EXPORT const char *cube_event_type_name (CubeEventType type); /* "ADDED" … */
typedef struct {
  CubeEventType type;     /* as seen through the watch's selectors */
  CubeObject *object;     /* NULL for BOOKMARK */
  CubeObject *old;        /* (nullable) in-process only */
  guint64 revision;
  gboolean is_initial_end; /* the bookmark that ends the initial events */
} CubeEvent;
typedef struct _CubeWatch CubeWatch;
/* @request: verb WATCH; resource_version "" or "0" = start with ADDED for what is there. @ready runs on @loop when cube_watch_next has something (coalesced).
 * Errors: CUBE_ERROR_EXPIRED. (transfer full) */
CUBE_EXPORT CubeWatch *cube_client_watch (CubeClient *client, const CubeRequest *request, CubeLoop *loop, CubeTask ready, gpointer data, GError **error);
/* Takes the next event (cube_event_clear it). FALSE without error: nothing now. FALSE with error: the watch ended (EXPIRED: list again; TIMEOUT:
 * its time is over; others). */
CUBE_EXPORT gboolean cube_watch_next (CubeWatch *watch, CubeEvent *ret_event, GError **error);
CUBE_EXPORT void cube_watch_free (CubeWatch *watch); /* on its loop */
CUBE_EXPORT void cube_event_clear (CubeEvent *event);

/* ---- informer: keeps calling until freed, re-lists by itself after EXPIRED or a lost connection ---- */
typedef struct _CubeInformer CubeInformer;
/* Every object once as ADDED at first, then each change. After a gap the difference is delivered. Runs on @loop. */
typedef void (*CubeInformerFunc) (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data);
CUBE_EXPORT CubeInformer *cube_informer_new (CubeClient *client, const CubeResource *resource, const char *ns, const CubeSelector *labels, const CubeSelector *fields,
                                             CubeLoop *loop, CubeInformerFunc changed, gpointer data);
CUBE_EXPORT gboolean cube_informer_has_synced (CubeInformer *informer); /* the first list was delivered */
CUBE_EXPORT CubeObject *cube_informer_get (CubeInformer *informer, const char *ns, const char *name); /* from its cache (in-process: the store). (transfer full) */
CUBE_EXPORT GPtrArray *cube_informer_list (CubeInformer *informer, const char *ns, const CubeSelector *labels); /* (transfer full) (element-type CubeObject) */
CUBE_EXPORT void cube_informer_free (CubeInformer *informer); /* on its loop */

/* ---- work queue: dedupes keys; a key is never with two workers at once; rate-limited retry ---- */
typedef struct _CubeQueue CubeQueue;
/* @process runs for one key at a time per key: on @loop when @workers is 0, else on up to @workers blocking workers. It answers the delay until the
 * key is tried again in µs: 0 = done, -1 = failed (exponential back-off 5 ms … 1000 s), > 0 = again after that. */
typedef gint64 (*CubeQueueFunc) (const char *key, gpointer data);
CUBE_EXPORT CubeQueue *cube_queue_new (CubeContext *context, const char *name, CubeLoop *loop, guint workers, CubeQueueFunc process, gpointer data);
CUBE_EXPORT void cube_queue_add (CubeQueue *queue, const char *key);                       /* any thread */
CUBE_EXPORT void cube_queue_add_after (CubeQueue *queue, const char *key, gint64 delay_us); /* the earliest of several wins */
CUBE_EXPORT void cube_queue_add_failed (CubeQueue *queue, const char *key); /* as if process had failed */
CUBE_EXPORT guint cube_queue_length (CubeQueue *queue);
CUBE_EXPORT void cube_queue_free (CubeQueue *queue); /* waits for a running process() */

/* ---- leader election by Lease (15 s / 10 s / 2 s as Kubernetes) ---- */
typedef struct _CubeElection CubeElection;
CUBE_EXPORT CubeElection *cube_election_new (CubeContext *context, CubeClient *client, const char *ns, const char *name, const char *identity, CubeLoop *loop,
                                             CubeTask started, CubeTask stopped, gpointer data);
CUBE_EXPORT gboolean cube_election_is_leader (CubeElection *election);
CUBE_EXPORT void cube_election_free (CubeElection *election); /* releases the lease when held */

/* ---- event recorder: Kubernetes' events with its correlation (aggregation by similar, count, rate limit) ---- */
typedef struct _CubeRecorder CubeRecorder;
CUBE_EXPORT CubeRecorder *cube_recorder_new (CubeContext *context, CubeClient *client, const char *component, const char *host);
/* @type "Normal" or "Warning". Never blocks the caller; lost only when the server stays away. @field_path e.g. spec.containers{web}, NULL = none. */
CUBE_EXPORT void cube_recorder_event (CubeRecorder *recorder, const CubeObject *about, const char *field_path, const char *type, const char *reason, const char *format, ...) G_GNUC_PRINTF (6, 7);
CUBE_EXPORT void cube_recorder_event_related (CubeRecorder *recorder, const CubeObject *about, const CubeObject *related, const char *action, const char *type, const char *reason, const char *format, ...) G_GNUC_PRINTF (7, 8);
CUBE_EXPORT void cube_recorder_free (CubeRecorder *recorder);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CubeClient, cube_client_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CubeResponse, cube_response_unref)
CUBE_END_DECLS
