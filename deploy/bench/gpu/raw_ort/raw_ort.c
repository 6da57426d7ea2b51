// raw_ort is ONNX Runtime alone, through its C API: the limit that the GPU bench holds sluice against.
//
//   raw_ort LIBRARY MODEL DEVICE SECONDS SPEC...
//
// LIBRARY is libonnxruntime.so, DEVICE cpu or the number of a CUDA device. A SPEC is transfer, or MODE/STREAMS/SESSIONS/ROWS:
// STREAMS threads run batches of ROWS on SESSIONS sessions for SECONDS; each Run on CUDA has a stream of its own. MODE:
//
//   pageable  ordinary host memory, Run
//   declared  pinned host memory, told to the runtime as ordinary: what onnxruntime_go's tensors can be
//   pinned    pinned host memory, told as such
//   bound     IO binding; each run binds its inputs, which copies them from pinned memory, and writes into pinned memory
//   device    IO binding of memory on the device: no copies, the upper bound
//   graph     device, replayed as a CUDA graph
//
// For each SPEC a line {"spec": SPEC, "rate": rows a second of all threads, "run_us": mean microseconds of a run}; for
// transfer GB/s of 64 MiB to and from the device, and microseconds of 128 KiB. All but graph are first compared with a
// pageable run. On cpu all memory is the CPU's and the calls are the same. An error is told on stderr, and the exit is 1.
#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "onnxruntime_c_api.h"

enum { MOST = 8, WARM_UP = 5 };

typedef struct {
	char *name;
	ONNXTensorElementDataType type;
	int64_t dims[MOST]; // dims[0] counts rows
	size_t rank, row;   // row in bytes
} Port;

typedef struct {
	OrtSession *session;
	OrtAllocator *pinned, *device;
} Session;

typedef struct {
	pthread_t thread;
	Session *s;
	OrtIoBinding *binding;
	OrtValue *in[MOST], *out[MOST];
	long runs;
	double took;
} Worker;

void transfer(int cuda, double seconds); // transfer.c

static const OrtApi *api;
static OrtEnv *env;
static OrtMemoryInfo *cpu_info, *pinned_info, *device_info;
static const char *model;
static int cuda = -1; // the device's number
static double seconds;
static Port in[MOST], out[MOST];
static size_t ins, outs;
static const char *in_names[MOST], *out_names[MOST];
static const char *mode;
static pthread_barrier_t start;

static void die(const char *what, const char *why) {
	fprintf(stderr, "raw_ort: %s: %s\n", what, why);
	exit(1);
}

static void check(OrtStatus *status, const char *what) {
	if (status) die(what, api->GetErrorMessage(status));
}
#define DO(function, ...) check(api->function(__VA_ARGS__), #function)

static int is(const char *name) { return strcmp(mode, name) == 0; }
static int on_device(void) { return is("device") || is("graph"); }

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static size_t element(ONNXTensorElementDataType t) {
	switch (t) {
	case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT:
	case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32: return 4;
	case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64: return 8;
	default: die("model", "only float32, int32 and int64 are known here"); return 0;
	}
}

static void describe(Port *p, OrtTypeInfo *info, char *name) {
	const OrtTensorTypeAndShapeInfo *shape;
	DO(CastTypeInfoToTensorInfo, info, &shape);
	DO(GetTensorElementType, shape, &p->type);
	DO(GetDimensionsCount, shape, &p->rank);
	if (p->rank < 1 || p->rank > MOST) die(name, "want 1 to 8 dimensions");
	DO(GetDimensions, shape, p->dims, p->rank);
	p->name = name;
	p->row = element(p->type);
	for (size_t d = 1; d < p->rank; d++) p->row *= p->dims[d];
	api->ReleaseTypeInfo(info);
}

static Session open_session(int graph) {
	Session s;
	OrtSessionOptions *options;
	DO(CreateSessionOptions, &options);
	DO(SetIntraOpNumThreads, options, 1);
	DO(AddSessionConfigEntry, options, "session.intra_op.allow_spinning", "0");
	if (cuda >= 0) {
		OrtCUDAProviderOptionsV2 *provider;
		char id[16];
		snprintf(id, sizeof id, "%d", cuda);
		const char *keys[] = {"device_id", "enable_cuda_graph"}, *values[] = {id, graph ? "1" : "0"};
		DO(CreateCUDAProviderOptions, &provider);
		DO(UpdateCUDAProviderOptions, provider, keys, values, 2);
		DO(SessionOptionsAppendExecutionProvider_CUDA_V2, options, provider);
		api->ReleaseCUDAProviderOptions(provider);
	}
	DO(CreateSession, env, model, options, &s.session);
	api->ReleaseSessionOptions(options);
	DO(CreateAllocator, s.session, pinned_info, &s.pinned);
	DO(CreateAllocator, s.session, device_info, &s.device);
	return s;
}

