/* SPDX-License-Identifier: Apache-2.0 */
/* Leader election by a Lease, with Kubernetes' rules: the holder renews every 2 s and steps down when it could not for 10 s; the others watch the record
 * and take over when it stood still for 15 s by their own clock. */
#include "client-private.h"

#define LEASE_SECONDS 15
#define RENEW_DEADLINE_US (10 * G_USEC_PER_SEC)
#define RETRY_US (2 * G_USEC_PER_SEC)

struct _CubeElection {
  gint ref_count;
  CubeContext *context;
  CubeClient *client;
  const CubeResource *leases;
  char *ns, *name, *identity;
  CubeLoop *loop;
  CubeTask started, stopped;
  gpointer data;
  CubeTimer *timer;
  gint is_leader; /* atomic */
  gboolean is_freed, is_busy;
  gint64 renewed_at; /* monotonic: our last successful write */
  /* the record as last seen, and when it last changed */
  guint64 seen_revision;
  gint64 seen_at;
  gboolean was_written; /* the answer of a worker to the loop */
};

static void
election_unref (CubeElection *election)
{
  if (!g_atomic_int_dec_and_test (&election->ref_count))
    return;
  cube_client_unref (election->client);
  g_free (election->ns);
  g_free (election->name);
  g_free (election->identity);
  g_free (election);
}

/* ---- on a worker ---- */

static void
fill_spec (CubeElection *election, CubeMut *root, gboolean is_release)
{
  CubeMut *spec = cube_mut_ensure (root, "spec");
  const char *holder = cube_mut_string (cube_mut_member (spec, "holderIdentity"));
  gint64 transitions = cube_mut_int (cube_mut_member (spec, "leaseTransitions"), 0);
  gboolean is_new = cube_mut_member (spec, "holderIdentity") == NULL;
  char now[40];

  cube_time_format_micro (cube_context_now_us (election->context), now);
  if (g_strcmp0 (holder, election->identity) != 0)
    {
      cube_mut_set_string (spec, "acquireTime", now);
      cube_mut_set_int (spec, "leaseTransitions", is_new ? transitions : transitions + 1);
    }
  cube_mut_set_string (spec, "holderIdentity", is_release ? "" : election->identity);
  cube_mut_set_int (spec, "leaseDurationSeconds", is_release ? 1 : LEASE_SECONDS);
  cube_mut_set_string (spec, "renewTime", now);
}

static gboolean
create_lease (CubeElection *election)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  g_autoptr (CubeValue) value = NULL;
  g_autoptr (CubeObject) made = NULL;

  cube_mut_set_string (root, "apiVersion", election->leases->api_version);
  cube_mut_set_string (root, "kind", "Lease");
  cube_mut_set_string (cube_mut_ensure (root, "metadata"), "name", election->name);
  cube_mut_set_string (cube_mut_ensure (root, "metadata"), "namespace", election->ns);
  fill_spec (election, root, FALSE);
  value = cube_builder_end (builder);
  made = cube_client_create (election->client, election->leases, election->ns, value, NULL);
  return made != NULL;
}

static gboolean
write_lease (CubeElection *election, CubeView lease, gboolean is_release)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (lease);
  g_autoptr (CubeValue) value = NULL;
  g_autoptr (CubeObject) written = NULL;

  fill_spec (election, cube_builder_root (builder), is_release);
  value = cube_builder_end (builder);
  written = cube_client_update (election->client, election->leases, NULL, election->ns, election->name, value, NULL);
  return written != NULL;
}

/* Is the record somebody else's and alive? Judged by how long it stood still here, never by its own times: clocks differ. */
static gboolean
is_held_by_other (CubeElection *election, CubeObject *lease, CubeView view)
{
  const char *holder = cube_view_get_string (view, "spec", "holderIdentity");
  gint64 duration = cube_view_get_int (view, LEASE_SECONDS, "spec", "leaseDurationSeconds");
  gint64 now = cube_context_monotonic_us (election->context);

  if (election->seen_at == 0 || election->seen_revision != cube_object_revision (lease))
    {
      election->seen_revision = cube_object_revision (lease);
      election->seen_at = now;
    }
  if (holder == NULL || *holder == '\0' || g_str_equal (holder, election->identity))
    return FALSE;
  return election->seen_at + duration * G_USEC_PER_SEC > now;
}

