/* SPDX-License-Identifier: Apache-2.0 */
/* What scoring policies share. */
#include <cube/scheduler.h>

void
cube_score_normalize (gint64 *scores, guint n_scores, gint64 max, gboolean is_reversed)
{
  gint64 highest = 0;

  for (guint i = 0; i < n_scores; i++)
    highest = MAX (highest, scores[i]);
  for (guint i = 0; i < n_scores; i++)
    {
      if (highest == 0)
        scores[i] = is_reversed ? max : scores[i];
      else
        scores[i] = is_reversed ? max - max * scores[i] / highest : max * scores[i] / highest;
    }
}
