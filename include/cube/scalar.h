/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The scalar formats of the API: quantities, int-or-string, times, durations, names. No allocation unless said. */
#include <cube/value.h>
CUBE_BEGIN_DECLS
/* ---- quantity: exact decimal, mantissa × 10^scale or × 2^x; every value Kubernetes accepts ---- */
typedef enum { CUBE_QUANTITY_DECIMAL_SI, CUBE_QUANTITY_BINARY_SI, CUBE_QUANTITY_DECIMAL_EXPONENT } CubeQuantityFormat;
typedef struct {
  __int128 mantissa;
  gint16 scale; /* value = mantissa × 10^scale, scale in [-9, 18] */
  CubeQuantityFormat format;
} CubeQuantity;
CUBE_EXPORT gboolean cube_quantity_parse (const char *text, CubeQuantity *ret_quantity, GError **error);
CUBE_EXPORT gboolean cube_quantity_from_view (CubeView view, CubeQuantity *ret_quantity); /* string or number; FALSE if neither */
CUBE_EXPORT void cube_quantity_set_int (CubeQuantity *quantity, gint64 value, gint16 scale, CubeQuantityFormat format);
CUBE_EXPORT void cube_quantity_format (const CubeQuantity *quantity, char ret_text[64]); /* canonical form */
CUBE_EXPORT int cube_quantity_compare (const CubeQuantity *a, const CubeQuantity *b);
CUBE_EXPORT void cube_quantity_add (CubeQuantity *a, const CubeQuantity *b);
CUBE_EXPORT void cube_quantity_sub (CubeQuantity *a, const CubeQuantity *b);
CUBE_EXPORT gint64 cube_quantity_value (const CubeQuantity *quantity);  /* rounded up to units, saturating */
CUBE_EXPORT gint64 cube_quantity_millis (const CubeQuantity *quantity); /* rounded up to thousandths, saturating */
/* ---- int-or-string ("25%" or 3) ---- */
/* Kubernetes' GetScaledValueFromIntOrPercent. FALSE if neither an int nor a percentage. */
CUBE_EXPORT gboolean cube_int_or_percent (CubeView view, int total, gboolean round_up, int *ret_value);
/* ---- time: microseconds since the epoch ---- */
CUBE_EXPORT gboolean cube_time_parse (const char *rfc3339, gint64 *ret_us);
CUBE_EXPORT void cube_time_format (gint64 us, char ret_text[32]);        /* 2026-01-02T03:04:05Z */
CUBE_EXPORT void cube_time_format_micro (gint64 us, char ret_text[40]);  /* 2026-01-02T03:04:05.000006Z */
CUBE_EXPORT gboolean cube_duration_parse (const char *text, gint64 *ret_ns); /* Go: 1h2m3.5s */
CUBE_EXPORT void cube_duration_format (gint64 ns, char ret_text[40]);
CUBE_EXPORT void cube_duration_human (gint64 us, char ret_text[32]);    /* kubectl's AGE: 5m30s, 3d4h */
/* ---- names; NULL = fine, else Kubernetes' message (static) ---- */
CUBE_EXPORT const char *cube_name_check_dns1123_label (const char *text);
CUBE_EXPORT const char *cube_name_check_dns1123_subdomain (const char *text);
CUBE_EXPORT const char *cube_name_check_dns1035_label (const char *text);
CUBE_EXPORT const char *cube_name_check_path_segment (const char *text);
CUBE_EXPORT const char *cube_name_check_qualified (const char *text);   /* label and annotation keys, finalizers, resource names */
CUBE_EXPORT const char *cube_name_check_label_value (const char *text);
CUBE_EXPORT const char *cube_name_check_env_var (const char *text);
CUBE_EXPORT const char *cube_name_check_config_map_key (const char *text);
CUBE_EXPORT const char *cube_name_check_port_name (const char *text);   /* IANA_SVC_NAME */
/* Kubernetes' rand.String alphabet (bcdfghjklmnpqrstvwxz2456789) of random bits. */
CUBE_EXPORT void cube_name_suffix (guint64 random, guint n, char *ret_text /* n + 1 */);
CUBE_EXPORT void cube_uuid_format (guint64 hi, guint64 lo, char ret_text[37]); /* version 4 from random bits */
CUBE_EXPORT guint32 cube_hash_fnv32a (const void *data, gsize length, guint32 seed /* 0 = offset basis */);
CUBE_EXPORT void cube_name_safe_encode (const char *text, char *ret_text); /* Kubernetes' SafeEncodeString, same length */
CUBE_END_DECLS
