/* SPDX-License-Identifier: Apache-2.0 */
#include "tokens.h"

#include <cube/scalar.h>
#include <string.h>

#define EXTENDED_SECONDS G_GINT64_CONSTANT (31536000)
#define PROJECTED_SECONDS 3607 /* what an injected volume asks for: old clients that never read it again get a year */
#define MIN_SECONDS 600
#define LEEWAY_SECONDS 60 /* for clocks that differ, and for objects that are just going */
#define MAX_CACHED 4096
#define SUB_PREFIX "system:serviceaccount:"

struct _Tokens {
  JwtKey *key;
  char *issuer;
  char **api_audiences;
  TokenSeams seams;
  GMutex lock;       /* over the cache */
  GHashTable *cache; /* SHA-256 of a token that verified → Claims */
};

/* Immutable, refcounted. */
typedef struct {
  gint ref_count;
  char *ns, *name, *uid, *jti;
  char *pod_name, *pod_uid, *node_name, *node_uid, *secret_name, *secret_uid; /* NULL = not bound */
  char **audiences;
  gint64 expires, not_before, issued;
} Claims;

static void
claims_unref (Claims *claims)
{
  if (claims == NULL || !g_atomic_int_dec_and_test (&claims->ref_count))
    return;
  g_free (claims->ns);
  g_free (claims->name);
  g_free (claims->uid);
  g_free (claims->jti);
  g_free (claims->pod_name);
  g_free (claims->pod_uid);
  g_free (claims->node_name);
  g_free (claims->node_uid);
  g_free (claims->secret_name);
  g_free (claims->secret_uid);
  g_strfreev (claims->audiences);
  g_free (claims);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Claims, claims_unref)

Tokens *
tokens_new (JwtKey *key, const char *issuer, const char *const *api_audiences, const TokenSeams *seams)
{
  Tokens *tokens = g_new0 (Tokens, 1);
  const char *const fallback[] = { issuer, NULL };

  tokens->key = key;
  tokens->issuer = g_strdup (issuer);
  tokens->api_audiences = g_strdupv ((char **) (api_audiences != NULL && api_audiences[0] != NULL ? api_audiences : fallback));
  tokens->seams = *seams;
  g_mutex_init (&tokens->lock);
  tokens->cache = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) claims_unref);
  return tokens;
}

void
tokens_free (Tokens *tokens)
{
  if (tokens == NULL)
    return;
  g_hash_table_unref (tokens->cache);
  g_mutex_clear (&tokens->lock);
  g_strfreev (tokens->api_audiences);
  g_free (tokens->issuer);
  jwt_key_free (tokens->key);
  g_free (tokens);
}

JwtKey *
tokens_key (Tokens *tokens)
{
  return tokens->key;
}

const char *
tokens_issuer (Tokens *tokens)
{
  return tokens->issuer;
}

static gint64
now_seconds (Tokens *tokens)
{
  return tokens->seams.now_us (tokens->seams.data) / G_USEC_PER_SEC;
}

/* ---- issuing ---- */

static void
set_reference (CubeMut *object, const char *key, const char *name, const char *uid)
{
  CubeMut *reference;

  if (name == NULL)
    return;
  reference = cube_mut_set_object (object, key);
  cube_mut_set_string (reference, "name", name);
  if (uid != NULL)
    cube_mut_set_string (reference, "uid", uid);
}

static gboolean
is_for_api (Tokens *tokens, const char *const *audiences)
{
  if (audiences == NULL || audiences[0] == NULL)
    return TRUE;
  for (; *audiences != NULL; audiences++)
    if (!g_strv_contains ((const char *const *) tokens->api_audiences, *audiences))
      return FALSE;
  return TRUE;
}

