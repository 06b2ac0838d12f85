/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding: a walk over the document as it came, beside its type. The document is read through views; the mutable tree is touched
 * only on the way to a place that has to change, so that a clean object costs one pass and no node. */
#include "decode.h"
#include "object/tape.h"

#define MAX_WARNINGS 100u /* as many as Kubernetes collects of one body */

typedef struct _Frame Frame;
struct _Frame {
  Frame *parent;
  CubeMut *mut; /* NULL = not looked up yet */
  const char *name;
  guint index;
  gboolean is_key; /* a map's key, a field else */
};

typedef struct {
  const CubeTypeTable *table;
  GPtrArray *unknown; /* NULL = nobody asks */
  GError *error;      /* the first one */
  const char *kind, *version;
  gboolean is_custom;
} Decoder;

static CubeMut *
frame_mut (Frame *frame)
{
  if (frame->mut == NULL && frame->parent != NULL)
    {
      CubeMut *parent = frame_mut (frame->parent);
      frame->mut = frame->name == NULL ? cube_mut_element (parent, frame->index) : cube_mut_member (parent, frame->name);
    }
  return frame->mut;
}

/* ---- texts ---- */

static void
append_place (GString *text, const Frame *frame, gboolean with_indices)
{
  if (frame->parent == NULL)
    return;
  append_place (text, frame->parent, with_indices);
  if (frame->name != NULL)
    g_string_append_printf (text, text->len > 0 ? ".%s" : "%s", frame->name);
  else if (with_indices)
    g_string_append_printf (text, "[%u]", frame->index);
}

static void
append_go_type (GString *text, const CubeTypeTable *table, guint16 shape_index)
{
  const CubeShape *shape = &table->shapes[shape_index];
  static const char *const names[CUBE_SHAPE_N] = {
    [CUBE_SHAPE_STRING] = "string",
    [CUBE_SHAPE_INT32] = "int32",
    [CUBE_SHAPE_INT64] = "int64",
    [CUBE_SHAPE_BOOL] = "bool",
    [CUBE_SHAPE_DOUBLE] = "float64",
    [CUBE_SHAPE_BYTES] = "[]uint8",
    [CUBE_SHAPE_QUANTITY] = "resource.Quantity",
    [CUBE_SHAPE_INT_OR_STRING] = "intstr.IntOrString",
    [CUBE_SHAPE_TIME] = "v1.Time",
    [CUBE_SHAPE_MICROTIME] = "v1.MicroTime",
    [CUBE_SHAPE_DURATION] = "v1.Duration",
    [CUBE_SHAPE_OBJECT] = "map[string]interface {}",
    [CUBE_SHAPE_ANY] = "interface {}",
  };
  switch (shape->kind)
    {
    case CUBE_SHAPE_LIST:
      g_string_append (text, "[]");
      append_go_type (text, table, shape->ref);
      break;
    case CUBE_SHAPE_MAP:
      g_string_append (text, "map[string]");
      append_go_type (text, table, shape->ref);
      break;
    case CUBE_SHAPE_REF:
      {
        const char *name = table->pool + table->types[shape->ref].name;
        const char *slash = strchr (name, '/');
        g_string_append (text, slash == NULL ? name : slash + 1);
        break;
      }
    default: g_string_append (text, names[shape->kind] == NULL ? "interface {}" : names[shape->kind]);
    }
}

/* The first error wins, as with Go's decoder, which goes on after one. */
static void
fail (Decoder *decoder, const char *text)
{
  if (decoder->error == NULL)
    decoder->error = g_error_new (CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "%s in version \"%s\" cannot be handled as a %s: %s", decoder->kind,
                                  decoder->version, decoder->kind, text);
}

