/* SPDX-License-Identifier: Apache-2.0 */
/* Patches without a schema: RFC 7386 and RFC 6902. */
#include "builder.h"
#include <cube/error.h>

#define MAX_RESULT_DEPTH 1000
#define MAX_WORK 500000000

/* ---- RFC 7386 ---- */

static void
merge_object (CubeMut *target, CubeView patch)
{
  CubeIter iter;
  const char *key;
  guint32 length;
  CubeView value;
  if (cube_mut_type (target) != CUBE_VALUE_OBJECT)
    cube_mut_become (target, cube_mut_new_object (target->builder));
  for (cube_iter_init (&iter, patch); cube_iter_next_full (&iter, &key, &length, &value);)
    {
      CubeValueType type = cube_view_type (value);
      if (type == CUBE_VALUE_NULL)
        {
          cube_mut_remove_full (target, key, length);
        }
      else if (type != CUBE_VALUE_OBJECT)
        {
          cube_mut_set_full (target, key, length, cube_mut_new_view (target->builder, value));
        }
      else
        {
          CubeMut *child = cube_mut_member_full (target, key, length);
          if (child == NULL)
            {
              child = cube_mut_new_object (target->builder);
              cube_mut_set_full (target, key, length, child);
            }
          merge_object (child, value); /* nulls inside a new object are dropped too */
        }
    }
}

void
cube_patch_merge (CubeMut *target, CubeView patch)
{
  g_return_if_fail (target != NULL);
  if (!cube_view_exists (patch))
    return;
  if (cube_view_type (patch) == CUBE_VALUE_OBJECT)
    merge_object (target, patch);
  else
    cube_mut_become (target, cube_mut_new_view (target->builder, patch));
}

/* ---- RFC 6902 ---- */

typedef struct {
  CubeBuilder *builder;
  guint number; /* of the operation, for messages */
  gsize bytes, max_bytes;
  guint depth; /* of the document, at most */
  gsize work;  /* array places shifted, bytes compared */
  GError **error;
} Patch;

/* A JSON pointer (RFC 6901) split into its unescaped tokens. */
typedef struct {
  GPtrArray *tokens; /* GString: a token may hold NUL */
} Pointer;

static void
free_token (gpointer token)
{
  g_string_free (token, TRUE);
}