static void
fill_claims (Tokens *tokens, CubeMut *root, const CubeTokenRequest *request, gint64 now, gint64 expires, gint64 warn_after)
{
  const char *const *audiences =
      request->audiences != NULL && request->audiences[0] != NULL ? request->audiences : (const char *const *) tokens->api_audiences;
  CubeMut *list = cube_mut_set_array (root, "aud"), *kubernetes;
  g_autofree char *subject = g_strconcat (SUB_PREFIX, request->ns, ":", request->service_account, NULL);
  char jti[37];

  for (; *audiences != NULL; audiences++)
    cube_mut_append_string (list, *audiences);
  cube_uuid_format (tokens->seams.random (tokens->seams.data), tokens->seams.random (tokens->seams.data), jti);
  cube_mut_set_int (root, "exp", expires);
  cube_mut_set_int (root, "iat", now);
  cube_mut_set_string (root, "iss", tokens->issuer);
  cube_mut_set_string (root, "jti", jti);
  kubernetes = cube_mut_set_object (root, "kubernetes.io");
  cube_mut_set_string (kubernetes, "namespace", request->ns);
  set_reference (kubernetes, "node", request->node_name, request->node_uid);
  set_reference (kubernetes, "pod", request->pod_name, request->pod_uid);
  set_reference (kubernetes, "secret", request->secret_name, request->secret_uid);
  set_reference (kubernetes, "serviceaccount", request->service_account, request->service_account_uid);
  if (warn_after > 0)
    cube_mut_set_int (kubernetes, "warnafter", warn_after);
  cube_mut_set_int (root, "nbf", now);
  cube_mut_set_string (root, "sub", subject);
}

char *
tokens_issue (Tokens *tokens, const CubeTokenRequest *request, gint64 *ret_expires_us, GError **error)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  g_autoptr (CubeValue) claims = NULL;
  gint64 now = now_seconds (tokens), seconds = request->expiration_seconds;
  gboolean is_extended = seconds == PROJECTED_SECONDS && request->pod_name != NULL && is_for_api (tokens, request->audiences);
  char *token;

  if (seconds < MIN_SECONDS || seconds > (G_GINT64_CONSTANT (1) << 32))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "token of %s/%s: %" G_GINT64_FORMAT " seconds, wanted 600 to 2^32", request->ns,
                   request->service_account, seconds);
      return NULL;
    }
  fill_claims (tokens, cube_builder_root (builder), request, now, now + (is_extended ? EXTENDED_SECONDS : seconds),
               is_extended ? now + seconds : 0);
  claims = cube_builder_end (builder);
  token = jwt_sign (tokens->key, cube_value_root (claims), error);
  if (token != NULL)
    *ret_expires_us = (now + seconds) * G_USEC_PER_SEC;
  return token;
}

/* ---- reading claims ---- */

static gboolean
refuse (GError **error, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_UNAUTHORIZED, text);
  return FALSE;
}

static char **
read_audiences (CubeView view)
{
  GPtrArray *texts = g_ptr_array_new ();
  CubeIter it;
  CubeView element;

  if (cube_view_string (view) != NULL) /* RFC 7519 §4.1.3: one may stand alone */
    g_ptr_array_add (texts, g_strdup (cube_view_string (view)));
  else if (cube_view_type (view) == CUBE_VALUE_ARRAY)
    for (cube_iter_init (&it, view); cube_iter_next (&it, NULL, &element);)
      if (cube_view_string (element) != NULL)
        g_ptr_array_add (texts, g_strdup (cube_view_string (element)));
  g_ptr_array_add (texts, NULL);
  return (char **) g_ptr_array_free (texts, FALSE);
}

static void
read_reference (CubeView kubernetes, const char *key, char **ret_name, char **ret_uid)
{
  CubeView reference = cube_view_member (kubernetes, key);

  *ret_name = g_strdup (cube_view_string (cube_view_member (reference, "name")));
  *ret_uid = g_strdup (cube_view_string (cube_view_member (reference, "uid")));
}

