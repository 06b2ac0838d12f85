/* SPDX-License-Identifier: Apache-2.0 */
#include "tree.h"
#include <string.h>

#define LEAF_MAX 64
#define LEAF_MIN 4 /* leaves grow from here by doubling: most trees of an index hold a few objects */
#define INNER_MAX 64

/* The lower bound of a child: text of its own, so that a bound never keeps a replaced object alive. */
typedef struct {
  gint ref_count;
  guint name_at;
  char text[]; /* namespace NUL name NUL */
} Bound;

struct _CubeTreeNode {
  gint ref_count;
  gboolean is_leaf;
  guint n, capacity;
};

typedef struct {
  CubeTreeNode node;
  CubeObject *objects[];
} Leaf;

typedef struct {
  CubeTreeNode node;
  CubeTreeNode *children[INNER_MAX];
  Bound *bounds[INNER_MAX]; /* [0] is NULL */
} Inner;

/* What an insertion that filled a node leaves to its parent. */
typedef struct {
  CubeTreeNode *right; /* NULL = no split */
  Bound *bound;
} Split;

static Bound *
bound_new (const CubeObject *object)
{
  const char *ns = cube_object_namespace (object), *name = cube_object_name (object);
  gsize ns_size = strlen (ns) + 1, name_size = strlen (name) + 1;
  Bound *bound = g_malloc (sizeof (Bound) + ns_size + name_size);
  bound->ref_count = 1;
  bound->name_at = ns_size;
  memcpy (bound->text, ns, ns_size);
  memcpy (bound->text + ns_size, name, name_size);
  return bound;
}

static Bound *
bound_ref (Bound *bound)
{
  if (bound != NULL)
    g_atomic_int_inc (&bound->ref_count);
  return bound;
}

static void
bound_unref (Bound *bound)
{
  if (bound != NULL && g_atomic_int_dec_and_test (&bound->ref_count))
    g_free (bound);
}

static inline int
compare (const char *ns, const char *name, const char *other_ns, const char *other_name)
{
  int order = strcmp (ns, other_ns);
  return order != 0 ? order : strcmp (name, other_name);
}

static inline int
compare_object (const char *ns, const char *name, const CubeObject *object)
{
  return compare (ns, name, cube_object_namespace (object), cube_object_name (object));
}

/* ---- nodes ---- */

static CubeTreeNode *
leaf_new (guint capacity)
{
  CubeTreeNode *node = g_malloc (sizeof (Leaf) + capacity * sizeof (CubeObject *));
  *node = (CubeTreeNode){ 1, TRUE, 0, capacity };
  return node;
}

static CubeTreeNode *
inner_new (void)
{
  CubeTreeNode *node = g_malloc (sizeof (Inner));
  *node = (CubeTreeNode){ 1, FALSE, 0, INNER_MAX };
  return node;
}

static void
node_unref (CubeTreeNode *node)
{
  if (node == NULL || !g_atomic_int_dec_and_test (&node->ref_count))
    return;
  for (guint i = 0; i < node->n; i++)
    if (node->is_leaf)
      cube_object_unref (((Leaf *) node)->objects[i]);
    else
      {
        node_unref (((Inner *) node)->children[i]);
        bound_unref (((Inner *) node)->bounds[i]);
      }
  g_free (node);
}

static CubeTreeNode *
node_copy (const CubeTreeNode *node)
{
  CubeTreeNode *copy = node->is_leaf ? leaf_new (node->capacity) : inner_new ();
  copy->n = node->n;
  for (guint i = 0; i < node->n; i++)
    if (node->is_leaf)
      ((Leaf *) copy)->objects[i] = cube_object_ref (((const Leaf *) node)->objects[i]);
    else
      {
        CubeTreeNode *child = ((const Inner *) node)->children[i];
        g_atomic_int_inc (&child->ref_count);
        ((Inner *) copy)->children[i] = child;
        ((Inner *) copy)->bounds[i] = bound_ref (((const Inner *) node)->bounds[i]);
      }
  return copy;
}

/* Makes *@slot ours alone. Reached through nodes that are ours alone, a count of one means nobody else can reach it. */
static CubeTreeNode *
node_own (CubeTreeNode **slot)
{
  CubeTreeNode *node = *slot;
  if (g_atomic_int_get (&node->ref_count) != 1)
    {
      *slot = node_copy (node);
      node_unref (node);
    }
  return *slot;
}

