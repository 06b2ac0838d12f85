/* SPDX-License-Identifier: Apache-2.0 */
/* Builders: the arena, lazy nodes, packing. */
#include "builder.h"
#include "members.h"

struct CubeChunk {
  struct CubeChunk *next;
  char data[] __attribute__ ((aligned (16)));
};

#define FIRST_CHUNK 2000
#define LARGEST_CHUNK (256 * 1024)

gpointer
cube_builder_alloc (CubeBuilder *builder, gsize size)
{
  size = (size + 15) & ~(gsize) 15;
  if (G_UNLIKELY ((gsize) (builder->free_end - builder->free_at) < size))
    {
      gsize last = builder->chunks == NULL ? FIRST_CHUNK / 2 : MIN ((gsize) (builder->free_end - builder->chunks->data), LARGEST_CHUNK / 2);
      gsize room = MAX (size, last * 2);
      struct CubeChunk *chunk = g_malloc (sizeof *chunk + room);
      /* A large piece gets a chunk of its own behind the current one, whose rest stays in use. */
      if (size > LARGEST_CHUNK && builder->chunks != NULL)
        {
          chunk->next = builder->chunks->next;
          builder->chunks->next = chunk;
          return chunk->data;
        }
      chunk->next = builder->chunks;
      builder->chunks = chunk;
      builder->free_at = chunk->data;
      builder->free_end = chunk->data + room;
    }
  gpointer result = builder->free_at;
  builder->free_at += size;
  return result;
}

void
cube_builder_hold (CubeBuilder *builder, const CubeValue *doc)
{
  if (builder->docs == NULL)
    builder->docs = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_value_unref);
  if (builder->docs->len > 0 && builder->docs->pdata[builder->docs->len - 1] == doc)
    return;
  g_ptr_array_add (builder->docs, cube_value_ref ((CubeValue *) doc));
}

CubeBuilder *
cube_builder_new (void)
{
  return cube_builder_new_from (cube_view_none ());
}

CubeBuilder *
cube_builder_new_from (CubeView base)
{
  CubeBuilder *builder = g_new0 (CubeBuilder, 1);
  builder->root = cube_view_exists (base) ? cube_mut_new_view (builder, base) : cube_mut_new_object (builder);
  return builder;
}

void
cube_builder_free (CubeBuilder *builder)
{
  if (builder == NULL)
    return;
  for (struct CubeChunk *chunk = builder->chunks, *next; chunk != NULL; chunk = next)
    {
      next = chunk->next;
      g_free (chunk);
    }
  g_clear_pointer (&builder->docs, g_ptr_array_unref);
  g_free (builder);
}

CubeMut *
cube_builder_root (CubeBuilder *builder)
{
  g_return_val_if_fail (builder != NULL, NULL);
  return builder->root;
}

void
cube_builder_set_root (CubeBuilder *builder, CubeMut *root)
{
  g_return_if_fail (builder != NULL && root != NULL && root->builder == builder);
  builder->root = root;
}

CubeBuilder *
cube_mut_builder (const CubeMut *node)
{
  return node == NULL ? NULL : node->builder;
}

/* ---- packing ---- */

static void
write_members (const CubeMembers *members, CubeTapeWriter *writer)
{
  cube_tape_open (writer, CUBE_VALUE_OBJECT);
  for (guint32 i = 0; i < members->n; i++)
    {
      const CubeMember *member = &members->members[i];
      if (member->key == NULL)
        continue;
      cube_tape_key (writer, member->key, member->length);
      cube_mut_write (member->child, writer);
    }
  cube_tape_close (writer);
}

void
cube_mut_write (const CubeMut *node, CubeTapeWriter *writer)
{
  if (node->is_view)
    {
      cube_tape_view (writer, node->view);
      return;
    }
  switch (node->type)
    {
    case CUBE_VALUE_BOOL: cube_tape_bool (writer, node->integer != 0); break;
    case CUBE_VALUE_INT: cube_tape_int (writer, node->integer); break;
    case CUBE_VALUE_DOUBLE: cube_tape_double (writer, node->real); break;
    case CUBE_VALUE_STRING: cube_tape_string_value (writer, node->string.text, node->string.length); break;
    case CUBE_VALUE_ARRAY:
      cube_tape_open (writer, CUBE_VALUE_ARRAY);
      for (guint32 i = 0; i < node->array.n; i++)
        cube_mut_write (node->array.items[i], writer);
      cube_tape_close (writer);
      break;
    case CUBE_VALUE_OBJECT: write_members (node->object, writer); break;
    default: cube_tape_null (writer);
    }
}

