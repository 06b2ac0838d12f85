/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "builder.h"
/* The members of a mutable object: in order, searched through a hash index when there are many. Lookup finds the last of a key. */
G_GNUC_INTERNAL CubeMembers *cube_members_new (CubeBuilder *builder, guint size);
G_GNUC_INTERNAL CubeMember *cube_members_find (CubeBuilder *builder, CubeMembers *members, const char *key, gsize length);
/* @key must live as long as the builder. */
G_GNUC_INTERNAL void cube_members_append (CubeBuilder *builder, CubeMembers *members, const char *key, gsize length, CubeMut *child);
G_GNUC_INTERNAL gboolean cube_members_remove (CubeBuilder *builder, CubeMembers *members, const char *key, gsize length);
G_GNUC_INTERNAL void cube_members_compact (CubeMembers *members); /* drops the places of removed ones */
