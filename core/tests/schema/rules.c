/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of single kinds: rules-{cases,pods,kinds}.tsv have an object, a patch that breaks one rule, and the error that has to come.
 * With CUBE_RULES_DUMP=FILE every field of every kind is broken in turn and all that the validation says is written there, for comparing with
 * the rules of Kubernetes. */
#include "test-schema.h"
#include "schema/schema-ops.h"

#define MAX_DEPTH 12

typedef struct {
  const CubeResource *kind;
  const CubeTypeTable *table;
  CubeValue *base;      /* what is broken */
  GHashTable *seen;     /* of the lines */
  const char *path[64]; /* from the root; NULL = element 0 */
  guint16 stack[64];
  guint depth;
} Walk;

/* ---- objects made of the tables ---- */

static CubeMut *make_shape (CubeBuilder *builder, const CubeTypeTable *table, const CubeField *field, guint16 index, gboolean is_full,
                            guint16 *stack, guint depth);

static gboolean
in_stack (const guint16 *stack, guint depth, guint16 type)
{
  for (guint i = 0; i < depth; i++)
    if (stack[i] == type)
      return TRUE;
  return FALSE;
}

static CubeMut *
make_type (CubeBuilder *builder, const CubeTypeTable *table, guint16 index, gboolean is_full, guint16 *stack, guint depth)
{
  CubeMut *object = cube_mut_new_object (builder);
  const CubeType *type = &table->types[index];
  if (depth >= MAX_DEPTH || in_stack (stack, depth, index))
    return object;
  stack[depth] = index;
  for (guint i = 0; i < type->n_fields; i++)
    {
      const CubeField *field = &table->fields[type->first_field + i];
      const char *name = table->pool + field->name;
      if (depth == 0 && (strcmp (name, "metadata") == 0 || strcmp (name, "kind") == 0 || strcmp (name, "apiVersion") == 0))
        continue;
      if (is_full || (field->flags & (CUBE_FIELD_REQUIRED | CUBE_FIELD_DOCUMENTED)) != 0)
        cube_mut_set (object, name, make_shape (builder, table, field, field->shape, is_full, stack, depth + 1));
    }
  return object;
}

static CubeMut *
make_shape (CubeBuilder *builder, const CubeTypeTable *table, const CubeField *field, guint16 index, gboolean is_full, guint16 *stack,
            guint depth)
{
  const CubeShape *shape = &table->shapes[index];
  switch (shape->kind)
    {
    case CUBE_SHAPE_REF: return make_type (builder, table, shape->ref, is_full, stack, depth);
    case CUBE_SHAPE_LIST:
      {
        CubeMut *list = cube_mut_new_array (builder);
        cube_mut_append (list, make_shape (builder, table, field, shape->ref, is_full, stack, depth));
        return list;
      }
    case CUBE_SHAPE_MAP:
      {
        CubeMut *map = cube_mut_new_object (builder);
        cube_mut_set (map, "a", make_shape (builder, table, field, shape->ref, is_full, stack, depth));
        return map;
      }
    case CUBE_SHAPE_INT32:
    case CUBE_SHAPE_INT64: return cube_mut_new_int (builder, 1);
    case CUBE_SHAPE_BOOL: return cube_mut_new_bool (builder, TRUE);
    case CUBE_SHAPE_DOUBLE: return cube_mut_new_double (builder, 1);
    case CUBE_SHAPE_INT_OR_STRING: return cube_mut_new_int (builder, 1);
    case CUBE_SHAPE_BYTES: return cube_mut_new_string (builder, "YQ==", -1);
    case CUBE_SHAPE_QUANTITY: return cube_mut_new_string (builder, "1", -1);
    case CUBE_SHAPE_TIME: return cube_mut_new_string (builder, "2020-01-01T00:00:00Z", -1);
    case CUBE_SHAPE_MICROTIME: return cube_mut_new_string (builder, "2020-01-01T00:00:00.000000Z", -1);
    case CUBE_SHAPE_DURATION: return cube_mut_new_string (builder, "1s", -1);
    case CUBE_SHAPE_STRING:
      if (field->enums != 0)
        return cube_mut_new_string (builder, table->pool + field->enums, -1);
      return cube_mut_new_string (builder, "a", -1);
    default: return cube_mut_new_object (builder);
    }
}

