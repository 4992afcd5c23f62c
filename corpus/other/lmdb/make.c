/* make FILE COUNT [m]: writes an LMDB file as lib/cyrusdb_lmdb.c of Cyrus 3.0 does: one file, the unnamed database, one
 * transaction a change; with m in the order of mailboxes. cc make.c -llmdb */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static MDB_env *env;

static void check(int r, const char *key)
{
    if (r) {
        fprintf(stderr, "%s: %s\n", key, mdb_strerror(r));
        exit(1);
    }
}

static int rank(unsigned char c)
{
    if (c == '\t' || c == '\n') return 1;
    if (c == '.') return 2;
    return c >= 1 && c <= 8 ? c + 2 : c;
}

static int mailbox_order(const MDB_val *a, const MDB_val *b)
{
    const unsigned char *x = a->mv_data, *y = b->mv_data;
    size_t i, len = a->mv_size < b->mv_size ? a->mv_size : b->mv_size;
    for (i = 0; i < len; i++)
        if (rank(x[i]) != rank(y[i])) return rank(x[i]) - rank(y[i]);
    return a->mv_size < b->mv_size ? -1 : a->mv_size > b->mv_size;
}

static int mailboxes;

static void change(const char *key, const char *value)
{
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val k = { strlen(key), (void *) key };
    check(mdb_txn_begin(env, NULL, 0, &txn), key);
    check(mdb_dbi_open(txn, NULL, MDB_CREATE, &dbi), key);
    if (mailboxes) check(mdb_set_compare(txn, dbi, mailbox_order), key);
    if (value) {
        MDB_val v = { strlen(value), (void *) value };
        check(mdb_put(txn, dbi, &k, &v, 0), key);
    } else {
        check(mdb_del(txn, dbi, &k, NULL), key);
    }
    check(mdb_txn_commit(txn), key);
}

static void name(char *key, int i, int count)
{
    static const char *const forms[] = { "user.u%03d", "user.u%03d.Sent", "user.u%03d-x" };
    sprintf(key, forms[i % 3], i * 37 % count);
}

int main(int argc, char **argv)
{
    char key[100], value[9000];
    int i, count = atoi(argv[2]);
    mailboxes = argc > 3;
    check(mdb_env_create(&env), argv[1]);
    check(mdb_env_set_mapsize(env, 1 << 20), argv[1]);
    check(mdb_env_open(env, argv[1], MDB_NOSUBDIR, 0644), argv[1]);
    for (i = 0; i < count; i++) {
        name(key, i, count);
        sprintf(value, "%%(A %%(u%03d lrswipkxtecda) I %08x F P default)", i, i * 2654435761u);
        change(key, value);
    }
    change("user.gone", "0 default gone\tlrs\t");
    change("user.zz", "%(T e)");
    change("user.zz-2", "%(T e)");
    change("user.zz.sub", "%(T e)");
    change("user.empty", "");
    if (count > 50) {
        strcpy(value, "%(A %(");
        for (i = 0; i < 400; i++) sprintf(value + strlen(value), "%sgroup:g%03d lrs", i ? " " : "", i);
        strcat(value, ") P default)");
        change("user.long", value);
    }
    for (i = 0; i < count; i += 3) {
        name(key, i, count);
        sprintf(value, "%%(A %%(u%03d lrs) T r S be%d P default)", i, i);
        change(key, i % 2 ? NULL : value);
    }
    change("user.zz", "%(T d)");
    change("user.gone", NULL);
    mdb_env_close(env);
    return 0;
}
