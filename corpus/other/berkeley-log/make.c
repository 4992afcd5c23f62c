/* make FOLDER btree|hash COUNT CHECKPOINT PAGESIZE: a Berkeley DB environment as lib/cyrusdb_berkeley.c of Cyrus 2.1 to 2.5 uses
 * it, one transaction a change, left without a checkpoint but the one after CHECKPOINT changes (0 for none), as a server
 * that dies leaves it. cc make.c -ldb */
#include <db.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static DB_ENV *env;
static DB *db;

static void check(int r, const char *key)
{
    if (r) {
        fprintf(stderr, "%s: %s\n", key, db_strerror(r));
        exit(1);
    }
}

/* value NULL deletes */
static void change(const char *key, const char *value, int commit)
{
    DB_TXN *txn;
    DBT k, v;
    memset(&k, 0, sizeof k);
    memset(&v, 0, sizeof v);
    k.data = (void *) key;
    k.size = strlen(key);
    check(env->txn_begin(env, NULL, &txn, 0), key);
    if (value) {
        v.data = (void *) value;
        v.size = strlen(value);
        check(db->put(db, txn, &k, &v, 0), key);
    } else {
        check(db->del(db, txn, &k, 0), key);
    }
    check(commit ? txn->commit(txn, 0) : txn->abort(txn), key);
}

int main(int argc, char **argv)
{
    char key[100], value[8000];
    int i, count = atoi(argv[3]), checkpoint = atoi(argv[4]);
    DBTYPE type = strcmp(argv[2], "hash") ? DB_BTREE : DB_HASH;
    check(db_env_create(&env, 0), "environment");
    check(env->open(env, argv[1], DB_INIT_LOCK | DB_INIT_MPOOL | DB_INIT_LOG | DB_INIT_TXN | DB_CREATE, 0644), argv[1]);
    check(db_create(&db, env, 0), "database");
    check(db->set_pagesize(db, atoi(argv[5])), "page size");
    check(db->open(db, NULL, "mailboxes.db", NULL, type, DB_CREATE | DB_AUTO_COMMIT, 0664), "mailboxes.db");
    for (i = 0; i < count; i++) {
        sprintf(key, "user.u%03d", i * 37 % count);
        sprintf(value, "0 default u%03d\tlrswipkxtecda\tanyone\tlrs\t", i);
        change(key, value, 1);
        if (checkpoint && i == checkpoint) check(env->txn_checkpoint(env, 0, 0, DB_FORCE), "checkpoint");
    }
    for (i = 0; i < count; i += 7) {
        sprintf(key, "user.u%03d", i);
        sprintf(value, "1 be%d.example.org!default u%03d\tlrs\t", i, i);
        change(key, value, 1);
    }
    for (i = 0; i < count; i += 5) {
        sprintf(key, "user.u%03d", i);
        change(key, NULL, 1);
    }
    change("user.aborted", "0 default never\tl\t", 0);
    strcpy(value, "0 default ");
    for (i = 0; i < 400; i++) sprintf(value + strlen(value), "g%03d\tlrs\t", i);
    change("user.long", value, 1);
    for (i = 0; i < count; i += 10) {
        sprintf(key, "user.u%03d", i);
        sprintf(value, "0 default again%03d\tlrs\t", i);
        change(key, value, 1);
    }
    check(env->log_flush(env, NULL), "log");
    _exit(0);
}