static void
work (gpointer data)
{
  CubeElection *election = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeObject) lease = cube_client_get (election->client, election->leases, election->ns, election->name, &error);
  g_autoptr (CubeValue) value = NULL;

  election->was_written = FALSE;
  if (lease == NULL)
    {
      election->was_written = g_error_matches (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND) && create_lease (election);
      return;
    }
  value = cube_object_value (lease);
  if (!is_held_by_other (election, lease, cube_value_root (value)))
    election->was_written = write_lease (election, cube_value_root (value), FALSE);
}

/* ---- on the loop ---- */

static void on_timer (gpointer data);

static void
set_leader (CubeElection *election, gboolean is_leader)
{
  if (g_atomic_int_get (&election->is_leader) == is_leader)
    return;
  g_atomic_int_set (&election->is_leader, is_leader);
  g_info ("lease %s/%s: %s %s", election->ns, election->name, election->identity, is_leader ? "became leader" : "stopped leading");
  if (is_leader)
    election->started (election->data);
  else
    election->stopped (election->data);
}

static void
on_worked (gpointer data)
{
  CubeElection *election = data;
  gint64 now = cube_context_monotonic_us (election->context), wait = RETRY_US;

  election->is_busy = FALSE;
  if (!election->is_freed)
    {
      if (election->was_written)
        election->renewed_at = now;
      else if (!g_atomic_int_get (&election->is_leader))
        wait += (gint64) (cube_context_random (election->context) % (guint64) (RETRY_US * 12 / 10)); /* the others do not come at once */
      election->timer = cube_loop_after (election->loop, wait, on_timer, election, NULL);
      if (election->was_written)
        set_leader (election, TRUE);
      else if (now - election->renewed_at >= RENEW_DEADLINE_US)
        set_leader (election, FALSE);
    }
  election_unref (election);
}

static void
begin (CubeElection *election)
{
  election->is_busy = TRUE;
  g_atomic_int_inc (&election->ref_count);
  cube_context_run_blocking (election->context, work, election->loop, on_worked, election);
}

static void
on_timer (gpointer data)
{
  CubeElection *election = data;

  g_clear_pointer (&election->timer, cube_timer_cancel);
  begin (election);
}

CubeElection *
cube_election_new (CubeContext *context, CubeClient *client, const char *ns, const char *name, const char *identity, CubeLoop *loop,
                   CubeTask started, CubeTask stopped, gpointer data)
{
  CubeElection *election = g_new0 (CubeElection, 1);

  election->ref_count = 1;
  election->context = context;
  election->client = cube_client_ref (client);
  election->leases = cube_schema_resource (cube_client_schema (client), "coordination.k8s.io/v1", "leases");
  election->ns = g_strdup (ns);
  election->name = g_strdup (name);
  election->identity = g_strdup (identity);
  election->loop = loop;
  election->started = started;
  election->stopped = stopped;
  election->data = data;
  if (election->leases != NULL)
    election->timer = cube_loop_after (loop, 0, on_timer, election, NULL);
  else
    g_warning ("election %s/%s: resource leases of coordination.k8s.io/v1 is not served", ns, name);
  return election;
}

gboolean
cube_election_is_leader (CubeElection *election)
{
  return g_atomic_int_get (&election->is_leader);
}

/* The lease goes back at once, so that another need not wait it out. */
static void
release (CubeElection *election)
{
  g_autoptr (CubeObject) lease = cube_client_get (election->client, election->leases, election->ns, election->name, NULL);
  g_autoptr (CubeValue) value = lease != NULL ? cube_object_value (lease) : NULL;

  if (value != NULL && g_strcmp0 (cube_view_string (cube_value_get (value, "spec", "holderIdentity")), election->identity) == 0)
    write_lease (election, cube_value_root (value), TRUE);
}

void
cube_election_free (CubeElection *election)
{
  if (election == NULL)
    return;
  cube_timer_cancel (election->timer);
  election->is_freed = TRUE;
  if (g_atomic_int_get (&election->is_leader))
    release (election);
  g_atomic_int_set (&election->is_leader, FALSE);
  election_unref (election);
}