static void
set_metadata (const CubeResource *kind, CubeMut *root)
{
  g_autofree char *version = *kind->group == '\0' ? g_strdup (kind->version) : g_strdup_printf ("%s/%s", kind->group, kind->version);
  cube_mut_set_string (root, "apiVersion", version);
  cube_mut_set_string (root, "kind", kind->kind);
  CubeMut *metadata = cube_mut_set_object (root, "metadata");
  cube_mut_set_string (metadata, "name", "x");
  if (kind->is_namespaced)
    cube_mut_set_string (metadata, "namespace", "d");
}

static CubeValue *
skeleton (const CubeResource *kind, gboolean is_full)
{
  const CubeResourceType *type = cube_resource_type (kind);
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  guint16 stack[64];
  CubeMut *root = make_type (builder, type->table, type->type, is_full, stack, 0);
  cube_builder_set_root (builder, root);
  set_metadata (kind, root);
  return cube_builder_end (builder);
}

/* ---- what comes ---- */

static char *
plain_path (const char *field)
{
  GString *out = g_string_new (NULL);
  for (; *field != '\0'; field++)
    if (*field == '[' && g_ascii_isdigit (field[1]))
      {
        g_string_append (out, "[*]");
        field = strchr (field, ']');
      }
    else
      {
        g_string_append_c (out, *field);
      }
  return g_string_free (out, FALSE);
}

static void
collect (Walk *walk, const char *door, CubeView now, CubeView old)
{
  g_autoptr (CubeFieldErrors) errors = cube_field_errors_new ();
  if (cube_view_exists (old))
    {
      cube_schema_validate_update (walk->kind, door, now, old, errors);
      cube_schema_validate_metadata_update (cube_view_member (now, "metadata"), cube_view_member (old, "metadata"), errors);
    }
  else
    cube_schema_validate_create (walk->kind, now, errors);
  g_autoptr (GError) error = cube_field_errors_to_error (errors, walk->kind->group, walk->kind->kind, "x");
  const CubeErrorDetails *details = error == NULL ? NULL : cube_error_get_details (error);
  for (guint i = 0; details != NULL && details->causes != NULL && i < details->causes->len; i++)
    {
      const CubeCause *cause = details->causes->pdata[i];
      g_autofree char *path = plain_path (cause->field);
      g_autofree char *line = g_strdup_printf ("%s\t%s\t%s", walk->kind->kind, path, cause->message);
      g_hash_table_add (walk->seen, g_steal_pointer (&line));
    }
}

/* ---- breaking ---- */

static const char *const broken[] = {
  "\"\"",
  "\"Bogus_!\"",
  "\"a.b/c\"",
  "\"/a/../b\"",
  "\"10.0.0.300\"",
  "\"-1\"",
  "\"..\"",
  "\"..a\"",
  "\"a/b/c\"",
  "\"/a\"",
  "\"a/\"",
  "\"a--b\"",
  "\"-a\"",
  "\"12\"",
  "\" a\"",
  "\"150%\"",
  "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
  "-1",
  "0",
  "5",
  "70000",
  "99999999",
  "true",
  "false",
  "{}",
  "{\"foo\":\"-1\"}",
  "{\"a b\":\"!\"}",
  "{\"cpu\":\"1.5\",\"memory\":\"-1\"}",
  "[]",
  "[\"Bogus!\",\"Bogus!\"]",
  "[\"\",\"*\"]",
  "[1,1,-1]",
  "[{},{}]",
};

static gboolean
fits (const CubeTypeTable *table, guint16 index, const char *json)
{
  switch (table->shapes[index].kind)
    {
    case CUBE_SHAPE_STRING: return *json == '"';
    case CUBE_SHAPE_QUANTITY: return strcmp (json, "\"-1\"") == 0 || strcmp (json, "0") == 0;
    case CUBE_SHAPE_INT32:
    case CUBE_SHAPE_INT64: return g_ascii_isdigit (*json) || *json == '-';
    case CUBE_SHAPE_INT_OR_STRING: return g_ascii_isdigit (*json) || *json == '-' || *json == '"';
    case CUBE_SHAPE_BOOL: return *json == 't' || *json == 'f';
    case CUBE_SHAPE_MAP: return *json == '{';
    case CUBE_SHAPE_REF: return strcmp (json, "{}") == 0;
    case CUBE_SHAPE_LIST:
      return *json == '['
             && (json[1] == ']' || (json[1] == '"') == (table->shapes[table->shapes[index].ref].kind == CUBE_SHAPE_STRING)
                 || (json[1] == '{') == (table->shapes[table->shapes[index].ref].kind == CUBE_SHAPE_REF));
    default: return FALSE;
    }
}

