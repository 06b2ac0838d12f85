/* SPDX-License-Identifier: Apache-2.0 */
#include "batch.h"
#include <arpa/inet.h>
#include <cube/error.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_MAX 48000 /* a nested attribute's length has 16 bits */

struct _NftBatch {
  char *table;
  GByteArray *bytes;
  guint32 next_seq;
  int fd; /* -1 = none; kept: closing one waits for what its transactions freed (10 to 20 ms) */
  /* the message under way */
  char *set; /* NULL = none */
  guint type;
  gsize message_at, list_at, last_at;
};

/* ---- bytes ---- */

static void
put (GByteArray *bytes, gconstpointer data, guint size)
{
  static const guint8 zeros[4] = { 0 };

  g_byte_array_append (bytes, data, size);
  if (size % 4 != 0)
    g_byte_array_append (bytes, zeros, 4 - size % 4);
}

static void
put_attribute (GByteArray *bytes, guint type, gconstpointer data, guint size)
{
  struct nlattr attribute = { .nla_len = (guint16) (sizeof attribute + size), .nla_type = (guint16) type };

  put (bytes, &attribute, sizeof attribute);
  put (bytes, data, size);
}

static gsize
open_nest (GByteArray *bytes, guint type)
{
  struct nlattr attribute = { .nla_type = (guint16) (type | NLA_F_NESTED) };
  gsize at = bytes->len;

  put (bytes, &attribute, sizeof attribute);
  return at;
}

static void
close_nest (GByteArray *bytes, gsize at)
{
  struct nlattr *attribute = (void *) (bytes->data + at);

  attribute->nla_len = (guint16) (bytes->len - at);
}

static gsize
open_message (NftBatch *batch, guint type, guint family, guint resource, guint flags)
{
  struct nlmsghdr header = { .nlmsg_type = (guint16) type,
                             .nlmsg_flags = (guint16) (NLM_F_REQUEST | flags),
                             .nlmsg_seq = batch->next_seq++ };
  struct nfgenmsg generic = { .nfgen_family = (guint8) family, .version = NFNETLINK_V0, .res_id = htons ((guint16) resource) };
  gsize at = batch->bytes->len;

  put (batch->bytes, &header, sizeof header);
  put (batch->bytes, &generic, sizeof generic);
  return at;
}

static void
close_message (NftBatch *batch, gsize at)
{
  struct nlmsghdr *header = (void *) (batch->bytes->data + at);

  header->nlmsg_len = (guint32) (batch->bytes->len - at);
}

/* ---- elements ---- */

NftBatch *
nft_batch_new (const char *table)
{
  NftBatch *batch = g_new0 (NftBatch, 1);

  batch->table = g_strdup (table);
  batch->bytes = g_byte_array_new ();
  batch->fd = -1;
  return batch;
}

void
nft_batch_free (NftBatch *batch)
{
  if (batch->fd >= 0)
    close (batch->fd);
  g_byte_array_unref (batch->bytes);
  g_free (batch->table);
  g_free (batch->set);
  g_free (batch);
}

static void
end_list (NftBatch *batch)
{
  if (batch->set == NULL)
    return;
  close_nest (batch->bytes, batch->list_at);
  close_message (batch, batch->message_at);
  g_clear_pointer (&batch->set, g_free);
}

static void
begin_message (NftBatch *batch, guint type, const char *set, guint flags)
{
  if (batch->bytes->len == 0)
    close_message (batch, open_message (batch, NFNL_MSG_BATCH_BEGIN, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, 0));
  batch->message_at = batch->last_at = open_message (batch, (NFNL_SUBSYS_NFTABLES << 8) | type, NFPROTO_IPV4, 0, flags);
  put_attribute (batch->bytes, NFTA_SET_ELEM_LIST_TABLE, batch->table, (guint) strlen (batch->table) + 1);
  put_attribute (batch->bytes, NFTA_SET_ELEM_LIST_SET, set, (guint) strlen (set) + 1);
}

