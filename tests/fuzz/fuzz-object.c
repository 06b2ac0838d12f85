/* SPDX-License-Identifier: Apache-2.0 */
/* One target for every reader of outside text in core/object. The first byte chooses:
 *   j JSON   y YAML   l label selector   f field selector   q quantity, time, duration, names   p "document\npatch"   o stored object
 * Besides not crashing: what is accepted must survive being written and read again, and the two JSON parsers must agree. */
#include "core/object/json-scan.h"
#include <cube/error.h>
#include <cube/scalar.h>
#include <cube/selector.h>

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

static void
fuzz_json (const char *text, gsize length)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) value = cube_value_from_json (text, (gssize) length, NULL, &error);
  g_auto (CubeTapeWriter) writer;
  CubeJsonError problem;
  cube_tape_writer_init (&writer);
  gboolean scans = cube_json_scan (text, length, 128, 1000000, &writer, &problem);
  g_assert_true ((value != NULL) == (error == NULL));
  if (length < 100000) /* far from the limits */
    g_assert_true (scans == (value != NULL));
  if (value == NULL)
    return;
  CubeView root = cube_value_root (value);
  g_autofree char *json = cube_view_to_json (root, NULL);
  g_autoptr (CubeValue) again = cube_value_from_json (json, -1, &(CubeParseLimits){ .max_bytes = 1 << 26 }, &error);
  g_assert_no_error (error);
  g_assert_true (cube_view_equal (root, cube_value_root (again)));
  g_assert_cmpuint (cube_view_hash (root, 5), ==, cube_view_hash (cube_value_root (again), 5));
  g_auto (GStrv) twice = cube_value_duplicate_keys (value);
  g_autoptr (JsonNode) node = cube_view_to_json_node (root);
  g_autoptr (CubeSelector) selector = cube_selector_from_view (root, NULL);
}

static void
fuzz_yaml (const char *text, gsize length)
{
  g_autoptr (GPtrArray) documents = cube_values_from_yaml (text, (gssize) length, NULL, NULL);
  for (guint i = 0; documents != NULL && i < documents->len; i++)
    {
      CubeView root = cube_value_root (documents->pdata[i]);
      g_autoptr (GError) error = NULL;
      gsize written;
      g_autofree char *yaml = cube_view_to_yaml (root, &written);
      g_autoptr (GPtrArray) again = cube_values_from_yaml (yaml, (gssize) written, &(CubeParseLimits){ .max_bytes = 1 << 26 }, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (again->len, ==, 1);
      g_assert_true (cube_view_equal (root, cube_value_root (again->pdata[0])));
    }
}

static const char *
no_field (const char *field, gpointer data)
{
  return NULL;
}

static void
fuzz_selector (const char *text, gboolean is_fields)
{
  g_autoptr (CubeSelector) selector = is_fields ? cube_selector_parse_fields (text, NULL) : cube_selector_parse_labels (text, NULL);
  if (selector == NULL)
    return;
  g_autoptr (GError) error = NULL;
  g_autofree char *canonical = cube_selector_to_string (selector);
  g_autoptr (CubeSelector) again =
      is_fields ? cube_selector_parse_fields (canonical, &error) : cube_selector_parse_labels (canonical, &error);
  if (strlen (canonical) <= 64 * 1024)
    g_assert_no_error (error);
  cube_selector_matches_fields (selector, no_field, NULL);
  cube_selector_matches_labels (selector, cube_view_none ());
}

static void
fuzz_scalars (const char *text)
{
  CubeQuantity quantity, again, sum;
  char canonical[64], time[40], *encoded = g_malloc (strlen (text) + 1);
  gint64 number;
  if (cube_quantity_parse (text, &quantity, NULL))
    {
      cube_quantity_format (&quantity, canonical);
      g_assert_true (cube_quantity_parse (canonical, &again, NULL));
      sum = quantity;
      cube_quantity_add (&sum, &again);
      cube_quantity_sub (&sum, &again);
      cube_quantity_value (&sum);
      cube_quantity_millis (&sum);
    }
  if (cube_time_parse (text, &number))
    cube_time_format_micro (number, time);
  if (cube_duration_parse (text, &number))
    {
      cube_duration_format (number, time);
      g_assert_true (cube_duration_parse (time, &number));
    }
  cube_name_check_qualified (text);
  cube_name_check_dns1123_label (text);
  cube_name_check_port_name (text);
  cube_name_check_config_map_key (text);
  cube_name_check_env_var (text);
  cube_name_safe_encode (text, encoded);
  g_free (encoded);
}

static void
fuzz_patch (const char *text, gsize length)
{
  const char *newline = memchr (text, '\n', length);
  if (newline == NULL)
    return;
  g_autoptr (CubeValue) document = cube_value_from_json (text, newline - text, NULL, NULL);
  g_autoptr (CubeValue) patch = cube_value_from_json (newline + 1, (gssize) (length - (gsize) (newline + 1 - text)), NULL, NULL);
  if (document == NULL || patch == NULL)
    return;
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (document));
  g_autoptr (GError) error = NULL;
  gboolean is_fine = cube_patch_json (builder, cube_value_root (patch), 0, 100000, &error);
  g_assert_true (is_fine == (error == NULL));
  g_autoptr (CubeValue) packed = cube_builder_end (builder);
  if (is_fine)
    g_assert_true (cube_mut_equal_view (cube_builder_root (builder), cube_value_root (packed)));
  g_autoptr (CubeBuilder) merged = cube_builder_new_from (cube_value_root (document));
  cube_patch_merge (cube_builder_root (merged), cube_value_root (patch));
  g_autoptr (CubeValue) result = cube_builder_end (merged);
  g_assert_nonnull (result);
}

static void
fuzz_object (const char *text, gsize length)
{
  g_autoptr (CubeObject) object = cube_object_new_from_json (text, length, 77, NULL);
  if (object == NULL)
    return;
  g_autoptr (CubeValue) value = cube_object_value (object);
  g_assert_cmpstr (cube_view_get_string (cube_value_root (value), "metadata", "resourceVersion"), ==, "77");
  g_assert_cmpstr (cube_view_get_string (cube_value_root (value), "metadata", "name"), ==, cube_object_name (object));
  cube_object_set_revision (object, 0);
  g_autoptr (CubeValue) unsaved = cube_object_value (object);
  g_assert_false (cube_view_exists (cube_value_get (unsaved, "metadata", "resourceVersion")));
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  if (size == 0)
    return 0;
  gsize length = size - 1;
  g_autofree char *text = g_malloc (length + 1); /* exact, so that a sanitizer sees a read beyond */
  memcpy (text, data + 1, length);
  text[length] = '\0';
  switch (data[0])
    {
    case 'j': fuzz_json (text, length); break;
    case 'y': fuzz_yaml (text, length); break;
    case 'l':
    case 'f': fuzz_selector (text, data[0] == 'f'); break;
    case 'q': fuzz_scalars (text); break;
    case 'p': fuzz_patch (text, length); break;
    case 'o': fuzz_object (text, length); break;
    default: break;
    }
  return 0;
}