static void
fail_type (Decoder *decoder, const CubeType *owner, guint16 shape, CubeView view, const Frame *frame)
{
  if (decoder->is_custom || decoder->error != NULL)
    return;
  g_autoptr (GString) text = g_string_new ("json: cannot unmarshal ");
  switch (cube_view_type (view))
    {
    case CUBE_VALUE_INT:
    case CUBE_VALUE_DOUBLE:
      {
        guint8 kind = decoder->table->shapes[shape].kind;
        g_string_append (text, "number");
        if (kind == CUBE_SHAPE_INT32 || kind == CUBE_SHAPE_INT64)
          {
            g_string_append_c (text, ' ');
            cube_view_append_json (view, text);
          }
        break;
      }
    case CUBE_VALUE_BOOL: g_string_append (text, "bool"); break;
    default: g_string_append (text, cube_value_type_name (cube_view_type (view)));
    }
  const char *owner_name = strchr (decoder->table->pool + owner->name, '.');
  g_autoptr (GString) place = g_string_new (NULL);
  append_place (place, frame, FALSE);
  g_string_append_printf (text, " into Go struct field %s.%s of type ", owner_name == NULL ? "" : owner_name + 1, place->str);
  append_go_type (text, decoder->table, shape);
  fail (decoder, text->str);
}

static void
add_unknown (Decoder *decoder, const Frame *frame, const char *key)
{
  if (decoder->unknown == NULL || decoder->unknown->len >= MAX_WARNINGS)
    return;
  g_autoptr (GString) text = g_string_new (NULL);
  append_place (text, frame, TRUE);
  g_ptr_array_add (decoder->unknown, g_strdup_printf ("unknown field \"%s%s%s\"", text->str, text->len > 0 ? "." : "", key));
}

/* ---- scalars ---- */

