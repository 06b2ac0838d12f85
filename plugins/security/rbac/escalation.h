/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Nobody grants what they do not hold: the check over writes of roles and bindings. */
#include "index.h"

/* Final object of a create or update of one of the four kinds. FALSE + CUBE_ERROR_FORBIDDEN (or NOT_FOUND for a missing role). */
gboolean escalation_check (Index *index, const CubeAdmissionRequest *request, CubeView object, GError **error);
