// Many callers use the pool at once while its size changes all the time; scripts/asan-kernels.sh builds it with ThreadSanitizer.
#define _GNU_SOURCE
#include "native.h"
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { CALLERS = 4, LARGEST = 6 };
static _Atomic int stop;

static void pause_for(long nanoseconds) { nanosleep(&(struct timespec){0, nanoseconds}, 0); }

static void count(void *arg, int64_t from, int64_t to) { // plain writes: two tasks must never share a place
  int *times = arg;
  for (int64_t i = from; i < to; i++) times[i]++;
  *(volatile char *)scratch(SCRATCH_TASK, (size_t)(1 + to)) = 1;
}

static void *caller(void *number) {
  unsigned seed = (unsigned)(uintptr_t)number;
  int last = (intptr_t)number == CALLERS - 1, rounds = last ? 200 : 2000; // the last one runs, with its workers, when nothing else does
  if (last && sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0})) printf("threads: no SCHED_IDLE\n"), exit(1);
  choose_threads();
  for (int round = 0; round < rounds; round++) {
    int64_t n = rand_r(&seed) % 300, grain = rand_r(&seed) % 8;
    int *times = calloc((size_t)n + 1, sizeof *times);
    parallel(count, times, n, grain);
    for (int64_t i = 0; i < n; i++)
      if (times[i] != 1) printf("threads: task %ld of %ld ran %d times\n", (long)i, (long)n, times[i]), exit(1);
    free(times);
    if (round % 64 == 0) pause_for(300000); // longer than workers spin
  }
  return 0;
}

static void *changer(void *unused) {
  (void)unused;
  unsigned seed = 7;
  while (!atomic_load(&stop)) {
    set_threads(1 + rand_r(&seed) % LARGEST);
    pause_for(rand_r(&seed) % 400000);
  }
  return 0;
}

static int alive(void) {
  int n = 0;
  DIR *tasks = opendir("/proc/self/task");
  for (struct dirent *e; tasks && (e = readdir(tasks));) n += e->d_name[0] != '.';
  if (tasks) closedir(tasks);
  return n;
}

int main(void) {
  pthread_t t[CALLERS], change;
  int before, times[1000] = {0};
  set_threads(2);
  parallel(count, times, 1000, 1); // ThreadSanitizer has a thread of its own from the first one on
  before = alive() - 1;
  pthread_create(&change, 0, changer, 0);
  for (intptr_t i = 0; i < CALLERS; i++) pthread_create(&t[i], 0, caller, (void *)(i + 1));
  for (int i = 0; i < CALLERS; i++) pthread_join(t[i], 0);
  atomic_store(&stop, 1);
  pthread_join(change, 0);
  set_threads(1);
  for (int i = 0; i < 1000 && alive() > before; i++) pause_for(10000000); // those that run when nothing else does end late
  for (int i = 0; i < 200; i++) { // as fast as it goes: those that were to end may not have looked yet
    set_threads(1);
    set_threads(LARGEST);
    parallel(count, times, 1000, 1);
  }
  for (int i = 0; i < 100 && alive() - before > LARGEST - 1; i++) pause_for(10000000); // one that ends is there a little longer
  int most = alive();
  if (most - before > LARGEST - 1) printf("threads: %d workers run; want at most %d\n", most - before, LARGEST - 1), exit(1);
  set_threads(1);
  for (int i = 0; i < 500 && alive() > before; i++) pause_for(10000000);
  if (alive() > before) printf("threads: %d workers never end\n", alive() - before), exit(1);
  set_threads(LARGEST);
  parallel(count, times, 1000, 1);
  if (alive() - before != LARGEST - 1) printf("threads: %d workers run after others ended; want %d\n", alive() - before, LARGEST - 1), exit(1);
  printf("threads: %d callers, workers up to %d\n", CALLERS, LARGEST - 1);
  return 0;
}
