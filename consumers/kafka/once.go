package kafka

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// repeatAfter is how long an error of one class is kept quiet after it was logged.
const repeatAfter = time.Minute

// onceLog logs the first of repeated errors, then one a minute per class. Safe
// for concurrent use.
type onceLog struct {
	log *slog.Logger

	mu   sync.Mutex
	last map[string]time.Time // guarded by mu; a handful of classes
}

func newOnceLog(log *slog.Logger) *onceLog {
	return &onceLog{log: log, last: map[string]time.Time{}}
}

// warn logs what happened, with its error.
func (o *onceLog) warn(what string, err error, attrs ...any) {
	key := what + ": " + classOf(err)
	now := time.Now()
	o.mu.Lock()
	quiet := now.Sub(o.last[key]) < repeatAfter
	if !quiet {
		o.last[key] = now
	}
	o.mu.Unlock()
	if !quiet {
		o.log.Warn(what, append(attrs, "error", err)...)
	}
}

// classOf is what two errors of one kind have in common.
func classOf(err error) string {
	var code kafkawire.ErrorCode
	var net *kafkawire.NetError
	switch {
	case errors.As(err, &code):
		return code.Name()
	case errors.As(err, &net):
		return "network"
	default:
		return err.Error()
	}
}
