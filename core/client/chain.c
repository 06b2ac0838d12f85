/* SPDX-License-Identifier: Apache-2.0 */
#include "chain.h"

/* What every ops struct of a chain begins with. */
typedef struct {
  guint32 ops_size;
  int order;
} ChainOps;

/* One cached chain a kind: a process has one registry. Another registry (tests) replaces it. */
static struct {
  GMutex lock;
  CubeChain *chain;
} caches[CUBE_CHAIN_N];

const char *
cube_chain_interface (CubeChainKind kind)
{
  static const char *const names[] = { CUBE_AUTHENTICATOR, CUBE_AUTHORIZER, CUBE_ADMISSION };

  return names[kind];
}

static CubeChain *
chain_ref (CubeChain *chain)
{
  g_atomic_int_inc (&chain->ref_count);
  return chain;
}

void
cube_chain_unref (CubeChain *chain)
{
  if (chain == NULL || !g_atomic_int_dec_and_test (&chain->ref_count))
    return;
  for (guint i = 0; i < chain->n; i++)
    cube_impl_unref (chain->impls[i]);
  g_free (chain);
}

static int
compare_order (gconstpointer a, gconstpointer b)
{
  const CubeImpl *one = *(const CubeImpl *const *) a, *two = *(const CubeImpl *const *) b;
  int order_one = ((const ChainOps *) one->ops)->order, order_two = ((const ChainOps *) two->ops)->order;

  if (order_one != order_two)
    return order_one < order_two ? -1 : 1;
  return strcmp (one->id, two->id);
}

static CubeChain *
build_chain (CubeRegistry *registry, CubeChainKind kind, guint64 generation)
{
  GPtrArray *impls = cube_registry_list (registry, cube_chain_interface (kind));
  CubeChain *chain;

  g_ptr_array_sort (impls, compare_order);
  chain = g_malloc0 (sizeof *chain + impls->len * sizeof chain->impls[0]);
  chain->ref_count = 1;
  chain->registry = registry;
  chain->generation = generation;
  chain->n = impls->len;
  for (guint i = 0; i < impls->len; i++)
    chain->impls[i] = cube_impl_ref (impls->pdata[i]);
  g_ptr_array_unref (impls);
  return chain;
}

CubeChain *
cube_chain_get (CubeRegistry *registry, CubeChainKind kind)
{
  CubeChain *chain, *stale = NULL;
  guint64 generation;

  g_mutex_lock (&caches[kind].lock);
  chain = caches[kind].chain;
  chain = chain != NULL && chain->registry == registry ? chain_ref (chain) : NULL;
  g_mutex_unlock (&caches[kind].lock);
  if (chain != NULL)
    return chain;

  generation = cube_registry_generation (registry, cube_chain_interface (kind));
  chain = build_chain (registry, kind, generation);
  g_mutex_lock (&caches[kind].lock);
  stale = caches[kind].chain;
  caches[kind].chain = chain_ref (chain);
  g_mutex_unlock (&caches[kind].lock);
  cube_chain_unref (stale);
  /* Changed while it was built: the watch may have fired before there was something to forget. */
  if (cube_registry_generation (registry, cube_chain_interface (kind)) != generation)
    cube_chain_forget (registry, kind);
  return chain;
}

void
cube_chain_forget (CubeRegistry *registry, CubeChainKind kind)
{
  CubeChain *stale = NULL;

  g_mutex_lock (&caches[kind].lock);
  if (caches[kind].chain != NULL && caches[kind].chain->registry == registry)
    stale = g_steal_pointer (&caches[kind].chain);
  g_mutex_unlock (&caches[kind].lock);
  cube_chain_unref (stale);
}
