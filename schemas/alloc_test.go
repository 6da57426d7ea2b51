//go:build !race

package schemas

import "testing"

// Not under the race detector: it makes sync.Pool forget on purpose. Not
// parallel: allocations of other tests would be counted.

func TestHotPathDoesNotAllocate(t *testing.T) {
	event, text := event()
	codecs := map[string]struct {
		cfg   CodecConfig
		value string
	}{
		"floats":  {CodecConfig{Signature: rowSig(FP32, -1, 784)}, floatsJSON(long)},
		"event":   {event, text},
		"strings": {CodecConfig{Signature: rowSig(Bytes, -1, 2)}, `{"input":["DE","web"]}`},
		"oip": {
			CodecConfig{Signature: rowSig(FP32, -1, 2), Name: CodecOIPJSON},
			`{"id":"a","parameters":{"timeout":5},"inputs":[{"name":"input","datatype":"FP32","shape":[1,2],"data":[1,2]}],"outputs":[{"name":"y"}]}`,
		},
		"raw": {CodecConfig{Signature: rowSig(FP32, -1, 2), Name: CodecRaw}, "12345678"},
	}
	res := &Result{Outputs: []Output{{Tensor: floats("y", []float32{0.1, 0.2, 0.7}, 1, 3), HasRows: true}}}
	for name, tc := range codecs {
		c := newCodec(t, tc.cfg)
		rec, req := record(tc.value, "traceparent", "x"), &Request{}
		var dst []byte
		if n := testing.AllocsPerRun(100, func() {
			if err := c.Decode(rec, req); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("decode %s: %v allocations", name, n)
		}
		if n := testing.AllocsPerRun(100, func() {
			var err error
			if dst, _, err = c.Encode(dst[:0], rec, req, res); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("encode %s: %v allocations", name, n)
		}
	}
	dst := make([]byte, 0, 32)
	if n := testing.AllocsPerRun(100, func() { dst = OutcomeID(dst[:0], "cluster", [16]byte{1}, 3, 1, "fraud") }); n != 0 {
		t.Errorf("outcome id: %v allocations", n)
	}
}
