/* SPDX-License-Identifier: Apache-2.0 */
/* One allocation an object: the struct, owner references, finalizers, label places, the header's strings, the JSON bytes.
 * metadata's first member is a field of fixed width for the revision:
 *   "resourceVersion":"<digits>",<spaces>    or spaces only while there is none. */
#include "heap.h"
#include "tape.h"
#include <cube/error.h>
#include <cube/object.h>

#define REVISION_KEY "\"resourceVersion\":\""
#define REVISION_WIDTH (sizeof REVISION_KEY - 1 + 20 + 2)

typedef struct {
  guint32 key, value; /* offsets into strings */
} LabelPlace;

struct _CubeObject {
  gatomicrefcount refs;
  guint32 size;
  guint32 json_at, json_length, revision_at; /* offsets from the object, from the object, from the JSON */
  guint32 strings_at;
  guint64 revision;
  gint64 generation;
  guint32 api_version, kind, namespace, name, uid, created, deleted; /* offsets into strings; 0 = the empty string, not there */
  guint32 n_labels;
  guint16 n_owners, n_finalizers;
};

typedef struct {
  GString *strings;
  GArray *labels;     /* LabelPlace */
  GArray *owners;     /* CubeOwnerRef with offsets in place of pointers */
  GArray *finalizers; /* gsize offsets, then pointers */
} Header;

static void
header_clear (Header *header)
{
  g_string_free (header->strings, TRUE);
  g_array_unref (header->labels);
  g_array_unref (header->owners);
  g_array_unref (header->finalizers);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Header, header_clear)

static char *
base (const CubeObject *object)
{
  return (char *) object;
}

static const char *
text_at (const CubeObject *object, guint32 offset)
{
  return base (object) + object->strings_at + offset;
}

static CubeOwnerRef *
owners (const CubeObject *object)
{
  return (CubeOwnerRef *) (base (object) + sizeof *object);
}

static const char **
finalizers (const CubeObject *object)
{
  return (const char **) (owners (object) + object->n_owners);
}

static LabelPlace *
labels (const CubeObject *object)
{
  return (LabelPlace *) (finalizers (object) + object->n_finalizers + 1);
}

/* ---- reading the header ---- */

static guint32
add_text (Header *header, const char *text)
{
  if (text == NULL || *text == '\0')
    return 0;
  guint32 at = (guint32) header->strings->len;
  g_string_append_len (header->strings, text, (gssize) strlen (text) + 1);
  return at;
}

static int
compare_labels (gconstpointer a, gconstpointer b, gpointer strings)
{
  const LabelPlace *x = a, *y = b;
  int order = strcmp ((const char *) strings + x->key, (const char *) strings + y->key);
  return order != 0 ? order : (x->key > y->key) - (x->key < y->key); /* offsets grow in document order */
}

static void
read_labels (Header *header, CubeView view)
{
  CubeIter iter;
  const char *key;
  CubeView value;
  for (cube_iter_init (&iter, view); cube_iter_next (&iter, &key, &value);)
    {
      if (key == NULL || cube_view_type (value) != CUBE_VALUE_STRING)
        continue;
      LabelPlace place = { add_text (header, key), add_text (header, cube_view_string (value)) };
      g_array_append_val (header->labels, place);
    }
  const char *strings = header->strings->str;
  LabelPlace *places = (LabelPlace *) header->labels->data;
  guint kept = 0;
  g_array_sort_with_data (header->labels, compare_labels, (gpointer) strings);
  for (guint i = 0; i < header->labels->len; i++)
    {
      gboolean is_repeated = kept > 0 && strcmp (strings + places[kept - 1].key, strings + places[i].key) == 0;
      places[is_repeated ? kept - 1 : kept++] = places[i]; /* the last of a key counts */
    }
  g_array_set_size (header->labels, kept);
}

