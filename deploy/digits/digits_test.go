package digits

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"testing"
)

func TestModelIsTheTrainedFile(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256(Model)
	if got := hex.EncodeToString(sum[:]); got != SHA256() {
		t.Errorf("digits.onnx has digest %s, digits.onnx.sha256 says %s", got, SHA256())
	}
}

func TestHeldOutImagesAreWhole(t *testing.T) {
	t.Parallel()
	ids, labels := map[string]bool{}, map[int]int{}
	lines := bufio.NewScanner(bytes.NewReader(HeldOut))
	for lines.Scan() {
		var image struct {
			ID    string `json:"id"`
			Image []int  `json:"image"`
			Label int    `json:"label"`
		}
		if err := json.Unmarshal(lines.Bytes(), &image); err != nil || len(image.Image) != 64 {
			t.Fatalf("line %q: %d pixels, %v", lines.Text(), len(image.Image), err)
		}
		ids[image.ID] = true
		labels[image.Label]++
	}
	if len(ids) != 450 || len(labels) != 10 {
		t.Errorf("%d images of %d digits, want 450 of 10", len(ids), len(labels))
	}
}
