/* SPDX-License-Identifier: Apache-2.0 */
/* String formats of JSON schemas. */
#include "crd-format.h"
#include <gio/gio.h>

static gboolean
is_date (const char *text)
{
  gint64 us;
  g_autofree char *full = g_strconcat (text, "T00:00:00Z", NULL);
  return strlen (text) == 10 && cube_time_parse (full, &us);
}

static gboolean
is_date_time (const char *text)
{
  gint64 us;
  return cube_time_parse (text, &us);
}

static gboolean
is_duration (const char *text)
{
  gint64 ns;
  return cube_duration_parse (text, &ns);
}

static gboolean
is_family (const char *text, GSocketFamily family)
{
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (text);
  return address != NULL && g_inet_address_get_family (address) == family;
}

static gboolean
is_ipv4 (const char *text)
{
  return is_family (text, G_SOCKET_FAMILY_IPV4);
}

static gboolean
is_ipv6 (const char *text)
{
  return is_family (text, G_SOCKET_FAMILY_IPV6);
}

static gboolean
is_cidr (const char *text)
{
  g_autoptr (GInetAddressMask) mask = g_inet_address_mask_new_from_string (text, NULL);
  return mask != NULL && strchr (text, '/') != NULL;
}

static gboolean
is_uuid (const char *text)
{
  return g_uuid_string_is_valid (text);
}

static gboolean
is_uri (const char *text)
{
  return g_uri_is_valid (text, G_URI_FLAGS_NONE, NULL) || *text == '/';
}

static gboolean
is_hostname (const char *text)
{
  g_autofree char *lower = g_ascii_strdown (text, -1);
  return cube_name_check_dns1123_subdomain (lower) == NULL;
}

static gboolean
is_email (const char *text)
{
  const char *at = strrchr (text, '@');
  return at != NULL && at != text && at[1] != '\0' && strpbrk (text, " \t\n") == NULL;
}

static gboolean
is_mac (const char *text)
{
  guint n = 0;
  for (; *text != '\0'; text++, n++)
    if (n % 3 == 2 ? (*text != ':' && *text != '-') : !g_ascii_isxdigit (*text))
      return FALSE;
  return n == 17;
}

static gboolean
is_base64 (const char *text)
{
  gsize n = strlen (text), body = strspn (text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
  return n % 4 == 0 && n - body <= 2 && strspn (text + body, "=") == n - body;
}

gboolean
cube_crd_format_matches (const char *format, const char *text)
{
  static const struct {
    const char *name;
    gboolean (*matches) (const char *text);
  } formats[] = {
    { "date", is_date },         { "date-time", is_date_time }, { "datetime", is_date_time },
    { "duration", is_duration }, { "ipv4", is_ipv4 },           { "ipv6", is_ipv6 },
    { "cidr", is_cidr },         { "uuid", is_uuid },           { "uuid4", is_uuid },
    { "uri", is_uri },           { "hostname", is_hostname },   { "email", is_email },
    { "mac", is_mac },           { "byte", is_base64 },
  };
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    if (strcmp (formats[i].name, format) == 0)
      return formats[i].matches (text);
  return TRUE;
}
