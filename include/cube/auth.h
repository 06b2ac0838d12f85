/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Who asks, may they, and with what changes: authenticators, authorizers, admission, the certificate authority. Each an interface with its plugins. */
#include <cube/plugin.h>
#include <cube/schema.h>
CUBE_BEGIN_DECLS

/* ---- identity: immutable, refcounted ---- */
struct _CubeUser {
  gint ref_count;           /* private */
  char *name, *uid;
  char **groups;            /* NULL-terminated; authenticated users have system:authenticated */
  GHashTable *extra;        /* (nullable) key → char ** */
};
CUBE_EXPORT CubeUser *cube_user_new (const char *name, const char *uid, const char *const *groups);
CUBE_EXPORT CubeUser *cube_user_ref (CubeUser *user);
CUBE_EXPORT void cube_user_unref (CubeUser *user);
CUBE_EXPORT gboolean cube_user_in_group (const CubeUser *user, const char *group);

/* ---- cube.auth.Authenticator ---- */
#define CUBE_AUTHENTICATOR "cube.auth.Authenticator"
#define CUBE_AUTHENTICATOR_VERSION 1
typedef struct {
  const char *bearer_token;       /* NULL = none */
  GTlsCertificate *certificate;   /* of the peer, verified by TLS against the cluster CA or not at all; NULL = none */
  const char *remote_address;
} CubeCredentials;
typedef struct {
  guint32 ops_size;
  int order; /* lower first */
  /* API worker threads, concurrently; must not block on a disk or network. TRUE with @ret_user set: it is them. TRUE with NULL: not my kind of
   * credential. FALSE with CUBE_ERROR_UNAUTHORIZED: my kind, and wrong; the others are asked all the same, and 401 is said when nobody knows them. */
  gboolean (*authenticate) (gpointer state, const CubeCredentials *credentials, CubeUser **ret_user, GError **error);
} CubeAuthenticatorOps;

/* ---- cube.auth.Authorizer ---- */
#define CUBE_AUTHORIZER "cube.auth.Authorizer"
#define CUBE_AUTHORIZER_VERSION 1
typedef struct {
  const CubeUser *user;
  const char *verb;                 /* "get" … or the HTTP verb in lower case for paths */
  const char *group, *version, *resource, *subresource, *ns, *name; /* "" = none/all; resource NULL = a path request */
  const char *path;                 /* always */
  /* list, watch, deletecollection: the request's field selector, NULL = everything. Only looked at when the front end says that it fills it. */
  gboolean has_fields;
  const CubeSelector *fields;
} CubeAttributes;
typedef enum { CUBE_DECISION_NO_OPINION = 0, CUBE_DECISION_ALLOW, CUBE_DECISION_DENY } CubeDecision;
typedef struct {
  guint32 ops_size;
  int order;
  /* API worker threads, concurrently; must not block. @ret_reason (transfer full) (nullable). The first ALLOW or DENY decides; none → forbidden. */
  CubeDecision (*authorize) (gpointer state, const CubeAttributes *attributes, char **ret_reason);
  /* (nullable) Rules that apply to a user in a namespace, for SelfSubjectRulesReview: appends resourceRules and nonResourceRules to the two arrays. */
  void (*list_rules) (gpointer state, const CubeUser *user, const char *ns, CubeMut *resource_rules, CubeMut *non_resource_rules);
} CubeAuthorizerOps;

