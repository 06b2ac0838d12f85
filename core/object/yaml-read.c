/* SPDX-License-Identifier: Apache-2.0 */
/* YAML streams through libyaml's events, straight onto the tape. Aliases are refused, so a small text cannot become a large value. */
#include "parse-limits.h"
#include "tape.h"
#include "yaml-scalar.h"
#include <cube/error.h>
#include <yaml.h>

typedef struct {
  yaml_parser_t parser;
  yaml_event_t event;
  gboolean has_event;
  CubeTapeWriter writer;
  CubeParseLimits limits;
  gsize n_nodes;
  GByteArray *wants_key; /* one byte an open container: 0 array, 1 object awaiting a key, 2 object awaiting a value */
  gboolean is_empty;     /* the document is an empty plain scalar */
  GPtrArray *documents;
  GError **error;
} Reader;

static void
reader_clear (Reader *r)
{
  if (r->has_event)
    yaml_event_delete (&r->event);
  yaml_parser_delete (&r->parser);
  cube_tape_writer_clear (&r->writer);
  g_byte_array_unref (r->wants_key);
  g_clear_pointer (&r->documents, g_ptr_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Reader, reader_clear)

static gboolean refuse_at (Reader *r, const yaml_mark_t *mark, const char *format, ...) G_GNUC_PRINTF (3, 4);

static gboolean
refuse_at (Reader *r, const yaml_mark_t *mark, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *problem = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (r->error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "invalid YAML at line %zu, column %zu: %s", mark->line + 1, mark->column + 1,
               problem);
  return FALSE;
}

#define refuse(r, ...) refuse_at ((r), &(r)->event.start_mark, __VA_ARGS__)

static gboolean
next_event (Reader *r)
{
  if (r->has_event)
    yaml_event_delete (&r->event);
  r->has_event = FALSE;
  if (!yaml_parser_parse (&r->parser, &r->event))
    {
      const char *problem = r->parser.problem != NULL ? r->parser.problem : "out of memory";
      if (r->parser.error == YAML_READER_ERROR)
        g_set_error (r->error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "invalid YAML at byte %zu: %s", r->parser.problem_offset, problem);
      else
        refuse_at (r, &r->parser.problem_mark, "%s", problem);
      return FALSE;
    }
  r->has_event = TRUE;
  return TRUE;
}

static guint8 *
innermost (Reader *r)
{
  return r->wants_key->len > 0 ? &r->wants_key->data[r->wants_key->len - 1] : NULL;
}

static gboolean
check_tag (Reader *r, const yaml_char_t *tag, const char *const *allowed)
{
  if (tag == NULL || strcmp ((const char *) tag, "!") == 0)
    return TRUE;
  for (; *allowed != NULL; allowed++)
    if (strcmp ((const char *) tag, *allowed) == 0)
      return TRUE;
  return refuse (r, "tag \"%s\" is not supported here", (const char *) tag);
}

static gboolean
begin_node (Reader *r)
{
  guint8 *state = innermost (r);
  if (++r->n_nodes > r->limits.max_nodes)
    return refuse (r, "more than %u values", r->limits.max_nodes);
  if (state != NULL && *state == 2)
    *state = 1;
  return TRUE;
}

static gboolean
open_container (Reader *r, CubeValueType type, const yaml_char_t *tag)
{
  static const char *const map_tags[] = { YAML_MAP_TAG, NULL }, *const seq_tags[] = { YAML_SEQ_TAG, NULL };
  guint8 *state = innermost (r), fresh = type == CUBE_VALUE_OBJECT ? 1 : 0;
  if (state != NULL && *state == 1)
    return refuse (r, "a mapping key must be a scalar");
  if (!check_tag (r, tag, type == CUBE_VALUE_OBJECT ? map_tags : seq_tags) || !begin_node (r))
    return FALSE;
  if (r->wants_key->len >= r->limits.max_depth)
    return refuse (r, "nested too deeply, at most %u levels are allowed", r->limits.max_depth);
  g_byte_array_append (r->wants_key, &fresh, 1);
  cube_tape_open (&r->writer, type);
  r->is_empty = FALSE;
  return TRUE;
}

static gboolean
close_container (Reader *r)
{
  g_byte_array_set_size (r->wants_key, r->wants_key->len - 1);
  cube_tape_close (&r->writer);
  return TRUE;
}

static void
resolve_event (const yaml_event_t *event, CubeYamlScalar *scalar)
{
  const char *text = (const char *) event->data.scalar.value;
  cube_yaml_resolve (text, event->data.scalar.length, scalar);
  if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE || event->data.scalar.tag != NULL)
    scalar->type = CUBE_VALUE_STRING;
}

