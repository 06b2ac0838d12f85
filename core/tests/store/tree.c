/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include <store/index.h>
#include <store/tree.h>
#include <string.h>

static gboolean
collect (CubeObject *object, gpointer data)
{
  g_ptr_array_add (data, object);
  return TRUE;
}

/* Random puts, replacements and removals against a hash table, with copies taken on the way that must not change. */
static void
test_random (void)
{
  CubeTree tree = { NULL, 0 }, copy = { NULL, 0 };
  g_autoptr (GHashTable) model = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) cube_object_unref);
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);
  g_autoptr (GPtrArray) then = g_ptr_array_new (), now = g_ptr_array_new ();
  for (guint i = 0; i < 30000; i++)
    {
      g_autofree char *ns = g_strdup_printf ("ns-%d", g_rand_int_range (rand, 0, 3));
      g_autofree char *name = g_strdup_printf ("pod-%d", g_rand_int_range (rand, 0, 2000));
      g_autofree char *key = g_strconcat (ns, "/", name, NULL);
      gboolean is_there = g_hash_table_contains (model, key), shrink = (i / 10000) == 1;
      g_autoptr (CubeObject) old = NULL;
      if (g_rand_int_range (rand, 0, 10) < (shrink ? 8 : 3))
        {
          old = cube_tree_remove (&tree, ns, name);
          g_hash_table_remove (model, key);
        }
      else
        {
          CubeObject *object = make_pod (ns, name, 1);
          old = cube_tree_put (&tree, object);
          g_hash_table_replace (model, g_steal_pointer (&key), object);
        }
      g_assert_true ((old != NULL) == is_there);
      if (i % 500 == 0)
        {
          g_ptr_array_set_size (now, 0);
          cube_tree_visit (&copy, NULL, NULL, NULL, collect, now);
          g_assert_cmpuint (now->len, ==, then->len);
          g_assert_true (now->len == 0 || memcmp (now->pdata, then->pdata, now->len * sizeof (gpointer)) == 0);
          g_assert_true (cube_tree_check (&tree));
          cube_tree_clear (&copy);
          copy = cube_tree_copy (&tree);
          g_ptr_array_set_size (then, 0);
          cube_tree_visit (&copy, NULL, NULL, NULL, collect, then);
        }
    }
  g_assert_cmpuint (tree.length, ==, g_hash_table_size (model));
  GHashTableIter iter;
  gpointer value;
  g_hash_table_iter_init (&iter, model);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    g_assert_true (cube_tree_lookup (&tree, cube_object_namespace (value), cube_object_name (value)) == value);
  cube_tree_clear (&copy);
  cube_tree_clear (&tree);
}

static gboolean
take_two (CubeObject *object, gpointer data)
{
  g_ptr_array_add (data, object);
  return ((GPtrArray *) data)->len < 2;
}

static void
test_visit (void)
{
  CubeTree tree = { NULL, 0 };
  static const char *const namespaces[] = { "a", "a-b", "b" };
  for (guint i = 0; i < 300; i++)
    {
      g_autofree char *name = g_strdup_printf ("p-%03u", i / 3);
      g_autoptr (CubeObject) object = make_pod (namespaces[i % 3], name, 0);
      g_assert_null (cube_tree_put (&tree, object));
    }
  g_autoptr (GPtrArray) seen = g_ptr_array_new ();
  cube_tree_visit (&tree, "a-b", NULL, NULL, collect, seen);
  g_assert_cmpuint (seen->len, ==, 100);
  g_assert_cmpstr (cube_object_namespace (seen->pdata[0]), ==, "a-b");
  g_ptr_array_set_size (seen, 0);
  cube_tree_visit (&tree, "a-b", "a-b", "p-097", collect, seen);
  g_assert_cmpuint (seen->len, ==, 2);
  g_assert_cmpstr (cube_object_name (seen->pdata[0]), ==, "p-098");
  g_ptr_array_set_size (seen, 0);
  cube_tree_visit (&tree, NULL, "a", "p-0985", take_two, seen); /* a key that is not there */
  g_assert_cmpuint (seen->len, ==, 2);
  g_assert_cmpstr (cube_object_name (seen->pdata[0]), ==, "p-099");
  g_assert_cmpstr (cube_object_namespace (seen->pdata[1]), ==, "a-b");
  g_ptr_array_set_size (seen, 0);
  cube_tree_visit (&tree, "c", NULL, NULL, collect, seen);
  cube_tree_visit (&tree, "a", "b", "x", collect, seen);
  g_assert_cmpuint (seen->len, ==, 0);
  cube_tree_clear (&tree);
}

static void
check_extract (const char *json, const char *wanted)
{
  const char *text;
  gsize length;
  gboolean found = cube_extract_node_name (json, strlen (json), &text, &length);
  g_autofree char *got = found ? g_strndup (text, length) : NULL;
  g_assert_cmpstr (got, ==, wanted);
}

static void
test_extract (void)
{
  check_extract ("{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"nodeName\":\"n1\"}}", "n1");
  check_extract (
      "{\"metadata\":{\"annotations\":{\"x\":\"\\\"nodeName\\\":\\\"evil\\\"}\",\"y\":\"\\\\\"}},\"spec\":{\"a\":[1,{\"nodeName\":\"no\"}],\"nodeName\":\"n2\",\"z\":1}}",
      "n2");
  check_extract ("{\"spec\":{\"a\":{\"nodeName\":\"no\"}},\"status\":{\"nodeName\":\"no\"}}", NULL);
  check_extract ("{\"nodeName\":\"no\",\"spec\":{}}", NULL);
  check_extract ("{\"spec\":{\"nodeName\":\"\"}}", NULL);
  check_extract ("{\"spec\":{\"nodeName\":7}}", NULL);
  check_extract ("{\"spec\":[{\"nodeName\":\"no\"}]}", NULL);
  check_extract ("{\"spec\":{\"nodeName\":", NULL);
  check_extract ("{\"spec\":{\"nodeName\":\"cut", NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/store/tree/random", test_random);
  g_test_add_func ("/store/tree/visit", test_visit);
  g_test_add_func ("/store/extract", test_extract);
  return g_test_run ();
}
