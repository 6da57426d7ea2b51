package onnx

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// message writes protobuf by field numbers.
type message []byte

func (m message) bytes(num int, value []byte) message {
	return protowire.AppendBytes(protowire.AppendTag(m, protowire.Number(num), protowire.BytesType), value)
}

func (m message) text(num int, value string) message { return m.bytes(num, []byte(value)) }

func (m message) number(num int, value int64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, protowire.Number(num), protowire.VarintType), uint64(value))
}

func floatTensor(name string, dims ...int64) message {
	m := message{}.text(tensorName, name).number(tensorDataType, 1)
	for _, d := range dims {
		m = m.number(tensorDims, d)
	}
	return m
}

func externalTensor(name string, entries ...string) message {
	m := floatTensor(name, 4).number(tensorLocation, locationExternal)
	for i := 0; i < len(entries); i += 2 {
		m = m.bytes(tensorExternal, message{}.text(1, entries[i]).text(2, entries[i+1]))
	}
	return m
}

func node(domain, op string, attributes ...message) message {
	m := message{}.text(1, "x").text(1, "w").text(2, "y").text(nodeName, "n").text(nodeOpType, op).text(nodeDomain, domain)
	for _, a := range attributes {
		m = m.bytes(nodeAttribute, a)
	}
	return m
}

// floatPort is a float32 [batch,4].
func floatPort(name string) message {
	shape := message{}.bytes(shapeDim, message{}.text(dimParam, "batch")).bytes(shapeDim, message{}.number(1, 4))
	typ := message{}.bytes(typeTensor, message{}.number(tensorElem, 1).bytes(tensorShape, shape))
	return message{}.text(valueName, name).bytes(valueType, typ)
}

// modelOf adds the initializer w to x by one node.
func modelOf(n, w message, more ...func(message) message) []byte {
	graph := message{}.bytes(graphNode, n).text(2, "g").bytes(graphInitializer, w).
		bytes(graphInput, floatPort("x")).bytes(graphOutput, floatPort("y"))
	m := message{}.number(1, 8).bytes(modelGraph, graph).bytes(8, message{}.text(1, "").number(2, 17))
	for _, f := range more {
		m = f(m)
	}
	return m
}

func add() message { return node("", "Add") }

// nested is a graph within a graph, depth times.
func nested(depth int) message {
	graph := message{}.bytes(graphNode, node("", "Add"))
	for range depth {
		graph = message{}.bytes(graphNode, node("", "If", message{}.text(1, "then_branch").bytes(attributeGraph, graph)))
	}
	return graph
}

var fourFloats = string(make([]byte, 16))