static void
read_owners (Header *header, CubeView view)
{
  CubeIter iter;
  CubeView entry;
  for (cube_iter_init (&iter, view); cube_iter_next (&iter, NULL, &entry) && header->owners->len < G_MAXUINT16;)
    {
      CubeOwnerRef owner = {
        .api_version = GUINT_TO_POINTER (add_text (header, cube_view_get_string (entry, "apiVersion"))),
        .kind = GUINT_TO_POINTER (add_text (header, cube_view_get_string (entry, "kind"))),
        .name = GUINT_TO_POINTER (add_text (header, cube_view_get_string (entry, "name"))),
        .uid = GUINT_TO_POINTER (add_text (header, cube_view_get_string (entry, "uid"))),
        .is_controller = cube_view_get_bool (entry, FALSE, "controller"),
        .blocks_owner_deletion = cube_view_get_bool (entry, FALSE, "blockOwnerDeletion"),
      };
      g_array_append_val (header->owners, owner);
    }
}

static void
read_finalizers (Header *header, CubeView view)
{
  CubeIter iter;
  CubeView entry;
  for (cube_iter_init (&iter, view); cube_iter_next (&iter, NULL, &entry) && header->finalizers->len < G_MAXUINT16;)
    {
      gsize at = add_text (header, cube_view_string (entry));
      if (at != 0)
        g_array_append_val (header->finalizers, at);
    }
}

static gboolean
require (CubeView view, const char *what, GError **error)
{
  const char *text = cube_view_string (view);
  if (text != NULL && *text != '\0')
    return TRUE;
  if (text == NULL && cube_view_exists (view))
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "object's %s must be a string, found %s", what,
                 cube_value_type_name (cube_view_type (view)));
  else
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "object has no %s", what);
  return FALSE;
}

static gboolean
check_shape (CubeView view, GError **error)
{
  CubeView metadata = cube_view_member (view, "metadata");
  if (cube_view_type (view) != CUBE_VALUE_OBJECT)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "an API object must be a JSON object, found %s",
                   cube_value_type_name (cube_view_type (view)));
      return FALSE;
    }
  if (!require (cube_view_member (view, "apiVersion"), "apiVersion", error) || !require (cube_view_member (view, "kind"), "kind", error))
    return FALSE;
  if (cube_view_type (metadata) != CUBE_VALUE_OBJECT)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "object has no metadata");
      return FALSE;
    }
  return require (cube_view_member (metadata, "name"), "metadata.name", error);
}

