package pipeline

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-ml/sluice/schemas"
)

// errRunTimeout is the cause of a run's end after RunTimeout.
var errRunTimeout = errors.New("run timeout")

// panicError is a recovered panic of a model.
type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// itemError is err as an item's fault, of the given class unless it says its own.
func itemError(err error, class schemas.Class, stage schemas.Stage) *schemas.Error {
	if own, ok := errors.AsType[*schemas.Error](err); ok {
		return own
	}
	return &schemas.Error{Class: class, Stage: stage, Message: cleanText(err.Error())}
}

// runFailure is what a row gets whose run failed when it was alone.
func runFailure(err error) *schemas.Error {
	class := schemas.RunFailed
	if errors.Is(err, errRunTimeout) {
		class = schemas.RunTimeout
	}
	if _, ok := errors.AsType[*panicError](err); ok {
		class = schemas.Panic
	}
	return itemError(err, class, schemas.StageInfer)
}

// panicked makes a recovered panic the item's fault.
func (p *Pipeline) panicked(v any, stage schemas.Stage) *schemas.Error {
	p.reportPanic(v, stage)
	return &schemas.Error{Class: schemas.Panic, Stage: stage, Message: cleanText(fmt.Sprintf("panic: %v", v))}
}

// reportPanic counts a recovered panic; the first one's stack goes to the log.
func (p *Pipeline) reportPanic(v any, stage schemas.Stage) {
	p.telemetry.panics.Add(1)
	p.telemetry.firstPanic.Do(func() {
		p.tel.Logger.Error("recovered panic; later ones are only counted",
			"stage", stage, "panic", cleanText(fmt.Sprint(v)), "stack", string(debug.Stack()))
	})
}

// maxErrorText bounds the text of a dead letter, by convention.
const maxErrorText = 1 << 10

// cleanText is text fit for a header and a log: one line, no control characters,
// valid UTF-8, at most 1 KiB.
func cleanText(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, text)
	if len(text) <= maxErrorText {
		return text
	}
	cut := maxErrorText
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut]
}

// stops says whether this item's fault stops its partition.
func (it *Item) stops() bool {
	return it.state.outcome == DeadLettered && it.state.pipe.cfg.OnError == OnErrorStop
}

// stopError is the reason such a partition gives.
func stopError(it *Item) error {
	return fmt.Errorf("%s/%d@%d (on_error: stop): %w", it.Topic, it.Partition, it.Offset, it.Err)
}
