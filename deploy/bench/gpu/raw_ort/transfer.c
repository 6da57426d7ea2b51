// transfer measures copies to and from a CUDA device, pinned and pageable; on the CPU between two places of memory.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void transfer(int cuda, double seconds);

static void die(const char *why) {
	fprintf(stderr, "raw_ort: transfer: %s\n", why);
	exit(1);
}

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

// CUDA's runtime, which the provider has loaded; on the CPU memcpy stands for it.
static int cpu_malloc(void **p, size_t n) { return !(*p = malloc(n)); }
static int cpu_copy(void *to, const void *from, size_t n, int kind) {
	(void)kind;
	memcpy(to, from, n);
	return 0;
}

static double copy_time(double seconds, int (*copy)(void *, const void *, size_t, int), void *to, void *from, size_t n, int kind) {
	int times = 0;
	double began = 0, took = 0;
	for (int i = -2; i < 1 || took < seconds / 5; i++) { // two do not count
		if (i == 0) began = now();
		if (copy(to, from, n, kind)) die("the copy failed");
		if (i >= 0) times++, took = now() - began;
	}
	return took / times;
}

void transfer(int cuda, double seconds) {
	const size_t large = 64 << 20, small = 128 << 10;
	int (*get_device)(void **, size_t) = cpu_malloc, (*get_host)(void **, size_t) = cpu_malloc;
	int (*copy)(void *, const void *, size_t, int) = cpu_copy;
	if (cuda >= 0) {
		void *h = dlopen("libcudart.so.13", RTLD_LAZY);
		if (!h) die(dlerror());
		int (*set)(int) = (int (*)(int))dlsym(h, "cudaSetDevice");
		get_device = (int (*)(void **, size_t))dlsym(h, "cudaMalloc");
		get_host = (int (*)(void **, size_t))dlsym(h, "cudaMallocHost");
		copy = (int (*)(void *, const void *, size_t, int))dlsym(h, "cudaMemcpy");
		if (!set || !get_device || !get_host || !copy || set(cuda)) die("the CUDA runtime does not answer");
	}
	void *device, *pinned, *pageable = malloc(large);
	if (!pageable || get_device(&device, large) || get_host(&pinned, large)) die("no memory");
	memset(pinned, 1, large);
	memset(pageable, 1, large);
	enum { to = 1, from = 2 }; // cudaMemcpyKind
	struct { const char *name; void *to, *from; size_t n; int kind; } all[] = {
		{"pinned_to", device, pinned, large, to}, {"pinned_from", pinned, device, large, from},
		{"pageable_to", device, pageable, large, to}, {"pageable_from", pageable, device, large, from},
		{"small_pinned_us", device, pinned, small, to}, {"small_pageable_us", device, pageable, small, to},
	};
	printf("{\"spec\":\"transfer\"");
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		double s = copy_time(seconds, copy, all[i].to, all[i].from, all[i].n, all[i].kind);
		printf(",\"%s\":%.2f", all[i].name, all[i].n == small ? s * 1e6 : large / s / 1e9);
	}
	printf("}\n");
	fflush(stdout); // the memory goes with the process
}
