/* SPDX-License-Identifier: Apache-2.0 */
#include "members.h"

#define INDEX_FROM 16

CubeMembers *
cube_members_new (CubeBuilder *builder, guint size)
{
  CubeMembers *members = cube_builder_alloc (builder, sizeof *members);
  memset (members, 0, sizeof *members);
  if (size > 0)
    {
      members->members = cube_builder_alloc (builder, size * sizeof *members->members);
      members->size = size;
    }
  return members;
}

static guint32
hash_key (const char *key, gsize length)
{
  return (guint32) cube_bytes_hash (key, length, cube_hash_seed ());
}

static gboolean
is_key (const CubeMember *member, const char *key, gsize length)
{
  return member->key != NULL && member->length == length && memcmp (member->key, key, length) == 0;
}

static void
index_insert (CubeMembers *members, guint32 place)
{
  guint32 mask = members->index_size - 1, at = members->members[place].hash & mask;
  while (members->index[at] != 0)
    at = (at + 1) & mask;
  members->index[at] = place + 1;
}

static void
make_index (CubeBuilder *builder, CubeMembers *members)
{
  guint32 size = 64;
  while (size < members->size * 2)
    size *= 2;
  if (members->index_size < size || members->index == NULL)
    {
      members->index = cube_builder_alloc (builder, size * sizeof (guint32));
      members->index_size = size;
    }
  memset (members->index, 0, members->index_size * sizeof (guint32));
  for (guint32 i = 0; i < members->n; i++)
    {
      CubeMember *member = &members->members[i];
      if (member->key != NULL)
        {
          member->hash = hash_key (member->key, member->length);
          index_insert (members, i);
        }
    }
}

CubeMember *
cube_members_find (CubeBuilder *builder, CubeMembers *members, const char *key, gsize length)
{
  if (members->n <= INDEX_FROM)
    {
      for (guint32 i = members->n; i > 0; i--)
        if (is_key (&members->members[i - 1], key, length))
          return &members->members[i - 1];
      return NULL;
    }
  if (members->index == NULL)
    make_index (builder, members);
  /* Of duplicates the later one was inserted later, so it lies further along the probe. */
  guint32 mask = members->index_size - 1, hash = hash_key (key, length);
  CubeMember *found = NULL;
  for (guint32 at = hash & mask; members->index[at] != 0; at = (at + 1) & mask)
    {
      CubeMember *member = &members->members[members->index[at] - 1];
      if (member->hash == hash && is_key (member, key, length))
        found = member;
    }
  return found;
}

static void
grow (CubeBuilder *builder, CubeMembers *members)
{
  if (members->n_removed > members->n / 2)
    cube_members_compact (members);
  if (members->n < members->size)
    return;
  guint32 size = MAX (4, members->size * 2);
  CubeMember *grown = cube_builder_alloc (builder, size * sizeof *grown);
  if (members->n > 0)
    memcpy (grown, members->members, members->n * sizeof *grown);
  members->members = grown;
  members->size = size;
  members->index = NULL;
  members->index_size = 0;
}

void
cube_members_append (CubeBuilder *builder, CubeMembers *members, const char *key, gsize length, CubeMut *child)
{
  if (members->n == members->size)
    grow (builder, members);
  CubeMember *member = &members->members[members->n++];
  member->key = key;
  member->length = (guint32) length;
  member->child = child;
  member->hash = 0;
  if (members->index != NULL)
    {
      member->hash = hash_key (key, length);
      index_insert (members, members->n - 1);
    }
}

gboolean
cube_members_remove (CubeBuilder *builder, CubeMembers *members, const char *key, gsize length)
{
  gboolean was_there = FALSE;
  CubeMember *member;
  while ((member = cube_members_find (builder, members, key, length)) != NULL)
    {
      member->key = NULL;
      member->child = NULL;
      members->n_removed++;
      was_there = TRUE;
    }
  while (members->n > 0 && members->members[members->n - 1].key == NULL && members->index == NULL)
    {
      members->n--;
      members->n_removed--;
    }
  return was_there;
}

void
cube_members_compact (CubeMembers *members)
{
  guint32 kept = 0;
  if (members->n_removed == 0)
    return;
  for (guint32 i = 0; i < members->n; i++)
    if (members->members[i].key != NULL)
      members->members[kept++] = members->members[i];
  members->n = kept;
  members->n_removed = 0;
  if (members->index == NULL)
    return;
  memset (members->index, 0, members->index_size * sizeof (guint32));
  for (guint32 i = 0; i < members->n; i++)
    index_insert (members, i);
}
