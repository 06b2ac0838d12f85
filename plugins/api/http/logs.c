/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

void
http_run_stream (HttpCall *call)
{
  http_respond_error (call, g_error_new_literal (CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "no node agent here"));
}
