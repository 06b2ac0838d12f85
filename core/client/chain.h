/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: the ordered implementations of an interface, cached until they change, so that a request costs no registry lock. */
#include "client-private.h"

typedef enum { CUBE_CHAIN_AUTHENTICATORS = 0, CUBE_CHAIN_AUTHORIZERS, CUBE_CHAIN_ADMISSION, CUBE_CHAIN_N } CubeChainKind;

typedef struct {
  gint ref_count;
  CubeRegistry *registry;
  guint64 generation;
  guint n;
  const CubeImpl *impls[]; /* by (order, id) */
} CubeChain;

const char *cube_chain_interface (CubeChainKind kind);
CubeChain *cube_chain_get (CubeRegistry *registry, CubeChainKind kind); /* (transfer full) */
void cube_chain_unref (CubeChain *chain);
/* Drops the cached chain, so that a plugin that is about to stop is held by running calls only. */
void cube_chain_forget (CubeRegistry *registry, CubeChainKind kind);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CubeChain, cube_chain_unref)

/* The first ALLOW or DENY of the authorizers; NO_OPINION when there is none, with every reason given. */
CubeDecision cube_authorize_decide (CubeRegistry *registry, const CubeAttributes *attributes, char **ret_reason);