/* The base with the value at the walk's path replaced (@json NULL: removed; "2": the element or member twice). */
static CubeMut *
reach (Walk *walk, CubeMut *root)
{
  CubeMut *at = root;
  for (guint i = 0; i + 1 < walk->depth; i++)
    {
      const char *name = walk->path[i];
      gboolean next_is_element = walk->path[i + 1] == NULL;
      if (name != NULL)
        at = next_is_element ? cube_mut_ensure_array (at, name) : cube_mut_ensure_object (at, name);
      else if (cube_mut_length (at) > 0)
        at = cube_mut_element (at, 0);
      else
        at = cube_mut_append_object (at);
    }
  return at;
}

static void
try_value (Walk *walk, const char *json)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (walk->base));
  CubeMut *parent = reach (walk, cube_builder_root (builder));
  const char *name = walk->path[walk->depth - 1];
  if (json == NULL && name != NULL)
    {
      cube_mut_remove (parent, name);
    }
  else if (json != NULL)
    {
      g_autoptr (CubeValue) value = parse (json);
      CubeMut *node = cube_mut_new_view (builder, cube_value_root (value));
      if (name != NULL)
        cube_mut_set (parent, name, node);
      else if (cube_mut_length (parent) > 0)
        cube_mut_replace_element (parent, 0, node);
      else
        cube_mut_append (parent, node);
    }
  g_autoptr (CubeValue) raw = cube_builder_end (builder);
  g_autofree char *text = cube_view_to_json (cube_value_root (raw), NULL);
  g_autoptr (CubeValue) again = parse (text);
  g_autoptr (CubeBuilder) defaulted = cube_builder_new_from (cube_value_root (again));
  if (!cube_schema_decode (walk->kind, "", cube_builder_root (defaulted), CUBE_STRICT_IGNORE, NULL, NULL, NULL))
    return;
  cube_schema_set_defaults (walk->kind, cube_builder_root (defaulted));
  g_autoptr (CubeValue) value = cube_builder_end (defaulted);
  CubeView now = cube_value_root (value), old = cube_value_root (walk->base);
  if (strcmp (walk->path[0], "status") == 0)
    {
      collect (walk, "status", now, old);
      collect (walk, "status", old, now);
      return;
    }
  collect (walk, "", now, cube_view_none ());
  collect (walk, "", now, old);
  collect (walk, "", old, now);
}

static void walk_type (Walk *walk, guint16 index);

static void
walk_shape (Walk *walk, const CubeField *field, guint16 index)
{
  const CubeShape *shape = &walk->table->shapes[index];
  if (walk->depth > 1 || shape->kind != CUBE_SHAPE_REF)
    {
      try_value (walk, NULL);
      for (guint i = 0; i < G_N_ELEMENTS (broken); i++)
        if (fits (walk->table, index, broken[i]))
          try_value (walk, broken[i]);
      if (field->enums != 0 && shape->kind == CUBE_SHAPE_STRING)
        for (const char *at = walk->table->pool + field->enums; *at != '\001'; at += strlen (at) + 1)
          {
            g_autofree char *json = g_strdup_printf ("\"%s\"", at);
            try_value (walk, json);
          }
    }
  if (shape->kind == CUBE_SHAPE_REF)
    {
      walk_type (walk, shape->ref);
    }
  else if (shape->kind == CUBE_SHAPE_LIST || (shape->kind == CUBE_SHAPE_MAP && walk->table->shapes[shape->ref].kind == CUBE_SHAPE_REF))
    {
      walk->path[walk->depth++] = shape->kind == CUBE_SHAPE_LIST ? NULL : "a";
      walk_shape (walk, field, shape->ref);
      walk->depth--;
    }
}

static void
walk_type (Walk *walk, guint16 index)
{
  const CubeType *type = &walk->table->types[index];
  const char *type_name = walk->table->pool + type->name;
  guint level = walk->depth;
  if (level >= MAX_DEPTH || in_stack (walk->stack, level, index))
    return;
  if (strcmp (type_name, "core/v1.PodTemplateSpec") == 0
      || (strcmp (type_name, "core/v1.PersistentVolumeSpec") == 0 && strcmp (walk->kind->kind, "PersistentVolume") != 0)
      || (strcmp (type_name, "meta/v1.ObjectMeta") == 0 && strcmp (walk->kind->kind, "ConfigMap") != 0))
    return; /* walked once, where it is at home */
  for (guint i = 0; i < type->n_fields; i++)
    {
      const CubeField *field = &walk->table->fields[type->first_field + i];
      const char *name = walk->table->pool + field->name;
      if (level == 0 && (strcmp (name, "kind") == 0 || strcmp (name, "apiVersion") == 0))
        continue;
      walk->stack[level] = index;
      walk->path[walk->depth++] = name;
      if (walk->depth > level + 1)
        walk->stack[level] = index;
      walk_shape (walk, field, field->shape);
      walk->depth = level;
    }
}

