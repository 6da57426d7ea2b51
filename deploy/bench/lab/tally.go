package lab

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Tally is what an output topic holds.
type Tally struct {
	Records, Unknown int
	// Lost ids have no output, Extra is how many outputs are repeats, Maximum the
	// most of one id.
	Lost, Extra, Maximum int
	// Wrong outputs are unlike the reference; Worst is the largest |d| - tol |ref|.
	Wrong int
	Worst float64

	counts []int32
	first  []int64 // append times of each id's first output, milliseconds
}

// TallyOutputs reads an output topic, counts the ids of n records and, with a
// tolerance above 0, compares with the reference: an output is wrong when
// |d| > tolerance + tolerance |ref|.
func (l *Lab) TallyOutputs(ctx context.Context, topic string, p *Payload, n int, tolerance float64) (*Tally, error) {
	var want [][]float64
	var err error
	if tolerance > 0 {
		if want, err = l.Reference(ctx, p); err != nil {
			return nil, err
		}
	}
	t := &Tally{counts: make([]int32, n)}
	got := make([]float64, 0, p.Width)
	err = l.ReadAll(ctx, topic, func(r *kgo.Record) error {
		t.Records++
		id := string(r.Key)
		if tolerance > 0 {
			if id, got, err = p.numbers(p, r, got[:0]); err != nil {
				return fmt.Errorf("output %d/%d: %w", r.Partition, r.Offset, err)
			}
		}
		i := Index(id)
		if i < 0 || i >= n {
			t.Unknown++
			return nil
		}
		if t.counts[i]++; t.counts[i] == 1 {
			t.first = append(t.first, r.Timestamp.UnixMilli())
		}
		if tolerance > 0 {
			t.compare(p, got, want[i%p.Distinct], tolerance)
		}
		return nil
	})
	t.sum()
	return t, err
}

func (t *Tally) compare(p *Payload, got, want []float64, tolerance float64) {
	if len(got) != len(want) {
		t.Wrong++
		return
	}
	bad := false
	for j, w := range want {
		if j == 0 && p.Outputs[0] == "label" && math.Abs(want[1]-want[2]) <= 4*tolerance {
			continue // either label is right where the classes are as likely
		}
		over := math.Abs(got[j]-w) - tolerance*math.Abs(w)
		t.Worst = max(t.Worst, over)
		if !(over <= tolerance) {
			bad = true
		}
	}
	if bad {
		t.Wrong++
	}
}

func (t *Tally) sum() {
	for _, c := range t.counts {
		if c == 0 {
			t.Lost++
		}
		if c > 1 {
			t.Extra += int(c - 1)
		}
		t.Maximum = max(t.Maximum, int(c))
	}
	slices.Sort(t.first)
}

// Rate is ids a second between the broker's append times of their first
// outputs, the first quarter left out.
func (t *Tally) Rate() float64 {
	tail := t.first[len(t.first)/4:]
	if len(tail) < 2 {
		return 0
	}
	return float64(len(tail)) / (float64(max(1, tail[len(tail)-1]-tail[0])) / 1000)
}

// Void says why a contender's row does not count, "" when it does.
func (t *Tally) Void() string {
	if t.Lost == 0 && t.Unknown == 0 && t.Wrong == 0 {
		return ""
	}
	return fmt.Sprintf("lost %d, unknown ids %d, unlike the reference %d (worst %.2g)", t.Lost, t.Unknown, t.Wrong, t.Worst)
}

func rawNumbers(_ *Payload, r *kgo.Record, dst []float64) (string, []float64, error) {
	for v := r.Value; len(v) >= 4; v = v[4:] {
		dst = append(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(v))))
	}
	return string(r.Key), dst, nil
}

// jsonNumbers reads {"id":..., "outputs":{name: numbers}}, however nested.
func jsonNumbers(p *Payload, r *kgo.Record, dst []float64) (string, []float64, error) {
	var out struct {
		ID      string                     `json:"id"`
		Outputs map[string]json.RawMessage `json:"outputs"`
	}
	if err := json.Unmarshal(r.Value, &out); err != nil {
		return "", dst, err
	}
	if out.ID != string(r.Key) {
		return "", dst, fmt.Errorf("the id %q is not the key %q", out.ID, r.Key)
	}
	for _, name := range p.Outputs {
		dst = appendNumbers(dst, out.Outputs[name])
	}
	return out.ID, dst, nil
}

func crayfishNumbers(p *Payload, r *kgo.Record, dst []float64) (string, []float64, error) {
	var out map[string]json.RawMessage
	if err := json.Unmarshal(r.Value, &out); err != nil {
		return "", dst, err
	}
	return string(r.Key), appendNumbers(dst, out[p.Outputs[0]]), nil
}

// appendNumbers appends every number of a text, whatever stands between them.
func appendNumbers(dst []float64, text []byte) []float64 {
	number := func(c byte) bool {
		return c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
	}
	for i := 0; i < len(text); i++ {
		if !number(text[i]) {
			continue
		}
		end := i
		for end < len(text) && number(text[end]) {
			end++
		}
		if f, err := strconv.ParseFloat(string(text[i:end]), 64); err == nil {
			dst = append(dst, f)
		}
		i = end
	}
	return dst
}