/* Lays out the object; the JSON bytes are copied from @json. */
static CubeObject *
assemble (CubeView view, const char *json, gsize length, gsize revision_at, GError **error)
{
  g_auto (Header) header = { g_string_new_len ("", 1), g_array_new (FALSE, FALSE, sizeof (LabelPlace)),
                             g_array_new (FALSE, FALSE, sizeof (CubeOwnerRef)), g_array_new (FALSE, FALSE, sizeof (gsize)) };
  CubeView metadata = cube_view_member (view, "metadata");
  CubeObject fixed = {
    .generation = cube_view_get_int (metadata, 0, "generation"),
    .api_version = add_text (&header, cube_view_get_string (view, "apiVersion")),
    .kind = add_text (&header, cube_view_get_string (view, "kind")),
    .namespace = add_text (&header, cube_view_get_string (metadata, "namespace")),
    .name = add_text (&header, cube_view_get_string (metadata, "name")),
    .uid = add_text (&header, cube_view_get_string (metadata, "uid")),
    .created = add_text (&header, cube_view_get_string (metadata, "creationTimestamp")),
    .deleted = add_text (&header, cube_view_get_string (metadata, "deletionTimestamp")),
  };
  read_labels (&header, cube_view_member (metadata, "labels"));
  read_owners (&header, cube_view_member (metadata, "ownerReferences"));
  read_finalizers (&header, cube_view_member (metadata, "finalizers"));
  fixed.n_labels = header.labels->len;
  fixed.n_owners = (guint16) header.owners->len;
  fixed.n_finalizers = (guint16) header.finalizers->len;

  gsize strings_at = sizeof fixed + fixed.n_owners * sizeof (CubeOwnerRef) + (fixed.n_finalizers + 1u) * sizeof (char *)
                     + fixed.n_labels * sizeof (LabelPlace);
  gsize json_at = strings_at + header.strings->len, size = json_at + length;
  if (size > G_MAXINT32)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_REQUEST_TOO_LARGE, "object of %" G_GSIZE_FORMAT " bytes is too large", length);
      return NULL;
    }
  fixed.size = (guint32) size;
  fixed.strings_at = (guint32) strings_at;
  fixed.json_at = (guint32) json_at;
  fixed.json_length = (guint32) length;
  fixed.revision_at = (guint32) revision_at;

  CubeObject *object = cube_heap_alloc (size);
  *object = fixed;
  g_atomic_ref_count_init (&object->refs);
  memcpy (base (object) + strings_at, header.strings->str, header.strings->len);
  memcpy (base (object) + json_at, json, length);
  for (guint i = 0; i < fixed.n_owners; i++)
    {
      CubeOwnerRef owner = g_array_index (header.owners, CubeOwnerRef, i);
      owner.api_version = text_at (object, GPOINTER_TO_UINT (owner.api_version));
      owner.kind = text_at (object, GPOINTER_TO_UINT (owner.kind));
      owner.name = text_at (object, GPOINTER_TO_UINT (owner.name));
      owner.uid = text_at (object, GPOINTER_TO_UINT (owner.uid));
      owners (object)[i] = owner;
    }
  for (guint i = 0; i < fixed.n_finalizers; i++)
    finalizers (object)[i] = text_at (object, (guint32) g_array_index (header.finalizers, gsize, i));
  finalizers (object)[fixed.n_finalizers] = NULL;
  if (fixed.n_labels > 0)
    memcpy (labels (object), header.labels->data, fixed.n_labels * sizeof (LabelPlace));
  return object;
}

/* ---- encoding ---- */

static gboolean
same_key (const char *key, guint32 length, const char *want)
{
  return length == strlen (want) && memcmp (key, want, length) == 0;
}

static void
append_key (GString *out, const char *key, guint32 length)
{
  cube_json_append_string (out, key, length);
  g_string_append_c (out, ':');
}

static gsize
append_metadata (CubeView metadata, GString *out)
{
  CubeIter iter;
  const char *key;
  guint32 length;
  CubeView value;
  gboolean is_first = TRUE;
  g_string_append_c (out, '{');
  gsize revision_at = out->len;
  g_string_set_size (out, out->len + REVISION_WIDTH);
  memset (out->str + revision_at, ' ', REVISION_WIDTH);
  for (cube_iter_init (&iter, metadata); cube_iter_next_full (&iter, &key, &length, &value);)
    {
      if (same_key (key, length, "resourceVersion"))
        continue;
      if (!is_first)
        g_string_append_c (out, ',');
      is_first = FALSE;
      append_key (out, key, length);
      cube_view_append_json (value, out);
    }
  g_string_append_c (out, '}');
  return revision_at;
}

static gsize
append_object (CubeView view, GString *out)
{
  CubeView metadata = cube_view_member (view, "metadata"), value;
  CubeIter iter;
  const char *key;
  guint32 length;
  gsize revision_at = 0;
  gboolean is_first = TRUE;
  g_string_append_c (out, '{');
  for (cube_iter_init (&iter, view); cube_iter_next_full (&iter, &key, &length, &value);)
    {
      gboolean is_metadata = same_key (key, length, "metadata");
      if (is_metadata && value.at != metadata.at)
        continue; /* the last of a key counts */
      if (!is_first)
        g_string_append_c (out, ',');
      is_first = FALSE;
      append_key (out, key, length);
      if (is_metadata)
        revision_at = append_metadata (value, out);
      else
        cube_view_append_json (value, out);
    }
  g_string_append_c (out, '}');
  return revision_at;
}

