/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Failpoints: named places where a test build (-Dfailpoints=true, libfiu) fails or dies on purpose. In other builds the macro is FALSE and costs
 * nothing.
 *
 * The environment variable CUBE_FAILPOINTS says which: NAME=ACTION[:PROBABILITY], several separated by spaces. ACTION is fail or kill (SIGKILL),
 * PROBABILITY from 0 to 1 (1 when left out), a NAME that ends with * stands for all that begin so.
 *   CUBE_FAILPOINTS="sqlite/commit=fail:0.2 cri/RunPodSandbox/after=kill:0.01" cube up */
#include <cube/types.h>
CUBE_BEGIN_DECLS

/* TRUE: the caller acts as if what follows had failed. Any thread. In a build without failpoints always FALSE. */
CUBE_EXPORT gboolean cube_failpoint_hit (const char *name);

#ifdef CUBE_FAILPOINTS
#define CUBE_FAILPOINT(name) cube_failpoint_hit (name)
#else
#define CUBE_FAILPOINT(name) (FALSE)
#endif

CUBE_END_DECLS
