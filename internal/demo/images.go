package demo

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/sluice-ml/sluice/deploy/digits"
)

// side is the width and height of an image in pixels; a pixel is 0..maxPixel.
const (
	side     = 8
	maxPixel = 16
)

// image is one held-out image.
type image struct {
	Pixels [side * side]uint8
	Label  int // the truth
	key    []byte
	tail   []byte // the record's JSON after its id
}

// heldOut reads the bundled images.
func heldOut() ([]image, error) {
	var images []image
	lines := bufio.NewScanner(bytes.NewReader(digits.HeldOut))
	for lines.Scan() {
		var line struct {
			ID    string          `json:"id"`
			Image json.RawMessage `json:"image"`
			Label int             `json:"label"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, fmt.Errorf("bundled image %d: %w", len(images), err)
		}
		img := image{Label: line.Label, key: []byte(line.ID)}
		if err := json.Unmarshal(line.Image, &img.Pixels); err != nil {
			return nil, fmt.Errorf("bundled image %s: %w", line.ID, err)
		}
		img.tail = append(append([]byte(`,"image":`), line.Image...), '}')
		images = append(images, img)
	}
	return images, lines.Err()
}

// payload is the record that asks for this image's prediction: the sequence
// number is its id, by which the answer is recognised.
func (img *image) payload(sequence int64) []byte {
	value := make([]byte, 0, len(img.tail)+28)
	value = append(value, `{"id":`...)
	value = strconv.AppendInt(value, sequence, 10)
	return append(value, img.tail...)
}