/* First position whose object is >= the key; *ret_equal tells whether it is the key. */
static guint
leaf_find (const CubeTreeNode *node, const char *ns, const char *name, gboolean *ret_equal)
{
  CubeObject *const *objects = ((const Leaf *) node)->objects;
  guint low = 0, high = node->n;
  *ret_equal = FALSE;
  while (low < high)
    {
      guint middle = (low + high) / 2;
      int order = compare_object (ns, name, objects[middle]);
      if (order == 0)
        {
          *ret_equal = TRUE;
          return middle;
        }
      if (order > 0)
        low = middle + 1;
      else
        high = middle;
    }
  return low;
}

/* The child that holds the key. */
static guint
inner_find (const CubeTreeNode *node, const char *ns, const char *name)
{
  Bound *const *bounds = ((const Inner *) node)->bounds;
  guint low = 1, high = node->n;
  while (low < high)
    {
      guint middle = (low + high) / 2;
      if (compare (ns, name, bounds[middle]->text, bounds[middle]->text + bounds[middle]->name_at) >= 0)
        low = middle + 1;
      else
        high = middle;
    }
  return low - 1;
}

/* ---- insertion ---- */

static void
leaf_insert (Leaf *leaf, guint at, CubeObject *object)
{
  memmove (&leaf->objects[at + 1], &leaf->objects[at], (leaf->node.n - at) * sizeof (CubeObject *));
  leaf->objects[at] = object;
  leaf->node.n++;
}

static void
inner_insert (Inner *inner, guint at, CubeTreeNode *child, Bound *bound)
{
  memmove (&inner->children[at + 1], &inner->children[at], (inner->node.n - at) * sizeof (CubeTreeNode *));
  memmove (&inner->bounds[at + 1], &inner->bounds[at], (inner->node.n - at) * sizeof (Bound *));
  inner->children[at] = child;
  inner->bounds[at] = bound;
  inner->node.n++;
}

/* Growing at the end leaves full nodes behind, as loading in order does. */
static guint
split_point (guint n, guint at)
{
  return at == n ? n : n / 2;
}

static void
leaf_split (CubeTreeNode *node, guint at, CubeObject *object, Split *split)
{
  guint keep = split_point (node->n, at);
  CubeTreeNode *right = leaf_new (LEAF_MAX);
  right->n = node->n - keep;
  memcpy (((Leaf *) right)->objects, ((Leaf *) node)->objects + keep, right->n * sizeof (CubeObject *));
  node->n = keep;
  if (at > keep || right->n == 0)
    leaf_insert ((Leaf *) right, at - keep, object);
  else
    leaf_insert ((Leaf *) node, at, object);
  split->right = right;
  split->bound = bound_new (((Leaf *) right)->objects[0]);
}

static void
inner_split (CubeTreeNode *node, guint at, CubeTreeNode *child, Bound *bound, Split *split)
{
  Inner *left = (Inner *) node, *right = (Inner *) inner_new ();
  guint keep = split_point (node->n, at);
  right->node.n = node->n - keep;
  memcpy (right->children, left->children + keep, right->node.n * sizeof (CubeTreeNode *));
  memcpy (right->bounds, left->bounds + keep, right->node.n * sizeof (Bound *));
  node->n = keep;
  if (at > keep || right->node.n == 0)
    inner_insert (right, at - keep, child, bound);
  else
    inner_insert (left, at, child, bound);
  split->right = &right->node;
  split->bound = g_steal_pointer (&right->bounds[0]);
}

static CubeObject *
node_put_leaf (CubeTreeNode **slot, CubeObject *object, Split *split)
{
  CubeTreeNode *node = node_own (slot);
  gboolean is_equal;
  guint at = leaf_find (node, cube_object_namespace (object), cube_object_name (object), &is_equal);
  cube_object_ref (object);
  if (is_equal)
    {
      CubeObject *old = ((Leaf *) node)->objects[at];
      ((Leaf *) node)->objects[at] = object;
      return old;
    }
  if (node->n == LEAF_MAX)
    leaf_split (node, at, object, split);
  else
    {
      if (node->n == node->capacity)
        {
          node->capacity = MIN (node->capacity * 2, LEAF_MAX);
          node = *slot = g_realloc (node, sizeof (Leaf) + node->capacity * sizeof (CubeObject *));
        }
      leaf_insert ((Leaf *) node, at, object);
    }
  return NULL;
}