static void
decode_quantity (Decoder *decoder, CubeView view, Frame *frame, gboolean round)
{
  CubeQuantity quantity;
  char text[64];
  if (!cube_quantity_from_view (view, &quantity))
    {
      fail (decoder, "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
      return;
    }
  if (round && quantity.scale < -3)
    cube_quantity_set_int (&quantity, cube_quantity_millis (&quantity), -3, quantity.format);
  cube_quantity_format (&quantity, text);
  const char *given = cube_view_string (view);
  if (given != NULL && strcmp (given, text) == 0)
    return;
  CubeMut *mut = frame_mut (frame);
  cube_mut_become (mut, cube_mut_new_string (cube_mut_builder (mut), text, -1));
}

static void
decode_time (Decoder *decoder, CubeView view, Frame *frame, gboolean is_micro)
{
  const char *given = cube_view_string (view);
  gint64 us;
  char text[40];
  const char *layout = is_micro ? "2006-01-02T15:04:05.000000Z07:00" : "2006-01-02T15:04:05Z07:00";
  if (!cube_time_parse (given, &us))
    {
      g_autofree char *why = g_strdup_printf ("parsing time \"%s\" as \"%s\": cannot parse \"%s\" as \"2006\"", given, layout, given);
      fail (decoder, why);
      return;
    }
  if (is_micro)
    cube_time_format_micro (us, text);
  else
    cube_time_format (us - (us % G_USEC_PER_SEC + G_USEC_PER_SEC) % G_USEC_PER_SEC, text);
  if (strcmp (given, text) == 0)
    return;
  CubeMut *mut = frame_mut (frame);
  cube_mut_become (mut, cube_mut_new_string (cube_mut_builder (mut), text, -1));
}

/* Standard base64 with padding; line breaks are allowed, as in Go. */
static void
check_base64 (Decoder *decoder, CubeView view)
{
  const char *text = cube_view_string (view);
  gsize length = cube_view_string_length (view), n = 0, padding = 0;
  for (gsize i = 0; i < length; i++)
    {
      char c = text[i];
      if (c == '\n' || c == '\r')
        continue;
      gboolean is_padding = c == '=';
      gboolean is_digit = g_ascii_isalnum (c) || c == '+' || c == '/';
      if ((!is_padding && !is_digit) || (padding > 0 && !is_padding) || (is_padding && (n % 4 < 2 || ++padding > 2)))
        {
          g_autofree char *why = g_strdup_printf ("illegal base64 data at input byte %" G_GSIZE_FORMAT, i);
          fail (decoder, why);
          return;
        }
      n++;
    }
  if (n % 4 != 0)
    {
      g_autofree char *why = g_strdup_printf ("illegal base64 data at input byte %" G_GSIZE_FORMAT, length - n % 4);
      fail (decoder, why);
    }
}

/* ---- containers ---- */

static void decode_shape (Decoder *decoder, const CubeType *owner, guint16 shape, CubeView view, Frame *frame);

/* null stands for the zero value: in a list or a map it keeps its place. */
static void
decode_null_element (Decoder *decoder, guint16 shape_index, Frame *frame)
{
  CubeMut *mut = frame_mut (frame);
  CubeBuilder *builder = cube_mut_builder (mut);
  switch (decoder->table->shapes[shape_index].kind)
    {
    case CUBE_SHAPE_STRING: cube_mut_become (mut, cube_mut_new_string (builder, "", 0)); break;
    case CUBE_SHAPE_QUANTITY: cube_mut_become (mut, cube_mut_new_string (builder, "0", 1)); break;
    case CUBE_SHAPE_INT32:
    case CUBE_SHAPE_INT64:
    case CUBE_SHAPE_DOUBLE:
    case CUBE_SHAPE_INT_OR_STRING: cube_mut_become (mut, cube_mut_new_int (builder, 0)); break;
    case CUBE_SHAPE_BOOL: cube_mut_become (mut, cube_mut_new_bool (builder, FALSE)); break;
    case CUBE_SHAPE_REF: cube_mut_become (mut, cube_mut_new_object (builder)); break;
    default: break; /* lists, bytes, times and free-form values keep null */
    }
}

static void
decode_list (Decoder *decoder, const CubeType *owner, guint16 element, CubeView view, Frame *frame)
{
  CubeIter it;
  CubeView v;
  Frame child = { frame, NULL, NULL, 0, FALSE };
  for (cube_iter_init (&it, view); cube_iter_next (&it, NULL, &v); child.index++)
    {
      child.mut = NULL;
      if (cube_view_type (v) == CUBE_VALUE_NULL && !decoder->is_custom)
        decode_null_element (decoder, element, &child);
      else
        decode_shape (decoder, owner, element, v, &child);
    }
}

static void
decode_map (Decoder *decoder, const CubeType *owner, guint16 element, CubeView view, Frame *frame)
{
  CubeIter it;
  CubeView v;
  Frame child = { frame, NULL, NULL, 0, TRUE };
  for (cube_iter_init (&it, view); cube_iter_next (&it, &child.name, &v);)
    {
      child.mut = NULL;
      if (cube_view_type (v) == CUBE_VALUE_NULL && !decoder->is_custom)
        decode_null_element (decoder, element, &child);
      else if (decoder->table->shapes[element].kind == CUBE_SHAPE_QUANTITY)
        decode_quantity (decoder, v, &child, TRUE);
      else
        decode_shape (decoder, owner, element, v, &child);
    }
}

/* What Go's omitempty leaves out. */
static gboolean
is_zero (CubeView view)
{
  switch (cube_view_type (view))
    {
    case CUBE_VALUE_BOOL: return !cube_view_bool (view, TRUE);
    case CUBE_VALUE_INT: return cube_view_int (view, 1) == 0;
    case CUBE_VALUE_DOUBLE: return cube_view_double (view, 1) == 0;
    case CUBE_VALUE_STRING: return cube_view_string_length (view) == 0;
    case CUBE_VALUE_ARRAY:
    case CUBE_VALUE_OBJECT: return cube_view_length (view) == 0;
    default: return FALSE;
    }
}

static gboolean
omits_zero (const CubeTypeTable *table, const CubeField *field)
{
  if ((field->flags & (CUBE_FIELD_POINTER | CUBE_FIELD_ALWAYS | CUBE_FIELD_STRUCT | CUBE_FIELD_REQUIRED | CUBE_FIELD_DOCUMENTED)) != 0)
    return FALSE;
  switch (table->shapes[field->shape].kind)
    {
    case CUBE_SHAPE_INT_OR_STRING:
    case CUBE_SHAPE_QUANTITY:
    case CUBE_SHAPE_OBJECT:
    case CUBE_SHAPE_ANY:
    case CUBE_SHAPE_SCHEMA_OR_BOOL:
    case CUBE_SHAPE_SCHEMA_OR_ARRAY:
    case CUBE_SHAPE_SCHEMA_OR_STRINGS: return FALSE;
    default: return TRUE;
    }
}

static void
decode_member (Decoder *decoder, const CubeType *type, const CubeField *field, CubeView view, Frame *frame)
{
  if (cube_view_type (view) == CUBE_VALUE_NULL)
    {
      gboolean keeps =
          decoder->is_custom && (field->default_json == 0 || (decoder->table->shapes[field->shape].flags & CUBE_SHAPE_FLAG_NULLABLE) != 0);
      if (!keeps && decoder->table->shapes[field->shape].kind != CUBE_SHAPE_ANY)
        cube_mut_remove (frame_mut (frame->parent), frame->name);
      return;
    }
  decode_shape (decoder, type, field->shape, view, frame);
  if (!decoder->is_custom && is_zero (view) && omits_zero (decoder->table, field))
    cube_mut_remove (frame_mut (frame->parent), frame->name);
}

static void
decode_object (Decoder *decoder, const CubeType *type, CubeView view, Frame *frame)
{
  CubeIter it;
  CubeView v;
  guint32 length;
  Frame child = { frame, NULL, NULL, 0, FALSE };
  for (cube_iter_init (&it, view); cube_iter_next_full (&it, &child.name, &length, &v);)
    {
      const CubeField *field = cube_type_find (decoder->table, type, child.name, length);
      child.mut = NULL;
      if (field != NULL)
        {
          decode_member (decoder, type, field, v, &child);
        }
      else if ((type->flags & CUBE_TYPE_PRESERVE) == 0)
        {
          add_unknown (decoder, frame, child.name);
          cube_mut_remove (frame_mut (frame), child.name);
        }
    }
}

static void
decode_builtin (Decoder *decoder, guint16 type, CubeView view, Frame *frame)
{
  const CubeTypeTable *table = decoder->table;
  decoder->table = &cube_builtin_types;
  decoder->is_custom = FALSE;
  decode_object (decoder, &cube_builtin_types.types[type], view, frame);
  decoder->is_custom = TRUE;
  decoder->table = table;
}

/* JSONSchemaProps' places that hold a schema or something simpler. */
static void
decode_schema_or (Decoder *decoder, const CubeType *owner, const CubeShape *shape, CubeView view, Frame *frame)
{
  CubeValueType type = cube_view_type (view);
  if (type == CUBE_VALUE_OBJECT)
    {
      decode_object (decoder, &decoder->table->types[shape->ref], view, frame);
    }
  else if (type == CUBE_VALUE_ARRAY && shape->kind == CUBE_SHAPE_SCHEMA_OR_ARRAY)
    {
      CubeIter it;
      CubeView v;
      Frame child = { frame, NULL, NULL, 0, FALSE };
      for (cube_iter_init (&it, view); cube_iter_next (&it, NULL, &v); child.index++)
        {
          child.mut = NULL;
          if (cube_view_type (v) == CUBE_VALUE_OBJECT)
            decode_object (decoder, &decoder->table->types[shape->ref], v, &child);
        }
    }
  else if (!(type == CUBE_VALUE_BOOL && shape->kind == CUBE_SHAPE_SCHEMA_OR_BOOL)
           && !(type == CUBE_VALUE_ARRAY && shape->kind == CUBE_SHAPE_SCHEMA_OR_STRINGS))
    {
      fail (decoder, shape->kind == CUBE_SHAPE_SCHEMA_OR_BOOL ? "boolean or JSON schema expected" : "JSON schema or array expected");
    }
}

static gboolean
fits_int32 (CubeView view)
{
  gint64 number = cube_view_int (view, 0);
  return number >= G_MININT32 && number <= G_MAXINT32;
}

static void
decode_shape (Decoder *decoder, const CubeType *owner, guint16 shape_index, CubeView view, Frame *frame)
{
  const CubeShape *shape = &decoder->table->shapes[shape_index];
  CubeValueType type = cube_view_type (view);
  gboolean fits = TRUE;
  switch (shape->kind)
    {
    case CUBE_SHAPE_STRING: fits = type == CUBE_VALUE_STRING; break;
    case CUBE_SHAPE_INT32: fits = type == CUBE_VALUE_INT && fits_int32 (view); break;
    case CUBE_SHAPE_INT64: fits = type == CUBE_VALUE_INT; break;
    case CUBE_SHAPE_BOOL: fits = type == CUBE_VALUE_BOOL; break;
    case CUBE_SHAPE_DOUBLE: fits = type == CUBE_VALUE_INT || type == CUBE_VALUE_DOUBLE; break;
    case CUBE_SHAPE_BYTES:
      fits = type == CUBE_VALUE_STRING;
      if (fits && !decoder->is_custom)
        check_base64 (decoder, view);
      break;
    case CUBE_SHAPE_QUANTITY: decode_quantity (decoder, view, frame, FALSE); break;
    case CUBE_SHAPE_INT_OR_STRING:
      if (type != CUBE_VALUE_STRING && !(type == CUBE_VALUE_INT && fits_int32 (view)) && !decoder->is_custom)
        {
          g_autofree char *why = g_strdup_printf ("json: cannot unmarshal %s into Go value of type int32",
                                                  type == CUBE_VALUE_BOOL                               ? "bool"
                                                  : type == CUBE_VALUE_INT || type == CUBE_VALUE_DOUBLE ? "number"
                                                                                                        : cube_value_type_name (type));
          fail (decoder, why);
        }
      break;
    case CUBE_SHAPE_TIME:
    case CUBE_SHAPE_MICROTIME:
      fits = type == CUBE_VALUE_STRING;
      if (fits && !decoder->is_custom)
        decode_time (decoder, view, frame, shape->kind == CUBE_SHAPE_MICROTIME);
      break;
    case CUBE_SHAPE_DURATION: fits = type == CUBE_VALUE_STRING; break;
    case CUBE_SHAPE_OBJECT: fits = type == CUBE_VALUE_OBJECT; break;
    case CUBE_SHAPE_LIST:
      fits = type == CUBE_VALUE_ARRAY;
      if (fits)
        decode_list (decoder, owner, shape->ref, view, frame);
      break;
    case CUBE_SHAPE_MAP:
      fits = type == CUBE_VALUE_OBJECT;
      if (fits)
        decode_map (decoder, owner, shape->ref, view, frame);
      break;
    case CUBE_SHAPE_REF:
      fits = type == CUBE_VALUE_OBJECT;
      if (fits)
        decode_object (decoder, &decoder->table->types[shape->ref], view, frame);
      break;
    case CUBE_SHAPE_BUILTIN_REF:
      if (type == CUBE_VALUE_OBJECT)
        decode_builtin (decoder, shape->ref, view, frame);
      break;
    case CUBE_SHAPE_SCHEMA_OR_BOOL:
    case CUBE_SHAPE_SCHEMA_OR_ARRAY:
    case CUBE_SHAPE_SCHEMA_OR_STRINGS: decode_schema_or (decoder, owner, shape, view, frame); break;
    default: break;
    }
  if (!fits)
    fail_type (decoder, owner, shape_index, view, frame);
}

/* ---- duplicate keys: the last one wins ---- */

static void
drop_duplicates (CubeMut *node)
{
  if (cube_mut_type (node) == CUBE_VALUE_ARRAY)
    {
      for (guint i = 0; i < cube_mut_length (node); i++)
        drop_duplicates (cube_mut_element (node, i));
      return;
    }
  if (cube_mut_type (node) != CUBE_VALUE_OBJECT)
    return;
  CubeMut *unique = cube_mut_new_object (cube_mut_builder (node));
  for (guint i = 0, n = cube_mut_length (node); i < n; i++)
    {
      const char *key;
      CubeMut *child = cube_mut_member_at (node, i, &key);
      drop_duplicates (child);
      cube_mut_set (unique, key, child);
    }
  cube_mut_become (node, unique);
}

/* ---- the door ---- */

static gboolean
report (Decoder *decoder, CubeStrictness strictness, char **duplicates, GPtrArray *warnings, GError **error)
{
  if (decoder->error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&decoder->error));
      return FALSE;
    }
  if (strictness == CUBE_STRICT_IGNORE)
    return TRUE;
  for (guint i = 0; duplicates != NULL && duplicates[i] != NULL && decoder->unknown->len < MAX_WARNINGS; i++)
    g_ptr_array_add (decoder->unknown, g_strdup_printf ("duplicate field \"%s\"", duplicates[i]));
  if (decoder->unknown->len == 0)
    return TRUE;
  if (strictness == CUBE_STRICT_WARN)
    {
      for (guint i = 0; warnings != NULL && i < decoder->unknown->len; i++)
        g_ptr_array_add (warnings, g_strdup (decoder->unknown->pdata[i]));
      return TRUE;
    }
  g_ptr_array_add (decoder->unknown, NULL);
  g_autofree char *list = g_strjoinv (", ", (char **) decoder->unknown->pdata);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "%s in version \"%s\" cannot be handled as a %s: strict decoding error: %s",
               decoder->kind, decoder->version, decoder->kind, list);
  return FALSE;
}