CubeObject *
cube_object_new (CubeView view, guint64 revision, GError **error)
{
  if (!check_shape (view, error))
    return NULL;
  g_autoptr (GString) out = g_string_sized_new (4096);
  gsize revision_at = append_object (view, out);
  CubeObject *object = assemble (view, out->str, out->len, revision_at, error);
  if (object != NULL)
    cube_object_set_revision (object, revision);
  return object;
}

static gboolean
is_revision_field (const char *at)
{
  gsize i = 0;
  if (*at == '"')
    {
      i = sizeof REVISION_KEY - 1;
      if (memcmp (at, REVISION_KEY, i) != 0)
        return FALSE;
      gsize start = i;
      while (i < start + 20 && g_ascii_isdigit (at[i]))
        i++;
      if (i == start || at[i] != '"' || at[i + 1] != ',')
        return FALSE;
      i += 2;
    }
  while (i < REVISION_WIDTH && at[i] == ' ')
    i++;
  return i == REVISION_WIDTH;
}

/* The place of the revision in bytes that are valid JSON, 0 if they are not laid out as ours: the field opens the top level's metadata. */
static gsize
find_revision (const char *json, gsize length)
{
  static const char opening[] = "\"metadata\":{";
  const gsize n = sizeof opening - 1;
  guint depth = 0;
  for (gsize i = 0; i + n + REVISION_WIDTH + 2 < length; i++)
    {
      if (json[i] == '"')
        {
          if (depth == 1 && memcmp (json + i, opening, n) == 0)
            return is_revision_field (json + i + n) && json[i + n + REVISION_WIDTH] == '"' ? i + n : 0;
          for (i++; i < length && json[i] != '"'; i++)
            i += json[i] == '\\';
        }
      else if (json[i] == '{' || json[i] == '[')
        {
          depth++;
        }
      else if (json[i] == '}' || json[i] == ']')
        {
          depth--;
        }
    }
  return 0;
}

static guint
count_key (CubeView view, const char *want)
{
  CubeIter iter;
  const char *key;
  guint32 length;
  guint n = 0;
  for (cube_iter_init (&iter, view); cube_iter_next_full (&iter, &key, &length, NULL);)
    n += key != NULL && same_key (key, length, want);
  return n;
}

static const CubeParseLimits trusted_limits = { .max_bytes = G_MAXINT32, .max_depth = CUBE_PARSE_MAX_DEPTH, .max_nodes = G_MAXUINT };

CubeObject *
cube_object_new_from_json (const char *json, gsize length, guint64 revision, GError **error)
{
  g_autoptr (CubeValue) value = cube_value_from_json (json, (gssize) length, &trusted_limits, error);
  if (value == NULL)
    return NULL;
  CubeView view = cube_value_root (value), metadata = cube_view_member (view, "metadata");
  if (!check_shape (view, error))
    return NULL;
  gsize revision_at = find_revision (json, length);
  if (revision_at == 0 || count_key (view, "metadata") > 1 || count_key (metadata, "resourceVersion") > 1)
    return cube_object_new (view, revision, error);
  CubeObject *object = assemble (view, json, length, revision_at, error);
  if (object != NULL)
    cube_object_set_revision (object, revision);
  return object;
}

void
cube_object_set_revision (CubeObject *object, guint64 revision)
{
  g_return_if_fail (object != NULL);
  char *at = base (object) + object->json_at + object->revision_at;
  object->revision = revision;
  memset (at, ' ', REVISION_WIDTH);
  if (revision == 0)
    return;
  char digits[24];
  gsize n = (gsize) g_snprintf (digits, sizeof digits, "%" G_GUINT64_FORMAT "\",", revision);
  memcpy (at, REVISION_KEY, sizeof REVISION_KEY - 1);
  memcpy (at + sizeof REVISION_KEY - 1, digits, n);
}

CubeObject *
cube_object_ref (CubeObject *object)
{
  g_return_val_if_fail (object != NULL, NULL);
  g_atomic_ref_count_inc (&object->refs);
  return object;
}