static CubeObject *
node_put (CubeTreeNode **slot, CubeObject *object, Split *split)
{
  if ((*slot)->is_leaf)
    return node_put_leaf (slot, object, split);
  CubeTreeNode *node = node_own (slot);
  guint at = inner_find (node, cube_object_namespace (object), cube_object_name (object));
  Split below = { NULL, NULL };
  CubeObject *old = node_put (&((Inner *) node)->children[at], object, &below);
  if (below.right == NULL)
    return old;
  if (node->n == INNER_MAX)
    inner_split (node, at + 1, below.right, below.bound, split);
  else
    inner_insert ((Inner *) node, at + 1, below.right, below.bound);
  return old;
}

CubeObject *
cube_tree_put (CubeTree *tree, CubeObject *object)
{
  Split split = { NULL, NULL };
  if (tree->root == NULL)
    tree->root = leaf_new (LEAF_MIN);
  CubeObject *old = node_put (&tree->root, object, &split);
  if (split.right != NULL)
    {
      Inner *root = (Inner *) inner_new ();
      inner_insert (root, 0, tree->root, NULL);
      inner_insert (root, 1, split.right, split.bound);
      tree->root = &root->node;
    }
  if (old == NULL)
    tree->length++;
  return old;
}

/* ---- removal ---- */

static void
inner_drop (Inner *inner, guint at)
{
  bound_unref (inner->bounds[at]);
  guint after = --inner->node.n - at;
  memmove (&inner->children[at], &inner->children[at + 1], after * sizeof (CubeTreeNode *));
  memmove (&inner->bounds[at], &inner->bounds[at + 1], after * sizeof (Bound *));
  if (at == 0 && inner->node.n > 0)
    g_clear_pointer (&inner->bounds[0], bound_unref);
}

static void
leaf_append (CubeTreeNode **slot, CubeTreeNode *from)
{
  CubeTreeNode *node = *slot;
  if (node->n + from->n > node->capacity)
    {
      node->capacity = LEAF_MAX;
      node = *slot = g_realloc (node, sizeof (Leaf) + node->capacity * sizeof (CubeObject *));
    }
  memcpy (((Leaf *) node)->objects + node->n, ((Leaf *) from)->objects, from->n * sizeof (CubeObject *));
  node->n += from->n;
  from->n = 0;
}

/* Moves the child at @at + 1 into the one at @at when both together leave room to grow. */
static void
inner_merge (Inner *inner, guint at)
{
  CubeTreeNode *left = inner->children[at], *right = inner->children[at + 1];
  if (left->n + right->n > LEAF_MAX * 3 / 4)
    return;
  node_own (&inner->children[at]);
  right = node_own (&inner->children[at + 1]);
  if (right->is_leaf)
    leaf_append (&inner->children[at], right);
  else
    {
      Inner *to = (Inner *) inner->children[at], *from = (Inner *) right;
      from->bounds[0] = bound_ref (inner->bounds[at + 1]);
      memcpy (to->children + to->node.n, from->children, right->n * sizeof (CubeTreeNode *));
      memcpy (to->bounds + to->node.n, from->bounds, right->n * sizeof (Bound *));
      to->node.n += right->n;
      right->n = 0;
    }
  node_unref (right);
  inner_drop (inner, at + 1);
}

/* The key is there. */
static CubeObject *
node_remove (CubeTreeNode **slot, const char *ns, const char *name)
{
  CubeTreeNode *node = node_own (slot);
  if (node->is_leaf)
    {
      gboolean is_equal;
      guint at = leaf_find (node, ns, name, &is_equal);
      CubeObject *old = ((Leaf *) node)->objects[at];
      memmove (&((Leaf *) node)->objects[at], &((Leaf *) node)->objects[at + 1], (--node->n - at) * sizeof (CubeObject *));
      return old;
    }
  Inner *inner = (Inner *) node;
  guint at = inner_find (node, ns, name);
  CubeObject *old = node_remove (&inner->children[at], ns, name);
  guint left = inner->children[at]->n;
  if (left == 0)
    {
      node_unref (inner->children[at]);
      inner_drop (inner, at);
    }
  else if (left <= LEAF_MAX / 4)
    {
      if (at + 1 < node->n)
        inner_merge (inner, at);
      else if (at > 0)
        inner_merge (inner, at - 1);
    }
  return old;
}

