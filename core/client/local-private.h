/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: the in-process request pipeline. A request is a call: a chain of steps, each of which either ends the call or hands one proposal to the
 * store and names the step that looks at its answer. The same steps serve the waiting and the asynchronous door. */
#include "chain.h"
#include <schema/schema-ops.h>

typedef struct _CubeLocal CubeLocal;
typedef struct _CubeCall CubeCall;

typedef enum { CUBE_CALL_DONE = 0, CUBE_CALL_COMMIT } CubeCallState;
typedef CubeCallState (*CubeCallStep) (CubeCall *call);

struct _CubeLocal {
  gint ref_count;
  CubeContext *context;
  CubeStore *store;
  CubeSchema *schema;
  CubeRegistry *registry;
  CubeRegistryWatch *chain_watches[CUBE_CHAIN_N];
  GMutex lock;             /* of batches */
  GHashTable *batches;     /* CubeLoop → Batch: answers on their way to a loop */
  gpointer expiry;         /* event expiry, local-events.c */
};

/* One run through the admission chain: made by admit, ended exactly once by finish. */
typedef struct {
  const CubeImpl *impl;
  gpointer reservation;
} CubeAdmissionSlot;
typedef struct {
  CubeChain *chain; /* NULL = not running */
  CubeAdmissionRequest request;
  guint n;
  CubeAdmissionSlot *slots; /* one for each of the chain at most */
  CubeValue *old;           /* keeps request.old readable until finish */
} CubeAdmissionRun;

struct _CubeCall {
  CubeLocal *local;
  CubeClient *client;
  const CubeRequest *request;
  const CubeResource *resource, *storage;
  const char *sub, *ns, *name; /* never NULL */
  char *made_name;             /* by generateName */
  CubeUser *user;
  const char *manager;
  gboolean is_dry_run;         /* by the request or by the options in its body */
  CubeCallStep step;           /* what to do next */
  CubeCallStep extra_then;     /* of a step that wraps another */
  guint attempts;
  /* the object before and after, in the stored version */
  CubeObject *old;
  CubeAdmissionRun admission;
  /* the proposal of a step that answered COMMIT; next NULL = delete */
  CubeObject *next;
  guint64 expected;
  /* the store's answer to it */
  CubeObject *committed; /* on success as published, else the current one (nullable) */
  GError *commit_error;
  /* the call's answer */
  CubeResponse *response;
  GError *error;
  gpointer extra; /* of the verb: steps that need more than the above */
  GDestroyNotify extra_free;
  /* asynchronous door */
  CubeLoop *loop;
  CubeResponseDone done;
  gpointer data;
};

/* ---- local.c ---- */
/* Runs @step and whatever follows to the end, waiting for the store. (transfer full) */
CubeResponse *cube_local_run (CubeClient *client, const CubeRequest *request, GError **error);
CubeCallState cube_call_fail (CubeCall *call, GError *error); /* takes @error */
CubeCallState cube_call_fail_bad_request (CubeCall *call, const char *format, ...) G_GNUC_PRINTF (2, 3);
CubeCallState cube_call_propose (CubeCall *call, CubeObject *next, guint64 expected, CubeCallStep then); /* takes @next */
CubeCallState cube_call_answer_object (CubeCall *call, CubeObject *object); /* converts to the asked version; borrows @object */
CubeCallState cube_call_answer_value (CubeCall *call, CubeValue *value);    /* takes @value */
GError *cube_call_not_found (CubeCall *call);
GError *cube_call_conflict (CubeCall *call); /* "the object has been modified…" */
void cube_call_warn (CubeCall *call, const char *text);
/* The current object in the stored version; FALSE with the call's error set when there is none. Fills call->old. */
gboolean cube_call_read_old (CubeCall *call);
/* call->old in the asked version. (transfer full) NULL with the call's error set. */
CubeObject *cube_call_old_as_asked (CubeCall *call);
CubeValue *cube_status_success (CubeCall *call, const char *uid);
void cube_call_now (CubeCall *call, char ret_text[32]);

