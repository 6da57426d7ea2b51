package onnx

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
)

// digest returns the file's SHA-256 in hex, and an error when want is set and
// differs: the runtime loads about half of the files with one flipped byte
// without a complaint.
func digest(path, want string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("open the model: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read the model %s: %w", path, err)
	}
	sum := hex.EncodeToString(h.Sum(nil))
	if want != "" && !strings.EqualFold(want, sum) {
		return "", fmt.Errorf("model %s has sha256 %s, model.sha256 says %s: restore the file, or correct the key", path, sum, want)
	}
	return sum, nil
}
