package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-ml/sluice/internal/config"
	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline/onnx"
)

// The exit codes.
const (
	exitOK         = 0
	exitFailure    = 1
	exitUsage      = 2
	exitPartial    = 3
	exitDependency = 5
)

// exitError gives an error its exit code.
type exitError struct {
	code int
	err  error
}

// Error implements error.
func (e *exitError) Error() string { return e.err.Error() }

// Unwrap returns the error itself.
func (e *exitError) Unwrap() error { return e.err }

func usageErrorf(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

func partialErrorf(format string, args ...any) error {
	return &exitError{exitPartial, fmt.Errorf(format, args...)}
}

func dependencyErrorf(format string, args ...any) error {
	return &exitError{exitDependency, fmt.Errorf(format, args...)}
}

// exitCode is what the process ends with.
func exitCode(err error) int {
	var coded *exitError
	var problems config.Problems
	var refused kafkawire.ErrorCode
	var unreachable *kafkawire.NetError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &problems), errors.Is(err, onnx.ErrNoModel):
		return exitUsage
	case errors.As(err, &refused), errors.As(err, &unreachable),
		errors.Is(err, onnx.ErrNoLibrary), errors.Is(err, onnx.ErrNoDevice):
		return exitDependency
	default:
		return exitFailure
	}
}

// interrupted says that ctx ended because somebody asked for it.
func interrupted(ctx context.Context) bool {
	var why interruption
	return ctx.Err() != nil && (errors.As(context.Cause(ctx), &why) || errors.Is(context.Cause(ctx), context.Canceled))
}
