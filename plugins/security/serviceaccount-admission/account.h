/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "admission.h"

/* A pod's account, its token volume and its pull secrets. */

/* The name in the pod, "default" when it names none. */
const char *account_name (CubeMut *pod);
gboolean account_is_mirror (CubeMut *pod);
/* A mirror pod may have nothing of an account. */
gboolean account_check_mirror (const CubeAdmissionRequest *request, CubeMut *pod, GError **error);
void account_set_name (CubeMut *pod, const char *name);
/* @account NONE: not there yet, taken as one that says nothing. @suffix: five characters for a new volume's name. */
void account_apply (CubeMut *pod, CubeView account, const char *suffix);
