/* SPDX-License-Identifier: Apache-2.0 */
/* Answers questions for check-matrix.py: standard input is one JSON document {"objects": […], "questions": […]}, standard output one 0 or 1 a
 * question. With --bench it asks the same questions again and again and prints nanoseconds a decision. */
#include "index.h"
#include "policy.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *
read_all (gsize *ret_length)
{
  GString *text = g_string_new (NULL);
  char buffer[65536];
  gssize n;

  while ((n = read (0, buffer, sizeof buffer)) > 0)
    g_string_append_len (text, buffer, n);
  *ret_length = text->len;
  return g_string_free (text, FALSE);
}

static void
put_object (Index *index, CubeView object)
{
  const char *kind = cube_view_get_string (object, "kind"), *name = cube_view_get_string (object, "metadata", "name");
  const char *ns = cube_view_string_or (cube_view_get (object, "metadata", "namespace"), "");

  if (g_str_has_suffix (kind, "Binding"))
    index_put_binding (index, ns, name, object);
  else
    index_put_role (index, ns, name, object);
}

typedef struct {
  CubeAttributes attributes;
  CubeUser *user;
} Question;

static Question
read_question (CubeView view)
{
  Question question = { .attributes = { .group = "", .version = "v1", .subresource = "", .ns = "", .name = "", .path = "" } };
  g_autoptr (GPtrArray) groups = g_ptr_array_new ();
  CubeIter it;
  CubeView group;

  for (cube_iter_init (&it, cube_view_member (view, "groups")); cube_iter_next (&it, NULL, &group);)
    g_ptr_array_add (groups, (gpointer) cube_view_string (group));
  g_ptr_array_add (groups, NULL);
  question.user = cube_user_new (cube_view_get_string (view, "user"), "", (const char *const *) groups->pdata);
  question.attributes.user = question.user;
  question.attributes.verb = cube_view_get_string (view, "verb");
  question.attributes.path = cube_view_string_or (cube_view_member (view, "path"), "");
  question.attributes.resource = cube_view_get_string (view, "resource");
  question.attributes.group = cube_view_string_or (cube_view_member (view, "group"), "");
  question.attributes.subresource = cube_view_string_or (cube_view_member (view, "subresource"), "");
  question.attributes.ns = cube_view_string_or (cube_view_member (view, "namespace"), "");
  question.attributes.name = cube_view_string_or (cube_view_member (view, "name"), "");
  return question;
}

static void
bench (Index *index, const GArray *questions)
{
  gint64 began = g_get_monotonic_time ();
  guint64 n = 0, allowed = 0;

  while (g_get_monotonic_time () - began < 300000)
    for (guint i = 0; i < questions->len; i++, n++)
      allowed += (guint64) index_allows (index, &g_array_index (questions, Question, i).attributes, NULL);
  fprintf (stderr, "%.0f ns a decision, %.0f %% allowed\n", (double) (g_get_monotonic_time () - began) * 1000 / (double) n,
           100.0 * (double) allowed / (double) n);
}

int
main (int argc, char **argv)
{
  gsize length = 0;
  g_autofree char *text = read_all (&length);
  CubeParseLimits limits = { 64 << 20, 32, 10000000 };
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) document = cube_value_from_json (text, (gssize) length, &limits, &error);
  Index *index = index_new ();
  g_autoptr (GPtrArray) items = policy_parse (policy_text, NULL);
  GArray *questions = g_array_new (FALSE, FALSE, sizeof (Question));
  CubeIter it;
  CubeView view;

  if (document == NULL)
    g_error ("%s", error->message);
  for (guint i = 0; i < items->len; i++)
    put_object (index, cube_value_root (((PolicyItem *) items->pdata[i])->object));
  for (cube_iter_init (&it, cube_value_get (document, "objects")); cube_iter_next (&it, NULL, &view);)
    put_object (index, view);
  for (cube_iter_init (&it, cube_value_get (document, "questions")); cube_iter_next (&it, NULL, &view);)
    {
      Question question = read_question (view);
      g_array_append_val (questions, question);
    }
  for (guint i = 0; i < questions->len; i++)
    putchar (index_allows (index, &g_array_index (questions, Question, i).attributes, NULL) ? '1' : '0');
  putchar ('\n');
  if (argc > 1 && g_str_equal (argv[1], "--bench"))
    bench (index, questions);
  for (guint i = 0; i < questions->len; i++)
    cube_user_unref (g_array_index (questions, Question, i).user);
  g_array_unref (questions);
  index_free (index);
  return 0;
}
