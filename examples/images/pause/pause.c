/* The first process of a pod: it holds the pod's namespaces open and does nothing else.
 *
 * Ignored SIGCHLD makes the kernel collect the orphans of a pod with a shared process
 * namespace. SIGTERM and SIGINT end it; as process 1 it has to ask for them. */
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static void
leave (int signal_number)
{
  (void) signal_number;
  _exit (0);
}

int
main (void)
{
  struct sigaction end = { .sa_handler = leave };

  sigaction (SIGTERM, &end, NULL);
  sigaction (SIGINT, &end, NULL);
  signal (SIGCHLD, SIG_IGN);
  for (;;)
    pause ();
}
