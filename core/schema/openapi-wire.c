/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenAPI v2 document as protobuf (gnostic's openapi.v2.Document), the only form in which Go's discovery client reads it: kubectl to check
 * manifests and to know patches' merge keys. The JSON document is walked with the tables below, so that both forms say the same.
 * Source: OpenAPIv2.proto of gnostic-models (field numbers). */
#include "openapi.h"

#define MAX_DEPTH 128

typedef enum {
  WIRE_STRING,
  WIRE_BOOL,
  WIRE_INT,
  WIRE_DOUBLE,
  WIRE_STRINGS,   /* repeated string */
  WIRE_TYPE,      /* TypeItem: message of repeated strings in field 1; here always one string */
  WIRE_ANY,       /* Any: YAML text in field 2 */
  WIRE_ANYS,      /* repeated Any */
  WIRE_MESSAGE,   /* of @message */
  WIRE_MESSAGES,  /* repeated, of @message */
  WIRE_WRAPPED,   /* a message with @message in field 1 */
  WIRE_EITHER,    /* AdditionalPropertiesItem: @message in field 1 or a bool in field 2 */
  WIRE_PARAMETERS /* repeated ParametersItem */
} WireKind;

typedef struct _WireMessage WireMessage;
typedef struct {
  const char *name;
  guint number;
  WireKind kind;
  const WireMessage *message;
} WireField;

struct _WireMessage {
  const WireField *fields; /* ends with name NULL */
  guint extensions;        /* number of the repeated NamedAny for "x-…"; 0 = none */
  /* A map: every other member is a message {name = 1, value = 2} in this field, its value of @named, */
  guint names;
  const WireMessage *named;
  gboolean is_wrapped; /* which lies in field 1 of one more message. */
};

static const WireMessage schema_message, path_message, operation_message, response_message, properties_message;

static const WireField schema_fields[] = {
  { "$ref", 1, WIRE_STRING, NULL },
  { "format", 2, WIRE_STRING, NULL },
  { "title", 3, WIRE_STRING, NULL },
  { "description", 4, WIRE_STRING, NULL },
  { "default", 5, WIRE_ANY, NULL },
  { "multipleOf", 6, WIRE_DOUBLE, NULL },
  { "maximum", 7, WIRE_DOUBLE, NULL },
  { "exclusiveMaximum", 8, WIRE_BOOL, NULL },
  { "minimum", 9, WIRE_DOUBLE, NULL },
  { "exclusiveMinimum", 10, WIRE_BOOL, NULL },
  { "maxLength", 11, WIRE_INT, NULL },
  { "minLength", 12, WIRE_INT, NULL },
  { "pattern", 13, WIRE_STRING, NULL },
  { "maxItems", 14, WIRE_INT, NULL },
  { "minItems", 15, WIRE_INT, NULL },
  { "uniqueItems", 16, WIRE_BOOL, NULL },
  { "maxProperties", 17, WIRE_INT, NULL },
  { "minProperties", 18, WIRE_INT, NULL },
  { "required", 19, WIRE_STRINGS, NULL },
  { "enum", 20, WIRE_ANYS, NULL },
  { "additionalProperties", 21, WIRE_EITHER, &schema_message },
  { "type", 22, WIRE_TYPE, NULL },
  { "items", 23, WIRE_WRAPPED, &schema_message },
  { "allOf", 24, WIRE_MESSAGES, &schema_message },
  { "properties", 25, WIRE_MESSAGE, &properties_message },
  { "example", 30, WIRE_ANY, NULL },
  { NULL, 0, 0, NULL },
};
static const WireMessage schema_message = { .fields = schema_fields, .extensions = 31 };

static const WireField no_fields[] = { { NULL, 0, 0, NULL } };
static const WireMessage properties_message = { .fields = no_fields, .names = 1, .named = &schema_message };

static const WireField info_fields[] = {
  { "title", 1, WIRE_STRING, NULL }, { "version", 2, WIRE_STRING, NULL }, { "description", 3, WIRE_STRING, NULL }, { NULL, 0, 0, NULL }
};
static const WireMessage info_message = { .fields = info_fields, .extensions = 7 };

static const WireField response_fields[] = { { "description", 1, WIRE_STRING, NULL },
                                             { "schema", 2, WIRE_WRAPPED, &schema_message },
                                             { NULL, 0, 0, NULL } };
static const WireMessage response_message = { .fields = response_fields, .extensions = 5 };
static const WireMessage responses_message = {
  .fields = no_fields, .extensions = 2, .names = 1, .named = &response_message, .is_wrapped = TRUE
};

static const WireField body_fields[] = { { "description", 1, WIRE_STRING, NULL },
                                         { "name", 2, WIRE_STRING, NULL },
                                         { "in", 3, WIRE_STRING, NULL },
                                         { "required", 4, WIRE_BOOL, NULL },
                                         { "schema", 5, WIRE_MESSAGE, &schema_message },
                                         { NULL, 0, 0, NULL } };
static const WireMessage body_message = { .fields = body_fields, .extensions = 6 };

static const WireField query_fields[] = { { "required", 1, WIRE_BOOL, NULL },      { "in", 2, WIRE_STRING, NULL },
                                          { "description", 3, WIRE_STRING, NULL }, { "name", 4, WIRE_STRING, NULL },
                                          { "type", 6, WIRE_STRING, NULL },        { "format", 7, WIRE_STRING, NULL },
                                          { "uniqueItems", 20, WIRE_BOOL, NULL },  { NULL, 0, 0, NULL } };
static const WireMessage query_message = { .fields = query_fields, .extensions = 23 };

static const WireField path_parameter_fields[] = { { "required", 1, WIRE_BOOL, NULL },      { "in", 2, WIRE_STRING, NULL },
                                                   { "description", 3, WIRE_STRING, NULL }, { "name", 4, WIRE_STRING, NULL },
                                                   { "type", 5, WIRE_STRING, NULL },        { "format", 6, WIRE_STRING, NULL },
                                                   { "uniqueItems", 19, WIRE_BOOL, NULL },  { NULL, 0, 0, NULL } };
static const WireMessage path_parameter_message = { .fields = path_parameter_fields, .extensions = 22 };

static const WireField operation_fields[] = {
  { "description", 3, WIRE_STRING, NULL },    { "operationId", 5, WIRE_STRING, NULL },
  { "produces", 6, WIRE_STRINGS, NULL },      { "consumes", 7, WIRE_STRINGS, NULL },
  { "parameters", 8, WIRE_PARAMETERS, NULL }, { "responses", 9, WIRE_MESSAGE, &responses_message },
  { "deprecated", 11, WIRE_BOOL, NULL },      { NULL, 0, 0, NULL }
};
static const WireMessage operation_message = { .fields = operation_fields, .extensions = 13 };

static const WireField path_fields[] = { { "get", 2, WIRE_MESSAGE, &operation_message },
                                         { "put", 3, WIRE_MESSAGE, &operation_message },
                                         { "post", 4, WIRE_MESSAGE, &operation_message },
                                         { "delete", 5, WIRE_MESSAGE, &operation_message },
                                         { "options", 6, WIRE_MESSAGE, &operation_message },
                                         { "head", 7, WIRE_MESSAGE, &operation_message },
                                         { "patch", 8, WIRE_MESSAGE, &operation_message },
                                         { "parameters", 9, WIRE_PARAMETERS, NULL },
                                         { NULL, 0, 0, NULL } };
static const WireMessage path_message = { .fields = path_fields, .extensions = 10 };
static const WireMessage paths_message = { .fields = no_fields, .extensions = 1, .names = 2, .named = &path_message };

static const WireField document_fields[] = { { "swagger", 1, WIRE_STRING, NULL },
                                             { "info", 2, WIRE_MESSAGE, &info_message },
                                             { "paths", 8, WIRE_MESSAGE, &paths_message },
                                             { "definitions", 9, WIRE_MESSAGE, &properties_message },
                                             { NULL, 0, 0, NULL } };
static const WireMessage document_message = { .fields = document_fields, .extensions = 16 };

/* ---- the wire ---- */

static void
put_varint (GByteArray *out, guint64 value)
{
  guint8 bytes[10];
  guint n = 0;
  for (; value >= 0x80; value >>= 7)
    bytes[n++] = (guint8) (value | 0x80);
  bytes[n++] = (guint8) value;
  g_byte_array_append (out, bytes, n);
}

static void
put_bytes (GByteArray *out, guint number, const void *bytes, gsize length)
{
  put_varint (out, (guint64) number << 3 | 2);
  put_varint (out, length);
  g_byte_array_append (out, bytes, (guint) length);
}

static void
put_string (GByteArray *out, guint number, const char *text)
{
  put_bytes (out, number, text, strlen (text));
}

static void
put_bool (GByteArray *out, guint number, gboolean truth)
{
  put_varint (out, (guint64) number << 3);
  put_varint (out, truth ? 1 : 0);
}

static void
put_double (GByteArray *out, guint number, double value)
{
  guint64 bits;
  memcpy (&bits, &value, sizeof bits);
  bits = GUINT64_TO_LE (bits);
  put_varint (out, (guint64) number << 3 | 1);
  g_byte_array_append (out, (const guint8 *) &bits, sizeof bits);
}

static void put_message (GByteArray *out, guint number, const WireMessage *message, CubeView view, guint depth);

/* JSON is YAML. */
static void
put_any (GByteArray *out, guint number, CubeView view)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GByteArray) any = g_byte_array_new ();
  cube_view_append_json (view, text);
  put_bytes (any, 2, text->str, text->len);
  put_bytes (out, number, any->data, any->len);
}

