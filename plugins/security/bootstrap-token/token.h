/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A bootstrap token: ID.SECRET, six and sixteen of a-z and 0-9, and the Secret that holds it. No clock, no client. */
#include <cube/auth.h>

#define TOKEN_SECRET_TYPE "bootstrap.kubernetes.io/token"
#define TOKEN_SECRET_PREFIX "bootstrap-token-"
#define TOKEN_NAMESPACE "kube-system"
#define TOKEN_ID_LENGTH 6

/* FALSE: @text is no bootstrap token. */
gboolean token_split (const char *text, char ret_id[TOKEN_ID_LENGTH + 1], const char **ret_secret);
/* When the token of @secret ends, µs; G_MAXINT64 = never; G_MININT64 = it says so in no readable way. */
gint64 token_expiry_us (CubeView secret);
/* The user @id.@token_secret stands for by the Secret found for it. NULL with the reason. (transfer full) */
CubeUser *token_check (CubeView secret, const char *id, const char *token_secret, gint64 now_us, GError **error);