/* NULL: the private claims are not those of an account, or the subject says something else. */
static Claims *
read_claims (CubeView root)
{
  g_autoptr (Claims) claims = g_new0 (Claims, 1);
  CubeView kubernetes = cube_view_member (root, "kubernetes.io");
  g_autofree char *subject = NULL;

  claims->ref_count = 1;
  claims->ns = g_strdup (cube_view_string (cube_view_member (kubernetes, "namespace")));
  read_reference (kubernetes, "serviceaccount", &claims->name, &claims->uid);
  read_reference (kubernetes, "pod", &claims->pod_name, &claims->pod_uid);
  read_reference (kubernetes, "node", &claims->node_name, &claims->node_uid);
  read_reference (kubernetes, "secret", &claims->secret_name, &claims->secret_uid);
  claims->jti = g_strdup (cube_view_string (cube_view_member (root, "jti")));
  claims->audiences = read_audiences (cube_view_member (root, "aud"));
  claims->expires = cube_view_int (cube_view_member (root, "exp"), G_MININT64); /* none = expired */
  claims->not_before = cube_view_int (cube_view_member (root, "nbf"), G_MAXINT64);
  claims->issued = cube_view_int (cube_view_member (root, "iat"), G_MAXINT64);
  if (claims->ns == NULL || claims->name == NULL || claims->uid == NULL || *claims->ns == '\0' || *claims->name == '\0')
    return NULL;
  subject = g_strconcat (SUB_PREFIX, claims->ns, ":", claims->name, NULL);
  return g_strcmp0 (cube_view_string (cube_view_member (root, "sub")), subject) == 0 ? g_steal_pointer (&claims) : NULL;
}

static Claims *
look_up_cached (Tokens *tokens, const char *digest)
{
  Claims *claims;

  g_mutex_lock (&tokens->lock);
  claims = g_hash_table_lookup (tokens->cache, digest);
  if (claims != NULL)
    g_atomic_int_inc (&claims->ref_count);
  g_mutex_unlock (&tokens->lock);
  return claims;
}

/* Only what we signed ourselves gets here, so a stranger cannot make it grow. */
static void
remember (Tokens *tokens, const char *digest, Claims *claims)
{
  g_atomic_int_inc (&claims->ref_count);
  g_mutex_lock (&tokens->lock);
  if (g_hash_table_size (tokens->cache) >= MAX_CACHED)
    g_hash_table_remove_all (tokens->cache);
  g_hash_table_replace (tokens->cache, g_strdup (digest), claims);
  g_mutex_unlock (&tokens->lock);
}

/* TRUE with *ret_claims NULL: somebody else's token. */
static gboolean
verify (Tokens *tokens, const char *token, Claims **ret_claims, GError **error)
{
  g_autofree char *digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, token, -1);
  g_autoptr (CubeValue) value = NULL;

  *ret_claims = look_up_cached (tokens, digest);
  if (*ret_claims != NULL)
    return TRUE;
  value = jwt_peek (token);
  if (value == NULL || g_strcmp0 (cube_view_string (cube_value_get (value, "iss")), tokens->issuer) != 0)
    return TRUE;
  if (!jwt_verify (tokens->key, token, error))
    return FALSE;
  *ret_claims = read_claims (cube_value_root (value));
  if (*ret_claims == NULL)
    return refuse (error, "invalid bearer token: not the claims of a service account");
  remember (tokens, digest, *ret_claims);
  return TRUE;
}

/* ---- are they good now? ---- */

static gboolean
check_time (Tokens *tokens, const Claims *claims, GError **error)
{
  gint64 now = now_seconds (tokens);

  if (now >= claims->expires)
    return refuse (error, "service account token has expired");
  if (claims->not_before > now + LEEWAY_SECONDS)
    return refuse (error, "service account token is not valid yet");
  return claims->issued <= now + LEEWAY_SECONDS || refuse (error, "service account token is issued in the future");
}

/* @what as Kubernetes names it in the mismatch; "" = the account itself. */
static gboolean
check_object (Tokens *tokens, const Claims *claims, const char *resource, const char *what, const char *name, const char *uid,
              GError **error)
{
  g_autofree char *found = NULL;
  gint64 deletion_us = 0;
  gboolean is_account = *what == '\0', is_node = g_str_equal (what, "node");
  TokenObjectState state;

  if (name == NULL)
    return TRUE;
  state = tokens->seams.look_up (tokens->seams.data, resource, is_node ? "" : claims->ns, name, &found, &deletion_us);
  if (state == TOKEN_OBJECT_UNKNOWN)
    return refuse (error, "service account token: cannot look up %s \"%s\"", resource, name);
  if (state == TOKEN_OBJECT_ABSENT)
    return is_account ? refuse (error, "service account %s/%s has been deleted", claims->ns, name)
                      : refuse (error, "service account token has been invalidated");
  if (deletion_us > 0 && deletion_us / G_USEC_PER_SEC + LEEWAY_SECONDS < now_seconds (tokens))
    return is_account ? refuse (error, "service account %s/%s has been deleted", claims->ns, name)
                      : refuse (error, "service account token has been invalidated");
  if (g_strcmp0 (found, uid) == 0)
    return TRUE;
  return is_account
             ? refuse (error, "service account UID (%s) does not match claim (%s)", found, uid)
             : refuse (error, "%s UID (%s) does not match service account %s ref claim (%s)", what, found, what, uid != NULL ? uid : "");
}

