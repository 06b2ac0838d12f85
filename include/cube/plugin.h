/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The plugin ABI. A plugin is a shared object that exports one symbol, `cube_plugin_descriptor`, made by CUBE_PLUGIN_DEFINE.
 * See docs/plugins.md. Plain C structs, append only; every struct has its size in front. */
#include <cube/context.h>
#include <cube/error.h>
CUBE_BEGIN_DECLS

#define CUBE_ABI_MAJOR 1 /* a plugin of another major is refused */
#define CUBE_ABI_MINOR 1 /* older and newer minors load */

typedef struct {            /* one entry per capability offered */
  const char *interface;    /* "cube.scheduler.Score" */
  guint32 version;          /* CUBE_<INTERFACE>_VERSION the plugin was built against */
  guint32 ops_size;         /* sizeof the ops struct at build time, bytes */
  const char *id;           /* "binpack"; unique per interface */
  gconstpointer ops;        /* the ops struct; every function's first argument is the plugin's state */
} CubeInterfaceImpl;

typedef struct {
  guint32 struct_size;
  guint16 abi_major, abi_minor; /* filled by CUBE_PLUGIN_DEFINE */
  const char *name, *version, *description, *license;
  const CubeInterfaceImpl *impls; /* ends with interface == NULL */
  /* (nullable: no state) Before the store is live: read configuration, allocate. @ret_state is passed to every op. Main thread; may block briefly. */
  gboolean (*load) (CubeContext *context, gpointer *ret_state, GError **error);
  gboolean (*start) (gpointer state, GError **error); /* (nullable) the client works from here. Main thread */
  void (*stop) (gpointer state);                      /* (nullable) no callback runs after it returns. Main thread */
  void (*unload) (gpointer state);                    /* (nullable) frees the state */
  /* (nullable) The configuration's schema: "key type default description" lines, type one of string int bool duration quantity
   * string-list object; unknown keys in the configuration are refused. NULL = no configuration accepted. */
  const char *config_schema;
  /* It holds what a second one beside it would not know of (addresses given out, a device): while it runs its file is not replaced. Others,
   * components and the storage in use aside, are: the new one loads, starts and takes over, the old one stops when the last call has ended. */
  gboolean is_kept;
} CubePluginDescriptor;

#ifdef CUBE_PLUGIN_BUILTIN
#define CUBE_PLUGIN_PASTE_(a, b) a##b
#define CUBE_PLUGIN_PASTE(a, b) CUBE_PLUGIN_PASTE_ (a, b)
#define CUBE_PLUGIN_SYMBOL CUBE_PLUGIN_PASTE (cube_plugin_, CUBE_PLUGIN_BUILTIN)
#else
#define CUBE_PLUGIN_SYMBOL cube_plugin_descriptor
#endif
/* CUBE_PLUGIN_DEFINE (.name = "x", .version = "1", .description = "…", .license = "Apache-2.0", .impls = impls, .load = load …); */
#define CUBE_PLUGIN_DEFINE(...)                                                                              \
  CUBE_EXPORT extern const CubePluginDescriptor CUBE_PLUGIN_SYMBOL;                                          \
  const CubePluginDescriptor CUBE_PLUGIN_SYMBOL = { .struct_size = sizeof (CubePluginDescriptor),            \
    .abi_major = CUBE_ABI_MAJOR, .abi_minor = CUBE_ABI_MINOR, __VA_ARGS__ }
/* CUBE_IMPL ("cube.scheduler.Score", CUBE_SCORE_VERSION, "binpack", score_ops) */
#define CUBE_IMPL(interface_, version_, id_, ops_) { interface_, version_, sizeof (ops_), id_, &(ops_) }

/* ---- the registry: who implements what. Any thread. ---- */
typedef struct {
  const char *interface, *id, *plugin;
  gconstpointer ops;   /* cast to the interface's ops struct; its ops_size tells how far it reaches */
  gpointer state;
  CubeContext *context; /* the implementing plugin's, for cube_context_add_time */
} CubeImpl;
/* The implementation @id of @interface, kept usable until cube_impl_unref: a plugin is stopped only once nobody holds it… callers hold it
 * for the length of a call or listen with cube_registry_watch. NULL if there is none (or it was stopped). (transfer full) */
CUBE_EXPORT const CubeImpl *cube_registry_lookup (CubeRegistry *registry, const char *interface, const char *id);
CUBE_EXPORT GPtrArray *cube_registry_list (CubeRegistry *registry, const char *interface); /* (transfer full) (element-type CubeImpl) in order of id */
CUBE_EXPORT const CubeImpl *cube_impl_ref (const CubeImpl *impl);
CUBE_EXPORT void cube_impl_unref (const CubeImpl *impl);
/* Calls @changed on @loop after implementations of @interface came or went. Before a plugin's stop() the watchers have run (on their loops) and
 * dropped their references. (transfer full): cube_registry_unwatch */
typedef struct _CubeRegistryWatch CubeRegistryWatch;
CUBE_EXPORT CubeRegistryWatch *cube_registry_watch (CubeRegistry *registry, const char *interface, CubeLoop *loop, CubeTask changed, gpointer data);
CUBE_EXPORT void cube_registry_unwatch (CubeRegistryWatch *watch);
/* A generation that grows with every change of @interface: cheap to poll per cycle. */
CUBE_EXPORT guint64 cube_registry_generation (CubeRegistry *registry, const char *interface);

/* ---- cube.Component: a part that lives as long as a role is active in this process ---- */
#define CUBE_COMPONENT "cube.Component"
#define CUBE_COMPONENT_VERSION 1
typedef struct {
  guint32 ops_size;
  const char *role;  /* "api", "controllers", "scheduler", "node", or "" = always */
  /* Main thread, after every plugin's start(). @order: lower first (api 10, controllers 20, scheduler 30, node 40). */
  int order;
  gboolean (*start) (gpointer state, GError **error);
  void (*stop) (gpointer state);
  gboolean (*is_ready) (gpointer state, char **ret_why); /* (nullable) part of `up`'s wait and of /readyz; @ret_why (transfer full): what it waits for */
} CubeComponentOps;
CUBE_END_DECLS
