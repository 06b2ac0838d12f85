/* SPDX-License-Identifier: Apache-2.0 */
/* Protobuf bodies, as Kubernetes' own clients send them ("k8s\0" and runtime.Unknown), into values. Field numbers come from the tables. A message is
 * turned into JSON text, field by field in the order of the table, and that is parsed like any other body: one set of limits, one decoder. */
#include "types.h"
#include <cube/error.h>

#define MAX_DEPTH 64
#define MAX_JSON (12 * 1024 * 1024)

typedef struct {
  const guint8 *at, *end;
} Wire;
typedef struct {
  guint32 number, type; /* wire type: 0 varint, 1 64 bits, 2 bytes, 5 32 bits */
  guint64 value;
  Wire bytes;
} Item;
typedef struct {
  const CubeTypeTable *table;
  GString *out;
  GError *error;
} Decoder;

static gboolean
fail (Decoder *decoder, const char *why)
{
  if (decoder->error == NULL)
    decoder->error = g_error_new (CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "invalid protobuf: %s", why);
  return FALSE;
}

static gboolean
read_varint (Wire *wire, guint64 *ret_value)
{
  guint64 value = 0;
  for (guint shift = 0; shift < 64 && wire->at < wire->end; shift += 7)
    {
      guint8 byte = *wire->at++;
      value |= (guint64) (byte & 0x7f) << shift;
      if (!(byte & 0x80))
        {
          *ret_value = value;
          return TRUE;
        }
    }
  return FALSE;
}

/* 1 = an item, 0 = the end, -1 = broken. */
static int
next_item (Wire *wire, Item *item)
{
  guint64 tag;
  if (wire->at >= wire->end)
    return 0;
  if (!read_varint (wire, &tag) || tag >> 3 == 0 || tag >> 3 > G_MAXINT32)
    return -1;
  item->number = (guint32) (tag >> 3);
  item->type = (guint32) (tag & 7);
  gsize left = (gsize) (wire->end - wire->at), size = item->type == 1 ? 8 : 4;
  switch (item->type)
    {
    case 0: return read_varint (wire, &item->value) ? 1 : -1;
    case 1:
    case 5:
      if (left < size)
        return -1;
      item->value = 0;
      for (gsize i = 0; i < size; i++)
        item->value |= (guint64) wire->at[i] << (8 * i);
      wire->at += size;
      return 1;
    case 2:
      if (!read_varint (wire, &item->value) || item->value > (guint64) (wire->end - wire->at))
        return -1;
      item->bytes.at = wire->at;
      item->bytes.end = wire->at + item->value;
      wire->at += item->value;
      return 1;
    default: return -1;
    }
}

/* The last item of a number; messages that come in pieces are not merged: no client of Kubernetes sends them so. */
static gboolean
find_item (Wire wire, guint32 number, Item *ret_item)
{
  Item item;
  gboolean is_found = FALSE;
  while (next_item (&wire, &item) > 0)
    if (item.number == number)
      {
        *ret_item = item;
        is_found = TRUE;
      }
  return is_found;
}

static gboolean
append_text (Decoder *decoder, Wire wire)
{
  gsize length = (gsize) (wire.end - wire.at);
  if (!g_utf8_validate_len ((const char *) wire.at, length, NULL))
    return fail (decoder, "a string is not UTF-8");
  cube_json_append_string (decoder->out, (const char *) wire.at, (gssize) length);
  return TRUE;
}

static gboolean
append_time (Decoder *decoder, Wire wire, gboolean is_micro)
{
  Item seconds = { 0 }, nanos = { 0 };
  char text[40];
  find_item (wire, 1, &seconds);
  find_item (wire, 2, &nanos);
  if (seconds.value == 0 && nanos.value == 0)
    {
      g_string_append (decoder->out, "null");
      return TRUE;
    }
  gint64 s = (gint64) seconds.value;
  if (s < -62135596800 || s > 253402300799)
    return fail (decoder, "a time is out of range");
  gint64 us = s * G_USEC_PER_SEC + (gint64) (nanos.value / 1000 % 1000000);
  if (is_micro)
    cube_time_format_micro (us, text);
  else
    cube_time_format (us, text);
  g_string_append_printf (decoder->out, "\"%s\"", text);
  return TRUE;
}