static void
begin_list (NftBatch *batch, guint type, const char *set)
{
  if (batch->set != NULL && batch->type == type && g_str_equal (batch->set, set) && batch->bytes->len - batch->message_at < MESSAGE_MAX)
    return;
  end_list (batch);
  begin_message (batch, type, set, type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0);
  batch->list_at = open_nest (batch->bytes, NFTA_SET_ELEM_LIST_ELEMENTS);
  batch->set = g_strdup (set);
  batch->type = type;
}

static void
put_key (GByteArray *bytes, guint type, gconstpointer key, guint size)
{
  gsize at = open_nest (bytes, type);

  put_attribute (bytes, NFTA_DATA_VALUE, key, size);
  close_nest (bytes, at);
}

static void
add_verdict (NftBatch *batch, const char *map, gconstpointer key, guint key_size, gint32 verdict, const char *chain)
{
  guint32 code = htonl ((guint32) verdict);
  gsize element, data, nest;

  begin_list (batch, NFT_MSG_NEWSETELEM, map);
  element = open_nest (batch->bytes, NFTA_LIST_ELEM);
  put_key (batch->bytes, NFTA_SET_ELEM_KEY, key, key_size);
  data = open_nest (batch->bytes, NFTA_SET_ELEM_DATA);
  nest = open_nest (batch->bytes, NFTA_DATA_VERDICT);
  put_attribute (batch->bytes, NFTA_VERDICT_CODE, &code, sizeof code);
  if (chain != NULL)
    put_attribute (batch->bytes, NFTA_VERDICT_CHAIN, chain, (guint) strlen (chain) + 1);
  close_nest (batch->bytes, nest);
  close_nest (batch->bytes, data);
  close_nest (batch->bytes, element);
}

void
nft_batch_add (NftBatch *batch, const char *set, gconstpointer key, guint key_size, gconstpointer data, guint data_size)
{
  gsize element;

  begin_list (batch, NFT_MSG_NEWSETELEM, set);
  element = open_nest (batch->bytes, NFTA_LIST_ELEM);
  put_key (batch->bytes, NFTA_SET_ELEM_KEY, key, key_size);
  if (data != NULL)
    put_key (batch->bytes, NFTA_SET_ELEM_DATA, data, data_size);
  close_nest (batch->bytes, element);
}

void
nft_batch_add_range (NftBatch *batch, const char *set, gconstpointer key, gconstpointer key_end, guint key_size)
{
  gsize element;

  begin_list (batch, NFT_MSG_NEWSETELEM, set);
  element = open_nest (batch->bytes, NFTA_LIST_ELEM);
  put_key (batch->bytes, NFTA_SET_ELEM_KEY, key, key_size);
  put_key (batch->bytes, NFTA_SET_ELEM_KEY_END, key_end, key_size);
  close_nest (batch->bytes, element);
}

void
nft_batch_add_goto (NftBatch *batch, const char *map, gconstpointer key, guint key_size, const char *chain)
{
  add_verdict (batch, map, key, key_size, NFT_GOTO, chain);
}

void
nft_batch_add_drop (NftBatch *batch, const char *map, gconstpointer key, guint key_size)
{
  add_verdict (batch, map, key, key_size, NF_DROP, NULL);
}

void
nft_batch_delete (NftBatch *batch, const char *set, gconstpointer key, gconstpointer key_end, guint key_size)
{
  gsize element;

  begin_list (batch, NFT_MSG_DELSETELEM, set);
  element = open_nest (batch->bytes, NFTA_LIST_ELEM);
  put_key (batch->bytes, NFTA_SET_ELEM_KEY, key, key_size);
  if (key_end != NULL)
    put_key (batch->bytes, NFTA_SET_ELEM_KEY_END, key_end, key_size);
  close_nest (batch->bytes, element);
}

void
nft_batch_flush (NftBatch *batch, const char *set)
{
  end_list (batch);
  begin_message (batch, NFT_MSG_DELSETELEM, set, 0);
  close_message (batch, batch->message_at);
}