static gboolean bad_operation (Patch *p, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
bad_operation (Patch *p, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (p->error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "JSON patch operation %u: %s", p->number, text);
  return FALSE;
}

static gboolean failed_operation (Patch *p, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
failed_operation (Patch *p, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (p->error, CUBE_ERROR, CUBE_ERROR_INVALID, "JSON patch operation %u: %s", p->number, text);
  return FALSE;
}

static GPtrArray *
parse_pointer (Patch *p, CubeView view, const char *member)
{
  guint32 length;
  const char *text = cube_view_string_full (view, &length);
  if (text == NULL)
    {
      bad_operation (p, "\"%s\" must be a string", member);
      return NULL;
    }
  g_autoptr (GPtrArray) tokens = g_ptr_array_new_with_free_func (free_token);
  if (length > 0 && *text != '/')
    {
      bad_operation (p, "\"%s\" must be empty or start with '/', found \"%s\"", member, text);
      return NULL;
    }
  GString *token = NULL;
  for (guint32 i = 0; i < length; i++)
    {
      if (text[i] == '/')
        {
          token = g_string_new (NULL);
          g_ptr_array_add (tokens, token);
        }
      else if (text[i] != '~')
        {
          g_string_append_c (token, text[i]);
        }
      else if (i + 1 < length && (text[i + 1] == '0' || text[i + 1] == '1'))
        {
          g_string_append_c (token, text[++i] == '0' ? '~' : '/');
        }
      else
        {
          bad_operation (p, "\"%s\" holds an invalid escape: \"%s\"", member, text);
          return NULL;
        }
    }
  if (tokens->len > MAX_RESULT_DEPTH)
    {
      bad_operation (p, "\"%s\" is nested too deeply", member);
      return NULL;
    }
  return g_steal_pointer (&tokens);
}

/* RFC 6901 section 4: digits without a leading zero. */
static gboolean
parse_index (const GString *token, guint *ret_index)
{
  guint64 index = 0;
  if (token->len == 0 || token->len > 9 || (token->str[0] == '0' && token->len > 1))
    return FALSE;
  for (gsize i = 0; i < token->len; i++)
    {
      if (!g_ascii_isdigit (token->str[i]))
        return FALSE;
      index = index * 10 + (guint64) (token->str[i] - '0');
    }
  *ret_index = (guint) index;
  return TRUE;
}

static CubeMut *
step (CubeMut *node, const GString *token)
{
  guint index;
  if (cube_mut_type (node) == CUBE_VALUE_OBJECT)
    return cube_mut_member_full (node, token->str, token->len);
  if (cube_mut_type (node) == CUBE_VALUE_ARRAY && parse_index (token, &index))
    return cube_mut_element (node, index);
  return NULL;
}

/* The node @n_tokens along the pointer, NULL if there is none. */
static CubeMut *
walk (Patch *p, const GPtrArray *tokens, guint n_tokens)
{
  CubeMut *node = cube_builder_root (p->builder);
  for (guint i = 0; i < n_tokens && node != NULL; i++)
    node = step (node, tokens->pdata[i]);
  return node;
}

static gboolean
missing (Patch *p, const GPtrArray *tokens)
{
  g_autoptr (GString) path = g_string_new (NULL);
  for (guint i = 0; i < tokens->len; i++)
    g_string_append_printf (path, "/%s", ((GString *) tokens->pdata[i])->str);
  return failed_operation (p, "path \"%s\" does not exist", path->str);
}

/* What is copied may grow the document without bound: size and depth are counted. A move adds nothing, and the depth bound it loosens is made exact again
 * only when it is reached, so that many moves of large subtrees stay cheap. */
static gboolean
charge (Patch *p, const CubeMut *child, guint place_depth, gboolean is_move)
{
  if (!is_move)
    {
      p->bytes += cube_mut_size (child);
      if (p->bytes > p->max_bytes)
        return failed_operation (p, "result exceeds the limit of %" G_GSIZE_FORMAT " bytes", p->max_bytes);
    }
  guint bound = is_move ? p->depth : cube_mut_depth (child, MAX_RESULT_DEPTH);
  if (is_move && place_depth + bound >= MAX_RESULT_DEPTH)
    {
      bound = cube_mut_depth (child, MAX_RESULT_DEPTH);
      p->depth = cube_mut_depth (cube_builder_root (p->builder), MAX_RESULT_DEPTH);
    }
  p->depth = MAX (p->depth, place_depth + bound);
  return p->depth < MAX_RESULT_DEPTH ? TRUE : failed_operation (p, "result is nested too deeply");
}

/* Elements behind the place shift; a hostile patch could shift a large array ten thousand times. */
static gboolean
charge_shift (Patch *p, const CubeMut *array, guint index)
{
  p->work += cube_mut_length (array) - MIN (index, cube_mut_length (array));
  return p->work < MAX_WORK ? TRUE : failed_operation (p, "too many array elements shifted");
}

static gboolean
add (Patch *p, const GPtrArray *tokens, CubeMut *child, gboolean is_move)
{
  if (!charge (p, child, tokens->len, is_move))
    return FALSE;
  if (tokens->len == 0)
    {
      cube_builder_set_root (p->builder, child);
      return TRUE;
    }
  CubeMut *parent = walk (p, tokens, tokens->len - 1);
  const GString *last = tokens->pdata[tokens->len - 1];
  guint index;
  switch (cube_mut_type (parent))
    {
    case CUBE_VALUE_OBJECT: cube_mut_set_full (parent, last->str, last->len, child); return TRUE;
    case CUBE_VALUE_ARRAY:
      if (g_string_equal (last, &(GString){ (char *) "-", 1, 0 }))
        index = cube_mut_length (parent);
      else if (!parse_index (last, &index) || index > cube_mut_length (parent))
        return failed_operation (p, "\"%s\" is no index from 0 to %u or \"-\"", last->str, cube_mut_length (parent));
      if (!charge_shift (p, parent, index))
        return FALSE;
      cube_mut_insert (parent, index, child);
      return TRUE;
    default: return missing (p, tokens);
    }
}

/* Takes the node out of the tree; it lives on in the arena. */
static CubeMut *
take (Patch *p, const GPtrArray *tokens)
{
  CubeMut *node = walk (p, tokens, tokens->len);
  guint index;
  if (node == NULL)
    {
      missing (p, tokens);
      return NULL;
    }
  if (tokens->len == 0)
    {
      cube_builder_set_root (p->builder, cube_mut_new_null (p->builder));
      return node;
    }
  CubeMut *parent = walk (p, tokens, tokens->len - 1);
  const GString *last = tokens->pdata[tokens->len - 1];
  if (cube_mut_type (parent) == CUBE_VALUE_OBJECT)
    {
      cube_mut_remove_full (parent, last->str, last->len);
    }
  else if (parse_index (last, &index))
    {
      if (!charge_shift (p, parent, index))
        return NULL;
      cube_mut_remove_element (parent, index);
    }
  return node;
}

static gboolean
replace (Patch *p, const GPtrArray *tokens, CubeMut *child)
{
  if (walk (p, tokens, tokens->len) == NULL)
    return missing (p, tokens);
  if (tokens->len == 0)
    return add (p, tokens, child, FALSE);
  if (!charge (p, child, tokens->len, FALSE))
    return FALSE;
  CubeMut *parent = walk (p, tokens, tokens->len - 1);
  const GString *last = tokens->pdata[tokens->len - 1];
  guint index;
  if (cube_mut_type (parent) == CUBE_VALUE_OBJECT)
    cube_mut_set_full (parent, last->str, last->len, child);
  else if (parse_index (last, &index))
    cube_mut_replace_element (parent, index, child);
  return TRUE;
}

static gboolean
is_prefix (const GPtrArray *from, const GPtrArray *path)
{
  if (from->len >= path->len)
    return FALSE;
  for (guint i = 0; i < from->len; i++)
    if (!g_string_equal (from->pdata[i], path->pdata[i]))
      return FALSE;
  return TRUE;
}

static gboolean
apply_from (Patch *p, gboolean is_move, CubeView operation, const GPtrArray *path)
{
  CubeView from_view = cube_view_member (operation, "from");
  if (!cube_view_exists (from_view))
    return bad_operation (p, "\"from\" is missing");
  g_autoptr (GPtrArray) from = parse_pointer (p, from_view, "from");
  if (from == NULL)
    return FALSE;
  if (is_move && is_prefix (from, path))
    return failed_operation (p, "a value cannot be moved into itself");
  CubeMut *node = is_move ? take (p, from) : walk (p, from, from->len);
  if (node == NULL)
    return is_move ? FALSE : missing (p, from);
  return add (p, path, is_move ? node : cube_mut_new_copy (p->builder, node), is_move);
}

static gboolean
apply (Patch *p, CubeView operation)
{
  const char *op = cube_view_get_string (operation, "op");
  CubeView value = cube_view_member (operation, "value"), path_view = cube_view_member (operation, "path");
  if (cube_view_type (operation) != CUBE_VALUE_OBJECT)
    return bad_operation (p, "must be an object, found %s", cube_value_type_name (cube_view_type (operation)));
  if (op == NULL)
    return bad_operation (p, "\"op\" must be a string");
  if (!cube_view_exists (path_view))
    return bad_operation (p, "\"path\" is missing");
  g_autoptr (GPtrArray) path = parse_pointer (p, path_view, "path");
  if (path == NULL)
    return FALSE;
  if (g_str_equal (op, "remove"))
    return take (p, path) != NULL;
  if (g_str_equal (op, "move") || g_str_equal (op, "copy"))
    return apply_from (p, *op == 'm', operation, path);
  if (!g_str_equal (op, "add") && !g_str_equal (op, "replace") && !g_str_equal (op, "test"))
    return bad_operation (p, "unknown operation \"%s\"", op);
  if (!cube_view_exists (value))
    return bad_operation (p, "\"value\" is missing");
  if (*op == 'a')
    return add (p, path, cube_mut_new_view (p->builder, value), FALSE);
  if (*op == 'r')
    return replace (p, path, cube_mut_new_view (p->builder, value));
  CubeMut *node = walk (p, path, path->len);
  if (node == NULL)
    return missing (p, path);
  p->work += 8 * cube_mut_size (node); /* at worst both sides are sorted */
  if (p->work >= MAX_WORK)
    return failed_operation (p, "too much to compare");
  return cube_mut_equal_view (node, value) ? TRUE : failed_operation (p, "test failed at path \"%s\"", cube_view_string (path_view));
}

gboolean
cube_patch_json (CubeBuilder *builder, CubeView patch, guint max_operations, gsize max_bytes, GError **error)
{
  g_return_val_if_fail (builder != NULL, FALSE);
  Patch p = { .builder = builder, .max_bytes = max_bytes > 0 ? max_bytes : 6 * 1024 * 1024, .error = error };
  CubeIter iter;
  CubeView operation;
  if (max_operations == 0)
    max_operations = 10000;
  if (cube_view_type (patch) != CUBE_VALUE_ARRAY)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "JSON patch must be an array, found %s",
                   cube_value_type_name (cube_view_type (patch)));
      return FALSE;
    }
  if (cube_view_length (patch) > max_operations)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_REQUEST_TOO_LARGE,
                   "Request entity too large: The allowed maximum operations in a JSON patch is %u, got %u", max_operations,
                   cube_view_length (patch));
      return FALSE;
    }
  p.depth = cube_mut_depth (cube_builder_root (builder), MAX_RESULT_DEPTH);
  p.bytes = cube_mut_size (cube_builder_root (builder));
  for (cube_iter_init (&iter, patch); cube_iter_next (&iter, NULL, &operation); p.number++)
    if (!apply (&p, operation))
      return FALSE;
  return TRUE;
}
