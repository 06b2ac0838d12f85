/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: a persistent B+tree of objects ordered by (namespace, name). Copying a tree is taking a reference on its root; a change
 * copies only the nodes that somebody else holds too. One writer; a copy may be read and cleared by any thread. */
#include <cube/object.h>

typedef struct _CubeTreeNode CubeTreeNode;
typedef struct {
  CubeTreeNode *root; /* NULL = empty */
  guint length;
} CubeTree;

CubeTree cube_tree_copy (const CubeTree *tree);
void cube_tree_clear (CubeTree *tree);
CubeObject *cube_tree_lookup (const CubeTree *tree, const char *ns, const char *name); /* (transfer none) */
/* Takes a reference on @object. What it replaced (transfer full), or NULL. */
CubeObject *cube_tree_put (CubeTree *tree, CubeObject *object);
CubeObject *cube_tree_remove (CubeTree *tree, const char *ns, const char *name); /* (transfer full), NULL = was not there */
/* As cube_snapshot_visit. */
typedef gboolean (*CubeTreeVisit) (CubeObject *object, gpointer data);
void cube_tree_visit (const CubeTree *tree, const char *ns, const char *after_ns, const char *after_name, CubeTreeVisit visit, gpointer data);
gboolean cube_tree_check (const CubeTree *tree); /* for tests: order, bounds and counts hold */
