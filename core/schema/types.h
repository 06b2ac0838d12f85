/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The compiled form of types, private to core/schema: flat arrays joined by indices and offsets into one string pool, so that the
 * built-in ones (made by gen-schema.py) lie in read-only memory without relocations. A CustomResourceDefinition compiles to a table of
 * the same form (crd-compile.c). Index 0 and offset 0 mean "none" throughout. */
#include "schema-ops.h"
#include <cube/scalar.h>
#include <string.h>

typedef enum {
  CUBE_SHAPE_NONE = 0,
  CUBE_SHAPE_STRING,
  CUBE_SHAPE_INT32,
  CUBE_SHAPE_INT64,
  CUBE_SHAPE_BOOL,
  CUBE_SHAPE_DOUBLE,
  CUBE_SHAPE_BYTES, /* base64 text */
  CUBE_SHAPE_QUANTITY,
  CUBE_SHAPE_INT_OR_STRING,
  CUBE_SHAPE_TIME,
  CUBE_SHAPE_MICROTIME,
  CUBE_SHAPE_DURATION,
  CUBE_SHAPE_OBJECT, /* any object, kept as it is */
  CUBE_SHAPE_ANY,    /* any value, kept as it is */
  CUBE_SHAPE_LIST,   /* of shape `ref` */
  CUBE_SHAPE_MAP,    /* string → shape `ref` */
  CUBE_SHAPE_REF,    /* the object type `ref` of this table */
  CUBE_SHAPE_BUILTIN_REF, /* custom tables: the object type `ref` of the built-in table */
  CUBE_SHAPE_SCHEMA_OR_BOOL, CUBE_SHAPE_SCHEMA_OR_ARRAY, CUBE_SHAPE_SCHEMA_OR_STRINGS, /* of JSONSchemaProps; `ref` is that type */
  CUBE_SHAPE_N
} CubeShapeKind;

/* of shapes, custom tables only */
#define CUBE_SHAPE_FLAG_NULLABLE 1u
#define CUBE_SHAPE_FLAG_PRESERVE 2u /* x-kubernetes-preserve-unknown-fields */
#define CUBE_SHAPE_FLAG_EMBEDDED 4u /* x-kubernetes-embedded-resource */

typedef struct {
  guint8 kind, flags;
  guint16 ref;
  guint16 constraint; /* of custom tables */
} CubeShape;

#define CUBE_FIELD_REQUIRED 0x0001u
#define CUBE_FIELD_ALWAYS 0x0002u  /* written to JSON even when zero */
#define CUBE_FIELD_POINTER 0x0004u /* unset and zero differ */
#define CUBE_FIELD_PATCH_MERGE 0x0008u
#define CUBE_FIELD_PATCH_REPLACE 0x0010u
#define CUBE_FIELD_RETAIN_KEYS 0x0020u
#define CUBE_FIELD_LIST_ATOMIC 0x0040u
#define CUBE_FIELD_LIST_SET 0x0080u
#define CUBE_FIELD_LIST_MAP 0x0100u
#define CUBE_FIELD_MAP_ATOMIC 0x0200u
#define CUBE_FIELD_DISCRIMINATOR 0x0400u
#define CUBE_FIELD_OPEN_ENUM 0x0800u /* the values are for the documents only: not enforced by the structural validation */
#define CUBE_FIELD_IMMUTABLE 0x1000u
#define CUBE_FIELD_MINIMUM 0x2000u   /* `minimum` holds */
#define CUBE_FIELD_STRUCT 0x4000u    /* a struct by value: always present in output */
#define CUBE_FIELD_DOCUMENTED 0x8000u /* required in the documents only */

typedef struct {
  guint32 name;
  guint32 default_json; /* JSON text */
  guint32 merge_key;    /* patches */
  guint32 list_keys;    /* apply: comma-separated; 0 unless LIST_MAP */
  guint32 enums;        /* strings one after the other, ends with "\001" */
  guint32 gate;         /* feature gates, comma-separated */
  gint32 minimum;
  guint16 shape;
  guint16 flags;
  guint16 format;      /* CubeFormat */
  guint8 proto[3];     /* protobuf field number; [1] != 0: nested in message [0], [2] != 0: in [0] and [1] */
  guint8 name_length;
} CubeField;

#define CUBE_TYPE_MAP_ATOMIC 1u
#define CUBE_TYPE_HAS_DEFAULTS 2u /* itself or something below it */
#define CUBE_TYPE_PRESERVE 4u     /* keeps unknown fields */
#define CUBE_TYPE_HAS_RULES 8u    /* structural validation: itself or something below it */

typedef struct {
  guint32 name; /* "apps/v1.DeploymentSpec" */
  guint32 gvk;  /* "apps/v1/Deployment"; 0 = not a kind */
  guint32 slots;
  guint16 first_field, n_fields;
  guint16 slot_mask;
  guint8 flags;
  guint8 default_hook; /* CubeDefaultHook */
} CubeType;

/* What a JSON schema of a CustomResourceDefinition says beyond its shape (crd-compile.c). */
typedef struct _CubeConstraint CubeConstraint;