static gboolean
check_bound (Tokens *tokens, const Claims *claims, GError **error)
{
  return check_object (tokens, claims, "serviceaccounts", "", claims->name, claims->uid, error)
         && check_object (tokens, claims, "secrets", "secret", claims->secret_name, claims->secret_uid, error)
         && check_object (tokens, claims, "pods", "pod", claims->pod_name, claims->pod_uid, error)
         /* a pod's node is information, a token's own node is a bond */
         && (claims->pod_name != NULL || check_object (tokens, claims, "nodes", "node", claims->node_name, claims->node_uid, error));
}

static char **
common_audiences (const Claims *claims, const char *const *wanted)
{
  GPtrArray *common = g_ptr_array_new ();

  for (; *wanted != NULL; wanted++)
    if (g_strv_contains ((const char *const *) claims->audiences, *wanted))
      g_ptr_array_add (common, g_strdup (*wanted));
  g_ptr_array_add (common, NULL);
  return (char **) g_ptr_array_free (common, FALSE);
}

static gboolean
check_audiences (Tokens *tokens, const Claims *claims, const char *const *audiences, char ***ret_common, GError **error)
{
  const char *const *wanted = audiences != NULL && audiences[0] != NULL ? audiences : (const char *const *) tokens->api_audiences;
  char **common = common_audiences (claims, wanted);
  g_autofree char *found = NULL, *asked = NULL;

  if (common[0] != NULL)
    {
      *ret_common = common;
      return TRUE;
    }
  g_strfreev (common);
  found = g_strjoinv ("\" \"", claims->audiences);
  asked = g_strjoinv ("\" \"", (char **) wanted);
  return refuse (error, "token audiences [\"%s\"] is invalid for the target audiences [\"%s\"]", found, asked);
}

static void
add_extra (CubeUser *user, const char *key, const char *prefix, const char *value)
{
  char **values;

  if (value == NULL)
    return;
  values = g_new0 (char *, 2);
  values[0] = g_strconcat (prefix, value, NULL);
  g_hash_table_insert (user->extra, g_strconcat ("authentication.kubernetes.io/", key, NULL), values);
}

static CubeUser *
make_user (const Claims *claims)
{
  g_autofree char *name = g_strconcat (SUB_PREFIX, claims->ns, ":", claims->name, NULL);
  g_autofree char *of_namespace = g_strconcat ("system:serviceaccounts:", claims->ns, NULL);
  const char *const groups[] = { "system:serviceaccounts", of_namespace, "system:authenticated", NULL };
  CubeUser *user = cube_user_new (name, claims->uid, groups);

  user->extra = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_strfreev);
  add_extra (user, "credential-id", "JTI=", claims->jti);
  add_extra (user, "pod-name", "", claims->pod_name);
  add_extra (user, "pod-uid", "", claims->pod_uid);
  add_extra (user, "node-name", "", claims->node_name);
  add_extra (user, "node-uid", "", claims->node_uid);
  return user;
}

gboolean
tokens_check (Tokens *tokens, const char *token, const char *const *audiences, CubeUser **ret_user, char ***ret_audiences, GError **error)
{
  g_autoptr (Claims) claims = NULL;
  g_auto (GStrv) common = NULL;

  *ret_user = NULL;
  if (!verify (tokens, token, &claims, error))
    return FALSE;
  if (claims == NULL)
    return TRUE;
  if (!check_audiences (tokens, claims, audiences, &common, error) || !check_time (tokens, claims, error)
      || !check_bound (tokens, claims, error))
    return FALSE;
  *ret_user = make_user (claims);
  if (ret_audiences != NULL)
    *ret_audiences = g_steal_pointer (&common);
  return TRUE;
}