CubeObject *
cube_tree_remove (CubeTree *tree, const char *ns, const char *name)
{
  if (cube_tree_lookup (tree, ns, name) == NULL)
    return NULL;
  CubeObject *old = node_remove (&tree->root, ns, name);
  tree->length--;
  while (tree->root != NULL && (tree->root->n == 0 || (!tree->root->is_leaf && tree->root->n == 1)))
    {
      CubeTreeNode *root = tree->root;
      tree->root = NULL;
      if (root->n == 1)
        {
          tree->root = ((Inner *) root)->children[0];
          root->n = 0;
        }
      node_unref (root);
    }
  return old;
}

/* ---- reading ---- */

CubeTree
cube_tree_copy (const CubeTree *tree)
{
  if (tree->root != NULL)
    g_atomic_int_inc (&tree->root->ref_count);
  return *tree;
}

void
cube_tree_clear (CubeTree *tree)
{
  g_clear_pointer (&tree->root, node_unref);
  tree->length = 0;
}

CubeObject *
cube_tree_lookup (const CubeTree *tree, const char *ns, const char *name)
{
  const CubeTreeNode *node = tree->root;
  if (node == NULL)
    return NULL;
  while (!node->is_leaf)
    node = ((const Inner *) node)->children[inner_find (node, ns, name)];
  gboolean is_equal;
  guint at = leaf_find (node, ns, name, &is_equal);
  return is_equal ? ((const Leaf *) node)->objects[at] : NULL;
}

typedef struct {
  const char *ns; /* NULL = all */
  CubeTreeVisit visit;
  gpointer data;
} Visit;

static gboolean
leaf_visit (const CubeTreeNode *node, const Visit *visit, guint at)
{
  for (; at < node->n; at++)
    {
      CubeObject *object = ((const Leaf *) node)->objects[at];
      if (visit->ns != NULL && strcmp (cube_object_namespace (object), visit->ns) != 0)
        return FALSE;
      if (!visit->visit (object, visit->data))
        return FALSE;
    }
  return TRUE;
}

/* @after_ns NULL: from the node's start. */
static gboolean
node_visit (const CubeTreeNode *node, const Visit *visit, const char *after_ns, const char *after_name)
{
  if (node->is_leaf)
    {
      gboolean is_equal = FALSE;
      guint at = after_ns != NULL ? leaf_find (node, after_ns, after_name, &is_equal) : 0;
      return leaf_visit (node, visit, at + (is_equal ? 1 : 0));
    }
  guint at = after_ns != NULL ? inner_find (node, after_ns, after_name) : 0;
  for (guint i = at; i < node->n; i++)
    if (!node_visit (((const Inner *) node)->children[i], visit, i == at ? after_ns : NULL, after_name))
      return FALSE;
  return TRUE;
}

void
cube_tree_visit (const CubeTree *tree, const char *ns, const char *after_ns, const char *after_name, CubeTreeVisit visit, gpointer data)
{
  Visit all = { ns, visit, data };
  if (after_ns != NULL && after_name == NULL)
    after_name = "";
  if (ns != NULL && (after_ns == NULL || strcmp (after_ns, ns) < 0))
    {
      after_ns = ns; /* no name is empty: everything of the namespace is after this */
      after_name = "";
    }
  if (tree->root != NULL)
    node_visit (tree->root, &all, after_ns, after_name);
}

typedef struct {
  CubeObject *last;
  guint seen;
  gboolean is_sorted;
} Check;

static gboolean
check_visit (CubeObject *object, gpointer data)
{
  Check *check = data;
  if (check->last != NULL && compare_object (cube_object_namespace (object), cube_object_name (object), check->last) <= 0)
    check->is_sorted = FALSE;
  check->last = object;
  check->seen++;
  return TRUE;
}

/* Every object of a child is found by the way to it, every node holds something. */
static gboolean
node_check (const CubeTreeNode *node)
{
  if (node->n == 0 || node->n > node->capacity)
    return FALSE;
  for (guint i = 0; !node->is_leaf && i < node->n; i++)
    if ((i == 0) != (((const Inner *) node)->bounds[i] == NULL) || !node_check (((const Inner *) node)->children[i]))
      return FALSE;
  return TRUE;
}

gboolean
cube_tree_check (const CubeTree *tree)
{
  Check check = { NULL, 0, TRUE };
  cube_tree_visit (tree, NULL, NULL, NULL, check_visit, &check);
  return check.is_sorted && check.seen == tree->length && (tree->root == NULL || node_check (tree->root));
}
