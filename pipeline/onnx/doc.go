// Package onnx is pipeline.Model on ONNX Runtime: the only package that knows
// the runtime.
//
// Where to look:
//
//	library.go        finds and loads the runtime's shared library
//	repository.go     finds the model's file; modelconfig.go reads config.pbtxt
//	digest.go         SHA-256 of the file
//	modelfile.go      reads names from the file that the runtime does not tell
//	vet.go            refuses what is not safe to load; initializer.go holds sizes against the file,
//	                  externaldata.go the files beside it; walk.go goes through protobuf
//	private.go        a copy that nobody changes between the check and the load
//	signature.go      inputs, outputs and which axis counts rows
//	candidates.go     what the declarations let one guess about rows
//	probe.go          may rows share a batch? coupling.go compares, trials.go makes the rows
//	device.go         cpu, cuda, auto; elf.go names a missing library
//	session.go        one session for each device
//	hostmemory.go     pinned memory for a GPU's copies, by a little C of our own
//	worker_buffers.go one worker's memory; tensor_buffer.go one tensor of it
//	stage.go          memory that rows are decoded into, and run from
//	run.go            rows in, run, rows out; outputs.go splits
//	load.go           puts it together; inspect.go tells about it
//
// Every tensor the runtime works on lies in memory outside Go's heap, because
// the runtime keeps pointers to it between calls, which cgo forbids for Go
// memory. Rank-0 values are the exception: only the binding can make them, and
// it keeps theirs on the heap, which does not move.
package onnx