/* ---- cube.auth.Admission ---- */
#define CUBE_ADMISSION "cube.auth.Admission"
#define CUBE_ADMISSION_VERSION 1
typedef struct {
  CubeVerb verb;                  /* CREATE, UPDATE (patch too), DELETE */
  const CubeResource *resource;
  const char *subresource;        /* "" = none */
  const char *ns, *name;          /* name may be "" for generateName until the pipeline made one: it is made before admission */
  const CubeUser *user;
  CubeView old;                   /* NONE on create */
  CubeView options;               /* the request's options as an object, NONE = none */
  gboolean is_dry_run;
  gpointer reservation;           /* an admission plugin's own, between admit and finish; one slot per plugin and request */
} CubeAdmissionRequest;
typedef struct {
  guint32 ops_size;
  int order;                      /* mutating phase order, lower first */
  /* Cheap test; FALSE = the others are not called. */
  gboolean (*handles) (gpointer state, CubeVerb verb, const CubeResource *resource, const char *subresource);
  /* (nullable) May change @object in place (the decoded, defaulted object; NULL on DELETE). FALSE + error refuses. Any thread; no blocking. */
  gboolean (*mutate) (gpointer state, CubeAdmissionRequest *request, CubeMut *object, GError **error);
  /* (nullable) Final object, read-only (NONE on DELETE). */
  gboolean (*validate) (gpointer state, CubeAdmissionRequest *request, CubeView object, GError **error);
  /* (nullable) After the store answered (or a later step refused): @committed FALSE gives back what mutate reserved (cluster IPs, ports). Always
   * called once for a plugin whose mutate succeeded. May run on the committer: quick. */
  void (*finish) (gpointer state, CubeAdmissionRequest *request, const CubeObject *object, gboolean committed);
} CubeAdmissionOps;

/* ---- cube.auth.CertificateAuthority ---- */
#define CUBE_CERTIFICATE_AUTHORITY "cube.auth.CertificateAuthority"
#define CUBE_CERTIFICATE_AUTHORITY_VERSION 1
typedef struct {
  const char *common_name;             /* user name or host */
  const char *const *organizations;    /* groups; NULL = none */
  const char *const *dns_names, *const *ip_addresses; /* subject alternative names; NULL = none */
  gboolean is_server, is_client;
  gint64 valid_seconds;                /* 0 = a year */
} CubeCertificateRequest;
typedef struct {
  guint32 ops_size;
  /* PEM texts (transfer full). The CA is made at first use below the data directory (key 0600). May block. Any thread. */
  gboolean (*get_ca) (gpointer state, char **ret_certificate_pem, GError **error);
  gboolean (*issue) (gpointer state, const CubeCertificateRequest *request, char **ret_certificate_pem, char **ret_key_pem, GError **error);
  gboolean (*sign_csr) (gpointer state, const char *csr_pem, const CubeCertificateRequest *overrides, char **ret_certificate_pem, GError **error);
} CubeCertificateAuthorityOps;

/* ---- cube.auth.TokenIssuer: service-account tokens (JWT) ---- */
#define CUBE_TOKEN_ISSUER "cube.auth.TokenIssuer"
#define CUBE_TOKEN_ISSUER_VERSION 1
typedef struct {
  const char *ns, *service_account, *service_account_uid;
  const char *pod_name, *pod_uid, *node_name, *node_uid; /* NULL = not bound */
  const char *secret_name, *secret_uid;
  const char *const *audiences;                          /* NULL = the API server's */
  gint64 expiration_seconds;                             /* ≥ 600 */
} CubeTokenRequest;
typedef struct {
  guint32 ops_size;
  gboolean (*issue) (gpointer state, const CubeTokenRequest *request, char **ret_token, gint64 *ret_expires_us, GError **error);
  /* Claims of a token that verifies for one of @audiences (NULL = API server): for TokenReview. (transfer full) user */
  gboolean (*review) (gpointer state, const char *token, const char *const *audiences, CubeUser **ret_user, char ***ret_audiences, GError **error);
  char *(*get_jwks) (gpointer state);          /* /openid/v1/jwks */
  char *(*get_openid_configuration) (gpointer state);
} CubeTokenIssuerOps;

/* ---- the chain, for front ends ---- */
/* Runs all authenticators. Nobody's credentials → CUBE_ERROR_UNAUTHORIZED. (transfer full) */
CUBE_EXPORT CubeUser *cube_authenticate (CubeRegistry *registry, const CubeCredentials *credentials, GError **error);
/* Runs all authorizers; CUBE_ERROR_FORBIDDEN in Kubernetes' words: pods is forbidden: User "x" cannot list resource "pods" in API group "" … */
CUBE_EXPORT gboolean cube_authorize (CubeRegistry *registry, const CubeAttributes *attributes, GError **error);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CubeUser, cube_user_unref)
CUBE_END_DECLS