func TestUnsafeModelsAreRefusedBeforeTheRuntime(t *testing.T) {
	t.Parallel()
	startRuntime(t)
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside.bin")
	writeFile(t, outside, fourFloats)
	folder := filepath.Join(dir, "model")
	writeFile(t, filepath.Join(folder, "weights.bin"), fourFloats)
	writeFile(t, filepath.Join(folder, "linked.bin"), fourFloats)
	for _, link := range []error{
		os.Symlink(outside, filepath.Join(folder, "link.bin")), os.Symlink(dir, filepath.Join(folder, "up")),
		os.Link(filepath.Join(folder, "linked.bin"), filepath.Join(folder, "hard.bin")),
		os.MkdirAll(filepath.Join(folder, "*", "_ORT_MEM_ADDR_"), 0o700),
	} {
		if link != nil {
			t.Fatal(link)
		}
	}
	writeFile(t, filepath.Join(folder, "*", "_ORT_MEM_ADDR_", "*"), fourFloats)
	good := floatTensor("w", 4).text(tensorRaw, fourFloats)
	sparse := func(dims ...int64) message {
		m := message{}.bytes(sparseValues, floatTensor("s", 1).text(tensorRaw, "1234"))
		for _, d := range dims {
			m = m.number(sparseDims, d)
		}
		return m
	}
	constant := func(num int, value message) []byte {
		return modelOf(node("", "Constant", message{}.text(1, "value").bytes(num, value)), good)
	}
	function := func(domain, name string, n message) func(message) message {
		return func(m message) message {
			return m.bytes(modelFunctions, message{}.text(functionName, name).text(functionDomain, domain).bytes(functionNode, n))
		}
	}
	for name, c := range map[string]struct {
		model []byte
		want  string
	}{
		"absolute path":         {modelOf(add(), externalTensor("w", "location", outside)), "leaves the model's folder"},
		"path upwards":          {modelOf(add(), externalTensor("w", "location", "../outside.bin")), "leaves the model's folder"},
		"path down and up":      {modelOf(add(), externalTensor("w", "location", "up/../../outside.bin")), "leaves the model's folder"},
		"link outside":          {modelOf(add(), externalTensor("w", "location", "link.bin")), "a link that leaves"},
		"folder's link outside": {modelOf(add(), externalTensor("w", "location", "up/outside.bin")), "a link that leaves"},
		"hard link":             {modelOf(add(), externalTensor("w", "location", "hard.bin")), "hard link"},
		"folder":                {modelOf(add(), externalTensor("w", "location", ".")), "not a regular file"},
		"absent":                {modelOf(add(), externalTensor("w", "location", "none.bin")), "none.bin"},
		"no location":           {modelOf(add(), externalTensor("w", "offset", "0")), "without a location"},
		"address in memory":     {modelOf(add(), externalTensor("w", "location", "*/_ORT_MEM_ADDR_/*", "offset", "4096")), "no file's name"},
		"beyond the end":        {modelOf(add(), externalTensor("w", "location", "weights.bin", "offset", "4", "length", "16")), "which has 16"},
		"offset that overflows": {modelOf(add(), externalTensor("w", "location", "weights.bin", "offset", "9223372036854775807")), "which has 16"},
		"negative offset":       {modelOf(add(), externalTensor("w", "location", "weights.bin", "offset", "-1")), "not a count of bytes"},
		"other length":          {modelOf(add(), externalTensor("w", "location", "weights.bin", "length", "8")), "16 are needed"},
		"location twice":        {modelOf(add(), externalTensor("w", "location", "weights.bin", "location", outside)), "twice"},
		"key after its value": {modelOf(add(), externalTensor("w").bytes(tensorExternal,
			message{}.text(1, "checksum").text(2, outside).text(1, "location"))), "leaves the model's folder"},
		"without the mark": {modelOf(add(), floatTensor("w", 4).bytes(tensorExternal, message{}.text(1, "location").text(2, outside))), "leaves the model's folder"},
		"in a constant":    {constant(attributeTensor, externalTensor("c", "location", outside)), "leaves the model's folder"},
		"in a list":        {constant(attributeTensors, externalTensor("c", "location", outside)), "leaves the model's folder"},
		"in sparse values": {constant(attributeSparseTensor, message{}.bytes(sparseValues, externalTensor("c", "location", outside))), "leaves the model's folder"},
		"in a subgraph":    {constant(attributeGraph, message{}.bytes(graphInitializer, externalTensor("c", "location", outside))), "leaves the model's folder"},
		"in a function":    {modelOf(add(), good, function("f", "g", node("", "Constant", message{}.bytes(attributeTensor, externalTensor("c", "location", outside))))), "leaves the model's folder"},
		"in training": {modelOf(add(), good, func(m message) message {
			return m.bytes(modelTraining, message{}.bytes(trainingAlgorithm, message{}.bytes(graphInitializer, externalTensor("c", "location", outside))))
		}), "leaves the model's folder"},
		"unknown domain":       {modelOf(node("evil.ops", "Add"), good), `domain "evil.ops"`},
		"domain hidden":        {modelOf(node("evil.ops", "Add").number(nodeDomain, 0), good), `domain "evil.ops"`},
		"domain in a function": {modelOf(node("mine", "F"), good, function("mine", "F", node("evil.ops", "Add"))), `domain "evil.ops"`},
		"other function":       {modelOf(node("mine", "F"), good, function("mine", "G", add())), `domain "mine"`},
		"device binary":        {modelOf(node("com.microsoft", "EPContext"), good), "EPContext"},
		"size overflows":       {modelOf(add(), floatTensor("w", 1<<32, 1<<32).text(tensorRaw, fourFloats)), "overflows"},
		"overflow beside 0":    {modelOf(add(), floatTensor("w", 1<<62, 1<<62, 0)), "overflows"},
		"bytes overflow":       {modelOf(add(), floatTensor("w", 1<<62).text(tensorRaw, "")), "overflows"},
		"negative dimension":   {modelOf(add(), floatTensor("w", -4).text(tensorRaw, fourFloats)), "negative"},
		"more than the file":   {modelOf(add(), floatTensor("w", 1<<40).text(tensorRaw, fourFloats)), "16 bytes of type 1 are in the file, 4398046511104 are needed"},
		"nothing in the file":  {modelOf(add(), floatTensor("w", 1<<30)), "0 elements are in the file"},
		"typed, too few":       {modelOf(add(), floatTensor("w", 5).text(tensorFloats, fourFloats)), "4 elements are in the file, 5"},
		"unknown type":         {modelOf(add(), floatTensor("w", 4).number(tensorDataType, 99).text(tensorRaw, fourFloats)), "of type 99"},
		"many dimensions":      {modelOf(add(), floatTensor("w", make([]int64, 65)...)), "more than 64 dimensions"},
		"packed dimensions":    {modelOf(add(), floatTensor("w").bytes(tensorDims, make([]byte, 65))), "more than 64 dimensions"},
		"sparse":               {constant(attributeSparseTensor, sparse(1<<20, 1<<20)), "would unfold"},
		"sparse initializer":   {message{}.bytes(modelGraph, message{}.bytes(graphSparse, sparse(1<<40, 1<<40))), "would unfold"},
		"deep graphs": {modelOf(add(), good, func(m message) message {
			return m.bytes(modelFunctions, message{}.bytes(functionNode, node("", "If", message{}.bytes(attributeGraph, nested(40)))))
		}), "nested"},
		"deep type": {message{}.bytes(modelGraph, message{}.bytes(graphInput, deepType(100_000))), "nested"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(folder, name+".onnx")
			writeFile(t, file, string(c.model))
			_, err := Load(t.Context(), Config{Path: file}, nil)
			if !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("Load() = %v, want ErrUnsafe with the file and %q", err, c.want)
			}
		})
	}
}

