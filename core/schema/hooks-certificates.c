/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of certificate requests and of registered API services. */
#include "validate-more.h"

static const CubePath spec_path = { NULL, "spec", 0, FALSE };
static const CubePath status_path = { NULL, "status", 0, FALSE };

/* ---- CertificateSigningRequest ---- */

static void
check_signer_labels (CubeFieldErrors *errors, const CubePath *at, const char *part, CubeNameCheck check)
{
  g_auto (GStrv) labels = g_strsplit (part, ".", -1);
  for (guint i = 0; labels[i] != NULL; i++)
    {
      const char *why = check (labels[i]);
      if (why != NULL)
        cube_check_add_text (errors, "Invalid", at, part, "validating label \"%s\": %s", labels[i], why);
    }
}

static void
check_signer (CubeFieldErrors *errors, CubeView spec)
{
  CubePath at = CUBE_AT (&spec_path, "signerName");
  CubeView value = cube_view_member (spec, "signerName");
  const char *text = cube_view_string_or (value, "");
  if (*text == '\0')
    return; /* the structure said so */
  g_auto (GStrv) parts = g_strsplit (text, "/", -1);
  if (g_strv_length (parts) != 2)
    {
      cube_check_add (errors, "Invalid", &at, value, "must be a fully qualified domain and path of the form 'example.com/signer-name'");
      return;
    }
  check_signer_labels (errors, &at, parts[0], cube_name_check_dns1123_label);
  if (strchr (parts[0], '.') == NULL)
    cube_check_add_text (errors, "Invalid", &at, parts[0], "should be a domain with at least two segments separated by dots");
  check_signer_labels (errors, &at, parts[1], cube_name_check_dns1123_subdomain);
  if (strlen (text) > 571 || strlen (parts[0]) > 253)
    cube_check_add (errors, "TooLong", &at, cube_view_none (), "may not be more than %d bytes", strlen (text) > 571 ? 571 : 253);
  if (strcmp (text, "kubernetes.io/legacy-unknown") == 0)
    cube_check_add (errors, "Invalid", &at, value, "the legacy signerName is not allowed via this API version");
}

static void
check_conditions (CubeFieldErrors *errors, CubeView conditions)
{
  static const char *const final[] = { "Approved", "Denied", "Failed", NULL };
  static const char *const only_true[] = { "True", NULL }, *const any[] = { "True", "False", "Unknown", NULL };
  g_autoptr (GHashTable) seen = NULL;
  CubePath list = CUBE_AT (&status_path, "conditions");
  gboolean has_approved = FALSE, has_denied = FALSE;
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, conditions); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      CubeView type = cube_view_member (v, "type");
      const char *text = cube_view_string_or (type, "");
      cube_check_required (errors, &at, v, "type", "");
      cube_check_required (errors, &at, v, "status", "");
      cube_check_one_of (errors, &at, v, "status", g_strv_contains (final, text) ? only_true : any);
      if (*text != '\0' && !cube_check_unique (&seen, text))
        cube_check_add (errors, "Duplicate", &CUBE_AT (&at, "type"), type, "%s", "");
      has_approved |= strcmp (text, "Approved") == 0;
      has_denied |= strcmp (text, "Denied") == 0;
      if (has_approved && has_denied && (strcmp (text, "Approved") == 0 || strcmp (text, "Denied") == 0))
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "type"), type, "Approved and Denied conditions are mutually exclusive");
    }
}

static void
check_certificate (CubeFieldErrors *errors, CubeView value)
{
  gsize length;
  if (cube_is_empty (value))
    return;
  g_autofree guchar *bytes = g_base64_decode (cube_view_string_or (value, ""), &length);
  g_autofree char *text = g_strndup ((const char *) bytes, length);
  if (strstr (text, "-----BEGIN CERTIFICATE-----") == NULL)
    cube_check_add_text (errors, "Invalid", &CUBE_AT (&status_path, "certificate"), "<certificate data>",
                         "must contain at least one CERTIFICATE PEM block");
}

static CubeView
find_condition (CubeView list, const char *type)
{
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &v);)
    if (g_strcmp0 (cube_view_string (cube_view_member (v, "type")), type) == 0)
      return v;
  return cube_view_none ();
}

static void
check_request_update (CubeFieldErrors *errors, const char *subresource, CubeView object, CubeView old)
{
  static const char *const kept[] = { "Approved", "Denied", "Failed" };
  CubePath at = CUBE_AT (&status_path, "conditions"), certificate_at = CUBE_AT (&status_path, "certificate");
  CubeView now = cube_view_get (object, "status", "conditions"), before = cube_view_get (old, "status", "conditions");
  for (guint i = 0; i < G_N_ELEMENTS (kept); i++)
    {
      CubeView a = find_condition (now, kept[i]), b = find_condition (before, kept[i]);
      if (cube_view_exists (b) && !cube_view_exists (a))
        cube_check_add (errors, "Forbidden", &at, cube_view_none (), "updates may not remove a condition of type \"%s\"", kept[i]);
      if (i == 2 || strcmp (subresource, "approval") == 0)
        continue;
      if (cube_view_exists (a) && !cube_view_exists (b))
        cube_check_add (errors, "Forbidden", &at, cube_view_none (), "updates may not add a condition of type \"%s\"", kept[i]);
      else if (cube_view_exists (a) && !cube_view_equal (a, b))
        cube_check_add (errors, "Forbidden", &at, cube_view_none (), "updates may not modify a condition of type \"%s\"", kept[i]);
    }
  CubeView certificate = cube_view_get (object, "status", "certificate"), earlier = cube_view_get (old, "status", "certificate");
  if (cube_view_equal (certificate, earlier) || (cube_is_empty (certificate) && cube_is_empty (earlier)))
    return;
  if (strcmp (subresource, "status") != 0)
    cube_check_forbidden (errors, &certificate_at, "updates may not set certificate content");
  else if (!cube_is_empty (earlier))
    cube_check_forbidden (errors, &certificate_at, "updates may not modify existing certificate content");
}