/* ---- local-read.c ---- */
CubeCallState cube_local_get (CubeCall *call);
CubeCallState cube_local_list (CubeCall *call);
/* Refuses field selectors on fields the resource does not offer. */
gboolean cube_local_check_fields (const CubeResource *resource, const CubeSelector *fields, GError **error);
gboolean cube_local_matches (const CubeResource *resource, const CubeSelector *labels, const CubeSelector *fields, CubeObject *object);
gboolean cube_parse_revision (const char *text, guint64 *ret_revision, GError **error);
GError *cube_error_future_revision (guint64 asked, guint64 current);

/* ---- local-create.c, local-update.c, local-patch.c ---- */
CubeCallState cube_local_create (CubeCall *call);
CubeCallState cube_local_update (CubeCall *call);
CubeCallState cube_local_patch (CubeCall *call);
/* The common end of update and patch: @builder holds the candidate in the asked version, @old_asked the object it started from. Takes @builder.
 * @retry: the step to go back to when the store has a newer object (NULL = answer Conflict). */
CubeCallState cube_local_write_update (CubeCall *call, CubeBuilder *builder, CubeObject *old_asked, CubeCallStep retry);
/* Create from a candidate that is decoded and has its names checked. Takes @builder. */
CubeCallState cube_local_write_create (CubeCall *call, CubeBuilder *builder);
/* apiVersion, kind, namespace and name of a body against the request; fills what is missing. */
gboolean cube_local_check_identity (CubeCall *call, CubeMut *root, GError **error);
gboolean cube_local_decode (CubeCall *call, CubeMut *root, char **duplicates, GError **error);
CubeObject *cube_local_make_object (CubeCall *call, CubeView view, GError **error); /* in the stored version */

/* ---- local-strategy.c: what differs by kind ---- */
gboolean cube_strategy_creates_on_update (const CubeResource *resource);
gboolean cube_strategy_updates_unconditionally (const CubeResource *resource);
gboolean cube_strategy_returns_deleted (const CubeResource *resource);
gboolean cube_strategy_orphans_by_default (const CubeResource *resource);
gboolean cube_strategy_is_review (const CubeResource *resource);
gboolean cube_strategy_has_own_fields (const CubeResource *resource);

/* ---- local-delete.c ---- */
CubeCallState cube_local_delete (CubeCall *call);
CubeCallState cube_local_delete_collection (CubeCall *call);
/* TRUE when @object waits for nothing any more: its deletion was asked for and no finalizer or grace is left. */
gboolean cube_local_is_deletable (const CubeResource *resource, CubeObject *object, CubeView value);

/* ---- local-admission.c ---- */
gboolean cube_admission_begin (CubeCall *call, CubeVerb verb, CubeMut *object, CubeView old, GError **error); /* mutating phase */
gboolean cube_admission_validate (CubeCall *call, CubeView object, GError **error);
/* Both for what a client POSTs to a subresource: a Binding, an Eviction, a TokenRequest. */
gboolean cube_admission_pass (CubeCall *call, CubeView body, GError **error);
void cube_admission_finish (CubeCall *call, const CubeObject *object, gboolean is_committed); /* idempotent */

/* ---- subresources ---- */
CubeCallState cube_local_bind (CubeCall *call);         /* local-pod.c */
CubeCallState cube_local_evict (CubeCall *call);        /* local-eviction.c */
CubeCallState cube_local_scale (CubeCall *call);        /* local-scale.c */
CubeCallState cube_local_review (CubeCall *call);       /* local-review.c */
CubeCallState cube_local_token (CubeCall *call);        /* local-token.c */
CubeCallState cube_local_component_status (CubeCall *call); /* local-read.c */

/* ---- local-watch.c ---- */
CubeWatch *cube_local_watch (CubeClient *client, const CubeRequest *request, CubeLoop *loop, CubeTask ready, gpointer data, GError **error);

/* ---- local-events.c ---- */
gpointer cube_event_expiry_new (CubeLocal *local);
void cube_event_expiry_free (gpointer expiry);
