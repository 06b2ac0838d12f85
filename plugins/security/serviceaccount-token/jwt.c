/* SPDX-License-Identifier: Apache-2.0 */
#include "jwt.h"

#include "pki.h"

#include <cube/error.h>
#include <gnutls/crypto.h>
#include <string.h>

#define TOKEN_LIMIT 16384
#define HEADER_LIMIT 1024
#define COORDINATE 32 /* bytes of P-256 */

struct _JwtKey {
  gnutls_privkey_t private_key;
  gnutls_pubkey_t public_key;
  char *id, *x, *y;
};

/* ---- the key ---- */

/* Writes an unsigned number without its leading zeros into exactly COORDINATE bytes. */
static gboolean
to_fixed (const gnutls_datum_t *number, guint8 *out)
{
  const guint8 *data = number->data;
  guint n = number->size;

  for (; n > 0 && *data == 0; data++, n--)
    ;
  if (n > COORDINATE)
    return FALSE;
  memset (out, 0, COORDINATE - n);
  if (n > 0)
    memcpy (out + COORDINATE - n, data, n);
  return TRUE;
}

static char *
coordinate_text (gnutls_datum_t *number)
{
  guint8 fixed[COORDINATE];
  char *text = to_fixed (number, fixed) ? pki_base64url (fixed, COORDINATE) : NULL;

  gnutls_free (number->data);
  return text;
}

static int
fill_public (JwtKey *key)
{
  gnutls_datum_t der = { NULL, 0 }, x = { NULL, 0 }, y = { NULL, 0 };
  gnutls_ecc_curve_t curve;
  guint8 digest[32];
  int code = gnutls_pubkey_export2 (key->public_key, GNUTLS_X509_FMT_DER, &der);

  if (code >= 0)
    code = gnutls_hash_fast (GNUTLS_DIG_SHA256, der.data, der.size, digest);
  if (code >= 0)
    key->id = pki_base64url (digest, sizeof digest);
  gnutls_free (der.data);
  if (code >= 0)
    code = gnutls_pubkey_export_ecc_raw (key->public_key, &curve, &x, &y);
  if (code < 0)
    return code;
  key->x = coordinate_text (&x);
  key->y = coordinate_text (&y);
  return curve == GNUTLS_ECC_CURVE_SECP256R1 && key->x != NULL && key->y != NULL ? 0 : GNUTLS_E_ECC_UNSUPPORTED_CURVE;
}

JwtKey *
jwt_key_open (const char *path, GError **error)
{
  g_auto (gnutls_x509_privkey_t) loaded = pki_key_load_or_make (path, error);
  g_autoptr (JwtKey) key = NULL;
  int code;

  if (loaded == NULL)
    return NULL;
  key = g_new0 (JwtKey, 1);
  code = gnutls_privkey_init (&key->private_key);
  if (code >= 0)
    code = gnutls_privkey_import_x509 (key->private_key, loaded, GNUTLS_PRIVKEY_IMPORT_COPY);
  if (code >= 0)
    code = gnutls_pubkey_init (&key->public_key);
  if (code >= 0)
    code = gnutls_pubkey_import_privkey (key->public_key, key->private_key, 0, 0);
  if (code >= 0)
    code = fill_public (key);
  if (code >= 0)
    return g_steal_pointer (&key);
  pki_fail (error, code, path != NULL ? path : "signing key");
  g_prefix_error (error, "wanted an ECDSA P-256 key: ");
  return NULL;
}

void
jwt_key_free (JwtKey *key)
{
  if (key == NULL)
    return;
  g_clear_pointer (&key->private_key, gnutls_privkey_deinit);
  g_clear_pointer (&key->public_key, gnutls_pubkey_deinit);
  g_free (key->id);
  g_free (key->x);
  g_free (key->y);
  g_free (key);
}

const char *
jwt_key_id (const JwtKey *key)
{
  return key->id;
}

char *
jwt_key_to_jwks (const JwtKey *key)
{
  return g_strdup_printf (
      "{\"keys\":[{\"use\":\"sig\",\"kty\":\"EC\",\"kid\":\"%s\",\"crv\":\"P-256\",\"alg\":\"ES256\",\"x\":\"%s\",\"y\":\"%s\"}]}", key->id,
      key->x, key->y);
}

/* ---- writing ---- */

/* RFC 7518 §3.4: the two numbers in 32 bytes each, not DER. */
static char *
sign_text (JwtKey *key, const char *text, GError **error)
{
  gnutls_datum_t data = { (guchar *) text, (guint) strlen (text) }, der = { NULL, 0 }, r = { NULL, 0 }, s = { NULL, 0 };
  guint8 raw[2 * COORDINATE];
  int code = gnutls_privkey_sign_data2 (key->private_key, GNUTLS_SIGN_ECDSA_SHA256, 0, &data, &der);

  if (code >= 0)
    code = gnutls_decode_rs_value (&der, &r, &s);
  if (code >= 0 && (!to_fixed (&r, raw) || !to_fixed (&s, raw + COORDINATE)))
    code = GNUTLS_E_INTERNAL_ERROR;
  gnutls_free (der.data);
  gnutls_free (r.data);
  gnutls_free (s.data);
  if (code >= 0)
    return pki_base64url (raw, sizeof raw);
  pki_fail (error, code, "cannot sign a token");
  return NULL;
}