gboolean
cube_decode_type (const CubeTypeTable *table, const CubeType *type, const char *kind, const char *version, CubeMut *root,
                  CubeStrictness strictness, char **duplicates, GPtrArray *warnings, GError **error)
{
  g_autoptr (GPtrArray) unknown = strictness == CUBE_STRICT_IGNORE ? NULL : g_ptr_array_new_with_free_func (g_free);
  Decoder decoder = { table, unknown, NULL, kind, version, table != &cube_builtin_types };
  if (duplicates != NULL && duplicates[0] != NULL)
    drop_duplicates (root);
  CubeView view = cube_mut_pack (root);
  if (cube_view_type (view) != CUBE_VALUE_OBJECT)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                   "%s in version \"%s\" cannot be handled as a %s: json: cannot unmarshal %s "
                   "into Go value of type %s.%s",
                   kind, version, kind, cube_value_type_name (cube_mut_type (root)), version, kind);
      return FALSE;
    }
  Frame frame = { NULL, root, NULL, 0, FALSE };
  decode_object (&decoder, type, view, &frame);
  return report (&decoder, strictness, duplicates, warnings, error);
}

gboolean
cube_schema_decode (const CubeResource *resource, const char *subresource, CubeMut *root, CubeStrictness strictness, char **duplicates,
                    GPtrArray *warnings, GError **error)
{
  const CubeTypeTable *table;
  const CubeType *type = cube_resource_body_type (resource, subresource, &table);
  if (type == NULL)
    return TRUE;
  const char *kind = resource->kind, *version = resource->version;
  const CubeSubresource *sub = subresource == NULL || *subresource == '\0' ? NULL : cube_resource_find_subresource (resource, subresource);
  if (sub != NULL)
    {
      kind = sub->kind;
      version = sub->version == NULL ? version : sub->version;
    }
  return cube_decode_type (table, type, kind, version, root, strictness, duplicates, warnings, error);
}

gboolean
cube_schema_decode_kind (const char *type_name, CubeMut *root, CubeStrictness strictness, char **duplicates, GPtrArray *warnings,
                         GError **error)
{
  guint16 index = cube_builtin_type_index (type_name);
  g_return_val_if_fail (index != 0, FALSE);
  const char *dot = strchr (type_name, '.'), *slash = strchr (type_name, '/');
  g_autofree char *version = g_strndup (slash + 1, (gsize) (dot - slash - 1));
  return cube_decode_type (&cube_builtin_types, &cube_builtin_types.types[index], dot + 1, version, root, strictness, duplicates, warnings,
                           error);
}
