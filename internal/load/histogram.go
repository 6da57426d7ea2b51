package load

import (
	"fmt"
	"io"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// The range of a histogram: a day is longer than any run. Three digits: a
// quantile is within 0.1 %.
const (
	lowest  = int64(time.Nanosecond)
	highest = int64(24 * time.Hour)
	digits  = 3
)

// Histogram is a distribution of durations. Not safe for concurrent use.
type Histogram struct{ hdr *hdr.Histogram }

// NewHistogram is an empty one, of about 310 KiB.
func NewHistogram() *Histogram { return &Histogram{hdr.New(lowest, highest, digits)} }

// Record adds a duration. Below 0 counts as 0, above a day as a day.
func (h *Histogram) Record(d time.Duration) {
	if err := h.hdr.RecordValue(min(max(int64(d), 0), highest)); err != nil {
		panic("BUG: a duration within the histogram's range was refused: " + err.Error())
	}
}

// Count is how many durations were added.
func (h *Histogram) Count() int64 { return h.hdr.TotalCount() }

// Percentile is the duration that p percent of all do not exceed; p is 0 to
// 100, and 100 the longest. 0 when empty.
func (h *Histogram) Percentile(p float64) time.Duration {
	return time.Duration(h.hdr.ValueAtPercentile(p))
}

// Max is the longest duration, 0 when empty.
func (h *Histogram) Max() time.Duration { return time.Duration(h.hdr.Max()) }

// Mean is the average, 0 when empty.
func (h *Histogram) Mean() time.Duration { return time.Duration(h.hdr.Mean()) }

// Merge adds what other holds.
func (h *Histogram) Merge(other *Histogram) { h.hdr.Merge(other.hdr) }

// Clone is an independent copy.
func (h *Histogram) Clone() *Histogram { return &Histogram{h.hdr.Clone()} }

// Reset empties it.
func (h *Histogram) Reset() { h.hdr.Reset() }

// WritePercentiles writes the distribution as HdrHistogram's tools print and
// plot it (.hgrm), in milliseconds.
func (h *Histogram) WritePercentiles(w io.Writer) error {
	_, err := h.hdr.PercentilesPrint(w, 5, float64(time.Millisecond))
	return err
}

// Interval is a histogram with the time it is of, for WriteLog.
type Interval struct {
	// Tag tells one series from another; no comma, blank or line break.
	Tag        string
	Start, End time.Time
	Histogram  *Histogram
}

// WriteLog writes intervals in the HdrHistogram log format 1.3 (.hlog), in
// nanoseconds, whole and lossless: HistogramLogProcessor and others read it.
func WriteLog(w io.Writer, comment string, intervals []Interval) error {
	log := hdr.NewHistogramLogWriter(w)
	if err := log.OutputComment("[" + comment + "]"); err != nil {
		return err
	}
	if err := log.OutputLogFormatVersion(); err != nil {
		return err
	}
	if len(intervals) > 0 {
		if err := log.OutputStartTime(intervals[0].Start.UnixMilli()); err != nil {
			return err
		}
	}
	if err := log.OutputLegend(); err != nil {
		return err
	}
	for _, i := range intervals {
		h := i.Histogram.hdr.Clone()
		h.SetTag(i.Tag)
		h.SetStartTimeMs(i.Start.UnixMilli())
		h.SetEndTimeMs(i.End.UnixMilli())
		if err := log.OutputIntervalHistogram(h); err != nil {
			return fmt.Errorf("interval %s: %w", i.Tag, err)
		}
	}
	return nil
}