static void
put_named_any (GByteArray *out, guint number, const char *name, CubeView view)
{
  g_autoptr (GByteArray) named = g_byte_array_new ();
  put_string (named, 1, name);
  put_any (named, 2, view);
  put_bytes (out, number, named->data, named->len);
}

static void
put_wrapped (GByteArray *out, guint number, guint inner, const WireMessage *message, CubeView view, guint depth)
{
  g_autoptr (GByteArray) wrapper = g_byte_array_new ();
  put_message (wrapper, inner, message, view, depth);
  put_bytes (out, number, wrapper->data, wrapper->len);
}

static void
put_named (GByteArray *out, const WireMessage *map, const char *name, CubeView view, guint depth)
{
  g_autoptr (GByteArray) named = g_byte_array_new ();
  put_string (named, 1, name);
  if (map->is_wrapped)
    put_wrapped (named, 2, 1, map->named, view, depth);
  else
    put_message (named, 2, map->named, view, depth);
  put_bytes (out, map->names, named->data, named->len);
}

/* ParametersItem { Parameter { BodyParameter, or NonBodyParameter { of its place } } } */
static void
put_parameter (GByteArray *out, guint number, CubeView view, guint depth)
{
  g_autoptr (GByteArray) parameter = g_byte_array_new (), item = g_byte_array_new ();
  const char *place = cube_view_get_string (view, "in");
  if (g_strcmp0 (place, "body") == 0)
    put_message (parameter, 1, &body_message, view, depth);
  else if (g_strcmp0 (place, "path") == 0)
    put_wrapped (parameter, 2, 4, &path_parameter_message, view, depth);
  else
    put_wrapped (parameter, 2, 3, &query_message, view, depth);
  put_bytes (item, 1, parameter->data, parameter->len);
  put_bytes (out, number, item->data, item->len);
}