void
cube_hook_signing_request (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView spec = cube_view_member (object, "spec"), usages = cube_view_member (spec, "usages");
  CubePath usages_at = CUBE_AT (&spec_path, "usages");
  if (cube_view_exists (old))
    check_request_update (errors, subresource, object, old);
  check_conditions (errors, cube_view_get (object, "status", "conditions"));
  check_certificate (errors, cube_view_get (object, "status", "certificate"));
  if (cube_view_exists (old) && cube_view_equal (spec, cube_view_member (old, "spec")))
    return;
  if (cube_view_length (usages) == 0)
    cube_check_add (errors, "Required", &usages_at, cube_view_none (), "%s", "");
  cube_check_distinct (errors, &usages_at, usages);
  check_signer (errors, spec);
  cube_check_least (errors, &spec_path, spec, "expirationSeconds", 600, "may not specify a duration less than 600 seconds (10 minutes)");
}

/* ---- APIService ---- */

void
cube_hook_api_service (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  static const char *const states[] = { "True", "False", "Unknown", NULL };
  CubeView spec = cube_view_member (object, "spec"), service = cube_view_member (spec, "service"),
           bundle = cube_view_member (spec, "caBundle");
  CubeView skip = cube_view_member (spec, "insecureSkipTLSVerify"), group = cube_view_member (spec, "group"), v;
  const char *version = cube_view_string_or (cube_view_member (spec, "version"), ""), *why = cube_name_check_dns1035_label (version);
  CubePath at = CUBE_AT (&spec_path, "service"), conditions = CUBE_AT (&status_path, "conditions"),
           group_at = CUBE_AT (&spec_path, "group");
  CubeIter it;
  guint i = 0;
  if (strcmp (subresource, "status") == 0)
    for (cube_iter_init (&it, cube_view_get (object, "status", "conditions")); cube_iter_next (&it, NULL, &v); i++)
      cube_check_one_of (errors, &CUBE_AT_INDEX (&conditions, i), v, "status", states);
  if (*subresource != '\0')
    return;
  g_autofree char *name = g_strdup_printf ("%s.%s", version, cube_view_string_or (group, ""));
  CubeView given = cube_view_get (object, "metadata", "name");
  if (g_strcmp0 (cube_view_string (given), name) != 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (&((CubePath){ NULL, "metadata", 0, FALSE }), "name"), given,
                    "must be `spec.version+\".\"+spec.group`: \"%s\"", name);
  if (cube_is_empty (group) && strcmp (version, "v1") != 0)
    cube_check_add (errors, "Required", &group_at, cube_view_none (), "only v1 may have an empty group and it better be legacy kube");
  cube_check_name (errors, &spec_path, spec, "group", cube_name_check_dns1123_subdomain);
  if (why != NULL)
    cube_check_add_text (errors, "Invalid", &CUBE_AT (&spec_path, "version"), version, "%s", why);
  v = cube_view_member (spec, "groupPriorityMinimum");
  if (cube_view_int (v, 0) <= 0 || cube_view_int (v, 0) > 20000)
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "groupPriorityMinimum"), v, "must be positive and less than 20000");
  v = cube_view_member (spec, "versionPriority");
  if (cube_view_int (v, 0) <= 0 || cube_view_int (v, 0) > 1000)
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "versionPriority"), v, "must be positive and less than 1000");
  if (cube_view_bool (skip, FALSE) && !cube_is_empty (bundle))
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "insecureSkipTLSVerify"), skip, "may not be true if caBundle is present");
  if (!cube_view_exists (service))
    {
      gsize length = 0;
      g_free (g_base64_decode (cube_view_string_or (bundle, ""), &length));
      g_autofree char *shown = g_strdup_printf ("%" G_GSIZE_FORMAT " bytes", length);
      if (length > 0)
        cube_check_add_text (errors, "Invalid", &CUBE_AT (&spec_path, "caBundle"), shown, "local APIServices may not have a caBundle");
      if (cube_view_bool (skip, FALSE))
        cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "insecureSkipTLSVerify"), skip,
                        "local APIServices may not have insecureSkipTLSVerify");
      return;
    }
  cube_check_required (errors, &at, service, "namespace", "");
  cube_check_required (errors, &at, service, "name", "");
  v = cube_view_member (service, "port");
  if (cube_view_exists (v) && (cube_view_int (v, 0) < 1 || cube_view_int (v, 0) > 65535))
    cube_check_add (errors, "Invalid", &CUBE_AT (&at, "port"), v, "port is not valid: must be between 1 and 65535, inclusive");
}
