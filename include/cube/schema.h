/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Types are data: what the server knows of every resource. Built-in resources come from the text files under core/schema/api/,
 * custom ones from CustomResourceDefinitions; both are CubeResource. A CubeResource lives as long as the process. Any thread. */
#include <cube/error.h>
#include <cube/object.h>
#include <cube/selector.h>
CUBE_BEGIN_DECLS

typedef enum {
  CUBE_VERB_GET = 0, CUBE_VERB_LIST, CUBE_VERB_WATCH, CUBE_VERB_CREATE, CUBE_VERB_UPDATE, CUBE_VERB_PATCH,
  CUBE_VERB_DELETE, CUBE_VERB_DELETE_COLLECTION, CUBE_VERB_N
} CubeVerb;
CUBE_EXPORT const char *cube_verb_name (CubeVerb verb); /* "get", "deletecollection" … */

typedef struct {
  const char *name;           /* "status", "scale", "binding", "log", "exec" … */
  const char *kind, *group, *version; /* of the body; group/version NULL = the resource's own */
  guint32 verbs;              /* bit mask 1 << CubeVerb */
} CubeSubresource;

typedef struct {
  const char *name, *type, *format; /* "Ready", "string", "" */
  const char *description;
  int priority;                     /* 0 = shown by default, 1 = wide */
} CubeColumn;

struct _CubeResource {
  guint32 struct_size;
  const char *group, *version, *resource, *singular, *kind, *list_kind; /* "apps" "v1" "deployments" "deployment" "Deployment" "DeploymentList" */
  const char *api_version; /* "apps/v1", "v1" */
  const char *key;         /* store key of the stored form: "apps/deployments", "/pods"; several versions share one */
  gboolean is_namespaced, is_custom;
  guint32 verbs;           /* mask of 1 << CubeVerb */
  const char *const *short_names, *const *categories; /* NULL-terminated */
  const CubeSubresource *subresources;                /* ends with name == NULL */
  const CubeColumn *columns;                          /* ends with name == NULL */
  const char *storage_version_hash;                   /* of discovery */
  const CubeResource *storage; /* the version that is stored (self for most) */
  gconstpointer type;          /* private */
};

CUBE_EXPORT CubeSchema *cube_schema_get_default (void); /* the built-in kinds; process-wide */
/* NULL if not served. @group "" is the core group. */
CUBE_EXPORT const CubeResource *cube_schema_find (CubeSchema *schema, const char *group, const char *version, const char *resource);
/* @api_version "apps/v1"; resources by plural: what plugins use: cube_schema_resource (s, "v1", "pods"). */
CUBE_EXPORT const CubeResource *cube_schema_resource (CubeSchema *schema, const char *api_version, const char *resource);
CUBE_EXPORT const CubeResource *cube_schema_find_kind (CubeSchema *schema, const char *api_version, const char *kind);
CUBE_EXPORT const CubeResource *cube_schema_find_key (CubeSchema *schema, const char *key); /* the stored form of a store key */
CUBE_EXPORT GPtrArray *cube_schema_list (CubeSchema *schema); /* (transfer container) (element-type CubeResource) every served resource, discovery order */
CUBE_EXPORT const CubeSubresource *cube_resource_find_subresource (const CubeResource *resource, const char *name);
/* Adds or replaces the resources of a CustomResourceDefinition (one per served version), removes them with NULL spec. */
CUBE_EXPORT gboolean cube_schema_put_custom (CubeSchema *schema, CubeView crd, GError **error);
CUBE_EXPORT void cube_schema_remove_custom (CubeSchema *schema, const char *group, const char *resource);
CUBE_EXPORT guint64 cube_schema_generation (CubeSchema *schema); /* grows with every change of custom resources */