static void look_at(OrtSession *session) {
	OrtAllocator *a;
	OrtTypeInfo *info;
	char *name;
	DO(GetAllocatorWithDefaultOptions, &a);
	DO(SessionGetInputCount, session, &ins);
	DO(SessionGetOutputCount, session, &outs);
	if (ins > MOST || outs > MOST) die("model", "more than 8 inputs or outputs");
	for (size_t i = 0; i < ins; i++) {
		DO(SessionGetInputName, session, i, a, &name);
		DO(SessionGetInputTypeInfo, session, i, &info);
		describe(&in[i], info, name);
		in_names[i] = name;
	}
	for (size_t i = 0; i < outs; i++) {
		DO(SessionGetOutputName, session, i, a, &name);
		DO(SessionGetOutputTypeInfo, session, i, &info);
		describe(&out[i], info, name);
		out_names[i] = name;
	}
}

// fill makes values that a table of 1000 entries has; a mask keeps all.
static void fill(Port *p, void *data, size_t rows) {
	size_t n = rows * p->row / element(p->type);
	int mask = strstr(p->name, "mask") != NULL;
	for (size_t i = 0; i < n; i++) {
		int v = mask ? 1 : (int)(i * 7919 % 1000);
		if (p->type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64) ((int64_t *)data)[i] = v;
		else if (p->type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32) ((int32_t *)data)[i] = v;
		else ((float *)data)[i] = v / 1000.0f;
	}
}

// tensor is one of so many rows, in pinned or ordinary memory, told as such or not.
static OrtValue *tensor(Session *s, Port *p, size_t rows, int pinned, int told) {
	OrtValue *v;
	void *data = NULL;
	p->dims[0] = rows;
	if (pinned) DO(AllocatorAlloc, s->pinned, rows * p->row, &data);
	else data = malloc(rows * p->row);
	if (!data) die("memory", "none left");
	DO(CreateTensorWithDataAsOrtValue, told ? pinned_info : cpu_info, data, rows * p->row, p->dims, p->rank, p->type, &v);
	return v;
}

static void *data_of(OrtValue *v) {
	void *data;
	DO(GetTensorMutableData, v, &data);
	return data;
}

static void run(Worker *w) {
	if (is("bound")) {
		for (size_t i = 0; i < ins; i++) DO(BindInput, w->binding, in_names[i], w->in[i]); // copies
	}
	if (w->binding) DO(RunWithBinding, w->s->session, NULL, w->binding);
	else DO(Run, w->s->session, NULL, in_names, (const OrtValue *const *)w->in, ins, out_names, outs, w->out);
}

static void bind_outputs(Worker *w, OrtValue **values) {
	for (size_t i = 0; i < outs; i++) DO(BindOutput, w->binding, out_names[i], values[i]);
}

// compare holds the worker's outputs against those of a run with ordinary memory.
static void compare(Worker *w, size_t rows) {
	OrtValue *x[MOST], *y[MOST], *host[MOST];
	for (size_t i = 0; i < ins; i++) {
		x[i] = tensor(w->s, &in[i], rows, 0, 0);
		fill(&in[i], data_of(x[i]), rows);
	}
	for (size_t i = 0; i < outs; i++) {
		y[i] = tensor(w->s, &out[i], rows, 0, 0);
		host[i] = is("device") ? tensor(w->s, &out[i], rows, 0, 0) : w->out[i];
	}
	DO(Run, w->s->session, NULL, in_names, (const OrtValue *const *)x, ins, out_names, outs, y);
	if (is("device")) bind_outputs(w, host);
	run(w);
	if (is("device")) bind_outputs(w, w->out);
	for (size_t i = 0; i < outs; i++) {
		if (out[i].type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) continue;
		float *got = data_of(host[i]), *want = data_of(y[i]);
		for (size_t k = 0; k < rows * out[i].row / 4; k++) {
			if (!(fabsf(got[k] - want[k]) <= 1e-3f * (1 + fabsf(want[k])))) die(mode, "other numbers than with ordinary memory");
		}
	}
	for (size_t i = 0; i < ins; i++) {
		free(data_of(x[i]));
		api->ReleaseValue(x[i]);
	}
	for (size_t i = 0; i < outs; i++) {
		if (is("device")) {
			free(data_of(host[i]));
			api->ReleaseValue(host[i]);
		}
		free(data_of(y[i]));
		api->ReleaseValue(y[i]);
	}
}