static void
put_list (GByteArray *out, const WireField *field, CubeView view, guint depth)
{
  CubeIter iter;
  CubeView element;
  cube_iter_init (&iter, view);
  while (cube_iter_next (&iter, NULL, &element))
    if (field->kind == WIRE_STRINGS)
      put_string (out, field->number, cube_view_string_or (element, ""));
    else if (field->kind == WIRE_ANYS)
      put_any (out, field->number, element);
    else if (field->kind == WIRE_PARAMETERS)
      put_parameter (out, field->number, element, depth);
    else
      put_message (out, field->number, field->message, element, depth);
}

static void
put_type (GByteArray *out, guint number, CubeView view)
{
  g_autoptr (GByteArray) item = g_byte_array_new ();
  put_string (item, 1, cube_view_string_or (view, ""));
  put_bytes (out, number, item->data, item->len);
}

static void
put_field (GByteArray *out, const WireField *field, CubeView view, guint depth)
{
  switch (field->kind)
    {
    case WIRE_STRING: put_string (out, field->number, cube_view_string_or (view, "")); break;
    case WIRE_BOOL: put_bool (out, field->number, cube_view_bool (view, FALSE)); break;
    case WIRE_INT:
      put_varint (out, (guint64) field->number << 3);
      put_varint (out, (guint64) cube_view_int (view, 0));
      break;
    case WIRE_DOUBLE: put_double (out, field->number, cube_view_double (view, 0)); break;
    case WIRE_TYPE: put_type (out, field->number, view); break;
    case WIRE_ANY: put_any (out, field->number, view); break;
    case WIRE_MESSAGE: put_message (out, field->number, field->message, view, depth); break;
    case WIRE_WRAPPED: put_wrapped (out, field->number, 1, field->message, view, depth); break;
    case WIRE_EITHER:
      if (cube_view_type (view) == CUBE_VALUE_BOOL)
        {
          g_autoptr (GByteArray) item = g_byte_array_new ();
          put_bool (item, 2, cube_view_bool (view, FALSE));
          put_bytes (out, field->number, item->data, item->len);
        }
      else
        put_wrapped (out, field->number, 1, field->message, view, depth);
      break;
    default: put_list (out, field, view, depth); break;
    }
}

