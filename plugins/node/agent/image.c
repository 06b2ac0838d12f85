/* SPDX-License-Identifier: Apache-2.0 */
/* Images: names, pull policy, back-off, credentials. */
#include "agent.h"
#include <string.h>

/* ---- names. Source: the grammar of image references (distribution specification) ---- */

static gboolean
is_component (const char *text, gsize length)
{
  if (length == 0 || !g_ascii_isalnum (text[0]) || !g_ascii_isalnum (text[length - 1]))
    return FALSE;
  for (gsize i = 0; i < length; i++)
    if (!(g_ascii_islower (text[i]) || g_ascii_isdigit (text[i]) || strchr ("._-", text[i]) != NULL) || text[i] == '\0'
        || (text[i] == '.' && (text[i + 1] == '.' || text[i + 1] == '_' || text[i + 1] == '-')))
      return FALSE;
  return TRUE;
}

/* The first component may be a host with a port and capitals. */
static gboolean
is_host (const char *text, gsize length)
{
  for (gsize i = 0; i < length; i++)
    if (!g_ascii_isalnum (text[i]) && strchr (".-:[]", text[i]) == NULL)
      return FALSE;
  return length > 0
         && (memchr (text, '.', length) != NULL || memchr (text, ':', length) != NULL
             || (length == 9 && memcmp (text, "localhost", 9) == 0));
}

static gboolean
is_repository (const char *name)
{
  g_auto (GStrv) parts = g_strsplit (name, "/", -1);
  guint n = g_strv_length (parts);
  if (n == 0 || strlen (name) > 255)
    return FALSE;
  for (guint i = 0; i < n; i++)
    if (!is_component (parts[i], strlen (parts[i])) && !(i == 0 && n > 1 && is_host (parts[i], strlen (parts[i]))))
      return FALSE;
  return TRUE;
}

static gboolean
is_tag (const char *tag)
{
  gsize length = strlen (tag);
  if (length == 0 || length > 128 || tag[0] == '.' || tag[0] == '-')
    return FALSE;
  for (gsize i = 0; i < length; i++)
    if (!g_ascii_isalnum (tag[i]) && strchr ("._-", tag[i]) == NULL)
      return FALSE;
  return TRUE;
}

static gboolean
is_digest (const char *digest)
{
  const char *colon = strchr (digest, ':');
  return colon != NULL && colon > digest && strlen (colon + 1) >= 32 && strspn (colon + 1, "0123456789abcdefABCDEF") == strlen (colon + 1);
}

gboolean
node_image_check_name (const char *image, char **ret_normal)
{
  g_autofree char *name = g_strdup (image != NULL ? image : "");
  char *digest = strchr (name, '@');
  if (digest != NULL)
    {
      *digest++ = '\0';
      if (!is_digest (digest))
        return FALSE;
    }
  char *slash = strrchr (name, '/');
  char *colon = strchr (slash != NULL ? slash : name, ':');
  if (colon != NULL)
    {
      *colon++ = '\0';
      if (!is_tag (colon))
        return FALSE;
    }
  if (!is_repository (name))
    return FALSE;
  *ret_normal = colon == NULL && digest == NULL ? g_strconcat (image, ":latest", NULL) : g_strdup (image);
  return TRUE;
}

/* ---- credentials ---- */

/* The registry of an image: docker.io unless the first part is a host. */
static char *
registry_of (const char *image)
{
  const char *slash = strchr (image, '/');
  return slash != NULL && is_host (image, (gsize) (slash - image)) ? g_strndup (image, (gsize) (slash - image)) : g_strdup ("docker.io");
}

static gboolean
is_same_registry (const char *key, const char *registry)
{
  const char *host = strstr (key, "://");
  host = host != NULL ? host + 3 : key;
  gsize length = strcspn (host, "/");
  if (g_str_equal (registry, "docker.io")
      && (strncmp (host, "index.docker.io", MAX (length, 1)) == 0 || strncmp (host, "docker.io", MAX (length, 1)) == 0))
    return TRUE;
  return strlen (registry) == length && g_ascii_strncasecmp (host, registry, length) == 0;
}

static char *
auth_from_config (const char *json, gsize length, gboolean is_legacy, const char *registry)
{
  g_autoptr (CubeValue) value = cube_value_from_json (json, (gssize) length, NULL, NULL);
  CubeView auths = value == NULL ? cube_view_none () : is_legacy ? cube_value_root (value) : cube_value_get (value, "auths");
  CubeIter it;
  const char *key;
  CubeView entry;
  for (cube_iter_init (&it, auths); cube_iter_next (&it, &key, &entry);)
    if (key != NULL && is_same_registry (key, registry))
      return cube_view_to_json (entry, NULL);
  return NULL;
}

static char *
auth_from_secret (NodeJob *job, const char *name, const char *registry, gboolean *ret_exists)
{
  g_autoptr (CubeObject) secret =
      cube_client_get (job->agent->client, node_agent_resource (job->agent, "v1", "secrets"), job->pod->ns, name, NULL);
  *ret_exists = secret != NULL;
  if (secret == NULL)
    return NULL;
  g_autoptr (CubeValue) value = cube_object_value (secret);
  const char *modern = cube_view_string (cube_value_get (value, "data", ".dockerconfigjson"));
  const char *legacy = cube_view_string (cube_value_get (value, "data", ".dockercfg"));
  gsize length = 0;
  if (modern == NULL && legacy == NULL)
    return NULL;
  g_autofree guchar *text = g_base64_decode (modern != NULL ? modern : legacy, &length);
  return auth_from_config ((const char *) text, length, modern == NULL, registry);
}