char *
jwt_sign (JwtKey *key, CubeView claims, GError **error)
{
  g_autofree char *header = g_strdup_printf ("{\"alg\":\"ES256\",\"kid\":\"%s\"}", key->id), *payload = NULL, *signature = NULL,
                  *text = NULL;
  g_autofree char *head = pki_base64url (header, strlen (header)), *body = NULL;
  gsize length = 0;

  payload = cube_view_to_json (claims, &length);
  body = pki_base64url (payload, length);
  text = g_strconcat (head, ".", body, NULL);
  signature = sign_text (key, text, error);
  return signature != NULL ? g_strconcat (text, ".", signature, NULL) : NULL;
}

/* ---- reading ---- */

typedef struct {
  gsize header, payload, signature; /* lengths in characters */
} Parts;

/* Three parts, two dots, at most TOKEN_LIMIT characters. */
static gboolean
split (const char *token, Parts *parts)
{
  gsize length = strnlen (token, TOKEN_LIMIT + 1);
  const char *first = length <= TOKEN_LIMIT ? strchr (token, '.') : NULL, *second = first != NULL ? strchr (first + 1, '.') : NULL;

  if (second == NULL || strchr (second + 1, '.') != NULL)
    return FALSE;
  parts->header = (gsize) (first - token);
  parts->payload = (gsize) (second - first - 1);
  parts->signature = length - parts->header - parts->payload - 2;
  return parts->header > 0 && parts->payload > 0;
}

/* An object without doubled keys: a doubled one could mean one thing here and another elsewhere. */
static CubeValue *
read_object (const char *text, gsize length, gsize max)
{
  CubeParseLimits limits = { .max_bytes = max, .max_depth = 8, .max_nodes = 1024 };
  gsize n = 0;
  g_autofree guint8 *data = pki_base64url_decode (text, length, max, &n);
  g_autoptr (CubeValue) value = data != NULL ? cube_value_from_json ((const char *) data, (gssize) n, &limits, NULL) : NULL;
  g_auto (GStrv) doubled = NULL;

  if (value == NULL || cube_view_type (cube_value_root (value)) != CUBE_VALUE_OBJECT)
    return NULL;
  doubled = cube_value_duplicate_keys (value);
  return doubled == NULL ? g_steal_pointer (&value) : NULL;
}

CubeValue *
jwt_peek (const char *token)
{
  Parts parts;

  return split (token, &parts) ? read_object (token + parts.header + 1, parts.payload, TOKEN_LIMIT) : NULL;
}

static gboolean
refuse (GError **error, const char *why)
{
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_UNAUTHORIZED, "invalid bearer token: %s", why);
  return FALSE;
}

static gboolean
check_header (const JwtKey *key, const char *token, const Parts *parts, GError **error)
{
  g_autoptr (CubeValue) header = read_object (token, parts->header, HEADER_LIMIT);
  const char *alg, *kid;

  if (header == NULL)
    return refuse (error, "unreadable header");
  alg = cube_view_string (cube_value_get (header, "alg"));
  kid = cube_view_string (cube_value_get (header, "kid"));
  if (g_strcmp0 (alg, "ES256") != 0)
    return refuse (error, "algorithm is not ES256");
  if (cube_view_exists (cube_value_get (header, "crit")))
    return refuse (error, "critical header extensions");
  return g_strcmp0 (kid, key->id) == 0 || refuse (error, "signed with another key");
}

gboolean
jwt_verify (JwtKey *key, const char *token, GError **error)
{
  Parts parts;
  gsize n = 0;
  g_autofree guint8 *raw = NULL;
  gnutls_datum_t r, s, der = { NULL, 0 }, data;
  int code;

  if (!split (token, &parts))
    return refuse (error, "not three parts");
  if (!check_header (key, token, &parts, error))
    return FALSE;
  raw = pki_base64url_decode (token + parts.header + parts.payload + 2, parts.signature, 2 * COORDINATE, &n);
  if (raw == NULL || n != 2 * COORDINATE)
    return refuse (error, "unreadable signature");
  r = (gnutls_datum_t){ raw, COORDINATE };
  s = (gnutls_datum_t){ raw + COORDINATE, COORDINATE };
  data = (gnutls_datum_t){ (guchar *) token, (guint) (parts.header + 1 + parts.payload) };
  code = gnutls_encode_rs_value (&der, &r, &s);
  if (code >= 0)
    code = gnutls_pubkey_verify_data2 (key->public_key, GNUTLS_SIGN_ECDSA_SHA256, 0, &data, &der);
  gnutls_free (der.data);
  return code >= 0 || refuse (error, "wrong signature");
}
