/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* JSON Web Tokens as far as they are needed: ES256, compact form (RFC 7515, RFC 7519). The reader takes hostile input. */
#include <cube/value.h>

typedef struct _JwtKey JwtKey;

/* @path NULL: a key that is not kept. Made at first use (0600). */
JwtKey *jwt_key_open (const char *path, GError **error);
void jwt_key_free (JwtKey *key);
const char *jwt_key_id (const JwtKey *key);  /* base64url of the SHA-256 of the public key in DER */
char *jwt_key_to_jwks (const JwtKey *key);   /* a JWK set. (transfer full) */
char *jwt_sign (JwtKey *key, CubeView claims, GError **error);
/* The claims of @token, signature not looked at yet; NULL when it is no such thing at all. (transfer full) */
CubeValue *jwt_peek (const char *token);
/* TRUE if @token is signed by @key: alg and kid must be the key's own. */
gboolean jwt_verify (JwtKey *key, const char *token, GError **error);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (JwtKey, jwt_key_free)
