/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles of seccomp and AppArmor that stand in annotations of pods. */
#include "validate-more.h"

#define SECCOMP_POD "seccomp.security.alpha.kubernetes.io/pod"
#define SECCOMP_CONTAINER "container.seccomp.security.alpha.kubernetes.io/"
#define APPARMOR "container.apparmor.security.beta.kubernetes.io/"

static gboolean
is_default_seccomp (const char *text)
{
  return strcmp (text, "runtime/default") == 0 || strcmp (text, "docker/default") == 0;
}

static void
check_seccomp (CubeFieldErrors *errors, const CubePath *path, CubeView value)
{
  const char *text = cube_view_string_or (value, "");
  if (is_default_seccomp (text) || strcmp (text, "unconfined") == 0)
    return;
  if (!g_str_has_prefix (text, "localhost/"))
    {
      cube_check_add (errors, "Invalid", path, value, "must be a valid seccomp profile");
      return;
    }
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  g_autoptr (CubeValue) rest = cube_mut_to_value (cube_mut_new_string (builder, text + strlen ("localhost/"), -1));
  cube_check_relative_path (errors, path, cube_value_root (rest));
}

static gboolean
has_container (CubeView spec, const char *name)
{
  static const char *const lists[] = { "containers", "initContainers", "ephemeralContainers" };
  CubeIter it;
  CubeView v;
  for (guint i = 0; i < G_N_ELEMENTS (lists); i++)
    for (cube_iter_init (&it, cube_view_member (spec, lists[i])); cube_iter_next (&it, NULL, &v);)
      if (g_strcmp0 (cube_view_get_string (v, "name"), name) == 0)
        return TRUE;
  return FALSE;
}

gboolean
cube_has_profiles (CubeView annotations)
{
  CubeIter it;
  const char *key;
  for (cube_iter_init (&it, annotations); cube_iter_next (&it, &key, NULL);)
    if (g_str_has_prefix (key, "container.") || strcmp (key, SECCOMP_POD) == 0)
      return TRUE;
  return FALSE;
}

void
cube_check_profiles (CubeFieldErrors *errors, const CubePath *path, CubeView annotations, CubeView spec)
{
  CubeIter it;
  const char *key;
  CubeView v;
  for (cube_iter_init (&it, annotations); cube_iter_next (&it, &key, &v);)
    if (key != NULL && (strcmp (key, SECCOMP_POD) == 0 || g_str_has_prefix (key, SECCOMP_CONTAINER)))
      {
        check_seccomp (errors, &CUBE_AT (path, key), v);
      }
    else if (key != NULL && g_str_has_prefix (key, APPARMOR))
      {
        const char *name = key + strlen (APPARMOR), *text = cube_view_string_or (v, "");
        if (!has_container (spec, name))
          cube_check_add_text (errors, "Invalid", &CUBE_AT_KEY (path, key), name, "container not found");
        if (*text != '\0' && strcmp (text, "runtime/default") != 0 && strcmp (text, "unconfined") != 0
            && !g_str_has_prefix (text, "localhost/"))
          cube_check_add (errors, "Invalid", &CUBE_AT_KEY (path, key), v, "invalid AppArmor profile name: \"%s\"", text);
      }
}

/* ---- annotation and field ---- */

static void
check_same (CubeFieldErrors *errors, const CubePath *security, CubeView profile, const char *field, const char *text, const char *word)
{
  CubePath at = CUBE_AT (security, field);
  const char *type = cube_view_string_or (cube_view_member (profile, "type"), "");
  gboolean is_same = TRUE;
  if (strcmp (type, "Unconfined") == 0)
    is_same = strcmp (text, "unconfined") == 0;
  else if (strcmp (type, "RuntimeDefault") == 0)
    is_same = *word == 's' ? is_default_seccomp (text) : strcmp (text, "runtime/default") == 0;
  else if (strcmp (type, "Localhost") == 0)
    is_same = g_str_has_prefix (text, "localhost/");
  if (!is_same)
    cube_check_add (errors, "Forbidden", &CUBE_AT (&at, "type"), cube_view_none (), "%s type in annotation and field must match", word);
  else if (strcmp (type, "Localhost") == 0
           && g_strcmp0 (text + strlen ("localhost/"), cube_view_get_string (profile, "localhostProfile")) != 0)
    cube_check_add (errors, "Forbidden", &CUBE_AT (&at, "localhostProfile"), cube_view_none (),
                    "%s profile in annotation and field must match", word);
}

static void
check_container (CubeFieldErrors *errors, const CubePath *at, CubeView annotations, CubeView container, gboolean is_windows)
{
  static const struct {
    const char *prefix, *field, *word;
  } kinds[] = { { SECCOMP_CONTAINER, "seccompProfile", "seccomp" }, { APPARMOR, "appArmorProfile", "apparmor" } };
  for (guint i = 0; i < (is_windows ? 1u : 2u); i++)
    {
      g_autofree char *key = g_strconcat (kinds[i].prefix, cube_view_string_or (cube_view_member (container, "name"), ""), NULL);
      CubeView said = cube_view_member (annotations, key), profile = cube_view_get (container, "securityContext", kinds[i].field);
      if (cube_view_exists (said) && cube_view_exists (profile))
        check_same (errors, &CUBE_AT (at, "securityContext"), profile, kinds[i].field, cube_view_string_or (said, ""), kinds[i].word);
    }
}

void
cube_check_profiles_match (CubeFieldErrors *errors, const CubePath *path, CubeView annotations, CubeView spec)
{
  static const char *const lists[] = { "initContainers", "containers", "ephemeralContainers" };
  CubeView said = cube_view_member (annotations, SECCOMP_POD), profile = cube_view_get (spec, "securityContext", "seccompProfile"), v;
  gboolean is_windows = g_strcmp0 (cube_view_get_string (spec, "os", "name"), "windows") == 0;
  CubeIter it;
  if (cube_view_exists (said) && cube_view_exists (profile))
    check_same (errors, &CUBE_AT (path, "securityContext"), profile, "seccompProfile", cube_view_string_or (said, ""), "seccomp");
  for (guint l = 0; l < G_N_ELEMENTS (lists); l++)
    {
      CubePath list = CUBE_AT (path, lists[l]);
      guint i = 0;
      for (cube_iter_init (&it, cube_view_member (spec, lists[l])); cube_iter_next (&it, NULL, &v); i++)
        check_container (errors, &CUBE_AT_INDEX (&list, i), annotations, v, is_windows);
    }
}

void
cube_check_profiles_kept (CubeFieldErrors *errors, const CubePath *path, CubeView annotations, CubeView old)
{
  CubeIter it;
  const char *key;
  CubeView v;
  for (cube_iter_init (&it, old); cube_iter_next (&it, &key, &v);)
    if (g_str_has_prefix (key, APPARMOR) && !cube_view_equal (v, cube_view_member (annotations, key)))
      cube_check_forbidden (errors, &CUBE_AT_KEY (path, key), "may not remove or update AppArmor annotations");
  for (cube_iter_init (&it, annotations); cube_iter_next (&it, &key, &v);)
    if (g_str_has_prefix (key, APPARMOR) && !cube_view_exists (cube_view_member (old, key)))
      cube_check_forbidden (errors, &CUBE_AT_KEY (path, key), "may not add AppArmor annotations");
}
