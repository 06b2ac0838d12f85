/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Content negotiation: what the Accept header asks for, what a body is. */
#include <cube/client.h>

typedef enum { HTTP_ENCODING_JSON = 0, HTTP_ENCODING_YAML, HTTP_ENCODING_PROTOBUF /* bodies only */ } HttpEncoding;
typedef enum { HTTP_SHAPE_PLAIN = 0, HTTP_SHAPE_TABLE, HTTP_SHAPE_PARTIAL, HTTP_SHAPE_PARTIAL_LIST } HttpShape;

typedef struct {
  HttpEncoding encoding;
  HttpShape shape;
  gboolean is_pretty;
  gboolean is_aggregated_discovery; /* g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList */
} HttpFormat;

/* @accept NULL or "" = anything → JSON. @is_discovery: /api and /apis, where the aggregated form is on offer instead of tables.
 * Errors: CUBE_ERROR_NOT_ACCEPTABLE. */
gboolean http_negotiate (const char *accept, gboolean is_discovery, HttpFormat *ret_format, GError **error);
/* Of a request body; NULL = JSON. Errors: CUBE_ERROR_UNSUPPORTED_MEDIA_TYPE. */
gboolean http_body_encoding (const char *content_type, HttpEncoding *ret_encoding, GError **error);
gboolean http_patch_type (const char *content_type, gboolean is_custom, CubePatchType *ret_type, GError **error);
/* @name is offered with q > 0 in an Accept-Encoding list. */
gboolean http_accepts_coding (const char *accept_encoding, const char *name);
const char *http_format_content_type (const HttpFormat *format);