void
cube_object_unref (CubeObject *object)
{
  if (object != NULL && g_atomic_ref_count_dec (&object->refs))
    cube_heap_free (object, object->size);
}

/* ---- the header ---- */

const char *
cube_object_api_version (const CubeObject *object)
{
  return text_at (object, object->api_version);
}

const char *
cube_object_kind (const CubeObject *object)
{
  return text_at (object, object->kind);
}

const char *
cube_object_namespace (const CubeObject *object)
{
  return text_at (object, object->namespace);
}

const char *
cube_object_name (const CubeObject *object)
{
  return text_at (object, object->name);
}

const char *
cube_object_uid (const CubeObject *object)
{
  return text_at (object, object->uid);
}

guint64
cube_object_revision (const CubeObject *object)
{
  return object->revision;
}

gint64
cube_object_generation (const CubeObject *object)
{
  return object->generation;
}

const char *
cube_object_creation_timestamp (const CubeObject *object)
{
  return object->created != 0 ? text_at (object, object->created) : NULL;
}

const char *
cube_object_deletion_timestamp (const CubeObject *object)
{
  return object->deleted != 0 ? text_at (object, object->deleted) : NULL;
}

guint
cube_object_n_labels (const CubeObject *object)
{
  return object->n_labels;
}

const char *
cube_object_label (const CubeObject *object, const char *key)
{
  const LabelPlace *places = labels (object);
  guint low = 0, high = object->n_labels;
  while (low < high)
    {
      guint middle = (low + high) / 2;
      int order = strcmp (text_at (object, places[middle].key), key);
      if (order == 0)
        return text_at (object, places[middle].value);
      if (order < 0)
        low = middle + 1;
      else
        high = middle;
    }
  return NULL;
}

void
cube_object_label_at (const CubeObject *object, guint index, const char **ret_key, const char **ret_value)
{
  g_return_if_fail (index < object->n_labels);
  const LabelPlace *place = &labels (object)[index];
  if (ret_key != NULL)
    *ret_key = text_at (object, place->key);
  if (ret_value != NULL)
    *ret_value = text_at (object, place->value);
}

const CubeOwnerRef *
cube_object_owners (const CubeObject *object, guint *ret_n)
{
  if (ret_n != NULL)
    *ret_n = object->n_owners;
  return object->n_owners > 0 ? owners (object) : NULL;
}

const CubeOwnerRef *
cube_object_controller (const CubeObject *object)
{
  for (guint i = 0; i < object->n_owners; i++)
    if (owners (object)[i].is_controller)
      return &owners (object)[i];
  return NULL;
}

const char *const *
cube_object_finalizers (const CubeObject *object)
{
  return (const char *const *) finalizers (object);
}

gboolean
cube_object_has_finalizer (const CubeObject *object, const char *finalizer)
{
  for (guint i = 0; i < object->n_finalizers; i++)
    if (strcmp (finalizers (object)[i], finalizer) == 0)
      return TRUE;
  return FALSE;
}

const char *
cube_object_json (const CubeObject *object, gsize *ret_length)
{
  if (ret_length != NULL)
    *ret_length = object->json_length;
  return base (object) + object->json_at;
}

GBytes *
cube_object_bytes (CubeObject *object)
{
  return g_bytes_new_with_free_func (base (object) + object->json_at, object->json_length, (GDestroyNotify) cube_object_unref,
                                     cube_object_ref (object));
}

CubeValue *
cube_object_value (const CubeObject *object)
{
  return cube_value_from_json (base (object) + object->json_at, object->json_length, &trusted_limits, NULL);
}

gsize
cube_object_memory (const CubeObject *object)
{
  return object->size;
}

char *
cube_object_key (const CubeObject *object)
{
  const char *namespace = cube_object_namespace (object), *name = cube_object_name (object);
  return *namespace == '\0' ? g_strdup (name) : g_strconcat (namespace, "/", name, NULL);
}