gboolean
nft_batch_is_empty (NftBatch *batch)
{
  return batch->bytes->len == 0;
}

/* ---- the transaction ---- */

/* A socket with room for @size bytes in one message. */
static gboolean
open_socket (NftBatch *batch, gsize size, GError **error)
{
  struct sockaddr_nl address = { .nl_family = AF_NETLINK };
  int room = (int) MAX (size * 2, 1 << 20);
  gboolean is_bound = batch->fd >= 0;

  if (is_bound && size < 1 << 19)
    return TRUE;
  if (!is_bound)
    batch->fd = socket (AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  if (batch->fd < 0 || (!is_bound && bind (batch->fd, (struct sockaddr *) &address, sizeof address) != 0))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "packet rules: netlink socket: %s", g_strerror (errno));
      return FALSE;
    }
  if (setsockopt (batch->fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) != 0)
    (void) setsockopt (batch->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  return TRUE;
}

/* The first complaint in @length bytes of answers; @ret_is_done when the last message's own answer is among them. 0 = none. */
static int
read_answers (const guint8 *data, gssize length, guint32 last_seq, gboolean *ret_is_done, guint32 *ret_seq)
{
  int failure = 0;

  for (const struct nlmsghdr *header = (const void *) data; NLMSG_OK (header, length); header = NLMSG_NEXT (header, length))
    {
      const struct nlmsgerr *answer = NLMSG_DATA (header);

      if (header->nlmsg_type != NLMSG_ERROR)
        continue;
      if (header->nlmsg_seq == last_seq)
        *ret_is_done = TRUE;
      if (answer->error != 0 && failure == 0)
        {
          failure = -answer->error;
          *ret_seq = header->nlmsg_seq;
        }
    }
  return failure;
}

/* The kernel has worked when sendmsg returns: all answers lie ready. */
static gboolean
collect (int fd, guint32 last_seq, GError **error)
{
  g_autofree guint8 *buffer = g_malloc (65536);
  gboolean is_done = FALSE;
  guint32 seq = 0;
  int failure = 0;

  for (;;)
    {
      gssize n = recv (fd, buffer, 65536, MSG_DONTWAIT);
      int one;

      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        break;
      one = read_answers (buffer, n, last_seq, &is_done, &seq);
      failure = failure != 0 ? failure : one;
    }
  if (failure == 0 && is_done)
    return TRUE;
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "packet rules: message %u of %u: %s", seq, last_seq,
               failure != 0 ? g_strerror (failure) : "the kernel did not answer");
  return FALSE;
}

static gboolean
send_all (NftBatch *batch, guint32 last_seq, GError **error)
{
  struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
  gssize sent;

  if (!open_socket (batch, batch->bytes->len, error))
    return FALSE;
  do
    sent = sendto (batch->fd, batch->bytes->data, batch->bytes->len, 0, (struct sockaddr *) &kernel, sizeof kernel);
  while (sent < 0 && errno == EINTR);
  if (sent >= 0)
    return collect (batch->fd, last_seq, error);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "packet rules: %u bytes to the kernel: %s", batch->bytes->len, g_strerror (errno));
  return FALSE;
}

gboolean
nft_batch_commit (NftBatch *batch, GError **error)
{
  struct nlmsghdr *last;
  guint32 last_seq;
  gboolean is_committed;

  if (batch->bytes->len == 0)
    return TRUE;
  end_list (batch);
  last = (void *) (batch->bytes->data + batch->last_at);
  last->nlmsg_flags |= NLM_F_ACK;
  last_seq = last->nlmsg_seq;
  close_message (batch, open_message (batch, NFNL_MSG_BATCH_END, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, 0));
  is_committed = send_all (batch, last_seq, error);
  if (!is_committed && batch->fd >= 0)
    {
      close (batch->fd); /* whatever else lies in it belongs to this failure */
      batch->fd = -1;
    }
  g_byte_array_set_size (batch->bytes, 0);
  return is_committed;
}