CubeValue *
cube_mut_to_value (const CubeMut *node)
{
  g_return_val_if_fail (node != NULL, NULL);
  if (node->is_view && node->view.at == 0)
    return cube_value_ref ((CubeValue *) node->view.doc);
  g_auto (CubeTapeWriter) writer;
  cube_tape_writer_init (&writer);
  cube_mut_write (node, &writer);
  return cube_tape_writer_end (&writer);
}

CubeView
cube_mut_pack (CubeMut *node)
{
  g_return_val_if_fail (node != NULL, cube_view_none ());
  if (node->is_view)
    return node->view;
  g_autoptr (CubeValue) value = cube_mut_to_value (node);
  if (value == NULL)
    return cube_view_none ();
  cube_mut_become (node, cube_mut_new_view (node->builder, cube_value_root (value)));
  return node->view;
}

CubeValue *
cube_builder_end (CubeBuilder *builder)
{
  g_return_val_if_fail (builder != NULL, NULL);
  return cube_mut_to_value (builder->root);
}

void
cube_mut_append_json (const CubeMut *node, GString *out)
{
  if (node == NULL)
    {
      g_string_append (out, "null");
      return;
    }
  g_autoptr (CubeValue) value = cube_mut_to_value (node);
  if (value != NULL)
    cube_view_append_json (cube_value_root (value), out);
}

guint
cube_view_depth (CubeView view, guint enough)
{
  CubeIter iter;
  CubeView child;
  guint depth = 0;
  CubeValueType type = cube_view_type (view);
  if ((type != CUBE_VALUE_OBJECT && type != CUBE_VALUE_ARRAY) || enough == 0)
    return 0;
  for (cube_iter_init (&iter, view); depth < enough && cube_iter_next (&iter, NULL, &child);)
    {
      guint below = cube_view_depth (child, enough - 1); /* MAX () would call twice */
      depth = MAX (depth, below);
    }
  return depth + 1;
}

guint
cube_mut_depth (const CubeMut *node, guint enough)
{
  guint depth = 0;
  if (node == NULL || enough == 0)
    return 0;
  if (node->is_view)
    return cube_view_depth (node->view, enough);
  if (node->type == CUBE_VALUE_ARRAY)
    {
      for (guint32 i = 0; i < node->array.n && depth < enough; i++)
        {
          guint below = cube_mut_depth (node->array.items[i], enough - 1);
          depth = MAX (depth, below);
        }
      return depth + 1;
    }
  if (node->type == CUBE_VALUE_OBJECT)
    {
      for (guint32 i = 0; i < node->object->n && depth < enough; i++)
        {
          guint below = cube_mut_depth (node->object->members[i].child, enough - 1);
          depth = MAX (depth, below);
        }
      return depth + 1;
    }
  return 0;
}

static gsize
view_size (CubeView view)
{
  const CubeValue *doc = view.doc;
  gsize size = 0;
  for (guint32 at = view.at, end = cube_tape_next (doc, view.at); at < end;)
    {
      guint32 length;
      guint tag = cube_word_tag (doc->tape[at]);
      if (tag == CUBE_VALUE_STRING)
        {
          cube_tape_string (doc, at, &length);
          size += (gsize) length + 3;
        }
      else
        {
          size += 3;
        }
      at += tag == CUBE_VALUE_DOUBLE || tag == CUBE_TAG_LONG ? 2 : 1;
    }
  return size;
}

gsize
cube_mut_size (const CubeMut *node)
{
  gsize size = 3;
  if (node == NULL)
    return 0;
  if (node->is_view)
    return view_size (node->view);
  if (node->type == CUBE_VALUE_STRING)
    return node->string.length + 3;
  if (node->type == CUBE_VALUE_ARRAY)
    for (guint32 i = 0; i < node->array.n; i++)
      size += cube_mut_size (node->array.items[i]);
  if (node->type == CUBE_VALUE_OBJECT)
    for (guint32 i = 0; i < node->object->n; i++)
      size += node->object->members[i].length + 3 + cube_mut_size (node->object->members[i].child);
  return size;
}