static void prepare(Worker *w, Session *s, size_t rows) {
	int pinned = is("declared") || is("pinned") || is("bound");
	memset(w, 0, sizeof *w);
	w->s = s;
	if (is("bound") || on_device()) DO(CreateIoBinding, s->session, &w->binding);
	for (size_t i = 0; i < ins; i++) {
		w->in[i] = tensor(s, &in[i], rows, pinned, pinned && !is("declared"));
		fill(&in[i], data_of(w->in[i]), rows);
		if (on_device()) DO(BindInput, w->binding, in_names[i], w->in[i]); // copied to the device, once
	}
	for (size_t i = 0; i < outs; i++) {
		out[i].dims[0] = rows;
		if (on_device()) DO(CreateTensorAsOrtValue, s->device, out[i].dims, out[i].rank, out[i].type, &w->out[i]);
		else w->out[i] = tensor(s, &out[i], rows, pinned, pinned && !is("declared"));
	}
	if (w->binding) bind_outputs(w, w->out);
	if (!is("graph")) compare(w, rows);
	for (int i = 0; i < WARM_UP; i++) run(w);
}

static void release(Worker *w) {
	int pinned = is("declared") || is("pinned") || is("bound");
	if (w->binding) api->ReleaseIoBinding(w->binding);
	for (size_t i = 0; i < ins + outs; i++) {
		OrtValue *v = i < ins ? w->in[i] : w->out[i - ins];
		void *data = i >= ins && on_device() ? NULL : data_of(v);
		api->ReleaseValue(v);
		if (data && pinned) DO(AllocatorFree, w->s->pinned, data);
		else free(data);
	}
}

static void *work(void *arg) {
	Worker *w = arg;
	pthread_barrier_wait(&start);
	double began = now();
	do {
		run(w);
		w->runs++;
	} while ((w->took = now() - began) < seconds);
	return NULL;
}

static void measure(const char *spec) {
	static Session plain[MOST], graphs[1];
	static char name[16];
	int streams, sessions, rows;
	if (sscanf(spec, "%15[a-z]/%d/%d/%d", name, &streams, &sessions, &rows) != 4 || streams < 1 || streams > MOST || sessions < 1 || sessions > streams || rows < 1)
		die(spec, "want MODE/STREAMS/SESSIONS/ROWS");
	mode = name;
	if (!is("pageable") && !is("declared") && !is("pinned") && !is("bound") && !on_device()) die(spec, "no such mode");
	if (is("graph") && streams > 1) die(spec, "a session with CUDA graphs has one stream");
	if (is("graph") && graphs[0].session) die(spec, "a session replays its first graph whatever the rows: one a process");
	Session *all = is("graph") ? graphs : plain;
	for (int i = 0; i < sessions; i++) {
		if (!all[i].session) all[i] = open_session(is("graph"));
	}
	if (!ins) look_at(all[0].session);
	Worker workers[MOST];
	for (int i = 0; i < streams; i++) prepare(&workers[i], &all[i % sessions], rows);
	pthread_barrier_init(&start, NULL, streams);
	for (int i = 0; i < streams; i++) pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	double rate = 0, took = 0;
	long runs = 0;
	for (int i = 0; i < streams; i++) {
		pthread_join(workers[i].thread, NULL);
		rate += workers[i].runs * rows / workers[i].took;
		took += workers[i].took;
		runs += workers[i].runs;
		release(&workers[i]);
	}
	pthread_barrier_destroy(&start);
	printf("{\"spec\":\"%s\",\"rate\":%.1f,\"run_us\":%.2f}\n", spec, rate, took / runs * 1e6);
	fflush(stdout);
}

int main(int argc, char **argv) {
	if (argc < 6) die("usage", "raw_ort LIBRARY MODEL DEVICE SECONDS SPEC...");
	setenv("ORT_DISABLE_TELEMETRY", "1", 1);
	void *library = dlopen(argv[1], RTLD_LAZY);
	if (!library) die("library", dlerror());
	OrtApiBase *(*base)(void) = (OrtApiBase * (*)(void)) dlsym(library, "OrtGetApiBase");
	if (!base || !(api = base()->GetApi(ORT_API_VERSION))) die(argv[1], "too old, or no ONNX Runtime");
	model = argv[2];
	seconds = atof(argv[4]);
	DO(CreateEnv, ORT_LOGGING_LEVEL_FATAL, "raw_ort", &env);
	if (strcmp(argv[3], "cpu") != 0) cuda = atoi(argv[3]);
	int id = cuda < 0 ? 0 : cuda;
	DO(CreateMemoryInfo, "Cpu", OrtDeviceAllocator, 0, OrtMemTypeDefault, &cpu_info);
	DO(CreateMemoryInfo, cuda < 0 ? "Cpu" : "CudaPinned", OrtDeviceAllocator, id, OrtMemTypeDefault, &pinned_info);
	DO(CreateMemoryInfo, cuda < 0 ? "Cpu" : "Cuda", OrtDeviceAllocator, id, OrtMemTypeDefault, &device_info);
	for (int i = 5; i < argc; i++) {
		if (strcmp(argv[i], "transfer") == 0) transfer(cuda, seconds);
		else measure(argv[i]);
	}
	fflush(stdout);
	_exit(0); // without tearing the runtime down, which has nothing to tell
}