/* RawExtension, FieldsV1, JSON: JSON in bytes. It is parsed on its own: text from outside must not reach into ours. */
static gboolean
append_raw (Decoder *decoder, Wire wire)
{
  Item raw;
  if (!find_item (wire, 1, &raw) || raw.type != 2 || raw.value == 0)
    {
      g_string_append (decoder->out, "null");
      return TRUE;
    }
  g_autoptr (CubeValue) value = cube_value_from_json ((const char *) raw.bytes.at, (gssize) raw.value, NULL, NULL);
  if (value == NULL)
    return fail (decoder, "an embedded object is not JSON");
  cube_view_append_json (cube_value_root (value), decoder->out);
  return TRUE;
}

static gboolean
append_int_or_string (Decoder *decoder, Wire wire)
{
  Item type = { 0 }, number = { 0 }, text;
  find_item (wire, 1, &type);
  if (type.value == 1 && find_item (wire, 3, &text) && text.type == 2)
    return append_text (decoder, text.bytes);
  find_item (wire, 2, &number);
  g_string_append_printf (decoder->out, "%d", (gint32) number.value);
  return TRUE;
}

static gboolean append_message (Decoder *decoder, const CubeType *type, Wire wire, guint depth);
static gboolean append_list (Decoder *decoder, const CubeShape *element, Wire wire, guint32 number, guint depth);

static gboolean
append_number (Decoder *decoder, const CubeShape *shape, const Item *item)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  double number;
  switch (shape->kind)
    {
    case CUBE_SHAPE_INT32: g_string_append_printf (decoder->out, "%d", (gint32) item->value); return TRUE;
    case CUBE_SHAPE_INT64: g_string_append_printf (decoder->out, "%" G_GINT64_FORMAT, (gint64) item->value); return TRUE;
    case CUBE_SHAPE_BOOL: g_string_append (decoder->out, item->value != 0 ? "true" : "false"); return TRUE;
    default:
      memcpy (&number, &item->value, sizeof number);
      if (number != number || number - number != 0)
        return fail (decoder, "a number is not finite");
      g_string_append (decoder->out, g_ascii_dtostr (text, sizeof text, number));
      return TRUE;
    }
}

/* Of what arrives as bytes. */
static gboolean
append_bytes (Decoder *decoder, const CubeShape *shape, Wire wire, guint depth)
{
  Item item;
  char text[40];
  switch (shape->kind)
    {
    case CUBE_SHAPE_STRING: return append_text (decoder, wire);
    case CUBE_SHAPE_BYTES:
      {
        g_autofree char *encoded = g_base64_encode (wire.at, (gsize) (wire.end - wire.at));
        g_string_append_printf (decoder->out, "\"%s\"", encoded);
        return TRUE;
      }
    case CUBE_SHAPE_QUANTITY:
      if (find_item (wire, 1, &item) && item.type == 2)
        return append_text (decoder, item.bytes);
      g_string_append (decoder->out, "\"0\"");
      return TRUE;
    case CUBE_SHAPE_INT_OR_STRING: return append_int_or_string (decoder, wire);
    case CUBE_SHAPE_TIME:
    case CUBE_SHAPE_MICROTIME: return append_time (decoder, wire, shape->kind == CUBE_SHAPE_MICROTIME);
    case CUBE_SHAPE_DURATION:
      item.value = 0;
      find_item (wire, 1, &item);
      cube_duration_format ((gint64) item.value, text);
      g_string_append_printf (decoder->out, "\"%s\"", text);
      return TRUE;
    case CUBE_SHAPE_OBJECT:
    case CUBE_SHAPE_ANY: return append_raw (decoder, wire);
    case CUBE_SHAPE_LIST: /* a named list as a map's value is a message with the list in field 1 */
      return append_list (decoder, &decoder->table->shapes[shape->ref], wire, 1, depth);
    case CUBE_SHAPE_REF: return append_message (decoder, &decoder->table->types[shape->ref], wire, depth + 1);
    default: return fail (decoder, "this kind cannot be sent as protobuf; use JSON");
    }
}

