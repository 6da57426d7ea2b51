package kafka

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
)

// result is one seed's line in the journal.
type result struct {
	Seed       uint64         `json:"seed"`
	Protocol   string         `json:"protocol"`
	Faults     int            `json:"faults"`
	Kinds      map[string]int `json:"kinds"`
	Records    int            `json:"records"`
	Outputs    int            `json:"outputs"`
	Letters    int            `json:"letters"`
	Twice      int            `json:"twice"`     // outcomes beyond the first, at least once
	Aborted    int64          `json:"aborted"`   // transactions
	Processes  int            `json:"processes"` // started
	Virtual    float64        `json:"virtual_seconds"`
	Violations []string       `json:"violations"`
}

// journal is a file of results, one JSON object a line; none without a path.
type journal struct {
	mu   sync.Mutex
	file *os.File
}

func newJournal(t *testing.T, path string) *journal {
	t.Helper()
	j := &journal{}
	if path == "" {
		return j
	}
	var err error
	if j.file, err = os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.file.Close() })
	return j
}

func (j *journal) add(t *testing.T, res *result) {
	t.Helper()
	if j.file == nil {
		return
	}
	line, err := json.Marshal(res)
	if err != nil {
		t.Fatal(err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		t.Error(err)
	}
}

// keep writes what a seed with violations logged beside the journal: the same plan may
// well hold the next time.
func (j *journal) keep(t *testing.T, res *result, p faultPlan, log *logBook) {
	t.Helper()
	if j.file == nil {
		return
	}
	text := fmt.Sprintf("%s\n\n%v\n%s", strings.Join(res.Violations, "\n"), p, log.book.Bytes())
	if err := os.WriteFile(fmt.Sprintf("%s-seed-%d.log", j.file.Name(), res.Seed), []byte(text), 0o644); err != nil {
		t.Error(err)
	}
}

// logBook keeps what is logged.
type logBook struct {
	also io.Writer // may be nil

	mu   sync.Mutex
	book bytes.Buffer
}

// Write implements io.Writer.
func (l *logBook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.also != nil {
		_, _ = l.also.Write(b)
	}
	return l.book.Write(b)
}