static void
run_base (const CubeResource *kind, CubeValue *raw, GHashTable *seen)
{
  const CubeResourceType *type = cube_resource_type (kind);
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (raw));
  if (!cube_schema_decode (kind, "", cube_builder_root (builder), CUBE_STRICT_IGNORE, NULL, NULL, NULL))
    return;
  cube_schema_set_defaults (kind, cube_builder_root (builder));
  g_autoptr (CubeValue) base = cube_builder_end (builder);
  Walk walk = { .kind = kind, .table = type->table, .base = base, .seen = seen };
  memset (walk.stack, 0xff, sizeof walk.stack);
  walk_type (&walk, type->type);
}

static void
run_kind (const CubeResource *kind, GHashTable *seen)
{
  for (guint full = 0; full < 2; full++)
    {
      g_autoptr (CubeValue) raw = skeleton (kind, full == 1);
      run_base (kind, raw, seen);
    }
}

static int
compare (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* Bases of kinds, one a line: api version, plural, JSON. */
static void
run_bases (const char *file, GHashTable *seen)
{
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  g_file_get_contents (file, &text, NULL, &error);
  g_assert_no_error (error);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    {
      g_auto (GStrv) parts = g_strsplit (lines[i], "\t", 3);
      if (g_strv_length (parts) < 3 || *lines[i] == '#')
        continue;
      g_autoptr (CubeValue) given = parse (parts[2]);
      const CubeResource *kind = resource (parts[0], parts[1]);
      g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (given));
      set_metadata (kind, cube_builder_root (builder));
      g_autoptr (CubeValue) raw = cube_builder_end (builder);
      run_base (kind, raw, seen);
    }
}

/* ---- cases ---- */

static CubeValue *
patched (const CubeResource *kind, CubeView base, const char *patch)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (base);
  g_autoptr (CubeValue) value = parse (patch);
  cube_patch_merge (cube_builder_root (builder), cube_value_root (value));
  g_autoptr (CubeValue) raw = cube_builder_end (builder);
  g_autofree char *json = cube_view_to_json (cube_value_root (raw), NULL);
  return prepare (kind, json);
}

static CubeValue *
case_base (const CubeResource *kind, const char *json)
{
  g_autoptr (CubeValue) given = parse (json);
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (given));
  CubeMut *root = cube_builder_root (builder);
  if (cube_mut_member (root, "metadata") == NULL)
    set_metadata (kind, root);
  cube_mut_set_string (cube_mut_ensure_object (root, "metadata"), "resourceVersion", "1");
  return cube_builder_end (builder);
}

/* What has to come: "" = nothing; else one of the errors is `field: text`, new lines written as ^. */
static void
check_case (CubeFieldErrors *errors, const CubeResource *kind, const char *line, const char *expected, GHashTable *seen)
{
  g_autoptr (GError) error = cube_field_errors_to_error (errors, kind->group, kind->kind, "x");
  const CubeErrorDetails *details = error == NULL ? NULL : cube_error_get_details (error);
  gboolean is_found = *expected == '\0' && error == NULL;
  for (guint i = 0; details != NULL && details->causes != NULL && i < details->causes->len; i++)
    {
      const CubeCause *cause = details->causes->pdata[i];
      g_autofree char *text = g_strdup_printf ("%s%s%s", cause->field, *cause->field == '\0' ? "" : ": ", cause->message);
      g_autofree char *path = plain_path (cause->field);
      g_hash_table_add (seen, g_strdup_printf ("%s\t%s\t%s", kind->kind, path, cause->message));
      g_strdelimit (text, "\n", '^');
      is_found |= *expected != '\0' && strcmp (text, expected) == 0;
    }
  if (!is_found)
    {
      g_test_message ("%s %s\n  have   %s", kind->kind, line, error == NULL ? "(no error)" : error->message);
      g_test_fail ();
    }
}

/* `<<TEXT*N>>` is TEXT N times. */
static char *
unfolded (const char *line)
{
  g_autoptr (GString) out = g_string_new (NULL);
  const char *open, *close, *star;
  while ((open = strstr (line, "<<")) != NULL && (close = strstr (open, ">>")) != NULL
         && (star = g_strrstr_len (open, close - open, "*")) != NULL)
    {
      g_string_append_len (out, line, open - line);
      for (guint64 n = g_ascii_strtoull (star + 1, NULL, 10); n > 0; n--)
        g_string_append_len (out, open + 2, star - open - 2);
      line = close + 2;
    }
  g_string_append (out, line);
  return g_string_free (g_steal_pointer (&out), FALSE);
}