// deepType is a sequence of sequences; each level is written around the last
// from the inside out, so that it is made in one go.
func deepType(depth int) message {
	// Sizes first: a level is tag, size, tag, size around the level within.
	sizes := make([]int, depth+1)
	for i := 1; i <= depth; i++ {
		inner := sizes[i-1] + 1 + protowire.SizeVarint(uint64(sizes[i-1]))
		sizes[i] = inner + 1 + protowire.SizeVarint(uint64(inner))
	}
	m := message{}
	m = protowire.AppendTag(m, valueType, protowire.BytesType)
	m = protowire.AppendVarint(m, uint64(sizes[depth]))
	for i := depth; i > 0; i-- {
		inner := sizes[i-1] + 1 + protowire.SizeVarint(uint64(sizes[i-1]))
		m = protowire.AppendVarint(protowire.AppendTag(m, typeSequence, protowire.BytesType), uint64(inner))
		m = protowire.AppendVarint(protowire.AppendTag(m, sequenceElem, protowire.BytesType), uint64(sizes[i-1]))
	}
	return m
}

func TestTruncatedModelsAreRefused(t *testing.T) {
	t.Parallel()
	whole := modelOf(add(), floatTensor("w", 4).text(tensorRaw, fourFloats))
	if _, err := vet(whole, "."); err != nil {
		t.Fatal(err)
	}
	graphEnds := len(whole) - len(message{}.bytes(8, message{}.text(1, "").number(2, 17)))
	for n := range whole {
		_, err := vet(whole[:n], ".")
		if n == graphEnds { // only the opset is missing, which the runtime wants
			continue
		}
		if !errors.Is(err, errMalformed) {
			t.Errorf("the first %d of %d bytes: %v, want errMalformed", n, len(whole), err)
		}
	}
}