static char *
find_auth (NodeJob *job, const char *image)
{
  CubeView secrets = cube_view_member (job->spec, "imagePullSecrets");
  g_autofree char *registry = registry_of (image);
  g_autoptr (GString) missing = g_string_new (NULL);
  char *auth = NULL;
  CubeIter it;
  CubeView secret;
  for (cube_iter_init (&it, secrets); auth == NULL && cube_iter_next (&it, NULL, &secret);)
    {
      const char *name = cube_view_get_string (secret, "name");
      gboolean exists = FALSE;
      if (name == NULL || *name == '\0')
        continue;
      auth = auth_from_secret (job, name, registry, &exists);
      if (!exists)
        g_string_append_printf (missing, "%s%s", missing->len > 0 ? ", " : "", name);
    }
  if (missing->len > 0)
    node_pod_event (job->pod, NULL, "Warning", "FailedToRetrieveImagePullSecret",
                    "Unable to retrieve some image pull secrets (%s); attempting to pull the image may not succeed.", missing->str);
  return auth;
}

/* ---- pull ---- */

static char *
pull (NodeJob *job, const char *container, const char *image, const char *shown, const char **ret_reason, char **ret_message)
{
  NodePod *pod = job->pod;
  CubeContext *context = job->agent->context;
  g_autofree char *key = g_strconcat ("image ", image, NULL);
  g_autofree char *ref = NULL;
  g_autoptr (GError) error = NULL;
  gint64 now = cube_context_now_us (context), left = 0;
  NodeBackoff *backoff = g_hash_table_lookup (pod->backoffs, key);
  if (backoff != NULL && now - backoff->updated_us < backoff->delay_us)
    {
      left = backoff->delay_us - (now - backoff->updated_us);
      *ret_reason = "ImagePullBackOff";
      *ret_message = backoff->message != NULL ? g_strdup_printf ("Back-off pulling image \"%s\": ErrImagePull: %s", shown, backoff->message)
                                              : g_strdup_printf ("Back-off pulling image \"%s\"", shown);
      node_pod_event (pod, container, "Normal", "BackOff", "Back-off pulling image \"%s\"", shown);
      job->again_us = job->again_us == 0 ? left : MIN (job->again_us, left);
      return NULL;
    }
  node_pod_event (pod, container, "Normal", "Pulling", "Pulling image \"%s\"", shown);
  g_autofree char *auth = find_auth (job, image);
  gint64 begun = cube_context_monotonic_us (context);
  if (job->runtime.ops->pull_image (job->runtime.state, image, auth, &ref, job->cancellable, &error))
    {
      CubeImage *status = job->runtime.ops->image_status (job->runtime.state, image, NULL);
      char spent[40];
      cube_duration_format ((cube_context_monotonic_us (context) - begun) / 1000 * 1000000, spent);
      node_pod_event (pod, container, "Normal", "Pulled",
                      "Successfully pulled image \"%s\" in %s (%s including waiting). Image size: %" G_GUINT64_FORMAT " bytes.", shown,
                      spent, spent, status != NULL ? status->size_bytes : 0);
      cube_image_free (status);
      g_hash_table_remove (pod->backoffs, key);
      return g_steal_pointer (&ref);
    }
  node_pod_event (pod, container, "Warning", "Failed", "Failed to pull image \"%s\": %s", shown, error->message);
  node_backoff_next (pod->backoffs, key, now, cube_context_now_us (context), error->message);
  *ret_reason = "ErrImagePull";
  *ret_message = g_strdup (error->message);
  job->again_us = job->again_us == 0 ? NODE_BACKOFF_FIRST_US : job->again_us;
  return NULL;
}

char *
node_image_ensure (NodeJob *job, CubeView container, const char **ret_reason, char **ret_message)
{
  const char *name = cube_view_get_string (container, "name");
  const char *shown = cube_view_string_or (cube_view_member (container, "image"), "");
  g_autofree char *image = NULL;
  g_autoptr (GError) error = NULL;
  if (!node_image_check_name (shown, &image))
    {
      *ret_reason = "InvalidImageName";
      *ret_message = g_strdup_printf (
          "Failed to apply default image tag \"%s\": couldn't parse image name \"%s\": invalid reference format", shown, shown);
      node_pod_event (job->pod, name, "Warning", "InspectFailed", "%s", *ret_message);
      return NULL;
    }
  const char *policy = cube_view_string_or (cube_view_member (container, "imagePullPolicy"),
                                            g_str_has_suffix (image, ":latest") ? "Always" : "IfNotPresent");
  CubeImage *status = job->runtime.ops->image_status (job->runtime.state, image, &error);
  g_autofree char *id = status != NULL ? g_strdup (status->id) : NULL;
  cube_image_free (status);
  if (error != NULL)
    {
      *ret_reason = "ImageInspectError";
      *ret_message = g_strdup_printf ("Failed to inspect image \"\": %s", error->message);
      node_pod_event (job->pod, name, "Warning", "InspectFailed", "%s", *ret_message);
      return NULL;
    }
  if (id != NULL && !g_str_equal (policy, "Always"))
    {
      node_pod_event (job->pod, name, "Normal", "Pulled",
                      "Container image \"%s\" already present on machine and can be accessed by the pod", shown);
      return g_steal_pointer (&id);
    }
  if (g_str_equal (policy, "Never"))
    {
      *ret_reason = "ErrImageNeverPull";
      *ret_message = g_strdup_printf ("Container image \"%s\" is not present with pull policy of Never", shown);
      node_pod_event (job->pod, name, "Warning", "ErrImageNeverPull", "%s", *ret_message);
      return NULL;
    }
  return pull (job, name, image, shown, ret_reason, ret_message);
}
