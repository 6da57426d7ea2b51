package schemas

import (
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// guarded is memory with a page behind it that nobody may read; the Go runtime would
// report a fault there as one that cannot be recovered.
func guarded(t *testing.T, pages int) []byte {
	t.Helper()
	page := unix.Getpagesize()
	mem, err := unix.Mmap(-1, 0, (pages+1)*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(mem) })
	if err := unix.Mprotect(mem[pages*page:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	return mem[: pages*page : pages*page]
}

// TestNothingIsReadBehindTheEnd decodes documents, whole and cut anywhere, that end
// where the memory ends.
func TestNothingIsReadBehindTheEnd(t *testing.T) {
	t.Parallel()
	mem := guarded(t, 4)
	r := rand.New(rand.NewPCG(4, 9))
	numbers := func() string {
		var doc []byte
		for k := range 1 + r.IntN(60) {
			if k > 0 {
				doc = append(doc, []string{",", ",", ", ", " ,"}[r.IntN(4)]...)
			}
			doc = randomNumber(doc, r)
		}
		return string(doc)
	}
	spec := func(typ DataType) *Signature {
		return &Signature{Inputs: []TensorSpec{{Name: "x", Type: typ, Shape: []int64{-1, -1}, BatchAxis: 0}}, Varying: true}
	}
	codecs := []struct {
		c    *Codec
		text func() string
	}{
		{newCodec(t, CodecConfig{Signature: spec(FP32)}), func() string { return `{"x":[` + numbers() + `]}` }},
		{newCodec(t, CodecConfig{Signature: spec(Int64)}), func() string { return `{"x":[` + numbers() + `]}` }},
		{newCodec(t, CodecConfig{Signature: spec(FP32), Name: CodecOIPJSON}), func() string {
			return `{"inputs":[{"name":"x","datatype":"FP32","shape":[1,20],"data":[` + numbers() + `]}]}`
		}},
		{newCodec(t, eventConfig()), func() string { return eventText(r.IntN(1000), r) }},
	}
	req := &Request{}
	for range 3000 {
		c := codecs[r.IntN(len(codecs))]
		text := c.text()
		if r.IntN(4) == 0 {
			text = strings.TrimRight(text, "]}")
		}
		for range 8 {
			cut := text[:len(text)-r.IntN(len(text))%(1+r.IntN(150))]
			if len(cut) > len(mem) {
				continue
			}
			b := mem[len(mem)-copy(mem[len(mem)-len(cut):], cut):]
			_ = c.c.Decode(&Record{Value: b}, req)
		}
	}
}