static void
run_case (const CubeResource *kind, CubeValue *base, const char *line, char **part, GHashTable *seen)
{
  static const struct {
    char sign;
    const char *door;
  } doors[] = { { '~', "" }, { '!', "status" }, { '%', "resize" }, { '&', "ephemeralcontainers" } };
  gboolean has_old = part[0][1] != '\0';
  const char *expected = part[has_old ? 3 : 2];
  g_assert_true (kind != NULL && expected != NULL && g_strv_length (part) == (has_old ? 4u : 3u));
  g_autoptr (CubeValue) old = patched (kind, cube_value_root (base), has_old ? part[1] : "{}");
  g_autoptr (CubeValue) now = patched (kind, cube_value_root (old), part[has_old ? 2 : 1]);
  CubeView view = cube_value_root (now), before = cube_value_root (old);
  g_autoptr (CubeFieldErrors) errors = cube_field_errors_new ();
  if (*part[0] == '+')
    cube_schema_validate_create (kind, view, errors);
  for (guint i = 0; i < G_N_ELEMENTS (doors); i++)
    if (*part[0] == doors[i].sign)
      {
        cube_schema_validate_update (kind, doors[i].door, view, before, errors);
        cube_schema_validate_metadata_update (cube_view_member (view, "metadata"), cube_view_member (before, "metadata"), errors);
      }
  check_case (errors, kind, line, expected, seen);
}

/* `= version plural base` starts a kind. `+ patch expected` creates, `~ patch expected` updates the base, `~~ old-patch patch expected` updates
 * the base with a patch; `!` and `!!`, `%` and `%%`, `&` and `&&` do so through the doors of status, resize and ephemeral containers. Columns
 * are separated by tabs. */
static void
run_cases (const char *file, GHashTable *seen)
{
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  const CubeResource *kind = NULL;
  g_autoptr (CubeValue) base = NULL;
  g_file_get_contents (file, &text, NULL, &error);
  g_assert_no_error (error);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    {
      if (*lines[i] == '#' || *lines[i] == '\0')
        continue;
      g_autofree char *line = unfolded (lines[i]);
      g_auto (GStrv) part = g_strsplit (line, "\t", -1);
      if (strcmp (part[0], "=") == 0)
        {
          g_assert_cmpuint (g_strv_length (part), ==, 4);
          kind = resource (part[1], part[2]);
          g_clear_pointer (&base, cube_value_unref);
          base = case_base (kind, part[3]);
          continue;
        }
      run_case (kind, base, lines[i], part, seen);
    }
}

static void
run_all_cases (GHashTable *seen)
{
  static const char *const files[] = { "rules-cases.tsv", "rules-pods.tsv", "rules-kinds.tsv" };
  for (guint i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autofree char *path = g_test_build_filename (G_TEST_DIST, files[i], NULL);
      run_cases (path, seen);
    }
}

static void
test_cases (void)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  run_all_cases (seen);
}

/* Slow: only when somebody wants to see what comes. */
static void
test_rules (void)
{
  const char *dump = g_getenv ("CUBE_RULES_DUMP");
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GPtrArray) kinds = cube_schema_list (cube_schema_get_default ());
  for (guint i = 0; i < kinds->len; i++)
    {
      const CubeResource *kind = kinds->pdata[i];
      if (kind->storage == NULL || kind->storage == kind)
        run_kind (kind, seen);
    }
  g_autofree char *bases = g_test_build_filename (G_TEST_DIST, "rules-bases.tsv", NULL);
  run_bases (bases, seen);
  run_all_cases (seen);
  g_autofree gpointer *lines = g_hash_table_get_keys_as_array (seen, NULL);
  guint n = g_hash_table_size (seen);
  qsort (lines, n, sizeof *lines, compare);
  g_autoptr (GString) out = g_string_new (NULL);
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *flat = g_strdelimit (g_strdup (lines[i]), "\n", ' ');
      g_string_append_printf (out, "%s\n", flat);
    }
  g_assert_true (g_file_set_contents (dump, out->str, -1, NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/schema/rules/cases", test_cases);
  if (g_getenv ("CUBE_RULES_DUMP") != NULL)
    g_test_add_func ("/schema/rules/all", test_rules);
  return g_test_run ();
}
