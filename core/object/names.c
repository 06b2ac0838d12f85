/* SPDX-License-Identifier: Apache-2.0 */
/* Name rules, with the messages of Kubernetes' validation (static strings). */
#include <cube/scalar.h>
#include <string.h>

static const char label_message[] =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric "
    "character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
#define SUBDOMAIN_MESSAGE                                                                                                                  \
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an "         \
  "alphanumeric character (e.g. 'example.com', regex used for validation is "                                                              \
  "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
static const char label1035_message[] =
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an "
    "alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
#define NAME_CHARACTERS                                                                                                                    \
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or "   \
  "'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
static const char label_value_message[] =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

static gboolean
is_lower_alnum (char c)
{
  return g_ascii_islower (c) || g_ascii_isdigit (c);
}

/* [a-z0-9]([-a-z0-9]*[a-z0-9])? */
static gboolean
is_label (const char *text, gsize length)
{
  if (length == 0 || !is_lower_alnum (text[0]) || !is_lower_alnum (text[length - 1]))
    return FALSE;
  for (gsize i = 0; i < length; i++)
    if (!is_lower_alnum (text[i]) && text[i] != '-')
      return FALSE;
  return TRUE;
}

static gboolean
is_subdomain (const char *text, gsize length)
{
  const char *end = text + length;
  while (TRUE)
    {
      const char *dot = memchr (text, '.', (gsize) (end - text));
      if (!is_label (text, (gsize) ((dot != NULL ? dot : end) - text)))
        return FALSE;
      if (dot == NULL)
        return TRUE;
      text = dot + 1;
    }
}

/* ([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9] */
static gboolean
is_name_part (const char *text, gsize length)
{
  if (length == 0 || !g_ascii_isalnum (text[0]) || !g_ascii_isalnum (text[length - 1]))
    return FALSE;
  for (gsize i = 0; i < length; i++)
    if (!g_ascii_isalnum (text[i]) && text[i] != '-' && text[i] != '_' && text[i] != '.')
      return FALSE;
  return TRUE;
}

const char *
cube_name_check_dns1123_label (const char *text)
{
  gsize length = strlen (text);
  if (length > 63)
    return "must be no more than 63 characters";
  if (is_label (text, length))
    return NULL;
  return strchr (text, '.') != NULL && is_subdomain (text, length) ? "must not contain dots" : label_message;
}

const char *
cube_name_check_dns1123_subdomain (const char *text)
{
  gsize length = strlen (text);
  if (length > 253)
    return "must be no more than 253 characters";
  return is_subdomain (text, length) ? NULL : SUBDOMAIN_MESSAGE;
}

const char *
cube_name_check_dns1035_label (const char *text)
{
  gsize length = strlen (text);
  if (length > 63)
    return "must be no more than 63 characters";
  return is_label (text, length) && g_ascii_islower (*text) ? NULL : label1035_message;
}

const char *
cube_name_check_path_segment (const char *text)
{
  if (g_str_equal (text, "."))
    return "may not be '.'";
  if (g_str_equal (text, ".."))
    return "may not be '..'";
  if (strchr (text, '/') != NULL)
    return "may not contain '/'";
  return strchr (text, '%') != NULL ? "may not contain '%'" : NULL;
}

const char *
cube_name_check_qualified (const char *text)
{
  const char *slash = strchr (text, '/'), *name = slash != NULL ? slash + 1 : text;
  if (slash != NULL && strchr (name, '/') != NULL)
    return "a valid label key " NAME_CHARACTERS " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
  if (slash == text)
    return "prefix part must be non-empty";
  if (slash != NULL && slash - text > 253)
    return "prefix part must be no more than 253 bytes";
  if (slash != NULL && !is_subdomain (text, (gsize) (slash - text)))
    return "prefix part " SUBDOMAIN_MESSAGE;
  gsize length = strlen (name);
  if (length == 0)
    return "name part must be non-empty";
  if (length > 63)
    return "name part must be no more than 63 bytes";
  return is_name_part (name, length) ? NULL : "name part " NAME_CHARACTERS;
}

const char *
cube_name_check_label_value (const char *text)
{
  gsize length = strlen (text);
  if (length > 63)
    return "must be no more than 63 bytes";
  return length == 0 || is_name_part (text, length) ? NULL : label_value_message;
}

const char *
cube_name_check_env_var (const char *text)
{
  if (*text == '\0')
    return "environment variable name must be non-empty";
  for (const char *c = text; *c != '\0'; c++)
    if (*c < ' ' || *c > '~' || *c == '=')
      return "a valid environment variable name must consist only of printable ASCII characters other than '='";
  return NULL;
}

const char *
cube_name_check_config_map_key (const char *text)
{
  gsize length = strlen (text);
  if (length > 253)
    return "must be no more than 253 characters";
  for (gsize i = 0; i < MAX (length, 1); i++)
    if (!g_ascii_isalnum (text[i]) && text[i] != '-' && text[i] != '_' && text[i] != '.')
      return "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', "
             "regex used for validation is '[-._a-zA-Z0-9]+')";
  if (g_str_equal (text, "."))
    return "must not be '.'";
  if (g_str_equal (text, ".."))
    return "must not be '..'";
  return g_str_has_prefix (text, "..") ? "must not start with '..'" : NULL;
}

const char *
cube_name_check_port_name (const char *text)
{
  gsize length = strlen (text);
  gboolean has_letter = FALSE;
  if (length > 15)
    return "must be no more than 15 characters";
  for (gsize i = 0; i < length; i++)
    {
      if (!is_lower_alnum (text[i]) && text[i] != '-')
        return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";
      has_letter |= g_ascii_islower (text[i]);
    }
  if (!has_letter)
    return "must contain at least one letter (a-z)";
  if (strstr (text, "--") != NULL)
    return "must not contain consecutive hyphens";
  return text[0] == '-' || text[length - 1] == '-' ? "must not begin or end with a hyphen" : NULL;
}

static const char safe_alphabet[] = "bcdfghjklmnpqrstvwxz2456789"; /* 27: no vowels, no digit that looks like a letter */

void
cube_name_suffix (guint64 random, guint n, char *ret_text)
{
  for (guint i = 0; i < n; i++)
    {
      if (i > 0 && i % 12 == 0) /* 27^12 < 2^58: stir before the bits run out */
        random = (random ^ (random >> 31) ^ i) * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
      ret_text[i] = safe_alphabet[random % 27];
      random = random / 27 ^ (i % 12 == 11 ? random << 7 : 0);
    }
  ret_text[n] = '\0';
}

void
cube_uuid_format (guint64 hi, guint64 lo, char ret_text[37])
{
  hi = (hi & ~G_GUINT64_CONSTANT (0xf000)) | 0x4000;
  lo = (lo & G_GUINT64_CONSTANT (0x3fffffffffffffff)) | G_GUINT64_CONSTANT (0x8000000000000000);
  for (guint i = 0, at = 0; i < 32; i++)
    {
      guint64 half = i < 16 ? hi : lo;
      if (i == 8 || i == 12 || i == 16 || i == 20)
        ret_text[at++] = '-';
      ret_text[at++] = "0123456789abcdef"[half >> (60 - i % 16 * 4) & 15];
    }
  ret_text[36] = '\0';
}

guint32
cube_hash_fnv32a (const void *data, gsize length, guint32 seed)
{
  const guint8 *at = data;
  guint32 hash = seed != 0 ? seed : 2166136261u;
  for (gsize i = 0; i < length; i++)
    hash = (hash ^ at[i]) * 16777619u;
  return hash;
}

void
cube_name_safe_encode (const char *text, char *ret_text)
{
  gsize i = 0;
  for (; text[i] != '\0'; i++)
    ret_text[i] = safe_alphabet[(guchar) text[i] % 27];
  ret_text[i] = '\0';
}