/* An explicit core tag decides the type; the text must fit it. */
static gboolean
apply_tag (Reader *r, CubeYamlScalar *scalar)
{
  static const char *const tags[] = { YAML_STR_TAG, YAML_INT_TAG, YAML_FLOAT_TAG, YAML_BOOL_TAG, YAML_NULL_TAG, NULL };
  const char *tag = (const char *) r->event.data.scalar.tag;
  if (!check_tag (r, r->event.data.scalar.tag, tags))
    return FALSE;
  if (tag == NULL || g_str_equal (tag, "!") || g_str_equal (tag, YAML_STR_TAG))
    return TRUE;
  cube_yaml_resolve ((const char *) r->event.data.scalar.value, r->event.data.scalar.length, scalar);
  if (g_str_equal (tag, YAML_FLOAT_TAG) && scalar->type == CUBE_VALUE_INT)
    {
      scalar->type = CUBE_VALUE_DOUBLE;
      scalar->real = (double) scalar->integer;
    }
  gboolean fits = (g_str_equal (tag, YAML_INT_TAG) && scalar->type == CUBE_VALUE_INT)
                  || (g_str_equal (tag, YAML_FLOAT_TAG) && scalar->type == CUBE_VALUE_DOUBLE)
                  || (g_str_equal (tag, YAML_BOOL_TAG) && scalar->type == CUBE_VALUE_BOOL)
                  || (g_str_equal (tag, YAML_NULL_TAG) && scalar->type == CUBE_VALUE_NULL);
  return fits ? TRUE : refuse (r, "cannot read \"%s\" as %s", (const char *) r->event.data.scalar.value, tag);
}

/* Keys of other types become text, as Kubernetes' tools do. */
static gboolean
add_key (Reader *r, const CubeYamlScalar *scalar)
{
  char text[40];
  *innermost (r) = 2;
  switch (scalar->type)
    {
    case CUBE_VALUE_NULL: return refuse (r, "a mapping key must not be null");
    case CUBE_VALUE_BOOL: strcpy (text, scalar->truth ? "true" : "false"); break;
    case CUBE_VALUE_INT: g_snprintf (text, sizeof text, "%" G_GINT64_FORMAT, scalar->integer); break;
    case CUBE_VALUE_DOUBLE: cube_double_to_text (scalar->real, text); break;
    default:
      if (r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strcmp ((const char *) r->event.data.scalar.value, "<<") == 0)
        return refuse (r, "merge keys are not supported");
      cube_tape_key (&r->writer, (const char *) r->event.data.scalar.value, r->event.data.scalar.length);
      return TRUE;
    }
  cube_tape_key (&r->writer, text, strlen (text));
  return TRUE;
}

static gboolean
add_scalar (Reader *r)
{
  CubeYamlScalar scalar;
  guint8 *state = innermost (r);
  resolve_event (&r->event, &scalar);
  if (!apply_tag (r, &scalar))
    return FALSE;
  if (scalar.type == CUBE_VALUE_DOUBLE && scalar.is_infinite)
    return refuse (r, "number \"%s\" is out of range", (const char *) r->event.data.scalar.value);
  if (state != NULL && *state == 1)
    return add_key (r, &scalar);
  if (!begin_node (r))
    return FALSE;
  r->is_empty = state == NULL && scalar.type == CUBE_VALUE_NULL && r->event.data.scalar.length == 0;
  switch (scalar.type)
    {
    case CUBE_VALUE_NULL: cube_tape_null (&r->writer); break;
    case CUBE_VALUE_BOOL: cube_tape_bool (&r->writer, scalar.truth); break;
    case CUBE_VALUE_INT: cube_tape_int (&r->writer, scalar.integer); break;
    case CUBE_VALUE_DOUBLE: cube_tape_double (&r->writer, scalar.real); break;
    default: cube_tape_string_value (&r->writer, (const char *) r->event.data.scalar.value, r->event.data.scalar.length);
    }
  return TRUE;
}

static gboolean
end_document (Reader *r)
{
  if (r->is_empty)
    {
      cube_tape_writer_clear (&r->writer);
      return TRUE;
    }
  CubeValue *value = cube_tape_writer_end (&r->writer);
  if (value == NULL)
    return refuse (r, "document is too large");
  g_ptr_array_add (r->documents, value);
  return TRUE;
}

static gboolean
handle_event (Reader *r)
{
  switch (r->event.type)
    {
    case YAML_DOCUMENT_START_EVENT: r->is_empty = TRUE; return TRUE;
    case YAML_DOCUMENT_END_EVENT: return end_document (r);
    case YAML_MAPPING_START_EVENT: return open_container (r, CUBE_VALUE_OBJECT, r->event.data.mapping_start.tag);
    case YAML_SEQUENCE_START_EVENT: return open_container (r, CUBE_VALUE_ARRAY, r->event.data.sequence_start.tag);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT: return close_container (r);
    case YAML_SCALAR_EVENT: return add_scalar (r);
    case YAML_ALIAS_EVENT: return refuse (r, "aliases are not supported (*%s)", (const char *) r->event.data.alias.anchor);
    default: return TRUE;
    }
}

GPtrArray *
cube_values_from_yaml (const char *data, gssize length, const CubeParseLimits *limits, GError **error)
{
  g_return_val_if_fail (data != NULL || length == 0, NULL);
  gsize size = length < 0 ? strlen (data) : (gsize) length;
  g_auto (Reader) r = { .limits = cube_parse_limits (limits), .error = error, .wants_key = g_byte_array_new () };
  yaml_parser_initialize (&r.parser);
  r.documents = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_value_unref);
  if (size > r.limits.max_bytes)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                   "YAML text of %" G_GSIZE_FORMAT " bytes exceeds the limit of %" G_GSIZE_FORMAT " bytes", size, r.limits.max_bytes);
      return NULL;
    }
  yaml_parser_set_encoding (&r.parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string (&r.parser, (const unsigned char *) (data != NULL ? data : ""), size);
  do
    {
      if (!next_event (&r) || !handle_event (&r))
        return NULL;
    }
  while (r.event.type != YAML_STREAM_END_EVENT);
  return g_steal_pointer (&r.documents);
}
