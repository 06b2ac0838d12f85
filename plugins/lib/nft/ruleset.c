/* SPDX-License-Identifier: Apache-2.0 */
#include "ruleset.h"
#include <cube/error.h>
#include <string.h>

static const char *
program (void)
{
  static const char *const places[] = { "/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft" };

  for (guint i = 0; i < G_N_ELEMENTS (places); i++)
    if (g_file_test (places[i], G_FILE_TEST_IS_EXECUTABLE))
      return places[i];
  return "nft";
}

static gboolean
run (const char *const *argv, const char *input, GError **error)
{
  g_autoptr (GSubprocess) process = NULL;
  g_autofree char *complaint = NULL;

  process =
      g_subprocess_newv (argv, G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_PIPE, error);
  if (process == NULL || !g_subprocess_communicate_utf8 (process, input, NULL, NULL, &complaint, error))
    {
      g_prefix_error (error, "packet rules: ");
      return FALSE;
    }
  if (!g_subprocess_get_successful (process))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "packet rules: nft: %.400s",
                   complaint != NULL ? g_strchomp (complaint) : "failed");
      return FALSE;
    }
  return TRUE;
}

gboolean
nft_ruleset_run (const char *text, GError **error)
{
  return run ((const char *const[]){ program (), "-f", "-", NULL }, text, error);
}

gboolean
nft_ruleset_has_chain (const char *table, const char *chain)
{
  return run ((const char *const[]){ program (), "list", "chain", "ip", table, chain, NULL }, NULL, NULL);
}
