package kafkatest

import (
	"cmp"
	"slices"

	"github.com/sluice-ml/sluice/schemas"
)

// SortRecords puts records in order of partition and offset.
func SortRecords(records []schemas.Record) {
	slices.SortFunc(records, func(a, b schemas.Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
}
