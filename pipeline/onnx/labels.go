package onnx

import (
	"fmt"
	"os"
	"strings"
)

// readLabels reads one class label per line, as Triton's label files have them.
func readLabels(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the labels: %w", err)
	}
	text := strings.TrimRight(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n")
	if text == "" {
		return nil, fmt.Errorf("label file %s is empty", path)
	}
	return strings.Split(text, "\n"), nil
}