/* ---- documents served over HTTP (JSON text) ---- */
CUBE_EXPORT char *cube_schema_discovery_api (CubeSchema *schema, const char *server_address);  /* /api: APIVersions */
CUBE_EXPORT char *cube_schema_discovery_groups (CubeSchema *schema);                     /* /apis: APIGroupList */
CUBE_EXPORT char *cube_schema_discovery_group (CubeSchema *schema, const char *group);   /* NULL = unknown */
CUBE_EXPORT char *cube_schema_discovery_resources (CubeSchema *schema, const char *group, const char *version); /* APIResourceList */
CUBE_EXPORT char *cube_schema_discovery_aggregated (CubeSchema *schema, gboolean is_core, const char *version /* "v2" */);
CUBE_EXPORT char *cube_schema_openapi_v3_index (CubeSchema *schema);
CUBE_EXPORT char *cube_schema_openapi_v3 (CubeSchema *schema, const char *path /* "api/v1", "apis/apps/v1" */); /* NULL = unknown */
CUBE_EXPORT char *cube_schema_openapi_v2 (CubeSchema *schema);
CUBE_EXPORT GBytes *cube_schema_openapi_v2_protobuf (CubeSchema *schema); /* the same as gnostic's openapi.v2.Document. (transfer full) */

/* ---- tables ---- */
/* Appends the JSON array of cells of @object's row ("cells":[…] without the key) to @out. @now_us: for ages. */
CUBE_EXPORT void cube_schema_append_cells (const CubeResource *resource, const CubeObject *object, gint64 now_us, GString *out);
/* Appends the columnDefinitions array. */
CUBE_EXPORT void cube_schema_append_columns (const CubeResource *resource, GString *out);

/* ---- protobuf ---- */
/* A request body in Kubernetes' protobuf envelope as the object it stands for (built-in kinds). Errors: CUBE_ERROR_BAD_REQUEST. (transfer full) */
CUBE_EXPORT CubeValue *cube_schema_decode_protobuf (const void *data, gsize length, GError **error);

/* ---- fields usable in field selectors ---- */
CUBE_EXPORT gboolean cube_schema_is_selectable (const CubeResource *resource, const char *field);
CUBE_EXPORT gboolean cube_selector_matches_resource (const CubeSelector *fields, const CubeResource *resource, const CubeObject *object);

/* ---- conversion between served versions ---- */
/* @object in @to's apiVersion (same key); a new reference on @object itself when it is already that. (transfer full) */
CUBE_EXPORT CubeObject *cube_schema_convert (const CubeResource *to, CubeObject *object, GError **error);

/* ---- pods: one iterator over all containers ---- */
typedef enum { CUBE_CONTAINER_REGULAR = 1, CUBE_CONTAINER_INIT = 2, CUBE_CONTAINER_EPHEMERAL = 4, CUBE_CONTAINER_ALL = 7 } CubeContainerKind;
typedef struct { CubeView spec; guint mask, stage, index; CubeIter it; gboolean is_open; } CubeContainerIter; /* private members */
CUBE_EXPORT void cube_containers_init (CubeContainerIter *iter, CubeView pod_spec, guint kinds);
CUBE_EXPORT gboolean cube_containers_next (CubeContainerIter *iter, CubeView *ret_container, CubeContainerKind *ret_kind, guint *ret_index);
/* Resource requests of a whole pod as the scheduler and quota count them (init max, sidecars, overhead, pod-level resources).
 * @resource "cpu" → millis, all others → units/bytes. */
CUBE_EXPORT gint64 cube_pod_request (CubeView pod_spec, const char *resource);
CUBE_EXPORT gint64 cube_pod_limit (CubeView pod_spec, const char *resource);
CUBE_EXPORT const char *cube_pod_qos_class (CubeView pod_spec); /* "Guaranteed" "Burstable" "BestEffort" */
/* ---- conditions of any kind ---- */
/* The entry of @status.conditions with that type; NONE = there is none. */
CUBE_EXPORT CubeView cube_condition_find (CubeView status, const char *type);
CUBE_EXPORT gboolean cube_condition_is_true (CubeView status, const char *type); /* its status is "True" */
CUBE_END_DECLS
