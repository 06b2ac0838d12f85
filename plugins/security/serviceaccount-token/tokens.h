/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Service-account tokens: claims, their rules and the objects they are bound to. Clock, randomness and objects are handed in. */
#include "jwt.h"

#include <cube/auth.h>

typedef enum { TOKEN_OBJECT_ABSENT = 0, TOKEN_OBJECT_PRESENT, TOKEN_OBJECT_UNKNOWN } TokenObjectState;
typedef struct {
  gint64 (*now_us) (gpointer data);
  guint64 (*random) (gpointer data);
  /* @resource "serviceaccounts" "pods" "secrets" "nodes". @ret_uid (transfer full); @ret_deletion_us 0 = not being deleted. Must not block. */
  TokenObjectState (*look_up) (gpointer data, const char *resource, const char *ns, const char *name, char **ret_uid, gint64 *ret_deletion_us);
  gpointer data;
} TokenSeams;

typedef struct _Tokens Tokens;

/* @api_audiences NULL-terminated; NULL or empty = the issuer. Takes over @key. */
Tokens *tokens_new (JwtKey *key, const char *issuer, const char *const *api_audiences, const TokenSeams *seams);
void tokens_free (Tokens *tokens);
char *tokens_issue (Tokens *tokens, const CubeTokenRequest *request, gint64 *ret_expires_us, GError **error);
/* TRUE with *ret_user NULL: not one of ours. @audiences NULL = the API server's. @ret_audiences (nullable) (transfer full): which of them it is for. */
gboolean tokens_check (Tokens *tokens, const char *token, const char *const *audiences, CubeUser **ret_user, char ***ret_audiences, GError **error);
JwtKey *tokens_key (Tokens *tokens);
const char *tokens_issuer (Tokens *tokens);