struct _CubeTypeTable {
  const char *pool;
  const CubeType *types;
  const CubeField *fields;
  const CubeShape *shapes;
  const guint16 *slots; /* per type an open-addressing table of field number + 1 */
  const CubeConstraint *constraints; /* NULL in the built-in table */
  guint n_types, n_fields, n_shapes;
};
typedef struct _CubeTypeTable CubeTypeTable;

/* What the strategies of a resource do; `strategy` line of the schema files. */
#define CUBE_STRATEGY_STATUS 0x01u            /* has a status of its own door */
#define CUBE_STRATEGY_STATUS_ON_CREATE 0x02u  /* … which a create may set */
#define CUBE_STRATEGY_STATUS_KEEPS_LABELS 0x04u
#define CUBE_STRATEGY_STATUS_KEEPS_METADATA 0x08u
#define CUBE_STRATEGY_UPDATE_KEEPS_SPEC 0x10u
#define CUBE_STRATEGY_CREATE_ON_UPDATE 0x20u
#define CUBE_STRATEGY_UNCONDITIONAL 0x40u

typedef enum { CUBE_NAME_DNS_SUBDOMAIN = 0, CUBE_NAME_DNS_LABEL, CUBE_NAME_PATH_SEGMENT } CubeNameRule;

typedef struct {
  const CubeTypeTable *table;
  guint16 type;
  guint16 strategy;
  guint8 create_hook, update_hook;       /* CubeStrategyHook */
  guint8 name_rule;                      /* CubeNameRule */
  const char *generation;                /* what raises metadata.generation: NULL = has none, "" = constant 1, "spec,metadata.annotations", "*" */
  const char *const *selectable;         /* NULL-terminated; custom: spec.selectableFields */
  const char *const *cells;              /* beside CubeResource.columns */
  const guint16 *subresource_types;      /* beside CubeResource.subresources; of @table; 0 = a built-in one by kind */
  const char *scale_spec, *scale_status, *scale_selector; /* custom: JSON paths; NULL = none */
  gpointer custom;                       /* CubeCustom */
} CubeResourceType;

typedef struct {
  const char *name;
  const char *const *versions; /* preferred first */
} CubeGroup;

extern const CubeTypeTable cube_builtin_types G_GNUC_INTERNAL;
extern const CubeResource *const cube_builtin_resources[] G_GNUC_INTERNAL; /* discovery order, NULL-terminated */
extern const CubeGroup cube_builtin_groups[] G_GNUC_INTERNAL;              /* ends with name == NULL */

static inline const CubeResourceType *
cube_resource_type (const CubeResource *resource)
{
  return resource->type;
}

static inline const char *
cube_pool (const CubeTypeTable *table, guint32 at)
{
  return at == 0 ? NULL : table->pool + at;
}

/* gen-schema.py computes the same. */
static inline guint32
cube_key_hash (const char *key, gsize length)
{
  guint64 head = 0, tail = 0;
  if (length >= 8) {
    memcpy (&head, key, 8);
    memcpy (&tail, key + length - 8, 8);
  } else {
    for (gsize i = 0; i < length; i++)
      head |= (guint64) (guint8) key[i] << (8 * i);
    tail = head;
  }
  head = GUINT64_FROM_LE (head);
  tail = length >= 8 ? GUINT64_FROM_LE (tail) : head;
  guint64 mix = (head * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15)) ^ (tail * G_GUINT64_CONSTANT (0xc2b2ae3d27d4eb4f)) ^ length;
  mix *= G_GUINT64_CONSTANT (0xff51afd7ed558ccd);
  return (guint32) (mix >> 32);
}

static inline const CubeField *
cube_type_find (const CubeTypeTable *table, const CubeType *type, const char *key, gsize length)
{
  if (type->n_fields == 0)
    return NULL;
  const guint16 *slots = table->slots + type->slots;
  for (guint32 at = cube_key_hash (key, length) & type->slot_mask; slots[at] != 0; at = (at + 1) & type->slot_mask) {
    const CubeField *field = &table->fields[type->first_field + slots[at] - 1];
    if (field->name_length == (guint8) length && memcmp (table->pool + field->name, key, length) == 0 &&
        table->pool[field->name + length] == '\0')
      return field;
  }
  return NULL;
}

/* The shape that refers to object type @type; 0 = nothing does. */
G_GNUC_INTERNAL guint16 cube_type_shape (const CubeTypeTable *table, guint16 type);
/* The built-in type of a name such as "meta/v1.DeleteOptions"; 0 = none. */
G_GNUC_INTERNAL guint16 cube_builtin_type_index (const char *name);
/* The type of the body of @subresource ("" or NULL = the object itself). */
G_GNUC_INTERNAL const CubeType *cube_resource_body_type (const CubeResource *resource, const char *subresource, const CubeTypeTable **ret_table);

/* Dotted path with list elements and map keys, as Kubernetes prints it; a linked list on the stack while walking. */
typedef struct _CubePath CubePath;
struct _CubePath {
  const CubePath *parent;
  const char *name; /* NULL: an index */
  guint index;
  gboolean is_key;  /* name is a map key: printed as [name] */
};
G_GNUC_INTERNAL char *cube_path_to_string (const CubePath *path);
