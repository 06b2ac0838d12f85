/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics in Prometheus' text format: counters, gauges, histograms of seconds. */
#include <cube/context.h>
#include <string.h>

typedef enum { COUNTER, GAUGE, HISTOGRAM } Kind;
static const char *const kind_names[] = { "counter", "gauge", "histogram" };
static const double bounds[] = { 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30 };
#define N_BOUNDS G_N_ELEMENTS (bounds)

typedef struct {
  double value; /* a histogram's sum */
  guint64 count;
  guint64 *buckets;
} Series;

typedef struct {
  Kind kind;
  GHashTable *series; /* labels ("" = none) → Series */
} Family;

static GMutex lock;
static GHashTable *families; /* name → Family */

static void
series_free (gpointer data)
{
  Series *series = data;
  g_free (series->buckets);
  g_free (series);
}

static Series *
get_series (const char *name, const char *labels, Kind kind)
{
  if (families == NULL)
    families = g_hash_table_new (g_str_hash, g_str_equal);
  Family *family = g_hash_table_lookup (families, name);
  if (family == NULL)
    {
      family = g_new0 (Family, 1);
      family->kind = kind;
      family->series = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, series_free);
      g_hash_table_insert (families, g_strdup (name), family);
    }
  if (labels == NULL)
    labels = "";
  Series *series = g_hash_table_lookup (family->series, labels);
  if (series == NULL)
    {
      series = g_new0 (Series, 1);
      if (family->kind == HISTOGRAM)
        series->buckets = g_new0 (guint64, N_BOUNDS);
      g_hash_table_insert (family->series, g_strdup (labels), series);
    }
  return series;
}

void
cube_metric_add (const char *name, const char *labels, double delta)
{
  g_mutex_lock (&lock);
  get_series (name, labels, COUNTER)->value += delta;
  g_mutex_unlock (&lock);
}

void
cube_metric_set (const char *name, const char *labels, double value)
{
  g_mutex_lock (&lock);
  get_series (name, labels, GAUGE)->value = value;
  g_mutex_unlock (&lock);
}

void
cube_metric_observe (const char *name, const char *labels, double seconds)
{
  g_mutex_lock (&lock);
  Series *series = get_series (name, labels, HISTOGRAM);
  series->value += seconds;
  series->count++;
  for (guint i = 0; series->buckets != NULL && i < N_BOUNDS; i++)
    if (seconds <= bounds[i])
      {
        series->buckets[i]++;
        break;
      }
  g_mutex_unlock (&lock);
}

static void
append_number (GString *out, double value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  g_string_append (out, g_ascii_formatd (text, sizeof text, "%.15g", value));
}

static void
append_histogram (GString *out, const char *name, const char *labels, const Series *series)
{
  const char *comma = *labels != '\0' ? "," : "";
  guint64 total = 0;
  for (guint i = 0; i < N_BOUNDS; i++)
    {
      total += series->buckets[i];
      g_string_append_printf (out, "%s_bucket{%s%sle=\"", name, labels, comma);
      append_number (out, bounds[i]);
      g_string_append_printf (out, "\"} %" G_GUINT64_FORMAT "\n", total);
    }
  g_string_append_printf (out, "%s_bucket{%s%sle=\"+Inf\"} %" G_GUINT64_FORMAT "\n", name, labels, comma, series->count);
  g_string_append_printf (out, *labels != '\0' ? "%s_sum{%s} " : "%s_sum%s ", name, labels);
  append_number (out, series->value);
  g_string_append_printf (out, *labels != '\0' ? "\n%s_count{%s} " : "\n%s_count%s ", name, labels);
  g_string_append_printf (out, "%" G_GUINT64_FORMAT "\n", series->count);
}

static void
append_family (GString *out, const char *name, const Family *family)
{
  g_string_append_printf (out, "# TYPE %s %s\n", name, kind_names[family->kind]);
  g_autoptr (GList) keys = g_list_sort (g_hash_table_get_keys (family->series), (GCompareFunc) strcmp);
  for (GList *l = keys; l != NULL; l = l->next)
    {
      const char *labels = l->data;
      const Series *series = g_hash_table_lookup (family->series, labels);
      if (family->kind == HISTOGRAM)
        {
          append_histogram (out, name, labels, series);
          continue;
        }
      g_string_append_printf (out, *labels != '\0' ? "%s{%s} " : "%s%s ", name, labels);
      append_number (out, series->value);
      g_string_append_c (out, '\n');
    }
}

void
cube_metrics_dump (GString *out)
{
  g_mutex_lock (&lock);
  g_autoptr (GList) names = families != NULL ? g_list_sort (g_hash_table_get_keys (families), (GCompareFunc) strcmp) : NULL;
  for (GList *l = names; l != NULL; l = l->next)
    append_family (out, l->data, g_hash_table_lookup (families, l->data));
  g_mutex_unlock (&lock);
}