static gboolean
append_value (Decoder *decoder, const CubeShape *shape, const Item *item, guint depth)
{
  gboolean is_number = shape->kind == CUBE_SHAPE_INT32 || shape->kind == CUBE_SHAPE_INT64 || shape->kind == CUBE_SHAPE_BOOL
                       || shape->kind == CUBE_SHAPE_DOUBLE;
  if (is_number != (item->type != 2))
    return fail (decoder, "a field has the wrong wire type");
  if (decoder->out->len > MAX_JSON)
    return fail (decoder, "the object is too large");
  return is_number ? append_number (decoder, shape, item) : append_bytes (decoder, shape, item->bytes, depth);
}

static gboolean
append_list (Decoder *decoder, const CubeShape *element, Wire wire, guint32 number, guint depth)
{
  Item item;
  gboolean is_first = TRUE;
  g_string_append_c (decoder->out, '[');
  while (next_item (&wire, &item) > 0)
    {
      if (item.number != number)
        continue;
      if (!is_first)
        g_string_append_c (decoder->out, ',');
      is_first = FALSE;
      if (!append_value (decoder, element, &item, depth))
        return FALSE;
    }
  g_string_append_c (decoder->out, ']');
  return TRUE;
}

static gboolean
append_map (Decoder *decoder, const CubeShape *element, Wire wire, guint32 number, guint depth)
{
  Item item, key, value;
  gboolean is_first = TRUE;
  g_string_append_c (decoder->out, '{');
  while (next_item (&wire, &item) > 0)
    {
      if (item.number != number)
        continue;
      Wire none = { NULL, NULL };
      if (item.type != 2)
        return fail (decoder, "a map has the wrong wire type");
      if (!find_item (item.bytes, 1, &key) || key.type != 2)
        key.bytes = none;
      if (!find_item (item.bytes, 2, &value))
        value = (Item){ .type = element->kind == CUBE_SHAPE_BOOL || element->kind == CUBE_SHAPE_INT32 || element->kind == CUBE_SHAPE_INT64
                                    ? 0
                                    : 2 };
      if (!is_first)
        g_string_append_c (decoder->out, ',');
      is_first = FALSE;
      if (!append_text (decoder, key.bytes))
        return FALSE;
      g_string_append_c (decoder->out, ':');
      if (!append_value (decoder, element, &value, depth))
        return FALSE;
    }
  g_string_append_c (decoder->out, '}');
  return TRUE;
}

/* What Go would leave out as empty. */
static gboolean
is_empty (const CubeField *field, const CubeShape *shape, const Item *item)
{
  Item part;
  if (field->flags & CUBE_FIELD_POINTER && shape->kind != CUBE_SHAPE_TIME && shape->kind != CUBE_SHAPE_MICROTIME)
    return FALSE;
  switch (shape->kind)
    {
    case CUBE_SHAPE_TIME:
    case CUBE_SHAPE_MICROTIME:
      return !(find_item (item->bytes, 1, &part) && part.value != 0) && !(find_item (item->bytes, 2, &part) && part.value != 0);
    case CUBE_SHAPE_INT_OR_STRING:
      return !(find_item (item->bytes, 1, &part) && part.value != 0) && !(find_item (item->bytes, 2, &part) && part.value != 0);
    case CUBE_SHAPE_STRING:
    case CUBE_SHAPE_BYTES:
    case CUBE_SHAPE_INT32:
    case CUBE_SHAPE_INT64:
    case CUBE_SHAPE_BOOL:
    case CUBE_SHAPE_DOUBLE: return item->value == 0;
    case CUBE_SHAPE_OBJECT:
    case CUBE_SHAPE_ANY: return !(find_item (item->bytes, 1, &part) && part.value != 0);
    default: return FALSE;
    }
}

