/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Basic declarations every public header shares. C11, GLib only; usable from C++. */
#include <glib.h>

/* Marks a symbol that leaves libcube; everything else is hidden. */
#define CUBE_EXPORT __attribute__ ((visibility ("default")))

#ifdef __cplusplus
#define CUBE_BEGIN_DECLS extern "C" {
#define CUBE_END_DECLS }
#else
#define CUBE_BEGIN_DECLS
#define CUBE_END_DECLS
#endif

/* An optional member of an ops struct is called only when the struct the plugin was built with reaches it
 * and it is set. Every ops struct starts with `guint32 ops_size`. */
#define CUBE_OPS_HAS(ops, member)                                                                            \
  ((ops)->ops_size >= G_STRUCT_OFFSET (__typeof__ (*(ops)), member) + sizeof ((ops)->member) && (ops)->member != NULL)

typedef struct _CubeValue CubeValue;     /* value.h: an immutable JSON document */
typedef struct _CubeBuilder CubeBuilder; /* value.h: a document being changed */
typedef struct _CubeMut CubeMut;         /* value.h: a node of it */
typedef struct _CubeObject CubeObject;   /* object.h: an immutable API object */
typedef struct _CubeSelector CubeSelector; /* selector.h */
typedef struct _CubeSchema CubeSchema;   /* schema.h: all types and resources */
typedef struct _CubeResource CubeResource; /* schema.h: one served resource */
typedef struct _CubeContext CubeContext; /* context.h: what a plugin may use of the process */
typedef struct _CubeLoop CubeLoop;       /* context.h: a serial executor with timers */
typedef struct _CubeTimer CubeTimer;     /* context.h */
typedef struct _CubeRegistry CubeRegistry; /* plugin.h */
typedef struct _CubeClient CubeClient;   /* client.h */
typedef struct _CubeUser CubeUser;       /* auth.h */
