/* SPDX-License-Identifier: Apache-2.0 */
/* ImageLocality: prefers nodes that have a pod's images, the more so the more nodes have them (else all pods of an image would pile up on one). */
#include <cube/schema.h>
#include <cube/scheduler.h>
#include <string.h>

#define MIB (1024 * 1024LL)
#define LOW (23 * MIB)
#define HIGH_EACH (1000 * MIB)

typedef struct {
  char *name;
  guint n_nodes;
} Image;
typedef struct {
  GArray *images;
  guint n_containers, n_nodes;
} Wanted;

/* Without a tag :latest is meant. (transfer full) */
static char *
normal_name (const char *name)
{
  const char *colon = strrchr (name, ':'), *slash = strrchr (name, '/');

  if (colon == NULL || (slash != NULL && slash > colon))
    return g_strconcat (name, ":latest", NULL);
  return g_strdup (name);
}

/* Bytes of @name on @node, 0 = it has not got it. */
static gint64
size_on (const CubeNodeInfo *node, const char *name)
{
  CubeIter images, names;
  CubeView image, one;

  for (cube_iter_init (&images, cube_view_get (node->view, "status", "images")); cube_iter_next (&images, NULL, &image);)
    for (cube_iter_init (&names, cube_view_member (image, "names")); cube_iter_next (&names, NULL, &one);)
      if (g_strcmp0 (cube_view_string (one), name) == 0)
        return cube_view_int (cube_view_member (image, "sizeBytes"), 0);
  return 0;
}

static void
image_clear (gpointer data)
{
  g_free (((Image *) data)->name);
}

static void
add_image (Wanted *wanted, const CubeCycle *cycle, const char *name)
{
  Image image = { normal_name (name), 0 };

  for (guint i = 0; i < cycle->n_nodes; i++)
    image.n_nodes += size_on (cycle->nodes[i], image.name) > 0;
  g_array_append_val (wanted->images, image);
}

static void
free_data (gpointer state, gpointer cycle_data)
{
  Wanted *wanted = cycle_data;

  g_array_unref (wanted->images);
  g_free (wanted);
}

static CubeFit
pre_score (gpointer state, const CubeCycle *cycle, const CubePodInfo *pod, const CubeNodeInfo *const *nodes, guint n_nodes,
           gpointer *ret_cycle_data)
{
  Wanted *wanted = g_new0 (Wanted, 1);
  CubeContainerIter iter;
  CubeView container, volume;
  gboolean is_anywhere = FALSE;
  CubeIter it;

  wanted->images = g_array_new (FALSE, FALSE, sizeof (Image));
  g_array_set_clear_func (wanted->images, image_clear);
  wanted->n_nodes = cycle->n_nodes;
  cube_containers_init (&iter, pod->spec, CUBE_CONTAINER_INIT | CUBE_CONTAINER_REGULAR);
  while (cube_containers_next (&iter, &container, NULL, NULL))
    {
      wanted->n_containers++;
      add_image (wanted, cycle, cube_view_string_or (cube_view_member (container, "image"), ""));
    }
  for (cube_iter_init (&it, cube_view_member (pod->spec, "volumes")); cube_iter_next (&it, NULL, &volume);)
    if (cube_view_get_string (volume, "image", "reference") != NULL)
      {
        wanted->n_containers++;
        add_image (wanted, cycle, cube_view_get_string (volume, "image", "reference"));
      }
  for (guint i = 0; i < wanted->images->len; i++)
    is_anywhere |= g_array_index (wanted->images, Image, i).n_nodes > 0;
  *ret_cycle_data = wanted;
  return is_anywhere ? CUBE_FIT_OK : CUBE_FIT_SKIP; /* every node would get 0 */
}

static gint64
score (gpointer state, const CubeCycle *cycle, gpointer cycle_data, const CubePodInfo *pod, const CubeNodeInfo *node)
{
  const Wanted *wanted = cycle_data;
  gint64 sum = 0, high = HIGH_EACH * MAX (wanted->n_containers, 1);

  for (guint i = 0; i < wanted->images->len; i++)
    {
      const Image *image = &g_array_index (wanted->images, Image, i);

      if (image->n_nodes > 0)
        sum += (gint64) ((double) size_on (node, image->name) * ((double) image->n_nodes / (double) wanted->n_nodes));
    }
  sum = CLAMP (sum, LOW, high);
  return 100 * (sum - LOW) / (high - LOW);
}

static const CubeScoreOps score_ops = {
  .ops_size = sizeof score_ops, .default_weight = 1, .pre_score = pre_score, .score = score, .free_data = free_data
};

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = NULL;
  return TRUE;
}

static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_SCORE_PLUGIN, CUBE_SCORE_VERSION, "ImageLocality", score_ops), { NULL } };

CUBE_PLUGIN_DEFINE (.name = "scheduler-image-locality", .version = "1", .description = "prefers nodes that have a pod's images",
                    .license = "Apache-2.0", .impls = impls, .load = load);
