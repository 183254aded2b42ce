// The pool: a ticket says how many tasks of which round are left, and whoever takes a number runs it. Workers spin for a while after their last
// task, for the next one comes within microseconds while a step runs, and then sleep. The caller never waits for a worker that sleeps.
// There are two: threads that run when nothing else does have one of their own, whose workers inherit that, so that training beside serving
// takes no worker from it.
#define _GNU_SOURCE
#include "native.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MAX_THREADS = 256, MAX_TASKS = 1 << 16, SPIN_NANOSECONDS = 100000 };

typedef struct {
  _Atomic uint64_t ticket; // round << 32 | tasks << 16 | next
  _Atomic int64_t done;
  _Atomic int sleeping;
  char runs[MAX_THREADS]; // whether the worker with this number runs; bed is held
  int started;            // with which the workers of now were started; callers is held
  pthread_mutex_t callers, bed;
  pthread_cond_t wake;
  struct { Task task; void *arg; int64_t n, grain; } job; // changes only while no number can be taken
} Pool;

enum { POOLS = 2 };
static Pool pools[POOLS] = {
    {.callers = PTHREAD_MUTEX_INITIALIZER, .bed = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER},
    {.callers = PTHREAD_MUTEX_INITIALIZER, .bed = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER},
};
static _Atomic int wanted;         // threads, the caller among them; 0 = not known yet
static _Thread_local int of_pool; // which of them this thread uses

#ifdef SCHED_IDLE
enum { IDLE_POLICY = SCHED_IDLE };
#else
enum { IDLE_POLICY = -2 };
#endif

static inline void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static int open_tasks(uint64_t t) { return (int)(t >> 16 & 0xffff) - (int)(t & 0xffff); }

static int take(Pool *p, int64_t *i) {
  uint64_t t = atomic_load(&p->ticket);
  while (open_tasks(t) > 0)
    if (atomic_compare_exchange_weak(&p->ticket, &t, t + 1)) {
      *i = (int64_t)(t & 0xffff);
      return 1;
    }
  return 0;
}

static void work(Pool *p) {
  int64_t i;
  while (take(p, &i)) {
    int64_t from = i * p->job.grain, to = from + p->job.grain < p->job.n ? from + p->job.grain : p->job.n;
    p->job.task(p->job.arg, from, to);
    atomic_fetch_add(&p->done, 1);
  }
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int spin(Pool *p) { // until there is work, 1, or for long enough
  int64_t until = now() + SPIN_NANOSECONDS;
  do
    for (int i = 0; i < 64; i++) {
      if (open_tasks(atomic_load_explicit(&p->ticket, memory_order_acquire)) > 0) return 1;
      relax();
    }
  while (now() < until);
  return 0;
}

// rest sleeps until there is work, 1, or the worker is one too many.
static int rest(Pool *p, int number) {
  pthread_mutex_lock(&p->bed);
  atomic_fetch_add(&p->sleeping, 1);
  while (open_tasks(atomic_load(&p->ticket)) <= 0 && number < atomic_load(&wanted)) pthread_cond_wait(&p->wake, &p->bed);
  atomic_fetch_sub(&p->sleeping, 1);
  int stays = number < atomic_load(&wanted);
  if (!stays) p->runs[number] = 0; // from here on it may be started again
  pthread_mutex_unlock(&p->bed);
  return stays;
}

static void *worker(void *of) { // a place in runs of a pool
  Pool *p = pools;
  while ((char *)of < p->runs || (char *)of >= p->runs + MAX_THREADS) p++;
  int number = (int)((char *)of - p->runs);
  do
    while (number < atomic_load(&wanted) && spin(p)) work(p);
  while (rest(p, number));
  return 0;
}

static void wake_all(Pool *p) {
  pthread_mutex_lock(&p->bed);
  pthread_cond_broadcast(&p->wake);
  pthread_mutex_unlock(&p->bed);
}

static int start_worker(Pool *p, int number) {
  pthread_t t;
  if (pthread_create(&t, 0, worker, &p->runs[number])) return 0;
  pthread_detach(t);
  return 1;
}

static void start_workers(Pool *p) { // callers is held, so that wanted stays
  int n = atomic_load(&wanted);
  if (p->started == n) return;
  pthread_mutex_lock(&p->bed);
  for (int i = 1; i < n; i++)
    if (!p->runs[i] && !(p->runs[i] = (char)start_worker(p, i))) break; // fewer threads compute the same
  p->started = n;
  pthread_mutex_unlock(&p->bed);
}

void choose_threads(void) { of_pool = sched_getscheduler(0) == IDLE_POLICY; }

int threads(void) {
  int n = atomic_load(&wanted);
  if (n > 0) return n;
  n = (int)sysconf(_SC_NPROCESSORS_ONLN);
  return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n;
}

void set_threads(int n) {
  for (Pool *p = pools; p < pools + POOLS; p++) pthread_mutex_lock(&p->callers);
  atomic_store(&wanted, n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n);
  for (Pool *p = pools; p < pools + POOLS; p++) {
    p->started = 0;
    wake_all(p); // those that are too many end
    pthread_mutex_unlock(&p->callers);
  }
}

void parallel(Task task, void *arg, int64_t n, int64_t grain) {
  if (n <= 0) return;
  if (grain < 1) grain = 1;
  if ((n + grain - 1) / grain >= MAX_TASKS) grain = n / (MAX_TASKS / 2) + 1;
  int64_t tasks = (n + grain - 1) / grain;
  Pool *p = &pools[of_pool];
  if (tasks == 1 || threads() == 1 || pthread_mutex_trylock(&p->callers)) {
    task(arg, 0, n);
    return;
  }
  int unknown = 0;
  atomic_compare_exchange_strong(&wanted, &unknown, threads());
  start_workers(p);
  p->job.task = task, p->job.arg = arg, p->job.n = n, p->job.grain = grain;
  atomic_store(&p->done, 0);
  uint64_t round = (atomic_load(&p->ticket) >> 32) + 1;
  atomic_store(&p->ticket, round << 32 | (uint64_t)tasks << 16);
  if (atomic_load(&p->sleeping) > 0) wake_all(p);
  work(p);
  while (atomic_load_explicit(&p->done, memory_order_acquire) < tasks) relax();
  pthread_mutex_unlock(&p->callers);
}

typedef struct { void *at; size_t bytes; } Kept;
static _Thread_local Kept kept[SCRATCHES];
static _Thread_local int kept_known;
static pthread_key_t kept_key;
static pthread_once_t kept_once = PTHREAD_ONCE_INIT;

static void drop_kept(void *of) {
  for (int i = 0; i < SCRATCHES; i++) free(((Kept *)of)[i].at);
}

static void make_kept_key(void) {
  if (pthread_key_create(&kept_key, drop_kept)) abort();
}

void *scratch(int slot, size_t bytes) {
  if (bytes > kept[slot].bytes) {
    if (!kept_known) { // what a thread keeps goes when it ends
      pthread_once(&kept_once, make_kept_key);
      kept_known = !pthread_setspecific(kept_key, kept);
    }
    free(kept[slot].at);
    kept[slot].bytes = (bytes + bytes / 2 + 4095) & ~(size_t)4095;
    kept[slot].at = aligned_alloc(64, kept[slot].bytes);
    if (!kept[slot].at) abort(); // the kernel promises memory; when it does not, nothing can go on
  }
  return kept[slot].at;
}
