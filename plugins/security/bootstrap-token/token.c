/* SPDX-License-Identifier: Apache-2.0 */
#include "token.h"

#include <cube/scalar.h>
#include <string.h>

#define SECRET_LENGTH 16
#define GROUP_PREFIX "system:bootstrappers:"
#define MAX_GROUP 276

static gboolean
is_plain (const char *text, gsize length)
{
  for (gsize i = 0; i < length; i++)
    if (!g_ascii_islower (text[i]) && !g_ascii_isdigit (text[i]))
      return FALSE;
  return TRUE;
}

gboolean
token_split (const char *text, char ret_id[TOKEN_ID_LENGTH + 1], const char **ret_secret)
{
  if (text == NULL || strlen (text) != TOKEN_ID_LENGTH + 1 + SECRET_LENGTH || text[TOKEN_ID_LENGTH] != '.'
      || !is_plain (text, TOKEN_ID_LENGTH) || !is_plain (text + TOKEN_ID_LENGTH + 1, SECRET_LENGTH))
    return FALSE;
  memcpy (ret_id, text, TOKEN_ID_LENGTH);
  ret_id[TOKEN_ID_LENGTH] = '\0';
  *ret_secret = text + TOKEN_ID_LENGTH + 1;
  return TRUE;
}

/* A value of the Secret as text; "" when there is none. (transfer full) */
static char *
read_value (CubeView secret, const char *key)
{
  const char *text = cube_view_get_string (secret, "data", key);
  gsize length = 0;
  g_autofree guchar *bytes = text != NULL ? g_base64_decode (text, &length) : NULL;

  if (bytes == NULL || memchr (bytes, '\0', length) != NULL)
    return g_strdup ("");
  return g_strndup ((const char *) bytes, length);
}

gint64
token_expiry_us (CubeView secret)
{
  g_autofree char *text = read_value (secret, "expiration");
  gint64 at;

  if (*text == '\0')
    return G_MAXINT64;
  return cube_time_parse (text, &at) ? at : G_MININT64;
}

/* Takes the same time for every wrong secret of the right length. */
static gboolean
same_secret (const char *a, const char *b)
{
  volatile guchar difference = 0;

  if (strlen (a) != SECRET_LENGTH || strlen (b) != SECRET_LENGTH)
    return FALSE;
  for (gsize i = 0; i < SECRET_LENGTH; i++)
    difference |= (guchar) (a[i] ^ b[i]);
  return difference == 0;
}

/* Source: bootstrap tokens: extra groups match system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]. */
static gboolean
is_group (const char *group)
{
  gsize length = strlen (group);

  if (!g_str_has_prefix (group, GROUP_PREFIX) || length > MAX_GROUP || !g_ascii_isalnum (group[length - 1]))
    return FALSE;
  for (const char *c = group; *c != '\0'; c++)
    if (!g_ascii_islower (*c) && !g_ascii_isdigit (*c) && *c != ':' && *c != '-')
      return FALSE;
  return TRUE;
}

static gboolean
refuse (GError **error, const char *id, const char *text)
{
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_UNAUTHORIZED, "bootstrap token %s: %s", id, text);
  return FALSE;
}

static gboolean
check_secret (CubeView secret, const char *id, const char *token_secret, gint64 now_us, GError **error)
{
  g_autofree char *known_id = read_value (secret, "token-id"), *known = read_value (secret, "token-secret"),
                  *usage = read_value (secret, "usage-bootstrap-authentication");
  gboolean is_right;

  if (g_strcmp0 (cube_view_get_string (secret, "type"), TOKEN_SECRET_TYPE) != 0
      || cube_view_exists (cube_view_get (secret, "metadata", "deletionTimestamp")))
    return refuse (error, id, "the Secret is of another type, or is being deleted");
  is_right = g_str_equal (known_id, id) && same_secret (known, token_secret);
  memset (known, 0, strlen (known));
  if (!is_right)
    return refuse (error, id, "wrong secret");
  if (token_expiry_us (secret) <= now_us)
    return refuse (error, id, "expired");
  return g_str_equal (usage, "true") || refuse (error, id, "not for authentication");
}

CubeUser *
token_check (CubeView secret, const char *id, const char *token_secret, gint64 now_us, GError **error)
{
  g_autofree char *extra = NULL, *name = NULL;
  g_auto (GStrv) more = NULL;
  g_autoptr (GPtrArray) groups = g_ptr_array_new ();

  if (!check_secret (secret, id, token_secret, now_us, error))
    return NULL;
  extra = read_value (secret, "auth-extra-groups");
  more = g_strsplit (extra, ",", -1);
  g_ptr_array_add (groups, (gpointer) "system:bootstrappers");
  for (guint i = 0; more[i] != NULL; i++)
    if (*more[i] != '\0' && !is_group (more[i]))
      {
        refuse (error, id, "auth-extra-groups names a group that is none of system:bootstrappers:");
        return NULL;
      }
    else if (*more[i] != '\0')
      g_ptr_array_add (groups, more[i]);
  g_ptr_array_add (groups, (gpointer) "system:authenticated");
  g_ptr_array_add (groups, NULL);
  name = g_strconcat ("system:bootstrap:", id, NULL);
  return cube_user_new (name, "", (const char *const *) groups->pdata);
}
