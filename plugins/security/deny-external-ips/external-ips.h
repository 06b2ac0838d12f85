/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "admission.h"

/* FALSE + CUBE_ERROR_FORBIDDEN when @service names an external address the old one does not. */
gboolean external_ips_check (const CubeAdmissionRequest *request, CubeView service, GError **error);