static gboolean
append_field (Decoder *decoder, const CubeField *field, Wire wire, gboolean *is_first, guint depth)
{
  const CubeShape *shape = &decoder->table->shapes[field->shape];
  guint32 number = field->proto[0];
  Item item;
  if (number == 0 || !find_item (wire, number, &item))
    return TRUE;
  for (guint i = 1; i < G_N_ELEMENTS (field->proto) && field->proto[i] != 0; i++)
    { /* inlined in JSON, a message of its own here */
      if (item.type != 2)
        return fail (decoder, "a field has the wrong wire type");
      wire = item.bytes;
      number = field->proto[i];
      if (!find_item (wire, number, &item))
        return TRUE;
    }
  gboolean is_many = shape->kind == CUBE_SHAPE_LIST || shape->kind == CUBE_SHAPE_MAP;
  if (!is_many && is_empty (field, shape, &item))
    return TRUE;
  g_string_append_printf (decoder->out, "%s\"%s\":", *is_first ? "" : ",", decoder->table->pool + field->name);
  *is_first = FALSE;
  if (shape->kind == CUBE_SHAPE_LIST)
    return append_list (decoder, &decoder->table->shapes[shape->ref], wire, number, depth);
  if (shape->kind == CUBE_SHAPE_MAP)
    return append_map (decoder, &decoder->table->shapes[shape->ref], wire, number, depth);
  return append_value (decoder, shape, &item, depth);
}

static gboolean
append_fields (Decoder *decoder, const CubeType *type, Wire wire, gboolean is_first, guint depth)
{
  Wire all = wire;
  Item item;
  int state;
  if (depth > MAX_DEPTH)
    return fail (decoder, "nested too deeply");
  while ((state = next_item (&all, &item)) > 0)
    ;
  if (state < 0)
    return fail (decoder, "truncated or malformed message");
  for (guint i = 0; i < type->n_fields; i++)
    if (!append_field (decoder, &decoder->table->fields[type->first_field + i], wire, &is_first, depth))
      return FALSE;
  return TRUE;
}

static gboolean
append_message (Decoder *decoder, const CubeType *type, Wire wire, guint depth)
{
  g_string_append_c (decoder->out, '{');
  if (!append_fields (decoder, type, wire, TRUE, depth))
    return FALSE;
  g_string_append_c (decoder->out, '}');
  return TRUE;
}

/* ---- the envelope ---- */

static char *
item_text (Wire wire, guint32 number)
{
  Item item;
  if (!find_item (wire, number, &item) || item.type != 2 || !g_utf8_validate_len ((const char *) item.bytes.at, item.value, NULL))
    return g_strdup ("");
  return g_strndup ((const char *) item.bytes.at, item.value);
}

static const CubeType *
find_kind (const char *api_version, const char *kind)
{
  const CubeTypeTable *table = &cube_builtin_types;
  if (strcmp (kind, "DeleteOptions") == 0)
    return &table->types[cube_builtin_type_index ("meta/v1.DeleteOptions")];
  g_autofree char *gvk = g_strdup_printf ("%s/%s", api_version, kind);
  for (guint i = 1; i < table->n_types; i++)
    if (table->types[i].gvk != 0 && strcmp (table->pool + table->types[i].gvk, gvk) == 0)
      return &table->types[i];
  return NULL;
}

CubeValue *
cube_schema_decode_protobuf (const void *data, gsize length, GError **error)
{
  static const guint8 magic[4] = { 'k', '8', 's', 0 };
  Wire wire = { (const guint8 *) data + 4, (const guint8 *) data + length };
  Item meta, raw;
  if (length < 4 || memcmp (data, magic, 4) != 0 || !find_item (wire, 1, &meta) || meta.type != 2)
    {
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                           "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]");
      return NULL;
    }
  g_autofree char *api_version = item_text (meta.bytes, 1);
  g_autofree char *kind = item_text (meta.bytes, 2);
  const CubeType *type = find_kind (api_version, kind);
  if (type == NULL)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "no kind \"%s\" is registered for version \"%s\" in scheme \"cube\"", kind,
                   api_version);
      return NULL;
    }
  g_autoptr (GString) out = g_string_sized_new (length * 2);
  Decoder decoder = { .table = &cube_builtin_types, .out = out };
  g_string_append (out, "{\"apiVersion\":");
  cube_json_append_string (out, api_version, -1);
  g_string_append (out, ",\"kind\":");
  cube_json_append_string (out, kind, -1);
  if (find_item (wire, 2, &raw) && raw.type == 2 && !append_fields (&decoder, type, raw.bytes, FALSE, 0))
    {
      g_propagate_error (error, decoder.error);
      return NULL;
    }
  g_string_append_c (out, '}');
  return cube_value_from_json (out->str, (gssize) out->len, &(CubeParseLimits){ .max_bytes = MAX_JSON + 1024 }, error);
}