static void
put_member (GByteArray *out, const WireMessage *message, const char *name, CubeView view, guint depth)
{
  for (const WireField *field = message->fields; field->name != NULL; field++)
    if (strcmp (field->name, name) == 0)
      {
        put_field (out, field, view, depth);
        return;
      }
  if (message->extensions != 0 && g_str_has_prefix (name, "x-"))
    put_named_any (out, message->extensions, name, view);
  else if (message->names != 0)
    put_named (out, message, name, view, depth);
}

static void
put_members (GByteArray *out, const WireMessage *message, CubeView view, guint depth)
{
  CubeIter iter;
  const char *name;
  CubeView member;
  cube_iter_init (&iter, view);
  while (depth < MAX_DEPTH && cube_iter_next (&iter, &name, &member))
    if (name != NULL)
      put_member (out, message, name, member, depth + 1);
}

static void
put_message (GByteArray *out, guint number, const WireMessage *message, CubeView view, guint depth)
{
  g_autoptr (GByteArray) inner = g_byte_array_new ();
  put_members (inner, message, view, depth);
  put_bytes (out, number, inner->data, inner->len);
}

GBytes *
cube_schema_openapi_v2_protobuf (CubeSchema *schema)
{
  g_autofree char *json = cube_schema_openapi_v2 (schema);
  CubeParseLimits limits = { .max_bytes = G_MAXUINT32, .max_nodes = G_MAXUINT32, .max_depth = MAX_DEPTH };
  g_autoptr (CubeValue) document = json == NULL ? NULL : cube_value_from_json (json, -1, &limits, NULL);
  if (document == NULL)
    return NULL;
  GByteArray *out = g_byte_array_new ();
  put_members (out, &document_message, cube_value_root (document), 0);
  return g_byte_array_free_to_bytes (out);
}
