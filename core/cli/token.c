/* SPDX-License-Identifier: Apache-2.0 */
/* cube token: join tokens, asked of the running server. */
#include "cli.h"
#include <cube/scalar.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_TTL_S (24 * 3600)
#define NS_PER_S G_GINT64_CONSTANT (1000000000)

/* The answer, or NULL after saying why there is none. (transfer full) */
static CubeValue *
ask (const char *data_dir, const CubeValue *request)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) answer = cube_control_ask (data_dir, request, &error);
  const char *refusal = answer != NULL ? cube_view_string (cube_value_get (answer, "error")) : NULL;
  if (answer == NULL)
    g_printerr ("cube token: no server runs in %s (%s)\n  run it on the machine of cube server, with its --data-dir\n", data_dir,
                error->message);
  else if (refusal != NULL)
    g_printerr ("cube token: %s\n", refusal);
  return answer != NULL && refusal == NULL ? g_steal_pointer (&answer) : NULL;
}

gboolean
cube_cli_print_join (const char *data_dir, gint64 ttl_seconds, const char *description, const char *output)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  cube_mut_set_string (root, "op", "token-create");
  cube_mut_set_int (root, "ttlSeconds", ttl_seconds);
  cube_mut_set_string (root, "description", description);
  g_autoptr (CubeValue) request = cube_builder_end (builder);
  g_autoptr (CubeValue) answer = ask (data_dir, request);
  if (answer == NULL)
    return FALSE;
  CubeView made = cube_value_root (answer);
  if (output != NULL)
    cube_cli_print_value (made, output);
  else
    printf ("cube agent --server %s --token %s --ca-hash %s\n", cube_view_get_string (made, "server"), cube_view_get_string (made, "token"),
            cube_view_get_string (made, "caHash"));
  return TRUE;
}

static int
create (const CubeArguments *arguments)
{
  gint64 ttl_ns = DEFAULT_TTL_S * NS_PER_S;
  if (arguments->ttl != NULL && g_str_equal (arguments->ttl, "0"))
    ttl_ns = 0;
  else if (arguments->ttl != NULL && (!cube_duration_parse (arguments->ttl, &ttl_ns) || ttl_ns < NS_PER_S))
    {
      g_printerr ("cube token: --ttl \"%s\": expected a time of a second or more, such as 1h or 90m, or 0 for ever\n", arguments->ttl);
      return 2;
    }
  return cube_cli_print_join (arguments->options.data_dir, ttl_ns / NS_PER_S, arguments->description, arguments->output) ? 0 : 1;
}

static int
list (const CubeArguments *arguments)
{
  CubeIter it;
  CubeView token;
  g_autoptr (CubeValue) request = cube_value_from_json ("{\"op\":\"token-list\"}", -1, NULL, NULL);
  g_autoptr (CubeValue) answer = ask (arguments->options.data_dir, request);
  if (answer == NULL)
    return 1;
  CubeView tokens = cube_value_get (answer, "tokens");
  if (arguments->output != NULL)
    {
      cube_cli_print_value (tokens, arguments->output);
      return 0;
    }
  printf ("%-8s %-22s %s\n", "ID", "EXPIRES", "DESCRIPTION");
  for (cube_iter_init (&it, tokens); cube_iter_next (&it, NULL, &token);)
    {
      printf ("%-8s %-22s ", cube_view_string_or (cube_view_member (token, "id"), "-"),
              cube_view_string_or (cube_view_member (token, "expires"), "never"));
      cube_cli_print_safe (cube_view_string_or (cube_view_member (token, "description"), ""));
      putchar ('\n');
    }
  return 0;
}

static int
forget (const CubeArguments *arguments, const char *id)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  cube_mut_set_string (cube_builder_root (builder), "op", "token-delete");
  cube_mut_set_string (cube_builder_root (builder), "id", id);
  g_autoptr (CubeValue) request = cube_builder_end (builder);
  g_autoptr (CubeValue) answer = ask (arguments->options.data_dir, request);
  return answer != NULL ? 0 : 1;
}

int
cube_command_token (int argc, char **argv, const CubeCommandContext *context)
{
  g_auto (CubeArguments) arguments;
  const char *action = argc > 1 && *argv[1] != '-' ? argv[1] : NULL;
  gboolean is_delete = g_strcmp0 (action, "delete") == 0;
  const char *id = is_delete && argc > 2 && *argv[2] != '-' ? argv[2] : NULL;
  int taken = (action != NULL) + (id != NULL), status;
  if (!cube_cli_parse_complete (argc - taken, argv + taken, context, &arguments, &status))
    return status;
  if (g_strcmp0 (action, "create") == 0)
    return create (&arguments);
  if (g_strcmp0 (action, "list") == 0)
    return list (&arguments);
  if (id != NULL)
    return forget (&arguments, id);
  g_printerr ("cube token: %s (see cube token --help)\n",
              is_delete ? "delete which? cube token delete ID" : "expected create, list or delete ID");
  return 2;
}