// What honest exporters write is loaded, and gives the right answer.
func TestExternalDataInTheFolderIsRead(t *testing.T) {
	t.Parallel()
	startRuntime(t)
	dir := t.TempDir()
	w := f32("w", dims(4), 1, 2, 3, 4)
	writeFile(t, filepath.Join(dir, "..data", "weights.bin"), "skip"+string(w.Data))
	if err := os.Symlink("..data/weights.bin", filepath.Join(dir, "weights.bin")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "m.onnx")
	writeFile(t, file, string(modelOf(add(), externalTensor("w", "location", "weights.bin", "offset", "4", "length", "16"))))
	sum, err := digest(file, "")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Load(t.Context(), Config{Path: file, Workers: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	row := item(1, f32("x", dims(1, 4), 10, 20, 30, 40))
	if err := run(t.Context(), m, row); err != nil {
		t.Fatal(err)
	}
	if got, want := floats(&row.Res.Outputs[0].Tensor), []float32{11, 22, 33, 44}; !slices.Equal(got, want) {
		t.Errorf("outputs %v, want %v", got, want)
	}
	r, err := Inspect(t.Context(), Config{Path: file, SHA256: sum})
	if err != nil || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "does not cover") {
		t.Errorf("Inspect() warns %q, %v; want the uncovered weights", r.Warnings, err)
	}
}

func TestFunctionsOfTheModelAreKnown(t *testing.T) {
	t.Parallel()
	data := modelOf(node("mine", "F"), floatTensor("w", 4).text(tensorRaw, fourFloats), func(m message) message {
		return m.bytes(modelFunctions, message{}.text(functionName, "F").text(functionDomain, "mine").bytes(functionNode, add()))
	})
	if _, err := vet(data, "."); err != nil {
		t.Error(err)
	}
}

func TestModelConfigStaysInItsFolder(t *testing.T) {
	t.Parallel()
	for _, config := range []string{`default_model_filename: "../../m.onnx"`, `default_model_filename: "/etc/passwd"`, `output [ { label_filename: "../labels.txt" } ]`} {
		if _, err := locate(&Config{Path: triton(t, config, "1")}); !errors.Is(err, ErrUnsafe) {
			t.Errorf("%s: %v, want ErrUnsafe", config, err)
		}
	}
}

func FuzzVet(f *testing.F) {
	good := floatTensor("w", 4).text(tensorRaw, fourFloats)
	f.Add(modelOf(add(), good))
	f.Add(modelOf(node("evil", "Add"), good))
	f.Add(modelOf(add(), externalTensor("w", "location", "../x", "offset", "1", "length", "16")))
	f.Add([]byte(message{}.bytes(modelGraph, nested(5))))
	f.Add([]byte(message{}.bytes(modelGraph, message{}.bytes(graphInput, deepType(60)))))
	for _, name := range []string{"affine", "seq_of_maps", "mixed_io", "slow_loop", "all_types"} {
		data, err := os.ReadFile(zooFile(name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		external, err := vet(data, folder)
		if err != nil && !errors.Is(err, ErrUnsafe) && !errors.Is(err, errMalformed) {
			t.Errorf("vet() = %v: neither unsafe nor malformed", err)
		}
		if len(external) > 0 {
			t.Errorf("files of an empty folder: %q", external)
		}
	})
}
