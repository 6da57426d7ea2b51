package onnx

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// The runtime's C API is a table of functions to which versions only append, so
// that a place in it is as good as a name. The binding's header, which has the
// names, cannot be included from another module; TestPlacesInTheRuntimesTable
// holds these against it.
enum {
	getErrorMessage = 2, createMemoryInfo = 68, allocatorAlloc = 75, allocatorFree = 76, releaseStatus = 93,
	releaseMemoryInfo = 94, createAllocator = 131, releaseAllocator = 132, getKeyValue = 297,
	releaseKeyValuePairs = 300, allocatorGetStats = 319,
};
enum { deviceAllocator = 0, memTypeDefault = 0 }; // OrtAllocatorType, OrtMemType

typedef const void *const *table;
typedef struct { table (*getApi)(uint32_t); const char *(*version)(void); } apiBase;
#define CALL(api, place, result, ...) ((result (*)(__VA_ARGS__))(api)[place])

// message turns a status into text for the caller to free; NULL stays NULL.
static char *message(table api, void *status) {
	if (!status) return NULL;
	char *text = strdup(CALL(api, getErrorMessage, const char *, void *)(status));
	CALL(api, releaseStatus, void, void *)(status);
	return text;
}

// openTable finds the table of the library that the binding has loaded.
static table openTable(const char *library, uint32_t version) {
	void *handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
	if (!handle) return NULL;
	apiBase *(*base)(void) = (apiBase *(*)(void))dlsym(handle, "OrtGetApiBase");
	table api = base ? base()->getApi(version) : NULL;
	dlclose(handle); // the binding's own handle keeps it
	return api;
}

static char *openAllocator(table api, void *session, const char *memory, int device, void **allocator) {
	void *info = NULL;
	char *text = message(api, CALL(api, createMemoryInfo, void *, const char *, int, int, int, void **)(
		memory, deviceAllocator, device, memTypeDefault, &info));
	if (text) return text;
	text = message(api, CALL(api, createAllocator, void *, void *, void *, void **)(session, info, allocator));
	CALL(api, releaseMemoryInfo, void, void *)(info);
	return text;
}

static char *allocate(table api, void *allocator, size_t size, void **mem) {
	return message(api, CALL(api, allocatorAlloc, void *, void *, size_t, void **)(allocator, size, mem));
}

static char *release(table api, void *allocator, void *mem) {
	return message(api, CALL(api, allocatorFree, void *, void *, void *)(allocator, mem));
}

static void closeAllocator(table api, void *allocator) { CALL(api, releaseAllocator, void, void *)(allocator); }

// inUse is the bytes that the allocator has given out, -1 where it does not count.
static char *inUse(table api, void *allocator, int64_t *bytes) {
	void *stats = NULL;
	char *text = message(api, CALL(api, allocatorGetStats, void *, void *, void **)(allocator, &stats));
	if (text) return text;
	const char *value = CALL(api, getKeyValue, const char *, void *, const char *)(stats, "InUse");
	*bytes = value ? atoll(value) : -1;
	CALL(api, releaseKeyValuePairs, void, void *)(stats);
	return NULL;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"
)

// apiVersion of the table: the binding's own.
const apiVersion = 26

// The runtime's names of memory that the CPU can use.
const (
	memoryCPU    = "Cpu"
	memoryPinned = "CudaPinned"
)

// hostAllocator gives memory of one of the runtime's allocators for a session,
// which the binding cannot. On a GPU this is pinned memory: the device reads and
// writes it by itself, while pageable memory is copied once more, by the driver,
// with the calling thread waiting. It goes when it was closed and all its blocks
// were freed, also after its session. Safe for concurrent use.
type hostAllocator struct {
	table C.table

	mu        sync.Mutex
	allocator unsafe.Pointer
	blocks    int // given out
	closed    bool
}

// newHostAllocator makes one of a session's allocator for that memory of that
// device. It fails where the session's providers have no such memory.
func newHostAllocator(s *ort.DynamicAdvancedSession, memory string, deviceID int) (*hostAllocator, error) {
	session, err := sessionPointer(s)
	if err != nil {
		return nil, err
	}
	library := C.CString(libraryPath())
	defer C.free(unsafe.Pointer(library))
	table := C.openTable(library, apiVersion)
	if table == nil {
		return nil, errors.New("the loaded runtime does not show its C API")
	}
	name := C.CString(memory)
	defer C.free(unsafe.Pointer(name))
	a := &hostAllocator{table: table}
	if text := C.openAllocator(table, session, name, C.int(deviceID), &a.allocator); text != nil { //nolint:gocritic // of what cgo makes of &
		return nil, fmt.Errorf("open the allocator of %s memory: %w", memory, runtimeError(text))
	}
	return a, nil
}

// sessionPointer is the C session in the binding's Go one, which has no way to
// give it. By the names of the fields: another layout is an error, not a crash.
func sessionPointer(s *ort.DynamicAdvancedSession) (unsafe.Pointer, error) {
	inner := reflect.ValueOf(s).Elem().FieldByName("s")
	if inner.Kind() == reflect.Pointer && !inner.IsNil() && inner.Elem().Kind() == reflect.Struct {
		if field := inner.Elem().FieldByName("ortSession"); field.Kind() == reflect.Pointer && !field.IsNil() {
			return field.UnsafePointer(), nil
		}
	}
	return nil, errors.New("this version of onnxruntime_go keeps its session elsewhere")
}

// alloc returns size bytes, more than 0, with any contents.
func (a *hostAllocator) alloc(size int) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, ErrClosed
	}
	var mem unsafe.Pointer
	if text := C.allocate(a.table, a.allocator, C.size_t(size), &mem); text != nil { //nolint:gocritic // of what cgo makes of &
		return nil, fmt.Errorf("allocate %d bytes: %w", size, runtimeError(text))
	}
	if mem == nil {
		return nil, fmt.Errorf("allocate %d bytes: the runtime gave none", size)
	}
	a.blocks++
	return unsafe.Slice((*byte)(mem), size), nil
}

// free gives a block back.
func (a *hostAllocator) free(mem []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if text := C.release(a.table, a.allocator, unsafe.Pointer(unsafe.SliceData(mem))); text != nil {
		C.free(unsafe.Pointer(text)) // nothing to do about it
	}
	a.blocks--
	a.releaseIdle()
}

// close ends giving out; blocks stay valid until they are freed.
func (a *hostAllocator) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.closed = true
		a.releaseIdle()
	}
}

// releaseIdle lets the runtime's allocator go after the last block; mu is held.
func (a *hostAllocator) releaseIdle() {
	if a.closed && a.blocks == 0 {
		C.closeAllocator(a.table, a.allocator)
		a.allocator = nil
	}
}

// inUse is the runtime's own count of bytes given out by the allocator, which other
// sessions may share; for tests.
func (a *hostAllocator) inUse() (int64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var bytes C.int64_t
	if text := C.inUse(a.table, a.allocator, &bytes); text != nil {
		return 0, runtimeError(text)
	}
	return int64(bytes), nil
}

// runtimeError takes the text over.
func runtimeError(text *C.char) error {
	defer C.free(unsafe.Pointer(text))
	return errors.New(C.GoString(text))
}
